"""The index of one watchlist: an immutable base, an exact delta for what came since, and tombstones for what went.

Annoy can neither add nor delete once built, so a change goes into the delta or the tombstones at once, and a rebuild
makes a new base beside the old one and swaps. A removal holds from the moment `remove` returns. Searches take no lock:
they read one state, and every change puts a new one in its place.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from annoy import AnnoyIndex
from numpy.typing import NDArray

from cordon.index.build import Builder, BuildFailed, ChildBuilder
from cordon.index.certificate import Certificate, candidates
from cordon.index.exact import ExactSearch
from cordon.index.memory import Block, CorruptMemory, can_share, check, read_arrays, write_arrays

log = logging.getLogger(__name__)

# The product's bounds: a bespoke list is what makes a deployment lawful (design.md).
MAX_ENTRIES = 50_000
MAX_TEMPLATES = 250_000
# One probe in so many is also searched exactly while Annoy serves.
SHADOW_EVERY = 50
# A delta or a number of tombstones larger than this share of the base is folded in by a rebuild.
FOLDED_FROM_SHARE = 0.05
_FOLDED_FROM = 50


class ListTooLarge(Exception):
    """A watchlist beyond the product's bounds."""


@dataclass(frozen=True)
class Match:
    """An entry and the exact cosine of the probe with the nearest of its templates."""

    entry_id: str
    cosine: float


@dataclass(frozen=True)
class Shadow:
    """The live check: probes that were also searched exactly, and those for which Annoy had missed an entry."""

    checked: int = 0
    disagreed: int = 0


@dataclass(frozen=True)
class SharedIndex:
    """What a process on the same machine needs to search the same base: sealed memory that it inherited."""

    base: Block
    annoy: Block | None
    certificate: Certificate


@dataclass(frozen=True)
class _Base:
    """names: entries by number; owners (N,), rising: the number of each template's entry; templates (N, D); examined:
    whether a certificate was sought."""

    names: tuple[str, ...]
    owners: NDArray[np.int32]
    templates: NDArray[np.float32]
    exact: ExactSearch
    certificate: Certificate
    block: Block | None = None
    annoy: Any = None
    annoy_block: Block | None = None
    examined: bool = False

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}


@dataclass(frozen=True)
class _State:
    base: _Base
    delta: Mapping[str, NDArray[np.float32]]
    delta_names: tuple[str, ...]
    delta_templates: NDArray[np.float32]
    gone: frozenset[str]


class WatchlistIndex:
    """`dimension`: of a template. `threshold`: cosine; matches below it are not returned. `builder` makes and certifies
    Annoy's index when `rebuild` is called."""

    def __init__(self, dimension: int, threshold: float, builder: Builder | None = None) -> None:
        self._dimension = dimension
        self._threshold = threshold
        self._builder = builder or ChildBuilder()
        self._lock = threading.Lock()
        self._searched = itertools.count(1)
        self._shadow = Shadow()
        self._state = self._with_delta(self._exact_base({}, "the list is empty"), {}, frozenset())

    @property
    def certificate(self) -> Certificate:
        return self._state.base.certificate

    @property
    def threshold(self) -> float:
        return self._threshold

    def report(self) -> dict[str, Any]:
        """For people: what serves and why, Annoy's certificate, and what the live check found."""
        made, shadow = self.certificate, self._shadow
        return {
            "engine": made.engine,
            "reason": made.reason,
            "kernel": made.kernel,
            "size": made.templates,
            "missed_upper95": made.missed_upper95,
            "probe_ms": round(made.annoy_ms if made.engine == "annoy" else made.exact_ms, 3),
            "shadow_checked": shadow.checked,
            "shadow_disagreed": shadow.disagreed,
        }

    @property
    def shadow(self) -> Shadow:
        return self._shadow

    def __len__(self) -> int:
        """Entries that can be found."""
        state = self._state
        return len((set(state.base.names) - state.gone) | set(state.delta))

    def add(self, entry_id: str, templates: NDArray[np.float32]) -> None:
        """Templates (n, D) of an entry, found from now on; replaces what the entry had. Raises ListTooLarge."""
        with self._lock:
            self._change({entry_id: self._checked(templates)}, ())

    def remove(self, entry_id: str) -> None:
        """Found no more, from now on."""
        with self._lock:
            self._change({}, (entry_id,))

    def update(self, entries: Mapping[str, NDArray[np.float32]]) -> None:
        """From now on these entries and no others are found: what changed goes into delta and tombstones, or, if it is
        much, into a new base that is searched exactly. Raises ListTooLarge."""
        with self._lock:
            held = self._entries(self._state)
            gone = [name for name in held if name not in entries]
            new = {
                name: rows
                for name, rows in entries.items()
                if name not in held or not np.array_equal(held[name], np.asarray(rows, np.float32))
            }
            if self._state.base.names and len(gone) + len(new) <= _folded_from(self._state.base):
                self._change({name: self._checked(rows) for name, rows in new.items()}, gone)
                return
        self.replace_all(entries)

    def replace_all(self, entries: Mapping[str, NDArray[np.float32]]) -> None:
        """A new base of these entries, searched exactly, at once: certifying thousands of templates takes a good part of
        a minute; `rebuild` does it. Raises ListTooLarge."""
        base = self._exact_base(entries, "exact search until a certificate is made", scan=None)
        with self._lock:
            self._state = self._with_delta(base, {}, frozenset())

    @property
    def wants_rebuild(self) -> bool:
        """Whether enough has changed since the base was made, or it has no certificate yet."""
        state = self._state
        changed = len(state.delta) + len(state.gone)
        return (not state.base.examined and bool(state.base.names)) or changed > _folded_from(state.base)

    def rebuild(self) -> None:
        """Fold delta and tombstones into a new base, have it certified, and swap. Searches go on in the old base
        meanwhile. If the building dies, the new base is searched exactly."""
        before = self._state
        base = self._folded(before)
        try:
            built = self._builder(base.templates, base.owners, base.block, self._threshold)
            certificate = replace(built.certificate, kernel=base.exact.kernel)
            base = _loaded(base, built.annoy, certificate)
        except (BuildFailed, CorruptMemory, OSError) as error:
            log.warning("an index could not be certified", extra={"fields": {"error": type(error).__name__}})
            reason = f"no certificate could be made: {error}"
            base = replace(base, certificate=replace(base.certificate, reason=reason))
        with self._lock:
            now = self._state
            if now.base is not before.base and not _only_lost_annoy(now.base, before.base):
                # The whole list was replaced meanwhile: what was built here is of the old one.
                return
            # What was added or removed while building stays in force over the new base.
            late = {name: rows for name, rows in now.delta.items() if before.delta.get(name) is not rows}
            went = (now.gone - before.gone) | set(late) | (set(before.delta) - set(now.delta))
            self._state = self._with_delta(base, late, frozenset(went))

    def close(self) -> None:
        """Forget everything, and end a building that is under way."""
        if isinstance(self._builder, ChildBuilder):
            self._builder.cancel()
        self.replace_all({})

    def share(self) -> SharedIndex | None:
        """The base for another process on this machine, which must inherit the descriptors; None before the first
        rebuild, and where the system has no such memory."""
        base = self._state.base
        return None if base.block is None else SharedIndex(base.block, base.annoy_block, base.certificate)

    def adopt(self, shared: SharedIndex) -> None:
        """Swap to a base that another process built. Raises CorruptMemory if it is not what was sealed."""
        header, arrays = read_arrays(shared.base)
        templates = self._checked(arrays["templates"])
        base = _Base(
            tuple(header["names"]),
            arrays["owners"],
            templates,
            ExactSearch(templates),
            shared.certificate,
            shared.base,
            examined=True,
        )
        base = _loaded(base, shared.annoy, shared.certificate)
        with self._lock:
            self._state = self._with_delta(base, {}, frozenset())

    def search(self, probes: NDArray[np.float32]) -> list[list[Match]]:
        """For each probe (M, D), of length one, the entries at or above the threshold, best first, cosines exact in
        float32. A probe that is not finite matches nothing."""
        state = self._state
        if state.base.annoy is None:
            return self._exactly(probes, state)
        return [self._by_annoy(probe, state) for probe in np.asarray(probes, np.float32)]

    def search_exactly(self, probes: NDArray[np.float32]) -> list[list[Match]]:
        """The same without Annoy."""
        return self._exactly(probes, self._state)

    def cosines(self, entry_id: str, probes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of each probe (M, D) with the nearest template of one entry: (M,), −1 where the entry cannot be found."""
        state = self._state
        rows = state.delta.get(entry_id)
        if rows is None and entry_id not in state.gone:
            number = state.base.numbers.get(entry_id)
            if number is not None:
                first, last = np.searchsorted(state.base.owners, [number, number + 1])
                rows = state.base.templates[first:last]
        if rows is None:
            return np.full(len(probes), -1.0, np.float32)
        return np.asarray((probes @ rows.T).max(axis=1), np.float32)

    def _by_annoy(self, probe: NDArray[np.float32], state: _State) -> list[Match]:
        if not np.isfinite(probe).all():
            return []
        base = state.base
        found = candidates(base.annoy, base.templates, probe, base.certificate.search_k, self._threshold)
        if found is None:
            return self._exactly(probe[None], state)[0]
        matches = self._merged(probe, *found, state)
        if next(self._searched) % SHADOW_EVERY == 0:
            return self._shadowed(probe, matches, state)
        return matches

    def _shadowed(self, probe: NDArray[np.float32], matches: list[Match], state: _State) -> list[Match]:
        """The exact answer; where Annoy's differs, Annoy serves no more in this base."""
        exact = self._exactly(probe[None], state)[0]
        missed = {match.entry_id for match in exact} - {match.entry_id for match in matches}
        with self._lock:
            self._shadow = Shadow(self._shadow.checked + 1, self._shadow.disagreed + bool(missed))
            if missed and self._state.base is state.base:
                reason = "the live check found an entry that Annoy had missed"
                certificate = replace(state.base.certificate, engine="exact", reason=reason)
                log.error(
                    "Annoy missed an entry: it serves no more", extra={"fields": {"checked": self._shadow.checked}}
                )
                self._state = replace(self._state, base=replace(state.base, annoy=None, certificate=certificate))
        return exact

    def _exactly(self, probes: NDArray[np.float32], state: _State) -> list[list[Match]]:
        probes = np.asarray(probes, np.float32)
        # A value that is no number makes the sum none.
        finite = np.isfinite(probes.sum(axis=1))
        if finite.all():
            found = state.base.exact.search(probes, self._threshold)
            return [self._merged(probe, *one, state) for probe, one in zip(probes, found, strict=True)]
        good = iter(state.base.exact.search(probes[finite], self._threshold))
        return [
            self._merged(probe, *next(good), state) if sure else [] for probe, sure in zip(probes, finite, strict=True)
        ]

    def _merged(
        self, probe: NDArray[np.float32], rows: NDArray[np.intp], cosines: NDArray[np.float32], state: _State
    ) -> list[Match]:
        if not len(rows) and not state.delta_names:
            return []
        best: dict[str, float] = {}
        for row, cosine in zip(rows, cosines, strict=True):
            name = state.base.names[state.base.owners[row]]
            if name not in state.gone:
                best[name] = max(float(cosine), best.get(name, -1.0))
        if len(state.delta_names):
            for row in np.flatnonzero((cosines := state.delta_templates @ probe) >= self._threshold):
                name = state.delta_names[row]
                best[name] = max(float(cosines[row]), best.get(name, -1.0))
        return [Match(name, cosine) for name, cosine in sorted(best.items(), key=lambda item: -item[1])]

    def _change(self, new: Mapping[str, NDArray[np.float32]], gone: Iterable[str]) -> None:
        state = self._state
        went = set(gone)
        delta = {name: rows for name, rows in state.delta.items() if name not in went and name not in new} | dict(new)
        hidden = state.gone | ((went | set(new)) & set(state.base.names))
        # Rows of the base count until a rebuild frees them: the bound is on what is held in memory, too.
        entries = len(state.base.names) - len(hidden) + len(delta)
        if new and (entries > MAX_ENTRIES or len(state.base.owners) + sum(map(len, delta.values())) > MAX_TEMPLATES):
            raise ListTooLarge(f"A watchlist holds at most {MAX_ENTRIES} entries and {MAX_TEMPLATES} templates.")
        self._state = self._with_delta(state.base, delta, frozenset(hidden))

    def _with_delta(self, base: _Base, delta: Mapping[str, NDArray[np.float32]], gone: frozenset[str]) -> _State:
        names = tuple(name for name, rows in delta.items() for _ in range(len(rows)))
        templates = np.concatenate([*delta.values()]) if delta else np.zeros((0, self._dimension), np.float32)
        return _State(base, delta, names, templates, gone)

    def _entries(self, state: _State) -> dict[str, NDArray[np.float32]]:
        entries: dict[str, list[NDArray[np.float32]]] = {}
        for owner, row in zip(state.base.owners, state.base.templates, strict=True):
            name = state.base.names[owner]
            if name not in state.gone:
                entries.setdefault(name, []).append(row)
        return {name: np.stack(rows) for name, rows in entries.items()} | dict(state.delta)

    def _folded(self, state: _State) -> _Base:
        """A base of all that can be found, in shared memory where the system has it."""
        base = self._exact_base(self._entries(state), "exact search until a certificate is made", scan=False)
        block = None
        if can_share() and len(base.templates):
            given = {"templates": base.templates, "owners": base.owners}
            block = write_arrays("cordon-watchlist", {"names": base.names}, given)
            _, arrays = read_arrays(block)
            base = replace(base, templates=arrays["templates"], owners=arrays["owners"])
        return replace(base, exact=ExactSearch(base.templates), block=block, examined=True)

    def _exact_base(
        self, entries: Mapping[str, NDArray[np.float32]], reason: str, *, scan: bool | None = False
    ) -> _Base:
        rows = [self._checked(rows) for rows in entries.values()]
        if len(rows) > MAX_ENTRIES or sum(map(len, rows)) > MAX_TEMPLATES:
            raise ListTooLarge(f"A watchlist holds at most {MAX_ENTRIES} entries and {MAX_TEMPLATES} templates.")
        templates = np.concatenate(rows) if rows else np.zeros((0, self._dimension), np.float32)
        owners = np.repeat(np.arange(len(rows), dtype=np.int32), [len(more) for more in rows])
        exact = ExactSearch(templates, scan=scan)
        certificate = Certificate("exact", len(templates), reason, exact.kernel)
        return _Base(tuple(entries), owners, templates, exact, certificate)

    def _checked(self, templates: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(templates, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self._dimension or not len(rows):
            raise ValueError(f"Templates must be n × {self._dimension}.")
        if not np.isfinite(rows).all():
            raise ValueError("A template with a value that is no number cannot be searched with.")
        return rows


def _loaded(base: _Base, annoy_block: Block | None, certificate: Certificate) -> _Base:
    """The base with Annoy's index mapped. Raises CorruptMemory."""
    if annoy_block is None:
        return replace(base, certificate=certificate)
    check(annoy_block)
    annoy = AnnoyIndex(base.templates.shape[1], "dot")
    try:
        annoy.load(annoy_block.path)
    except OSError as error:
        raise CorruptMemory("Annoy's index cannot be read.") from error
    if annoy.get_n_items() != len(base.templates):
        raise CorruptMemory("Annoy's index is not of this list.")
    return replace(base, certificate=certificate, annoy=annoy, annoy_block=annoy_block)


def _only_lost_annoy(now: _Base, before: _Base) -> bool:
    """The live check took Annoy out of service; the list is the same."""
    return now.templates is before.templates


def _folded_from(base: _Base) -> float:
    return max(_FOLDED_FROM, FOLDED_FROM_SHARE * len(base.names))
