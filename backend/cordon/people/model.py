"""Users, roles, sessions, engine credentials, duty and last position; and the one table of who may do what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from cordon.platform.database import Base


class Role(StrEnum):
    OFFICER = "officer"
    OPERATOR = "operator"
    COORDINATOR = "coordinator"
    AUTHORISER = "authoriser"
    WATCHLIST_MANAGER = "watchlist_manager"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


ROLE_LABELS = {
    Role.OFFICER: "Street officer",
    Role.OPERATOR: "Operator",
    Role.COORDINATOR: "Coordinator",
    Role.AUTHORISER: "Authorising officer",
    Role.WATCHLIST_MANAGER: "Watchlist manager",
    Role.AUDITOR: "Auditor",
    Role.ADMINISTRATOR: "Administrator",
}


@dataclass(frozen=True)
class Permission:
    """Which roles may; and whether the person must also belong to the deployment in question."""

    roles: frozenset[Role]
    members_only: bool


def _permission(*roles: Role, members_only: bool = True) -> Permission:
    return Permission(frozenset(roles), members_only)


_STREET = (Role.OFFICER, Role.OPERATOR, Role.COORDINATOR)
_DESK = (Role.OPERATOR, Role.COORDINATOR)
_OVERSIGHT = (Role.AUTHORISER, Role.AUDITOR)

# Everything a signed-in person can do is a row here; a route that names no row is refused to everybody.
PERMISSIONS: dict[str, Permission] = {
    "session.own": _permission(*Role, members_only=False),
    "deployments.list": _permission(*Role, members_only=False),
    "deployments.draft": _permission(Role.COORDINATOR, members_only=False),
    "deployments.view": _permission(*_STREET, Role.WATCHLIST_MANAGER),
    "deployments.edit": _permission(Role.COORDINATOR),
    "deployments.sign": _permission(Role.AUTHORISER, members_only=False),
    "deployments.run": _permission(Role.COORDINATOR),
    "deployments.suspend": _permission(Role.COORDINATOR, Role.AUTHORISER),
    "team.view": _permission(*_STREET),
    "team.duty": _permission(*_STREET),
    "events.follow": _permission(*_STREET),
    "alerts.view": _permission(*_STREET),
    "alerts.act": _permission(*_STREET),
    "watchlist.view": _permission(Role.WATCHLIST_MANAGER, Role.OPERATOR),
    "watchlist.edit": _permission(Role.WATCHLIST_MANAGER),
    "record.view": _permission(*_DESK, *_OVERSIGHT),
    "audit.view": _permission(Role.AUDITOR, members_only=False),
    "users.view": _permission(Role.ADMINISTRATOR, Role.COORDINATOR, members_only=False),
    "users.manage": _permission(Role.ADMINISTRATOR, members_only=False),
}

# Those who oversee belong to every deployment for what they may see, and to none for what they may not.
OVERSEEN_BY: dict[str, frozenset[Role]] = {
    "deployments.view": frozenset({Role.AUTHORISER, Role.AUDITOR}),
    "deployments.suspend": frozenset({Role.AUTHORISER}),
    "record.view": frozenset(_OVERSIGHT),
}


@dataclass(frozen=True)
class Actor:
    """A signed-in person, as the session found them."""

    user_id: str
    display_name: str
    callsign: str
    roles: frozenset[Role]
    session_id: str
    stepped_up: bool = False

    @property
    def audit_name(self) -> str:
        return f"{self.callsign} ({self.user_id})"

    def has(self, role: Role) -> bool:
        return role in self.roles


class User(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    username: Mapped[str] = mapped_column(String(80), unique=True)
    display_name: Mapped[str] = mapped_column(String(120))
    callsign: Mapped[str] = mapped_column(String(40))
    password_hash: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[str]]
    disabled_at: Mapped[datetime | None]
    failed_sign_ins: Mapped[int] = mapped_column(default=0)
    throttled_until: Mapped[datetime | None]


class UserSession(Base):
    __tablename__ = "user_sessions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the cookie's secret: the table opens no session."""
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    stepped_up_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class EngineCredential(Base):
    __tablename__ = "engine_credentials"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class DutyStatus(Base):
    """Whether a member is on duty in a deployment, and where last: one row, overwritten, never a trail."""

    __tablename__ = "duty_statuses"

    deployment_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    on_duty: Mapped[bool]
    since: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    longitude: Mapped[float | None]
    latitude: Mapped[float | None]
    accuracy_m: Mapped[float | None]
    position_at: Mapped[datetime | None]
