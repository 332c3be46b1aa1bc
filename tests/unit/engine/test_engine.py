"""The whole engine against a backend on this machine: it finds who is listed, and stops when it is told, or told nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from cordon.engine.engine import Engine
from cordon.engine.settings import EngineSettings
from cordon.vision.enrol import ReferenceRefused, enrol_reference
from cordon.vision.images import decode_image, encode_jpeg
from cordon.vision.packs import Pack, load_pack

CAMERA_TOKEN = "a camera's token"
ORDER = {
    "deployment_id": "dep",
    "window_starts_at": "2020-01-01T00:00:00Z",
    "window_ends_at": "2120-01-01T00:00:00Z",
    "threshold": 0.45,
    "confirm": {"agree": 2},
    "re_alert_s": 300,
    "minimum_face_px": 40,
    "watchlist_revision": 1,
    "spool_key": base64.b64encode(b"s" * 32).decode(),
}


class FakeBackend:
    """Speaks the engines' door over real HTTP; what it says can be changed while the engine runs."""

    def __init__(self) -> None:
        self.sessions: list[dict[str, Any]] = []
        self.entries: dict[str, NDArray[np.float32]] = {}
        self.silent = False
        self.hits: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if backend.silent:
                    self._answer(503, {})
                elif self.path.endswith("/heartbeat"):
                    backend.reports.append(body)
                    now = datetime.now(UTC).isoformat()
                    self._answer(200, {"server_time": now, "valid_for_s": 2.0, "sessions": backend.sessions})
                else:
                    backend.hits.append(body)
                    self._answer(201, {"alert_id": "a", "merged": False})

            def do_GET(self) -> None:
                listed = [
                    {
                        "entry_id": name,
                        "count": len(rows),
                        "templates": base64.b64encode(rows.astype("<f4").tobytes()).decode(),
                    }
                    for name, rows in backend.entries.items()
                ]
                self._answer(200, {"revision": 1, "pack": "light 1", "dimension": 128, "entries": listed})

            def _answer(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def pack(models_folder: Path) -> Pack:
    return load_pack("light")


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    made = FakeBackend()
    yield made
    made.server.shutdown()


@pytest.fixture
def engine(backend: FakeBackend, pack: Pack, tmp_path: Path) -> Iterator[Engine]:
    settings = EngineSettings(backend.url, "token", "e", tmp_path / "spool", "light", "127.0.0.1:0", 1)
    running = Engine(settings, pack)
    thread = threading.Thread(target=running.run)
    thread.start()
    yield running
    running.stop()
    thread.join(20)
    assert not thread.is_alive(), "the engine did not stop"


@pytest.fixture(scope="module")
def street(pack: Pack, faces_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Folders of frames in which one person walks by, and the templates of their other photographs."""
    found: dict[str, Any] = {}
    for folder in sorted((faces_folder / "lfw").iterdir()):
        pictures = sorted(folder.glob("*.jpg"))
        if len(pictures) < 2 or len(found) == 2:
            continue
        try:
            one, other = (enrol_reference(pack, picture.read_bytes()) for picture in pictures[:2])
        except ReferenceRefused:
            continue
        if float(one.template @ other.template) < 0.6:
            continue
        place = tmp_path_factory.mktemp("frames")
        for number, frame in enumerate(walking(decode_image(pictures[1].read_bytes()))):
            (place / f"{number:03d}.jpg").write_bytes(encode_jpeg(frame, longest_side=960, quality=92))
        found["listed" if not found else "stranger"] = (place, one.template)
    return found


def walking(photo: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    large = cv2.resize(photo, (400, 400), interpolation=cv2.INTER_CUBIC)
    for step in range(12):
        frame = np.full((540, 960, 3), 120, np.uint8)
        frame[60:460, 40 + 40 * step : 440 + 40 * step] = large
        yield frame


def camera(name: str, source: str) -> dict[str, str]:
    digest = hashlib.sha256(CAMERA_TOKEN.encode()).hexdigest()
    return {"camera_id": name, "name": name, "source_url": source, "token_sha256": digest}


def within(seconds: float, condition: Callable[[], object]) -> float:
    """How long it took; fails after `seconds`."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.01)
    raise AssertionError(f"did not happen within {seconds} s")


def test_a_listed_person_is_one_hit_and_a_stranger_only_a_count(
    backend: FakeBackend, engine: Engine, street: dict[str, Any], tmp_path: Path
) -> None:
    backend.entries = {"sought": street["listed"][1][None]}
    cameras = [camera("north", f"dir:{street['listed'][0]}"), camera("south", f"dir:{street['stranger'][0]}")]
    backend.sessions = [{**ORDER, "cameras": cameras}]
    within(15, lambda: backend.hits)
    within(15, lambda: all(c["faces_seen"] for c in backend.reports[-1]["cameras"]) and backend.reports[-1]["cameras"])
    time.sleep(2)
    assert {hit["camera_id"] for hit in backend.hits} == {"north"}
    hit = backend.hits[0]
    assert hit["entry_id"] == "sought"
    assert hit["score"] >= ORDER["threshold"]
    assert hit["track"]["agreeing"] >= 2
    assert decode_image(base64.b64decode(hit["probe_jpeg"])).shape[0] <= 240
    assert len({hit["hit_id"] for hit in backend.hits}) == len(backend.hits)
    assert list((tmp_path / "spool").iterdir()) == []


def test_withdrawn_permission_stops_matching_within_a_second(
    backend: FakeBackend, engine: Engine, street: dict[str, Any]
) -> None:
    backend.entries = {"sought": street["listed"][1][None]}
    backend.sessions = [{**ORDER, "cameras": [camera("north", f"dir:{street['stranger'][0]}")]}]
    within(15, lambda: engine._matcher._cameras)
    backend.sessions = []
    took = within(1.0, lambda: not engine._matcher._cameras and not engine._indexes and not engine._readers)
    print(f"\nwithdrawal to stop: {took * 1000:.0f} ms")
    frames = engine._frames.take_round(0.5)
    assert frames == []


def test_a_silent_backend_stops_matching_within_two_seconds(
    backend: FakeBackend, engine: Engine, street: dict[str, Any]
) -> None:
    backend.entries = {"sought": street["listed"][1][None]}
    backend.sessions = [{**ORDER, "cameras": [camera("north", f"dir:{street['stranger'][0]}")]}]
    within(15, lambda: engine._matcher._cameras)
    backend.silent = True
    within(2.3, lambda: not engine._matcher._cameras and not engine._indexes and not engine._readers)


def test_a_window_that_ends_stops_matching_without_a_word_from_anybody(
    backend: FakeBackend, engine: Engine, street: dict[str, Any]
) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=4)
    backend.entries = {"sought": street["listed"][1][None]}
    source = camera("north", f"dir:{street['stranger'][0]}")
    backend.sessions = [{**ORDER, "window_ends_at": ends.isoformat(), "cameras": [source]}]
    within(3.5, lambda: engine._matcher._cameras)
    within(6, lambda: not engine._matcher._cameras and not engine._readers)
    assert datetime.now(UTC) - ends < timedelta(seconds=1)


def test_a_dead_camera_is_shown_as_lost_and_tried_again(backend: FakeBackend, engine: Engine, tmp_path: Path) -> None:
    backend.sessions = [{**ORDER, "cameras": [camera("broken", f"file:{tmp_path / 'nothing.mp4'}")]}]
    within(5, lambda: "lost" in {c["state"] for report in backend.reports for c in report["cameras"]})
    (tmp_path / "nothing.mp4").mkdir()
    states = len(backend.reports)
    within(6, lambda: {"lost"} <= {c["state"] for report in backend.reports[states:] for c in report["cameras"]})


def test_only_the_cameras_own_token_pushes_frames_and_only_jpegs(
    backend: FakeBackend, pack: Pack, tmp_path: Path, street: dict[str, Any]
) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = EngineSettings(backend.url, "token", "e", tmp_path / "spool", "light", f"127.0.0.1:{port}", 1)
    running = Engine(settings, pack)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        backend.sessions = [{**ORDER, "cameras": [camera("pushed", "push:")]}]
        within(5, lambda: running._readers and running._readers["pushed"].source)
        frame = next(iter(sorted(street["stranger"][0].glob("*.jpg")))).read_bytes()
        url = f"http://127.0.0.1:{port}/ingest/pushed"
        right = {"Authorization": f"Bearer {CAMERA_TOKEN}"}
        assert requests.post(url, data=frame, timeout=5).status_code == 403
        assert requests.post(url, data=frame, headers={"Authorization": "Bearer no"}, timeout=5).status_code == 403
        assert requests.post(url + "x", data=frame, headers=right, timeout=5).status_code == 403
        assert requests.post(url, data=b"no jpeg", headers=right, timeout=5).status_code == 422
        assert requests.post(url, data=b"", headers=right, timeout=5).status_code == 413
        assert requests.post(url, data=frame, headers=right, timeout=5).status_code == 204
        within(5, lambda: backend.reports[-1]["cameras"] and backend.reports[-1]["cameras"][0]["frames_read"] == 1)
        backend.sessions = []
        within(2, lambda: not running._readers)
        assert requests.post(url, data=frame, headers=right, timeout=5).status_code == 403
    finally:
        running.stop()
        thread.join(20)
