"""Sign-in, sessions, users, duty and position, and the one place that says whether a person may."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error
from sqlalchemy import select, update

from cordon.audit import service as audit
from cordon.people.model import (
    OVERSEEN_BY,
    PERMISSIONS,
    Actor,
    DutyStatus,
    EngineCredential,
    Role,
    User,
    UserSession,
)
from cordon.platform.errors import Invalid, NotAllowed, NotFound, Refusal
from cordon.platform.ids import new_id, new_secret, secret_digest
from cordon.platform.installation import UnitOfWork

SESSION_LIFE = timedelta(hours=12)
STEP_UP_LIFE = timedelta(minutes=5)
# OWASP's second recommendation for Argon2id (2026): 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_SHORTEST_PASSWORD = 12
_FREE_ATTEMPTS = 5
_LONGEST_THROTTLE_S = 60


class SignInRefused(Refusal):
    status = 401


def add_user(
    work: UnitOfWork,
    *,
    username: str,
    display_name: str,
    callsign: str,
    password: str,
    roles: list[Role],
    by: str,
) -> User:
    if len(password) < _SHORTEST_PASSWORD:
        raise Invalid("password_too_short", f"A password needs at least {_SHORTEST_PASSWORD} characters.")
    if not roles:
        raise Invalid("no_role", "A user needs at least one role: without one they could do nothing at all.")
    if work.session.scalars(select(User).where(User.username == username)).one_or_none():
        raise Refusal("username_taken", "Somebody has this user name already.")
    user = User(
        id=new_id(),
        username=username,
        display_name=display_name,
        callsign=callsign,
        password_hash=_hasher.hash(password),
        roles=[role.value for role in roles],
    )
    work.session.add(user)
    work.session.flush()
    audit.record(work, "user.added", user.id, actor=by, detail={"callsign": callsign, "roles": user.roles})
    return user


def all_users(work: UnitOfWork) -> list[User]:
    return list(work.session.scalars(select(User).order_by(User.display_name)))


def users_by_id(work: UnitOfWork, ids: list[str]) -> dict[str, User]:
    return {user.id: user for user in work.session.scalars(select(User).where(User.id.in_(ids)))}


def disable_user(work: UnitOfWork, user_id: str, actor: Actor) -> None:
    user = work.session.get(User, user_id)
    if user is None:
        raise NotFound("user")
    user.disabled_at = work.now
    revoke_sessions(work, user_id)
    audit.record(work, "user.disabled", user_id, actor=actor.audit_name)


def check_password(work: UnitOfWork, username: str, password: str) -> User | None:
    """The user, or None. Takes as long for an unknown name as for a wrong password. Attempts beyond the fifth wait
    longer each time, a minute at most: a stranger cannot lock an officer out for the shift."""
    user = work.session.scalars(select(User).where(User.username == username).with_for_update()).one_or_none()
    if user is not None and user.throttled_until is not None and user.throttled_until > work.now:
        seconds = math.ceil((user.throttled_until - work.now).total_seconds())
        raise SignInRefused("throttled", f"Too many attempts. Try again in {seconds} seconds.", status=429)
    try:
        _hasher.verify(user.password_hash if user else _UNKNOWN_USER_HASH, password)
        right = user is not None and user.disabled_at is None
    except Argon2Error:
        right = False
    if user is None:
        return None
    if right:
        user.failed_sign_ins, user.throttled_until = 0, None
        return user
    user.failed_sign_ins += 1
    if user.failed_sign_ins >= _FREE_ATTEMPTS:
        wait = min(2 ** (user.failed_sign_ins - _FREE_ATTEMPTS), _LONGEST_THROTTLE_S)
        user.throttled_until = work.now + timedelta(seconds=wait)
    audit.record(work, "session.refused", user.id, actor=user.callsign)
    return None


def open_session(work: UnitOfWork, user: User) -> tuple[str, UserSession]:
    """The cookie's secret, which is kept nowhere, and the session."""
    secret = new_secret()
    session = UserSession(
        id=secret_digest(secret),
        user_id=user.id,
        csrf_token=new_secret(),
        created_at=work.now,
        expires_at=work.now + SESSION_LIFE,
    )
    work.session.add(session)
    audit.record(work, "session.opened", user.id, actor=f"{user.callsign} ({user.id})")
    return secret, session


def session_of(work: UnitOfWork, secret: str) -> tuple[Actor, UserSession] | None:
    session = work.session.get(UserSession, secret_digest(secret))
    if session is None or session.revoked_at is not None or session.expires_at <= work.now:
        return None
    user = work.session.get(User, session.user_id)
    if user is None or user.disabled_at is not None:
        return None
    stepped_up = session.stepped_up_at is not None and work.now - session.stepped_up_at < STEP_UP_LIFE
    actor = Actor(
        user_id=user.id,
        display_name=user.display_name,
        callsign=user.callsign,
        roles=frozenset(Role(role) for role in user.roles),
        session_id=session.id,
        stepped_up=stepped_up,
    )
    return actor, session


def session_alive(work: UnitOfWork, session_id: str) -> bool:
    session = work.session.get(UserSession, session_id)
    return session is not None and session.revoked_at is None and session.expires_at > work.now


def step_up(work: UnitOfWork, session_id: str) -> None:
    session = work.session.get(UserSession, session_id)
    if session is not None:
        session.stepped_up_at = work.now


def close_session(work: UnitOfWork, actor: Actor) -> None:
    session = work.session.get(UserSession, actor.session_id)
    if session is not None:
        session.revoked_at = work.now
    audit.record(work, "session.closed", actor.user_id, actor=actor.audit_name)


def revoke_sessions(work: UnitOfWork, user_id: str) -> None:
    work.session.execute(
        update(UserSession)
        .where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None))
        .values(revoked_at=work.now)
    )


def permit(actor: Actor, permission: str, *, member: bool) -> None:
    """Raises NotAllowed unless a role of this person allows it. A deployment they do not belong to does not exist for
    them (NotFound), so ids cannot be guessed."""
    rule = PERMISSIONS.get(permission)
    if rule is None:
        raise NotAllowed("not_allowed", "Nobody may do this.")
    if rule.members_only and not member and not actor.roles & OVERSEEN_BY.get(permission, frozenset()):
        raise NotFound("deployment")
    if not actor.roles & (rule.roles | OVERSEEN_BY.get(permission, frozenset())):
        raise NotAllowed("not_allowed", "Your role does not include this.")


def add_engine(work: UnitOfWork, name: str, *, by: str) -> str:
    """A new engine's bearer token, shown this once. An engine of the same name has its old token replaced."""
    token = new_secret()
    existing = work.session.scalars(select(EngineCredential).where(EngineCredential.name == name)).one_or_none()
    if existing is not None:
        existing.token_digest, existing.revoked_at, existing.created_at = secret_digest(token), None, work.now
    else:
        work.session.add(
            EngineCredential(id=new_id(), name=name, token_digest=secret_digest(token), created_at=work.now)
        )
    audit.record(work, "engine.credential", name, actor=by)
    return token


def engine_named_by(work: UnitOfWork, token: str) -> str | None:
    row = work.session.scalars(
        select(EngineCredential).where(EngineCredential.token_digest == secret_digest(token))
    ).one_or_none()
    return None if row is None or row.revoked_at is not None else row.name


def set_duty(work: UnitOfWork, deployment_id: str, actor: Actor, on: bool) -> DutyStatus:
    """Going off duty forgets the position at once."""
    status = work.session.get(DutyStatus, (deployment_id, actor.user_id))
    if status is None:
        status = DutyStatus(
            deployment_id=deployment_id,
            user_id=actor.user_id,
            on_duty=on,
            since=work.now,
            last_seen_at=work.now,
        )
        work.session.add(status)
    if status.on_duty != on:
        status.since = work.now
    status.on_duty, status.last_seen_at = on, work.now
    if not on:
        _forget_position(status)
    audit.record(work, "duty.on" if on else "duty.off", actor.user_id, actor=actor.audit_name, scope=deployment_id)
    return status


def set_position(
    work: UnitOfWork,
    deployment_id: str,
    actor: Actor,
    *,
    lon: float,
    lat: float,
    accuracy_m: float,
    at: datetime,
) -> DutyStatus:
    """Last position only, on duty only. Degrees WGS84."""
    if not (-180 <= lon <= 180 and -90 <= lat <= 90 and 0 <= accuracy_m < 100_000):
        raise Invalid("position_impossible", "This position is not on the map.")
    status = work.session.get(DutyStatus, (deployment_id, actor.user_id))
    if status is None or not status.on_duty:
        raise Refusal("off_duty", "Your position is shared only while you are on duty.")
    status.longitude, status.latitude, status.accuracy_m = lon, lat, accuracy_m
    status.position_at, status.last_seen_at = min(at, work.now), work.now
    return status


def duty_statuses(work: UnitOfWork, deployment_id: str) -> dict[str, DutyStatus]:
    rows = work.session.scalars(select(DutyStatus).where(DutyStatus.deployment_id == deployment_id))
    return {row.user_id: row for row in rows}


def end_all_duty(work: UnitOfWork, deployment_id: str) -> None:
    for status in duty_statuses(work, deployment_id).values():
        status.on_duty = False
        _forget_position(status)


def _forget_position(status: DutyStatus) -> None:
    status.longitude = status.latitude = status.accuracy_m = status.position_at = None


_UNKNOWN_USER_HASH = _hasher.hash(new_secret())
