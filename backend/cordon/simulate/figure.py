"""A figure: a clothed body drawn under a photographed head, and how both are put into a frame.

A body is drawn in units of the face's width (about 15 cm): shoulders 2.9 wide, 10.6 from crown to sole.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cordon.simulate.people import Head

Picture = NDArray[np.uint8]

UNIT_PX = 90
STRIDES = 8
BODY_W, BODY_H = 4.4, 10.4
# Where the chin lies on the body's drawing, in face widths from its top.
CHIN = 0.66
_COATS = (
    (58, 46, 38),
    (70, 62, 96),
    (96, 78, 52),
    (52, 66, 58),
    (120, 118, 112),
    (40, 40, 46),
    (88, 100, 140),
    (130, 110, 84),
)
_TROUSERS = ((50, 44, 40), (92, 70, 48), (60, 60, 62), (84, 96, 108))


@dataclass(frozen=True)
class Figure:
    """heads and bodies at falling sizes, premultiplied BGRA; bodies[level][stride]; box: the face in heads[0], pixels."""

    heads: tuple[Picture, ...]
    bodies: tuple[tuple[Picture, ...], ...]
    box: tuple[float, float, float, float]


def make_figure(head: Head, rng: np.random.Generator) -> Figure:
    light, tint = rng.uniform(0.82, 1.06), rng.normal(1.0, 0.02, 3)
    lit = _lit(head.photo, light, tint)
    coat, trousers = _COATS[rng.integers(len(_COATS))], _TROUSERS[rng.integers(len(_TROUSERS))]
    # The neck lies in the chin's shade.
    skin = tuple(min(255.0, float(v) * 0.96 * light * float(t)) for v, t in zip(head.skin, tint, strict=True))
    collar, grain = int(rng.integers(3)), rng.normal(0, 5, (round(BODY_H * UNIT_PX), round(BODY_W * UNIT_PX)))
    strides = [_body(coat, trousers, skin, collar, grain, 2 * np.pi * step / STRIDES) for step in range(STRIDES)]
    return Figure(
        (lit, _half(lit), _half(_half(lit))),
        (tuple(strides), tuple(_half(one) for one in strides), tuple(_half(_half(one)) for one in strides)),
        head.face_box,
    )


def _lit(photo: Picture, light: float, tint: NDArray[np.float64]) -> Picture:
    lit = photo.astype(np.float32)
    lit[..., :3] = np.minimum(lit[..., :3] * (light * tint), lit[..., 3:])
    return lit.astype(np.uint8)


def _half(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def _body(
    coat: tuple[int, ...],
    trousers: tuple[int, ...],
    skin: tuple[float, ...],
    collar: int,
    grain: NDArray[np.float64],
    phase: float,
) -> Picture:
    height, width = grain.shape
    colour, alpha = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    swing, middle = float(np.sin(phase)), BODY_W / 2

    def shape(points: list[tuple[float, float]], paint: tuple[float, ...]) -> None:
        drawn = np.round(np.array(points) * UNIT_PX * 16).astype(np.int32)
        cv2.fillPoly(colour, [drawn], paint, cv2.LINE_AA, 4)
        cv2.fillPoly(alpha, [drawn], (255,), cv2.LINE_AA, 4)

    def limb(points: list[tuple[float, float]], thick: float, paint: tuple[float, ...]) -> None:
        drawn = np.round(np.array(points) * UNIT_PX).astype(np.int32)
        cv2.polylines(colour, [drawn], False, paint, max(1, round(thick * UNIT_PX)), cv2.LINE_AA)
        cv2.polylines(alpha, [drawn], False, (255,), max(1, round(thick * UNIT_PX)), cv2.LINE_AA)

    dark = tuple(0.72 * value for value in coat)
    for side in (-1, 1):
        # The leg that swings forward is seen a little longer.
        lift = 0.18 * swing * side
        hip, foot = (middle + 0.36 * side, 5.3), (middle + 0.36 * side + 0.05 * swing, 9.6 + lift)
        limb([hip, (middle + 0.4 * side, 7.5 + lift), foot], 0.66, trousers)
        limb([foot, (foot[0] + 0.1 * side, foot[1] + 0.28)], 0.5, (34, 32, 32))
    for side in (-1, 1):
        reach = 0.22 * swing * side
        limb([(middle + 1.22 * side, 1.5), (middle + 1.5 * side, 3.3), (middle + 1.42 * side, 4.9 + reach)], 0.58, dark)
        limb([(middle + 1.42 * side, 5.1 + reach), (middle + 1.42 * side, 5.35 + reach)], 0.36, skin)
    shape([(middle - 0.33, 0.1), (middle + 0.33, 0.1), (middle + 0.46, 1.3), (middle - 0.46, 1.3)], skin)
    right = [(0.46, 0.72), (0.8, 0.92), (1.18, 1.08), (1.4, 1.36), (1.44, 1.9), (1.22, 3.0), (1.2, 4.4), (1.28, 5.9)]
    outline = [(middle + x, y) for x, y in right] + [(middle - x, y) for x, y in reversed(right)]
    shape(outline, coat)
    opening = (0.95, 1.5, 2.3)[collar]
    shape([(middle - 0.4, 0.72), (middle + 0.4, 0.72), (middle, opening)], skin if collar == 0 else (206, 206, 202))
    if collar:
        shape([(middle - 0.4, 0.3), (middle + 0.4, 0.3), (middle + 0.2, 0.95), (middle - 0.2, 0.95)], skin)
    for side in (-1, 1):
        shape([(middle + 0.36 * side, 0.56), (middle + 0.62 * side, 0.8), (middle + 0.06 * side, opening + 0.25)], dark)
    limb([(middle, opening + 0.2), (middle, 5.9)], 0.03, dark)
    shaded = _shade(colour, grain, phase)
    soft = cv2.GaussianBlur(alpha, (0, 0), 1.2)
    cut = shaded * (soft[..., None].astype(np.float32) / 255)
    # The shade on the paving under an overcast sky: without it people float. Too weak to count as covering anything.
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / UNIT_PX
    ground = 105 * np.exp(-(((columns - middle) / 0.85) ** 2) - ((rows - 9.95) / 0.17) ** 2)
    return np.dstack([cut, soft + ground * (1 - soft.astype(np.float32) / 255)]).astype(np.uint8)


def _shade(colour: Picture, grain: NDArray[np.float64], phase: float) -> NDArray[np.float32]:
    """Light from above and the left, folds, the weave, and the chin's shadow."""
    height, width = grain.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / UNIT_PX
    round_off = 1.1 - 0.42 * np.abs((columns - BODY_W / 2 + 0.35) / (BODY_W / 2)) ** 2
    folds = 1 + 0.06 * np.sin(5.2 * columns + 1.7 * rows + phase) * np.sin(2.9 * rows - columns)
    chin = 1 - 0.3 * np.exp(-(((columns - BODY_W / 2) / 0.5) ** 2) - ((rows - CHIN) / 0.3) ** 2)
    soft = cv2.GaussianBlur(colour, (0, 0), 1.6).astype(np.float32)
    weave = grain.astype(np.float32)[..., None]
    return np.asarray(np.clip(soft * (round_off * folds * chin)[..., None] + weave, 0, 255), np.float32)
