"""Cordon, the companion for openly signposted live facial recognition."""

import os

# onnxruntime's Linux wheels report their use to their maker unless this is set before they are imported. A deployment
# tells nobody outside the force anything.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
