"""How well a model pack identifies, measured on photographs that somebody is entitled to use, and what follows from it.

From a folder of photographs to rates with intervals (`protocol`, `rates`), by groups and picture quality (`groups`),
to a calibration (`calibration`), from which a deployment's threshold is derived. Nothing here estimates who belongs to
which group, and no template leaves memory.
"""
