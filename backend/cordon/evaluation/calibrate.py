"""Making a calibration of searches, and where an installation keeps its own."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path

import numpy as np

from cordon.evaluation.calibration import Calibration
from cordon.evaluation.protocol import Collected, NotEvaluable
from cordon.evaluation.rates import Searches

_PLACES = 1e5


def calibrate(collected: Collected, searches: Searches, *, data: str, limits: str, measured_on: date) -> Calibration:
    """Of searches against the whole gallery. Impostors' scores are rounded up, mates' down. Raises NotEvaluable."""
    if searches.list_size != searches.gallery_size:
        raise NotEvaluable("A calibration is made with the whole gallery: leave --list-size out.")
    # Anonymous numbers in the order of the scores: they say which alerts share an entry, and of whom it is not.
    order = np.argsort(-searches.top[:, 0], kind="stable")
    numbers: dict[int, int] = {}
    strangers = tuple(
        (_up(float(searches.top[at, 0])), numbers.setdefault(int(searches.top_entry[at, 0]), len(numbers)))
        for at in order
    )
    mates: dict[int, list[tuple[float, float]]] = {}
    for at, entry in enumerate(searches.mated_entry):
        mate, other = float(searches.mate[at, 0]), float(searches.other[at, 0])
        mates.setdefault(int(entry), []).append((_down(mate), _up(other)) if math.isfinite(mate) else (-1.0, -1.0))
    return Calibration(
        pack=collected.pack,
        data=data,
        limits=limits,
        measured_on=measured_on,
        list_size=searches.gallery_size,
        non_mated=searches.non_mated_probes,
        curve_from=min(score for score, _ in strangers),
        non_mated_scores=strangers,
        mated_scores=tuple(sorted(tuple(sorted(probes)) for probes in mates.values())),
        not_counted=collected.not_counted.counts(),
    )


def write_calibration(calibration: Calibration, path: Path) -> None:
    """As JSON with one line for each field, so that a change can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_text(calibration), encoding="utf-8")


def as_text(calibration: Calibration) -> str:
    fields = calibration.to_json().items()
    lines = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _up(score: float) -> float:
    return min(1.0, math.ceil(score * _PLACES) / _PLACES)


def _down(score: float) -> float:
    return max(-1.0, math.floor(score * _PLACES) / _PLACES)
