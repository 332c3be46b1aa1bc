"""Identifiers and secrets. Ids are random, so that knowing one tells nothing of another."""

from __future__ import annotations

import hashlib
import secrets
import uuid


def new_id() -> str:
    return str(uuid.uuid4())


def new_secret() -> str:
    """A bearer secret of 256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def secret_digest(secret: str) -> str:
    """SHA-256 in hex: what is stored in place of a bearer secret. A fast hash suffices for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
