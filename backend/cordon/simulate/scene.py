"""Rendering: people on their ways through the street, frame by frame, into a seamless H.264 loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from cordon.simulate.figure import BODY_W, CHIN, STRIDES, UNIT_PX, Figure, make_figure
from cordon.simulate.people import Walker, cut_head
from cordon.simulate.street import Camera, draw_street
from cordon.simulate.truth import FaceBox, GroundTruth, PersonTruth, intervals_in_view

Picture = NDArray[np.uint8]
Matrix = NDArray[np.float64]

FACE_M = 0.155
WALK_M_S = 1.35
# People come out of the shops between these distances. At 720 lines: faces of 22 pixels at 18 metres, 168 at 2.4.
NEAREST_DOOR_Z, FARTHEST_DOOR_Z = 12.0, 18.0
NEAR_Z = 2.4
DOOR_X = 3.2
# How long it takes to come out of the dark of a door.
FADE_S = 0.5
# From this share of the way on, people step aside to pass the camera.
ASIDE_FROM = 0.78
SHUTTER_S = 1 / 125
NOISE_FIELDS = 5


@dataclass(frozen=True)
class SceneSettings:
    """people_in_view: about how many people are on their way at once; everybody then walks by equally often. None:
    everybody walks by once in a loop.

    across: share of the walks that cross the picture instead of coming down the street; noise: standard deviation in
    grey levels; crf: H.264 quality, as x264 counts it.
    """

    width: int = 1280
    height: int = 720
    fps: int = 12
    seconds: float = 20.0
    seed: int = 0
    people_in_view: float | None = None
    across: float = 0.25
    noise: float = 3.0
    crf: int = 23

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)


@dataclass(frozen=True)
class _Walk:
    """One way through the scene, repeated each loop. Metres and seconds; z is the distance from the camera.

    bend: 1 for a straight way, more for one that leaves its start sideways and then goes straight on; aside: how far to
    the right it is left again at its end.
    """

    walker: int
    starts_s: float
    lasts_s: float
    start: tuple[float, float]
    end: tuple[float, float]
    tall: float
    phase: float
    turn: float
    bend: float = 1.0
    aside: float = 0.0
    from_door: bool = False

    def at(self, share: float) -> tuple[float, float]:
        """x and z after that share (0 to 1) of the way."""
        x = self.end[0] + (self.start[0] - self.end[0]) * (1 - share) ** self.bend
        past = max(0.0, share - ASIDE_FROM) / (1 - ASIDE_FROM)
        return x + self.aside * past**2, self.start[1] + share * (self.end[1] - self.start[1])

    def sideways(self, share: float) -> float:
        """Speed across the picture, metres a second."""
        before, after = max(0.0, share - 0.01), min(1.0, share + 0.01)
        return (self.at(after)[0] - self.at(before)[0]) / ((after - before) * self.lasts_s)


def render_scene(
    walkers: Sequence[Walker],
    settings: SceneSettings,
    out: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> GroundTruth:
    """Write the video to `out` and give its truth. The same walkers and settings give the same truth
    and the same pictures before compression; x264's bytes may differ by a rounding from one run to the next.

    `progress(done, frames)` is called once a frame. Raises ValueError for a size that H.264's 4:2:0 cannot carry (odd)
    and for an empty loop.
    """
    if settings.width % 2 or settings.height % 2:
        raise ValueError("The width and height of the video must be even.")
    if settings.frames < 1:
        raise ValueError("The video must have one frame at least.")
    rng = np.random.default_rng(settings.seed)
    camera = Camera(settings.width, settings.height)
    street = draw_street(camera, rng)
    figures = [make_figure(cut_head(one.photo, one.face_box), rng) for one in walkers]
    walks = _walks(len(walkers), settings, camera, rng)
    noise = [np.asarray(rng.normal(0, settings.noise, street.shape[:2]), np.int16) for _ in range(NOISE_FIELDS)]
    seen: list[list[FaceBox]] = [[] for _ in walkers]
    with av.open(str(out), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=settings.fps)
        stream.width, stream.height, stream.pix_fmt = settings.width, settings.height, "yuv420p"
        stream.time_base = Fraction(1, settings.fps)
        # One thread: the encoder's choices should not hang on the number of cores.
        stream.options = {"crf": str(settings.crf), "preset": "veryfast", "threads": "1", "g": str(2 * settings.fps)}
        for number in range(settings.frames):
            picture = _frame(number, street, figures, walks, camera, settings, seen)
            finished = _sensor(picture, noise[number % NOISE_FIELDS], number, settings)
            planes = np.asarray(cv2.cvtColor(finished, cv2.COLOR_BGR2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, settings.fps)
            container.mux(stream.encode(frame))
            if progress is not None:
                progress(number + 1, settings.frames)
        container.mux(stream.encode(None))
    people = tuple(
        PersonTruth(one.id, one.listed, intervals_in_view(faces, settings.fps), tuple(faces))
        for one, faces in zip(walkers, seen, strict=True)
    )
    return GroundTruth(settings.fps, settings.width, settings.height, settings.frames, settings.seed, people)


def _walks(people: int, settings: SceneSettings, camera: Camera, rng: np.random.Generator) -> list[_Walk]:
    """Ways spread evenly over the loop; nobody is in two places at once."""
    loop_s = settings.frames / settings.fps
    down_s = ((NEAREST_DOOR_Z + FARTHEST_DOOR_Z) / 2 - NEAR_Z) / WALK_M_S
    rounds = 1
    if settings.people_in_view is not None and people:
        mean_s = (1 - settings.across) * down_s + settings.across * 3.0
        most = max(1, int(loop_s / (down_s * 1.3)))
        rounds = int(np.clip(round(settings.people_in_view * loop_s / mean_s / people), 1, most))
    count = people * rounds
    # The same person comes round again after exactly this long, also over the loop's seam.
    again_s = loop_s / rounds
    late = rng.uniform(0, 0.6, people)
    walks = []
    order = rng.permutation(people) if people else np.zeros(0, np.int64)
    for number in range(count):
        crosses = rng.random() < settings.across
        side = 1.0 if rng.random() < 0.5 else -1.0
        bend, aside = 1.0, 0.0
        if crosses:
            z = rng.uniform(3.6, 6.5)
            edge = (camera.width / 2) * z / camera.focal + 0.25
            start, end = (-side * edge, z), (side * edge, z + rng.uniform(-0.3, 0.3))
            speed = rng.uniform(0.55, 0.85)
        else:
            # Two metres from the camera its picture is about one metre wide: lanes draw together as people come near.
            start = (side * DOOR_X, rng.uniform(NEAREST_DOOR_Z, FARTHEST_DOOR_Z))
            end = (side * rng.uniform(-0.12, 0.42), NEAR_Z)
            bend, speed = rng.uniform(1.3, 1.8), rng.uniform(1.2, 1.5)
            aside = side * ((camera.width / 2) * NEAR_Z / camera.focal + 0.2) - end[0]
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        lasts = min(length / speed, again_s)
        starts = (number + late[number % people]) * loop_s / count
        tall = rng.normal(1.6, 0.05)
        phase, turn = rng.uniform(0, 2 * np.pi, 2)
        walker = int(order[number % people])
        walks.append(_Walk(walker, starts, lasts, start, end, tall, phase, turn, bend, aside, not crosses))
    return walks


def _frame(
    number: int,
    street: Picture,
    figures: Sequence[Figure],
    walks: Sequence[_Walk],
    camera: Camera,
    settings: SceneSettings,
    seen: list[list[FaceBox]],
) -> Picture:
    """Draw the people from far to near, and note where each face is and how much of it nobody covers."""
    loop_s, now = settings.frames / settings.fps, number / settings.fps
    under_way = []
    for walk in walks:
        share = ((now - walk.starts_s) % loop_s) / walk.lasts_s
        if share < 1:
            x, z = walk.at(share)
            under_way.append((z, x, share, walk))
    under_way.sort(key=lambda one: -one[0])
    picture = street.copy()
    # Which figure, counted from the farthest, owns each pixel: a face is covered where a nearer one does.
    owner = np.zeros(street.shape[:2], np.uint8)
    boxes = []
    for depth, (z, x, share, walk) in enumerate(under_way, start=1):
        figure, walked_s = figures[walk.walker], share * walk.lasts_s
        head, body = _placed(figure, walk, x, z, walked_s, camera)
        smear = max(1, round(abs(walk.sideways(share)) * camera.focal / z * SHUTTER_S))
        seen_through = min(1.0, (walked_s + 1 / settings.fps) / FADE_S) if walk.from_door else 1.0
        at_depth = depth if seen_through > 0.5 else 0
        # A cloud passes: the light changes slowly, and comes back to where it was at the loop's end.
        light = 1 + 0.06 * np.sin(2 * np.pi * now / loop_s + walk.turn)
        look = (smear, float(light), seen_through)
        step = int((walked_s * 1.9 + walk.phase) * STRIDES / 2) % STRIDES
        unit = camera.focal * FACE_M / z
        body_level = int(np.clip(np.log2(UNIT_PX / unit), 0, 2))
        _paint(picture, owner, figure.bodies[body_level][step], _levelled(body, body_level), look, at_depth)
        head_level = int(np.clip(np.log2((figure.box[2] - figure.box[0]) / unit), 0, 2))
        _paint(picture, owner, figure.heads[head_level], _levelled(head, head_level), look, at_depth)
        boxes.append((depth, walk.walker, seen_through, _moved_box(head, figure.box)))
    for depth, walker, seen_through, box in boxes:
        visible = seen_through * _visible(owner, box, depth)
        if visible > 0:
            rounded = tuple(round(v, 1) for v in box)
            entry = FaceBox(number, (rounded[0], rounded[1], rounded[2], rounded[3]), round(visible, 3))
            seen[walker].append(entry)
    return picture


def _placed(figure: Figure, walk: _Walk, x: float, z: float, walked_s: float, camera: Camera) -> tuple[Matrix, Matrix]:
    """3 × 3 matrices that bring the head's photograph and the body's drawing into the frame."""
    unit = camera.focal * FACE_M / z
    stride = walked_s * 1.9 * np.pi + walk.phase
    bob, sway = 0.05 * np.abs(np.sin(stride)), 0.04 * np.sin(stride)
    middle, level = camera.project(x, walk.tall, z)
    middle, level = middle + sway * unit, level - bob * unit
    x1, y1, x2, y2 = figure.box
    width, height = x2 - x1, y2 - y1
    size = unit / width
    roll = np.deg2rad(2.5) * np.sin(1.3 * walked_s + walk.turn)
    # A slight turn of the head: the side that turns away is foreshortened.
    yaw, nod = 0.05 * np.sin(0.9 * walked_s + 2 * walk.turn), 0.03 * np.sin(1.7 * walked_s + walk.phase)
    to_middle = np.array([[1, 0, -(x1 + width / 2)], [0, 1, -(y1 + height / 2)], [0, 0, 1]])
    turned = np.array([[1 - abs(yaw), 0, 0], [0, 1 - abs(nod), 0], [yaw / width, nod / height, 1]])
    rolled = np.array(
        [
            [size * np.cos(roll), -size * np.sin(roll), middle],
            [size * np.sin(roll), size * np.cos(roll), level],
            [0, 0, 1],
        ]
    )
    head = rolled @ turned @ to_middle
    chin = level + 0.5 * height * size
    scale = unit / UNIT_PX
    body = np.array(
        [[scale, 0, middle - BODY_W / 2 * unit], [0, scale, chin - CHIN * unit], [0, 0, 1]],
    )
    return head, body


def _levelled(matrix: Matrix, level: int) -> Matrix:
    factor = 2.0**level
    return np.asarray(matrix @ np.diag([factor, factor, 1.0]), np.float64)


def _corners(matrix: Matrix, box: tuple[float, float, float, float]) -> Matrix:
    x1, y1, x2, y2 = box
    points = matrix @ np.array([[x1, x2, x2, x1], [y1, y1, y2, y2], [1, 1, 1, 1]], np.float64)
    return np.asarray(points[:2] / points[2], np.float64)


def _moved_box(matrix: Matrix, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The upright box with the same middle and mean sides as the moved corners: no larger for a head that tilts."""
    (a, b, c, d) = _corners(matrix, box).T
    middle = (a + b + c + d) / 4
    wide, high = (np.hypot(*(b - a)) + np.hypot(*(c - d))) / 4, (np.hypot(*(d - a)) + np.hypot(*(c - b))) / 4
    return float(middle[0] - wide), float(middle[1] - high), float(middle[0] + wide), float(middle[1] + high)


def _paint(
    picture: Picture, owner: Picture, sprite: Picture, matrix: Matrix, look: tuple[int, float, float], depth: int
) -> None:
    """Blend a premultiplied sprite into the picture.

    look: width of the motion blur in pixels, light as a factor, opacity from 0 to 1. depth: what is noted in `owner`
    where the sprite covers; 0 notes nothing.
    """
    smear, light, opacity = look
    height, width = sprite.shape[:2]
    corners = _corners(matrix, (0, 0, width, height))
    left, top = np.maximum(np.floor(corners.min(axis=1)).astype(int) - smear, 0)
    right, bottom = np.ceil(corners.max(axis=1)).astype(int) + smear
    right, bottom = min(int(right), picture.shape[1]), min(int(bottom), picture.shape[0])
    if right - left < 2 or bottom - top < 2:
        return
    shifted = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]]) @ matrix
    layer = cv2.warpPerspective(sprite, shifted, (int(right - left), bottom - int(top)), flags=cv2.INTER_LINEAR)
    if smear > 1:
        layer = cv2.blur(layer, (smear, 1))
    if opacity < 1:
        layer = cv2.convertScaleAbs(layer, alpha=opacity)
    alpha = layer[..., 3]
    under = picture[top:bottom, left:right]
    through = cv2.merge([255 - alpha] * 3)
    kept = cv2.multiply(under, through, scale=1 / 255)
    under[:] = cv2.add(kept, cv2.convertScaleAbs(layer[..., :3], alpha=light))
    if depth:
        owner[top:bottom, left:right][alpha > 127] = depth


def _visible(owner: Picture, box: tuple[float, float, float, float], depth: int) -> float:
    x1, y1, x2, y2 = (round(v) for v in box)
    whole = max(1, (x2 - x1) * (y2 - y1))
    inside = owner[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]
    return float((inside <= depth).sum()) / whole


def _sensor(picture: Picture, field: NDArray[np.int16], number: int, settings: SceneSettings) -> Picture:
    """Slow drift of the exposure, and noise, the same in all channels, never twice in the same place."""
    gain = 1 + 0.04 * np.sin(2 * np.pi * number / settings.frames)
    exposed = cv2.convertScaleAbs(picture, alpha=gain)
    shift = (number * 97) % field.shape[1]
    rolled = np.concatenate([field[:, shift:], field[:, :shift]], axis=1)
    brighter, darker = np.clip(rolled, 0, 255).astype(np.uint8), np.clip(-rolled, 0, 255).astype(np.uint8)
    raised = cv2.add(exposed, cv2.merge([brighter] * 3))
    return np.asarray(cv2.subtract(raised, cv2.merge([darker] * 3)), np.uint8)
