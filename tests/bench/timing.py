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
        self.spans: list[tuple[float, float]] = []

    def run(self, *arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._session.run(*arguments, **options)
        finally:
            ended = time.perf_counter()
            self.spent.append((len(next(iter(arguments[1].values()))), ended - began))
            self.spans.append((began, ended))

    @staticmethod
    def busy(*sessions: TimedSession) -> float:
        """Seconds during which at least one of these sessions ran, however many did at once."""
        total, until = 0.0, float("-inf")
        for began, ended in sorted(span for session in sessions for span in session.spans):
            total += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return total

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
