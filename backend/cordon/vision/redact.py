"""Bystanders are blurred before anything is stored: every face in a context picture but the one it is about."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cordon.vision.faces import Detector
from cordon.vision.yunet import overlaps

BLOCKS_ACROSS = 6
MARGIN = 0.25


# Bystanders are sought more eagerly than probes: doubtful faces too, and at three scales, because a detector's input
# in which the smallest faces can be found is too large for it to find the nearest ones.
EAGER_SCORE = 0.3
EAGER_SMALLEST_PX = (20, 60, 160)


def every_face(image: NDArray[np.uint8], detector: Detector, *, longest_side: int) -> NDArray[np.float32]:
    """Boxes (N, 4), in pixels of the picture, of all that may be a face, large or small; some twice. The picture is
    searched at the size at which it will be kept, `longest_side` pixels: a face that no detector finds there is none for
    anybody who sees it, and the search of a 720-line frame takes half the time."""
    scale = min(1.0, longest_side / max(image.shape[:2]))
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    found = [
        detector.accepting(smallest_face_px=smallest, score=EAGER_SCORE).detect(image).boxes
        for smallest in EAGER_SMALLEST_PX
    ]
    return np.concatenate(found) / np.float32(scale)


def pixelate_bystanders(
    image: NDArray[np.uint8], subject: NDArray[np.float32], faces: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """A copy in which each of `faces` (N, 4) but the `subject` (4,) is six blocks wide: 36 colours are left
    of a bystander's face, in which no detector finds a face and no embedder a person. The subject's own face stays,
    where a bystander's margin overlaps it."""
    result = image.copy()
    others = faces[overlaps(subject, faces) < 0.5] if len(faces) else faces
    for box in others:
        width, height = box[2] - box[0], box[3] - box[1]
        x1, y1 = max(0, int(box[0] - MARGIN * width)), max(0, int(box[1] - MARGIN * height))
        x2 = min(image.shape[1], int(box[2] + MARGIN * width) + 1)
        y2 = min(image.shape[0], int(box[3] + MARGIN * height) + 1)
        if x2 - x1 < 2 or y2 - y1 < 2:
            continue
        blocks = cv2.resize(image[y1:y2, x1:x2], (BLOCKS_ACROSS, BLOCKS_ACROSS), interpolation=cv2.INTER_AREA)
        result[y1:y2, x1:x2] = cv2.resize(blocks, (x2 - x1, y2 - y1), interpolation=cv2.INTER_NEAREST)
    x1, y1 = max(0, int(subject[0])), max(0, int(subject[1]))
    # Not below zero: a negative end would count from the other edge, and uncover everybody.
    x2, y2 = max(0, int(subject[2]) + 1), max(0, int(subject[3]) + 1)
    result[y1:y2, x1:x2] = image[y1:y2, x1:x2]
    return result
