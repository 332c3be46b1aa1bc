"""How long a model takes inside somebody else's code: its session is wrapped, nothing else is touched."""

from __future__ import annotations

import time
from typing import Any

from cordon.vision.packs import Pack


class TimedSession:
    """An onnxruntime session whose `run` is timed. `spent`: (batch, seconds) of each call."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.spent: list[tuple[int, float]] = []

    def run(self, *arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._session.run(*arguments, **options)
        finally:
            self.spent.append((len(next(iter(arguments[1].values()))), time.perf_counter() - began))

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds in self.spent)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def time_models(pack: Pack) -> tuple[TimedSession, TimedSession]:
    """Detector's and embedder's sessions of an ONNX pack, timed from now on."""
    parts: tuple[Any, Any] = (pack.detector, pack.embedder)
    detector, embedder = (TimedSession(part._model._session) for part in parts)
    parts[0]._model._session, parts[1]._model._session = detector, embedder
    return detector, embedder
