"""Numbered events, the outbox that carries them, and receipts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cordon.platform.database import Base


class Audience(StrEnum):
    """Who sees an event in full; the others get its number with nothing in it, so that their sequence has no gap."""

    TEAM = "team"
    DESK = "desk"


class EventCounter(Base):
    __tablename__ = "event_counters"

    deployment_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    last_seq: Mapped[int]


class DeploymentEvent(Base):
    __tablename__ = "deployment_events"
    __table_args__ = (UniqueConstraint("deployment_id", "seq"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    deployment_id: Mapped[str] = mapped_column(String(36), index=True)
    seq: Mapped[int]
    kind: Mapped[str] = mapped_column(String(40))
    audience: Mapped[str] = mapped_column(String(10))
    alert_id: Mapped[str | None] = mapped_column(String(36), index=True)
    actor: Mapped[dict[str, Any] | None]
    at: Mapped[datetime]
    made_at: Mapped[datetime]
    """When the person did it, by their device: an action may arrive late."""
    data: Mapped[dict[str, Any]]


class OutboxRow(Base):
    """An event not yet pushed. Committed with it, removed once pushed."""

    __tablename__ = "outbox"

    event_id: Mapped[int] = mapped_column(ForeignKey("deployment_events.id"), primary_key=True)
    created_at: Mapped[datetime]


class Receipt(Base):
    """How far a person's device has received a deployment's events."""

    __tablename__ = "receipts"

    deployment_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    received_seq: Mapped[int]
    received_at: Mapped[datetime]
