"""Intervals for shares of probes, with the probes that depend on one another counted for less.

Clopper–Pearson throughout, on an effective number of probes (Korn and Graubard, Survey Methodology 24, 1998), rather
than a bootstrap over identities. Good packs sit where nearly all mated probes are found and hardly a non-mated one is:
a percentile bootstrap of "none in 700" is [0, 0], which is false certainty exactly where a threshold is chosen.
Clopper–Pearson keeps its coverage there, needs no random numbers, and the design effect carries what the bootstrap
over identities would have shown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

CONFIDENCE = 0.95
# A count that is zero but for rounding; the beta distribution has no quantiles there.
_NONE = 1e-9

Floats = NDArray[np.float64]


def clopper_pearson(hits: ArrayLike, trials: ArrayLike, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """Two-sided limits (low, high) of a share, in the shape of `hits`; both counts may be fractions of a count."""
    hits, trials = np.broadcast_arrays(np.asarray(hits, float), np.asarray(trials, float))
    tail = (1 - confidence) / 2
    misses = trials - hits
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(hits > _NONE, beta.ppf(tail, np.maximum(hits, _NONE), misses + 1), 0.0)
        high = np.where(misses > _NONE, beta.ppf(1 - tail, hits + 1, np.maximum(misses, _NONE)), 1.0)
        share = np.where(trials > 0, hits / trials, 0.0)
    # No probes: nothing is known. Few effective probes: the estimate still lies inside its own interval.
    low = np.where(trials > 0, np.minimum(np.nan_to_num(low, nan=0.0), share), 0.0)
    high = np.where(trials > 0, np.maximum(np.nan_to_num(high, nan=1.0), share), 1.0)
    return low, high


def upper_limit(hits: ArrayLike, trials: ArrayLike, confidence: float = CONFIDENCE) -> Floats:
    """One-sided upper limit of a share; with no hit in n trials about 3/n ("rule of three")."""
    return clopper_pearson(hits, trials, 1 - 2 * (1 - confidence))[1]


def design_effect(values: Floats, clusters: NDArray[np.intp]) -> float:
    """How many dependent probes are worth one independent probe, at least 1.

    values: (P,) in [0, 1], what became of each probe; clusters: (P,) the identity that each probe shows. The variance
    of the mean between identities over the variance that independent probes would have (Kish, Survey Sampling, 1965).
    Where all probes agree no variance can be estimated: then identities, not probes, are counted.
    """
    count = len(values)
    if count == 0:
        return 1.0
    _, numbered = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(numbered).astype(float)
    share = float(values.mean())
    if len(sizes) < 2:
        return float(count)
    if not 0 < share < 1:
        return max(1.0, float((sizes**2).sum() / sizes.sum()))
    apart = np.bincount(numbered, weights=values) - share * sizes
    clustered = len(sizes) / (len(sizes) - 1) * float((apart**2).sum()) / count**2
    return min(float(count), max(1.0, clustered / (share * (1 - share) / count)))


def entry_effect(entries: NDArray[np.intp], weights: Floats) -> float:
    """Design effect of false alerts that fall on the same list entries, at least 1.

    entries: (A,) the entry of each false alert; weights: (A,) how much it counts. The alerts of one entry are taken to
    come and go together, so a lookalike who raises five alerts counts as one event: sum of squares over sum.
    """
    if not len(entries):
        return 1.0
    counts = np.bincount(entries, weights=weights)
    return max(1.0, float((counts**2).sum() / counts.sum()))
