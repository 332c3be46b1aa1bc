"""The whole of Cordon as a user runs it: its processes, a data folder of their own, and people who sign in."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from cordon.platform.installation import Installation
from cordon.platform.settings import Settings

READY_WITHIN_S = 90
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    folder: Path
    environment: dict[str, str]
    url: str
    passwords: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "cordon.log"

    def installation(self) -> Installation:
        """The same database, objects and keys, for the test to look into."""
        return Installation.open(Settings.from_environment(self.environment))

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def start_stack(folder: Path) -> Stack:
    """Migrate, set up the demonstration, run. Everything that any process writes goes below `folder`."""
    port, ingest = free_port(), free_port()
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    (folder / "home").mkdir()
    environment = {
        **os.environ,
        "CORDON_DATA": str(folder / "data"),
        "CORDON_BIND": f"127.0.0.1:{port}",
        "CORDON_INGEST_BIND": f"127.0.0.1:{ingest}",
        "TMPDIR": str(temporary),
        "HOME": str(folder / "home"),
        "PYTHONUNBUFFERED": "1",
    }
    for name in ("DATABASE_URL", "OBJECT_STORE_URL", "CORDON_PUBLIC_URL"):
        environment.pop(name, None)
    cordon = [sys.executable, "-m", "cordon.cli"]
    subprocess.run([*cordon, "migrate"], env=environment, check=True, cwd=folder, capture_output=True)
    setup = subprocess.run([*cordon, "demo"], env=environment, check=True, cwd=folder, capture_output=True, text=True)
    passwords = dict(re.findall(r"^\s+(\w+)\s+((?:\w{5}-){3}\w{5})", setup.stdout, re.M))
    log = (folder / "cordon.log").open("wb")
    process = subprocess.Popen(
        [*cordon, "run"], env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
    )
    stack = Stack(folder, environment, f"http://127.0.0.1:{port}", passwords, process)
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{stack.url}/readyz", timeout=2).ok:
                return stack
        except requests.RequestException:
            time.sleep(0.2)
    stack.stop()
    raise AssertionError("Cordon was not ready in time:\n" + stack.log.read_text()[-4_000:])
