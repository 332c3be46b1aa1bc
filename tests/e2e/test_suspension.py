"""A suspension stops matching within a second on every engine: two real engine processes at one real server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from cordon.deployments import service as deployments
from cordon.deployments.service import CameraPlan
from cordon.people import service as people
from cordon.people.model import Actor, Role
from cordon.platform.installation import Installation
from cordon.platform.settings import Settings
from stack import free_port
from world import OPERATIONAL_PACK, World

BUILD = Path(__file__).resolve().parents[2] / "build"
ROUNDS = 6
PUSH_EVERY_S = 0.03
CORDON = [sys.executable, "-m", "cordon.cli"]


class Force:
    """A server, two engines, an open exercise with one pushing camera; everything written lies below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.environment = {**os.environ, "CORDON_DATA": str(folder / "data"), "CORDON_BIND": self.url[7:]}
        self.environment |= {"CORDON_BACKEND_URL": self.url, "CORDON_PACK": "light", "PYTHONUNBUFFERED": "1"}
        for name in ("DATABASE_URL", "OBJECT_STORE_URL", "CORDON_PUBLIC_URL"):
            self.environment.pop(name, None)
        subprocess.run([*CORDON, "migrate"], env=self.environment, check=True, capture_output=True)
        self.installation = Installation.open(Settings.from_environment(self.environment))
        self.processes: list[subprocess.Popen[bytes]] = []
        self.session = requests.Session()
        self._draft()
        self._start("serve", {})
        _until(lambda: requests.get(f"{self.url}/readyz", timeout=2).ok, 60)
        self.doors = []
        for number in range(2):
            door = f"127.0.0.1:{free_port()}"
            with self.installation.write() as work:
                token = people.add_engine(work, f"engine-{number}", by="test")
            self._start(
                "engine",
                {
                    "CORDON_ENGINE_TOKEN": token,
                    "CORDON_ENGINE_ID": f"engine-{number}",
                    "CORDON_INGEST_BIND": door,
                    "CORDON_SPOOL_DIR": str(folder / f"spool{number}"),
                    "CORDON_ENGINE_THREADS": "1",
                },
            )
            self.doors.append(f"http://{door}/ingest/{self.camera_id}")

    def _draft(self) -> None:
        with self.installation.write() as work:
            users = {
                role: people.add_user(
                    work,
                    username=role.value,
                    display_name=role.value,
                    callsign=role.value,
                    password="a long enough passphrase 9",
                    roles=[role],
                    by="test",
                )
                for role in (Role.COORDINATOR, Role.AUTHORISER)
            }
        self.coordinator, self.authoriser = (
            Actor(users[role].id, role.value, role.value, frozenset({role}), "test", stepped_up=True) for role in users
        )
        now = datetime.now(UTC)
        terms = World.terms(
            self,  # type: ignore[arg-type]
            marked_exercise=True,
            window_starts_at=now.replace(microsecond=0),
            window_ends_at=datetime.fromtimestamp(now.timestamp() + 3600, UTC),
        )
        with self.installation.write() as work:
            deployment = deployments.draft(work, self.coordinator, terms)
            plan = CameraPlan("North", "push:", -0.0975, 51.5025, 90.0)
            camera, self.push_token = deployments.add_camera(work, self.coordinator, deployment, plan)
            self.id, self.camera_id = deployment.id, camera.id
            deployments.sign(work, self.authoriser, deployment, OPERATIONAL_PACK, None)
            deployments.publish_notice(work, self.coordinator, deployment)
            deployments.confirm_signs(work, self.coordinator, deployment)
            deployments.open_deployment(work, self.coordinator, deployment, OPERATIONAL_PACK)

    def sign_in(self) -> None:
        with self.installation.write() as work:
            user = people.users_by_id(work, [self.authoriser.user_id])[self.authoriser.user_id]
            secret, opened = people.open_session(work, user)
            self.session.headers["X-CSRF-Token"] = opened.csrf_token
        self.session.cookies.set("cordon_session", secret)

    def _start(self, name: str, more: dict[str, str]) -> None:
        log = (self.folder / f"{name}-{len(self.processes)}.log").open("wb")
        environment = {**self.environment, **more}
        self.processes.append(subprocess.Popen([*CORDON, name], env=environment, stdout=log, stderr=log))

    def post(self, step: str) -> tuple[float, float]:
        """When it was asked and when it was answered."""
        asked = time.time()
        answer = self.session.post(f"{self.url}/api/v1/deployments/{self.id}/{step}", json={"reason": "Measured"})
        assert answer.ok, answer.text
        return asked, time.time()

    def dropped(self, number: int) -> list[float]:
        """When this engine said that it dropped the index, in seconds since 1970."""
        text = (self.folder / f"engine-{number + 1}.log").read_text()
        lines = [json.loads(line) for line in text.splitlines() if re.search('"index dropped"', line)]
        return [datetime.fromisoformat(line["at"]).timestamp() for line in lines]

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until(holds: object, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if holds():  # type: ignore[operator]
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise AssertionError("it did not come about in time")


@pytest.fixture
def force(tmp_path: Path, models_folder: Path) -> Iterator[Force]:
    running = Force(tmp_path)
    yield running
    running.stop()


@pytest.mark.weights
def test_a_suspension_stops_every_engine_within_a_second(force: Force, faces_folder: Path) -> None:
    """Both engines are fed one camera's frames. When a suspension is asked for, each must take its last frame and drop its
    index within a second; the frame in work is matched no later, for an engine asks before each round."""
    frame = next(faces_folder.rglob("*.jpg")).read_bytes()
    taken: list[list[float]] = [[], []]
    stop = threading.Event()

    def push(number: int) -> None:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {force.push_token}"
        while not stop.wait(PUSH_EVERY_S):
            try:
                began = time.time()
                if session.post(force.doors[number], data=frame, timeout=5).status_code == 204:
                    taken[number].append(began)
            except requests.RequestException:
                continue

    pushers = [threading.Thread(target=push, args=(number,), daemon=True) for number in range(2)]
    for pusher in pushers:
        pusher.start()
    force.sign_in()
    last_frame, index_gone = [], []
    for turn in range(ROUNDS):
        before = time.time()
        _until(lambda since=before: all(t and t[-1] > since for t in taken), 60)
        # Not always at the same moment of the engines' heartbeat.
        time.sleep(0.5 + turn * 0.083)
        asked, _ = force.post("suspend")
        time.sleep(2.5)
        for number in range(2):
            last_frame.append(max(at for at in taken[number]) - asked)
            gone = [at for at in force.dropped(number) if at >= asked - 0.001]
            assert gone, "the engine did not drop its index"
            index_gone.append(gone[0] - asked)
        force.post("resume")
    stop.set()
    figures = {
        "engines": 2,
        "suspensions": ROUNDS,
        "last_frame_taken_s": [round(value, 3) for value in last_frame],
        "index_dropped_s": [round(value, 3) for value in index_gone],
        "worst_s": round(max(*last_frame, *index_gone), 3),
    }
    BUILD.mkdir(exist_ok=True)
    (BUILD / "suspension.json").write_text(json.dumps(figures, indent=1))
    print(f"\nfrom asking for a suspension: {figures}")
    assert figures["worst_s"] < 1.0
