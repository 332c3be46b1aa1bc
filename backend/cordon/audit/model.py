"""Audit records: a chain of SHA-256 for each scope (a deployment, or the installation). Records are only ever added."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cordon.platform.clock import iso
from cordon.platform.database import Base

INSTALLATION = "installation"
FIRST_LINK = "0" * 64


class AuditRecord(Base):
    __tablename__ = "audit_records"
    __table_args__ = (UniqueConstraint("scope", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    scope: Mapped[str] = mapped_column(String(36), index=True)
    number: Mapped[int]
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(80))
    object: Mapped[str] = mapped_column(String(200))
    detail: Mapped[dict[str, Any]]
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))

    def expected_hash(self) -> str:
        return link_hash(
            self.scope,
            self.number,
            self.at,
            self.actor,
            self.action,
            self.object,
            self.detail,
            self.previous_hash,
        )


class AuditHead(Base):
    """The last link of a chain. Its row is locked while a record is added, and betrays a chain cut short."""

    __tablename__ = "audit_heads"

    scope: Mapped[str] = mapped_column(String(36), primary_key=True)
    number: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))
    seal: Mapped[str] = mapped_column(String(64))


def link_hash(
    scope: str,
    number: int,
    at: datetime,
    actor: str,
    action: str,
    object_: str,
    detail: dict[str, Any],
    previous_hash: str,
) -> str:
    """SHA-256, in hex, over the record's canonical JSON and the hash of the record before it."""
    canonical = json.dumps(
        [scope, number, iso(at), actor, action, object_, detail, previous_hash],
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
