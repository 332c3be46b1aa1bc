"""`cordon run`: serve, engine and jobs on one machine, watched over. A process that dies is started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import click
import requests

from cordon.migrations import upgrade
from cordon.people import service as people
from cordon.platform.installation import Installation
from cordon.platform.settings import Settings
from cordon.vision.packs import PackUnavailable, choose_pack

PROCESSES = ("serve", "engine", "jobs")
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 10.0
STEADY_AFTER_S = 20.0
STOP_WITHIN_S = 10.0
READY_WITHIN_S = 60.0


@dataclass
class Child:
    """One supervised process. `wait_s`: how long the next restart waits."""

    name: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    wait_s: float = FIRST_RETRY_S
    restart_at: float = 0.0

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.process = subprocess.Popen([sys.executable, "-m", "cordon.cli", self.name], env=self.environment)  # noqa: S603

    def look_after(self) -> None:
        """Start it again if it died, later each time, and at once again after it ran steadily."""
        if self.process is None or self.process.poll() is None:
            return
        now = time.monotonic()
        if self.restart_at == 0.0:
            if now - self.started_at > STEADY_AFTER_S:
                self.wait_s = FIRST_RETRY_S
            click.echo(
                f"{self.name} ended with {self.process.returncode}: starting again in {self.wait_s:g} s", err=True
            )
            self.restart_at, self.wait_s = now + self.wait_s, min(self.wait_s * 2, LAST_RETRY_S)
        elif now >= self.restart_at:
            self.restart_at = 0.0
            self.start()


@click.command()
def run() -> None:
    """Serve, match and do the jobs on this machine, until Ctrl-C."""
    settings = Settings.from_environment()
    _refuse_taken_port(settings.bind)
    try:
        # Chosen once, so that enrolment and matching can never use two different packs.
        pack = choose_pack(settings.pack)
    except PackUnavailable as unavailable:
        raise click.ClickException(str(unavailable)) from unavailable
    installation = Installation.open(settings)
    upgrade(installation.database)
    with installation.write() as work:
        token = people.add_engine(work, "engine", by="cordon run")
    installation.database.dispose()
    backend = f"http://127.0.0.1:{settings.bind.rpartition(':')[2]}"
    common = {**os.environ, "CORDON_DATA": str(settings.data), "CORDON_BACKEND_URL": backend, "CORDON_PACK": pack}
    children = [
        Child(name, {**common, "CORDON_ENGINE_TOKEN": token} if name == "engine" else common) for name in PROCESSES
    ]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    children[0].start()
    _wait_until_ready(children[0], settings, backend, stop)
    for child in children[1:]:
        child.start()
    while not stop.wait(0.2):
        for child in children:
            child.look_after()
    _stop_all(children)


def _wait_until_ready(server: Child, settings: Settings, backend: str, stop: threading.Event) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not stop.is_set() and time.monotonic() < deadline:
        if server.process is not None and server.process.poll() is not None:
            raise click.ClickException("The server did not start: its reason stands above.")
        try:
            if requests.get(f"{backend}/readyz", timeout=2).ok:
                click.secho(f"\nCordon is ready: open {settings.public_url}\n", bold=True)
                click.echo("Sign in as operator in one window and as officer in another (or on a phone-sized one).")
                click.echo("Passwords were printed when the users were made. Ctrl-C stops everything.\n")
                return
        except requests.RequestException:
            time.sleep(0.2)


def _refuse_taken_port(bind: str) -> None:
    host, _, port = bind.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise click.ClickException(f"Something listens on {bind} already. Is Cordon running?") from error


def _stop_all(children: list[Child]) -> None:
    """The engine first, so that its last hits still find the server."""
    for name in ("engine", "jobs", "serve"):
        child = next(child for child in children if child.name == name)
        if child.process is None or child.process.poll() is not None:
            continue
        child.process.terminate()
        try:
            child.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
