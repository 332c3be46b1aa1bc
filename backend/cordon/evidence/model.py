"""Deployment keys (wrapped by the master key) and the objects sealed with them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from cordon.platform.database import Base


class Holding(StrEnum):
    """Two holdings of a deployment, with a key each, because their deadlines differ."""

    WATCHLIST = "watchlist"
    ALERTS = "alerts"


class DeploymentKey(Base):
    __tablename__ = "deployment_keys"

    deployment_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    holding: Mapped[str] = mapped_column(String(20), primary_key=True)
    wrapped: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    destroyed_at: Mapped[datetime | None]


class EvidenceObject(Base):
    __tablename__ = "evidence_objects"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(String(36), index=True)
    holding: Mapped[str] = mapped_column(String(20))
    object_key: Mapped[str] = mapped_column(String(200), unique=True)
    size_bytes: Mapped[int]
    created_at: Mapped[datetime]
