"""Tracks: the views of one face in one camera over seconds. Memory of a track dies with it; nothing crosses cameras."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from cordon.vision.faces import Detections
from cordon.vision.yunet import overlaps

Direction = Literal["left", "right", "towards", "away", "unknown"]

# A face that was not found for this long is gone; on a pavement it was hidden or left the picture.
LOST_AFTER_S = 0.8
# Boxes of one face in consecutive frames overlap at least this much, or its centre moved less than this many widths.
LEAST_IOU = 0.1
MOST_SHIFT_WIDTHS = 1.2
# One detection alone may be a false one; from two on, a track counts as a face seen.
FACE_SEEN_FROM = 2


@dataclass
class Track:
    """One face's passage. `box` (4,) is its last place, in pixels; `velocity` its centre's, in pixels a second."""

    number: int
    first_seen_at: datetime
    last_seen_at: datetime
    first_box: NDArray[np.float32]
    box: NDArray[np.float32]
    velocity: NDArray[np.float32]
    detections: int = 1
    memory: dict[str, object] = field(default_factory=dict)

    @property
    def direction(self) -> Direction:
        """As the camera saw it: nearer means towards it."""
        if self.detections < 3:
            return "unknown"
        before, now = float(self.first_box[2] - self.first_box[0]), float(self.box[2] - self.box[0])
        moved = (float(self.box[0] + self.box[2]) - float(self.first_box[0] + self.first_box[2])) / 2
        growth = now / max(before, 1.0)
        if abs(moved) > 1.0 * max(before, now):
            return "right" if moved > 0 else "left"
        if growth > 1.1:
            return "towards"
        return "away" if growth < 0.9 else "unknown"


class Tracker:
    """Joins the detections of one camera's frames into tracks."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._numbers: Iterator[int] = itertools.count(1)
        self.faces_seen = 0

    def update(self, found: Detections, at: datetime) -> list[Track]:
        """The track of each detection, in the detections' order. Tracks not seen for a while end here."""
        self._end_lost(at)
        pairs = self._matches(found, at)
        result: list[Track] = []
        for number in range(len(found)):
            track = pairs.get(number)
            if track is None:
                box = found.boxes[number]
                track = Track(next(self._numbers), at, at, box, box, np.zeros(2, np.float32))
                self._tracks.append(track)
            else:
                self._extend(track, found.boxes[number], at)
            result.append(track)
        return result

    def _end_lost(self, at: datetime) -> None:
        self._tracks = [t for t in self._tracks if (at - t.last_seen_at).total_seconds() <= LOST_AFTER_S]

    def _extend(self, track: Track, box: NDArray[np.float32], at: datetime) -> None:
        seconds = max((at - track.last_seen_at).total_seconds(), 1e-3)
        moved = (_centre(box) - _centre(track.box)) / np.float32(seconds)
        track.velocity = np.asarray(0.5 * track.velocity + 0.5 * moved, np.float32)
        track.box, track.last_seen_at = box, at
        track.detections += 1
        if track.detections == FACE_SEEN_FROM:
            self.faces_seen += 1

    def _matches(self, found: Detections, at: datetime) -> dict[int, Track]:
        if not len(found) or not self._tracks:
            return {}
        last = np.stack([track.box for track in self._tracks])
        seconds = np.array([(at - track.last_seen_at).total_seconds() for track in self._tracks], np.float32)
        moved = np.stack([track.velocity for track in self._tracks]) * seconds[:, None]
        expected = (last + np.tile(moved, 2))[:, None]
        boxes = found.boxes[None]
        iou = overlaps(expected, boxes)
        width = np.maximum(last[:, 2] - last[:, 0], 1.0)[:, None]
        apart = (boxes[..., :2] + boxes[..., 2:] - expected[..., :2] - expected[..., 2:]) / 2
        shift = np.hypot(apart[..., 0], apart[..., 1]) / width
        growth = (boxes[..., 2] - boxes[..., 0]) / width
        near = ((iou >= LEAST_IOU) | (shift <= MOST_SHIFT_WIDTHS)) & (growth > 0.5) & (growth < 2.0)
        cost = np.where(near, 1 - iou + 0.3 * shift, 10.0)
        rows, columns = linear_sum_assignment(cost)
        return {
            int(column): self._tracks[row]
            for row, column in zip(rows, columns, strict=True)
            if cost[row, column] < 10.0
        }


def _centre(box: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((box[:2] + box[2:]) / 2, np.float32)
