"""Building and certifying an index in a process of its own, so that a list that changes costs the matching nothing.

The templates go there, and Annoy's index comes back, in sealed memory without a name (`memory.py`). The child has no
lasting state: if it is killed, or dies, the list is searched exactly as before.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordon.index.certificate import Certificate, Demands, Mode, certify, mode_of_environment, without_annoy
from cordon.index.memory import Block, empty_block, forbid_core_dumps, read_arrays, seal

_NICENESS = 10
_STOP_WITHIN_S = 5.0


class BuildFailed(Exception):
    """No index came of it; the message says why, in a sentence."""


@dataclass(frozen=True)
class Built:
    """The certificate, and Annoy's index in sealed memory where it is Annoy's."""

    certificate: Certificate
    annoy: Block | None


# Given the templates (N, D), the number of each one's entry (N,), the block that holds both (None where there is no shared
# memory) and the threshold.
Builder = Callable[[NDArray[np.float32], NDArray[np.int32], Block | None, float], Built]


class ChildBuilder:
    """Builds in a child process. `cancel` ends what is under way: a list that was withdrawn is not kept for its index."""

    def __init__(self, demands: Demands | None = None, mode: Mode | None = None) -> None:
        self._demands = demands or Demands()
        self._mode = mode or mode_of_environment()
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._cancelled = False

    def __call__(
        self, templates: NDArray[np.float32], owners: NDArray[np.int32], block: Block | None, threshold: float
    ) -> Built:
        """Raises BuildFailed, and OSError where there is no memory for it."""
        why_not = without_annoy(len(templates), self._mode, self._demands)
        if why_not is not None or block is None:
            reason = why_not or "this system has no memory that processes share without a file"
            return Built(Certificate("exact", len(templates), reason), None)
        return _into_block(lambda annoy: self._child(block, annoy, threshold))

    def cancel(self) -> None:
        """Also for builds that have not begun yet."""
        with self._lock:
            self._cancelled = True
            children = list(self._children)
        for child in children:
            child.kill()

    def _child(self, block: Block, annoy: int, threshold: float) -> Certificate:
        task = {
            "templates": asdict(block),
            "annoy": annoy,
            "threshold": threshold,
            "mode": self._mode,
            "demands": asdict(self._demands),
        }
        with self._lock:
            if self._cancelled:
                raise BuildFailed("The list was withdrawn.")
            child = subprocess.Popen(
                [sys.executable, "-m", "cordon.index.build"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(block.descriptor, annoy),
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
            self._children.add(child)
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                # The pipe stays open: its end tells the child that this process is gone.
                child.stdin.write(json.dumps(task).encode() + b"\n")
                child.stdin.flush()
            answer = child.stdout.read()
            if child.wait() != 0:
                raise BuildFailed(f"The process that builds the index ended with {child.returncode}.")
            return Certificate(**json.loads(answer))
        except (ValueError, TypeError) as error:
            raise BuildFailed("The process that builds the index gave no certificate.") from error
        finally:
            with self._lock:
                self._children.discard(child)
            child.kill()
            with contextlib.suppress(OSError):
                child.stdin.close()  # type: ignore[union-attr]
            child.wait(_STOP_WITHIN_S)


def build_here(demands: Demands, mode: Mode = "annoy") -> Builder:
    """A builder in this process, for benches and tests."""

    def build(
        templates: NDArray[np.float32], owners: NDArray[np.int32], block: Block | None, threshold: float
    ) -> Built:
        why_not = without_annoy(len(templates), mode, demands)
        if why_not is not None:
            return Built(Certificate("exact", len(templates), why_not), None)

        def build_into(annoy: int) -> Certificate:
            path = f"/proc/self/fd/{annoy}"
            return certify(templates, owners, threshold, mode=mode, demands=demands, save_to=path)

        return _into_block(build_into)

    return build


def _into_block(build: Callable[[int], Certificate]) -> Built:
    descriptor = empty_block("cordon-annoy")
    try:
        certificate = build(descriptor)
        if certificate.engine == "annoy":
            return Built(certificate, seal(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return Built(certificate, None)


def _serve() -> None:
    """The child: one task from standard input, one certificate to standard output."""
    forbid_core_dumps()
    os.nice(_NICENESS)
    task: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _, arrays = read_arrays(Block(**task["templates"]))
    demands = task["demands"]
    certificate = certify(
        arrays["templates"],
        arrays["owners"],
        task["threshold"],
        mode=task["mode"],
        demands=replace(Demands(), **{**demands, "trees": tuple(demands["trees"])}),
        save_to=f"/proc/self/fd/{task['annoy']}",
    )
    sys.stdout.write(json.dumps(certificate.as_dict()))
    sys.stdout.flush()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    _serve()
