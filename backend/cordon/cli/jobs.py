"""`cordon jobs`: enrolment, windows that end, alerts that wait too long, purges at their deadline."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import click

from cordon.alerts import service as alerts
from cordon.deployments import service as deployments
from cordon.platform.installation import Installation
from cordon.platform.logging import log_to_stderr
from cordon.platform.settings import Settings
from cordon.retention import service as retention
from cordon.watchlists import service as watchlists
from cordon.watchlists.enroller import PackEnroller

log = logging.getLogger(__name__)

CAMERA_SILENT_FOR = timedelta(seconds=5)


@click.command()
def jobs() -> None:
    """Do what the clock asks for: enrol, close, expire, purge."""
    log_to_stderr()
    installation = Installation.open(Settings.from_environment())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    work_until(installation, stop)


def work_until(installation: Installation, stop: threading.Event) -> None:
    """Each task runs when its time has come; one that fails is logged and tried again, and stops no other."""
    enroller = PackEnroller(installation.settings.pack)

    def enrol() -> None:
        while not stop.is_set():
            with installation.write() as work:
                if watchlists.enrol_waiting(work, enroller, limit=1) == 0:
                    return

    def close_windows() -> None:
        with installation.write() as work:
            deployments.close_ended_windows(work)

    def expire_alerts() -> None:
        with installation.write() as work:
            alerts.look_after_deadlines(work)

    def notice_silent_cameras() -> None:
        with installation.write() as work:
            deployments.mark_silent_cameras_lost(work, work.now - CAMERA_SILENT_FOR)

    tasks: list[tuple[float, Callable[[], object]]] = [
        (0.5, enrol),
        (1.0, close_windows),
        (1.0, expire_alerts),
        (2.0, notice_silent_cameras),
        (5.0, lambda: retention.purge_due(installation)),
    ]
    due = [0.0] * len(tasks)
    while not stop.is_set():
        for index, (every_s, task) in enumerate(tasks):
            if time.monotonic() >= due[index]:
                _attempt(task)
                due[index] = time.monotonic() + every_s
        stop.wait(0.1)


def _attempt(task: Callable[[], object]) -> None:
    try:
        task()
    except Exception:
        log.exception("a job failed and will be tried again", extra={"fields": {"job": task.__name__}})
