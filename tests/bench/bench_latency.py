"""`make bench-latency`: from the capture of the frame that confirms a person to the alert, committed in the backend.

The backend is a process of its own (`cordon serve`, SQLite, HTTP); the engine is the product's, all its threads, in this
process, reading video files that play in real time. The clock stops when the engine has the backend's answer, which
comes after the commit: what is printed is an upper bound of capture to commit. Both ends are read from this machine's
clock; the correction of the engine's clock to the backend's is switched off for that.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from common import CACHE, CORES, SHORT, THREADS, begin, median, missing, percentile, report, say
from footage import Cast, Footage, choose_cast, film, frames_of
from timing import TimedSession, time_models

from cordon.alerts import service as alerts
from cordon.deployments import service as deployments
from cordon.engine.backend import Backend, instant
from cordon.engine.engine import Engine
from cordon.engine.matching import CONTEXT_PX
from cordon.engine.settings import EngineSettings
from cordon.migrations import upgrade
from cordon.people import service as people
from cordon.platform.installation import Installation
from cordon.platform.settings import Settings
from cordon.simulate import DemoPerson, SceneSettings
from cordon.vision.packs import Pack, load_pack
from cordon.vision.redact import every_face

# The module: `cordon.cli.demo` as a name is the command in it.
demo: Any = importlib.import_module("cordon.cli.demo")

STREETS, STREET_S, LIVE_S = (2, 8, 9) if SHORT else (4, 20, 90)
FPS = 8
CAMERAS = (1, 4)
SETTLES_S = 2.0
# The engine's default (CORDON_ENGINE_THREADS).
ENGINE_THREADS = int(os.environ.get("CORDON_ENGINE_THREADS") or CORES)
READY_WITHIN_S = 20
FLOOR_FRAMES = 60


@dataclass(frozen=True)
class Served:
    installation: Installation
    url: str
    token: str
    deployment_id: str


class Commits:
    """When the engine had the backend's answer for each hit. Stands in for `Backend.send_hit`."""

    def __init__(self) -> None:
        self.taken: list[tuple[datetime, datetime]] = []
        self.failed = 0
        self._send = Backend.send_hit

    def install(self) -> None:
        commits = self

        def send_hit(backend: Backend, hit: dict[str, Any]) -> None:
            try:
                commits._send(backend, hit)
            except Exception:
                commits.failed += 1
                raise
            commits.taken.append((instant(hit["captured_at"]), datetime.now(UTC)))

        Backend.send_hit = send_hit  # type: ignore[assignment, method-assign]


@contextlib.contextmanager
def served(pack: Pack, cast: Cast, streets: list[Footage], cameras: int) -> Iterator[Served]:
    """A backend with an open deployment: the cast's listed people, and so many cameras on these streets in turn."""
    folder = Path(tempfile.mkdtemp(prefix="latency-", dir=CACHE))
    port = free_port()
    environment = {**os.environ, "CORDON_DATA": str(folder / "data"), "CORDON_BIND": f"127.0.0.1:{port}"}
    for name in ("DATABASE_URL", "OBJECT_STORE_URL", "SOCKETIO_QUEUE_URL", "CORDON_PUBLIC_URL"):
        environment.pop(name, None)
    installation = Installation.open(Settings.from_environment(environment))
    upgrade(installation.database)
    deployment_id = opened(installation, pack, cast, [streets[n % len(streets)].path for n in range(cameras)])
    with installation.write() as work:
        token = people.add_engine(work, "bench", by="bench")
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cordon.cli", "serve"], env=environment, cwd=folder, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process, folder / "serve.log")
        yield Served(installation, url, token, deployment_id)
    except SystemExit:
        say((folder / "serve.log").read_text()[-2_000:])
        raise
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        installation.database.dispose()
        shutil.rmtree(folder, ignore_errors=True)


def opened(installation: Installation, pack: Pack, cast: Cast, films: list[Path]) -> str:
    """As `cordon demo` sets up its exercise, with this cast and these films: its own steps, its own services."""
    made: list[str] = []
    draft_exercise = demo._drafted

    def drafted(*arguments: Any, **options: Any) -> Any:
        deployment = draft_exercise(*arguments, **options)
        work = arguments[0]
        coordinator = demo._actor(demo._users(work)["coordinator"])
        lon, lat = demo.CENTRE
        for number, film_path in enumerate(films[1:], start=2):
            plan = deployments.CameraPlan(f"Camera {number}", f"file:{film_path}?loop=1", lon, lat, 90)
            deployments.add_camera(work, coordinator, deployment, plan)
        made.append(deployment.id)
        return deployment

    demo._say = lambda line: None
    demo._drafted = drafted
    demo._rendered = lambda *arguments, **options: films[0]
    demo.cast_of = lambda pack: [
        DemoPerson(walker, cast.references.get(walker.id, walker.photo)) for walker in cast.walkers
    ]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            demo._first_users(installation)
        demo._new_exercise(installation, pack)
    finally:
        demo._drafted = draft_exercise
    return made[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{url}/readyz", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise SystemExit("The backend did not start:\n" + log.read_text()[-2_000:])


def live(
    pack: Pack, sessions: tuple[TimedSession, TimedSession], there: Served, cameras: int, commits: Commits
) -> dict[str, Any]:
    """The engine at work for LIVE_S seconds."""
    with tempfile.TemporaryDirectory(dir=CACHE) as spool:
        settings = EngineSettings(there.url, there.token, "bench", Path(spool), "light", "127.0.0.1:0", ENGINE_THREADS)
        engine = Engine(settings, pack)
        engine._clock_offset = lambda: timedelta(0)  # type: ignore[method-assign]
        thread = threading.Thread(target=engine.run, name="engine")
        thread.start()
        try:
            wait_until_live(engine, cameras)
            time.sleep(SETTLES_S)
            for session in sessions:
                session.spent.clear()
            began, before = datetime.now(UTC), counts(engine)
            time.sleep(LIVE_S)
            ended, after = datetime.now(UTC), counts(engine)
        finally:
            engine.stop()
            thread.join(30)
    read, dropped = (now - then for now, then in zip(after, before, strict=True))
    seconds = (ended - began).total_seconds()
    waits = [
        (committed - captured).total_seconds() * 1_000
        for captured, committed in commits.taken
        if began <= captured <= ended
    ]
    with there.installation.read() as work:
        raised = len(alerts.all_alerts(work, there.deployment_id))
    return {
        "fps_each": read / seconds / cameras,
        "dropped_share": dropped / max(read, 1),
        "waits": waits,
        "hits": len(waits),
        "alerts": raised,
        "failed_sends": commits.failed,
        "detector_p50_live": median([seconds * 1_000 for _, seconds in sessions[0].spent]),
        "embedder_a_face_p50_live": median([seconds * 1_000 / batch for batch, seconds in sessions[1].spent]),
    }


def wait_until_live(engine: Engine, cameras: int) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        states = [health.state for health in list(engine._health.values())]
        if engine._indexes and states == ["live"] * cameras:
            return
        time.sleep(0.05)
    raise SystemExit("The cameras did not become live.")


def counts(engine: Engine) -> tuple[int, int]:
    """Frames read and frames dropped by all cameras."""
    health = dict(engine._health)
    return sum(one.frames_read for one in health.values()), sum(engine._frames.dropped(camera) for camera in health)


def model_floor(pack: Pack, sessions: tuple[TimedSession, TimedSession], street: Footage) -> tuple[float, float, float]:
    """Milliseconds that the networks themselves take for a hit, with nothing else going on: one detection and one
    embedding of one face, and the detections by which bystanders are found before its picture may be kept. Medians over
    frames of the street."""
    detector, embedder = sessions
    pipeline = pack.detector.accepting(smallest_face_px=40, score=0.6)
    finding, comparing, bystanders = [], [], []
    for number, image in frames_of(street.path):
        if number >= FLOOR_FRAMES:
            continue
        for session in sessions:
            session.spent.clear()
        found = pipeline.detect(image)
        finding.append(sum(seconds for _, seconds in detector.spent))
        if not len(found):
            continue
        pack.embedder.embed_crops(pack.embedder.align(image, found.landmarks[:1]))
        comparing.append(sum(seconds for _, seconds in embedder.spent))
        detector.spent.clear()
        every_face(image, pack.detector, longest_side=CONTEXT_PX)
        bystanders.append(sum(seconds for _, seconds in detector.spent))
    return tuple(median(spent[2:]) * 1_000 for spent in (finding, comparing, bystanders))  # type: ignore[return-value]


def main() -> None:
    begin()
    lacking = missing("CORDON_MODELS", "CORDON_FACES")
    if lacking:
        sys.exit(f"Needs folders in {', '.join(lacking)}.")
    pack = load_pack("light")
    walkers = STREET_S + 2
    cast = choose_cast(pack.detector, 21, walkers, walkers // 2)
    streets = [
        film(cast, SceneSettings(seconds=STREET_S, fps=FPS, seed=21 + number, across=0.5)) for number in range(STREETS)
    ]
    sessions = time_models(pack)
    results, told = [], []
    for cameras in CAMERAS:
        commits = Commits()
        commits.install()
        try:
            with served(pack, cast, streets, cameras) as there:
                say(f"{cameras} camera{'s' if cameras > 1 else ''}, {LIVE_S} s live …")
                run = live(pack, sessions, there, cameras, commits)
        finally:
            Backend.send_hit = commits._send  # type: ignore[method-assign]
        floors = model_floor(pack, sessions, streets[0])
        floor = sum(floors)
        waits = run.pop("waits")
        results.append(
            {
                "cameras": cameras,
                "fps_each": run["fps_each"],
                "dropped_share": run["dropped_share"],
                "capture_to_commit_p50": percentile(waits, 0.5),
                "capture_to_commit_p99": percentile(waits, 0.99),
                "model_floor_p50": floor,
                "ratio_to_floor": percentile(waits, 0.5) / floor,
            }
        )
        names = ("detection_p50", "embedding_a_face_p50", "bystanders_p50")
        told.append({"cameras": cameras, **run, **dict(zip(names, floors, strict=True))})
        say(f"{run['hits']} hits, {run['alerts']} alerts")
    report(
        "latency",
        {
            "video": f"{STREETS} simulated streets of {STREET_S} s, {FPS} frames a second, 1280×720 H.264, looped",
            "listed": len(cast.references),
            "engine_threads": ENGINE_THREADS,
            "threads_of_libraries": THREADS,
            "live_s": LIVE_S,
            "clock_starts": "when the frame on which the hit was confirmed was decoded",
            "clock_stops": "when the engine has the backend's answer, after the commit; the answer's way is included",
            "hits": "also those that the backend merges into an open alert: they commit likewise",
            "floor_is": "the networks' own time for a hit: one detection, one embedding of one face, and the detections "
            "that find bystanders before its picture may be kept; measured on the same footage right after, with nothing "
            "else going on",
            "p99_is": "the nearest rank: with fewer than 100 hits, the slowest of them",
            "runs": told,
        },
        results,
    )


if __name__ == "__main__":
    main()
