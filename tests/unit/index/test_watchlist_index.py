"""The index answers as a plain dictionary with exact search would, whatever happened to it before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cordon.index import certificate as certificates
from cordon.index import watchlist_index
from cordon.index.certificate import certify, edge_probes, upper_bound_95
from cordon.index.watchlist_index import ListTooLarge, WatchlistIndex

DIMENSION, THRESHOLD = 8, 0.4


def templates_of(seed: int, count: int = 1, dimension: int = DIMENSION) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def exact(entries: dict[str, NDArray[np.float32]], probe: NDArray[np.float32]) -> dict[str, float]:
    best = {name: float((rows @ probe).max()) for name, rows in entries.items()}
    return {name: cosine for name, cosine in best.items() if cosine >= THRESHOLD}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5), st.integers(0, 999), st.integers(1, 3)),
        st.tuples(st.just("remove"), st.integers(0, 5)),
        st.tuples(st.just("rebuild")),
        st.tuples(st.just("replace"), st.integers(0, 999)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(0, 999))
def test_any_interleaving_of_changes_answers_as_a_dictionary_would(steps: list[tuple], seed: int) -> None:
    index, known = WatchlistIndex(DIMENSION, THRESHOLD), {}
    for step in steps:
        match step:
            case ("add", name, made_from, count):
                known[f"e{name}"] = templates_of(made_from, count)
                index.add(f"e{name}", known[f"e{name}"])
            case ("remove", name):
                known.pop(f"e{name}", None)
                index.remove(f"e{name}")
            case ("rebuild",):
                index.rebuild()
            case ("replace", made_from):
                known = {f"e{n}": templates_of(made_from + n, 2) for n in range(4)}
                index.replace_all(known)
        for probe in templates_of(seed, 2):
            found = {match.entry_id: match.cosine for match in index.search(probe[None])[0]}
            expected = exact(known, probe)
            assert found.keys() == expected.keys()
            assert all(abs(found[name] - expected[name]) < 1e-6 for name in found)
    assert len(index) == len(known)


def test_a_removal_holds_from_the_moment_it_is_made() -> None:
    index = WatchlistIndex(DIMENSION, THRESHOLD)
    rows = templates_of(1, 3)
    index.replace_all({"sought": rows})
    assert index.search(rows)[0][0].entry_id == "sought"
    index.remove("sought")
    assert index.search(rows) == [[], [], []]


def test_what_is_removed_while_a_rebuild_runs_stays_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    index = WatchlistIndex(DIMENSION, THRESHOLD)
    rows = {name: templates_of(number) for number, name in enumerate(("kept", "found", "added_and_found"))}
    index.replace_all({"kept": rows["kept"], "found": rows["found"]})
    index.add("added_and_found", rows["added_and_found"])
    built = watchlist_index.certify

    def meanwhile(templates: NDArray[np.float32], threshold: float) -> object:
        index.remove("found")
        index.remove("added_and_found")
        index.add("late", templates_of(77))
        return built(templates, threshold)

    monkeypatch.setattr(watchlist_index, "certify", meanwhile)
    index.rebuild()
    probes = np.concatenate([*rows.values(), templates_of(77)])
    names = {match.entry_id for matches in index.search(probes) for match in matches}
    assert {"kept", "late"} <= names
    assert not names & {"found", "added_and_found"}


def test_several_reference_pictures_count_as_one_entry_with_the_best_cosine() -> None:
    index = WatchlistIndex(DIMENSION, THRESHOLD)
    rows = templates_of(4, 5)
    index.replace_all({"one": rows})
    found = index.search(rows[2:3])[0]
    assert [match.entry_id for match in found] == ["one"]
    assert found[0].cosine == pytest.approx(1.0, abs=1e-6)


def test_a_probe_that_is_no_number_matches_nobody() -> None:
    index = WatchlistIndex(DIMENSION, -1.0)
    index.replace_all({"one": templates_of(1)})
    probe = templates_of(1)
    probe[0, 3] = np.nan
    assert index.search(probe) == [[]]


def test_a_template_that_is_no_number_is_not_taken() -> None:
    with pytest.raises(ValueError, match="no number"):
        WatchlistIndex(DIMENSION, THRESHOLD).add("one", np.full((1, DIMENSION), np.nan, np.float32))


def test_a_list_beyond_the_products_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchlist_index, "MAX_ENTRIES", 3)
    with pytest.raises(ListTooLarge, match="at most"):
        WatchlistIndex(DIMENSION, THRESHOLD).replace_all({f"e{n}": templates_of(n) for n in range(4)})


def test_the_bounds_are_those_of_the_design() -> None:
    assert (watchlist_index.MAX_ENTRIES, watchlist_index.MAX_TEMPLATES) == (50_000, 250_000)


def test_annoy_serves_where_its_certificate_holds_and_finds_what_exact_search_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CORDON_INDEX", "annoy")
    entries = {f"e{n}": row[None] for n, row in enumerate(templates_of(9, 2_500, 16))}
    index = WatchlistIndex(16, 0.8)
    index.replace_all(entries)
    shown = index.certificate
    assert shown.engine == "annoy", shown.reason
    assert shown.missed_upper95 <= certificates.HIGHEST_MISS_RATE
    assert shown.annoy_ms <= certificates.MOST_MS_A_PROBE
    probes, _ = edge_probes(np.concatenate(list(entries.values())), 0.8, 300)
    for quick, slow in zip(index.search(probes), index.search_exactly(probes), strict=True):
        assert quick[0] == slow[0]


def test_where_annoy_misses_too_many_exact_search_serves_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORDON_INDEX", "annoy")
    monkeypatch.setattr(certificates, "TREES_AND_BREADTH", ((1, 1),))
    shown, annoy = certify(templates_of(5, 2_500, 64), 0.5)
    assert (shown.engine, annoy) == ("exact", None)
    assert "misses" in shown.reason


def test_exact_search_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORDON_INDEX", "exact")
    assert certify(templates_of(5, 2_500, 16), 0.5)[0].reason == "exact search was asked for"


def test_the_bound_on_misses_is_the_rule_of_three_and_grows_with_each_miss() -> None:
    assert upper_bound_95(0, 30_000) == pytest.approx(3 / 30_000, rel=0.01)
    assert upper_bound_95(0, 30_000) <= 1e-4 < upper_bound_95(1, 30_000)
