"""What a track's views say together, whatever they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cordon.vision.fusion import (
    ANOTHER_AFTER_S,
    BETTER_VIEW,
    LOOK_AGAIN_S,
    MOST_VIEWS,
    SUPPORT,
    VIEWS_AT_FIRST,
    Chosen,
    agreeing,
    choose_view,
    confirmed,
    strength,
    worth_a_look,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
THRESHOLD = 0.45
Rows = NDArray[np.float32]
seeds = st.integers(0, 2**32 - 1)


def unit(rows: NDArray[np.float64]) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def track(seed: int, views: int = 5, entries: int = 6) -> tuple[Rows, Rows]:
    """Templates of a track and of a list; the views are of one face, more or less, and some entries are like it."""
    rng = np.random.default_rng(seed)
    face = rng.normal(size=16)
    templates = unit(face + rng.uniform(0.2, 1.2) * rng.normal(size=(views, 16)))
    listed = unit(rng.uniform(0, 1.5, (entries, 1)) * face + rng.normal(size=(entries, 16)))
    return templates, listed


def view_with(entry: Rows, cosine: float, aside: int) -> Rows:
    """A template of that cosine with `entry`, the axis 0; the rest points along another axis."""
    row = np.zeros_like(entry)
    row[0], row[aside] = cosine, np.sqrt(1 - cosine**2)
    return row


ENTRY = np.eye(8, dtype=np.float32)[0]


def asked(templates: Rows, entry: Rows, **more: int) -> float | None:
    return confirmed(templates @ entry, templates, THRESHOLD, **more)


@given(seeds)
def test_one_view_alone_never_confirms(seed: int) -> None:
    templates, listed = track(seed, views=1)
    assert (strength(templates @ listed.T, templates) == -1).all()
    assert asked(templates, templates[0]) is None


@given(seeds)
def test_one_view_never_confirms_among_views_of_nobody(seed: int) -> None:
    templates, _ = track(seed)
    rest = templates - (templates @ templates[0])[:, None] * templates[0]
    strangers = unit(rest[1:].astype(np.float64))
    assert asked(np.vstack([templates[:1], strangers]), templates[0]) is None


@given(seeds, st.integers(2, 6))
def test_the_same_picture_again_is_no_agreement(seed: int, times: int) -> None:
    templates, _ = track(seed, views=1)
    again = unit(np.repeat(templates, times, axis=0) + 0.01 * np.random.default_rng(seed).normal(size=(times, 16)))
    assert asked(again, templates[0]) is None
    assert agreeing(again @ templates[0], again, THRESHOLD) == 1


@given(seeds)
def test_the_order_of_views_does_not_matter(seed: int) -> None:
    templates, listed = track(seed)
    cosines = templates @ listed.T
    turned = np.random.default_rng(seed + 1).permutation(len(templates))
    assert strength(cosines[turned], templates[turned]) == pytest.approx(strength(cosines, templates), abs=1e-6)
    for entry in range(cosines.shape[1]):
        counts = [agreeing(cosines[order, entry], templates[order], THRESHOLD) for order in (turned, np.arange(5))]
        assert counts[0] == counts[1]


@given(seeds, st.sampled_from([np.nan, np.inf]))
def test_views_that_are_no_numbers_count_for_nothing(seed: int, value: float) -> None:
    templates, listed = track(seed)
    with_broken = np.insert(templates, 2, np.full(16, value, np.float32), axis=0)
    cosines = np.insert(templates @ listed.T, 2, np.full(len(listed), np.nan, np.float32), axis=0)
    assert np.array_equal(strength(cosines, with_broken), strength(templates @ listed.T, templates))
    assert agreeing(cosines[:, 0], with_broken, THRESHOLD) == agreeing(templates @ listed[0], templates, THRESHOLD)


@given(seeds)
def test_another_view_never_weakens_a_track(seed: int) -> None:
    templates, listed = track(seed)
    cosines = templates @ listed.T
    assert (strength(cosines, templates) >= strength(cosines[:-1], templates[:-1])).all()


@given(seeds)
def test_what_confirms_is_no_more_than_its_views_say(seed: int) -> None:
    """So that a threshold found with single pictures is no lower a bar for a track."""
    templates, listed = track(seed)
    cosines = templates @ listed.T
    assert (strength(cosines, templates) <= cosines.max(axis=0) + 1e-6).all()


def test_a_view_below_the_threshold_is_carried_by_one_above_it() -> None:
    apart = np.stack([view_with(ENTRY, 0.40, 1), view_with(ENTRY, 0.52, 2)])
    assert asked(apart, ENTRY) == pytest.approx(0.46, abs=1e-6)
    assert asked(apart[:1], ENTRY) is None


def test_a_strong_view_needs_one_that_comes_near() -> None:
    strong = view_with(ENTRY, 0.9, 1)
    near, far = (view_with(ENTRY, THRESHOLD - SUPPORT + by, 2) for by in (0.01, -0.01))
    assert asked(np.stack([strong, near]), ENTRY) is not None
    assert asked(np.stack([strong, far]), ENTRY) is None


def test_more_agreement_can_be_demanded_but_never_less_than_two() -> None:
    two = np.stack([view_with(ENTRY, 0.6, 1), view_with(ENTRY, 0.6, 2)])
    three = np.vstack([two, view_with(ENTRY, 0.5, 3)])
    assert asked(two, ENTRY, agree=3) is None
    assert asked(three, ENTRY, agree=3) is not None
    assert asked(two[:1], ENTRY, agree=1) is None


def test_opposite_views_say_nothing() -> None:
    assert asked(np.stack([ENTRY, -ENTRY]), ENTRY) is None


def test_the_first_views_are_taken_as_they_come_then_one_a_while() -> None:
    chosen, soon = Chosen(), timedelta(seconds=0.04)
    for number in range(VIEWS_AT_FIRST):
        assert choose_view(chosen, 0.5, NOON + number * soon)
        chosen = chosen.with_view(0.5, NOON + number * soon)
    assert chosen.last_at is not None
    assert not choose_view(chosen, 0.5, chosen.last_at + soon)
    assert choose_view(chosen, 0.1, chosen.last_at + timedelta(seconds=ANOTHER_AFTER_S))


def test_a_clearly_better_view_does_not_wait() -> None:
    chosen = Chosen(VIEWS_AT_FIRST, 0.5, NOON)
    soon = NOON + timedelta(seconds=0.04)
    assert choose_view(chosen, 0.5 * BETTER_VIEW + 1e-9, soon)
    assert not choose_view(chosen, 0.5 * BETTER_VIEW - 1e-3, soon)


def test_no_frame_is_taken_twice_and_no_track_without_end() -> None:
    later = NOON + timedelta(seconds=60)
    assert not choose_view(Chosen(1, 0.1, NOON), 1.0, NOON)
    assert choose_view(Chosen(MOST_VIEWS - 1, 0.1, NOON), 1.0, later)
    assert not choose_view(Chosen(MOST_VIEWS, 0.1, NOON), 1.0, later)


def test_after_the_first_views_pixels_are_judged_now_and_then() -> None:
    chosen, soon = Chosen(), timedelta(seconds=LOOK_AGAIN_S / 3)
    assert worth_a_look(chosen.after_a_look(NOON), NOON + soon), "until the first views are there"
    chosen = Chosen(VIEWS_AT_FIRST, 0.5, NOON, NOON)
    assert not worth_a_look(chosen, NOON + soon)
    assert worth_a_look(chosen, NOON + 3 * soon)
    assert not worth_a_look(chosen.after_a_look(NOON + 3 * soon), NOON + 4 * soon)
    assert not worth_a_look(Chosen(MOST_VIEWS), NOON)
