"""Open-set identification rates (ISO/IEC 19795-1): TPIR and FPIR over probes, for a list of N entries.

A mated probe is found where its mate is at rank 1 and scores at least the threshold. A non-mated probe raises a false
alert where any entry scores at least the threshold. Scores are cosine in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cordon.evaluation.intervals import clopper_pearson, design_effect, entry_effect
from cordon.evaluation.protocol import Collected, NotEvaluable

LEAST_REPETITIONS, MOST_REPETITIONS = 20, 200
# Each entry, and so each of its probes, is expected in about this many of the drawn lists.
DRAWS_OF_EACH = 10
FINEST_FPIR_STEPS = 0.1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Searches:
    """What searching came to, without any template. R lists (one if the whole gallery is the list).

    mate, other: (M, R) score of the probe's mate and of the best other entry; NaN where the mate was not on the list,
    -inf where no face was found. top: (K, R) best score of a non-mated probe; top_entry: (K, R) the entry it fell on.
    mated_entry: (M,) as in Collected.
    """

    list_size: int
    gallery_size: int
    mate: Floats
    other: Floats
    mated_entry: NDArray[np.intp]
    top: Floats
    top_entry: NDArray[np.intp]

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """(M,) probes whose mate was on at least one list."""
        return np.asarray((~np.isnan(self.mate)).any(axis=1), np.bool_)

    @property
    def mated_probes(self) -> int:
        return int(self.drawn.sum())

    @property
    def non_mated_probes(self) -> int:
        return len(self.top)

    @property
    def rank1(self) -> float:
        """Share of mated probes whose mate is at rank 1, at whatever score."""
        return float(self.found(-np.inf)[self.drawn].mean())

    def found(self, threshold: float) -> Floats:
        """(M,) for each mated probe, the share of the lists with its mate on which it was found; NaN without one."""
        hit = (self.mate > self.other) & (self.mate >= threshold) & np.isfinite(self.mate)
        searched = (~np.isnan(self.mate)).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(searched > 0, hit.sum(axis=1) / searched, np.nan), np.float64)

    def alarmed(self, threshold: float) -> Floats:
        """(K,) for each non-mated probe, the share of lists on which it raised a false alert."""
        return np.asarray((self.top >= threshold).mean(axis=1), np.float64)


@dataclass(frozen=True)
class Point:
    """Rates at a threshold, with their two-sided 95 % intervals."""

    threshold: float
    tpir: float
    tpir_low: float
    tpir_high: float
    fpir: float
    fpir_low: float
    fpir_high: float


def search(collected: Collected, list_size: int | None = None, *, seed: int = 0) -> Searches:
    """Every probe against lists of `list_size` entries (None: the whole gallery). Raises NotEvaluable.

    A list shorter than the gallery is drawn at random, several times, from `seed`. A longer one is refused: strangers
    who are not in the data cannot be made up.
    """
    size = len(collected.gallery)
    wanted = size if list_size is None else list_size
    if wanted < 1:
        raise NotEvaluable("A list has at least one entry.")
    if wanted > size:
        raise NotEvaluable(
            f"A list of {wanted:,} cannot be evaluated: these photographs give {size:,} entries at most. "
            "For longer lists derive a bound from a calibration, or bring more identities with two pictures."
        )
    lists = _lists(size, wanted, seed)
    mated = collected.mated.astype(np.float64) @ collected.gallery.T.astype(np.float64)
    strangers = collected.non_mated.astype(np.float64) @ collected.gallery.T.astype(np.float64)
    found = [_mated_on(mated, collected.mated_entry, entries) for entries in lists]
    tops = [strangers[:, entries].argmax(axis=1) for entries in lists]
    return Searches(
        list_size=wanted,
        gallery_size=size,
        mate=np.stack([mate for mate, _ in found], axis=1),
        other=np.stack([other for _, other in found], axis=1),
        mated_entry=collected.mated_entry,
        top=np.stack(
            [strangers[:, entries].max(axis=1) for entries in lists],
            axis=1,
        ),
        top_entry=np.stack([entries[top] for entries, top in zip(lists, tops, strict=True)], axis=1),
    )


def rates_at(searches: Searches, threshold: float) -> Point:
    """TPIR's interval allows for the pictures of one identity, FPIR's for false alerts that fall on one entry."""
    found = searches.found(threshold)[searches.drawn]
    tpir, tpir_low, tpir_high = share_of(found, searches.mated_entry[searches.drawn])
    alarmed = searches.alarmed(threshold)
    fpir = float(alarmed.mean())
    hits = searches.top >= threshold
    effect = entry_effect(searches.top_entry[hits], np.full(int(hits.sum()), 1 / searches.top.shape[1]))
    effective = len(alarmed) / effect
    low, high = clopper_pearson(fpir * effective, effective)
    return Point(threshold, tpir, tpir_low, tpir_high, fpir, float(low), float(high))


def share_of(values: Floats, clusters: NDArray[np.intp]) -> tuple[float, float, float]:
    """Mean of (P,) values in [0, 1] with its interval, for probes that show the identities `clusters` (P,)."""
    if not len(values):
        return 0.0, 0.0, 1.0
    effective = len(values) / design_effect(values, clusters)
    share = float(values.mean())
    low, high = clopper_pearson(share * effective, effective)
    return share, float(low), float(high)


def points(searches: Searches) -> list[Point]:
    """Rates from threshold 0 to 1 in steps of a hundredth, and at every step of FPIR below one in ten."""
    steps = np.unique(searches.top)[::-1]
    kept = max(1, int(len(steps) * FINEST_FPIR_STEPS))
    # Just above a score: up at the fifth place, so that this probe no longer raises an alert.
    just_above = np.floor(steps[:kept][:: max(1, kept // 100)] * 1e5 + 1) / 1e5
    thresholds = np.unique(np.round(np.concatenate([np.arange(0, 1.001, 0.01), just_above]), 5))
    return [rates_at(searches, float(threshold)) for threshold in thresholds]


def threshold_at_fpir(searches: Searches, fpir: float) -> float:
    """The lowest threshold, in steps of a hundred thousandth, at which the measured FPIR is at most `fpir`."""
    tops = np.sort(searches.top, axis=None)[::-1]
    allowed = int(np.floor(fpir * len(tops) + 1e-9))
    if allowed >= len(tops):
        return -1.0
    return float(np.floor(tops[allowed] * 1e5 + 1) / 1e5)


def _lists(size: int, wanted: int, seed: int) -> list[NDArray[np.intp]]:
    if wanted == size:
        return [np.arange(size, dtype=np.intp)]
    chance = np.random.default_rng(seed)
    times = min(MOST_REPETITIONS, max(LEAST_REPETITIONS, -(-DRAWS_OF_EACH * size // wanted)))
    return [np.sort(chance.choice(size, wanted, replace=False)).astype(np.intp) for _ in range(times)]


def _mated_on(
    scores: NDArray[np.float64], mated_entry: NDArray[np.intp], entries: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Mate and best other score (M,) of the probes on one list."""
    rows = np.arange(len(scores))
    mate = scores[rows, mated_entry]
    rest = scores.copy()
    rest[rows, mated_entry] = -np.inf
    other = rest[:, entries].max(axis=1)
    no_face = np.isnan(mate)
    mate = np.where(no_face, -np.inf, mate)
    other = np.where(no_face, -np.inf, other)
    return np.where(np.isin(mated_entry, entries), mate, np.nan), other
