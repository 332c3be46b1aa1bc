"""The index answers as a plain dictionary with exact search would, whatever happened to it before."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cordon.index import watchlist_index
from cordon.index.build import Builder, BuildFailed, Built
from cordon.index.memory import Block
from cordon.index.watchlist_index import ListTooLarge, Match, WatchlistIndex
from index_lists import annoy_at_once, unit

DIMENSION, THRESHOLD = 8, 0.4
Templates = NDArray[np.float32]


def exact(entries: dict[str, Templates], probe: Templates) -> dict[str, float]:
    best = {name: float((rows @ probe).max()) for name, rows in entries.items()}
    return {name: cosine for name, cosine in best.items() if cosine >= THRESHOLD}


class ByHand:
    """A builder whose building happens when the test says so, and ends as the test says."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self.crash = False
        self._build = annoy_at_once()

    def __call__(self, templates: Templates, owners: NDArray[np.int32], block: Block | None, threshold: float) -> Built:
        self.meanwhile()
        if self.crash:
            raise BuildFailed("The process that builds the index ended with -9.")
        return self._build(templates, owners, block, threshold)


CHANGE = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 5), st.integers(0, 999), st.integers(1, 3)),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("replace"), st.integers(0, 999)),
    st.tuples(st.just("update"), st.integers(0, 5), st.integers(0, 999)),
)
STEPS = st.lists(
    st.one_of(CHANGE, st.tuples(st.just("rebuild"), st.booleans(), st.lists(CHANGE, max_size=3))), max_size=20
)


def change(index: WatchlistIndex, known: dict[str, Templates], step: tuple) -> None:
    match step:
        case ("add", name, made_from, count):
            known[f"e{name}"] = unit(made_from, count, DIMENSION)
            index.add(f"e{name}", known[f"e{name}"])
        case ("remove", name):
            known.pop(f"e{name}", None)
            index.remove(f"e{name}")
        case ("replace", made_from):
            known.clear()
            known.update({f"e{n}": unit(made_from + n, 2, DIMENSION) for n in range(4)})
            index.replace_all(known)
        case ("update", name, made_from):
            known[f"e{name}"] = unit(made_from, 1, DIMENSION)
            known.pop(f"e{(name + 1) % 6}", None)
            index.update(dict(known))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(0, 999))
def test_any_interleaving_of_changes_rebuilds_and_crashes_answers_as_a_dictionary_would(
    steps: list[tuple], seed: int
) -> None:
    builder, known = ByHand(), {}
    index = WatchlistIndex(DIMENSION, THRESHOLD, builder)
    for step in steps:
        if step[0] == "rebuild":
            _, builder.crash, changes = step
            builder.meanwhile = lambda changes=changes: [change(index, known, one) for one in changes]
            index.rebuild()
        else:
            change(index, known, step)
        for probe in unit(seed, 2, DIMENSION):
            for search in (index.search, index.search_exactly):
                found = {match.entry_id: match.cosine for match in search(probe[None])[0]}
                expected = exact(known, probe)
                assert found.keys() == expected.keys()
                assert all(abs(found[name] - expected[name]) < 1e-6 for name in found)
            for name in [f"e{number}" for number in range(6)]:
                nearest = float((known[name] @ probe).max()) if name in known else -1.0
                assert abs(float(index.cosines(name, probe[None])[0]) - nearest) < 1e-6
    assert len(index) == len(known)


def test_searches_during_changes_and_swaps_see_one_list_or_the_next_never_a_mixture() -> None:
    """Two lists change places under four searching threads. Everybody is in one of the two, with one cosine."""
    lists = [{f"{side}{n}": unit(100 * side + n, 2) for n in range(30)} for side in (1, 2)]
    probe = (
        unit(5) + sum(rows[:1] for rows in lists[0].values()) * 0.2 + sum(rows[:1] for rows in lists[1].values()) * 0.2
    )
    probe /= np.linalg.norm(probe)
    answers = []
    for entries in lists:
        index = WatchlistIndex(16, 0.05, annoy_at_once())
        index.replace_all(entries)
        answers.append({match.entry_id for match in index.search(probe)[0]})
    assert answers[0]
    assert answers[1]
    index, stop, wrong = WatchlistIndex(16, 0.05, annoy_at_once()), threading.Event(), []
    index.replace_all(lists[0])

    def search() -> None:
        while not stop.is_set():
            found = {match.entry_id for match in index.search(probe)[0]}
            if found not in answers:
                wrong.append(found)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(40):
        index.replace_all(lists[turn % 2])
        index.rebuild()
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not wrong


def test_a_removal_holds_from_the_moment_it_is_made() -> None:
    index = WatchlistIndex(DIMENSION, THRESHOLD)
    rows = unit(1, 3, DIMENSION)
    index.replace_all({"sought": rows})
    assert index.search(rows)[0][0].entry_id == "sought"
    index.remove("sought")
    assert index.search(rows) == [[], [], []]


def test_what_is_removed_while_a_rebuild_runs_stays_removed() -> None:
    builder = ByHand()
    index = WatchlistIndex(DIMENSION, THRESHOLD, builder)
    rows = {name: unit(number, 1, DIMENSION) for number, name in enumerate(("kept", "found", "added_and_found"))}
    index.replace_all({"kept": rows["kept"], "found": rows["found"]})
    index.add("added_and_found", rows["added_and_found"])

    def meanwhile() -> None:
        index.remove("found")
        index.remove("added_and_found")
        index.add("late", unit(77, 1, DIMENSION))

    builder.meanwhile = meanwhile
    index.rebuild()
    probes = np.concatenate([*rows.values(), unit(77, 1, DIMENSION)])
    names = {match.entry_id for matches in index.search(probes) for match in matches}
    assert {"kept", "late"} <= names
    assert not names & {"found", "added_and_found"}


def test_a_list_replaced_while_a_rebuild_runs_is_not_undone_by_it() -> None:
    builder = ByHand()
    index = WatchlistIndex(16, 0.5, builder)
    old, new = unit(1), unit(2)
    index.replace_all({"withdrawn": old})
    builder.meanwhile = lambda: index.replace_all({"new": new})
    index.rebuild()
    assert "withdrawn" not in {match.entry_id for match in index.search(old)[0]}
    assert [match.entry_id for match in index.search(new)[0]] == ["new"]


def test_a_small_change_does_not_throw_the_certified_base_away_and_many_small_ones_ask_for_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = {f"e{n}": row[None] for n, row in enumerate(unit(3, 300))}
    index = WatchlistIndex(16, 0.9, annoy_at_once())
    index.update(entries)
    assert index.wants_rebuild
    index.rebuild()
    assert index.certificate.engine == "annoy"
    assert not index.wants_rebuild
    monkeypatch.setattr(watchlist_index, "_FOLDED_FROM", 3)
    for number in range(16):
        del entries[f"e{number}"]
        index.update(entries)
        assert index.certificate.engine == "annoy"
        assert index.search(unit(3, 300)[number : number + 1]) == [[]]
    assert index.wants_rebuild
    index.rebuild()
    assert not index.wants_rebuild
    assert len(index) == 284


def test_several_reference_pictures_count_as_one_entry_with_the_best_cosine() -> None:
    index = WatchlistIndex(DIMENSION, THRESHOLD)
    rows = unit(4, 5, DIMENSION)
    index.replace_all({"one": rows})
    found = index.search(rows[2:3])[0]
    assert [match.entry_id for match in found] == ["one"]
    assert found[0].cosine == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("made_by", ["exact", "annoy"])
def test_a_probe_that_is_no_number_matches_nobody(made_by: str) -> None:
    index = WatchlistIndex(DIMENSION, -1.0, annoy_at_once())
    index.replace_all({"one": unit(1, 1, DIMENSION)})
    if made_by == "annoy":
        index.rebuild()
        assert index.certificate.engine == "annoy"
    good, bad = unit(1, 1, DIMENSION), unit(1, 1, DIMENSION)
    bad[0, 3] = np.nan
    assert index.search(bad) == [[]]
    # And takes nothing from its neighbours in the same batch.
    assert [len(found) for found in index.search(np.concatenate([good, bad, good]))] == [1, 0, 1]


def test_a_template_that_is_no_number_is_not_taken() -> None:
    with pytest.raises(ValueError, match="no number"):
        WatchlistIndex(DIMENSION, THRESHOLD).add("one", np.full((1, DIMENSION), np.nan, np.float32))


def test_a_list_may_not_outgrow_the_products_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (watchlist_index.MAX_ENTRIES, watchlist_index.MAX_TEMPLATES) == (50_000, 250_000)
    monkeypatch.setattr(watchlist_index, "MAX_ENTRIES", 4)
    monkeypatch.setattr(watchlist_index, "MAX_TEMPLATES", 10)
    index = WatchlistIndex(16, 0.5)
    index.replace_all({str(number): unit(number) for number in range(4)})
    with pytest.raises(ListTooLarge, match="at most"):
        index.add("one more", unit(9))
    index.add("3", unit(8, 2))
    with pytest.raises(ListTooLarge):
        index.add("2", unit(7, 9))
    with pytest.raises(ListTooLarge):
        index.replace_all({str(number): unit(number) for number in range(5)})
    with pytest.raises(ListTooLarge):
        index.update({str(number): unit(number) for number in range(5)})
    assert len(index) == 4
    assert index.search(unit(2))[0][0] == Match("2", pytest.approx(1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("hidden_by", ["the pictures of one entry", "removed pictures"])
def test_many_near_pictures_hide_no_other_entry(hidden_by: str) -> None:
    """Thirteen pictures of one entry are nearer to the probe than the one picture of another, which is near enough."""
    probe = unit(5, 1, 128)
    near, other = probe + 0.1 * unit(6, 13, 128), probe + 0.6 * unit(8, 1, 128)
    entries = {f"e{number}": row[None] for number, row in enumerate(unit(7, 60, 128))} | {"many": near, "other": other}
    index = WatchlistIndex(128, 0.5, annoy_at_once())
    index.replace_all({name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in entries.items()})
    index.rebuild()
    assert index.certificate.engine == "annoy"
    if hidden_by == "removed pictures":
        index.remove("many")
    expected = {"other"} if hidden_by == "removed pictures" else {"many", "other"}
    assert {match.entry_id for match in index.search(probe)[0]} == expected


def test_the_live_check_notices_what_annoy_misses_and_takes_it_out_of_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annoy's index of another list stands for one that has gone wrong since its certificate."""
    monkeypatch.setattr(watchlist_index, "SHADOW_EVERY", 1)
    good = annoy_at_once()

    def wrong(templates: Templates, owners: NDArray[np.int32], block: Block | None, threshold: float) -> Built:
        return good(np.ascontiguousarray(-templates), owners, block, threshold)

    entries = {f"e{n}": row[None] for n, row in enumerate(unit(9, 400, 32))}
    index = WatchlistIndex(32, 0.5, wrong)
    index.replace_all(entries)
    index.rebuild()
    assert index.certificate.engine == "annoy"
    # A narrow breadth, or Annoy would look at all of so short a list.
    base = index._state.base
    index._state = watchlist_index.replace(
        index._state,
        base=watchlist_index.replace(base, certificate=watchlist_index.replace(base.certificate, search_k=1)),
    )
    found = index.search(unit(9, 400, 32)[7:8])[0]
    assert found[0].entry_id == "e7", "the answer given is already the exact one"
    assert index.shadow.disagreed == 1
    assert index.certificate.engine == "exact"
    assert "had missed" in index.certificate.reason
    assert index.report()["shadow_disagreed"] == 1


def test_the_live_check_agrees_while_annoy_finds_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchlist_index, "SHADOW_EVERY", 2)
    index = WatchlistIndex(32, 0.5, annoy_at_once())
    rows = unit(9, 400, 32)
    index.replace_all({f"e{n}": row[None] for n, row in enumerate(rows)})
    index.rebuild()
    index.search(rows)
    assert 100 < index.shadow.checked < 300
    assert index.shadow.disagreed == 0
    assert index.certificate.engine == "annoy"


def test_a_builder_that_dies_leaves_exact_search_and_says_so() -> None:
    builder: Builder = ByHand()
    builder.crash = True  # type: ignore[attr-defined]
    index = WatchlistIndex(16, 0.5, builder)
    index.replace_all({"one": unit(1)})
    index.rebuild()
    assert index.certificate.engine == "exact"
    assert "ended with -9" in index.certificate.reason
    assert index.search(unit(1))[0][0].entry_id == "one"
    assert not index.wants_rebuild, "else it would be tried over and over"
