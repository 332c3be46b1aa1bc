"""insightface asks for opencv-python, which brings display libraries: exactly the headless one may be installed."""

from importlib.metadata import distributions

import cv2

installed = sorted({str(d.metadata["Name"]) for d in distributions() if str(d.metadata["Name"]).startswith("opencv")})
assert installed == ["opencv-python-headless"], f"installed: {installed}"
information = cv2.getBuildInformation()
gui = next(line for line in information.splitlines() if line.strip().startswith("GUI:"))
assert "NONE" in gui, f"this OpenCV has a display: {gui.strip()}"
print(f"OpenCV {cv2.__version__}, {gui.strip()}")
