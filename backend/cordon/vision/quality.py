"""Is this view of a face good enough to compare? Poor views are where false alerts come from.

Thresholds follow the field where it publishes them (Herta: 70 px to recognise, ±35° yaw), else were set on the test
photographs so that sharp, frontal faces pass and their blurred copies do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

PROBE_LEAST_SHARPNESS = 4.0
REFERENCE_LEAST_SHARPNESS = 6.0
MOST_YAW_DEG = 40.0
MOST_ROLL_DEG = 35.0
LEAST_SCORE = 0.7
DARKEST, BRIGHTEST = 25.0, 235.0
REFERENCE_LEAST_FACE_PX = 40


@dataclass(frozen=True)
class FaceQuality:
    """face_px: width of the face in the original picture. sharpness: standard deviation of the Laplacian of the aligned
    112-pixel crop in grey levels. yaw, roll: degrees, from the five landmarks. brightness: mean grey level."""

    face_px: float
    sharpness: float
    yaw_deg: float
    roll_deg: float
    brightness: float
    detector_score: float

    @property
    def weight(self) -> float:
        """How much a view counts when views are fused: large, sharp and frontal count more."""
        size = min(self.face_px / 100, 1.0)
        sharp = min(self.sharpness / 40, 1.0)
        frontal = max(0.1, math.cos(math.radians(min(self.yaw_deg, 80.0))))
        return size * sharp * frontal * self.detector_score


def assess(
    crop: NDArray[np.uint8], box: NDArray[np.float32], landmarks: NDArray[np.float32], score: float
) -> FaceQuality:
    """Of one face: its aligned crop (112, 112, 3), box (4,), landmarks (5, 2) and detector score."""
    inner = cv2.cvtColor(crop[16:100, 16:96], cv2.COLOR_BGR2GRAY)
    eye_a, eye_b, nose, mouth_a, mouth_b = landmarks.astype(np.float64)
    eyes = eye_b - eye_a
    across = eyes / max(float(np.linalg.norm(eyes)), 1e-6)
    middle = (eye_a + eye_b + mouth_a + mouth_b) / 4
    span = max(float(np.linalg.norm(eyes)), float(np.linalg.norm(mouth_b - mouth_a)), 1e-6)
    # The nose stands about 0.6 eye distances before the face's plane: its sideways shift is 0.6 · tan(yaw) of the span.
    shift = float((nose - middle) @ across) / span
    return FaceQuality(
        face_px=float(box[2] - box[0]),
        sharpness=float(cv2.Laplacian(inner, cv2.CV_64F).std()),
        yaw_deg=abs(math.degrees(math.atan2(shift, 0.6))),
        roll_deg=abs(math.degrees(math.atan2(float(eyes[1]), float(eyes[0])))),
        brightness=float(inner.mean()),
        detector_score=score,
    )


def why_not_comparable(quality: FaceQuality, *, least_face_px: float, least_sharpness: float) -> tuple[str, str] | None:
    """The first reason against comparing this view, as code and sentence; None if there is none."""
    checks = (
        (
            quality.face_px < least_face_px,
            "face_too_small",
            f"The face is {quality.face_px:.0f} pixels wide: {least_face_px:.0f} are needed.",
        ),
        (
            quality.detector_score < LEAST_SCORE,
            "uncertain_face",
            "The face is not seen well enough to be sure it is one.",
        ),
        (quality.yaw_deg > MOST_YAW_DEG, "side_on", "The face looks too far to the side."),
        (quality.roll_deg > MOST_ROLL_DEG, "tilted", "The head is tilted too far."),
        (quality.brightness < DARKEST, "dark", "The face is too dark."),
        (quality.brightness > BRIGHTEST, "overexposed", "The face is too bright."),
        (quality.sharpness < least_sharpness, "blurred", "The face is blurred."),
    )
    return next(((code, sentence) for bad, code, sentence in checks if bad), None)
