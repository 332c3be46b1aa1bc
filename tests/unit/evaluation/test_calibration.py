"""What a calibration vouches for, and that it refuses to vouch for more."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon.evaluation.calibrate import as_text, calibrate
from cordon.evaluation.calibration import (
    CalibrationUnreadable,
    NotSupported,
    from_json,
    one_in,
    threshold_for,
    tpir_at,
)
from cordon.evaluation.intervals import upper_limit
from cordon.evaluation.protocol import NotEvaluable
from cordon.evaluation.rates import rates_at, search
from made_templates import calibration_of, collected

DATA = collected(50, 400, seed=2)
CALIBRATION = calibration_of(DATA)


def test_a_calibration_says_the_same_after_it_was_written_and_read() -> None:
    assert from_json(json.loads(as_text(CALIBRATION))) == CALIBRATION


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2_000), st.floats(1e-4, 0.9))
def test_what_is_supported_keeps_the_budget_at_its_upper_limit(list_size: int, budget: float) -> None:
    try:
        point = threshold_for(CALIBRATION, list_size, budget)
    except NotSupported as refused:
        assert refused.smallest_budget > budget
        assert refused.longest_list < list_size
        return
    assert point.fpir_high <= budget
    assert 0 <= point.tpir_low <= point.tpir <= point.tpir_high <= 1
    lists = math.ceil(list_size / CALIBRATION.list_size)
    assert rates_at(search(DATA), point.threshold).fpir * lists <= budget
    assert point.tpir == pytest.approx(rates_at(search(DATA), point.threshold).tpir, abs=0.011)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 500), st.integers(0, 500), st.floats(0.01, 0.5), st.floats(0, 0.4))
def test_a_longer_list_or_a_smaller_budget_never_lowers_the_threshold(
    list_size: int, more: int, budget: float, less: float
) -> None:
    try:
        stricter = threshold_for(CALIBRATION, list_size + more, budget * (1 - less))
    except NotSupported:
        return
    assert threshold_for(CALIBRATION, list_size, budget).threshold <= stricter.threshold


def test_no_budget_below_three_over_the_probes_is_supported_at_any_threshold() -> None:
    least = float(upper_limit(0, 400))
    threshold_for(CALIBRATION, 50, least * 1.001)
    with pytest.raises(NotSupported) as refused:
        threshold_for(CALIBRATION, 50, least * 0.999)
    assert refused.value.smallest_budget == pytest.approx(least)
    assert refused.value.longest_list == 0


def test_the_refusal_names_the_smallest_budget_and_the_longest_list() -> None:
    with pytest.raises(NotSupported) as refused:
        threshold_for(CALIBRATION, 5_000, 0.02)
    assert str(refused.value) == (
        "The calibration of made 1 has 400 non-mated probes against 50 entries. For a list of 5,000 it can support "
        f"no less than 1 false alert in {one_in(refused.value.smallest_budget)} faces; for a budget of 1 in 50 it can "
        "support a list of at most 100 entries."
    )
    threshold_for(CALIBRATION, refused.value.longest_list, 0.02)
    with pytest.raises(NotSupported):
        threshold_for(CALIBRATION, refused.value.longest_list + 1, 0.02)


def test_a_list_that_no_budget_suits_is_said_to_be_so() -> None:
    with pytest.raises(NotSupported, match="it can support no false-alert budget at all"):
        threshold_for(CALIBRATION, 1_000_000, 0.02)


def test_one_person_who_resembles_many_raises_the_limit() -> None:
    scores = tuple((0.6, number) for number in range(10))
    spread = replace(CALIBRATION, curve_from=0.6, non_mated_scores=scores)
    heaped = replace(spread, non_mated_scores=tuple((0.6, 0) for _ in range(10)))
    assert heaped.fpir_curve[1][0] > spread.fpir_curve[1][0]


def test_a_truncated_curve_is_not_read_below_where_it_begins() -> None:
    kept = tuple(pair for pair in CALIBRATION.non_mated_scores if pair[0] >= 0.55)
    assert threshold_for(replace(CALIBRATION, curve_from=0.55, non_mated_scores=kept), 1, 0.99).threshold >= 0.55


def test_the_union_bound_holds_where_the_longer_list_was_measured() -> None:
    large = collected(400, 2_000, seed=9)
    # The first fifty entries as calibration, all four hundred as the list in use.
    first = replace(
        large,
        identities=large.identities[:50],
        gallery=large.gallery[:50],
        mated=large.mated[:100],
        mated_entry=large.mated_entry[:100],
        mated_quality=large.mated_quality[:100],
    )
    point = threshold_for(calibration_of(first), 400, 0.05)
    assert rates_at(search(large), point.threshold).fpir <= 0.05
    assert rates_at(search(large), point.threshold).tpir >= point.tpir_low


def test_a_calibration_is_made_with_the_whole_gallery_only() -> None:
    with pytest.raises(NotEvaluable, match="whole gallery"):
        calibrate(DATA, search(DATA, 10), data="", limits="", measured_on=date(2026, 11, 23))


def test_a_probe_without_a_face_stays_a_miss() -> None:
    share, _, high = tpir_at(calibration_of(collected(20, 30, blur=0.01, faceless=10)), 0.0)
    assert share == pytest.approx(30 / 40)
    assert high < 0.95


GOOD = json.loads(as_text(CALIBRATION))


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {**GOOD, "version": 2},
        {**GOOD, "measured_on": "yesterday"},
        {**GOOD, "non_mated_scores": []},
        {**GOOD, "non_mated_scores": [[1.5, 0]]},
        {**GOOD, "non_mated_scores": [[float("nan"), 0]]},
        {**GOOD, "non_mated": 3},
        {**GOOD, "curve_from": 0.99},
        {**GOOD, "mated_scores": [[0.5]]},
        {name: value for name, value in GOOD.items() if name != "limits"},
    ],
)
def test_a_damaged_calibration_is_refused(raw: object) -> None:
    with pytest.raises(CalibrationUnreadable):
        from_json(raw)


@pytest.mark.parametrize(("list_size", "budget"), [(0, 0.1), (10, 0.0), (10, 1.0), (10, -1.0)])
def test_what_is_no_list_or_no_budget_is_an_error(list_size: int, budget: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        threshold_for(CALIBRATION, list_size, budget)
