"""How many mates does Annoy miss? Measured when an index is built, over probes placed at the threshold's edge.

A missed mate is a wanted or missing person walking by. So trees and search_k rise until the misses, against exact search
of the same templates, are under one in 10,000 at the upper 95 % bound; where they cannot within the time allowed, the
index searches exactly, and says why.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from annoy import AnnoyIndex
from numpy.typing import NDArray

from cordon.index.exact import ExactSearch

Engine = Literal["annoy", "exact"]
Mode = Literal["annoy", "fastest", "exact"]

# An engine searches from well below its threshold on, where more than a few are near.
CANDIDATES = 32
SEED = 20261123
# So many probes are searched, at the least, before the time that a probe takes is believed.
_LEAST_TIMED = 100
_WARMING = 20
# So far beyond what can be repaired by more trees that none are tried.
_HOPELESS_SHARE = 0.02
_EDGE_WIDTH = 0.02


@dataclass(frozen=True)
class Demands:
    """What Annoy must show before it serves.

    most_ms: of one probe, 99th percentile, in processor time of its thread (a busy machine must not decide which engine
    serves); probes: with no miss among 30,000, the upper 95 % bound is one in 10,000 (rule of three); annoy_from: under
    this many templates, exact search takes less time than Annoy's own bookkeeping; trees and search_k: what is tried.
    """

    highest_miss_rate: float = 1e-4
    most_ms: float = 1.8
    probes: int = 30_000
    annoy_from: int = 2_000
    trees: tuple[int, ...] = (30, 100, 200)
    first_search_k: int = 1_000
    last_search_k: int = 128_000


@dataclass(frozen=True)
class Certificate:
    """What serves a search, and on what evidence. Milliseconds a probe are 99th percentiles, of processor time."""

    engine: Engine
    templates: int
    reason: str
    kernel: str = "float32"
    trees: int = 0
    search_k: int = 0
    probes: int = 0
    missed: int = 0
    missed_upper95: float = 0.0
    annoy_ms: float = 0.0
    exact_ms: float = 0.0
    build_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def mode_of_environment() -> Mode:
    """CORDON_INDEX: `annoy` (default: Annoy wherever its certificate holds), `fastest` (whichever was measured faster),
    `exact`. Raises ValueError for another word."""
    mode = os.environ.get("CORDON_INDEX", "annoy")
    if mode not in ("annoy", "fastest", "exact"):
        raise ValueError(f"CORDON_INDEX is annoy, fastest or exact, not {mode}.")
    return mode  # type: ignore[return-value]


def without_annoy(count: int, mode: Mode, demands: Demands) -> str | None:
    """Why Annoy need not be tried for this many templates; None if it is to be."""
    if mode == "exact":
        return "exact search was asked for"
    if count < demands.annoy_from:
        return f"exact search is quicker under {demands.annoy_from} templates"
    return None


def certify(
    templates: NDArray[np.float32],
    owners: NDArray[np.int32],
    threshold: float,
    *,
    mode: Mode,
    demands: Demands,
    save_to: str,
) -> Certificate:
    """The certificate, and Annoy's index under the path `save_to` if it is Annoy's (else the path is left empty).

    templates: (N, D), L2-normalised; owners: (N,), the entry that each belongs to.
    """
    began = time.perf_counter()
    exact = ExactSearch(templates)
    choosing = _Edge(*edge_probes(templates, threshold, max(1, demands.probes // 6), seed=SEED + 1))
    proving = _Edge(*edge_probes(templates, threshold, demands.probes, seed=SEED))
    exact_ms = _p99_ms(lambda probe: exact.search(probe[None], threshold), choosing.probes[:300])
    best = Certificate("exact", len(templates), "", exact.kernel, exact_ms=exact_ms)
    annoy = None
    for trees in demands.trees:
        # Gone before its file is written anew.
        del annoy
        annoy = build_annoy(templates, trees, save_to)

        def search(probe: NDArray[np.float32], search_k: int, annoy: Any = annoy) -> set[int] | None:
            found = candidates(annoy, templates, probe, search_k, threshold)
            return None if found is None else set(owners[found[0]].tolist())

        best = _least_breadth(search, owners, choosing, proving, demands, replace(best, trees=trees))
        if best.engine == "annoy":
            if mode == "fastest" and exact_ms < best.annoy_ms:
                best = replace(best, engine="exact", reason="exact search was measured faster")
            break
        if best.probes and best.missed / best.probes > _HOPELESS_SHARE:
            break
    if best.engine == "exact":
        del annoy
        Path(save_to).write_bytes(b"")
    return replace(best, build_s=round(time.perf_counter() - began, 3))


def upper_bound_95(missed: int, probes: int) -> float:
    """Upper end of the one-sided 95 % Clopper–Pearson interval of a miss rate."""
    if probes == 0:
        return 1.0
    if missed == 0:
        return 1 - math.pow(0.05, 1 / probes)
    from scipy.stats import beta

    return float(beta.ppf(0.95, missed + 1, probes - missed))


def most_misses(probes: int, highest_miss_rate: float) -> int:
    """With how many misses among so many probes the upper bound is still within the rate; −1 if not even with none."""
    missed = -1
    while missed < probes and upper_bound_95(missed + 1, probes) <= highest_miss_rate:
        missed += 1
    return missed


def edge_probes(
    templates: NDArray[np.float32], threshold: float, count: int, *, seed: int = SEED
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Probes (count, D) whose cosine with a chosen template is at the threshold or up to 0.02 above it, where a search
    is hardest, and the chosen rows."""
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(templates), count)
    mates = templates[chosen]
    noise = random.standard_normal(mates.shape, dtype=np.float32)
    noise -= (noise * mates).sum(axis=1, keepdims=True) * mates
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    cosine = np.minimum(threshold + random.uniform(1e-4, _EDGE_WIDTH, (count, 1)), 0.999).astype(np.float32)
    return np.asarray(cosine * mates + np.sqrt(1 - cosine**2) * noise, np.float32), chosen


def build_annoy(templates: NDArray[np.float32], trees: int, path: str) -> Any:
    """Annoy's index of the templates, built in the file `path`."""
    annoy = AnnoyIndex(templates.shape[1], "dot")
    annoy.set_seed(SEED)
    annoy.on_disk_build(path)
    for row, template in enumerate(templates):
        annoy.add_item(row, template)
    annoy.build(trees, n_jobs=1)
    return annoy


def candidates(
    annoy: Any, templates: NDArray[np.float32], probe: NDArray[np.float32], search_k: int, threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.float32]] | None:
    """Rows that Annoy proposes and whose exact cosine reaches the threshold, with their cosines. None where all that were
    proposed do: one entry's many pictures, or removed ones, must not hide another entry, so the caller searches exactly."""
    rows = np.array(annoy.get_nns_by_vector(probe, CANDIDATES, search_k=search_k), np.intp)
    cosines = templates[rows] @ probe
    reach = cosines >= threshold
    if len(rows) == CANDIDATES and reach.all():
        return None
    return rows[reach], cosines[reach]


@dataclass(frozen=True)
class _Edge:
    """Probes at the threshold's edge (count, D), and the row of each one's mate."""

    probes: NDArray[np.float32]
    rows: NDArray[np.intp]


def _least_breadth(
    search: Callable[[NDArray[np.float32], int], set[int] | None],
    owners: NDArray[np.int32],
    choosing: _Edge,
    proving: _Edge,
    demands: Demands,
    so_far: Certificate,
) -> Certificate:
    """The certificate with the least search_k that keeps the demands; engine `exact` and the reason if there is none.

    A breadth that misses nobody among the probes for choosing is widened by half and then proved on others: of several
    that are tried, one would otherwise pass by luck.
    """
    search_k, tried = demands.first_search_k, so_far
    allowed = most_misses(len(proving.rows), demands.highest_miss_rate)
    while search_k <= demands.last_search_k:
        wide = search_k + (search_k + 1) // 2
        missed, spent = _misses(search, owners, choosing, search_k, 0)
        ms = float(np.median(spent))
        if not missed and ms <= demands.most_ms:
            missed, spent = _misses(search, owners, proving, wide, allowed)
            ms = float(np.percentile(spent, 99))
        tried = replace(
            so_far,
            search_k=wide,
            probes=len(spent),
            missed=missed,
            missed_upper95=upper_bound_95(missed, len(spent)),
            annoy_ms=ms,
        )
        if ms > demands.most_ms:
            still = f" and still misses up to {tried.missed_upper95:.1e} of mates" if missed else ""
            return replace(tried, reason=f"Annoy takes {ms:.1f} ms a probe with {tried.trees} trees{still}")
        if tried.missed_upper95 <= demands.highest_miss_rate:
            return replace(tried, engine="annoy", reason="certified")
        search_k = wide
    return replace(tried, reason=f"Annoy misses up to {tried.missed_upper95:.1e} of mates with {tried.trees} trees")


def _misses(
    search: Callable[[NDArray[np.float32], int], set[int] | None],
    owners: NDArray[np.int32],
    edge: _Edge,
    search_k: int,
    allowed: int,
) -> tuple[int, NDArray[np.float64]]:
    """Mates that Annoy's way would not have found, and the milliseconds of each probe. Ends early once more than `allowed`
    were missed."""
    missed, spent = 0, []
    for probe in edge.probes[:_WARMING]:
        search(probe, search_k)
    for probe, row in zip(edge.probes, edge.rows, strict=True):
        began = time.thread_time()
        found = search(probe, search_k)
        spent.append(time.thread_time() - began)
        missed += found is not None and int(owners[row]) not in found
        if missed > allowed and len(spent) >= _LEAST_TIMED:
            break
    return missed, np.array(spent) * 1_000


def _p99_ms(search: Callable[[NDArray[np.float32]], object], probes: NDArray[np.float32]) -> float:
    spent = []
    for probe in probes:
        began = time.thread_time()
        search(probe)
        spent.append(time.thread_time() - began)
    return float(np.percentile(spent[len(spent) // 10 :], 99)) * 1_000
