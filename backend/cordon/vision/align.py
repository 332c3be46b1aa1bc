"""Five-point alignment: a least-squares similarity transform (Umeyama, IEEE PAMI 13(4), 1991) onto a fixed template."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CROP_PX = 112
# The 112 × 112 template of ArcFace (insightface), which SFace and MobileFaceNet were trained with as well.
ARCFACE_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)


def similarity_transform(source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """The 2 × 3 matrix of rotation, uniform scale and shift that brings `source` (K, 2) nearest to `target` (K, 2).

    In the plane, Umeyama's solution without reflection is one division: with points as complex numbers around their
    means, t ≈ a·s is nearest for a = Σ conj(s)·t / Σ |s|², whose length is the scale and whose angle is the rotation.
    """
    from_mean, to_mean = source.mean(axis=0, dtype=np.float64), target.mean(axis=0, dtype=np.float64)
    x, y = (source - from_mean).T
    u, v = (target - to_mean).T
    length = float((x * x + y * y).sum())
    if length <= 0:
        return np.array([[0.0, 0.0, to_mean[0]], [0.0, 0.0, to_mean[1]]])
    real, imaginary = float((x * u + y * v).sum()) / length, float((x * v - y * u).sum()) / length
    return np.array(
        [
            [real, -imaginary, to_mean[0] - real * from_mean[0] + imaginary * from_mean[1]],
            [imaginary, real, to_mean[1] - imaginary * from_mean[0] - real * from_mean[1]],
        ]
    )


def align_faces(
    image: NDArray[np.uint8], landmarks: NDArray[np.float32], template: NDArray[np.float32] = ARCFACE_TEMPLATE
) -> NDArray[np.uint8]:
    """Crops (N, 112, 112, 3) BGR, bilinear, black beyond the picture's border."""
    crops = np.empty((len(landmarks), CROP_PX, CROP_PX, 3), np.uint8)
    for number, points in enumerate(landmarks):
        matrix = similarity_transform(points, template)
        cv2.warpAffine(image, matrix, (CROP_PX, CROP_PX), dst=crops[number], flags=cv2.INTER_LINEAR)
    return crops
