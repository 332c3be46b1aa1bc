"""The ground truth of a simulated video: who is in view when, and where each face is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# A face counts as in view while at least half of it is inside the picture and uncovered.
IN_VIEW_SHARE = 0.5


@dataclass(frozen=True)
class FaceBox:
    """frame: number in the loop; box: x1 y1 x2 y2 in pixels; visible: share of the box inside the picture and uncovered."""

    frame: int
    box: tuple[float, float, float, float]
    visible: float


@dataclass(frozen=True)
class PersonTruth:
    """intervals: [start, end) in seconds of the loop. A walk over the loop's seam is two intervals."""

    id: str
    listed: bool
    intervals: tuple[tuple[float, float], ...]
    faces: tuple[FaceBox, ...]


@dataclass(frozen=True)
class GroundTruth:
    fps: int
    width: int
    height: int
    frames: int
    seed: int
    people: tuple[PersonTruth, ...]

    @property
    def loop_s(self) -> float:
        return self.frames / self.fps

    def to_json(self) -> str:
        """Everything above and `loop_s`, in one line; `load` reads it back."""
        return json.dumps({"loop_s": self.loop_s, **asdict(self)}, separators=(",", ":"))

    def save(self, path: Path) -> None:
        path.write_text(self.to_json() + "\n")

    @staticmethod
    def load(path: Path) -> GroundTruth:
        raw = json.loads(path.read_text())
        people = tuple(
            PersonTruth(
                one["id"],
                one["listed"],
                tuple((start, end) for start, end in one["intervals"]),
                tuple(FaceBox(f["frame"], (f["box"][0], *f["box"][1:]), f["visible"]) for f in one["faces"]),
            )
            for one in raw["people"]
        )
        return GroundTruth(raw["fps"], raw["width"], raw["height"], raw["frames"], raw["seed"], people)


def intervals_in_view(faces: Sequence[FaceBox], fps: int) -> tuple[tuple[float, float], ...]:
    """Runs of neighbouring frames in which the face is in view, in seconds."""
    frames = sorted({face.frame for face in faces if face.visible >= IN_VIEW_SHARE})
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1]:
            runs[-1][1] = frame + 1
        else:
            runs.append([frame, frame + 1])
    return tuple((start / fps, end / fps) for start, end in runs)
