"""Annoy serves only where it was shown to miss nobody, within the time it may take; else exact search, with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cordon.index.build import build_here
from cordon.index.certificate import Demands, edge_probes, mode_of_environment, most_misses, upper_bound_95
from cordon.index.watchlist_index import WatchlistIndex
from index_lists import unit


def certified(demands: Demands, *, mode: str = "annoy", count: int = 2_500, dimension: int = 16) -> WatchlistIndex:
    index = WatchlistIndex(dimension, 0.8, build_here(demands, mode))  # type: ignore[arg-type]
    index.replace_all({f"e{n}": row[None] for n, row in enumerate(unit(9, count, dimension))})
    index.rebuild()
    return index


def test_annoy_serves_where_its_certificate_holds_and_finds_what_exact_search_finds() -> None:
    index = certified(Demands(most_ms=50))
    shown = index.certificate
    assert shown.engine == "annoy", shown.reason
    assert shown.probes == 30_000
    assert shown.missed_upper95 <= 1e-4
    probes, _ = edge_probes(unit(9, 2_500), 0.8, 300)
    for quick, slow in zip(index.search(probes), index.search_exactly(probes), strict=True):
        assert [match.entry_id for match in quick] == [match.entry_id for match in slow]
        assert quick[0].cosine == pytest.approx(slow[0].cosine, abs=1e-6)


def test_where_annoy_misses_too_many_exact_search_serves_and_says_why() -> None:
    index = certified(Demands(trees=(1,), first_search_k=1, last_search_k=1), dimension=64)
    assert index.certificate.engine == "exact"
    assert "misses" in index.certificate.reason
    assert len(index.search(unit(9, 2_500, 64)[3:4])[0]) == 1


def test_where_annoy_takes_too_long_exact_search_serves_and_says_how_long() -> None:
    index = certified(Demands(most_ms=1e-6))
    assert index.certificate.engine == "exact"
    assert "ms a probe" in index.certificate.reason


def test_fastest_takes_what_was_measured_faster() -> None:
    shown = certified(Demands(most_ms=50, probes=400, highest_miss_rate=0.01), mode="fastest").certificate
    assert (shown.engine == "annoy") == (shown.annoy_ms <= shown.exact_ms)


def test_short_lists_and_those_who_ask_for_it_get_exact_search() -> None:
    assert "quicker" in certified(Demands(), count=100).certificate.reason
    assert certified(Demands(), mode="exact").certificate.reason == "exact search was asked for"


def test_the_mode_is_a_setting_with_three_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORDON_INDEX", raising=False)
    assert mode_of_environment() == "annoy"
    monkeypatch.setenv("CORDON_INDEX", "quick")
    with pytest.raises(ValueError, match="annoy, fastest or exact"):
        mode_of_environment()


def test_the_bound_on_misses_is_the_rule_of_three_and_grows_with_each_miss() -> None:
    assert upper_bound_95(0, 30_000) == pytest.approx(3 / 30_000, rel=0.01)
    assert upper_bound_95(0, 30_000) <= 1e-4 < upper_bound_95(1, 30_000)
    assert (most_misses(30_000, 1e-4), most_misses(1_000, 1e-4), most_misses(60, 0.5)) == (0, -1, 23)


def test_probes_lie_at_the_thresholds_edge() -> None:
    templates = unit(1, 500, 64)
    probes, rows = edge_probes(templates, 0.45, 2_000)
    cosines = (probes * templates[rows]).sum(axis=1)
    assert np.allclose(np.linalg.norm(probes, axis=1), 1, atol=1e-5)
    assert cosines.min() >= 0.45 - 1e-6
    assert cosines.max() <= 0.47 + 1e-5


def test_no_index_leaves_a_descriptor_open() -> None:
    demands = replace(Demands(), most_ms=50, probes=200, highest_miss_rate=0.05)
    certified(demands)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        index = certified(demands)
        index.rebuild()
        index.close()
        del index
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
