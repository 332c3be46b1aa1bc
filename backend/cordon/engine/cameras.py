"""A thread for each camera of an open deployment: opens it, reads it, says how it is, and tries again when it dies."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cordon.engine.backend import CameraOrder, stamp
from cordon.engine.frames import Frame, FrameQueue
from cordon.engine.sources import PushSource, Source, SourceLost, open_source

log = logging.getLogger(__name__)

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 10.0


@dataclass
class CameraHealth:
    """What the engine tells of a camera. Counts are of this run of the engine."""

    deployment_id: str
    state: str = "connecting"
    detail: str = ""
    frames_read: int = 0
    faces_seen: int = 0
    last_frame_at: datetime | None = None
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    face_widths: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    brightness: float | None = None

    def report(self, camera_id: str, frames_dropped: int) -> dict[str, Any]:
        # Copied first: the camera's thread appends meanwhile, and a deque that changes breaks the heartbeat.
        recent = [at for at in tuple(self.arrivals) if time.monotonic() - at < 5]
        widths = sorted(tuple(self.face_widths))
        return {
            "camera_id": camera_id,
            "deployment_id": self.deployment_id,
            "state": self.state,
            "detail": self.detail,
            "fps": round((len(recent) - 1) / (recent[-1] - recent[0]), 2) if len(recent) > 1 else 0.0,
            "faces_seen": self.faces_seen,
            "frames_read": self.frames_read,
            "frames_dropped": frames_dropped,
            "median_face_px": round(widths[len(widths) // 2], 1) if widths else None,
            "brightness": None if self.brightness is None else round(self.brightness, 1),
            "last_frame_at": None if self.last_frame_at is None else stamp(self.last_frame_at),
        }


class CameraReader:
    """`offset` corrects this machine's clock to the backend's. Only ever made for a camera of an open deployment."""

    def __init__(
        self,
        deployment_id: str,
        order: CameraOrder,
        frames: FrameQueue,
        health: CameraHealth,
        offset: Callable[[], timedelta],
    ) -> None:
        self.order = order
        self.deployment_id = deployment_id
        self._frames = frames
        self._health = health
        self._offset = offset
        self._stop = threading.Event()
        self.source: Source | None = None
        self._thread = threading.Thread(target=self._run, name=f"camera-{order.camera_id[:8]}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._frames.forget(self.order.camera_id)

    def push(self, jpeg: bytes) -> bool:
        """False where this camera does not take pushed frames. Raises ImageRefused."""
        if not isinstance(self.source, PushSource):
            return False
        self.source.push(jpeg)
        return True

    def _run(self) -> None:
        wait_s = FIRST_RETRY_S
        while not self._stop.is_set():
            self._state("connecting", "")
            try:
                self.source = open_source(self.order.source_url)
                for captured_at, image in self.source.frames(self._stop):
                    if self._stop.is_set():
                        return
                    self._take(captured_at, image)
                    wait_s = FIRST_RETRY_S
                self._state("lost", "the recording ended")
            except SourceLost as lost:
                self._state("lost", str(lost))
            except Exception as error:
                # A decoder that breaks in an unforeseen way is a lost camera, never a thread that died unseen.
                log.exception("a camera's reader broke", extra={"fields": {"camera": self.order.camera_id}})
                self._state("lost", type(error).__name__)
            if self._stop.wait(wait_s):
                return
            wait_s = min(wait_s * 2, LAST_RETRY_S)

    def _take(self, captured_at: datetime, image: Any) -> None:
        health = self._health
        health.frames_read += 1
        health.last_frame_at = captured_at + self._offset()
        health.arrivals.append(time.monotonic())
        if health.frames_read % 10 == 1:
            health.brightness = float(image[::16, ::16].mean())
        self._state("live", "")
        self._frames.put(
            Frame(self.deployment_id, self.order.camera_id, health.frames_read, health.last_frame_at, image)
        )

    def _state(self, state: str, detail: str) -> None:
        if (self._health.state, self._health.detail) != (state, detail):
            self._health.state, self._health.detail = state, detail
            log.info("camera", extra={"fields": {"camera": self.order.camera_id, "state": state, "detail": detail}})
