"""`cordon run` watches over its processes: one that dies comes back, all of them end with it, and the engine's token is
nowhere but in the engine's surroundings."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

WITHIN_S = 60.0


class Supervised:
    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self.log = folder / "log"
        self.data = folder / "data"
        environment = {
            **os.environ,
            "CORDON_DATA": str(self.data),
            "CORDON_BIND": f"127.0.0.1:{self.port}",
            "CORDON_INGEST_BIND": f"127.0.0.1:{_free_port()}",
        }
        for name in ("DATABASE_URL", "OBJECT_STORE_URL", "CORDON_PUBLIC_URL"):
            environment.pop(name, None)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cordon.cli", "run"], env=environment, cwd=folder, stdout=log, stderr=log
            )

    def children(self) -> dict[str, int]:
        """Process id by name (serve, engine, jobs)."""
        found = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                words = (status.parent / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == self.process.pid and b"cordon.cli" in words:
                found[words[words.index(b"cordon.cli") + 1].decode()] = int(status.parent.name)
        return found

    def answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2).ok
        except requests.RequestException:
            return False

    def until(self, what: str, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not true():
            assert time.monotonic() < deadline, f"{what}: not in {WITHIN_S:g} s\n{self.log.read_text()}"
            time.sleep(0.2)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    running = Supervised(tmp_path)
    yield running
    if running.process.poll() is None:
        left = running.children()
        for pid in (running.process.pid, *left.values()):
            os.kill(pid, signal.SIGKILL)
        running.process.wait()


def test_a_dead_process_comes_back_and_all_end_together(supervised: Supervised) -> None:
    supervised.until("all three run", lambda: set(supervised.children()) == {"serve", "engine", "jobs"})
    first = supervised.children()
    environment = Path(f"/proc/{first['engine']}/environ").read_bytes().split(b"\0")
    token = next(line for line in environment if line.startswith(b"CORDON_ENGINE_TOKEN=")).partition(b"=")[2]

    for name in ("jobs", "serve"):
        os.kill(first[name], signal.SIGKILL)
    supervised.until(
        "the dead came back", lambda: all(supervised.children().get(n, first[n]) != first[n] for n in ("jobs", "serve"))
    )
    supervised.until("the server answers again", supervised.answers)
    assert supervised.children()["engine"] == first["engine"], "the engine had no reason to end"

    last = supervised.children()
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.process.wait(WITHIN_S) == 0
    assert not [pid for pid in last.values() if Path(f"/proc/{pid}").exists()]

    assert len(token) >= 32
    written = [supervised.log, *(path for path in supervised.data.rglob("*") if path.is_file())]
    assert not [str(path) for path in written if token in path.read_bytes()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
