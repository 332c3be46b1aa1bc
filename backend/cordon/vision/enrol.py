"""From a reference picture to a template: exactly one face, good enough to be searched with.

A poor reference is worse than a poor probe. Against good references a poor probe raises no more false alerts than a
good one; but poor pictures of one kind resemble each other more than anything else: of 700 strangers in masks, 692 were
taken for somebody on a list of masked faces (`make bench-degradation`, models/README.md). So beside what is asked of
probes, a reference's template must stand on a whole face: it has to change when the mouth or the eyes are hidden, or
they were hidden before; and it must not change when the picture is mirrored or a little noise added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cordon.vision.images import decode_image, encode_jpeg
from cordon.vision.packs import Pack
from cordon.vision.quality import (
    REFERENCE_LEAST_FACE_PX,
    REFERENCE_LEAST_SHARPNESS,
    REFERENCE_MOST_YAW_DEG,
    FaceQuality,
    assess,
    why_not_comparable,
)

PICTURE_PX = 480
# A second face counts if it is at least this large beside the first: a passer-by far behind is no second subject.
RIVAL_FACE_SHARE = 0.5
# Shares of the aligned crop, from its top and left: the mouth and chin; a band over both eyes.
_MOUTH = ((0.59, 1.0), (0.0, 1.0))
_EYES = ((0.36, 0.55), (0.18, 0.82))
_PALE, _DARK = 200, 20
_NOISE_LEVELS = 12.0


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
    reason = why_no_reference(quality)
    if reason is not None:
        raise ReferenceRefused(*reason)
    template = pack.embedder.embed_crops(crops)[0]
    if not np.isfinite(template).all():
        raise ReferenceRefused("no_template", "No template could be made of this face.")
    reason = why_unreliable(pack, crops[0], template)
    if reason is not None:
        raise ReferenceRefused(*reason)
    box = found.boxes[chosen]
    picture = encode_jpeg(with_margin(image, box, 0.6), longest_side=PICTURE_PX)
    return EnrolledReference(template, quality, picture, tuple(float(v) for v in box))  # type: ignore[arg-type]


def why_no_reference(quality: FaceQuality) -> tuple[str, str] | None:
    """The first reason against the view as a reference, as code and sentence; None if there is none."""
    return why_not_comparable(
        quality,
        least_face_px=REFERENCE_LEAST_FACE_PX,
        least_sharpness=REFERENCE_LEAST_SHARPNESS,
        most_yaw_deg=REFERENCE_MOST_YAW_DEG,
    )


def why_unreliable(pack: Pack, crop: NDArray[np.uint8], template: NDArray[np.float32]) -> tuple[str, str] | None:
    """The first reason against the template (D,) of a crop (S, S, 3) as a reference's, as code and sentence; None if
    there is none, or if the pack's manifest gives no limits: cosines of one pack say nothing of another's."""
    limits = pack.manifest.reference_checks
    if limits is None:
        return None
    noise = np.random.default_rng(0).normal(0, _NOISE_LEVELS, crop.shape)
    changed = np.stack(
        [
            _hidden(crop, _MOUTH, _PALE),
            _hidden(crop, _EYES, _DARK),
            crop[:, ::-1],
            np.clip(np.round(crop + noise), 0, 255).astype(np.uint8),
        ]
    )
    mouth, eyes, mirrored, noisy = (float(cosine) for cosine in pack.embedder.embed_crops(changed) @ template)
    # Written so that a cosine that is no number is a reason as well.
    checks = (
        (mouth <= limits["most_without_mouth"], "covered", "The lower part of the face is covered."),
        (eyes <= limits["most_without_eyes"], "covered", "The eyes are covered."),
        (
            mirrored >= limits["least_mirrored"] and noisy >= limits["least_with_noise"],
            "unreliable",
            "The picture is too poor to tell this face from others.",
        ),
    )
    return next(((code, sentence) for good, code, sentence in checks if not good), None)


def _hidden(
    crop: NDArray[np.uint8], part: tuple[tuple[float, float], tuple[float, float]], level: int
) -> NDArray[np.uint8]:
    side = crop.shape[0]
    rows, columns = (slice(round(low * side), round(high * side)) for low, high in part)
    done = crop.copy()
    done[rows, columns] = level
    return done


def with_margin(image: NDArray[np.uint8], box: NDArray[np.float32], share: float) -> NDArray[np.uint8]:
    """The part of the picture around a box (4,), widened on each side by `share` of its size, cut at the border."""
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    x1, y1 = max(0, round(float(box[0]) - share * width)), max(0, round(float(box[1]) - share * height))
    x2 = min(image.shape[1], round(float(box[2]) + share * width))
    y2 = min(image.shape[0], round(float(box[3]) + share * height))
    return image[y1:y2, x1:x2]
