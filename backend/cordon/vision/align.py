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
    """The 2 × 3 matrix of rotation, uniform scale and shift that brings `source` (K, 2) nearest to `target` (K, 2)."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centred, target_centred = source - source_mean, target - target_mean
    covariance = target_centred.T.astype(np.float64) @ source_centred / len(source)
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])
    rotation = u @ np.diag(sign) @ vt
    variance = float((source_centred**2).sum()) / len(source)
    scale = float((singular * sign).sum()) / variance if variance > 0 else 0.0
    shift = target_mean - scale * rotation @ source_mean
    return np.hstack([scale * rotation, shift[:, None]])


def align_faces(
    image: NDArray[np.uint8], landmarks: NDArray[np.float32], template: NDArray[np.float32] = ARCFACE_TEMPLATE
) -> NDArray[np.uint8]:
    """Crops (N, 112, 112, 3) BGR, bilinear, black beyond the picture's border."""
    crops = np.empty((len(landmarks), CROP_PX, CROP_PX, 3), np.uint8)
    for number, points in enumerate(landmarks):
        matrix = similarity_transform(points, template)
        cv2.warpAffine(image, matrix, (CROP_PX, CROP_PX), dst=crops[number], flags=cv2.INTER_LINEAR)
    return crops
