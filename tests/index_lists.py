"""Watchlists for the index's tests: unit vectors by seed, and demands that let Annoy serve short lists at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cordon.index.build import Builder, build_here
from cordon.index.certificate import Demands

# Annoy for short lists too, with a breadth that makes it complete, whatever the certificate would say.
ANNOY_AT_ONCE = Demands(
    highest_miss_rate=1.0,
    most_ms=1_000.0,
    probes=60,
    annoy_from=1,
    trees=(10,),
    first_search_k=100_000,
    last_search_k=100_000,
)


def unit(seed: int, count: int = 1, dimension: int = 16) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def annoy_at_once() -> Builder:
    return build_here(ANNOY_AT_ONCE)
