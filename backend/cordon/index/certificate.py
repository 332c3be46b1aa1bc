"""How many mates does Annoy miss? Measured when an index is built, over probes placed at the threshold's edge.

A missed mate is a wanted or missing person walking by. So trees and search_k rise until the misses, against exact search
of the same templates, are under one in 10,000 at the upper 95 % bound; where they cannot within the time allowed, the
index searches exactly, and says why.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from annoy import AnnoyIndex
from numpy.typing import NDArray

Engine = Literal["annoy", "exact"]

HIGHEST_MISS_RATE = 1e-4
# With no miss at all, the upper 95 % bound is 3 / n (rule of three): 30,000 probes show one in 10,000.
PROBES = 30_000
MOST_MS_A_PROBE = 2.0
TREES_AND_BREADTH = ((20, 2_000), (50, 10_000), (100, 40_000))
# Under this many templates, exact search takes less time than Annoy's own bookkeeping.
ANNOY_FROM = 2_000
CANDIDATES = 10


@dataclass(frozen=True)
class Certificate:
    """What serves a search, and on what evidence. Times in milliseconds a probe."""

    engine: Engine
    templates: int
    reason: str
    trees: int = 0
    search_k: int = 0
    probes: int = 0
    missed: int = 0
    missed_upper95: float = 0.0
    annoy_ms: float = 0.0
    exact_ms: float = 0.0


def upper_bound_95(missed: int, probes: int) -> float:
    """Upper end of the one-sided 95 % Clopper–Pearson interval of a miss rate."""
    if probes == 0:
        return 1.0
    if missed == 0:
        return 1 - math.pow(0.05, 1 / probes)
    from scipy.stats import beta

    return float(beta.ppf(0.95, missed + 1, probes - missed))


def certify(templates: NDArray[np.float32], threshold: float) -> tuple[Certificate, Any]:
    """The certificate and the built Annoy index (None where exact search serves). `templates`: (N, D), L2-normalised.

    CORDON_INDEX: `annoy` (default: Annoy wherever its certificate holds), `fastest` (whichever was measured faster),
    `exact`.
    """
    mode = os.environ.get("CORDON_INDEX", "annoy")
    count = len(templates)
    if mode == "exact":
        return Certificate("exact", count, "exact search was asked for"), None
    if count < ANNOY_FROM:
        return Certificate("exact", count, f"exact search is quicker under {ANNOY_FROM} templates"), None
    probes, mates = edge_probes(templates, threshold, PROBES)
    exact_ms = _exact_ms(templates, probes)
    found: Certificate | None = None
    for trees, search_k in TREES_AND_BREADTH:
        index = _built(templates, trees)
        missed, taken, annoy_ms = _misses(index, probes, mates, search_k)
        found = Certificate(
            "annoy",
            count,
            "certified",
            trees,
            search_k,
            taken,
            missed,
            upper_bound_95(missed, taken),
            annoy_ms,
            exact_ms,
        )
        if annoy_ms > MOST_MS_A_PROBE:
            break
        if found.missed_upper95 <= HIGHEST_MISS_RATE:
            if mode == "fastest" and exact_ms < annoy_ms:
                return _exact(found, "exact search was measured faster"), None
            return found, index
    if found is None:
        return Certificate("exact", count, "no parameters were tried"), None
    why = (
        f"Annoy takes {found.annoy_ms:.1f} ms a probe"
        if found.annoy_ms > MOST_MS_A_PROBE
        else f"Annoy misses up to {found.missed_upper95:.1e} of mates"
    )
    return _exact(found, why), None


def edge_probes(
    templates: NDArray[np.float32], threshold: float, count: int
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Probes (count, D) whose cosine with a chosen template is just above the threshold, and the chosen rows."""
    random = np.random.default_rng(20261123)
    chosen = random.integers(0, len(templates), count)
    mates = templates[chosen]
    noise = random.standard_normal(mates.shape, dtype=np.float32)
    noise -= (noise * mates).sum(axis=1, keepdims=True) * mates
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    cosine = np.float32(min(threshold + 0.01, 0.999))
    return cosine * mates + np.sqrt(1 - cosine**2) * noise, chosen


def _exact(measured: Certificate, reason: str) -> Certificate:
    return Certificate("exact", measured.templates, reason, annoy_ms=measured.annoy_ms, exact_ms=measured.exact_ms)


def _built(templates: NDArray[np.float32], trees: int) -> Any:
    index = AnnoyIndex(templates.shape[1], "dot")
    index.set_seed(20261123)
    for row, template in enumerate(templates):
        index.add_item(row, template)
    index.build(trees, n_jobs=1)
    return index


def _misses(index: Any, probes: NDArray[np.float32], mates: NDArray[np.intp], search_k: int) -> tuple[int, int, float]:
    """Mates that are not among the candidates, probes tried, and milliseconds a probe. Stops early where it is hopeless."""
    missed, taken, began = 0, 0, time.perf_counter()
    for probe, mate in zip(probes, mates, strict=True):
        missed += int(mate) not in index.get_nns_by_vector(probe, CANDIDATES, search_k=search_k)
        taken += 1
        if taken >= 200 and missed > 3:
            break
        if taken == 100 and (time.perf_counter() - began) * 10 > MOST_MS_A_PROBE:
            break
    return missed, taken, (time.perf_counter() - began) * 1_000 / taken


def _exact_ms(templates: NDArray[np.float32], probes: NDArray[np.float32]) -> float:
    began = time.perf_counter()
    for probe in probes[:50]:
        (templates @ probe).argmax()
    return (time.perf_counter() - began) * 20
