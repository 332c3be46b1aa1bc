"""What counts as wider. A zone that leaves the old one, by however little, is never called narrower."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cordon.deployments.bounds import Bounds
from cordon.deployments.model import CATEGORIES, MAX_CAMERAS, MAX_ZONE_M2
from cordon.deployments.widening import widens
from cordon.deployments.zone import contains, is_simple, within
from cordon.platform.settings import Settings

Ring = list[tuple[float, float]]
UNIT = 2.0**-20
"""A metre or so, and exact in a float: scaling by a half rounds nothing."""


@st.composite
def stars(draw: st.DrawFn, centre: tuple[float, float] = (0.0, 0.0)) -> Ring:
    """A ring that sees all its corners from its centre, hollows included: simple, and rarely convex."""
    corners = draw(st.integers(3, 9))
    turns = sorted(draw(st.lists(st.integers(0, 359), min_size=corners, max_size=corners, unique=True)))
    reaches = draw(st.lists(st.integers(20, 400), min_size=corners, max_size=corners))
    ring = [
        (
            centre[0] + UNIT * round(reach * math.cos(math.radians(turn)) * 4),
            centre[1] + UNIT * round(reach * math.sin(math.radians(turn)) * 4),
        )
        for turn, reach in zip(turns, reaches, strict=True)
    ]
    # No gap of half a turn: the centre lies inside.
    gaps = [(turns[(n + 1) % corners] - turns[n]) % 360 for n in range(corners)]
    assume(max(gaps) < 175)
    ring = [*ring, ring[0]]
    assume(is_simple(ring))
    return ring


def points_of(ring: Ring, steps: int = 7) -> list[tuple[Fraction, Fraction]]:
    """Of a star about (0, 0): a fan of points of it, its corners and edges among them."""
    found = []
    for (ax, ay), (bx, by) in itertools.pairwise(ring):
        for n in range(steps):
            share = Fraction(n, steps)
            x = Fraction(ax) + (Fraction(bx) - Fraction(ax)) * share
            y = Fraction(ay) + (Fraction(by) - Fraction(ay)) * share
            found += [(x * Fraction(k, 4), y * Fraction(k, 4)) for k in range(1, 5)]
    return found


def polygon(ring: Ring) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[list(point) for point in ring]]}


@settings(max_examples=150, deadline=None)
@given(old=stars(), new=stars())
def test_a_zone_called_narrower_has_no_point_outside_the_old_one(old: Ring, new: Ring) -> None:
    if "zone" not in widens({"zone": polygon(old)}, {"zone": polygon(new)}):
        assert all(contains(old, point) for point in points_of(new))


@settings(max_examples=100, deadline=None)
@given(new=stars(), data=st.data())
def test_a_zone_with_one_point_outside_is_always_called_wider(new: Ring, data: st.DataObject) -> None:
    old = data.draw(stars())
    outside = [point for point in points_of(new) if not contains(old, point)]
    assume(outside)
    assert widens({"zone": polygon(old)}, {"zone": polygon(new)}) == ["zone"]


@settings(max_examples=100, deadline=None)
@given(ring=stars())
def test_the_same_zone_and_the_zone_shrunk_about_its_centre_are_no_wider(ring: Ring) -> None:
    assert within(ring, ring)
    assert within([(x / 2, y / 2) for x, y in ring], ring)
    assert within(ring[::-1], ring)


@settings(max_examples=100, deadline=None)
@given(ring=stars(), corner=st.integers(0, 8), by=st.integers(0, 40))
def test_a_corner_pushed_out_by_the_smallest_float_is_wider(ring: Ring, corner: int, by: int) -> None:
    corner %= len(ring) - 1
    x, y = ring[corner]
    stretch = 1 + 2.0**-by if by < 40 else 1 + 2.0**-51
    moved = [*ring]
    moved[corner] = (x * stretch, y * stretch)
    moved[-1] = moved[0]
    assume(moved != ring and not contains(ring, moved[corner]))
    assert not within(moved, ring)


@pytest.mark.parametrize(
    "ring",
    [
        [(0, 0), (1, 1), (1, 0), (0, 1), (0, 0)],
        [(0, 0), (2, 0), (2, 2), (1, 0), (0, 2), (0, 0)],
        [(0, 0), (1, 0), (2, 0), (0, 0)],
    ],
    ids=["a bow tie", "a corner on an edge", "a line"],
)
def test_a_zone_that_crosses_or_touches_itself_is_none(ring: Ring) -> None:
    assert not is_simple(ring)
    assert not within([(0.1, 0.2), (0.2, 0.2), (0.1, 0.3), (0.1, 0.2)], ring)


def test_a_zone_around_a_hollow_of_the_old_one_is_wider() -> None:
    horseshoe: Ring = [(0, 0), (4, 0), (4, 4), (3, 4), (3, 1), (1, 1), (1, 4), (0, 4), (0, 0)]
    bridge: Ring = [(0, 2), (4, 2), (4, 3), (0, 3), (0, 2)]
    assert all(contains(horseshoe, corner) for corner in bridge)
    assert not within(bridge, horseshoe)


CAMERA = {
    "id": "a",
    "name": "North",
    "source_url": "push:",
    "token_digest": "0",
    "longitude": 0.0,
    "latitude": 0.0,
    "heading_deg": 90.0,
    "fov_deg": 60.0,
    "range_m": 25.0,
}
OLD: dict[str, Any] = {
    "window_starts_at": "2026-11-23T10:00:00.000Z",
    "window_ends_at": "2026-11-23T16:00:00.000Z",
    "categories_sought": ["missing_child", "wanted_warrant"],
    "list_limit": 500,
    "threshold": 0.5,
    "false_alert_budget": 0.0001,
    "minimum_face_px": 40,
    "watchlist_retention_h": 2,
    "alert_retention_d": 7,
    "adjudication": "adjudicate_first",
    "re_alert_s": 300,
    "alert_expiry_s": 1800,
    "cameras": [CAMERA, {**CAMERA, "id": "b", "name": "South"}],
    "legal_basis": "Common law",
}
WIDER: list[tuple[str, Any]] = [
    ("window_starts_at", "2026-11-23T09:59:59.999Z"),
    ("window_ends_at", "2026-11-23T16:00:00.001Z"),
    ("categories_sought", [*OLD["categories_sought"], "court_conditions"]),
    ("categories_sought", ["court_conditions"]),
    ("list_limit", 501),
    ("threshold", 0.499),
    ("threshold", float("nan")),
    ("false_alert_budget", 0.0002),
    ("minimum_face_px", 39),
    ("watchlist_retention_h", 3),
    ("alert_retention_d", 8),
    ("adjudication", "parallel"),
    ("re_alert_s", 299),
    ("alert_expiry_s", 1801),
    ("cameras", [*OLD["cameras"], {**CAMERA, "id": "c", "name": "East"}]),
    ("cameras", [{**CAMERA, "source_url": "rtsp://elsewhere"}]),
    ("cameras", [{**CAMERA, "longitude": 0.0001}]),
    ("cameras", [{**CAMERA, "heading_deg": 91.0}]),
    ("cameras", [{**CAMERA, "fov_deg": 61.0}]),
    ("cameras", [{**CAMERA, "range_m": 26.0}]),
    ("legal_basis", "Another"),
    ("something_new", True),
]
NARROWER: list[tuple[str, Any]] = [
    ("window_starts_at", "2026-11-23T11:00:00.000Z"),
    ("window_ends_at", "2026-11-23T15:00:00.000Z"),
    ("categories_sought", ["missing_child"]),
    ("list_limit", 1),
    ("threshold", 0.501),
    ("false_alert_budget", 0.00001),
    ("minimum_face_px", 41),
    ("watchlist_retention_h", 0),
    ("alert_retention_d", 0),
    ("re_alert_s", 301),
    ("alert_expiry_s", 60),
    ("cameras", [CAMERA]),
    ("cameras", [{**CAMERA, "fov_deg": 59.0, "range_m": 20.0}]),
]


@pytest.mark.parametrize(("name", "value"), WIDER)
def test_more_hours_place_people_cameras_or_days_is_wider(name: str, value: Any) -> None:
    assert widens(OLD, {**OLD, name: value}) == [name]


@pytest.mark.parametrize(("name", "value"), NARROWER)
def test_less_of_it_is_not(name: str, value: Any) -> None:
    assert widens(OLD, {**OLD, name: value}) == []


@settings(max_examples=200, deadline=None)
@given(picked=st.lists(st.sampled_from(NARROWER + WIDER), min_size=1, max_size=6, unique_by=lambda one: one[0]))
def test_what_is_wider_is_found_among_whatever_is_narrower(picked: list[tuple[str, Any]]) -> None:
    assert widens(OLD, {**OLD, **dict(picked)}) == sorted(one[0] for one in picked if one in WIDER)


def test_there_and_back_is_wider_one_way_unless_it_is_the_same() -> None:
    for name, value in NARROWER:
        assert widens({**OLD, name: value}, OLD) == [name]
    assert set(OLD["categories_sought"]) <= set(CATEGORIES)


def test_an_installation_lowers_the_bounds_and_never_raises_them() -> None:
    lower = {"CORDON_MAX_CAMERAS": "4", "CORDON_MAX_ZONE_M2": "250000", "CORDON_MAX_LIST_ENTRIES": "2000"}
    bounds = Bounds.of(Settings.from_environment({**lower, "CORDON_MAX_WINDOW_H": "6"}))
    assert (bounds.cameras, bounds.zone_m2, bounds.list_entries) == (4, 250_000, 2_000)
    assert bounds.window.total_seconds() == 6 * 3600
    higher = {
        "CORDON_MAX_CAMERAS": "99",
        "CORDON_MAX_ZONE_M2": "1e9",
        "CORDON_MAX_WINDOW_H": "100",
        "CORDON_MAX_LIST_ENTRIES": "1e7",
    }
    bounds = Bounds.of(Settings.from_environment(higher))
    assert bounds == Bounds()
    assert (bounds.cameras, bounds.zone_m2) == (MAX_CAMERAS, MAX_ZONE_M2) == (16, 1_000_000)
    for nonsense in ("0", "-1", "nan"):
        with pytest.raises(ValueError, match="CORDON_MAX_CAMERAS"):
            Bounds.of(Settings.from_environment({"CORDON_MAX_CAMERAS": nonsense}))
