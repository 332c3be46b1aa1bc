"""TPIR and FPIR as they are defined, and what must hold for any templates."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon.evaluation.protocol import Collected, NotEvaluable
from cordon.evaluation.rates import points, rates_at, search, threshold_at_fpir
from made_templates import collected

ANY_DATA = st.builds(
    collected,
    st.integers(2, 40),
    st.integers(1, 60),
    seed=st.integers(0, 10_000),
    blur=st.floats(0, 3),
    faceless=st.integers(0, 3),
)


@settings(max_examples=40, deadline=None)
@given(ANY_DATA, st.floats(0.05, 1))
def test_a_higher_threshold_never_finds_more_nor_alarms_more(data: Collected, share: float) -> None:
    measured = points(search(data, max(1, int(share * len(data.gallery))), seed=1))
    for name in ("tpir", "fpir"):
        values = [getattr(point, name) for point in measured]
        assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(values))


@settings(max_examples=40, deadline=None)
@given(ANY_DATA)
def test_every_interval_contains_its_estimate(data: Collected) -> None:
    for point in points(search(data)):
        assert 0 <= point.tpir_low <= point.tpir <= point.tpir_high <= 1
        assert 0 <= point.fpir_low <= point.fpir <= point.fpir_high <= 1


@settings(max_examples=30, deadline=None)
@given(ANY_DATA, st.floats(0, 1))
def test_the_threshold_at_an_fpir_keeps_it(data: Collected, fpir: float) -> None:
    searches = search(data)
    assert rates_at(searches, threshold_at_fpir(searches, fpir)).fpir <= fpir + 1e-9


def test_a_mate_that_is_not_at_rank_one_is_not_found_at_any_threshold() -> None:
    data = collected(2, 1)
    lookalike = dataclasses.replace(data, mated=data.gallery[[1, 1, 1, 1]])
    searches = search(lookalike)
    assert searches.rank1 == 0.5
    assert rates_at(searches, 0.0).tpir == 0.5


def test_a_mated_probe_without_a_face_counts_as_not_found() -> None:
    whole, some = search(collected(10, 5, blur=0.01)), search(collected(10, 5, blur=0.01, faceless=4))
    assert whole.rank1 == 1.0
    assert some.mated_probes == 20
    assert some.rank1 == pytest.approx(16 / 20)


def test_a_list_longer_than_the_gallery_is_refused_in_a_sentence() -> None:
    with pytest.raises(NotEvaluable, match=r"A list of 11 cannot be evaluated: these photographs give 10 entries"):
        search(collected(10, 5), 11)
    with pytest.raises(NotEvaluable, match="at least one entry"):
        search(collected(10, 5), 0)


def test_shorter_lists_are_drawn_again_and_again_and_alike_from_one_seed() -> None:
    data = collected(60, 200)
    first, again, other = search(data, 6, seed=3), search(data, 6, seed=3), search(data, 6, seed=4)
    assert first.mate.shape == (120, 100)
    assert np.array_equal(first.top, again.top)
    assert not np.array_equal(first.top, other.top)


def test_a_shorter_list_raises_fewer_false_alerts_and_finds_no_less() -> None:
    data = collected(80, 400, blur=1.0)
    whole, short = rates_at(search(data), 0.6), rates_at(search(data, 8), 0.6)
    assert short.fpir < whole.fpir
    assert short.tpir >= whole.tpir - 0.02
