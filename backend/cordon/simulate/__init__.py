"""The simulated camera: photographs of faces, walking down a drawn street, with the truth written down beside the video."""

from cordon.simulate.people import DemoPerson, Walker, faces_for_demo
from cordon.simulate.scene import SceneSettings, render_scene
from cordon.simulate.truth import FaceBox, GroundTruth, PersonTruth

__all__ = [
    "DemoPerson",
    "FaceBox",
    "GroundTruth",
    "PersonTruth",
    "SceneSettings",
    "Walker",
    "faces_for_demo",
    "render_scene",
]
