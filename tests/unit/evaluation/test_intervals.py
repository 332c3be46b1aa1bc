"""Intervals of shares, against known values and in every case."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cordon.evaluation.intervals import clopper_pearson, design_effect, entry_effect, upper_limit


@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_whole_counts_have_the_limits_that_scipys_exact_test_gives(counts: tuple[int, int]) -> None:
    hits, trials = counts
    exact = binomtest(hits, trials).proportion_ci(method="exact")
    low, high = clopper_pearson(hits, trials)
    assert low == pytest.approx(exact.low, abs=1e-9)
    assert high == pytest.approx(exact.high, abs=1e-9)


@given(st.floats(0, 1), st.floats(0.01, 1e6))
def test_an_interval_contains_its_estimate_for_any_effective_number_of_probes(share: float, trials: float) -> None:
    low, high = clopper_pearson(share * trials, trials)
    assert 0 <= low <= share * (1 + 1e-9)
    assert share * (1 - 1e-9) <= high <= 1


@pytest.mark.parametrize("trials", [100, 700, 10_000])
def test_none_in_n_leaves_about_three_in_n_possible(trials: int) -> None:
    assert upper_limit(0, trials) * trials == pytest.approx(3, rel=0.03)


def test_nothing_is_known_without_probes() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_probes_that_stand_and_fall_together_count_as_one() -> None:
    found = np.repeat(np.asarray([1.0, 0.0] * 25), 4)
    people = np.repeat(np.arange(50), 4)
    assert design_effect(found, people) == pytest.approx(4, rel=0.05)
    assert design_effect(found, np.arange(200)) == pytest.approx(1, abs=0.05)


def test_where_all_are_found_identities_are_counted_not_probes() -> None:
    assert design_effect(np.ones(100), np.repeat(np.arange(25), 4)) == pytest.approx(4)


def test_false_alerts_on_one_entry_count_as_one_event() -> None:
    assert entry_effect(np.asarray([7] * 5, np.intp), np.ones(5)) == 5
    assert entry_effect(np.arange(5), np.ones(5)) == 1


def test_the_effective_interval_agrees_with_a_bootstrap_over_identities() -> None:
    chance = np.random.default_rng(5)
    people = np.repeat(np.arange(300), 3)
    found = (chance.beta(4, 1, 300)[people] > chance.random(900)).astype(float)
    effective = len(found) / design_effect(found, people)
    low, high = clopper_pearson(found.mean() * effective, effective)
    shares = found.reshape(300, 3).mean(axis=1)
    drawn = [shares[chance.integers(0, 300, 300)].mean() for _ in range(3_000)]
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.008)
