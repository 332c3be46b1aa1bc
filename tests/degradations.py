"""What makes a picture of a face poor, done to good ones: for the benchmark and the tests of the quality gate.

Each degradation is a function of a picture (H, W, 3) BGR, the face's box (4,) and landmarks (5, 2) in it, and gives a
picture. Lengths are in shares of the face's width, so that they mean the same on every photograph. Random ones draw from
a generator seeded by the picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Points = NDArray[np.float32]
Spoil = Callable[[Picture, Points, Points], Picture]


@dataclass(frozen=True)
class Degradation:
    """`severe`: the issue names it as too poor to compare; nothing of the kind may raise an alert."""

    name: str
    kind: str
    spoil: Spoil
    severe: bool = False


def width_of(box: Points) -> float:
    return float(box[2] - box[0])


def smaller(pixels: float) -> Spoil:
    """The picture shrunk until the face is this wide; larger only where the photograph was smaller than that."""

    def spoil(picture: Picture, box: Points, landmarks: Points) -> Picture:
        scale = pixels / width_of(box)
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)

    return spoil


def smeared(pixels: float) -> Spoil:
    """Shrunk until the face is this wide, and enlarged again: what a digital zoom or a rescaled stream shows."""

    def spoil(picture: Picture, box: Points, landmarks: Points) -> Picture:
        small = smaller(pixels)(picture, box, landmarks)
        return cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)

    return spoil


def gaussian(share: float) -> Spoil:
    return lambda picture, box, landmarks: cv2.GaussianBlur(picture, (0, 0), share * width_of(box))


def motion(share: float, degrees: float) -> Spoil:
    """A straight smear over this share of the face's width; 0° is sideways, as people walk by."""

    def spoil(picture: Picture, box: Points, landmarks: Points) -> Picture:
        length = max(3, round(share * width_of(box)) | 1)
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1
        turn = cv2.getRotationMatrix2D((length // 2, length // 2), degrees, 1)
        kernel = cv2.warpAffine(kernel, turn, (length, length))
        return cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)

    return spoil


def exposed(factor: float, gamma: float = 1.0, noise: float = 2.0) -> Spoil:
    """`factor` times the light, then a gamma, a sensor's noise (grey levels) and eight bits again."""

    def spoil(picture: Picture, box: Points, landmarks: Points) -> Picture:
        light = np.clip(picture.astype(np.float32) / 255 * factor, 0, 1) ** gamma * 255
        return _bytes(light + _random(picture).normal(0, noise, picture.shape))

    return spoil


def noisy(sigma: float) -> Spoil:
    return lambda picture, box, landmarks: _bytes(picture + _random(picture).normal(0, sigma, picture.shape))


def jpeg(quality: int) -> Spoil:
    def spoil(picture: Picture, box: Points, landmarks: Points) -> Picture:
        return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)

    return spoil


def masked(picture: Picture, box: Points, landmarks: Points) -> Picture:
    """The lower half hidden: a pale cloth from the bridge of the nose to below the chin."""
    nose, eyes = landmarks[2], landmarks[:2].mean(axis=0)
    top = eyes + 0.55 * (nose - eyes)
    corners = np.array(
        [
            [box[0] - 0.05 * width_of(box), top[1] + 0.05 * width_of(box)],
            [top[0], top[1]],
            [box[2] + 0.05 * width_of(box), top[1] + 0.05 * width_of(box)],
            [box[2] - 0.1 * width_of(box), box[3] + 0.05 * width_of(box)],
            [box[0] + 0.1 * width_of(box), box[3] + 0.05 * width_of(box)],
        ]
    )
    done = picture.copy()
    cv2.fillPoly(done, [corners.round().astype(np.int32)], (215, 205, 190), lineType=cv2.LINE_AA)
    return done


def sunglasses(picture: Picture, box: Points, landmarks: Points) -> Picture:
    done = picture.copy()
    apart = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    for eye in landmarks[:2]:
        at = (round(float(eye[0])), round(float(eye[1])))
        cv2.ellipse(done, at, (round(0.42 * apart), round(0.32 * apart)), 0, 0, 360, (15, 15, 15), -1, cv2.LINE_AA)
    return done


def half_hidden(picture: Picture, box: Points, landmarks: Points) -> Picture:
    """The left half of the face behind somebody's grey shoulder."""
    done = picture.copy()
    left, middle = max(0, int(box[0] - 0.2 * width_of(box))), int(landmarks[2, 0])
    done[max(0, int(box[1])) :, left:middle] = 96
    return done


def turned(degrees: float) -> Spoil:
    """The head turned by a warp: LFW has hardly any side-on faces, so they are made. The picture is laid on a cylinder as
    wide as the head with a nose on it, which is turned about its axis and drawn again. What the photograph does not show
    (the ear, the cheek behind) is stretched from what it shows: this is no real profile."""

    def spoil(picture: Picture, box: Points, landmarks: Points) -> Picture:
        height, width = picture.shape[:2]
        radius = 0.72 * width_of(box)
        nose = landmarks[2]
        axis = float(landmarks[[0, 1, 3, 4], 0].mean())
        step = 0.5
        x = np.arange(-0.98 * radius, 0.98 * radius, step, dtype=np.float32)
        y = np.arange(height, dtype=np.float32)
        bump = np.exp(
            -((x[None] - (nose[0] - axis)) ** 2) / (2 * (0.09 * radius * 2) ** 2)
            - (y[:, None] - nose[1]) ** 2 / (2 * (0.13 * radius * 2) ** 2)
        )
        depth = np.sqrt(radius**2 - x**2)[None] + 0.3 * radius * bump - 0.3 * radius
        angle = np.radians(degrees)
        across = x[None] * np.cos(angle) + depth * np.sin(angle)
        nearer = depth * np.cos(angle) - x[None] * np.sin(angle)
        top, bottom = max(0, int(box[1] - 0.35 * width_of(box))), min(height, int(box[3] + 0.15 * width_of(box)))
        done = picture.copy()
        for row in range(top, bottom):
            # From the farthest to the nearest, so that what is nearer covers what is behind it.
            order = np.argsort(nearer[row])
            order = order[nearer[row][order] > -0.35 * radius]
            columns = np.clip(np.round(axis + across[row][order]), 0, width - 1).astype(np.intp)
            sources = np.clip(np.round(axis + x[order]), 0, width - 1).astype(np.intp)
            source = np.full(width, -1, np.intp)
            source[columns] = sources
            known = np.flatnonzero(source >= 0)
            if len(known):
                gaps = np.arange(known[0], known[-1] + 1)
                filled = np.round(np.interp(gaps, known, source[known])).astype(np.intp)
                done[row, gaps] = picture[row, filled]
        return done

    return spoil


def both(*spoils: Spoil) -> Spoil:
    """One after the other."""

    def spoil(picture: Picture, box: Points, landmarks: Points) -> Picture:
        for one in spoils:
            picture = one(picture, box, landmarks)
        return picture

    return spoil


def unchanged(picture: Picture, box: Points, landmarks: Points) -> Picture:
    return picture


DEGRADATIONS = (
    Degradation("as taken", "none", unchanged),
    *(Degradation(f"face {px} px wide", "size", smaller(px), px <= 28) for px in (80, 56, 40, 28, 20)),
    *(Degradation(f"{px} px enlarged", "smear", smeared(px), px <= 16) for px in (40, 28, 22, 16)),
    *(
        Degradation(f"blur {share:.0%}", "gaussian blur", gaussian(share), share >= 0.03)
        for share in (0.01, 0.02, 0.03, 0.04, 0.06)
    ),
    *(
        Degradation(f"motion {share:.0%}", "motion blur", motion(share, 0), share >= 0.2)
        for share in (0.06, 0.1, 0.15, 0.2, 0.3)
    ),
    Degradation("motion 20% slanting", "motion blur", motion(0.2, 35)),
    *(
        Degradation(f"light × {factor:g}", "dark", exposed(factor), factor <= 0.15)
        for factor in (0.5, 0.25, 0.15, 0.08, 0.04)
    ),
    Degradation("gamma 3", "dark", exposed(1, 3)),
    Degradation("light × 3", "bright", exposed(3)),
    Degradation("blur 3%, light × 0.25", "dark", both(gaussian(0.03), exposed(0.25))),
    Degradation("blur 3%, noise 5", "noise", both(gaussian(0.03), noisy(5))),
    *(Degradation(f"turned {degrees}°", "side-on", turned(degrees), degrees >= 60) for degrees in (20, 35, 45, 60)),
    *(Degradation(f"noise {sigma}", "noise", noisy(sigma)) for sigma in (10, 25, 50)),
    *(Degradation(f"JPEG {quality}", "JPEG", jpeg(quality)) for quality in (40, 20, 10, 5)),
    Degradation("lower half masked", "hidden", masked),
    Degradation("sunglasses", "hidden", sunglasses),
    Degradation("half hidden", "hidden", half_hidden),
)


def _random(picture: Picture) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(picture[::16, ::16].tobytes()))


def _bytes(values: NDArray[np.floating]) -> Picture:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
