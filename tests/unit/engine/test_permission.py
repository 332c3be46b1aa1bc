"""An engine may match only what it was told it may, as long as it was told, and no moment longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from cordon.engine.backend import MatchingOrder, Orders
from cordon.engine.permission import Permission

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class Clocks:
    def __init__(self) -> None:
        self.monotonic, self.wall = 1_000.0, START

    def forward(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += timedelta(seconds=seconds)


def order(name: str, lasts_s: float = 3_600.0) -> MatchingOrder:
    return MatchingOrder(name, START, START + timedelta(seconds=lasts_s), 0.5, 2, 300, 40, 1, bytes(32), ())


def made() -> tuple[Permission, Clocks]:
    clocks = Clocks()
    return Permission(lambda: clocks.monotonic, lambda: clocks.wall), clocks


def test_an_engine_that_was_told_nothing_may_nothing() -> None:
    assert made()[0].orders() == {}


def test_silence_of_two_seconds_withdraws_everything() -> None:
    permission, clocks = made()
    permission.renew(Orders(clocks.wall, 2.0, (order("a"),)), clocks.monotonic)
    clocks.forward(1.9)
    assert set(permission.orders()) == {"a"}
    clocks.forward(0.1)
    assert permission.orders() == {}


def test_a_slow_answer_is_no_fresher_than_its_question() -> None:
    permission, clocks = made()
    asked_at = clocks.monotonic
    clocks.forward(1.5)
    permission.renew(Orders(clocks.wall, 2.0, (order("a"),)), asked_at)
    clocks.forward(0.6)
    assert permission.orders() == {}


def test_a_deployment_that_is_no_longer_listed_ends_at_once() -> None:
    permission, clocks = made()
    permission.renew(Orders(clocks.wall, 2.0, (order("a"), order("b"))), clocks.monotonic)
    permission.renew(Orders(clocks.wall, 2.0, (order("b"),)), clocks.monotonic)
    assert set(permission.orders()) == {"b"}


def test_the_window_ends_by_the_servers_clock_even_if_the_engines_is_slow() -> None:
    permission, clocks = made()
    permission.renew(Orders(clocks.wall + timedelta(seconds=59), 2.0, (order("a", 60),)), clocks.monotonic)
    assert set(permission.orders()) == {"a"}
    clocks.forward(1.0)
    assert permission.orders() == {}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("told"), st.sets(st.sampled_from("abc")), st.floats(0.1, 2.0), st.floats(1, 30)),
            st.tuples(st.just("time"), st.floats(0.0, 5.0)),
            st.tuples(st.just("clock set"), st.floats(-5_000, 5_000)),
        ),
        max_size=30,
    )
)
def test_no_sequence_of_answers_silences_and_clock_jumps_allows_more_than_was_granted(steps: list[tuple]) -> None:
    permission, clocks = made()
    granted: set[str] = set()
    until, server_now, ends = 0.0, START, {}
    for step in steps:
        match step:
            case ("told", names, valid_s, lasts_s):
                offers = tuple(order(name, (server_now - START).total_seconds() + lasts_s) for name in names)
                permission.renew(Orders(server_now, valid_s, offers), clocks.monotonic)
                granted, until = set(names), clocks.monotonic + valid_s
                ends = {offer.deployment_id: offer.window_ends_at for offer in offers}
            case ("time", seconds):
                clocks.forward(seconds)
                server_now += timedelta(seconds=seconds)
            case ("clock set", seconds):
                # Somebody sets this machine's clock: until the next answer the window is judged by a wrong clock, but
                # no longer than the last answer holds.
                clocks.wall += timedelta(seconds=seconds)
        allowed = set(permission.orders())
        assert allowed <= granted
        assert not allowed or clocks.monotonic < until
        if step[0] == "told":
            assert allowed == {name for name in granted if server_now < ends[name]}
