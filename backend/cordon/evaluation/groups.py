"""Rates at one threshold for parts of the probes: by labels that the data's owner supplies, and by picture quality.

Labels come from a file or not at all. Cordon has no code that guesses one from a face.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cordon.evaluation.intervals import clopper_pearson
from cordon.evaluation.protocol import Collected, NotEvaluable
from cordon.evaluation.rates import Searches, share_of
from cordon.vision.quality import FaceQuality

# With 30 identities and none of them missed, the upper limit of the miss rate is still 12 %: fewer tell nothing.
LEAST_IDENTITIES = 30
BINS = 4
MEASURES = (
    ("face_px", "Face width (pixels)"),
    ("sharpness", "Sharpness (fine detail beside coarse, %)"),
    ("yaw_deg", "Yaw (degrees)"),
    ("brightness", "Brightness (mean grey level)"),
)


@dataclass(frozen=True)
class Share:
    """A rate with its two-sided 95 % interval, over so many probes of so many identities."""

    probes: int
    identities: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class PartResult:
    """TPIR and FPIR of one group or one bin of quality; None where there are too few identities to judge."""

    name: str
    mated_identities: int
    non_mated_identities: int
    tpir: Share | None
    fpir: Share | None

    @property
    def too_small(self) -> bool:
        return self.tpir is None and self.fpir is None


@dataclass(frozen=True)
class GroupResults:
    """unlabelled: identities of the data without a label; unknown: labels of identities that are not in the data."""

    parts: tuple[PartResult, ...]
    unlabelled: int
    unknown: int


@dataclass(frozen=True)
class QualityResults:
    measure: str
    parts: tuple[PartResult, ...]


def read_labels(path: Path) -> dict[str, str]:
    """Identity → group from a CSV whose header is `identity,group`. Raises NotEvaluable with the line at fault."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotEvaluable(f"{path} cannot be read as text in UTF-8.") from error
    labels: dict[str, str] = {}
    try:
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise NotEvaluable(f"{path} is not a CSV file: {error}.") from error
    if not rows or [cell.strip() for cell in rows[0]] != ["identity", "group"]:
        raise NotEvaluable(f"{path} must begin with the line identity,group.")
    for line, row in enumerate(rows[1:], 2):
        if not row:
            continue
        cells = [cell.strip() for cell in row]
        if len(cells) != 2 or not all(cells):
            raise NotEvaluable(f"{path}, line {line}: an identity and a group are needed, and nothing else.")
        identity, group = cells
        if labels.setdefault(identity, group) != group:
            raise NotEvaluable(f"{path}, line {line}: {identity} has two groups, {labels[identity]} and {group}.")
    if not labels:
        raise NotEvaluable(f"{path} labels nobody.")
    return labels


def by_group(
    collected: Collected,
    searches: Searches,
    labels: dict[str, str],
    threshold: float,
    *,
    least_identities: int = LEAST_IDENTITIES,
) -> GroupResults:
    """Rates of each labelled group's probes against the whole list; small groups are named without a figure."""
    known = {*collected.identities, *collected.non_mated_identities}
    of_entry = np.asarray([labels.get(name, "") for name in collected.identities], object)
    of_mated = of_entry[collected.mated_entry]
    of_stranger = np.asarray([labels.get(name, "") for name in collected.non_mated_identities], object)
    parts = [
        _part(
            group,
            searches,
            np.asarray(of_mated == group, bool),
            np.asarray(of_stranger == group, bool),
            threshold,
            least_identities,
        )
        for group in sorted({labels[name] for name in known & set(labels)})
    ]
    return GroupResults(tuple(parts), len(known - set(labels)), len(set(labels) - known))


def by_quality(
    collected: Collected, searches: Searches, threshold: float, *, least_identities: int = LEAST_IDENTITIES
) -> list[QualityResults]:
    """For each measure, rates in quarters of the probes from lowest to highest. Probes without a face are in none."""
    results = []
    for measure, title in MEASURES:
        mated = _measured(collected.mated_quality, measure)
        strangers = _measured(collected.non_mated_quality, measure)
        everything = np.concatenate([mated, strangers])
        edges = np.unique(np.nanquantile(everything, np.linspace(0, 1, BINS + 1)))
        parts = []
        for at, (low, high) in enumerate(itertools.pairwise(edges)):
            last = at == len(edges) - 2
            inside = [(v >= low) & ((v <= high) if last else (v < high)) for v in (mated, strangers)]
            parts.append(_part(f"{low:.1f} – {high:.1f}", searches, inside[0], inside[1], threshold, least_identities))
        results.append(QualityResults(title, tuple(parts)))
    return results


def _part(
    name: str,
    searches: Searches,
    mated: NDArray[np.bool_],
    strangers: NDArray[np.bool_],
    threshold: float,
    least: int,
) -> PartResult:
    mated = mated & searches.drawn
    who = searches.mated_entry[mated]
    identities, others = len(np.unique(who)), int(strangers.sum())
    tpir = fpir = None
    if identities >= least:
        rate, low, high = share_of(searches.found(threshold)[mated], who)
        tpir = Share(int(mated.sum()), identities, rate, low, high)
    if others >= least:
        alarmed = searches.alarmed(threshold)[strangers]
        ends = clopper_pearson(float(alarmed.sum()), others)
        fpir = Share(others, others, float(alarmed.mean()), float(ends[0]), float(ends[1]))
    return PartResult(name, identities, others, tpir, fpir)


def _measured(qualities: Sequence[FaceQuality | None], measure: str) -> NDArray[np.float64]:
    return np.asarray([np.nan if q is None else getattr(q, measure) for q in qualities], np.float64)
