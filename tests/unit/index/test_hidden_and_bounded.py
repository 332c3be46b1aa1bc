"""What may hide an entry from a search, bring a withdrawn one back, or let a list grow beyond its bounds."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cordon.index import certificate, watchlist_index
from cordon.index.certificate import Certificate, certify
from cordon.index.watchlist_index import ListTooLarge, WatchlistIndex

DIMENSION, THRESHOLD = 16, 0.5


def templates(seed: int, count: int, dimension: int = DIMENSION) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def annoy_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annoy for short lists too, certified by fewer probes, with a breadth that makes it complete, whatever the certificate would say."""
    monkeypatch.setattr(certificate, "ANNOY_FROM", 20)
    monkeypatch.setattr(certificate, "PROBES", 200)
    # Fourteen pictures of one face crowd each other out of ten candidates, which the certificate counts as misses.
    monkeypatch.setattr(certificate, "HIGHEST_MISS_RATE", 1.0)
    monkeypatch.setattr(certificate, "MOST_MS_A_PROBE", 1_000.0)
    monkeypatch.setattr(certificate, "TREES_AND_BREADTH", ((20, 100_000),))


def test_one_entrys_many_pictures_hide_no_other_entry(annoy_at_once: None) -> None:
    index, probe = crowded()
    assert {match.entry_id for match in index.search(probe)[0]} == {"many", "other"}


def test_removed_pictures_hide_no_entry_that_is_still_sought(annoy_at_once: None) -> None:
    index, probe = crowded()
    index.remove("many")
    assert [match.entry_id for match in index.search(probe)[0]] == ["other"]


def crowded() -> tuple[WatchlistIndex, np.ndarray]:
    """Thirteen pictures of one entry nearer to the probe (1, 128) than the one picture of another, which is near enough."""
    probe = templates(5, 1, 128)
    near, other = probe + 0.1 * templates(6, 13, 128), probe + 0.6 * templates(8, 1, 128)
    entries = {f"e{number}": row[None] for number, row in enumerate(templates(7, 60, 128))}
    entries |= {"many": near, "other": other}
    index = WatchlistIndex(128, THRESHOLD)
    index.replace_all({o: r / np.linalg.norm(r, axis=1, keepdims=True) for o, r in entries.items()})
    assert index.certificate.engine == "annoy"
    return index, probe


def test_a_list_replaced_while_a_rebuild_runs_is_not_undone_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    index, building, go_on = WatchlistIndex(DIMENSION, THRESHOLD), threading.Event(), threading.Event()
    old, new = templates(1, 1), templates(2, 1)
    index.replace_all({"withdrawn": old})
    first = iter([True])

    def slowly(built: np.ndarray, threshold: float) -> tuple[Certificate, object]:
        if next(first, False):
            building.set()
            assert go_on.wait(10)
        return certify(built, threshold)

    monkeypatch.setattr(watchlist_index, "certify", slowly)
    rebuild = threading.Thread(target=index.rebuild)
    rebuild.start()
    assert building.wait(10)
    index.replace_all({"new": new})
    go_on.set()
    rebuild.join(10)
    assert index.search(old)[0] == [] or index.search(old)[0][0].entry_id == "new"
    assert [match.entry_id for match in index.search(new)[0]] == ["new"]


def test_a_list_may_not_outgrow_the_products_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (watchlist_index.MAX_ENTRIES, watchlist_index.MAX_TEMPLATES) == (50_000, 250_000)
    monkeypatch.setattr(watchlist_index, "MAX_ENTRIES", 4)
    monkeypatch.setattr(watchlist_index, "MAX_TEMPLATES", 10)
    index = WatchlistIndex(DIMENSION, THRESHOLD)
    index.replace_all({str(number): templates(number, 1) for number in range(4)})
    with pytest.raises(ListTooLarge):
        index.add("one more", templates(9, 1))
    index.add("3", templates(8, 2))
    with pytest.raises(ListTooLarge):
        index.add("2", templates(7, 9))
    with pytest.raises(ListTooLarge):
        index.replace_all({str(number): templates(number, 1) for number in range(5)})
    assert len(index) == 4
