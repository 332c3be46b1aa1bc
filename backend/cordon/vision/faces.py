"""The words of vision: detections, and the two protocols a model pack fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """Faces of one picture.

    boxes: (N, 4) float32, x1 y1 x2 y2 in pixels of the original picture; scores: (N,) float32 in [0, 1];
    landmarks: (N, 5, 2) float32: eye, eye, nose, mouth corner, mouth corner, the left of the image first.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.boxes.shape[0])

    def select(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Detections:
        return Detections(self.boxes[which], self.scores[which], self.landmarks[which])

    @staticmethod
    def none() -> Detections:
        return Detections(np.zeros((0, 4), np.float32), np.zeros((0,), np.float32), np.zeros((0, 5, 2), np.float32))


class Detector(Protocol):
    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Faces in a BGR uint8 picture, best score first."""

    def accepting(self, *, smallest_face_px: int, score: float) -> Detector:
        """The same detector for another smallest face (pixels) or least score, as far as it can be told."""


class Embedder(Protocol):
    @property
    def dimension(self) -> int: ...

    def align(self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Crops (N, S, S, 3) BGR of the faces whose landmarks (N, 5, 2) are given."""

    def embed_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Templates (N, D) of aligned crops, L2-normalised; a row that could not be computed is NaN: it matches nothing."""
