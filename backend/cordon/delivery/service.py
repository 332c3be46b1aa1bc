"""Append an event in the transaction of its cause; read it back as a person may see it; note what reached whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from cordon.delivery.model import Audience, DeploymentEvent, EventCounter, OutboxRow, Receipt
from cordon.people.model import Actor, Role
from cordon.platform.clock import iso
from cordon.platform.installation import UnitOfWork


def begin_sequence(work: UnitOfWork, deployment_id: str) -> None:
    work.session.add(EventCounter(deployment_id=deployment_id, last_seq=0))


def append(
    work: UnitOfWork,
    deployment_id: str,
    kind: str,
    data: dict[str, Any],
    *,
    audience: Audience = Audience.TEAM,
    alert_id: str | None = None,
    actor: Actor | None = None,
    made_at: datetime | None = None,
) -> DeploymentEvent:
    """Number the event, store it and put it in the outbox. The counter's row lock makes the numbers gap-free:
    a transaction that rolls back gives its number back, and no later one can be numbered before it ends."""
    seq = work.session.scalars(
        update(EventCounter)
        .where(EventCounter.deployment_id == deployment_id)
        .values(last_seq=EventCounter.last_seq + 1)
        .returning(EventCounter.last_seq)
    ).one()
    if isinstance(data.get("alert"), dict):
        data = {**data, "alert": {**data["alert"], "last_seq": seq}}
    event = DeploymentEvent(
        deployment_id=deployment_id,
        seq=seq,
        kind=kind,
        audience=audience.value,
        alert_id=alert_id,
        actor=None
        if actor is None
        else {"id": actor.user_id, "display_name": actor.display_name, "callsign": actor.callsign},
        at=work.now,
        made_at=made_at or work.now,
        data=data,
    )
    work.session.add(event)
    work.session.flush()
    work.session.add(OutboxRow(event_id=event.id, created_at=work.now))
    work.after_commit.extend(bell for bell in work.installation.doorbells if bell not in work.after_commit)
    return event


def last_seq(work: UnitOfWork, deployment_id: str) -> int:
    counter = work.session.get(EventCounter, deployment_id)
    return 0 if counter is None else counter.last_seq


def events_after(work: UnitOfWork, deployment_id: str, after: int, limit: int) -> list[DeploymentEvent]:
    query = (
        select(DeploymentEvent)
        .where(DeploymentEvent.deployment_id == deployment_id, DeploymentEvent.seq > after)
        .order_by(DeploymentEvent.seq)
        .limit(limit)
    )
    return list(work.session.scalars(query))


def sees_the_desk(roles: frozenset[Role]) -> bool:
    return bool(roles & {Role.OPERATOR, Role.COORDINATOR})


def as_seen_by(event: DeploymentEvent, desk: bool) -> dict[str, Any]:
    """The event as it leaves the server. What the audience does not cover becomes `withheld`: a number and a time."""
    shown = desk or event.audience == Audience.TEAM
    return {
        "seq": event.seq,
        "deployment_id": event.deployment_id,
        "alert_id": event.alert_id if shown else None,
        "kind": event.kind if shown else "withheld",
        "at": iso(event.at),
        "made_at": iso(event.made_at) if shown else iso(event.at),
        "actor": event.actor if shown else None,
        "data": event.data if shown else {},
    }


def push_outbox(work: UnitOfWork, emit: Callable[[DeploymentEvent], None], limit: int = 200) -> int:
    """Push what waits, oldest first, and forget it. SKIP LOCKED lets several servers share the work; an event pushed
    twice after a crash carries the same number, so a client keeps one."""
    query = (
        select(OutboxRow, DeploymentEvent)
        .join(DeploymentEvent, DeploymentEvent.id == OutboxRow.event_id)
        .order_by(OutboxRow.event_id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=OutboxRow)
    )
    rows = [(row.OutboxRow, row.DeploymentEvent) for row in work.session.execute(query)]
    for _, event in rows:
        emit(event)
    if rows:
        work.session.execute(delete(OutboxRow).where(OutboxRow.event_id.in_([row.event_id for row, _ in rows])))
    return len(rows)


def acknowledge(work: UnitOfWork, deployment_id: str, user_id: str, seq: int) -> None:
    """The device has everything up to `seq`. Never goes back, and never past what exists."""
    seq = min(seq, last_seq(work, deployment_id))
    receipt = work.session.get(Receipt, (deployment_id, user_id))
    if receipt is None:
        work.session.add(Receipt(deployment_id=deployment_id, user_id=user_id, received_seq=seq, received_at=work.now))
    elif seq > receipt.received_seq:
        receipt.received_seq, receipt.received_at = seq, work.now


def receipts(work: UnitOfWork, deployment_id: str) -> dict[str, int]:
    rows = work.session.scalars(select(Receipt).where(Receipt.deployment_id == deployment_id))
    return {row.user_id: row.received_seq for row in rows}


def erase_alert_content(work: UnitOfWork, deployment_id: str) -> int:
    """Leave of each event its number, kind and times. The count of events that held something is returned."""
    events = work.session.scalars(
        select(DeploymentEvent).where(
            DeploymentEvent.deployment_id == deployment_id, DeploymentEvent.alert_id.is_not(None)
        )
    )
    erased = 0
    for event in events:
        if event.data:
            event.data = {}
            erased += 1
    return erased
