"""YuNet, the face detector of the `light` and `open` packs (Wu et al., Machine Intelligence Research, 2023)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cordon.vision.faces import Detections
from cordon.vision.sessions import OnnxModel

STRIDES = (8, 16, 32)
SCORE_THRESHOLD = 0.6
NMS_IOU = 0.3
MOST_FACES = 200
# YuNet finds faces down to about 10 pixels. A detector input scaled so that the smallest accepted face is this wide
# loses none of them, and costs the square of the scale.
SMALLEST_SEEN_PX = 20


class YuNet:
    """`smallest_face_px`: faces narrower than this in the original need not be found, so the input may be shrunk."""

    def __init__(
        self, model: OnnxModel, *, smallest_face_px: int = SMALLEST_SEEN_PX, score: float = SCORE_THRESHOLD
    ) -> None:
        self._model = model
        self._scale = min(1.0, SMALLEST_SEEN_PX / smallest_face_px)
        self._score = score
        self._cells: dict[tuple[int, int], list[NDArray[np.float32]]] = {}

    def accepting(self, *, smallest_face_px: int, score: float = SCORE_THRESHOLD) -> YuNet:
        """The same weights for another smallest face or score."""
        return YuNet(self._model, smallest_face_px=smallest_face_px, score=score)

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        scaled, scale = self._shrunk(image)
        height, width = scaled.shape[:2]
        padded = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), np.uint8)
        padded[:height, :width] = scaled
        batch = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], dtype=np.float32)
        return self._decode(self._model.run(batch), padded.shape[0], padded.shape[1], scale)

    def _shrunk(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
        if self._scale >= 1.0:
            return image, 1.0
        size = (max(32, round(image.shape[1] * self._scale)), max(32, round(image.shape[0] * self._scale)))
        shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA if self._scale < 0.5 else cv2.INTER_LINEAR)
        return np.asarray(shrunk, np.uint8), size[0] / image.shape[1]

    def _decode(self, outputs: dict[str, NDArray[np.float32]], height: int, width: int, scale: float) -> Detections:
        boxes, scores, points = [], [], []
        for stride, cells in zip(STRIDES, self._grid(height, width), strict=True):
            confidence = np.clip(outputs[f"cls_{stride}"][0, :, 0], 0, 1) * np.clip(
                outputs[f"obj_{stride}"][0, :, 0], 0, 1
            )
            score = np.sqrt(confidence)
            keep = np.flatnonzero(score >= self._score)
            if not len(keep):
                continue
            at = cells[keep]
            box = outputs[f"bbox_{stride}"][0, keep]
            centre = (at + box[:, :2]) * stride
            size = np.exp(np.clip(box[:, 2:], -10, 10)) * stride
            boxes.append(np.hstack([centre - size / 2, centre + size / 2]))
            points.append((outputs[f"kps_{stride}"][0, keep].reshape(-1, 5, 2) + at[:, None]) * stride)
            scores.append(score[keep])
        if not boxes:
            return Detections.none()
        found = Detections(
            np.concatenate(boxes).astype(np.float32) / np.float32(scale),
            np.concatenate(scores).astype(np.float32),
            np.concatenate(points).astype(np.float32) / np.float32(scale),
        )
        return found.select(non_maximum_suppression(found, NMS_IOU)[:MOST_FACES])

    def _grid(self, height: int, width: int) -> list[NDArray[np.float32]]:
        if (height, width) not in self._cells:
            grids = []
            for stride in STRIDES:
                rows, columns = np.mgrid[: height // stride, : width // stride]
                grids.append(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32))
            self._cells = {(height, width): grids}
        return self._cells[height, width]


def non_maximum_suppression(found: Detections, iou: float) -> NDArray[np.intp]:
    """Indices of the detections that stay, best first."""
    order = np.argsort(-found.scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[overlaps(found.boxes[best], found.boxes[order]) <= iou]
    return np.array(kept, np.intp)


def overlaps(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box (4,) with others (N, 4)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    union = np.prod(box[2:] - box[:2]) + areas - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)
