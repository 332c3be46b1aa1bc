"""The street behind the people: a pedestrian street seen through a pinhole camera, drawn once for each seed.

Metres: x to the right, y up from the ground, z away from the camera. A façade or the paving is drawn flat, and brought
into perspective by a homography, so that the people, projected by the same camera, stand on the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

STREET_HALF_WIDTH_M = 3.6
NEAR_M, FAR_M = 6.0, 70.0
FACADE_M = 9.0
_PX_PER_M = 40
_WALLS = ((92, 108, 128), (120, 138, 156), (84, 92, 132), (150, 158, 164), (104, 122, 136))
_FASCIAS = ((60, 40, 30), (38, 70, 44), (36, 34, 110), (92, 60, 34), (40, 40, 42))
_NAMES = ("HALE & SONS", "CORNER CAFE", "BOOKS", "PHARMACY", "BAKERY", "OPTICIAN", "FLOWERS", "SHOES")


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks level down the street from `height_m` above the ground."""

    width: int
    height: int
    height_m: float = 1.95

    @property
    def focal(self) -> float:
        return 2600.0 * self.height / 720

    @property
    def horizon(self) -> float:
        return 0.2 * self.height

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        return self.width / 2 + self.focal * x / z, self.horizon + self.focal * (self.height_m - y) / z


def draw_street(camera: Camera, rng: np.random.Generator) -> Picture:
    """The empty street, BGR (height, width, 3)."""
    picture = _sky(camera, rng)
    _far_end(picture, camera, rng)
    _lay(picture, camera, _paving(rng), _ground_corners())
    for side in (-1, 1):
        _lay(picture, camera, _facade(rng, mirrored=side > 0), _facade_corners(side))
    for x, z in ((-2.9, 24.0), (2.9, 17.0), (-2.9, 48.0), (2.9, 36.0)):
        _lamp_post(picture, camera, x, z)
    hazy = cv2.GaussianBlur(picture, (0, 0), 1.6 * camera.height / 720)
    grain = rng.normal(0, 2.0, picture.shape[:2]).astype(np.float32)[..., None]
    return np.asarray(np.clip(hazy.astype(np.float32) + grain, 0, 255), np.uint8)


def _sky(camera: Camera, rng: np.random.Generator) -> Picture:
    rows = np.linspace(0, 1, camera.height, dtype=np.float32)[:, None, None]
    top, low = np.array([226, 206, 186], np.float32), np.array([232, 230, 226], np.float32)
    sky = np.broadcast_to(top + (low - top) * np.clip(rows * 4, 0, 1), (camera.height, camera.width, 3)).copy()
    clouds = cv2.resize(
        rng.random((6, 10), dtype=np.float32), (camera.width, camera.height), interpolation=cv2.INTER_CUBIC
    )
    return np.asarray(np.clip(sky + 18 * clouds[..., None], 0, 255), np.uint8)


def _far_end(picture: Picture, camera: Camera, rng: np.random.Generator) -> None:
    """Pale buildings that close the street."""
    x = -6.0
    while x < 6.0:
        width, height = rng.uniform(1.4, 2.6), rng.uniform(3.5, 6.0)
        left, top = camera.project(x, height, FAR_M)
        right, bottom = camera.project(x + width, 0, FAR_M)
        shade = int(rng.integers(176, 204))
        cv2.rectangle(picture, (int(left), int(top)), (int(right), int(bottom)), (shade + 6, shade, shade - 6), -1)
        x += width


def _ground_corners() -> list[tuple[float, float, float]]:
    half = STREET_HALF_WIDTH_M + 3
    return [(-half, 0, FAR_M), (half, 0, FAR_M), (half, 0, NEAR_M), (-half, 0, NEAR_M)]


def _facade_corners(side: int) -> list[tuple[float, float, float]]:
    x = side * STREET_HALF_WIDTH_M
    return [(x, FACADE_M, NEAR_M), (x, FACADE_M, FAR_M), (x, 0, FAR_M), (x, 0, NEAR_M)]


def _lay(picture: Picture, camera: Camera, flat: Picture, corners: list[tuple[float, float, float]]) -> None:
    """Put a flat drawing into the picture, its corners (from the top left, clockwise) at those points."""
    height, width = flat.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    target = np.array([camera.project(*corner) for corner in corners], np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    size = (camera.width, camera.height)
    laid = cv2.warpPerspective(flat, matrix, size, flags=cv2.INTER_AREA)
    inside = cv2.warpPerspective(np.full((height, width), 255, np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
    picture[inside > 0] = laid[inside > 0]


def _paving(rng: np.random.Generator) -> Picture:
    width, depth = int((STREET_HALF_WIDTH_M + 3) * 2 * _PX_PER_M), int((FAR_M - NEAR_M) * _PX_PER_M)
    slab = _PX_PER_M * 6 // 10
    tones = rng.normal(142, 7, (depth // slab + 1, width // slab + 1)).astype(np.float32)
    flat = np.kron(tones, np.ones((slab, slab), np.float32))[:depth, :width]
    flat[::slab] -= 34
    flat[:, ::slab] -= 34
    # Haze: what is far away is paler.
    flat += np.linspace(34, 0, depth, dtype=np.float32)[:, None]
    return np.clip(np.stack([flat, flat - 2, flat - 6], axis=-1), 0, 255).astype(np.uint8)


def _facade(rng: np.random.Generator, *, mirrored: bool) -> Picture:
    """Shop after shop, upper windows above; near is on the left."""
    width, height = int((FAR_M - NEAR_M) * _PX_PER_M), int(FACADE_M * _PX_PER_M)
    flat = np.zeros((height, width, 3), np.uint8)
    at = 0
    while at < width:
        end = min(width, at + int(rng.uniform(4.5, 7.5) * _PX_PER_M))
        _shop(flat[:, at:end], rng, mirrored=mirrored)
        at = end
    haze = np.linspace(0, 0.55, width, dtype=np.float32)[None, :, None]
    return np.asarray(flat * (1 - haze) + 212 * haze, np.uint8)


def _shop(flat: Picture, rng: np.random.Generator, *, mirrored: bool) -> None:
    height, width = flat.shape[:2]
    flat[:] = _WALLS[rng.integers(len(_WALLS))]
    flat[:] = np.clip(flat.astype(np.int16) + rng.normal(0, 5, flat.shape[:2])[..., None].astype(np.int16), 0, 255)
    metre = _PX_PER_M
    for x in range(metre // 2, width - metre, int(1.7 * metre)):
        for floor in (4.3, 6.9):
            top = height - int((floor + 1.5) * metre)
            cv2.rectangle(flat, (x, top), (x + metre, top + int(1.5 * metre)), (206, 208, 208), 4)
            cv2.rectangle(flat, (x + 4, top + 4), (x + metre - 4, top + int(1.5 * metre) - 4), (104, 92, 80), -1)
    fascia = _FASCIAS[rng.integers(len(_FASCIAS))]
    cv2.rectangle(flat, (4, height - int(3.5 * metre)), (width - 4, height - int(2.8 * metre)), fascia, -1)
    glass = flat[height - int(2.75 * metre) : height - int(0.45 * metre), 10 : width - 10]
    lit = rng.uniform(0.5, 1.0)
    glass[:] = (np.linspace(150, 70, glass.shape[0])[:, None, None] * np.array([0.85, 0.95, 1.0]) * lit).astype(
        np.uint8
    )
    _display(glass, rng)
    for x in range(10, width, int(1.5 * metre)):
        cv2.line(flat, (x, height - int(2.75 * metre)), (x, height), fascia, 4)
    if width > 2 * metre:
        band = slice(height - int(3.5 * metre), height - int(2.8 * metre))
        sign = np.full_like(flat[band], fascia)
        name = _NAMES[rng.integers(len(_NAMES))]
        scale = min(0.9, (width - metre) / (20.0 * len(name)))
        cv2.putText(sign, name, (metre // 2, 20), cv2.FONT_HERSHEY_DUPLEX, scale, (226, 232, 236), 2, cv2.LINE_AA)
        # The right wall is seen with its near end on the right, which turns the drawing over.
        flat[band] = sign[:, ::-1] if mirrored else sign


def _display(glass: Picture, rng: np.random.Generator) -> None:
    """Shelves with goods behind the glass, a lit back wall, and the sky's reflection across it."""
    height, width = glass.shape[:2]
    # The street's end can cut a shop to a sliver.
    if width < _PX_PER_M:
        return
    inside = glass.copy()
    for shelf in (0.42, 0.68, 0.97):
        level = int(shelf * height)
        cv2.line(inside, (0, level), (width, level), (92, 100, 108), 2)
        x = int(rng.integers(0, 12))
        while x < width:
            wide, tall = int(rng.integers(8, 26)), int(rng.uniform(0.07, 0.2) * height)
            tone = (rng.integers(84, 150) + rng.integers(-26, 26, 3)).tolist()
            cv2.rectangle(inside, (x, level - tall), (x + wide, level - 2), tone, -1)
            x += wide + int(rng.integers(4, 22))
    glass[:] = cv2.addWeighted(cv2.GaussianBlur(inside, (0, 0), 1.5), 0.7, glass, 0.3, 0)
    slant = (np.arange(width)[None, :] + 0.8 * np.arange(height)[:, None]) / _PX_PER_M + rng.uniform(0, 6)
    sheen = 20 * np.clip(np.sin(slant) + 0.2 * np.sin(3.1 * slant), 0, 1)
    glass[:] = np.clip(glass + sheen[..., None], 0, 255).astype(np.uint8)


def _lamp_post(picture: Picture, camera: Camera, x: float, z: float) -> None:
    foot, head = camera.project(x, 0, z), camera.project(x, 4.6, z)
    thick = max(2, int(camera.focal * 0.09 / z))
    dark = (62, 60, 56)
    cv2.line(picture, (int(foot[0]), int(foot[1])), (int(head[0]), int(head[1])), dark, thick, cv2.LINE_AA)
    base = camera.project(x, 0.7, z)
    cv2.line(picture, (int(foot[0]), int(foot[1])), (int(base[0]), int(base[1])), dark, thick * 2, cv2.LINE_AA)
