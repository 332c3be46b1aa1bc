"""Frames, and the queue between capture and matching: one lane a camera, a bound for each, the oldest dropped first."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

LANE_FRAMES = 2


@dataclass(frozen=True)
class Frame:
    """One picture of one camera: BGR uint8, height × width × 3, and when it was taken."""

    deployment_id: str
    camera_id: str
    sequence: int
    captured_at: datetime
    image: NDArray[np.uint8]


class FrameQueue:
    """A camera that sends more than can be matched loses its own oldest frames, and takes nothing from another."""

    def __init__(self, lane_frames: int = LANE_FRAMES) -> None:
        self._lane_frames = lane_frames
        self._lanes: dict[str, deque[Frame]] = {}
        self._dropped: dict[str, int] = {}
        self._arrived = threading.Condition()

    def put(self, frame: Frame) -> None:
        with self._arrived:
            lane = self._lanes.setdefault(frame.camera_id, deque())
            lane.append(frame)
            if len(lane) > self._lane_frames:
                lane.popleft()
                self._dropped[frame.camera_id] = self._dropped.get(frame.camera_id, 0) + 1
            self._arrived.notify()

    def take_round(self, timeout_s: float) -> list[Frame]:
        """All that waits, of each camera the oldest first; empty after `timeout_s` without any."""
        with self._arrived:
            if not any(self._lanes.values()):
                self._arrived.wait(timeout_s)
            taken = [frame for lane in self._lanes.values() for frame in lane]
            for lane in self._lanes.values():
                lane.clear()
            return taken

    def dropped(self, camera_id: str) -> int:
        with self._arrived:
            return self._dropped.get(camera_id, 0)

    def forget(self, camera_id: str) -> None:
        """Throw away what a camera still has in its lane; its count of dropped frames stays."""
        with self._arrived:
            self._lanes.pop(camera_id, None)
