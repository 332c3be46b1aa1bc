"""`make bench-index`: searching a watchlist, Cordon against exact and approximate peers, at the product's sizes.

Each engine lives in a process of its own, so that its memory can be told from the others'; only one works at a time, in
turns. A probe lies at the threshold's edge (cosine with its mate 0 to 0.02 above it), where a search is hardest. A mate
is missed where it is not among what the engine answers at or above the threshold.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from common import CACHE, SHORT, THREADS, begin, interleaved, median, missing, percentile, report, say
from footage import filler_like, lfw
from numpy.typing import NDArray

from cordon.index.build import ChildBuilder
from cordon.index.certificate import CANDIDATES, Demands, edge_probes, upper_bound_95
from cordon.index.watchlist_index import WatchlistIndex
from cordon.vision.fusion import SUPPORT
from cordon.vision.packs import load_pack

Vectors = NDArray[np.float32]

SIZES = (
    ((10_000, 128),)
    if SHORT
    else ((10_000, 128), (10_000, 512), (50_000, 128), (50_000, 512), (250_000, 128), (250_000, 512))
)
REAL_SIZES = () if SHORT else (10_000, 50_000, 250_000)
ROUNDS, PROBES_A_ROUND, BATCHES_A_ROUND = (5, 200, 30) if SHORT else (5, 300, 40)
# Misses of one in 10,000 at the upper 95 % bound need 30,000 probes; peers' misses show with far fewer.
PROBES_OF_CORDON, PROBES_OF_PEERS = (3_000, 500) if SHORT else (30_000, 3_000)
# SHORT certifies with fewer probes, and so to one in a thousand only.
DEMANDS = Demands(probes=3_000, highest_miss_rate=1e-3) if SHORT else Demands()
# From where an engine searches with `light`'s suggested threshold; its templates have 128 numbers, and 512 stand for
# ArcFace's.
THRESHOLD = 0.45 - SUPPORT
# As many as Cordon takes of Annoy: that far below the threshold, more than a few are near.
K = CANDIDATES
ANNOY_TREES = 10
HNSW_M, HNSW_EF_CONSTRUCTION, HNSW_EF = 16, 100, 64
PROBE_SEED = 7
ENTRIES = 50_000
AUGMENTED = 6


class Searched(Protocol):
    """Rows at or above the threshold, for each of a batch of probes (M, D)."""

    def __call__(self, probes: Vectors) -> Sequence[Sequence[int] | NDArray[Any]]: ...


@dataclass(frozen=True)
class Case:
    data: str
    path: Path
    templates: int
    dim: int

    @property
    def name(self) -> str:
        return f"{self.data} {self.templates:,} × {self.dim}"


def cordon(mode: str) -> Callable[[Vectors], tuple[Searched, dict[str, Any]]]:
    def build(templates: Vectors) -> tuple[Searched, dict[str, Any]]:
        index = WatchlistIndex(templates.shape[1], THRESHOLD, ChildBuilder(DEMANDS, mode))  # type: ignore[arg-type]
        # 250,000 templates are the bound of a list of 50,000 entries: five pictures each.
        each = max(1, -(-len(templates) // ENTRIES))
        index.replace_all({str(row): templates[row : row + each] for row in range(0, len(templates), each)})
        index.rebuild()
        made = index.certificate

        def search(probes: Vectors) -> list[list[int]]:
            return [[int(match.entry_id) for match in found] for found in index.search(probes)]

        served = f"annoy, {made.trees} trees, search_k {made.search_k}" if made.engine == "annoy" else made.kernel
        return search, {"mode": mode, "served_by": served, "reason": made.reason, "rows_an_entry": each}

    return build


def exact_numpy(templates: Vectors) -> tuple[Searched, dict[str, Any]]:
    own = np.array(templates)

    def search(probes: Vectors) -> list[NDArray[Any]]:
        if len(probes) == 1:
            return [np.flatnonzero(own @ probes[0] >= THRESHOLD)]
        return [np.flatnonzero(column >= THRESHOLD) for column in (own @ probes.T).T]

    return search, {}


def annoy_default(templates: Vectors) -> tuple[Searched, dict[str, Any]]:
    from annoy import AnnoyIndex

    index = AnnoyIndex(templates.shape[1], "angular")
    for row, template in enumerate(templates):
        index.add_item(row, template)
    index.build(ANNOY_TREES, n_jobs=THREADS)
    furthest = float(np.sqrt(2 - 2 * THRESHOLD))

    def search(probes: Vectors) -> list[list[int]]:
        found = [index.get_nns_by_vector(probe, K, include_distances=True) for probe in probes]
        return [[row for row, distance in zip(*one, strict=True) if distance <= furthest] for one in found]

    return search, {"served_by": f"angular, {ANNOY_TREES} trees, default search_k"}


def hnsw(templates: Vectors) -> tuple[Searched, dict[str, Any]]:
    import hnswlib

    index = hnswlib.Index("ip", templates.shape[1])
    index.init_index(len(templates), ef_construction=HNSW_EF_CONSTRUCTION, M=HNSW_M, random_seed=1)
    index.set_num_threads(THREADS)
    index.add_items(templates)
    index.set_ef(HNSW_EF)

    def search(probes: Vectors) -> list[NDArray[Any]]:
        rows, distances = index.knn_query(probes, K)
        return [one[1 - far >= THRESHOLD] for one, far in zip(rows, distances, strict=True)]

    return search, {"served_by": f"M {HNSW_M}, ef_construction {HNSW_EF_CONSTRUCTION}, ef {HNSW_EF}"}


def faiss_flat(templates: Vectors) -> tuple[Searched, dict[str, Any]]:
    import faiss

    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatIP(templates.shape[1])
    index.add(templates)

    def search(probes: Vectors) -> list[NDArray[Any]]:
        cosines, rows = index.search(probes, K)
        return [one[near >= THRESHOLD] for one, near in zip(rows, cosines, strict=True)]

    return search, {}


ENGINES: dict[str, Callable[[Vectors], tuple[Searched, dict[str, Any]]]] = {
    "cordon": cordon("annoy"),
    "cordon fastest": cordon("fastest"),
    "numpy": exact_numpy,
    "annoy_default": annoy_default,
    "hnswlib": hnsw,
    "faiss_flat": faiss_flat,
}


def work(name: str, case: Case, pipe: Connection) -> None:
    """An engine's process: builds, then measures when it is told."""
    empty = resident_mb()
    templates = np.load(case.path)
    began = time.perf_counter()
    search, more = ENGINES[name](templates)
    build_s = time.perf_counter() - began
    probes, rows = edge_probes(templates, THRESHOLD, ROUNDS * (PROBES_A_ROUND + 8 * BATCHES_A_ROUND), seed=PROBE_SEED)
    mates, mate_rows = edge_probes(
        templates, THRESHOLD, PROBES_OF_CORDON if name.startswith("cordon") else PROBES_OF_PEERS, seed=PROBE_SEED + 1
    )
    each = more.pop("rows_an_entry", 1)
    del templates
    search(probes[:20])
    held = resident_mb() - empty - (probes.nbytes + mates.nbytes + rows.nbytes) / 1e6
    pipe.send({"build_s": round(build_s, 3), "memory_mb": round(held, 1), **more})
    while (told := pipe.recv()) is not None:
        if told == "misses":
            missed = 0
            for start in range(0, len(mates), 64):
                found = search(mates[start : start + 64])
                for row, answer in zip(mate_rows[start : start + 64], found, strict=True):
                    missed += int(row) // each * each not in answer
            pipe.send((missed, len(mates)))
            continue
        start = told * (PROBES_A_ROUND + 8 * BATCHES_A_ROUND)
        search(probes[start : start + 1])
        single = [_ms(search, probes[at : at + 1]) for at in range(start, start + PROBES_A_ROUND)]
        first = start + PROBES_A_ROUND
        batch = [_ms(search, probes[at : at + 8]) for at in range(first, first + 8 * BATCHES_A_ROUND, 8)]
        pipe.send((single, batch))


def _ms(search: Searched, probes: Vectors) -> float:
    began = time.perf_counter()
    search(probes)
    return (time.perf_counter() - began) * 1_000


def resident_mb() -> float:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1e3
    return 0.0


def measured(case: Case) -> list[dict[str, Any]]:
    processes = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    built: dict[str, dict[str, Any]] = {}
    running = []
    for name in ENGINES:
        mine, theirs = processes.Pipe()
        process = processes.Process(target=work, args=(name, case, theirs), name=name)
        process.start()
        running.append(process)
        theirs.close()
        pipes[name] = mine
        # One after the other: building is timed too.
        built[name] = mine.recv()
        say(f"{case.name}: {name} built in {built[name]['build_s']} s {built[name].get('served_by', '')}")

    def one(name: str) -> Callable[[int], tuple[list[float], list[float]]]:
        def once(number: int) -> tuple[list[float], list[float]]:
            pipes[name].send(number)
            answer: tuple[list[float], list[float]] = pipes[name].recv()
            return answer

        return once

    taken = interleaved({name: one(name) for name in ENGINES}, ROUNDS)
    rows = []
    for name, pipe in pipes.items():
        pipe.send("misses")
        missed, tried = pipe.recv()
        pipe.send(None)
        single = [value for values, _ in taken[name] for value in values]
        rows.append(
            {
                "data": case.data,
                "templates": case.templates,
                "dim": case.dim,
                "engine": name.split()[0],
                "build_s": built[name]["build_s"],
                "memory_mb": built[name]["memory_mb"],
                "p50_ms": median([median(values) for values, _ in taken[name]]),
                # Of each round's probes, then the middle round: one hiccup of the machine must not stand for an engine.
                "p99_ms": median([percentile(values, 0.99) for values, _ in taken[name]]),
                "p99_all_ms": percentile(single, 0.99),
                "batch8_p50_ms": median([median(values) for _, values in taken[name]]),
                "missed_mates": missed,
                "probes": tried,
                "missed_upper95": upper_bound_95(missed, tried),
                **{key: value for key, value in built[name].items() if key not in {"build_s", "memory_mb"}},
            }
        )
    for process in running:
        process.join(30)
    return rows


def synthetic(count: int, dim: int) -> Case:
    """Isotropic: no search has anything to hold on to."""
    path = CACHE / f"templates-{count}-{dim}.npy"
    if not path.is_file():
        rows = np.random.default_rng(count + dim).standard_normal((count, dim), dtype=np.float32)
        np.save(path, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return Case("synthetic", path, count, dim)


def real(count: int) -> Case:
    """Templates of LFW's photographs, each in several crops, as far as they go; beyond, vectors spread like them."""
    path = CACHE / f"templates-real-{count}.npy"
    if not path.is_file():
        measured_ones = lfw_crops()
        rest = count - len(measured_ones)
        rows = measured_ones[:count]
        if rest > 0:
            rows = np.concatenate([rows, filler_like(measured_ones, rest, measured_ones[:1], at_most=2.0)])
        np.save(path, np.random.default_rng(1).permutation(rows))
    return Case("real", path, count, 128)


def lfw_crops() -> Vectors:
    """Every photograph as it is, mirrored, and slightly shifted, turned and scaled: as several pictures of one person."""
    kept = CACHE / "lfw-crops.npy"
    if kept.is_file():
        return np.asarray(np.load(kept), np.float32)
    say("embedding LFW, each photograph in several crops …")
    pack, random, rows = load_pack("light"), np.random.default_rng(3), []
    for path in sorted(lfw().rglob("*.jpg")):
        picture = cv2.imread(str(path))
        found = pack.detector.detect(np.asarray(picture, np.uint8))
        if not len(found):
            continue
        points = found.landmarks[0]
        varied = [points + random.normal(0, 1.5, points.shape).astype(np.float32) for _ in range(AUGMENTED - 2)]
        crops = pack.embedder.align(np.asarray(picture, np.uint8), np.stack([points, *varied]))
        rows.append(pack.embedder.embed_crops(np.concatenate([crops, crops[:1, :, ::-1]])))
    everything = np.concatenate(rows)
    np.save(kept, everything)
    return everything


def main() -> None:
    begin()
    os.environ.pop("CORDON_INDEX", None)
    lacking = [] if SHORT else missing("CORDON_MODELS", "CORDON_FACES")
    if lacking:
        sys.exit(f"Needs folders in {', '.join(lacking)}.")
    cases = [synthetic(*size) for size in SIZES] + [real(count) for count in REAL_SIZES]
    rows: list[dict[str, Any]] = []
    for case in cases:
        found = measured(case)
        # Told at once: the largest lists take minutes.
        for row in found:
            say(
                f"{case.name}: {row['engine']} {row.get('mode', '')} p50 {row['p50_ms']:.3f} ms, p99 {row['p99_ms']:.3f} ms"
            )
        rows += found
    report(
        "index",
        {
            "synthetic": "isotropic unit vectors",
            "real": f"templates of LFW by `light`, each photograph in {AUGMENTED} crops; what is missing to the size is drawn "
            "from a normal distribution with their mean and covariance",
            "threshold": THRESHOLD,
            "probes_lie": "at the threshold's edge: cosine with the mate 0 to 0.02 above it",
            "cordon_demands": {
                "most_ms": DEMANDS.most_ms,
                "probes": DEMANDS.probes,
                "miss_rate": DEMANDS.highest_miss_rate,
            },
            "p50_p99_are": f"of {PROBES_A_ROUND} probes a round, the middle of {ROUNDS} rounds; p99_all_ms of all rounds together",
            "memory_is": "what the engine's process holds resident beyond an empty one, templates included",
            "threads": THREADS,
        },
        rows,
        packages=["faiss-cpu", "hnswlib"],
    )


if __name__ == "__main__":
    main()
