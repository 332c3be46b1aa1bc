"""Frames are shed before anything else; hits are never lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cordon.engine.backend import BackendSilent, HitRefused
from cordon.engine.frames import Frame, FrameQueue
from cordon.engine.spool import Spool

KEY = b"k" * 32
PICTURE = b"\xff\xd8\xffPICTURE-OF-A-FACE"


def frame(camera: str, number: int) -> Frame:
    return Frame("d", camera, number, datetime.now(UTC), np.zeros((2, 2, 3), np.uint8))


def hit(number: int) -> dict[str, Any]:
    return {
        "hit_id": f"h{number}",
        "deployment_id": "d",
        "score": 0.7,
        "probe_jpeg": PICTURE,
        "context_jpeg": PICTURE,
        "views": [PICTURE],
    }


class Server:
    def __init__(self) -> None:
        self.answer: type[Exception] | None = None
        self.taken: list[str] = []

    def send(self, hit: dict[str, Any]) -> None:
        if self.answer is not None:
            raise self.answer("as told")
        self.taken.append(hit["hit_id"])


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def spool(tmp_path: Path, server: Server) -> Callable[[], Spool]:
    return lambda: Spool(tmp_path / "spool", lambda: {"d": KEY}, server.send)


def test_a_hot_camera_loses_its_own_oldest_frames_and_no_other_cameras() -> None:
    queue = FrameQueue(lane_frames=2)
    queue.put(frame("calm", 1))
    for number in range(1, 8):
        queue.put(frame("hot", number))
    taken = queue.take_round(0)
    assert [(f.camera_id, f.sequence) for f in taken] == [("calm", 1), ("hot", 6), ("hot", 7)]
    assert queue.take_round(0) == []
    assert (queue.dropped("hot"), queue.dropped("calm")) == (5, 0)


def test_a_forgotten_camera_leaves_no_frame_behind() -> None:
    queue = FrameQueue()
    queue.put(frame("a", 1))
    queue.forget("a")
    assert queue.take_round(0) == []


def test_a_hit_waits_for_a_silent_backend_and_is_sent_once(spool: Callable[[], Spool], server: Server) -> None:
    server.answer = BackendSilent
    waiting = spool()
    waiting.submit(hit(1), KEY)
    assert waiting.send_waiting() == 1
    server.answer = None
    assert waiting.send_waiting() == 0
    assert waiting.send_waiting() == 0
    assert server.taken == ["h1"]


def test_hits_survive_a_restart_of_the_engine(spool: Callable[[], Spool], server: Server) -> None:
    server.answer = BackendSilent
    before = spool()
    for number in range(3):
        before.submit(hit(number), KEY)
    server.answer = None
    assert spool().send_waiting() == 0
    assert sorted(server.taken) == ["h0", "h1", "h2"]


def test_a_spooled_hit_lies_sealed_on_disk(spool: Callable[[], Spool], server: Server, tmp_path: Path) -> None:
    server.answer = BackendSilent
    spool().submit(hit(1), KEY)
    written = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir())
    assert written
    assert b"PICTURE" not in written
    assert b"score" not in written


def test_a_hit_that_is_refused_for_good_is_given_up(spool: Callable[[], Spool], server: Server) -> None:
    server.answer = HitRefused
    refused = spool()
    refused.submit(hit(1), KEY)
    assert refused.send_waiting() == 0
    server.answer = None
    refused.send_waiting()
    assert server.taken == []


def test_a_broken_file_is_given_up_and_holds_up_no_other(
    spool: Callable[[], Spool], server: Server, tmp_path: Path
) -> None:
    waiting = spool()
    waiting.submit(hit(1), KEY)
    path = next((tmp_path / "spool").glob("*.hit"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    # After a restart: until then the hit is sent as it was made.
    restarted = spool()
    restarted.submit(hit(2), KEY)
    assert restarted.send_waiting() == 0
    assert server.taken == ["h2"]


def test_a_disk_that_takes_nothing_loses_no_hit(
    spool: Callable[[], Spool], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = spool()

    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        waiting.submit(hit(1), KEY)
    assert waiting.send_waiting() == 0
    assert server.taken == ["h1"]
