"""Which views of a track are worth an embedding, and what they say together.

Two different views must agree: their cosines with the same entry reach the threshold on average, and each of them comes
near it alone. A view
that is alone with its likeness never makes a hit, and neither does one picture that was embedded twice.

The numbers were chosen on 12 simulated streets (seeds 100 to 111 of `bench_fusion`) by the mean TPIR at FPIR 0.4 to 6 %:
the differences named below are of 120 listed people, and most are within chance. On other streets the rule found as many
as a single view at the same rate of false alerts did, not more (docs/matching.md).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

# Embedded as they come, so that a hit need not wait. One found 0.8 points fewer in poor pictures, 0.5 more in fair ones.
VIEWS_AT_FIRST = 2
# Then one so often: views that are apart in time err less alike. Of 3, 4, 5 and 6 frames at 8 a second, 3 and 4 found the
# most in poor pictures (73, 72, 70, 69 %), and none in fair ones; 3 costs an embedding more.
ANOTHER_AFTER_S = 0.5
# A view's pixels are judged at most so often after the first ones: judging a face costs a tenth of a detection, and faces
# change little from one frame to the next.
LOOK_AGAIN_S = 0.2
# Or sooner if it is so much better than all before. 1.2 did best of 1.1, 1.15, 1.2, 1.3 and never, by less than chance.
BETTER_VIEW = 1.2
# 10 found 0.7 points fewer, and spared one embedding a person in fair pictures.
MOST_VIEWS = 12
# How far below the threshold each of two views may be that reach it together. In poor pictures 0.05 found 1.7 points
# fewer, in fair ones as many.
SUPPORT = 0.1
# Two views that are more alike than this are one picture for agreement. Dropping them at 0.98 or 0.95 cost nothing, at
# 0.9 2.5 points.
SAME_PICTURE = 0.98


@dataclass(frozen=True)
class Chosen:
    """What a track's choice of views depends on: how many were embedded, the best weight among them, when the last was
    taken, and when one was last looked at."""

    count: int = 0
    best_weight: float = 0.0
    last_at: datetime | None = None
    looked_at: datetime | None = None

    def with_view(self, weight: float, at: datetime) -> Chosen:
        return Chosen(self.count + 1, max(self.best_weight, weight), at, at)

    def after_a_look(self, at: datetime) -> Chosen:
        return replace(self, looked_at=at)


def worth_a_look(chosen: Chosen, at: datetime) -> bool:
    """Is a view, taken then, worth judging at all?"""
    if chosen.count >= MOST_VIEWS:
        return False
    if chosen.count < VIEWS_AT_FIRST or chosen.looked_at is None:
        return True
    return (at - chosen.looked_at).total_seconds() >= LOOK_AGAIN_S


def choose_view(chosen: Chosen, weight: float, at: datetime) -> bool:
    """Is a view of this weight (`FaceQuality.weight`), taken then, worth an embedding?"""
    if chosen.count >= MOST_VIEWS or chosen.last_at == at:
        return False
    if chosen.count < VIEWS_AT_FIRST or chosen.last_at is None:
        return True
    return (at - chosen.last_at).total_seconds() >= ANOTHER_AFTER_S or weight >= BETTER_VIEW * chosen.best_weight


def strength(cosines: NDArray[np.float32], templates: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest threshold at which a track confirms each entry: (E,), −1 where no two views could.

    cosines (n, E): of each view with each entry; templates (n, D): of the views, length one. The order of the views does
    not matter; those that are not finite count for nothing. An entry of several templates has, for each view, the cosine
    with the nearest: two views may then be near two of its photographs.
    """
    finite = np.isfinite(templates).all(axis=1) & np.isfinite(cosines).all(axis=1)
    cosines, templates = cosines[finite], templates[finite]
    best = np.full(cosines.shape[1], -1, np.float32)
    likeness = templates @ templates.T
    for one, other in itertools.combinations(range(len(templates)), 2):
        alike = float(likeness[one, other])
        if alike <= SAME_PICTURE:
            # Not the cosine of their mean template, which is higher for mates and strangers alike: at one threshold it
            # raised several times as many false alerts as single pictures do, of which calibrations are made.
            together = (cosines[one] + cosines[other]) / 2
            alone = np.minimum(cosines[one], cosines[other]) + np.float32(SUPPORT)
            np.maximum(best, np.minimum(together, alone), out=best)
    return best


def agreeing(cosines: NDArray[np.float32], templates: NDArray[np.float32], threshold: float) -> int:
    """How many different pictures support one entry: cosines (n,) of the track's views with it; templates (n, D)."""
    kept: list[int] = []
    # NaN sorts last and compares as false.
    for view in np.argsort(-cosines, kind="stable"):
        supports = cosines[view] >= threshold - SUPPORT and np.isfinite(templates[view]).all()
        if supports and all(float(templates[view] @ templates[other]) <= SAME_PICTURE for other in kept):
            kept.append(int(view))
    return len(kept)


def confirmed(
    cosines: NDArray[np.float32], templates: NDArray[np.float32], threshold: float, *, agree: int = 2
) -> float | None:
    """The score of one entry if the track confirms it, else None: `agree` different views (two at least) support it,
    and two of them reach the threshold on average. cosines (n,): of the views with the entry; templates (n, D)."""
    score = float(strength(cosines[:, None], templates)[0])
    enough = agreeing(cosines, templates, threshold) >= max(agree, 2)
    return score if score >= threshold and enough else None
