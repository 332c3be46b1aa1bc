"""Footage with its truth, and watchlists, for the benchmarks: real faces of LFW on the simulated street.

Everything is made once for each set of inputs and kept below build/bench.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from common import CACHE, say
from numpy.typing import NDArray

from cordon.engine.frames import LANE_FRAMES
from cordon.engine.sources import VideoFileSource
from cordon.simulate import FaceBox, GroundTruth, SceneSettings, Walker, render_scene
from cordon.vision.faces import Detector
from cordon.vision.packs import Pack
from cordon.vision.yunet import overlaps

Picture = NDArray[np.uint8]
Vectors = NDArray[np.float32]

# The truth's box and a detector's box of the same face overlap at least this much.
SAME_FACE_IOU = 0.3
# Filler that is nearer to a walker than this (cosine) is drawn again: an alert on it would be the filler's doing.
FILLER_AT_MOST = 0.35


@dataclass(frozen=True)
class Cast:
    """walkers: their ids are LFW's identities; references: another photograph of each listed identity."""

    walkers: tuple[Walker, ...]
    references: dict[str, Picture]

    @property
    def identities(self) -> set[str]:
        return {walker.id for walker in self.walkers}


@dataclass(frozen=True)
class Footage:
    path: Path
    truth: GroundTruth
    cast: Cast

    def faces_in_view(self, least_px: float = 0.0) -> float:
        """How many faces a frame shows, on average."""
        shown = sum(
            face.visible >= 0.5 and width_of(face) >= least_px for person in self.truth.people for face in person.faces
        )
        return shown / self.truth.frames

    def present(self, least_px: float, frames: int = 5, visible: float = 0.7) -> set[str]:
        """The listed people whose face is really to be seen: so wide, so uncovered, in so many frames."""
        return {
            person.id
            for person in self.truth.people
            if person.listed
            and sum(face.visible >= visible and width_of(face) >= least_px for face in person.faces) >= frames
        }


class Whereabouts:
    """Whose face is at a box of a frame?"""

    def __init__(self, truth: GroundTruth) -> None:
        self._boxes: dict[int, list[tuple[str, tuple[float, float, float, float]]]] = {}
        for person in truth.people:
            for face in person.faces:
                self._boxes.setdefault(face.frame, []).append((person.id, face.box))

    def person_at(self, frame: int, box: NDArray[np.float32]) -> str | None:
        there = self._boxes.get(frame, [])
        if not there:
            return None
        shared = overlaps(np.asarray(box, np.float32), np.array([one for _, one in there], np.float32))
        best = int(np.argmax(shared))
        return there[best][0] if shared[best] >= SAME_FACE_IOU else None


class Unpaced(threading.Event):
    """A stop that never waits: the product's file source plays in real time, and here as fast as it can."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def frames_of(path: Path, most: int | None = None) -> Iterator[tuple[int, Picture]]:
    """Decoded in a thread of its own by the product's source, as many frames ahead as the engine holds of a camera."""
    ahead: queue.Queue[tuple[int, Picture] | None] = queue.Queue(maxsize=LANE_FRAMES)

    def read() -> None:
        try:
            for number, (_, image) in enumerate(VideoFileSource(path, loop=False).frames(Unpaced())):
                ahead.put((number, image))
        finally:
            ahead.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (frame := ahead.get()) is not None:
        if most is None or frame[0] < most:
            yield frame


def width_of(face: FaceBox) -> float:
    return face.box[2] - face.box[0]


def lfw() -> Path:
    return Path(os.environ["CORDON_FACES"]) / "lfw"


def choose_cast(detector: Detector, seed: int, people: int, listed: int, *, not_these: Sequence[str] = ()) -> Cast:
    """Listed people have two photographs: the first walks, the second is the reference. Nobody is chosen for being easy
    to recognise; only for one face that looks about ahead."""
    rng = np.random.default_rng(seed)
    folders = [folder for folder in sorted(lfw().iterdir()) if folder.is_dir() and folder.name not in not_these]
    walkers: list[Walker] = []
    references: dict[str, Picture] = {}
    others = 0
    for at in rng.permutation(len(folders)):
        photos = sorted(folders[at].glob("*.jpg"))
        wants_listed = len(photos) >= 2 and len(references) < listed
        if not photos or (not wants_listed and others >= people - listed):
            continue
        photo = _read(photos[0])
        box = _frontal(photo, detector)
        if box is None:
            continue
        if wants_listed:
            reference = _read(photos[1])
            if len(detector.detect(reference)) != 1:
                continue
            references[folders[at].name] = reference
        else:
            others += 1
        walkers.append(Walker(folders[at].name, photo, box, listed=wants_listed))
        if len(walkers) == people:
            break
    if len(walkers) < people:
        raise SystemExit(f"CORDON_FACES has too few usable people: {len(walkers)} of {people}.")
    return Cast(tuple(walkers), references)


def choose_two_photographs(
    detector: Detector, seed: int, people: int, listed: int, *, not_these: Sequence[str] = ()
) -> tuple[Cast, Cast]:
    """The same people twice, in another photograph each time; the references are third ones."""
    rng = np.random.default_rng(seed)
    folders = [folder for folder in sorted(lfw().iterdir()) if folder.is_dir() and folder.name not in not_these]
    first: list[Walker] = []
    second: list[Walker] = []
    references: dict[str, Picture] = {}
    for at in rng.permutation(len(folders)):
        name, photos = folders[at].name, sorted(folders[at].glob("*.jpg"))
        wants_listed = len(photos) >= 3 and len(references) < listed
        if len(photos) < 2 or (not wants_listed and len(first) - len(references) >= people - listed):
            continue
        pictures = [_read(photo) for photo in photos[:3]]
        boxes = [_frontal(picture, detector) for picture in pictures[:2]]
        if boxes[0] is None or boxes[1] is None or (wants_listed and len(detector.detect(pictures[2])) != 1):
            continue
        if wants_listed:
            references[name] = pictures[2]
        first.append(Walker(name, pictures[0], boxes[0], listed=wants_listed))
        second.append(Walker(name, pictures[1], boxes[1], listed=wants_listed))
        if len(first) == people:
            return Cast(tuple(first), references), Cast(tuple(second), references)
    raise SystemExit(f"CORDON_FACES has too few people with two usable photographs: {len(first)} of {people}.")


def film(cast: Cast, settings: SceneSettings) -> Footage:
    photographs = hashlib.sha256(b"".join(walker.photo.tobytes() for walker in cast.walkers))
    photographs.update(repr((settings, [(w.id, w.listed, w.face_box) for w in cast.walkers])).encode())
    name = photographs.hexdigest()[:16]
    video, truth = CACHE / f"{name}.mp4", CACHE / f"{name}.json"
    if not (video.is_file() and truth.is_file()):
        say(f"rendering {settings.frames} frames of {settings.width}×{settings.height} …")
        CACHE.mkdir(parents=True, exist_ok=True)
        part = video.with_suffix(".part.mp4")
        render_scene(cast.walkers, settings, part).save(truth)
        part.replace(video)
    return Footage(video, GroundTruth.load(truth), cast)


@dataclass(frozen=True)
class Gallery:
    """owners: whose template each row is; filler is `filler-…`, everybody else an LFW identity."""

    owners: list[str]
    templates: Vectors
    listed: int
    real: int

    @property
    def filler(self) -> int:
        return len(self.owners) - self.listed - self.real

    def describe(self) -> dict[str, object]:
        return {
            "templates": len(self.owners),
            "listed": self.listed,
            "other_lfw_people": self.real,
            "filler": self.filler,
            "filler_is": "drawn from a normal distribution with mean and covariance of the LFW people's templates, L2-normalised; "
            f"drawn again where its cosine with a walker's photograph reaches {FILLER_AT_MOST}",
        }


def gallery_of(pack: Pack, casts: Sequence[Cast], size: int, *, people: int | None = None) -> Gallery:
    """The listed people's references, then one template of each LFW identity that walks nowhere (at most `people`), then
    filler up to `size`."""
    walking = set().union(*(cast.identities for cast in casts))
    listed = {name: template_of(pack, picture) for cast in casts for name, picture in cast.references.items()}
    names = [folder.name for folder in sorted(lfw().iterdir()) if folder.is_dir() and folder.name not in walking]
    others = lfw_templates(pack, names[: min(size - len(listed), people or size)])
    walkers = np.stack([template_of(pack, walker.photo) for cast in casts for walker in cast.walkers])
    filler = filler_like(np.stack(list(others.values())), size - len(listed) - len(others), walkers)
    owners = [*listed, *others, *(f"filler-{number}" for number in range(len(filler)))]
    rows = [*listed.values(), *others.values()]
    return Gallery(owners, np.concatenate([np.stack(rows), filler]), len(listed), len(others))


def filler_like(real: Vectors, count: int, walkers: Vectors, at_most: float = FILLER_AT_MOST) -> Vectors:
    """`count` unit vectors spread like `real` (n, D), none of them like one of `walkers` (m, D)."""
    rng = np.random.default_rng(20261123)
    mean, covariance = real.mean(axis=0), np.cov(real.T)
    kept = np.zeros((0, real.shape[1]), np.float32)
    for _ in range(100):
        if len(kept) >= count:
            return kept[:count]
        drawn = rng.multivariate_normal(mean, covariance, 2 * count, method="cholesky").astype(np.float32)
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        kept = np.concatenate([kept, drawn[(drawn @ walkers.T).max(axis=1) < at_most]])
    raise SystemExit(f"No filler can be drawn: nearly everything is nearer to a walker than {at_most:.2f}.")


def template_of(pack: Pack, picture: Picture) -> NDArray[np.float32]:
    """Of the largest face; there is one."""
    found = pack.detector.detect(picture)
    largest = int(np.argmax(found.boxes[:, 2] - found.boxes[:, 0]))
    crops = pack.embedder.align(picture, found.landmarks[largest : largest + 1])
    return np.asarray(pack.embedder.embed_crops(crops)[0], np.float32)


def lfw_templates(pack: Pack, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Of the first photograph of each of these identities in which a face is found."""
    weights = [(role, file.sha256) for role, file in sorted(pack.manifest.files.items())]
    kept = CACHE / f"lfw-{hashlib.sha256(repr((pack.label, weights, names)).encode()).hexdigest()[:16]}.npz"
    if not kept.is_file():
        say(f"embedding {len(names)} photographs of LFW …")
        found = {
            name: template_of(pack, photo) for name, photo in each_photo(names) if len(pack.detector.detect(photo))
        }
        np.savez(kept, rows=np.stack(list(found.values())), names=np.array(list(found)))
    with np.load(kept) as stored:
        return {
            str(name): np.asarray(row, np.float32) for name, row in zip(stored["names"], stored["rows"], strict=True)
        }


def each_photo(names: Sequence[str]) -> Iterator[tuple[str, Picture]]:
    """The first photograph of each."""
    for name in names:
        yield name, _read(min((lfw() / name).glob("*.jpg")))


def _read(path: Path) -> Picture:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"{path} cannot be read.")
    return np.asarray(picture, np.uint8)


def _frontal(photo: Picture, detector: Detector) -> tuple[float, float, float, float] | None:
    """As cordon.simulate chooses its people: one face, which looks about ahead."""
    faces = detector.detect(photo)
    if len(faces) != 1:
        return None
    eyes, nose = faces.landmarks[0, :2], faces.landmarks[0, 2]
    gap = float(eyes[1, 0] - eyes[0, 0])
    if gap <= 0 or abs(float(nose[0]) - float(eyes[:, 0].mean())) > 0.22 * gap:
        return None
    x1, y1, x2, y2 = (float(v) for v in faces.boxes[0])
    return x1, y1, x2, y2
