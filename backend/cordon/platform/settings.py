"""Settings, read once from the environment. Every port has two real implementations, chosen by a URL here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BOUNDS = ("CORDON_MAX_CAMERAS", "CORDON_MAX_ZONE_M2", "CORDON_MAX_WINDOW_H", "CORDON_MAX_LIST_ENTRIES")


@dataclass(frozen=True)
class Settings:
    data: Path
    database_url: str
    object_store_url: str
    socketio_queue_url: str | None
    bind: str
    public_url: str
    force_name: str
    contact: str
    pack: str | None
    ingest_url: str
    web_root: Path
    bounds: dict[str, float] = field(default_factory=dict)
    """By setting's name: how much smaller than design.md's bounds a deployment of this installation must stay."""

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def spool(self) -> Path:
        return self.data / "spool"

    @property
    def secure_cookies(self) -> bool:
        return self.public_url.startswith("https:")

    @staticmethod
    def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
        env = os.environ if environment is None else environment
        data = Path(env.get("CORDON_DATA", "var")).absolute()
        bind = env.get("CORDON_BIND", "127.0.0.1:8080")
        return Settings(
            data=data,
            database_url=env.get("DATABASE_URL", f"sqlite:///{data / 'cordon.db'}"),
            object_store_url=env.get("OBJECT_STORE_URL", f"file:{data / 'objects'}"),
            socketio_queue_url=env.get("SOCKETIO_QUEUE_URL") or None,
            bind=bind,
            public_url=env.get("CORDON_PUBLIC_URL", f"http://{bind.replace('0.0.0.0', '127.0.0.1')}"),  # noqa: S104
            force_name=env.get("CORDON_FORCE_NAME", "Example Constabulary"),
            contact=env.get("CORDON_CONTACT", "the force's data protection officer"),
            pack=env.get("CORDON_PACK") or None,
            ingest_url=env.get("CORDON_INGEST_URL", "http://127.0.0.1:8090"),
            web_root=Path(env.get("CORDON_WEB_ROOT", str(_default_web_root()))),
            bounds={name: float(env[name]) for name in BOUNDS if env.get(name)},
        )


def _default_web_root() -> Path:
    return Path(__file__).resolve().parents[3] / "webapp" / "dist"
