"""Embedding networks of 112 × 112 crops through onnxruntime: MobileFaceNet and SFace differ in what they are fed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cordon.vision.align import align_faces
from cordon.vision.sessions import OnnxModel

# Larger batches were slower a face on two cores (manifest of `light`: 2.4 ms at 1, 2.5 at 8, 3.5 at 32).
LARGEST_BATCH = 8


@dataclass(frozen=True)
class InputNorm:
    """How pixels become numbers: (pixel · scale − mean) / std, for each channel in the order the network wants."""

    rgb: bool
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET_RGB = InputNorm(True, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# OpenCV's FaceRecognizerSF feeds SFace with RGB pixels as they are.
RAW_RGB = InputNorm(True, 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class CropEmbedder:
    def __init__(self, model: OnnxModel, norm: InputNorm, dimension: int) -> None:
        self._model = model
        self._rgb = norm.rgb
        self._factor = (norm.scale / np.array(norm.std)).astype(np.float32)[:, None, None]
        self._offset = (-np.array(norm.mean) / np.array(norm.std)).astype(np.float32)[:, None, None]
        self._dimension = dimension

    @property
    def dimension(self) -> int:
        return self._dimension

    def align(self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        return align_faces(image, landmarks)

    def embed_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(crops):
            return np.zeros((0, self._dimension), np.float32)
        ordered = crops[..., ::-1] if self._rgb else crops
        batch = ordered.transpose(0, 3, 1, 2).astype(np.float32) * self._factor + self._offset
        parts = [
            next(iter(self._model.run(np.ascontiguousarray(batch[start : start + LARGEST_BATCH])).values()))
            for start in range(0, len(batch), LARGEST_BATCH)
        ]
        return normalised(np.concatenate(parts))


def normalised(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length one. A row that is not finite, or has no length, becomes NaN: a cosine with it matches nothing."""
    length = np.linalg.norm(raw, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = raw / length
    rows[~np.isfinite(length[:, 0]) | (length[:, 0] < 1e-6)] = np.nan
    return np.asarray(rows, np.float32)
