"""What every benchmark shares: equal threads for everybody, a description of the machine, and the form of the answer.

A benchmark is a script: `.venv-bench/bin/python tests/bench/bench_NAME.py`, or `make bench-NAME`. It begins with
`begin()`, prints what it does with `say`, and ends with `report`, whose last line is one JSON object.
"""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "bench"
SHORT = os.environ.get("SHORT", "") not in {"", "0"}
CORES = len(os.sched_getaffinity(0))
# The same number for every runner: all cores that this process may use.
THREADS = int(os.environ.get("BENCH_THREADS", CORES))
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_PACKAGES = ("cordon", "numpy", "opencv-python-headless", "onnxruntime", "annoy", "av", "scipy")
_load_before: tuple[float, float, float] = os.getloadavg()

T = TypeVar("T")


def begin() -> None:
    """The thread limits of this process. Libraries read them when they are loaded, which is long past when a script's
    own lines run: so the script starts itself once more with the right environment."""
    wanted = {name: str(THREADS) for name in _POOLS}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})
    import cv2

    cv2.setNumThreads(THREADS)
    CACHE.mkdir(parents=True, exist_ok=True)
    say(f"{Path(sys.argv[0]).stem}: {THREADS} threads for everybody{', SHORT' if SHORT else ''}")
    load = _load_before[0]
    if load > 0.3 * CORES:
        say(f"This machine is busy (load {load:.1f} on {CORES} cores): figures are not comparable.")


def say(line: str) -> None:
    print(line, flush=True)


def missing(*variables: str) -> list[str]:
    """Which of these variables do not name a folder."""
    return [name for name in variables if not os.environ.get(name) or not Path(os.environ[name]).is_dir()]


def machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": CORES,
        "threads_a_runner": THREADS,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "os": _os_name(),
        "kernel": platform.release(),
        "load_before": round(_load_before[0], 2),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions(*more: str) -> dict[str, str]:
    """Of Python, of Cordon's commit and of these distributions; what is not installed is left out."""
    found = {"python": platform.python_version(), "commit": _commit()}
    for name in (*_PACKAGES, *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def interleaved(runners: Mapping[str, Callable[[int], T]], repeats: int) -> dict[str, list[T]]:
    """Each runner once in a round, each round in another order, so that a slow minute hits everybody alike. A runner is
    given the number of its round; the first is not thrown away: warm up before."""
    taken: dict[str, list[T]] = {name: [] for name in runners}
    names = list(runners)
    for number in range(repeats):
        turn = number % len(names) if names else 0
        for name in names[turn:] + names[:turn]:
            gc.collect()
            taken[name].append(runners[name](number))
    return taken


def milliseconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1_000


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values)) if values else float("nan")


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: a value that was measured. `share` from 0 to 1."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    # Rounded first: 0.99 · 100 must not become the hundredth for a last binary digit.
    return float(ordered[max(0, math.ceil(round(share * len(ordered), 9)) - 1)])


def clopper_pearson(hits: int, tries: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a rate."""
    from scipy.stats import beta

    if not tries:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, tries - hits + 1))
    high = 1.0 if hits == tries else float(beta.ppf(1 - tail, hits + 1, tries - hits))
    return low, high


def report(name: str, data: Mapping[str, Any], results: Any, *, packages: Sequence[str] = ()) -> None:
    """A table for people, then one JSON object as the very last line. `packages`: more distributions whose versions
    matter. What is not finite is written as null."""
    rows = results if isinstance(results, list) else [results]
    say("\n" + table([row for row in rows if isinstance(row, Mapping)]))
    command = " ".join([*(["SHORT=1"] if SHORT else []), Path(sys.argv[0]).name, *sys.argv[1:]])
    said = {
        "bench": name,
        "machine": machine(),
        "versions": versions(*packages),
        "command": f"make bench-{name}" + (" SHORT=1" if SHORT else "") if len(sys.argv) == 1 else command,
        "data": dict(data),
        "results": results,
    }
    print(json.dumps(_plain(said), ensure_ascii=False, allow_nan=False), flush=True)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown; the columns in the order in which they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return "(no rows)"
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[at]) for line in cells)) for at, column in enumerate(columns)]
    lines = [columns, ["-" * width for width in widths], *cells]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, dict)):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)


def _plain(value: Any) -> Any:
    """As JSON knows it: no NumPy scalars, nothing that is not finite, no more digits than were measured."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if value == value and abs(value) != float("inf") else None
    return value


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform()


def _commit() -> str:
    """With `+` where the working tree of the product differs from it."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "backend", "tests/bench"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")
