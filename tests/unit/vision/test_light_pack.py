"""The `light` pack on real photographs: like faces are near, unlike ones far, poor pictures are refused."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cordon.vision.enrol import ReferenceRefused, enrol_reference
from cordon.vision.faces import Detections
from cordon.vision.images import decode_image, encode_jpeg
from cordon.vision.packs import Pack, PackUnavailable, load_pack
from cordon.vision.redact import every_face, pixelate_bystanders
from cordon.vision.track import Tracker

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def pack(models_folder: Path) -> Pack:
    return load_pack("light")


@pytest.fixture(scope="module")
def pairs(faces_folder: Path) -> list[tuple[Picture, Picture]]:
    """Two photographs each of sixty people."""
    folders = [folder for folder in sorted((faces_folder / "lfw").iterdir()) if len(list(folder.glob("*.jpg"))) >= 2]
    return [
        (decode_image(first.read_bytes()), decode_image(second.read_bytes()))
        for first, second in (sorted(folder.glob("*.jpg"))[:2] for folder in folders[:60])
    ]


def central(pack: Pack, picture: Picture) -> Detections:
    """The largest face near the middle, as the manifest's figures were measured."""
    found = pack.detector.detect(picture)
    middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    apart = np.abs(middle - np.array(picture.shape[1::-1]) / 2).max(axis=1)
    sizes = np.where(apart < 50, found.boxes[:, 2] - found.boxes[:, 0], 0)
    return found.select(np.array([int(np.argmax(sizes))]))


def template(pack: Pack, picture: Picture) -> NDArray[np.float32]:
    return pack.embedder.embed_crops(pack.embedder.align(picture, central(pack, picture).landmarks))[0]


def test_photographs_of_one_person_are_near_and_of_two_people_far(
    pack: Pack, pairs: list[tuple[Picture, Picture]]
) -> None:
    first = np.stack([template(pack, a) for a, _ in pairs])
    second = np.stack([template(pack, b) for _, b in pairs])
    cosines = first @ second.T
    mates, others = np.diag(cosines), cosines[~np.eye(len(pairs), dtype=bool)]
    # The manifest's own figures on the whole of LFW: 0.63 ± 0.12 and 0.01 ± 0.10.
    assert 0.58 < mates.mean() < 0.68
    assert abs(others.mean()) < 0.03
    assert np.quantile(others, 0.999) < 0.40
    assert (mates > np.where(np.eye(len(pairs), dtype=bool), -1, cosines).max(axis=1)).mean() > 0.95


def test_a_good_photograph_is_enrolled_and_another_of_the_same_person_resembles_it(
    pack: Pack, pairs: list[tuple[Picture, Picture]]
) -> None:
    taken = []
    for first, second in pairs:
        try:
            enrolled = enrol_reference(pack, encode_jpeg(first, longest_side=1_000, quality=95))
        except ReferenceRefused:
            continue
        assert np.linalg.norm(enrolled.template) == pytest.approx(1.0, abs=1e-5)
        taken.append(float(enrolled.template @ template(pack, second)))
    assert len(taken) >= 30
    assert np.median(taken) > 0.5


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (lambda p: cv2.GaussianBlur(p, (0, 0), 4), {"blurred", "no_face", "uncertain_face", "side_on"}),
        (
            lambda p: cv2.resize(cv2.resize(p, (45, 45)), (250, 250)),
            {"blurred", "no_face", "uncertain_face", "unreliable", "side_on"},
        ),
        (lambda p: cv2.resize(p, (90, 90)), {"face_too_small", "no_face", "uncertain_face", "blurred"}),
        (lambda p: (p * 0.06).astype(np.uint8), {"dark", "no_face", "uncertain_face", "blurred"}),
        (lambda p: np.hstack([p, p[:, ::-1]]), {"several_faces"}),
        (lambda p: np.full_like(p, 128), {"no_face"}),
    ],
    ids=["blurred", "22 x 28 pixels enlarged", "too small", "dark", "two faces", "no face"],
)
def test_a_poor_reference_is_refused_with_its_reason(
    pack: Pack, pairs: list[tuple[Picture, Picture]], spoil, codes: set[str]
) -> None:
    for picture, _ in pairs[:12]:
        with pytest.raises(ReferenceRefused) as refused:
            enrol_reference(pack, encode_jpeg(spoil(picture), longest_side=1_000, quality=95))
        assert refused.value.code in codes | {"several_faces"}
        assert refused.value.sentence.endswith((".", "needed."))


@pytest.mark.parametrize("face_scale", [0.7, 1.0, 2.0, 5.0], ids=lambda scale: f"{scale:g} times as large")
def test_a_pixelated_bystander_is_no_face_and_nobody_any_more(
    pack: Pack, pairs: list[tuple[Picture, Picture]], face_scale: float
) -> None:
    """Also where the bystander stands much nearer to the camera than the subject."""
    hidden = 0
    for subject, bystander in pairs[:12]:
        beside = cv2.resize(bystander, None, fx=face_scale, fy=face_scale)
        scene = np.zeros((max(250, beside.shape[0]), 400 + beside.shape[1], 3), np.uint8)
        scene[: subject.shape[0], : subject.shape[1]] = subject
        scene[: beside.shape[0], 400:] = beside
        box = central(pack, subject).boxes[0]
        redacted = pixelate_bystanders(scene, box, every_face(scene, pack.detector, longest_side=960))
        kept = redacted[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])]
        assert np.array_equal(kept, scene[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])])
        seen = cv2.resize(np.ascontiguousarray(redacted[: beside.shape[0], 400:]), (250, 250))
        left = pack.detector.detect(seen)
        if len(left):
            crops = pack.embedder.align(seen, left.landmarks)
            assert (pack.embedder.embed_crops(crops) @ template(pack, bystander)).max() < 0.35
        hidden += not len(left)
    assert hidden >= 9


def test_weights_that_were_changed_are_not_loaded(
    models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in models_folder.glob("*.onnx"):
        shutil.copy(path, tmp_path)
    changed = tmp_path / "mobilefacenet_ms1m_112_128.onnx"
    changed.write_bytes(changed.read_bytes()[:-1] + b"!")
    monkeypatch.setenv("CORDON_MODELS", str(tmp_path))
    with pytest.raises(PackUnavailable, match="not the ones that were published"):
        load_pack("light")


def walk(boxes: list[tuple[float, float, float]]) -> Detections:
    """Faces at (x, y) of a width."""
    corners = np.array([[x, y, x + w, y + 1.3 * w] for x, y, w in boxes], np.float32).reshape(-1, 4)
    return Detections(corners, np.full(len(boxes), 0.9, np.float32), np.zeros((len(boxes), 5, 2), np.float32))


def test_a_person_who_walks_by_is_one_face_seen() -> None:
    tracker = Tracker()
    for step in range(30):
        tracks = tracker.update(walk([(100 + 9 * step, 200, 50)]), START + timedelta(seconds=step / 10))
        assert tracks[0].number == 1
    assert tracker.faces_seen == 1
    assert tracks[0].direction == "right"


def test_two_people_who_pass_each_other_keep_their_tracks() -> None:
    tracker = Tracker()
    for step in range(40):
        there, back = (100 + 12 * step, 200, 50), (580 - 12 * step, 250, 50)
        numbers = [t.number for t in tracker.update(walk([there, back]), START + timedelta(seconds=step / 10))]
        assert numbers == [1, 2]
    assert tracker.faces_seen == 2


def test_a_track_dies_when_its_face_is_gone_and_a_face_seen_once_is_no_person() -> None:
    tracker = Tracker()
    first = tracker.update(walk([(100, 100, 50)]), START)[0]
    later = tracker.update(walk([(100, 100, 50)]), START + timedelta(seconds=2))[0]
    assert later.number != first.number
    assert tracker.faces_seen == 0
