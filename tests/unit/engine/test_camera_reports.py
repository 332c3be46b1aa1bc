"""A camera's health is told while the camera is read."""

from __future__ import annotations

import sys
import threading
import time

from cordon.engine.cameras import CameraHealth


def test_a_camera_is_reported_on_while_its_frames_arrive() -> None:
    """Frames arrive in one thread, heartbeats report in another: neither may break the other."""
    health, stop, before = CameraHealth("d1"), threading.Event(), sys.getswitchinterval()

    def arrive() -> None:
        while not stop.is_set():
            health.arrivals.append(time.monotonic())

    arriving = threading.Thread(target=arrive)
    sys.setswitchinterval(1e-5)
    try:
        arriving.start()
        for _ in range(20_000):
            assert health.report("c1", 0)["camera_id"] == "c1"
    finally:
        sys.setswitchinterval(before)
        stop.set()
        arriving.join(5)
