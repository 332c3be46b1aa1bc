"""A pack's calibration: what was measured once, kept as scores without faces, and the thresholds that follow from it.

The unit that counts is the non-mated probe, one an identity: comparisons of one probe with many entries depend on one
another, so n probes against G entries are n trials, not n · G. For a list of N entries

    FPIR(N) <= ceil(N / G) * FPIR(G)

because such a list is ceil(N / G) lists of at most G, and a false alert needs one in at least one of them (union
bound; no independence is assumed, only that entries are drawn from the same population as those of the calibration).
FPIR(G) is taken at its upper 95 % limit, with false alerts on one and the same entry counted as one event. With no
false alert at all that limit is about 3/n: a smaller budget is refused, whatever the threshold. For a list shorter
than G the figure for G is used, which is too high rather than too low.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordon.evaluation.intervals import clopper_pearson, design_effect, entry_effect, upper_limit

VERSION = 1
STEP = 0.001
HIGHEST_SCORE = 1.0


class CalibrationUnreadable(Exception):
    """Not a calibration of a version that is known; the message is a sentence."""


class NotSupported(Exception):
    """The calibration cannot vouch for this budget and list.

    smallest_budget: the least FPIR it supports for this list; longest_list: the longest list it supports for this
    budget, 0 if none. The message says both.
    """

    def __init__(self, sentence: str, smallest_budget: float, longest_list: int) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.smallest_budget = smallest_budget
        self.longest_list = longest_list


@dataclass(frozen=True)
class Calibration:
    """pack: label, name and version. data, limits: sentences on the photographs and what they say nothing about.

    list_size: entries of the gallery G; non_mated: probes n, one an identity. non_mated_scores: best score of each of
    those probes that reach `curve_from`, with the number of the entry it fell on. mated_scores: for each identity, the
    score of its mate and of the best other entry for each of its probes; -1 where no face was found. Scores are cosine.
    """

    pack: str
    data: str
    limits: str
    measured_on: date
    list_size: int
    non_mated: int
    curve_from: float
    non_mated_scores: tuple[tuple[float, int], ...]
    mated_scores: tuple[tuple[tuple[float, float], ...], ...]
    not_counted: dict[str, int] = field(default_factory=dict)

    @property
    def mated(self) -> int:
        return sum(len(probes) for probes in self.mated_scores)

    @cached_property
    def fpir_curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Thresholds, ascending in whole steps from `curve_from`, so that the same number is written, signed and
        compared; and the upper 95 % limit of FPIR at each against a list as long as this one, never rising."""
        scores = np.asarray([score for score, _ in self.non_mated_scores])
        entries = np.asarray([entry for _, entry in self.non_mated_scores], np.intp)
        first = math.ceil(round(max(self.curve_from, 0.0) / STEP, 6))
        thresholds = np.round(np.arange(first, round(HIGHEST_SCORE / STEP) + 1) * STEP, 3)
        alerts = [entries[scores >= threshold] for threshold in thresholds]
        effects = np.asarray([entry_effect(fell_on, np.ones(len(fell_on))) for fell_on in alerts])
        counts = np.asarray([len(fell_on) for fell_on in alerts])
        limits = upper_limit(counts / effects, self.non_mated / effects)
        # A lower threshold cannot raise fewer false alerts, whatever the design effects say.
        return thresholds, np.maximum.accumulate(limits[::-1])[::-1]

    @property
    def summary(self) -> str:
        """One or two sentences for the person who signs for its use."""
        return (
            f"Calibrated on {self.measured_on.isoformat()} with {self.data}: {self.mated:,} mated and "
            f"{self.non_mated:,} non-mated probes against {self.list_size:,} entries. {self.limits}"
        )

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        return {
            "version": VERSION,
            **values,
            "measured_on": self.measured_on.isoformat(),
            "mated": self.mated,
            "mated_identities": len(self.mated_scores),
            "non_mated_scores": [list(pair) for pair in self.non_mated_scores],
            "mated_scores": [[list(pair) for pair in probes] for probes in self.mated_scores],
        }


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold (cosine) for a list and a budget, and what it finds.

    fpir_high: upper 95 % limit of FPIR for this list. tpir with its two-sided 95 % interval; for a list longer than
    the calibration's the lower end allows for mates that lose rank 1 to an entry that was not measured.
    """

    threshold: float
    list_size: int
    fpir_high: float
    tpir: float
    tpir_low: float
    tpir_high: float


def from_json(raw: object) -> Calibration:
    """Raises CalibrationUnreadable."""
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise CalibrationUnreadable(f"This is not a calibration of version {VERSION}.")
    try:
        made = Calibration(
            pack=str(raw["pack"]),
            data=str(raw["data"]),
            limits=str(raw["limits"]),
            measured_on=date.fromisoformat(raw["measured_on"]),
            list_size=int(raw["list_size"]),
            non_mated=int(raw["non_mated"]),
            curve_from=float(raw["curve_from"]),
            non_mated_scores=tuple((float(score), int(entry)) for score, entry in raw["non_mated_scores"]),
            mated_scores=tuple(
                tuple((float(mate), float(other)) for mate, other in probes) for probes in raw["mated_scores"]
            ),
            not_counted={str(name): int(count) for name, count in raw.get("not_counted", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CalibrationUnreadable("The calibration is damaged.") from error
    if made.list_size < 1 or made.mated < 1 or not 1 <= len(made.non_mated_scores) <= made.non_mated:
        raise CalibrationUnreadable("The calibration's counts contradict its scores.")
    numbers = [score for score, _ in made.non_mated_scores] + [x for p in made.mated_scores for pair in p for x in pair]
    if not all(math.isfinite(number) and abs(number) <= HIGHEST_SCORE for number in [*numbers, made.curve_from]):
        raise CalibrationUnreadable("A score of the calibration is not a cosine.")
    if min(score for score, _ in made.non_mated_scores) < made.curve_from:
        raise CalibrationUnreadable("The calibration's curve does not begin where it says.")
    return made


def threshold_for(calibration: Calibration, list_size: int, budget_fpir: float) -> OperatingPoint:
    """The lowest threshold whose upper limit of FPIR for a list of `list_size` entries is within `budget_fpir`.

    budget_fpir: false alerts for each face seen, in (0, 1). Raises NotSupported, ValueError for what is no budget.
    """
    if list_size < 1 or not 0 < budget_fpir < 1:
        raise ValueError("A list has at least one entry, and a budget lies between 0 and 1.")
    lists = -(-list_size // calibration.list_size)
    thresholds, limits = calibration.fpir_curve
    kept = np.flatnonzero(lists * limits <= budget_fpir)
    if not len(kept):
        raise _not_supported(calibration, list_size, budget_fpir, float(limits[-1]))
    chosen, limit = float(thresholds[kept[0]]), float(lists * limits[kept[0]])
    share, low, high = tpir_at(calibration, chosen)
    if list_size > calibration.list_size:
        # A mate loses rank 1 only to an entry that scores above it, and so above the threshold: at most that often.
        low = max(0.0, low - limit)
    return OperatingPoint(chosen, list_size, limit, share, low, high)


def tpir_at(calibration: Calibration, threshold: float) -> tuple[float, float, float]:
    """TPIR and its two-sided 95 % interval at rank 1, against a list as long as the calibration's."""
    values = np.asarray(
        [float(mate > other and mate >= threshold) for probes in calibration.mated_scores for mate, other in probes]
    )
    who = np.repeat(np.arange(len(calibration.mated_scores)), [len(probes) for probes in calibration.mated_scores])
    effective = len(values) / design_effect(values, who)
    share = float(values.mean())
    low, high = clopper_pearson(share * effective, effective)
    return share, float(low), float(high)


def one_in(rate: float) -> int:
    """The n of "1 in n" that promises no less than `rate`."""
    return max(1, math.floor(1 / rate + 1e-9))


def _not_supported(calibration: Calibration, list_size: int, budget: float, highest: float) -> NotSupported:
    lists = -(-list_size // calibration.list_size)
    smallest = min(1.0, lists * highest)
    longest = int(budget / highest + 1e-9) * calibration.list_size
    least = (
        f"no less than 1 false alert in {one_in(smallest):,} faces" if smallest < 1 else "no false-alert budget at all"
    )
    reach = f"a list of at most {longest:,} entries" if longest else "no list of any length"
    sentence = (
        f"The calibration of {calibration.pack} has {calibration.non_mated:,} non-mated probes against "
        f"{calibration.list_size:,} entries. For a list of {list_size:,} it can support {least}; "
        f"for a budget of 1 in {one_in(budget):,} it can support {reach}."
    )
    return NotSupported(sentence, smallest, longest)
