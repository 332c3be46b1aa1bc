"""What an engine is told when it starts. What it may do, it asks the backend."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EngineSettings:
    backend_url: str
    token: str
    engine_id: str
    spool: Path
    pack: str | None
    ingest_bind: str
    threads: int
    """Frames that are looked at side by side."""

    @staticmethod
    def from_environment(environment: Mapping[str, str] | None = None) -> EngineSettings:
        """Raises KeyError where the engine's token is missing."""
        env = os.environ if environment is None else environment
        data = Path(env.get("CORDON_DATA", "var")).absolute()
        return EngineSettings(
            backend_url=env.get("CORDON_BACKEND_URL", "http://127.0.0.1:8080").rstrip("/"),
            token=env["CORDON_ENGINE_TOKEN"],
            engine_id=env.get("CORDON_ENGINE_ID", "engine"),
            spool=Path(env.get("CORDON_SPOOL_DIR", str(data / "spool"))),
            pack=env.get("CORDON_PACK") or None,
            ingest_bind=env.get("CORDON_INGEST_BIND", "127.0.0.1:8090"),
            threads=int(env.get("CORDON_ENGINE_THREADS") or len(os.sched_getaffinity(0))),
        )
