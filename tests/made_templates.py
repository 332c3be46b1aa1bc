"""Templates made of numbers, for rates whose truth is known; and a pack that sees a face wherever a picture is bright."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from cordon.evaluation.calibrate import calibrate
from cordon.evaluation.calibration import Calibration
from cordon.evaluation.protocol import Collected, NotCounted
from cordon.evaluation.rates import search
from cordon.vision.faces import Detections
from cordon.vision.packs import Pack, PackManifest
from cordon.vision.quality import FaceQuality

DIMENSION = 16


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def collected(entries: int, strangers: int, *, seed: int = 0, blur: float = 0.6, faceless: int = 0) -> Collected:
    """Each entry with two mated probes about it; `faceless` of the probes have no template."""
    chance = np.random.default_rng(seed)
    gallery = unit(chance.standard_normal((entries, DIMENSION)))
    entry = np.repeat(np.arange(entries), 2)
    mated = unit(gallery[entry] + blur * unit(chance.standard_normal((len(entry), DIMENSION))))
    mated[:faceless] = np.nan
    quality = [FaceQuality(chance.uniform(40, 200), 20.0, chance.uniform(0, 40), 0, 120, 0.9) for _ in range(strangers)]
    of_mated = tuple(
        None if np.isnan(row).any() else FaceQuality(chance.uniform(40, 200), 20.0, 5, 0, 120, 0.9) for row in mated
    )
    return Collected(
        pack="made 1",
        identities=tuple(f"listed {number}" for number in range(entries)),
        gallery=gallery,
        mated=mated,
        mated_entry=entry.astype(np.intp),
        mated_quality=of_mated,
        non_mated_identities=tuple(f"stranger {number}" for number in range(strangers)),
        non_mated=unit(chance.standard_normal((strangers, DIMENSION))),
        non_mated_quality=tuple(quality),
        not_counted=NotCounted((), (), (), (), ()),
    )


def calibration_of(data: Collected) -> Calibration:
    return calibrate(data, search(data), data="made", limits="none", measured_on=date(2026, 11, 23))


class BrightFace:
    """A face fills any picture that is not dark."""

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        if image.mean() < 30:
            return Detections.none()
        height, width = image.shape[:2]
        landmarks = np.asarray([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * [width, height]
        box = np.asarray([[0, 0, width, height]], np.float32)
        return Detections(box, np.asarray([0.9], np.float32), landmarks[None].astype(np.float32))

    def accepting(self, *, smallest_face_px: int, score: float) -> BrightFace:
        return self


class MeanColours:
    """The template is the picture's mean colour in four by four fields."""

    dimension = 48

    def align(self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        rows = np.linspace(0, image.shape[0] - 1, 112).astype(int)
        columns = np.linspace(0, image.shape[1] - 1, 112).astype(int)
        return np.repeat(image[rows][:, columns][None], len(landmarks), axis=0)

    def embed_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        fields = crops.reshape(len(crops), 4, 28, 4, 28, 3).mean(axis=(2, 4)).reshape(len(crops), -1)
        return unit(fields - fields.mean(axis=1, keepdims=True))


def made_pack() -> Pack:
    manifest = PackManifest("made", "1", 48, "", "exercise", "", 0.5, "", "", {})
    return Pack(manifest, BrightFace(), MeanColours())
