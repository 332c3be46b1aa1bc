"""`make bench-engine`: frames a second and people found, from the same H.264 file to the alert.

Every runner gets its frames from the same decoder thread, two frames ahead, as fast as it takes them; decoding is part
of its time. `cordon` is the product's Matcher and Spool. `opencv_loop` is what a good engineer writes in a day:
detector, alignment, embedder and an exact search on every frame, with Cordon's own weights and threshold.
`face_recognition` is the popular package with its defaults. `insightface` runs where a pack of it is at hand.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from common import CACHE, SHORT, THREADS, begin, interleaved, median, missing, report, say
from footage import Footage, Gallery, Whereabouts, choose_cast, each_photo, filler_like, film, frames_of, gallery_of
from numpy.typing import NDArray
from timing import TimedSession, time_models

from cordon.engine.backend import CameraOrder, MatchingOrder
from cordon.engine.frames import LANE_FRAMES, Frame
from cordon.engine.matching import Matcher, Probe
from cordon.engine.spool import Spool
from cordon.index.watchlist_index import Match, WatchlistIndex
from cordon.simulate import SceneSettings
from cordon.vision.align import align_faces
from cordon.vision.embedders import IMAGENET_RGB
from cordon.vision.fusion import SUPPORT
from cordon.vision.packs import Pack, load_pack, manifest_of

SECONDS, REPEATS = (10, 2) if SHORT else (30, 5)
FACES_IN_VIEW = 6
# Seconds that a face of the simulated street is in view, on average: so many people must walk by.
IN_VIEW_S = 5.0
TEMPLATES = 10_000
LEAST_FACE_PX, RE_ALERT_S = 40, 5.0
AGREE = 2
SUBSET = 6 if SHORT else 30
TOLERANCE = 0.6
LFW_PEOPLE = 300 if SHORT else None
DLIB_PHOTOGRAPHS = 40 if SHORT else 150
WARM_FRAMES = 20
INSIGHTFACE_PACKS = ("buffalo_l", "buffalo_s", "buffalo_sc", "antelopev2")
INSIGHTFACE_THRESHOLD = 0.4
BEGAN = datetime(2026, 11, 23, 10, tzinfo=UTC)

Picture = NDArray[np.uint8]


@dataclass
class Run:
    """One pass over the footage. alerts: frame, entry, box of the face that raised it."""

    seconds: float = 0.0
    frames: int = 0
    inference_s: float = 0.0
    alerts: list[tuple[int, str, NDArray[np.float32]]] = field(default_factory=list)

    @property
    def fps(self) -> float:
        return self.frames / self.seconds


def batched(given: Iterable[tuple[int, Picture]], most: int) -> Iterator[list[tuple[int, Picture]]]:
    """In lists of `most`, the last one shorter."""
    rest = iter(given)
    while taken := list(islice(rest, most)):
        yield taken


class Runner(Protocol):
    def __call__(self, path: Path, most: int | None = None) -> Run: ...


class NotingMatcher(Matcher):
    """The product's matcher; notes where the face of each hit was, which a hit itself does not say."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.noted: list[tuple[int, str, NDArray[np.float32]]] = []

    def _write(self, probe: Probe, match: Match, *more: Any) -> None:
        self.noted.append((probe.frame.sequence, match.entry_id, probe.box))
        super()._write(probe, match, *more)


class Cordon:
    def __init__(self, pack: Pack, gallery: Gallery, threshold: float, fps: int) -> None:
        self._pack, self._fps = pack, fps
        self._sessions = time_models(pack)
        self.index = WatchlistIndex(pack.embedder.dimension, threshold - SUPPORT)
        self.index.replace_all({owner: row[None] for owner, row in zip(gallery.owners, gallery.templates, strict=True)})
        # As in the engine: searched exactly at once, and certified behind the searches, which may take minutes. Here it
        # is done before the clock runs; SHORT measures an engine's first minutes.
        if not SHORT:
            say("certifying the index …")
            self.index.rebuild()
        camera = CameraOrder("camera", "camera", "file:", "")
        self._order = MatchingOrder(
            "deployment",
            BEGAN,
            BEGAN + timedelta(hours=1),
            threshold,
            AGREE,
            RE_ALERT_S,
            LEAST_FACE_PX,
            1,
            b"k" * 32,
            (camera,),
        )

    def __call__(self, path: Path, most: int | None = None) -> Run:
        run = Run()
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            spool = Spool(Path(folder), lambda: {}, lambda hit: None)
            matcher = NotingMatcher(
                self._pack, lambda hit, order: spool.submit(hit, order.spool_key), lambda: BEGAN, THREADS
            )
            orders, indexes = {"deployment": self._order}, {"deployment": self.index}
            before, began = TimedSession.busy(*self._sessions), time.perf_counter()
            # As the engine's own process does: its workers fill the cores.
            cv2.setNumThreads(1)
            # A round takes what waits in the camera's lane, which is full while frames come as fast as they are taken.
            for taken in batched(frames_of(path, most), LANE_FRAMES):
                frames = [
                    Frame("deployment", "camera", number, BEGAN + timedelta(seconds=number / self._fps), image)
                    for number, image in taken
                ]
                matcher.match_round(frames, orders, indexes, lambda camera, faces, widths: None)
                run.frames += len(frames)
            matcher.finish()
            cv2.setNumThreads(THREADS)
            run.seconds = time.perf_counter() - began
        run.inference_s = TimedSession.busy(*self._sessions) - before
        run.alerts = matcher.noted
        return run


class OpenCVLoop:
    """FaceDetectorYN at full size, the same alignment and embedder weights, an exact search, on every frame."""

    def __init__(self, folder: Path, gallery: Gallery, threshold: float, fps: int) -> None:
        import onnxruntime

        files = manifest_of("light").files
        self._detector = cv2.FaceDetectorYN.create(str(folder / files["detector"].file), "", (1280, 720), 0.6, 0.3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        # Else its threads spin on the cores that OpenCV's detector needs: slower by half where cores are few.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(
            str(folder / files["embedder"].file), options, providers=["CPUExecutionProvider"]
        )
        self._embedder = TimedSession(session)
        self._input = session.get_inputs()[0].name
        self._mean, self._std = (np.array(v, np.float32) * 255 for v in (IMAGENET_RGB.mean, IMAGENET_RGB.std))
        self._gallery, self._threshold, self._fps = gallery, threshold, fps

    def __call__(self, path: Path, most: int | None = None) -> Run:
        run, last = Run(), dict[str, float]()
        embedded_before, began = self._embedder.seconds, time.perf_counter()
        for number, image in frames_of(path, most):
            detecting = time.perf_counter()
            _, faces = self._detector.detect(image)
            run.inference_s += time.perf_counter() - detecting
            for face in faces if faces is not None else ():
                if face[2] < LEAST_FACE_PX:
                    continue
                crop = align_faces(image, face[4:14].reshape(1, 5, 2))[0]
                batch = ((crop[..., ::-1].astype(np.float32) - self._mean) / self._std).transpose(2, 0, 1)[None]
                raw = self._embedder.run(None, {self._input: np.ascontiguousarray(batch)})[0][0]
                cosines = self._gallery.templates @ (raw / np.linalg.norm(raw))
                best = int(np.argmax(cosines))
                _raise(run, last, number, self._fps, cosines[best] >= self._threshold, self._gallery.owners[best], face)
            run.frames += 1
        run.seconds = time.perf_counter() - began
        run.inference_s += self._embedder.seconds - embedded_before
        return run


class FaceRecognition:
    """The face_recognition package as its examples use it: HOG detector, one upsampling, tolerance 0.6; every so many
    frames, because it takes seconds for one."""

    def __init__(self, footage: Footage, gallery: Gallery, fps: int) -> None:
        import face_recognition

        self._library: Any = face_recognition
        self._fps = fps
        self._every = max(1, footage.truth.frames // SUBSET)
        self.note = (
            f"every {self._every}th frame was looked at; fps = these frames / (time to look at them + the time that "
            "decoding takes for as many frames)"
        )
        self._owners, self._rows = self._list(footage, gallery)

    def _list(self, footage: Footage, gallery: Gallery) -> tuple[list[str], NDArray[np.float32]]:
        listed = {name: self._encoded(picture) for name, picture in footage.cast.references.items()}
        real = [name for name in gallery.owners[gallery.listed :] if not name.startswith("filler-")]
        others = {name: self._encoded(picture) for name, picture in each_photo(real[:DLIB_PHOTOGRAPHS])}
        walkers = np.stack([row for w in footage.cast.walkers if (row := self._encoded(w.photo)) is not None])
        known = {name: row for name, row in {**listed, **others}.items() if row is not None}
        rows = np.stack(list(known.values()))
        length = float(np.linalg.norm(rows, axis=1).mean())
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        # No nearer to any walker's photograph than the tolerance, which on vectors of this length is this cosine: with
        # dozens of walkers hardly a vector of this kind is farther from them all.
        near = 1 - TOLERANCE**2 / (2 * length**2)
        # Fewer photographs than dimensions have no full covariance: shrunk towards round.
        self.missing = [name for name, row in listed.items() if row is None]
        spread = np.concatenate([unit, _round_about(unit, 4 * unit.shape[1])])
        filler = length * filler_like(spread, TEMPLATES - len(known), walkers / length, near)
        return [*known, *(f"filler-{n}" for n in range(len(filler)))], np.concatenate([rows, filler])

    def _encoded(self, picture: Picture) -> NDArray[np.float32] | None:
        found = self._library.face_encodings(np.ascontiguousarray(picture[..., ::-1]))
        return np.asarray(found[0], np.float32) if found else None

    def __call__(self, path: Path, most: int | None = None) -> Run:
        run, last = Run(), dict[str, float]()
        looked_s, decoding_began, frames = 0.0, time.perf_counter(), 0
        for number, image in frames_of(path, most):
            frames += 1
            if number % self._every:
                continue
            began = time.perf_counter()
            rgb = np.ascontiguousarray(image[..., ::-1])
            places = self._library.face_locations(rgb)
            encodings = self._library.face_encodings(rgb, places)
            run.inference_s += time.perf_counter() - began
            for (top, right, bottom, left), encoding in zip(places, encodings, strict=True):
                distances = self._library.face_distance(self._rows, encoding)
                best = int(np.argmin(distances))
                box = np.array([left, top, right - left, bottom - top], np.float32)
                _raise(run, last, number, self._fps, distances[best] <= TOLERANCE, self._owners[best], box)
            looked_s += time.perf_counter() - began
            run.frames += 1
        decode_s = (time.perf_counter() - decoding_began - looked_s) / frames
        run.seconds = looked_s + run.frames * decode_s
        return run


class InsightFace:
    """FaceAnalysis of the insightface package, with the detector's usual 640-pixel input."""

    def __init__(self, folder: Path, footage: Footage, gallery: Gallery, fps: int) -> None:
        import onnxruntime
        from insightface.app import FaceAnalysis

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self._app: Any = FaceAnalysis(
            name=str(folder),
            allowed_modules=["detection", "recognition"],
            providers=["CPUExecutionProvider"],
            sess_options=options,
        )
        self._app.prepare(ctx_id=-1, det_size=(640, 640))
        self._sessions = [TimedSession(model.session) for model in self._app.models.values()]
        for model, session in zip(self._app.models.values(), self._sessions, strict=True):
            model.session = session
        self._fps = fps
        real = [one for one in gallery.owners[gallery.listed :] if not one.startswith("filler-")]
        pictures = {**footage.cast.references, **dict(each_photo(real[:DLIB_PHOTOGRAPHS]))}
        known = {one: row for one, picture in pictures.items() if (row := self._embedded(picture)) is not None}
        walkers = np.stack([row for w in footage.cast.walkers if (row := self._embedded(w.photo)) is not None])
        rows = np.stack(list(known.values()))
        spread = np.concatenate([rows, _round_about(rows, 4 * rows.shape[1])])
        filler = filler_like(spread, TEMPLATES - len(known), walkers, 0.75 * INSIGHTFACE_THRESHOLD)
        self._owners = [*known, *(f"filler-{n}" for n in range(len(filler)))]
        self._rows = np.concatenate([rows, filler])

    def _embedded(self, picture: Picture) -> NDArray[np.float32] | None:
        faces = self._app.get(picture)
        return max(faces, key=lambda face: face.bbox[2] - face.bbox[0]).normed_embedding if faces else None

    def __call__(self, path: Path, most: int | None = None) -> Run:
        run, last = Run(), dict[str, float]()
        before, began = sum(one.seconds for one in self._sessions), time.perf_counter()
        for number, image in frames_of(path, most):
            for face in self._app.get(image):
                cosines = self._rows @ face.normed_embedding
                best = int(np.argmax(cosines))
                x1, y1, x2, y2 = face.bbox
                box = np.array([x1, y1, x2 - x1, y2 - y1], np.float32)
                found = cosines[best] >= INSIGHTFACE_THRESHOLD and box[2] >= LEAST_FACE_PX
                _raise(run, last, number, self._fps, found, self._owners[best], box)
            run.frames += 1
        run.seconds = time.perf_counter() - began
        run.inference_s = sum(one.seconds for one in self._sessions) - before
        return run


def _raise(run: Run, last: dict[str, float], number: int, fps: int, found: Any, entry: str, face: Any) -> None:
    """One alert a person: the same entry again only after as long as Cordon's engine waits. `face`: x y w h …"""
    if not found or number / fps - last.get(entry, -1e9) < RE_ALERT_S:
        return
    last[entry] = number / fps
    x, y, width, height = (float(v) for v in face[:4])
    run.alerts.append((number, entry, np.array([x, y, x + width, y + height], np.float32)))


def _round_about(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Mixtures of these unit vectors with noise, so that a few photographs span all dimensions."""
    rng = np.random.default_rng(5)
    mixed = rows.mean(axis=0) + rng.standard_normal((count, rows.shape[1]), dtype=np.float32) * rows.std(axis=0)
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def insightface_pack() -> Path | None:
    """The first published pack that is at hand, where insightface or Cordon would look for it."""
    home = Path(os.environ.get("INSIGHTFACE_HOME", Path.home() / ".insightface")) / "models"
    folders = [root / name for root in (home, Path(os.environ["CORDON_MODELS"])) for name in INSIGHTFACE_PACKS]
    return next((folder for folder in folders if any(folder.glob("*.onnx"))), None)


def verdict(footage: Footage, run: Run) -> tuple[set[str], int]:
    """Listed people who were alerted on rightly, and pairs of an entry and somebody else whom it was raised for."""
    where = Whereabouts(footage.truth)
    pairs = {(entry, where.person_at(number, box)) for number, entry, box in run.alerts}
    return {entry for entry, person in pairs if entry == person}, sum(entry != person for entry, person in pairs)


def main() -> None:
    begin()
    lacking = missing("CORDON_MODELS", "CORDON_FACES")
    if lacking:
        sys.exit(f"Needs folders in {', '.join(lacking)}.")
    pack = load_pack("light", threads=THREADS)
    people = round(FACES_IN_VIEW * SECONDS / IN_VIEW_S)
    footage = film(choose_cast(pack.detector, 11, people, people // 3), SceneSettings(seconds=SECONDS, fps=12, seed=11))
    fps, threshold = footage.truth.fps, pack.manifest.suggested_threshold
    gallery = gallery_of(pack, [footage.cast], TEMPLATES, people=LFW_PEOPLE)
    say(f"{footage.faces_in_view():.1f} faces in view, {footage.faces_in_view(LEAST_FACE_PX):.1f} of them large enough")
    cordon = Cordon(load_pack("light"), gallery, threshold, fps)
    runners: dict[str, Runner] = {
        "cordon": cordon,
        "opencv_loop": OpenCVLoop(Path(os.environ["CORDON_MODELS"]), gallery, threshold, fps),
    }
    absent: dict[str, str] = {}
    notes: dict[str, Any] = {}
    try:
        dlib_runner = FaceRecognition(footage, gallery, fps)
        runners["face_recognition"] = dlib_runner
        notes["face_recognition"] = {
            "fps_is": dlib_runner.note,
            "its_list": f"the listed people and {DLIB_PHOTOGRAPHS} others of LFW in its own encodings, filler likewise",
            "references_without_a_face_for_it": len(dlib_runner.missing),
        }
    except (ImportError, SystemExit) as error:
        absent["face_recognition"] = str(error) or type(error).__name__
    folder = insightface_pack()
    if folder is None:
        absent["insightface"] = f"no pack ({', '.join(INSIGHTFACE_PACKS)}) in INSIGHTFACE_HOME/models or CORDON_MODELS"
    else:
        runners["insightface"] = InsightFace(folder, footage, gallery, fps)
        notes["insightface"] = {"pack": folder.name, "threshold": INSIGHTFACE_THRESHOLD, "detector_input": 640}
    for name, why in absent.items():
        say(f"{name} is absent: {why}")
    say("warming up …")
    for runner in runners.values():
        runner(footage.path, WARM_FRAMES)
    taken = interleaved({name: _told(name, runner, footage.path) for name, runner in runners.items()}, REPEATS)
    present = footage.present(LEAST_FACE_PX)
    results = []
    for name in runners:
        runs = taken[name]
        middle = sorted(runs, key=lambda run: run.fps)[len(runs) // 2]
        alerted, false = verdict(footage, middle)
        results.append(
            {
                "runner": name,
                "fps": median([run.fps for run in runs]),
                "people_present": len(present),
                "people_alerted": len(alerted & present),
                "false_alerts": false,
                "inference_share": median([run.inference_s / run.seconds for run in runs]),
            }
        )
    report(
        "engine",
        {
            "video": "simulated street, real faces of LFW; 1280×720 H.264",
            "frames": footage.truth.frames,
            "fps": fps,
            "people": len(footage.cast.walkers),
            "listed": len(footage.cast.references),
            "faces_in_view": round(footage.faces_in_view(), 2),
            "faces_in_view_large_enough": round(footage.faces_in_view(LEAST_FACE_PX), 2),
            "least_face_px": LEAST_FACE_PX,
            "threshold": threshold,
            "confirm": f"{AGREE} different views",
            "list": gallery.describe(),
            "cordon_index": {"engine": cordon.index.certificate.engine, "reason": cordon.index.certificate.reason},
            "repeats": REPEATS,
            "present_means": f"face at least {LEAST_FACE_PX} px wide and 70 % uncovered in 5 frames or more",
            "false_alerts_means": "pairs of an entry and another person (or nobody) whom it was raised for",
            "inference_share_means": "time during which onnxruntime's run is at work on any thread; for opencv_loop FaceDetectorYN.detect as well, "
            "for face_recognition dlib's detector, landmarks and encoder",
            "decoding": f"PyAV through the product's file source, a thread, {LANE_FRAMES} frames ahead, for everybody",
            "notes": notes,
            "absent": absent,
        },
        results,
        packages=["face_recognition", "dlib-bin", "insightface"],
    )


def _told(name: str, runner: Runner, path: Path) -> Callable[[int], Run]:
    def once(number: int) -> Run:
        run = runner(path)
        say(f"{name}, round {number + 1}: {run.fps:.1f} fps, {len(run.alerts)} alerts")
        return run

    return once


if __name__ == "__main__":
    main()
