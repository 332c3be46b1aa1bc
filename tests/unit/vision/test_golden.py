"""Golden figures of each pack: a fixed photograph must give the landmarks, the crop and the template it always gave, so
that a swapped colour order, a missing normalisation or another order of landmarks cannot slip in unseen.

The same check (`deviations`) is applied to packs that were wrongly put together, and must then complain. Of a template
only its lengths along sixteen fixed random directions are written down here: enough to notice a change, too little to be
a template of the person shown. Packs whose weights were never on this machine are held against the library that
published them instead: SFace against OpenCV, SCRFD and ArcFace against insightface.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cordon.vision import packs
from cordon.vision.embedders import IMAGENET_RGB, RAW_RGB, CropEmbedder, InputNorm
from cordon.vision.faces import Detections, Detector, Embedder
from cordon.vision.images import decode_image
from cordon.vision.packs import (
    ONNX_PACKS,
    Pack,
    PackUnavailable,
    describe_pack,
    load_pack,
    manifest_of,
    registry_pack_installed,
)

PHOTOGRAPH = "lfw/Aaron_Peirsol/1.jpg"
PHOTOGRAPH_SHA256 = "209b024b5f84e08b93dd9641ddcbdcb7400ec01e00470d4f1125bc9d7b5a81ff"
ENABLE = {
    "light": "cordon models pull light && CORDON_MODELS=~/.cache/cordon/models make test",
    "open": "cordon models pull open && CORDON_MODELS=~/.cache/cordon/models make test",
    "registry": "pip install 'cordon[registry-pack]' && make test",
    **{
        name: f"unzip {name}.zip -d MODELS/{name} && CORDON_MODELS=MODELS make test"
        for name in ("buffalo_l", "buffalo_sc", "antelopev2")
    },
}
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Golden:
    """landmarks: (5, 2) in pixels of the photograph. crop: (4, 4, 3) mean blue, green and red of its sixteen fields.
    along: (16,) lengths of the template along `directions()`. landmarks_px: how far a landmark may be off."""

    landmarks: NDArray[np.float64]
    crop: NDArray[np.float64]
    along: NDArray[np.float64]
    landmarks_px: float = 0.3
    crop_levels: float = 1.0
    along_most: float = 0.003


GOLDEN: dict[str, Golden] = {}
GOLDEN["light"] = Golden(
    np.array([[64.71, 67.86], [89.36, 68.0], [77.38, 81.38], [65.6, 91.61], [87.57, 91.88]]),
    np.array(
        [
            [[59.8, 109.0, 134.8], [67.4, 109.2, 147.0], [67.8, 115.4, 149.1], [86.1, 129.8, 150.0]],
            [[57.4, 97.3, 124.8], [83.9, 121.7, 158.3], [100.8, 133.7, 164.3], [77.0, 115.6, 138.1]],
            [[98.2, 130.4, 159.7], [96.2, 125.9, 166.9], [117.1, 147.0, 182.1], [145.6, 170.6, 192.7]],
            [[128.7, 159.0, 179.7], [82.9, 112.9, 147.1], [110.2, 137.9, 170.5], [202.0, 212.9, 220.3]],
        ]
    ),
    np.array(
        [
            -0.1105,
            0.092,
            -0.0254,
            0.0293,
            -0.0117,
            0.1276,
            -0.0598,
            -0.12,
            -0.0871,
            -0.0321,
            0.0018,
            -0.0095,
            0.0896,
            -0.1822,
            -0.0576,
            0.0246,
        ]
    ),
)
GOLDEN["registry"] = Golden(
    np.array([[63.5, 68.33], [86.5, 68.33], [77.0, 84.0], [65.0, 92.0], [88.0, 92.0]]),
    np.array(
        [
            [[58.0, 100.4, 128.6], [98.2, 137.1, 176.6], [121.7, 156.2, 191.1], [85.3, 129.8, 154.3]],
            [[76.3, 113.4, 144.9], [83.5, 116.2, 152.4], [100.4, 129.5, 161.5], [93.6, 128.9, 157.7]],
            [[118.1, 149.1, 172.4], [79.7, 108.1, 146.8], [100.7, 127.5, 163.1], [146.7, 172.8, 192.8]],
            [[126.1, 165.6, 182.4], [77.5, 105.2, 135.1], [106.2, 135.7, 167.1], [198.8, 211.1, 219.1]],
        ]
    ),
    np.array(
        [
            -0.0108,
            0.0434,
            0.0432,
            0.045,
            -0.0262,
            -0.0661,
            -0.0555,
            -0.0234,
            -0.2118,
            -0.0157,
            0.0893,
            -0.0389,
            0.2037,
            -0.1889,
            -0.11,
            0.0876,
        ]
    ),
    landmarks_px=0.6,
    crop_levels=2.0,
)


def directions(dimension: int) -> NDArray[np.float64]:
    """(16, D), of length one."""
    drawn = np.random.default_rng(20261123).normal(size=(16, dimension))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def fields(crop: Picture) -> NDArray[np.float64]:
    """(4, 4, 3): the means of sixteen fields of a crop (S, S, 3)."""
    side = crop.shape[0] // 4
    return crop[: 4 * side, : 4 * side].reshape(4, side, 4, side, 3).mean(axis=(1, 3))


def measured(pack: Pack, photograph: Picture) -> Golden:
    found = pack.detector.detect(photograph)
    assert len(found), "no face found"
    crops = pack.embedder.align(photograph, found.landmarks[:1])
    template = pack.embedder.embed_crops(crops)[0].astype(np.float64)
    return Golden(found.landmarks[0].astype(np.float64), fields(crops[0]), directions(len(template)) @ template)


def deviations(pack: Pack, photograph: Picture, golden: Golden) -> list[str]:
    """What is not as it was: an empty list if all is."""
    now = measured(pack, photograph)
    limits = {"landmarks": golden.landmarks_px, "crop": golden.crop_levels, "along": golden.along_most}
    off = {name: float(np.abs(getattr(now, name) - getattr(golden, name)).max()) for name in limits}
    return [f"{name} off by {off[name]:.4f}" for name, limit in limits.items() if not off[name] <= limit]


@pytest.fixture(scope="module")
def photograph(faces_folder: Path) -> Picture:
    data = (faces_folder / PHOTOGRAPH).read_bytes()
    assert hashlib.sha256(data).hexdigest() == PHOTOGRAPH_SHA256, f"{PHOTOGRAPH} is another photograph"
    return decode_image(data)


@functools.cache
def loaded(name: str) -> Pack:
    """Skips, with the command that would enable it, where the pack is not on this machine."""
    missing = f"NOT RUN: the pack {name} is not here. Enable with: {ENABLE[name]}"
    if name == "registry" and not registry_pack_installed():
        pytest.skip(missing)
    try:
        # Unlike load_pack, this downloads nothing.
        describe_pack(name)
    except PackUnavailable:
        pytest.skip(missing)
    return load_pack(name)


def weights_of(name: str, role: str) -> str:
    """The file; the pack must be here."""
    folder = packs._folder_of(name)
    assert folder is not None
    return str(folder / manifest_of(name).files[role].file)


@dataclass(frozen=True)
class Reordered:
    """A detector that gives the landmarks in another order."""

    detector: Detector
    order: tuple[int, ...]

    def detect(self, image: Picture) -> Detections:
        found = self.detector.detect(image)
        return Detections(found.boxes, found.scores, found.landmarks[:, list(self.order)])

    def accepting(self, *, smallest_face_px: int, score: float) -> Detector:
        return self


@dataclass(frozen=True)
class OtherColours:
    """An embedder that is given red for blue."""

    embedder: Embedder

    @property
    def dimension(self) -> int:
        return self.embedder.dimension

    def align(self, image: Picture, landmarks: NDArray[np.float32]) -> Picture:
        return self.embedder.align(image, landmarks)

    def embed_crops(self, crops: Picture) -> NDArray[np.float32]:
        return self.embedder.embed_crops(np.ascontiguousarray(crops[..., ::-1]))


@dataclass(frozen=True)
class OtherAlignment(OtherColours):
    """An embedder whose crops lie a little beside: eight pixels of 112 is how far two published templates are apart."""

    def align(self, image: Picture, landmarks: NDArray[np.float32]) -> Picture:
        apart = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=1)
        return self.embedder.align(image, landmarks + np.float32(8 / 35) * apart[:, None, None] * np.float32([1, 0]))

    def embed_crops(self, crops: Picture) -> NDArray[np.float32]:
        return self.embedder.embed_crops(crops)


@pytest.mark.parametrize("name", ["light", "registry"])
def test_a_fixed_photograph_gives_what_it_always_gave(name: str, photograph: Picture) -> None:
    assert deviations(loaded(name), photograph, GOLDEN[name]) == []


@pytest.mark.parametrize("name", ["light", "registry"])
@pytest.mark.parametrize("order", [(1, 0, 2, 3, 4), (0, 1, 2, 4, 3), (1, 0, 2, 4, 3), (2, 0, 1, 3, 4)], ids=str)
def test_landmarks_in_another_order_are_noticed(name: str, photograph: Picture, order: tuple[int, ...]) -> None:
    pack = loaded(name)
    noticed = deviations(replace(pack, detector=Reordered(pack.detector, order)), photograph, GOLDEN[name])
    # Not by the landmarks alone: a pack that reorders on both sides would be right.
    assert {one.split()[0] for one in noticed} == {"landmarks", "crop", "along"}


@pytest.mark.parametrize("name", ["light", "registry"])
@pytest.mark.parametrize("wrong", [OtherColours, OtherAlignment])
def test_swapped_colours_or_another_alignment_are_noticed(
    name: str, photograph: Picture, wrong: type[OtherColours]
) -> None:
    pack = loaded(name)
    assert deviations(replace(pack, embedder=wrong(pack.embedder)), photograph, GOLDEN[name])


@pytest.mark.parametrize(
    "norm",
    [
        replace(IMAGENET_RGB, rgb=False),
        replace(IMAGENET_RGB, mean=(0.0, 0.0, 0.0)),
        replace(IMAGENET_RGB, std=(1.0, 1.0, 1.0)),
        replace(IMAGENET_RGB, mean=IMAGENET_RGB.mean[::-1], std=IMAGENET_RGB.std[::-1]),
        InputNorm(True, 1 / 128, (127.5 / 128,) * 3, (1.0, 1.0, 1.0)),
        RAW_RGB,
    ],
    ids=["BGR", "no mean", "no deviation", "means in BGR order", "ArcFace's", "none"],
)
def test_a_wrong_normalisation_of_light_is_noticed(photograph: Picture, norm: InputNorm) -> None:
    pack = loaded("light")
    assert isinstance(pack.embedder, CropEmbedder)
    wrong = CropEmbedder(pack.embedder._model, norm, pack.embedder.dimension)
    noticed = deviations(replace(pack, embedder=wrong), photograph, GOLDEN["light"])
    assert [one.split()[0] for one in noticed] == ["along"]


def scenes(faces_folder: Path) -> list[Picture]:
    return [decode_image(path.read_bytes()) for path in sorted((faces_folder / "scenes").glob("*/*.jpg"))]


@pytest.mark.parametrize("name", ONNX_PACKS)
def test_yunet_finds_what_opencvs_own_decoder_finds(name: str, faces_folder: Path) -> None:
    pack = loaded(name)
    weights = weights_of(name, "detector")
    compared = 0
    for picture in scenes(faces_folder):
        ours = pack.detector.accepting(smallest_face_px=20, score=0.6).detect(picture)
        theirs = cv2.FaceDetectorYN.create(weights, "", picture.shape[1::-1], 0.6, 0.3, 5000)
        _, faces = theirs.detect(picture)
        assert len(ours) == (0 if faces is None else len(faces))
        if faces is None:
            continue
        faces = faces[np.argsort(-faces[:, 14], kind="stable")]
        np.testing.assert_allclose(ours.boxes[:, :2], faces[:, :2], atol=0.01)
        np.testing.assert_allclose(ours.boxes[:, 2:] - ours.boxes[:, :2], faces[:, 2:4], atol=0.01)
        np.testing.assert_allclose(ours.landmarks.reshape(-1, 10), faces[:, 4:14], atol=0.01)
        compared += len(ours)
    assert compared >= 10


def test_sface_gives_what_opencvs_own_recogniser_gives(photograph: Picture) -> None:
    pack = loaded("open")
    theirs = cv2.FaceRecognizerSF.create(weights_of("open", "embedder"), "")
    found = pack.detector.detect(photograph)
    corners = found.boxes[0]
    face = np.concatenate([corners[:2], corners[2:] - corners[:2], found.landmarks[0].ravel(), found.scores[:1]])
    expected = theirs.feature(theirs.alignCrop(photograph, face.astype(np.float32)[None]))[0]
    template = pack.embedder.embed_crops(pack.embedder.align(photograph, found.landmarks[:1]))[0]
    assert float(template @ expected / np.linalg.norm(expected)) > 0.995
    swapped = OtherColours(pack.embedder).embed_crops(pack.embedder.align(photograph, found.landmarks[:1]))[0]
    assert float(swapped @ expected / np.linalg.norm(expected)) < 0.995


@pytest.mark.parametrize("name", ["buffalo_l", "buffalo_sc", "antelopev2"])
def test_an_insightface_pack_gives_what_insightface_gives(name: str, photograph: Picture) -> None:
    from insightface.app.common import Face
    from insightface.utils import face_align

    pack = loaded(name)
    found = pack.detector.detect(photograph)
    network = pack.embedder._model  # type: ignore[attr-defined]
    face = Face(kps=found.landmarks[0])
    expected = network.get(photograph, face)
    expected = expected / np.linalg.norm(expected)
    crops = pack.embedder.align(photograph, found.landmarks[:1])
    np.testing.assert_allclose(fields(crops[0]), fields(face_align.norm_crop(photograph, found.landmarks[0])), atol=1)
    assert float(pack.embedder.embed_crops(crops)[0] @ expected) > 0.999
    assert float(OtherColours(pack.embedder).embed_crops(crops)[0] @ expected) < 0.999
