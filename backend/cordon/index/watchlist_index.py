"""The index of one watchlist: an immutable base, an exact delta for what came since, and tombstones for what went.

Annoy can neither add nor delete once built, so a change goes into the delta or the tombstones at once, and a rebuild
makes a new base beside the old one and swaps. A removal holds from the moment `remove` returns.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordon.index.certificate import CANDIDATES, Certificate, certify

# The product's bounds: a bespoke list is what makes a deployment lawful (design.md).
MAX_ENTRIES = 50_000
MAX_TEMPLATES = 250_000


class ListTooLarge(Exception):
    """A watchlist beyond the product's bounds."""


@dataclass(frozen=True)
class Match:
    """An entry and the exact cosine of the probe with the nearest of its templates."""

    entry_id: str
    cosine: float


@dataclass(frozen=True)
class _Base:
    owners: list[str]
    templates: NDArray[np.float32]
    annoy: Any
    certificate: Certificate
    entries: frozenset[str] = frozenset()


class WatchlistIndex:
    """`dimension`: of a template. `threshold`: cosine; matches below it are not returned."""

    def __init__(self, dimension: int, threshold: float) -> None:
        self._dimension = dimension
        self._threshold = threshold
        self._lock = threading.Lock()
        self._base = _Base([], np.zeros((0, dimension), np.float32), None, Certificate("exact", 0, "the list is empty"))
        self._delta: dict[str, NDArray[np.float32]] = {}
        self._gone: frozenset[str] = frozenset()

    @property
    def certificate(self) -> Certificate:
        return self._base.certificate

    def __len__(self) -> int:
        """Entries that can be found."""
        with self._lock:
            return len((self._base.entries - self._gone) | set(self._delta))

    def add(self, entry_id: str, templates: NDArray[np.float32]) -> None:
        """Templates (n, D) of an entry, found from now on; replaces what the entry had. Raises ListTooLarge."""
        rows = self._checked(templates)
        with self._lock:
            held = (self._base.entries - self._gone) | set(self._delta) | {entry_id}
            others = sum(len(more) for owner, more in self._delta.items() if owner != entry_id)
            # Rows of the base count until a rebuild frees them: the bound is on what is held in memory, too.
            if len(held) > MAX_ENTRIES or len(self._base.owners) + others + len(rows) > MAX_TEMPLATES:
                raise ListTooLarge(f"A watchlist holds at most {MAX_ENTRIES} entries and {MAX_TEMPLATES} templates.")
            self._delta = {**self._delta, entry_id: rows}
            self._gone |= {entry_id}

    def remove(self, entry_id: str) -> None:
        """Found no more, from now on."""
        with self._lock:
            self._delta = {owner: rows for owner, rows in self._delta.items() if owner != entry_id}
            self._gone |= {entry_id}

    def replace_all(self, entries: Mapping[str, NDArray[np.float32]], *, certified: bool = True) -> None:
        """Build a new base from these entries and swap. Searches go on in the old one meanwhile; a removal made while
        this builds would be undone by it, so callers pass what they know last. Without `certified` the base is searched
        exactly and serves at once: certifying thousands of templates takes a good part of a minute; `rebuild` does it."""
        if len(entries) > MAX_ENTRIES or sum(len(rows) for rows in entries.values()) > MAX_TEMPLATES:
            raise ListTooLarge(f"A watchlist holds at most {MAX_ENTRIES} entries and {MAX_TEMPLATES} templates.")
        owners = [owner for owner, rows in entries.items() for _ in range(len(rows))]
        rows = [self._checked(rows) for rows in entries.values()]
        templates = np.concatenate(rows) if rows else np.zeros((0, self._dimension), np.float32)
        if certified:
            certificate, annoy = certify(templates, self._threshold)
        else:
            certificate, annoy = Certificate("exact", len(templates), "exact search until a certificate is made"), None
        base = _Base(owners, templates, annoy, certificate, frozenset(entries))
        with self._lock:
            self._base, self._delta, self._gone = base, {}, frozenset()

    def rebuild(self) -> None:
        """Fold delta and tombstones into a new base."""
        with self._lock:
            entries: dict[str, list[NDArray[np.float32]]] = {}
            for owner, row in zip(self._base.owners, self._base.templates, strict=True):
                if owner not in self._gone:
                    entries.setdefault(owner, []).append(row)
            merged = {owner: np.stack(rows) for owner, rows in entries.items()} | self._delta
            base, delta, gone = self._base, self._delta, self._gone
        built = WatchlistIndex(self._dimension, self._threshold)
        built.replace_all(merged)
        with self._lock:
            if self._base is not base:
                # The whole list was replaced meanwhile: what was built here is of the old one.
                return
            # What was added or removed while building stays in force over the new base.
            late = {owner: rows for owner, rows in self._delta.items() if delta.get(owner) is not rows}
            went = {owner for owner in self._gone - gone} | set(late) | (set(delta) - set(self._delta))
            self._base, self._delta, self._gone = built._base, late, frozenset(went)

    def search(self, probes: NDArray[np.float32]) -> list[list[Match]]:
        """For each probe (M, D) the entries at or above the threshold, best first, cosines exact in float32.

        A probe that is not finite matches nothing.
        """
        with self._lock:
            base, delta, gone = self._base, self._delta, self._gone
        return [self._search_one(probe, base, delta, gone) if np.isfinite(probe).all() else [] for probe in probes]

    def search_exactly(self, probes: NDArray[np.float32]) -> list[list[Match]]:
        """The same without Annoy: what the live shadow check compares with."""
        with self._lock:
            base, delta, gone = self._base, self._delta, self._gone
        exact = _Base(base.owners, base.templates, None, base.certificate, base.entries)
        return [self._search_one(probe, exact, delta, gone) if np.isfinite(probe).all() else [] for probe in probes]

    def _search_one(
        self, probe: NDArray[np.float32], base: _Base, delta: Mapping[str, NDArray[np.float32]], gone: frozenset[str]
    ) -> list[Match]:
        best: dict[str, float] = {}
        for row, cosine in self._candidates(probe, base):
            owner = base.owners[row]
            if owner not in gone and cosine >= self._threshold:
                best[owner] = max(cosine, best.get(owner, -1.0))
        for owner, rows in delta.items():
            cosine = float((rows @ probe).max())
            if cosine >= self._threshold:
                best[owner] = cosine
        return [Match(owner, cosine) for owner, cosine in sorted(best.items(), key=lambda item: -item[1])]

    def _candidates(self, probe: NDArray[np.float32], base: _Base) -> Sequence[tuple[int, float]]:
        if not len(base.owners):
            return []
        if base.annoy is None:
            return self._exact_candidates(probe, base)
        near = np.array(base.annoy.get_nns_by_vector(probe, CANDIDATES, search_k=base.certificate.search_k), np.intp)
        cosines = base.templates[near] @ probe
        if len(near) == CANDIDATES and (cosines >= self._threshold).all():
            # There may be more than were asked for: one entry's many pictures, or removed ones, must not hide another.
            return self._exact_candidates(probe, base)
        return [(int(row), float(cosine)) for row, cosine in zip(near, cosines, strict=True)]

    def _exact_candidates(self, probe: NDArray[np.float32], base: _Base) -> Sequence[tuple[int, float]]:
        cosines = base.templates @ probe
        rows = np.flatnonzero(cosines >= self._threshold)
        return [(int(row), float(cosines[row])) for row in rows]

    def _checked(self, templates: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(templates, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self._dimension or not len(rows):
            raise ValueError(f"Templates must be n × {self._dimension}.")
        if not np.isfinite(rows).all():
            raise ValueError("A template with a value that is no number cannot be searched with.")
        return rows
