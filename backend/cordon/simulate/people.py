"""Who walks: photographs of faces, where they come from, and how a head is cut out of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cordon.vision.faces import Detector, Embedder

Picture = NDArray[np.uint8]

# A head photograph keeps at most this many pixels across the face: no walker comes nearer than that.
FACE_PX = 200
# Cosine between the two photographs of a listed person, where an embedder is given: rendering and compression cost a
# tenth of it, and a demonstration's listed people should come out above an ordinary threshold. No measure of accuracy.
LIKENESS = 0.55
# The head about the detector's box, in widths of that box: hair above, jaw and neck below.
_ABOVE, _BELOW, _ASIDE = 0.62, 0.34, 0.42


@dataclass(frozen=True)
class Walker:
    """One person to render. photo: BGR uint8; face_box: x1 y1 x2 y2 of the face in it, pixels; id: a label, no name."""

    id: str
    photo: Picture
    face_box: tuple[float, float, float, float]
    listed: bool = False


@dataclass(frozen=True)
class DemoPerson:
    """A walker and the picture that the watchlist gets of the same person (BGR uint8)."""

    walker: Walker
    reference: Picture


@dataclass(frozen=True)
class Head:
    """photo: premultiplied BGRA; face_box in it; skin: mean BGR of the cheeks."""

    photo: Picture
    face_box: tuple[float, float, float, float]
    skin: tuple[float, float, float]


class NotEnoughFaces(Exception):
    """There are fewer usable people than were asked for; the message is a sentence for the person who asked."""


def faces_for_demo(
    detector: Detector,
    *,
    people: int,
    listed: int,
    seed: int = 0,
    folder: Path | None = None,
    embedder: Embedder | None = None,
    enrols: Callable[[Picture], bool] | None = None,
) -> list[DemoPerson]:
    """`people` distinct persons, the first `listed` of them on the list, chosen by `seed`.

    From `folder` (default CORDON_FACES: `<set>/<identity>/<n>.jpg`; the set `lfw`, identities of two photographs or
    more) the reference is another photograph than the one that is rendered. Without it, from the group photograph that
    the insightface package carries (`t1`): there the reference and the rendered head are cut from the same photograph,
    the reference being a mirrored, slightly turned and re-lit crop, so that a match shows that the road works and
    nothing about accuracy.

    With an `embedder`, only those are listed whose two photographs it takes for one person (LIKENESS); with `enrols`, only
    those whose reference it takes, since a watchlist refuses poor pictures. The others walk by unlisted. What is rendered
    is then a demonstration of the way from face to alert, never a measurement of how many are found.
    Raises NotEnoughFaces.
    """
    given = folder or (Path(os.environ["CORDON_FACES"]) if os.environ.get("CORDON_FACES") else None)
    rng = np.random.default_rng(seed)
    source = _sample_people(detector) if given is None else _people_of(given, detector, rng)
    wanted: list[Found] = []
    passers_by: list[Found] = []
    for photo, box, reference in source:
        fit = len(wanted) < listed and (enrols is None or enrols(reference))
        if fit and embedder is not None:
            fit = _likeness(photo, box, reference, detector, embedder) >= LIKENESS
        if fit:
            wanted.append((photo, box, reference))
        elif len(passers_by) < people - listed:
            passers_by.append((photo, box, reference))
        if len(wanted) == listed and len(passers_by) == people - listed:
            return [
                DemoPerson(Walker(f"person-{number + 1:02d}", photo, box, listed=number < listed), reference)
                for number, (photo, box, reference) in enumerate(wanted + passers_by)
            ]
    found = len(wanted) + len(passers_by)
    raise NotEnoughFaces(f"{people} people were asked for, but only {found} usable faces were found.")


def _likeness(
    photo: Picture,
    face_box: tuple[float, float, float, float],
    reference: Picture,
    detector: Detector,
    embedder: Embedder,
) -> float:
    """Cosine between the face at that box and the largest in the reference; -1 where the reference shows none."""
    here, there = detector.detect(photo), detector.detect(reference)
    if not len(here) or not len(there):
        return -1.0
    at = int(np.argmin(np.abs(here.boxes - np.array(face_box, np.float32)).sum(axis=1)))
    largest = int(np.argmax(there.boxes[:, 2] - there.boxes[:, 0]))
    one = embedder.embed_crops(embedder.align(photo, here.landmarks[at : at + 1]))[0]
    other = embedder.embed_crops(embedder.align(reference, there.landmarks[largest : largest + 1]))[0]
    return float(one @ other)


def cut_head(photo: Picture, face_box: tuple[float, float, float, float], *, roundness: float = 2.4) -> Head:
    """The head, cut from its background along hair and jaw (GrabCut inside a soft oval), edges soft."""
    x1, y1, x2, y2 = face_box
    width = x2 - x1
    shrink = min(1.0, FACE_PX / width)
    left, top = x1 - _ASIDE * width, y1 - _ABOVE * width
    size = (round((1 + 2 * _ASIDE) * width * shrink), round((y2 - y1 + (_ABOVE + _BELOW) * width) * shrink))
    matrix = np.array([[shrink, 0, -left * shrink], [0, shrink, -top * shrink]])
    crop = cv2.warpAffine(
        photo, matrix, size, flags=cv2.INTER_AREA if shrink < 0.6 else cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    box = tuple(
        float(v) for v in ((x1 - left) * shrink, (y1 - top) * shrink, (x2 - left) * shrink, (y2 - top) * shrink)
    )
    mask = _head_mask(np.asarray(crop, np.uint8), (box[0], box[1], box[2], box[3]), roundness)
    skin_at = crop[
        int(box[1] + 0.48 * (box[3] - box[1])) : int(box[1] + 0.64 * (box[3] - box[1])),
        int(box[0] + 0.16 * (box[2] - box[0])) : int(box[0] + 0.84 * (box[2] - box[0])),
    ].reshape(-1, 3)
    # The lighter half of the cheeks: no nostril, no fold, no shaded side.
    skin = np.median(skin_at[skin_at.sum(axis=1) >= np.median(skin_at.sum(axis=1))], axis=0)
    alpha = mask[..., None].astype(np.float32) / 255
    cut = np.concatenate([crop * alpha, mask[..., None].astype(np.float32)], axis=-1)
    return Head(
        np.clip(cut, 0, 255).astype(np.uint8),
        (box[0], box[1], box[2], box[3]),
        (float(skin[0]), float(skin[1]), float(skin[2])),
    )


def _head_mask(crop: Picture, box: tuple[float, float, float, float], roundness: float) -> Picture:
    """255 on the head, 0 off it. `roundness`: the exponent of the oval, 2 being an ellipse."""
    height, width = crop.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    face_w, face_h = box[2] - box[0], box[3] - box[1]
    middle_x, middle_y = (box[0] + box[2]) / 2, box[1] + 0.36 * face_h
    # Wide at the temples, narrower at the jaw.
    half = np.where(rows < middle_y, 0.74 * face_w, 0.74 * face_w - 0.26 * face_w * (rows - middle_y) / (0.75 * face_h))
    up, down = 0.5 * face_h + 0.34 * face_w, 0.72 * face_h
    reach = np.where(rows < middle_y, up, down)
    oval = (
        np.abs((columns - middle_x) / np.maximum(half, 1)) ** roundness + np.abs((rows - middle_y) / reach) ** roundness
    )
    # Surely head: the face, and the skull above the forehead.
    core = ((columns - middle_x) / (0.45 * face_w)) ** 2 + ((rows - (box[1] + 0.43 * face_h)) / (0.6 * face_h)) ** 2
    labels = np.full((height, width), cv2.GC_BGD, np.uint8)
    labels[oval < 1] = cv2.GC_PR_FGD
    labels[core < 1] = cv2.GC_FGD
    cv2.setRNGSeed(7)
    cv2.grabCut(crop, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    head = np.where((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    # Bows, flags and slits are smaller than a tenth of a head; hair and ears are rounder.
    for operation, share in ((cv2.MORPH_CLOSE, 0.22), (cv2.MORPH_OPEN, 0.34)):
        across = max(3, round(face_w * share)) | 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
        head = np.asarray(cv2.morphologyEx(head, operation, kernel), np.uint8)
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(head)
    if count > 2:
        head = np.where(parts == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA])), 255, 0).astype(np.uint8)
    head = np.asarray(cv2.erode(head, np.ones((3, 3), np.uint8)), np.uint8)
    return np.asarray(cv2.GaussianBlur(head, (0, 0), max(0.8, face_w * 0.018)), np.uint8)


Found = tuple[Picture, tuple[float, float, float, float], Picture]


def _people_of(folder: Path, detector: Detector, rng: np.random.Generator) -> Iterator[Found]:
    root = folder / "lfw" if (folder / "lfw").is_dir() else folder
    identities = sorted(path for path in root.iterdir() if path.is_dir())
    for number in rng.permutation(len(identities)):
        photos = sorted(identities[number].glob("*.jpg"))
        if len(photos) < 2:
            continue
        rendered, reference = cv2.imread(str(photos[0])), cv2.imread(str(photos[1]))
        if rendered is None or reference is None:
            continue
        faces = detector.detect(np.asarray(rendered, np.uint8))
        # One face, and one in the reference too: nobody can say whose head would be cut out of a couple.
        if len(faces) != 1 or len(detector.detect(np.asarray(reference, np.uint8))) != 1:
            continue
        eyes, nose = faces.landmarks[0, :2], faces.landmarks[0, 2]
        gap = float(eyes[1, 0] - eyes[0, 0])
        # Only those who look about ahead: a profile does not walk towards a camera.
        if gap <= 0 or abs(float(nose[0]) - float(eyes[:, 0].mean())) > 0.22 * gap:
            continue
        x1, y1, x2, y2 = (float(v) for v in faces.boxes[0])
        yield np.asarray(rendered, np.uint8), (x1, y1, x2, y2), np.asarray(reference, np.uint8)


def _sample_people(detector: Detector) -> Iterator[Found]:
    from insightface.data import get_image

    picture = np.asarray(get_image("t1"), np.uint8)
    faces = detector.detect(picture)
    for x1, y1, x2, y2 in faces.boxes[np.argsort(faces.boxes[:, 0])].tolist():
        width = x2 - x1
        yield picture, (x1, y1, x2, y2), _perturbed(picture, ((x1 + x2) / 2, (y1 + y2) / 2), width)


def _perturbed(picture: Picture, middle: tuple[float, float], width: float) -> Picture:
    """A square crop, mirrored, turned by three degrees, enlarged and a little brighter."""
    size = 480
    matrix = cv2.getRotationMatrix2D(middle, 3.0, size / (2.2 * width))
    matrix[0, 2] += size / 2 - middle[0]
    matrix[1, 2] += size / 2 - middle[1]
    crop = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(cv2.convertScaleAbs(crop[:, ::-1], alpha=1.06, beta=6), np.uint8)
