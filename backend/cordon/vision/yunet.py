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
# Overlaps are compared in pairs: a picture that looks like nothing but faces must not take gigabytes.
MOST_CANDIDATES = 1_500
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
        self._cells: dict[tuple[int, int], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def accepting(self, *, smallest_face_px: int, score: float = SCORE_THRESHOLD) -> YuNet:
        """The same weights for another smallest face or score."""
        return YuNet(self._model, smallest_face_px=smallest_face_px, score=score)

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        scaled, scale = self._shrunk(image)
        height, width = scaled.shape[:2]
        batch = np.zeros((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
        # Three planes at a time are quicker than one transposition of interleaved pixels (0.10 against 0.23 ms).
        for number, plane in enumerate(cv2.split(scaled)):
            batch[0, number, :height, :width] = plane
        return self._decode(self._model.run(batch), batch.shape[2], batch.shape[3], scale)

    def _shrunk(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
        if self._scale >= 1.0:
            return image, 1.0
        size = (max(32, round(image.shape[1] * self._scale)), max(32, round(image.shape[0] * self._scale)))
        shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA if self._scale < 0.5 else cv2.INTER_LINEAR)
        return np.asarray(shrunk, np.uint8), size[0] / image.shape[1]

    def _decode(self, outputs: dict[str, NDArray[np.float32]], height: int, width: int, scale: float) -> Detections:
        cells, strides = self._grid(height, width)
        classes = np.concatenate([outputs[f"cls_{stride}"][0, :, 0] for stride in STRIDES])
        objects = np.concatenate([outputs[f"obj_{stride}"][0, :, 0] for stride in STRIDES])
        score = np.sqrt(np.clip(classes, 0, 1) * np.clip(objects, 0, 1))
        keep = np.flatnonzero(score >= self._score)
        if not len(keep):
            return Detections.none()
        if len(keep) > MOST_CANDIDATES:
            keep = keep[np.argsort(-score[keep], kind="stable")[:MOST_CANDIDATES]]
        box = np.concatenate([outputs[f"bbox_{stride}"][0] for stride in STRIDES])[keep]
        points = np.concatenate([outputs[f"kps_{stride}"][0] for stride in STRIDES])[keep].reshape(-1, 5, 2)
        at, stride = cells[keep], strides[keep, None]
        centre = (at + box[:, :2]) * stride
        size = np.exp(np.clip(box[:, 2:], -10, 10)) * stride
        found = Detections(
            np.hstack([centre - size / 2, centre + size / 2]).astype(np.float32) / np.float32(scale),
            score[keep].astype(np.float32),
            ((points + at[:, None]) * stride[:, None]).astype(np.float32) / np.float32(scale),
        )
        return found.select(non_maximum_suppression(found, NMS_IOU)[:MOST_FACES])

    def _grid(self, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Column and row of every cell (C, 2), of all strides in turn, and its stride (C,)."""
        if (height, width) not in self._cells:
            grids, strides = [], []
            for stride in STRIDES:
                rows, columns = np.mgrid[: height // stride, : width // stride]
                grids.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
                strides.append(np.full(rows.size, stride))
            cells = np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)
            self._cells = {(height, width): cells}
        return self._cells[height, width]


def non_maximum_suppression(found: Detections, iou: float) -> NDArray[np.intp]:
    """Indices of the detections that stay, best first."""
    order = np.argsort(-found.scores, kind="stable")
    boxes = found.boxes[order]
    near = overlaps(boxes[:, None], boxes[None]) > iou
    kept: list[int] = []
    hidden = np.zeros(len(order), np.bool_)
    for number in range(len(order)):
        if not hidden[number]:
            kept.append(int(order[number]))
            hidden |= near[number]
    return np.array(kept, np.intp)


def overlaps(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of boxes (…, 4) with others (…, 4), broadcast over all but the last axis."""
    x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
    u1, v1, u2, v2 = np.moveaxis(others, -1, 0)
    wide = np.clip(np.minimum(x2, u2) - np.maximum(x1, u1), 0, None)
    high = np.clip(np.minimum(y2, v2) - np.maximum(y1, v1), 0, None)
    shared = wide * high
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)
