"""The engine as a process sees it: a backend over real HTTP, a real camera file, real faces, and nothing kept of others."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import requests
from PIL import Image

from cordon.engine.engine import Engine
from cordon.engine.settings import EngineSettings
from cordon.index.build import Built, ChildBuilder
from cordon.vision.enrol import enrol_reference
from cordon.vision.packs import Pack, load_pack

MODELS, FACES = os.environ.get("CORDON_MODELS"), os.environ.get("CORDON_FACES")
pytestmark = [
    pytest.mark.weights,
    pytest.mark.faces,
    pytest.mark.skipif(
        not MODELS or not FACES, reason="set CORDON_MODELS and CORDON_FACES to the folders of weights and photographs"
    ),
]
LISTED, STRANGER = "Aaron_Peirsol", "Abdullah_Gul"
TOKEN, CAMERA_TOKEN = "engine-token", "camera-token"


@dataclass
class Door:
    """The engines' door of a backend: what it says is set by the test, what it is told is kept."""

    sessions: list[dict[str, Any]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    pack: str = "light 1"
    revision: int = 1
    heartbeat_status: int = 200
    hits_status: int = 201
    hits: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    beats: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    def answer(self, method: str, path: str, headers: Any, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {}
        if path.endswith("/heartbeat"):
            self.beats.append(body)
            sessions = [{**one, "watchlist_revision": self.revision} for one in self.sessions]
            now = datetime.now(UTC).isoformat()
            return self.heartbeat_status, {"server_time": now, "valid_for_s": 2.0, "sessions": sessions}
        if path.endswith("/watchlist"):
            listed = {"revision": self.revision, "pack": self.pack, "dimension": 128, "entries": self.entries}
            return 200, listed
        if self.hits_status == 201:
            self.hits.append(body)
            self.keys.append(headers["Idempotency-Key"])
        return self.hits_status, {"alert_id": "a1", "merged": False}

    def open(self, source: str, **terms: Any) -> None:
        now = datetime.now(UTC)
        camera = {"camera_id": "c1", "name": "Market Street", "source_url": source}
        camera["token_sha256"] = sha256(CAMERA_TOKEN.encode()).hexdigest()
        session = {
            "deployment_id": "d1",
            "window_starts_at": (now - timedelta(hours=1)).isoformat(),
            "window_ends_at": (now + timedelta(hours=1)).isoformat(),
            "threshold": 0.45,
            "confirm": {"agree": 2},
            "re_alert_s": 60,
            "spool_key": base64.b64encode(b"k" * 32).decode(),
            "minimum_face_px": 40,
            "cameras": [camera],
        }
        self.sessions = [{**session, **terms}]

    def seek(self, pack: Pack, person: str) -> None:
        made = enrol_reference(pack, photograph(person, 1).read_bytes())
        templates = base64.b64encode(made.template.astype("<f4").tobytes()).decode()
        self.entries = [{"entry_id": person, "templates": templates, "count": 1}]


@pytest.fixture
def door() -> Iterator[Door]:
    told = Door()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            status, answer = told.answer("POST", self.path, self.headers, body)
            encoded = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.address = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load_pack("light")


@pytest.fixture
def start(door: Door, pack: Pack, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    running: list[tuple[Engine, threading.Thread]] = []

    def make() -> Engine:
        settings = EngineSettings(door.address, TOKEN, "engine", tmp_path / "spool", "light", "127.0.0.1:0", 1)
        engine = Engine(settings, pack)
        thread = threading.Thread(target=engine.run)
        thread.start()
        running.append((engine, thread))
        return engine

    yield make
    for engine, _ in running:
        engine.stop()
    for _, thread in running:
        thread.join(15)
        assert not thread.is_alive()


def photograph(person: str, number: int) -> Path:
    return Path(str(FACES), "lfw", person, f"{number}.jpg")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each of the two walks across a grey street for two seconds, twelve frames a second."""
    folder, made = tmp_path_factory.mktemp("films"), {}
    for person in (LISTED, STRANGER):
        face = cv2.resize(cv2.imread(str(photograph(person, 2))), (250, 250), interpolation=cv2.INTER_CUBIC)
        with av.open(str(folder / f"{person}.mp4"), "w") as film:
            stream = film.add_stream("libx264", rate=12)
            stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
            stream.options = {"crf": "18"}
            for step in range(24):
                picture = np.full((540, 960, 3), 120, np.uint8)
                picture[150:400, 60 + 20 * step : 310 + 20 * step] = face
                film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            film.mux(stream.encode())
        made[person] = f"file:{folder / person}.mp4"
    return made


def wait_for(what: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.02)
    return what()


def faces_seen(door: Door) -> int:
    return max((camera["faces_seen"] for beat in list(door.beats) for camera in beat["cameras"]), default=0)


def state(door: Door) -> str | None:
    cameras = door.beats[-1]["cameras"] if door.beats else []
    return cameras[0]["state"] if cameras else None


def test_a_listed_person_who_walks_by_is_one_hit(
    door: Door, pack: Pack, films: dict[str, str], start: Callable[[], Engine], tmp_path: Path
) -> None:
    door.seek(pack, LISTED)
    door.open(films[LISTED])
    start()
    assert wait_for(lambda: bool(door.hits))
    time.sleep(0.8)
    assert len(door.hits) == 1
    hit = door.hits[0]
    assert (hit["entry_id"], hit["deployment_id"], hit["camera_id"]) == (LISTED, "d1", "c1")
    assert door.keys == [hit["hit_id"]]
    assert 0.45 <= hit["score"] <= 1
    assert hit["track"]["agreeing"] >= 2
    assert hit["quality"]["face_px"] >= 40
    captured, detected = (datetime.fromisoformat(hit[name]) for name in ("captured_at", "detected_at"))
    assert timedelta(0) < detected - captured < timedelta(seconds=10)
    assert abs(datetime.now(UTC) - captured) < timedelta(seconds=60)
    probe, context = (Image.open(io.BytesIO(base64.b64decode(hit[n]))) for n in ("probe_jpeg", "context_jpeg"))
    assert (max(probe.size) <= 240, max(context.size)) == (True, 960)
    assert wait_for(lambda: list((tmp_path / "spool").iterdir()) == [])


def test_a_person_who_is_not_listed_leaves_a_number_and_nothing_else(
    door: Door,
    pack: Pack,
    films: dict[str, str],
    start: Callable[[], Engine],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    door.seek(pack, LISTED)
    door.open(films[STRANGER])
    start()
    assert wait_for(lambda: faces_seen(door) >= 1)
    time.sleep(2.5)
    assert door.hits == []
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    ours = [record for record in caplog.records if record.name.startswith("cordon.")]
    said = {name for record in ours for name in getattr(record, "fields", {})}
    assert said
    assert said <= {"camera", "state", "detail", "deployment", "revision", "entries", "engine", "reason", "error"}
    assert all(LISTED not in record.getMessage() + str(getattr(record, "fields", "")) for record in caplog.records)
    told = json.dumps(door.beats)
    assert all(word not in told for word in ('"template', "box", "jpeg", LISTED))


def test_withdrawn_authorisation_stops_matching_within_a_second(
    door: Door, pack: Pack, films: dict[str, str], start: Callable[[], Engine]
) -> None:
    door.seek(pack, LISTED)
    door.open(films[LISTED] + "?loop=1")
    engine = start()
    assert wait_for(lambda: state(door) == "live" and bool(engine._indexes))
    door.sessions = []
    # Withdrawn means withdrawn from the next heartbeat on: half a second, and a second at most.
    assert wait_for(lambda: not engine._permission.orders(), 1.0)
    assert wait_for(lambda: not engine._indexes and not engine._readers, 1.0)
    assert wait_for(lambda: not engine._matcher._cameras, 1.0)
    sent = len(door.hits)
    time.sleep(1.5)
    assert len(door.hits) == sent


def test_a_backend_that_fails_withdraws_everything_and_counting_goes_on_when_it_is_back(
    door: Door, pack: Pack, films: dict[str, str], start: Callable[[], Engine]
) -> None:
    door.seek(pack, LISTED)
    door.open(films[STRANGER] + "?loop=1")
    engine = start()
    assert wait_for(lambda: faces_seen(door) >= 1)
    door.heartbeat_status = 503
    assert wait_for(lambda: not engine._indexes and not engine._readers, 4.0)
    before, beats = faces_seen(door), len(door.beats)
    door.heartbeat_status = 200
    assert wait_for(lambda: state(door) == "live")
    assert wait_for(lambda: faces_seen(door) > before)
    # The backend keeps the highest count of a run: one that begins again at nothing would lose every face until then.
    later = [camera["faces_seen"] for beat in door.beats[beats:] for camera in beat["cameras"]]
    assert min(later) >= before


def test_no_camera_is_opened_without_an_open_deployment(door: Door, start: Callable[[], Engine]) -> None:
    engine = start()
    assert wait_for(lambda: len(door.beats) >= 2)
    assert (engine._readers, engine._indexes) == ({}, {})


def test_a_list_made_with_another_pack_is_not_matched(
    door: Door, pack: Pack, films: dict[str, str], start: Callable[[], Engine]
) -> None:
    door.seek(pack, LISTED)
    door.pack = "open 1"
    door.open(films[LISTED])
    start()
    assert wait_for(lambda: faces_seen(door) >= 1)
    time.sleep(2)
    assert door.hits == []


def test_a_person_taken_off_the_list_is_matched_no_more(
    door: Door, pack: Pack, films: dict[str, str], start: Callable[[], Engine]
) -> None:
    door.seek(pack, LISTED)
    door.open(films[LISTED] + "?loop=1")
    engine = start()
    assert wait_for(lambda: bool(door.hits))
    door.entries, door.revision = [], 2
    assert wait_for(lambda: engine._indexes.get("d1", (0, None))[0] == 2)
    time.sleep(0.3)
    sent = len(door.hits)
    time.sleep(2.5)
    assert len(door.hits) == sent


def test_neither_withdrawal_nor_removal_waits_for_a_certificate(
    door: Door, pack: Pack, films: dict[str, str], start: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certifying thousands of templates takes a good part of a minute; a camera must not stay open that long."""
    certifying, go_on = threading.Event(), threading.Event()

    quickly = ChildBuilder.__call__

    def slowly(builder: ChildBuilder, *given: Any) -> Built:
        certifying.set()
        go_on.wait(20)
        return quickly(builder, *given)

    monkeypatch.setattr(ChildBuilder, "__call__", slowly)
    door.seek(pack, LISTED)
    door.open(films[LISTED] + "?loop=1")
    engine = start()
    try:
        assert wait_for(certifying.is_set)
        assert wait_for(lambda: bool(door.hits)), "exact search serves until the certificate is made"
        door.entries, door.revision = [], 2
        assert wait_for(lambda: engine._indexes["d1"][0] == 2, 1.5)
        door.sessions = []
        assert wait_for(lambda: not engine._readers and not engine._indexes, 1.5)
    finally:
        go_on.set()


def test_a_hit_waits_for_a_backend_that_cannot_take_it(
    door: Door, pack: Pack, films: dict[str, str], start: Callable[[], Engine], tmp_path: Path
) -> None:
    door.seek(pack, LISTED)
    door.hits_status = 500
    door.open(films[LISTED])
    start()
    assert wait_for(lambda: any((tmp_path / "spool").glob("*.hit")))
    door.hits_status = 201
    assert wait_for(lambda: len(door.hits) >= 1)
    assert wait_for(lambda: not any((tmp_path / "spool").glob("*.hit")))


def test_a_camera_that_cannot_be_read_is_shown_as_lost(door: Door, start: Callable[[], Engine], tmp_path: Path) -> None:
    door.open(f"file:{tmp_path / 'missing.mp4'}")
    start()
    assert wait_for(lambda: state(door) == "lost")


def test_a_pushed_frame_needs_the_cameras_own_token_and_an_open_deployment(
    door: Door, start: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cordon.engine import engine as engine_module
    from cordon.engine.ingest import start_ingest

    servers: list[ThreadingHTTPServer] = []

    def kept(*arguments: Any) -> ThreadingHTTPServer:
        servers.append(start_ingest(*arguments))
        return servers[-1]

    monkeypatch.setattr(engine_module, "start_ingest", kept)
    door.open("push:")
    engine = start()
    assert wait_for(lambda: bool(servers) and "c1" in engine._readers and engine._readers["c1"].source is not None)
    frame = cv2.imencode(".jpg", np.full((200, 300, 3), 90, np.uint8))[1].tobytes()

    def push(token: str | None, data: bytes = frame, camera: str = "c1") -> int:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{servers[0].server_port}/ingest/{camera}"
        return requests.post(url, data=data, headers=headers, timeout=5).status_code

    assert push(CAMERA_TOKEN) == 204
    assert wait_for(lambda: state(door) == "live")
    assert push("another") in {401, 403}
    assert push(None) in {401, 403}
    assert push(CAMERA_TOKEN, camera="c2") in {401, 403}
    assert push(CAMERA_TOKEN, b"no picture") == 422
    assert push(CAMERA_TOKEN, b"") == 413
    door.sessions = []
    assert wait_for(lambda: not engine._readers)
    assert push(CAMERA_TOKEN) in {401, 403}


def test_a_crash_writes_no_memory_to_disk(door: Door, start: Callable[[], Engine]) -> None:
    start()
    assert wait_for(lambda: resource.getrlimit(resource.RLIMIT_CORE)[0] == 0, 5)
