"""From a reference picture to a template: exactly one face, good enough to be searched with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cordon.vision.images import decode_image, encode_jpeg
from cordon.vision.packs import Pack
from cordon.vision.quality import (
    REFERENCE_LEAST_FACE_PX,
    REFERENCE_LEAST_SHARPNESS,
    FaceQuality,
    assess,
    why_not_comparable,
)

PICTURE_PX = 480
# A second face counts if it is at least this large beside the first: a passer-by far behind is no second subject.
RIVAL_FACE_SHARE = 0.5


class ReferenceRefused(Exception):
    """A picture from which no template may be made: `code` for programs, `sentence` for the watchlist manager."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True)
class EnrolledReference:
    """template: (D,) float32, L2-normalised. picture_jpeg: the face with a margin, encoded anew, without metadata."""

    template: NDArray[np.float32]
    quality: FaceQuality
    picture_jpeg: bytes
    box: tuple[float, float, float, float]


def enrol_reference(pack: Pack, data: bytes) -> EnrolledReference:
    """Raises ImageRefused for what is no usable picture, ReferenceRefused for an unusable face."""
    image = decode_image(data)
    found = pack.detector.detect(image)
    if not len(found):
        raise ReferenceRefused("no_face", "There is no face to be found in the picture.")
    widths = found.boxes[:, 2] - found.boxes[:, 0]
    chosen = int(np.argmax(widths))
    rivals = int((widths >= RIVAL_FACE_SHARE * widths[chosen]).sum()) - 1
    if rivals:
        raise ReferenceRefused("several_faces", f"There are {rivals + 1} faces in the picture: cut it to one.")
    crops = pack.embedder.align(image, found.landmarks[chosen : chosen + 1])
    quality = assess(crops[0], found.boxes[chosen], found.landmarks[chosen], float(found.scores[chosen]))
    reason = why_not_comparable(
        quality, least_face_px=REFERENCE_LEAST_FACE_PX, least_sharpness=REFERENCE_LEAST_SHARPNESS
    )
    if reason is not None:
        raise ReferenceRefused(*reason)
    template = pack.embedder.embed_crops(crops)[0]
    if not np.isfinite(template).all():
        raise ReferenceRefused("no_template", "No template could be made of this face.")
    box = found.boxes[chosen]
    picture = encode_jpeg(with_margin(image, box, 0.6), longest_side=PICTURE_PX)
    return EnrolledReference(template, quality, picture, tuple(float(v) for v in box))  # type: ignore[arg-type]


def with_margin(image: NDArray[np.uint8], box: NDArray[np.float32], share: float) -> NDArray[np.uint8]:
    """The part of the picture around a box (4,), widened on each side by `share` of its size, cut at the border."""
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    x1, y1 = max(0, round(float(box[0]) - share * width)), max(0, round(float(box[1]) - share * height))
    x2 = min(image.shape[1], round(float(box[2]) + share * width))
    y2 = min(image.shape[0], round(float(box[3]) + share * height))
    return image[y1:y2, x1:x2]
