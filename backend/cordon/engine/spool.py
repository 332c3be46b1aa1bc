"""Hits on their way to the backend. Each is sealed on disk first, so that a restart on either side loses none."""

from __future__ import annotations

import base64
import json
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cordon.engine.backend import BackendSilent, HitPostponed, HitRefused

log = logging.getLogger(__name__)

# A hit that found no open deployment for this long is too old to act on (alerts expire after at most four hours).
KEPT_AT_MOST_S = 4 * 3600.0
RETRY_AFTER_S = 0.5
HELD_IN_MEMORY = 200
_NONCE_BYTES = 12


class Spool:
    """`keys`: the spool keys of the deployments that are open now. `send` raises BackendSilent or HitRefused."""

    def __init__(
        self, folder: Path, keys: Callable[[], Mapping[str, bytes]], send: Callable[[dict[str, Any]], None]
    ) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._keys = keys
        self._send = send
        self._in_memory: deque[dict[str, Any]] = deque(maxlen=HELD_IN_MEMORY)
        # What was just written, so that it need not be read and opened again before it is sent for the first time.
        self._fresh: dict[str, dict[str, Any]] = {}
        self._wake = threading.Event()
        # The spool's own thread and the last drain must not send, or remove, the same file twice.
        self._sending = threading.Lock()

    def submit(self, hit: dict[str, Any], key: bytes) -> None:
        """Pictures in `hit` are bytes. Where the disk takes nothing, the hit is held in memory and sent from there."""
        ready = {**hit, **{name: _text(hit[name]) for name in ("probe_jpeg", "context_jpeg", "views")}}
        name = f"{hit['deployment_id']}_{hit['hit_id']}.hit"
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, json.dumps(ready).encode(), name.encode())
        temporary = self._folder / f"{name}.part"
        try:
            with temporary.open("wb") as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            if len(self._fresh) < HELD_IN_MEMORY:
                self._fresh[name] = ready
            temporary.replace(self._folder / name)
        except OSError as error:
            log.error("the spool takes no hit: it is held in memory", extra={"fields": {"error": error.errno}})
            self._fresh.pop(name, None)
            self._in_memory.append(ready)
        self._wake.set()

    def send_forever(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._wake.wait(RETRY_AFTER_S)
            self._wake.clear()
            try:
                self.send_waiting()
            except OSError as error:
                # A disk that fails now may answer later: this thread must outlive it, or no hit is ever sent again.
                log.error("the spool cannot be read", extra={"fields": {"error": error.errno}})

    def send_waiting(self) -> int:
        """Send what can be sent now; how many are left. A hit that the backend cannot take now holds up no other; a
        backend that does not answer ends the attempt."""
        with self._sending:
            try:
                self._send_held()
                self._send_files()
            except BackendSilent:
                log.debug("hits wait for the backend")
            return len(self._in_memory) + len(self._files())

    def _send_held(self) -> None:
        for _ in range(len(self._in_memory)):
            if self._settled(self._in_memory[0]):
                self._in_memory.popleft()
            else:
                self._in_memory.rotate(-1)

    def _send_files(self) -> None:
        keys = self._keys()
        for path, written_at in self._files():
            fresh = self._fresh.pop(path.name, None)
            key = keys.get(path.name.partition("_")[0])
            if time.time() - written_at > KEPT_AT_MOST_S:
                path.unlink(missing_ok=True)
                continue
            if key is None:
                continue
            hit = fresh or _opened(path, key)
            if hit is None or self._settled(hit):
                path.unlink(missing_ok=True)

    def _settled(self, hit: dict[str, Any]) -> bool:
        """False where this hit is to be tried again. Raises BackendSilent where nothing can be sent now."""
        try:
            self._send(hit)
        except HitRefused as refused:
            log.warning("hit refused", extra={"fields": {"hit": hit["hit_id"], "status": str(refused)}})
        except HitPostponed:
            return False
        return True

    def _files(self) -> list[tuple[Path, float]]:
        """Hits on disk and when they were written, the oldest first."""
        found = []
        for path in self._folder.glob("*.hit"):
            try:
                found.append((path, path.stat().st_mtime))
            except FileNotFoundError:
                continue
        return sorted(found, key=lambda entry: entry[1])


def _text(picture: Any) -> Any:
    return [_text(one) for one in picture] if isinstance(picture, list) else base64.b64encode(picture).decode()


def _opened(path: Path, key: bytes) -> dict[str, Any] | None:
    """None where the file is broken: it is given up, and said."""
    sealed = path.read_bytes()
    try:
        plain = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], path.name.encode())
        hit: dict[str, Any] = json.loads(plain)
    except (InvalidTag, ValueError):
        log.error("a spooled hit is broken and was given up", extra={"fields": {"file": path.name}})
        return None
    return hit
