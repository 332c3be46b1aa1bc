"""Hits and alerts, and the one table of what may follow what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from cordon.people.model import Role
from cordon.platform.database import Base


class AlertState(StrEnum):
    RAISED = "raised"
    DISPATCHED = "dispatched"
    CLAIMED = "claimed"
    ENGAGED = "engaged"
    CLOSED = "closed"


class AlertResult(StrEnum):
    DISMISSED = "dismissed"
    NOT_THE_PERSON = "not_the_person"
    OUTCOME = "outcome"
    EXPIRED = "expired"


class Action(StrEnum):
    CONFIRM = "confirm"
    DISMISS = "dismiss"
    CANNOT_TELL = "cannot_tell"
    SEEN = "seen"
    CLAIM = "claim"
    DECLINE = "decline"
    ASSIGN = "assign"
    LOST_SIGHT = "lost_sight"
    ENGAGE = "engage"
    NOT_THE_PERSON = "not_the_person"
    OUTCOME = "outcome"
    CORRECT = "correct"


@dataclass(frozen=True)
class Rule:
    """Where an action is allowed, by whom, and whether only the officer who claimed the alert may do it."""

    states: frozenset[AlertState]
    roles: frozenset[Role]
    event: str
    claimant_only: bool = False


_OPERATOR = frozenset({Role.OPERATOR})
_OFFICER = frozenset({Role.OFFICER})
_LIVE = frozenset({AlertState.DISPATCHED, AlertState.CLAIMED, AlertState.ENGAGED})
_IN_HAND = frozenset({AlertState.CLAIMED, AlertState.ENGAGED})

# The alert's life. There is no row that leads from a hit to anything but a person's decision.
RULES: dict[Action, Rule] = {
    Action.CONFIRM: Rule(frozenset({AlertState.RAISED}) | _LIVE, _OPERATOR, "adjudicated"),
    Action.DISMISS: Rule(frozenset({AlertState.RAISED, AlertState.DISPATCHED}), _OPERATOR, "adjudicated"),
    Action.CANNOT_TELL: Rule(frozenset({AlertState.RAISED}) | _LIVE, _OPERATOR, "adjudicated"),
    Action.SEEN: Rule(_LIVE | {AlertState.CLOSED}, _OFFICER, "seen"),
    Action.CLAIM: Rule(frozenset({AlertState.DISPATCHED}), _OFFICER, "claimed"),
    Action.DECLINE: Rule(frozenset({AlertState.DISPATCHED}), _OFFICER, "declined"),
    Action.ASSIGN: Rule(
        frozenset({AlertState.DISPATCHED, AlertState.CLAIMED}), frozenset({Role.COORDINATOR}), "assigned"
    ),
    Action.LOST_SIGHT: Rule(frozenset({AlertState.CLAIMED}), _OFFICER, "lost_sight", claimant_only=True),
    Action.ENGAGE: Rule(frozenset({AlertState.CLAIMED}), _OFFICER, "engaged", claimant_only=True),
    Action.NOT_THE_PERSON: Rule(_LIVE, _OFFICER, "not_the_person"),
    Action.OUTCOME: Rule(_IN_HAND, _OFFICER, "outcome", claimant_only=True),
    Action.CORRECT: Rule(
        frozenset({AlertState.CLOSED}), _OFFICER | {Role.COORDINATOR}, "corrected", claimant_only=True
    ),
}


class Truth(StrEnum):
    """What an outcome says of the alert, in South Wales Police's terms: confirmed true, confirmed false, or neither."""

    TRUE = "true"
    FALSE = "false"
    NONE = "none"


@dataclass(frozen=True)
class Outcome:
    label: str
    truth: Truth


OUTCOMES: dict[str, Outcome] = {
    "arrested": Outcome("Arrested", Truth.TRUE),
    "safeguarded": Outcome("Found and safeguarded", Truth.TRUE),
    "conditions_kept": Outcome("Conditions checked, kept", Truth.TRUE),
    "conditions_broken": Outcome("Conditions checked, broken", Truth.TRUE),
    "dealt_with_otherwise": Outcome("Right person, dealt with another way", Truth.TRUE),
    "no_longer_sought": Outcome("Right person, no longer sought", Truth.TRUE),
    "different_person": Outcome("Stopped, a different person", Truth.FALSE),
    "not_stopped": Outcome("Not stopped", Truth.NONE),
    "not_found": Outcome("Not found again", Truth.NONE),
}


class Alert(Base):
    __tablename__ = "alerts"
    __table_args__ = (UniqueConstraint("deployment_id", "number"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), index=True)
    number: Mapped[int]
    kind: Mapped[str] = mapped_column(String(20))
    entry_id: Mapped[str] = mapped_column(String(36), index=True)
    camera_id: Mapped[str] = mapped_column(ForeignKey("cameras.id"))
    state: Mapped[str] = mapped_column(String(20))
    result: Mapped[str | None] = mapped_column(String(20))
    verified: Mapped[bool] = mapped_column(default=False)
    score: Mapped[float]
    threshold: Mapped[float]
    direction: Mapped[str] = mapped_column(String(10))
    quality: Mapped[dict[str, Any]]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    raised_at: Mapped[datetime]
    deadline_at: Mapped[datetime]
    overdue_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    dispatched_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    engaged_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    claimed_by: Mapped[dict[str, Any] | None]
    adjudications: Mapped[list[Any]] = mapped_column(default=list)
    seen_by: Mapped[list[str]] = mapped_column(default=list)
    declined_by: Mapped[list[str]] = mapped_column(default=list)
    outcome: Mapped[str | None] = mapped_column(String(40))
    note: Mapped[str | None] = mapped_column(Text)
    corrections: Mapped[list[Any]] = mapped_column(default=list)
    entry: Mapped[dict[str, Any]]
    """The entry as it stood when the alert was raised: what the officer was told stays on the record."""
    last_seq: Mapped[int] = mapped_column(default=0)

    hits: Mapped[list[Hit]] = relationship(order_by="Hit.captured_at", cascade="all, delete-orphan")


class Hit(Base):
    __tablename__ = "hits"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """The engine's id: a hit sent twice is one hit."""
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"), index=True)
    deployment_id: Mapped[str] = mapped_column(String(36), index=True)
    engine: Mapped[str] = mapped_column(String(80))
    pack: Mapped[str] = mapped_column(String(120))
    score: Mapped[float]
    captured_at: Mapped[datetime]
    detected_at: Mapped[datetime]
    received_at: Mapped[datetime]
    track: Mapped[dict[str, Any]]
    probe_object_id: Mapped[str | None] = mapped_column(String(36))
    context_object_id: Mapped[str | None] = mapped_column(String(36))
    view_object_ids: Mapped[list[str]] = mapped_column(default=list)


class AcceptedAction(Base):
    """An action that was taken, by its idempotency key: what the phone sends again is answered, not done, again."""

    __tablename__ = "accepted_actions"

    key: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(36))
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"), index=True)
    action: Mapped[str] = mapped_column(String(20))
    event_id: Mapped[int | None]
    accepted_at: Mapped[datetime]
