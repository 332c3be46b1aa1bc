"""From a folder of photographs to the templates of a list and of its probes.

The gallery is the first image of each identity with two images or more, the mated probes are its other images, the
non-mated probes are the identities with one image. Of each picture the largest central face counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cordon.vision.faces import Detections
from cordon.vision.images import ImageRefused, decode_image
from cordon.vision.packs import Pack
from cordon.vision.quality import FaceQuality, assess

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
LEAST_SCORE = 0.6
SMALLEST_FACE_PX = 20
# How much a pixel off the centre costs against a pixel of area: InsightFace's rule, under which the face in the middle
# of a portrait wins against a larger one at its edge.
OFF_CENTRE_COST = 2.0


class NotEvaluable(Exception):
    """The photographs do not support what was asked; the message is a sentence for the person who asked."""


@dataclass(frozen=True)
class NotCounted:
    """Pictures that took no part as they should, as `identity/file`.

    unreadable: no picture at all, left out. no_face_reference: the next picture of the identity took its place.
    no_face_mated: counted as probes that were not found. no_face_non_mated: left out of FPIR, which without them is
    higher, not lower. not_enrolled: identities of whom no picture could be a reference, left out with their pictures.
    """

    unreadable: tuple[str, ...]
    no_face_reference: tuple[str, ...]
    no_face_mated: tuple[str, ...]
    no_face_non_mated: tuple[str, ...]
    not_enrolled: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Collected:
    """Templates and what is known of their pictures. G entries, M mated probes, K non-mated probes, D dimensions.

    gallery: (G, D); mated: (M, D), rows of NaN where there was no face; mated_entry: (M,) the row of the probe's mate;
    non_mated: (K, D), one row an identity. The quality of a probe without a face is None.
    """

    pack: str
    identities: tuple[str, ...]
    gallery: NDArray[np.float32]
    mated: NDArray[np.float32]
    mated_entry: NDArray[np.intp]
    mated_quality: tuple[FaceQuality | None, ...]
    non_mated_identities: tuple[str, ...]
    non_mated: NDArray[np.float32]
    non_mated_quality: tuple[FaceQuality | None, ...]
    not_counted: NotCounted


@dataclass(frozen=True)
class _View:
    """One readable picture; template and quality are None where no face was found in it."""

    label: str
    template: NDArray[np.float32] | None
    quality: FaceQuality | None


def identity_folder(folder: Path) -> Path:
    """The folder whose subfolders are identities: `folder`, or its `lfw` (as CORDON_FACES holds it)."""
    return folder / "lfw" if (folder / "lfw").is_dir() else folder


def collect(pack: Pack, folder: Path, on_identity: Callable[[int, int], None] | None = None) -> Collected:
    """Reads `<folder>/<identity>/<n>.jpg`. `on_identity(done, of)` is told of progress. Raises NotEvaluable."""
    if not folder.is_dir():
        raise NotEvaluable(f"{folder} is not a folder.")
    people = sorted(path for path in folder.iterdir() if path.is_dir())
    unreadable: list[str] = []
    views: dict[str, list[_View]] = {}
    for done, person in enumerate(people, 1):
        views[person.name] = _views_of(pack, person, unreadable)
        if on_identity is not None:
            on_identity(done, len(people))
    if not any(views.values()):
        raise NotEvaluable(f"There is no readable picture in {folder}: it must hold a folder for each identity.")
    return _sorted_out(pack, views, tuple(unreadable))


def central_face(found: Detections, height: int, width: int) -> int | None:
    """Which face of a picture of this size (pixels) is its subject: large and near the middle; None without one."""
    able = np.flatnonzero(found.scores >= LEAST_SCORE)
    if not len(able):
        return None
    boxes = found.boxes[able].astype(np.float64)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    off_x = (boxes[:, 0] + boxes[:, 2]) / 2 - width / 2
    off_y = (boxes[:, 1] + boxes[:, 3]) / 2 - height / 2
    return int(able[np.argmax(area - OFF_CENTRE_COST * (off_x**2 + off_y**2))])


def _views_of(pack: Pack, person: Path, unreadable: list[str]) -> list[_View]:
    views = []
    for path in sorted((p for p in person.iterdir() if p.suffix.lower() in ENDINGS), key=_in_order):
        label = f"{person.name}/{path.name}"
        try:
            image = decode_image(path.read_bytes())
        except (ImageRefused, OSError):
            unreadable.append(label)
            continue
        views.append(_view(pack, image, label))
    return views


def _view(pack: Pack, image: NDArray[np.uint8], label: str) -> _View:
    found = pack.detector.accepting(smallest_face_px=SMALLEST_FACE_PX, score=LEAST_SCORE).detect(image)
    chosen = central_face(found, image.shape[0], image.shape[1])
    if chosen is None:
        return _View(label, None, None)
    crops = pack.embedder.align(image, found.landmarks[chosen : chosen + 1])
    template = pack.embedder.embed_crops(crops)[0]
    if not np.isfinite(template).all():
        return _View(label, None, None)
    return _View(
        label, template, assess(crops[0], found.boxes[chosen], found.landmarks[chosen], float(found.scores[chosen]))
    )


def _in_order(path: Path) -> tuple[list[int], str]:
    """By the numbers in the name, so that 10.jpg comes after 9.jpg."""
    return [int(number) for number in re.findall(r"\d+", path.stem)], path.name


def _sorted_out(pack: Pack, views: dict[str, list[_View]], unreadable: tuple[str, ...]) -> Collected:
    identities: list[str] = []
    gallery: list[NDArray[np.float32]] = []
    mated: list[tuple[int, _View]] = []
    strangers: list[tuple[str, _View]] = []
    no_reference: list[str] = []
    no_probe: list[str] = []
    not_enrolled: list[str] = []
    for identity, seen in views.items():
        if len(seen) == 1:
            if seen[0].template is None:
                no_probe.append(seen[0].label)
            else:
                strangers.append((identity, seen[0]))
        elif len(seen) > 1:
            first = next((at for at, view in enumerate(seen) if view.template is not None), None)
            if first is None:
                not_enrolled.append(identity)
                continue
            no_reference += [view.label for view in seen[:first]]
            mated += [(len(identities), view) for view in seen[first + 1 :]]
            identities.append(identity)
            gallery.append(_row(pack, seen[first]))
    if not mated or not strangers:
        raise NotEvaluable(
            "Identities with two pictures or more, and identities with one, are both needed: "
            f"there are {len(identities)} and {len(strangers)} with a usable face."
        )
    return Collected(
        pack=pack.label,
        identities=tuple(identities),
        gallery=np.stack(gallery),
        mated=np.stack([_row(pack, view) for _, view in mated]),
        mated_entry=np.asarray([entry for entry, _ in mated], np.intp),
        mated_quality=tuple(view.quality for _, view in mated),
        non_mated_identities=tuple(identity for identity, _ in strangers),
        non_mated=np.stack([_row(pack, view) for _, view in strangers]),
        non_mated_quality=tuple(view.quality for _, view in strangers),
        not_counted=NotCounted(
            unreadable,
            tuple(no_reference),
            tuple(view.label for _, view in mated if view.template is None),
            tuple(no_probe),
            tuple(not_enrolled),
        ),
    )


def _row(pack: Pack, view: _View) -> NDArray[np.float32]:
    if view.template is None:
        return np.full(pack.embedder.dimension, np.nan, np.float32)
    return view.template
