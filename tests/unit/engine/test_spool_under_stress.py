"""The spool: a hit is sealed on disk, sent once, and holds up no other."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from cordon.engine.backend import HitPostponed
from cordon.engine.spool import KEPT_AT_MOST_S, Spool

KEY = b"k" * 32


def hit(name: str, deployment: str = "d1") -> dict[str, Any]:
    pictures = {"probe_jpeg": b"\xff\xd8probe", "context_jpeg": b"\xff\xd8context", "views": [b"\xff\xd8view"]}
    return {"hit_id": name, "deployment_id": deployment, "entry_id": "entry-of-somebody", **pictures}


class Door:
    """Takes hits, or raises what it is told to."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.troubles: dict[str, Exception] = {}

    def __call__(self, one: dict[str, Any]) -> None:
        trouble = self.troubles.get(one["hit_id"], self.troubles.get("*"))
        if trouble is not None:
            raise trouble
        self.taken.append(one["hit_id"])


def spooled(folder: Path, door: Door, keys: dict[str, bytes] | None = None) -> Spool:
    return Spool(folder, lambda: {"d1": KEY} if keys is None else keys, door)


def test_a_hit_the_backend_cannot_take_now_holds_up_no_other(tmp_path: Path) -> None:
    door = Door()
    door.troubles["h1"] = HitPostponed("500")
    spool = spooled(tmp_path, door)
    for name in ("h1", "h2", "h3"):
        spool.submit(hit(name), KEY)
    assert spool.send_waiting() == 1
    assert sorted(door.taken) == ["h2", "h3"]
    door.troubles.clear()
    assert spool.send_waiting() == 0


def test_a_tampered_or_swapped_file_is_given_up_and_the_rest_is_sent(tmp_path: Path) -> None:
    door = Door()
    spool = spooled(tmp_path, door)
    for name in ("h1", "h2", "h3"):
        spool.submit(hit(name), KEY)
    first, second = tmp_path / "d1_h1.hit", tmp_path / "d1_h2.hit"
    first.write_bytes(second.read_bytes())
    second.write_bytes(b"cut")
    # After a restart: until then a hit is sent as it was made.
    assert spooled(tmp_path, door).send_waiting() == 0
    assert door.taken == ["h3"]


def test_hits_of_a_deployment_that_is_gone_are_kept_a_while_and_then_dropped(tmp_path: Path) -> None:
    door = Door()
    spool = spooled(tmp_path, door, keys={})
    spool.submit(hit("h1"), KEY)
    assert spool.send_waiting() == 1
    old = time.time() - KEPT_AT_MOST_S - 1
    os.utime(tmp_path / "d1_h1.hit", (old, old))
    assert spool.send_waiting() == 0
    assert list(tmp_path.iterdir()) == []


def test_hits_written_while_others_are_sent_disturb_nobody(tmp_path: Path) -> None:
    door, stop = Door(), threading.Event()
    spool = spooled(tmp_path, door)
    sender = threading.Thread(target=spool.send_forever, args=(stop,))
    sender.start()
    for number in range(300):
        spool.submit(hit(f"h{number}"), KEY)
    deadline = time.monotonic() + 20
    while spool.send_waiting() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sender.is_alive()
    stop.set()
    sender.join(5)
    assert sorted(door.taken) == sorted(f"h{number}" for number in range(300))
