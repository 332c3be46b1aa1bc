"""Is this view of a face good enough to compare? Poor views are where false alerts come from.

Where each limit comes from. "The bench" is `make bench-degradation` with the pack `light`, whose table stands in
models/README.md: 450 people of LFW on the list, 1,389 pictures of them and of 700 others, spoilt in forty ways.

| limit | from |
|---|---|
| `MOST_YAW_DEG` | Herta, ±35°. On the bench it refuses nine in ten faces turned by 60°, and most of the 2.6 % of the pictures as taken that are refused |
| `PROBE_LEAST_SHARPNESS` | the bench: below lie a blur of 3 % of the face's width, a smear of 15 % and 16 px enlarged, where mates fall from 91 to 37, 15 and 24 %; of the pictures as taken hardly one does |
| `REFERENCE_LEAST_SHARPNESS` | the bench: below lie nine in ten of 22 px enlarged, and one in twenty as taken. A manager can send another picture, a passer-by cannot |
| `REFERENCE_MOST_YAW_DEG` | the bench: refuses nine in ten turned by 45°, which otherwise resemble each other |
| `DARKEST` | the bench: refuses 96 % at 0.15 of the light, where mates fall to 64 % |
| `BRIGHTEST`, `MOST_ROLL_DEG`, `LEAST_SCORE` | set on the test photographs so that good ones pass; the bench only confirms |
| `REFERENCE_LEAST_FACE_PX` | the bench: at 28 px, mates fall from 91 to 77 % |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

PROBE_LEAST_SHARPNESS = 2.5
REFERENCE_LEAST_SHARPNESS = 4.0
MOST_YAW_DEG = 35.0
MOST_ROLL_DEG = 35.0
LEAST_SCORE = 0.7
DARKEST, BRIGHTEST = 25.0, 235.0
REFERENCE_LEAST_FACE_PX = 40
REFERENCE_MOST_YAW_DEG = 28.0

# Bands of spatial frequency in a 112-pixel crop, cycles a pixel. Fine detail is what a face of about 20 pixels can no
# longer hold. Its band is in three: a smear and an enlargement leave gaps between the copies that they make of a face.
_COARSE, _FINE, _NOISE = (0.02, 0.06), ((0.10, 0.125), (0.125, 0.15), (0.15, 0.175)), (0.30, 0.36)
_ACROSS_MOST = 0.12
# Enlarging a small face dampens its noise towards high frequencies: in the fine band there is about twice as much.
_NOISE_FACTOR = 2.0
# Brings both measures to one scale: 22 px enlarged lie below 4 with either.
_LAPLACIAN_SCALE = 25.0
# How far the eyes are apart beside how far the mouth is below them, in a face that looks straight ahead: LFW's median.
_FRONTAL_EYES_TO_HEIGHT = 0.98


@dataclass(frozen=True)
class FaceQuality:
    """face_px: width of the face in the original picture. sharpness: fine detail beside coarse, in percent (`sharpness`
    below; LFW's median is 12). yaw, roll: degrees, from the five landmarks. brightness: mean grey level."""

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
    """Of one face: its aligned crop (S, S, 3), box (4,), landmarks (5, 2) and detector score."""
    if crop.shape[0] != 112:
        crop = np.asarray(cv2.resize(crop, (112, 112), interpolation=cv2.INTER_AREA), np.uint8)
    inner = cv2.cvtColor(crop[16:100, 16:96], cv2.COLOR_BGR2GRAY)
    eyes = landmarks[1].astype(np.float64) - landmarks[0]
    return FaceQuality(
        face_px=float(box[2] - box[0]),
        sharpness=sharpness(np.asarray(inner, np.uint8)),
        yaw_deg=yaw(landmarks),
        roll_deg=abs(math.degrees(math.atan2(float(eyes[1]), float(eyes[0])))),
        brightness=float(inner.mean()),
        detector_score=score,
    )


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Fine detail of a face beside its coarse detail, in percent, from the inner part (H, W) of its aligned crop.

    The least of three bands in two directions counts, so that a smear to one side is a blur as well; being a ratio, it
    does not fall with the light; and what noise adds is estimated from higher frequencies and taken off. A crude
    enlargement leaves false detail in those bands, but little beyond: so the Laplacian's deviation beside the grey
    levels' (0.28 in LFW's middle) must say the same. Not told: a face that was enlarged in visible squares.
    """
    deviation = float(grey.std())
    if deviation < 1e-6:
        return 0.0
    window, bands, noise = _spectrum_masks(grey.shape[0], grey.shape[1])
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2
    fine, coarse = [], []
    for coarse_band, fine_bands in bands:
        coarse.append(float(power[coarse_band].mean()))
        fine += [float(power[band].mean()) for band in fine_bands]
    left = min(fine) - _NOISE_FACTOR * float(power[noise].mean())
    spectral = 100 * math.sqrt(max(left, 0.0) / max(*coarse, 1e-6))
    return min(spectral, _LAPLACIAN_SCALE * float(cv2.Laplacian(grey, cv2.CV_64F).std()) / deviation)


def yaw(landmarks: NDArray[np.float32]) -> float:
    """How far a face (5, 2) looks to the side, in degrees: the greater of what the nose and what the eyes say.

    The nose stands about 0.6 eye distances before the face's plane: its sideways shift is 0.6 · tan(yaw) of the span.
    Detectors draw the landmarks of a turned face towards a frontal one's, so that the nose alone says half; how near
    the eyes have come to each other says more, and tells a half-hidden face as well.
    """
    eye_a, eye_b, nose, mouth_a, mouth_b = landmarks.astype(np.float64)
    eyes = eye_b - eye_a
    apart = max(float(np.linalg.norm(eyes)), 1e-6)
    middle = (eye_a + eye_b + mouth_a + mouth_b) / 4
    span = max(apart, float(np.linalg.norm(mouth_b - mouth_a)))
    by_nose = abs(math.degrees(math.atan2(float((nose - middle) @ eyes) / apart / span, 0.6)))
    height = max(float(np.linalg.norm((mouth_a + mouth_b - eye_a - eye_b) / 2)), 1e-6)
    by_eyes = math.degrees(math.acos(min(1.0, apart / height / _FRONTAL_EYES_TO_HEIGHT)))
    return max(by_nose, by_eyes)


def why_not_comparable(
    quality: FaceQuality, *, least_face_px: float, least_sharpness: float, most_yaw_deg: float = MOST_YAW_DEG
) -> tuple[str, str] | None:
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
        (quality.yaw_deg > most_yaw_deg, "side_on", "The face looks too far to the side."),
        (quality.roll_deg > MOST_ROLL_DEG, "tilted", "The head is tilted too far."),
        (quality.brightness < DARKEST, "dark", "The face is too dark."),
        (quality.brightness > BRIGHTEST, "overexposed", "The face is too bright."),
        (quality.sharpness < least_sharpness, "blurred", "The face is blurred."),
    )
    return next(((code, sentence) for bad, code, sentence in checks if bad), None)


_Mask = NDArray[np.bool_]


@cache
def _spectrum_masks(
    height: int, width: int
) -> tuple[NDArray[np.float64], tuple[tuple[_Mask, tuple[_Mask, ...]], ...], _Mask]:
    """A window (H, W), the coarse and fine bands of each direction and the noise's, as masks of an rfft2 (H, W//2 + 1)."""
    window = np.hanning(height)[:, None] * np.hanning(width)[None]
    down = np.asarray(np.abs(np.fft.fftfreq(height))[:, None], np.float64)
    across = np.asarray(np.fft.rfftfreq(width)[None], np.float64)

    def band(along: NDArray[np.float64], other: NDArray[np.float64], limits: tuple[float, float]) -> _Mask:
        return (along >= limits[0]) & (along < limits[1]) & (other < _ACROSS_MOST)

    bands = tuple(
        (band(a, b, _COARSE), tuple(band(a, b, fine) for fine in _FINE)) for a, b in ((across, down), (down, across))
    )
    radius = np.hypot(down, across)
    return window, bands, (radius >= _NOISE[0]) & (radius < _NOISE[1])
