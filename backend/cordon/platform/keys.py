"""The master key (wraps each deployment's keys) and the envelope in which biometric data is stored: AES-256-GCM."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class SealBroken(Exception):
    """The ciphertext was changed, or belongs to another key or another place."""


def load_master_key(folder: Path) -> bytes:
    """32 bytes from CORDON_MASTER_KEY (base64), else from `folder/master.key`, made on first use, its owner's only."""
    from_environment = os.environ.get("CORDON_MASTER_KEY")
    if from_environment:
        key = base64.b64decode(from_environment, validate=True)
    else:
        path = folder / "master.key"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(base64.b64encode(secrets.token_bytes(32)))
        except FileExistsError:
            path.chmod(0o600)
        key = base64.b64decode(path.read_bytes(), validate=True)
    if len(key) != 32:
        raise ValueError("The master key must be 32 bytes, base64-encoded.")
    return key


def seal(key: bytes, plaintext: bytes, bound_to: str) -> bytes:
    """Nonce and ciphertext. `bound_to` names the place it belongs to: a ciphertext moved elsewhere does not open."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, bound_to.encode())


def unseal(key: bytes, sealed: bytes, bound_to: str) -> bytes:
    """Raises SealBroken."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to.encode())
    except (InvalidTag, ValueError) as error:
        raise SealBroken("The stored data cannot be opened with this key.") from error
