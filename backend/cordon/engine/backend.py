"""The engine's side of the backend's door: heartbeat, watchlist, hits. HTTP and a bearer token, nothing else."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray

CONNECT_TIMEOUT_S = 1.0
HEARTBEAT_TIMEOUT_S = 1.5
WATCHLIST_TIMEOUT_S = 30.0
HIT_TIMEOUT_S = 10.0


class BackendSilent(Exception):
    """The backend did not answer, or answered that it cannot now: worth trying again."""


class HitPostponed(BackendSilent):
    """The backend is there, but could not take this one hit now: others may go before it."""


class HitRefused(Exception):
    """The backend will never take this hit."""


@dataclass(frozen=True)
class CameraOrder:
    camera_id: str
    name: str
    source_url: str
    token_sha256: str


@dataclass(frozen=True)
class MatchingOrder:
    """What the engine may do in one deployment, as of one heartbeat."""

    deployment_id: str
    window_starts_at: datetime
    window_ends_at: datetime
    threshold: float
    agree: int
    re_alert_s: float
    minimum_face_px: int
    watchlist_revision: int
    spool_key: bytes
    cameras: tuple[CameraOrder, ...]


@dataclass(frozen=True)
class Orders:
    server_time: datetime
    valid_for_s: float
    sessions: tuple[MatchingOrder, ...]


class Backend:
    def __init__(self, url: str, token: str) -> None:
        self._url = f"{url}/api/v1/engine"
        self._headers = {"Authorization": f"Bearer {token}"}
        # A session each: heartbeats must never wait behind a long list or a large hit.
        self._beats, self._lists, self._hits = requests.Session(), requests.Session(), requests.Session()

    def heartbeat(self, report: dict[str, Any]) -> Orders:
        """Raises BackendSilent."""
        body = self._call(self._beats, "POST", "/heartbeat", HEARTBEAT_TIMEOUT_S, json=report)
        try:
            return Orders(
                instant(body["server_time"]), float(body["valid_for_s"]), tuple(_order(s) for s in body["sessions"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BackendSilent("The heartbeat's answer could not be read.") from error

    def watchlist(self, deployment_id: str) -> tuple[int, str | None, dict[str, NDArray[np.float32]]]:
        """Revision, the pack's label and templates (n, D) of each entry, in memory only. Raises BackendSilent."""
        body = self._call(self._lists, "GET", f"/deployments/{deployment_id}/watchlist", WATCHLIST_TIMEOUT_S)
        try:
            entries = {
                entry["entry_id"]: np.frombuffer(base64.b64decode(entry["templates"]), "<f4").reshape(
                    entry["count"], -1
                )
                for entry in body["entries"]
            }
            return int(body["revision"]), body["pack"], entries
        except (KeyError, TypeError, ValueError) as error:
            raise BackendSilent("The watchlist could not be read.") from error

    def send_hit(self, hit: dict[str, Any]) -> None:
        """Raises BackendSilent where it should be sent again, HitRefused where it should not."""
        try:
            answer = self._hits.post(
                f"{self._url}/hits",
                json=hit,
                headers={**self._headers, "Idempotency-Key": hit["hit_id"]},
                timeout=(CONNECT_TIMEOUT_S, HIT_TIMEOUT_S),
            )
        except requests.RequestException as error:
            raise BackendSilent(type(error).__name__) from error
        if answer.status_code in {200, 201}:
            return
        if answer.status_code in {400, 403, 404, 409, 410, 413, 422}:
            raise HitRefused(f"{answer.status_code}")
        raise HitPostponed(f"{answer.status_code}")

    def _call(self, session: requests.Session, method: str, path: str, timeout_s: float, **options: Any) -> Any:
        try:
            answer = session.request(
                method, self._url + path, headers=self._headers, timeout=(CONNECT_TIMEOUT_S, timeout_s), **options
            )
            answer.raise_for_status()
            return answer.json()
        except (requests.RequestException, ValueError) as error:
            raise BackendSilent(type(error).__name__) from error


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _order(raw: dict[str, Any]) -> MatchingOrder:
    return MatchingOrder(
        deployment_id=raw["deployment_id"],
        window_starts_at=instant(raw["window_starts_at"]),
        window_ends_at=instant(raw["window_ends_at"]),
        threshold=float(raw["threshold"]),
        agree=int(raw["confirm"]["agree"]),
        re_alert_s=float(raw["re_alert_s"]),
        minimum_face_px=int(raw["minimum_face_px"]),
        watchlist_revision=int(raw["watchlist_revision"]),
        spool_key=base64.b64decode(raw["spool_key"]),
        cameras=tuple(
            CameraOrder(c["camera_id"], c["name"], c["source_url"], c["token_sha256"]) for c in raw["cameras"]
        ),
    )
