"""Adding to a chain, reading it, and proving it whole."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert

from cordon.audit.model import FIRST_LINK, INSTALLATION, AuditHead, AuditRecord, link_hash
from cordon.platform.installation import UnitOfWork


@dataclass(frozen=True)
class ChainReport:
    scope: str
    records: int
    broken_at: int | None
    reason: str | None

    @property
    def intact(self) -> bool:
        return self.broken_at is None


def record(
    work: UnitOfWork,
    action: str,
    object_: str,
    *,
    actor: str,
    scope: str = INSTALLATION,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add one link. `actor` is a callsign with its user id, an engine's name, or "cordon" for what the clock does."""
    head = _locked_head(work, scope)
    number = head.number + 1
    # To the millisecond, as it is hashed: a database may keep more or fewer digits than another.
    at = work.now.replace(microsecond=work.now.microsecond // 1000 * 1000)
    new = AuditRecord(
        scope=scope,
        number=number,
        at=at,
        actor=actor,
        action=action,
        object=object_,
        detail=detail or {},
        previous_hash=head.hash,
        hash=link_hash(scope, number, at, actor, action, object_, detail or {}, head.hash),
    )
    work.session.add(new)
    head.number, head.hash = number, new.hash
    head.seal = _seal(work, scope, number, new.hash)
    work.session.flush()


def chain(work: UnitOfWork, scope: str, *, limit: int | None = None) -> list[AuditRecord]:
    """The records of a scope in order; with a limit, the newest ones."""
    if limit is None:
        return list(
            work.session.scalars(select(AuditRecord).where(AuditRecord.scope == scope).order_by(AuditRecord.number))
        )
    newest = select(AuditRecord).where(AuditRecord.scope == scope).order_by(AuditRecord.number.desc()).limit(limit)
    return list(reversed(list(work.session.scalars(newest))))


def scopes(work: UnitOfWork) -> list[str]:
    return list(work.session.scalars(select(AuditHead.scope).order_by(AuditHead.scope)))


def verify(work: UnitOfWork, scope: str) -> ChainReport:
    """Walks the chain and names the first link that does not hold: edited, removed, reordered, replayed or cut off."""
    previous, expected_number = FIRST_LINK, 1
    records = chain(work, scope)
    for link in records:
        if link.number != expected_number:
            return ChainReport(scope, len(records), expected_number, f"record {expected_number} is missing")
        if link.previous_hash != previous:
            return ChainReport(scope, len(records), link.number, "it does not follow from the record before it")
        if link.hash != link.expected_hash():
            return ChainReport(scope, len(records), link.number, "its content was changed after it was written")
        previous, expected_number = link.hash, expected_number + 1
    head = work.session.get(AuditHead, scope)
    last = expected_number - 1
    if head is None:
        return (
            ChainReport(scope, 0, None, None) if not records else ChainReport(scope, last, last, "the head is missing")
        )
    if head.number != last or head.hash != previous:
        return ChainReport(scope, len(records), expected_number, "the chain was cut off after this point")
    if not hmac.compare_digest(head.seal, _seal(work, scope, head.number, head.hash)):
        return ChainReport(scope, len(records), last, "the head was not sealed by this installation's key")
    return ChainReport(scope, len(records), None, None)


def _locked_head(work: UnitOfWork, scope: str) -> AuditHead:
    query = select(AuditHead).where(AuditHead.scope == scope).with_for_update()
    head = work.session.scalars(query).one_or_none()
    if head is not None:
        return head
    first = {"scope": scope, "number": 0, "hash": FIRST_LINK, "seal": _seal(work, scope, 0, FIRST_LINK)}
    if work.installation.database.is_sqlite:
        work.session.execute(insert(AuditHead).values(**first))
    else:
        # Two transactions may both find no head: the loser waits, then takes the winner's.
        work.session.execute(postgresql_insert(AuditHead).values(**first).on_conflict_do_nothing())
    return work.session.scalars(query.execution_options(populate_existing=True)).one()


def _seal(work: UnitOfWork, scope: str, number: int, hash_: str) -> str:
    return hmac.new(
        work.installation.master_key, f"audit:{scope}:{number}:{hash_}".encode(), hashlib.sha256
    ).hexdigest()
