"""Exact search finds what a plain product finds, also through the eight-bit scan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon.index.exact import SCANNED_FROM_VALUES, ExactSearch
from index_lists import unit


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 400),
    dimension=st.sampled_from([2, 8, 31, 128, 512]),
    threshold=st.floats(-1, 1),
    spread=st.sampled_from([0.0, 0.05, 1.0]),
    probes=st.integers(1, 20),
)
def test_the_scan_finds_exactly_what_a_plain_product_finds(
    seed: int, count: int, dimension: int, threshold: float, spread: float, probes: int
) -> None:
    """Also for templates that are nearly the same (spread 0.05) or have one large value, which quantises worst."""
    middle = unit(seed, 1, dimension)
    templates = middle + spread * unit(seed + 1, count, dimension)
    templates[0] = np.eye(1, dimension, dtype=np.float32)
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    sought = np.concatenate([unit(seed + 2, probes, dimension), templates[:1]])
    scanned, plain = ExactSearch(templates, scan=True), ExactSearch(templates, scan=False)
    for probe, (rows, cosines), (expected, _) in zip(
        sought, scanned.search(sought, threshold), plain.search(sought, threshold), strict=True
    ):
        truth = templates.astype(np.float64) @ probe.astype(np.float64)
        # Within float32's rounding of the threshold either answer is right.
        sure = set(np.flatnonzero(truth >= threshold + 1e-6))
        possible = set(np.flatnonzero(truth >= threshold - 1e-6))
        for found in (set(rows), set(expected)):
            assert sure <= found <= possible
        assert np.allclose(cosines, truth[rows], atol=1e-6)


def test_long_lists_are_scanned_and_short_ones_are_not() -> None:
    assert ExactSearch(unit(1, 10)).kernel == "float32"
    long = ExactSearch(unit(1, SCANNED_FROM_VALUES // 128 + 1, 128))
    assert "int8" in long.kernel


def test_the_scan_leaves_little_to_multiply_out() -> None:
    """Else it would be exact, and slow: of isotropic templates less than one in a thousand may pass."""
    search = ExactSearch(unit(3, 20_000, 128), scan=True)
    assert search._scan is not None
    possible = search._scan.possible(unit(4, 20, 128), 0.45)
    assert np.mean([len(rows) for rows in possible]) < 20


def test_an_empty_list_answers_nothing() -> None:
    rows, cosines = ExactSearch(np.zeros((0, 16), np.float32)).search(unit(1), 0.1)[0]
    assert len(rows) == len(cosines) == 0


def test_a_kernel_that_saturates_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    from cordon.index import exact

    real = exact._integer_product

    class Saturating:
        def __init__(self, session: object) -> None:
            self._session = session

        def run(self, names: None, feeds: dict) -> list:
            return [np.clip(self._session.run(names, feeds)[0], -30_000, 30_000)]  # type: ignore[attr-defined]

    monkeypatch.setattr(exact, "_integer_product", lambda columns: Saturating(real(columns)))
    with pytest.raises(ArithmeticError, match="not exact"):
        ExactSearch(unit(3, 2_000, 128), scan=True)
