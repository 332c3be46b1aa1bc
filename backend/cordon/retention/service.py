"""At its deadline a holding goes: first the key, then objects and rows; a certificate says what went.

The key goes in a transaction of its own: from that commit on, whatever a crash leaves behind is unreadable. Every step
may be repeated, so a purge that was cut short is finished by the next call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from cordon.alerts import service as alerts
from cordon.audit import service as audit
from cordon.delivery import service as delivery
from cordon.delivery.model import Audience
from cordon.deployments import service as deployments
from cordon.deployments.model import Deployment, DeploymentState
from cordon.evidence import service as evidence
from cordon.evidence.model import Holding
from cordon.platform.ids import new_id
from cordon.platform.installation import Installation, UnitOfWork
from cordon.retention.model import PurgeCertificate
from cordon.watchlists import service as watchlists

log = logging.getLogger(__name__)


class PurgeIncomplete(Exception):
    """Objects could not be deleted: nothing is certified, and the next call tries again."""


@dataclass(frozen=True)
class DueHolding:
    deployment_id: str
    reference: str
    holding: Holding
    deadline: datetime


@dataclass(frozen=True)
class Contents:
    """What went, in numbers and, for a list, reference numbers: what a subject access request may still need."""

    counts: dict[str, Any]
    reference_numbers: list[str]


def due(work: UnitOfWork) -> list[DueHolding]:
    """Holdings whose deadline has come and which are not certified as purged, the oldest deadline first."""
    closed = [d for d in deployments.all_deployments(work) if d.state == DeploymentState.CLOSED]
    found = [
        DueHolding(deployment.id, deployment.reference, holding, deadline)
        for deployment in closed
        for holding, deadline, purged_at in deadlines(deployment)
        if purged_at is None and deadline <= work.now
    ]
    return sorted(found, key=lambda one: (one.deadline, one.holding))


def purge_due(installation: Installation) -> list[PurgeCertificate]:
    """Close what is over and purge what is due, also what fell due while nothing ran. The certificates written.

    One deployment's fault stops no other's purge; it is logged, and met again by the next call.
    """
    with installation.write() as work:
        deployments.close_ended_windows(work)
    with installation.read() as work:
        waiting = due(work)
    certificates = []
    for one in waiting:
        try:
            certificate = _purge(installation, one.deployment_id, one.holding)
        except Exception:
            fields = {"deployment": one.deployment_id, "holding": one.holding.value}
            log.exception("a purge failed and will be tried again", extra={"fields": fields})
            continue
        if certificate is not None:
            certificates.append(certificate)
    return certificates


def certificates(work: UnitOfWork, deployment_id: str) -> list[PurgeCertificate]:
    query = select(PurgeCertificate).where(PurgeCertificate.deployment_id == deployment_id)
    return list(work.session.scalars(query.order_by(PurgeCertificate.purged_at)))


def _purge(installation: Installation, deployment_id: str, holding: Holding) -> PurgeCertificate | None:
    destroy_key_first(installation, deployment_id, holding)
    # Overwritten is not yet gone from a database's files: nothing is certified while the key's bytes are in them.
    installation.database.forget_deleted(["deployment_keys"])
    return erase_and_certify(installation, deployment_id, holding)


def destroy_key_first(installation: Installation, deployment_id: str, holding: Holding) -> None:
    """Committed before anything else is touched. Does nothing where the key is gone already."""
    with installation.write() as work:
        if evidence.destroy_key(work, deployment_id, holding):
            audit.record(
                work,
                "key.destroyed",
                holding.value,
                actor="cordon",
                scope=deployment_id,
            )


def erase_and_certify(installation: Installation, deployment_id: str, holding: Holding) -> PurgeCertificate | None:
    """Objects, rows, audit record, certificate and event in one transaction. None where another job was first."""
    with installation.write() as work:
        deployment = deployments.find(work, deployment_id, lock=True)
        deadline, purged_at = next((at, done) for which, at, done in deadlines(deployment) if which is holding)
        if purged_at is not None:
            return None
        objects = evidence.delete_objects(work, deployment_id, holding)
        if objects.leftovers:
            raise PurgeIncomplete(f"{objects.leftovers} objects were not deleted.")
        contents = _ERASE[holding](work, deployment_id)
        certificate = PurgeCertificate(
            id=new_id(),
            deployment_id=deployment_id,
            holding=holding.value,
            deadline=deadline,
            purged_at=work.now,
            counts={**contents.counts, "objects": objects.objects, "object_bytes": objects.bytes},
            reference_numbers=contents.reference_numbers,
        )
        work.session.add(certificate)
        deployments.note_purged(work, deployment, holding)
        audit.record(
            work,
            f"{holding}.purged",
            certificate.id,
            actor="cordon",
            scope=deployment_id,
            detail={**certificate.counts, "reference_numbers": certificate.reference_numbers},
        )
        delivery.append(work, deployment_id, holding.value, {"change": "purged"}, audience=Audience.DESK)
        if deployment.watchlist_purged_at is not None and deployment.alerts_purged_at is not None:
            deployments.mark_purged(work, deployment)
    return certificate


def _erase_watchlist(work: UnitOfWork, deployment_id: str) -> Contents:
    made_up_of = watchlists.make_up(work, deployment_id)
    by_status = watchlists.counts(work, deployment_id)
    erased = watchlists.erase(work, deployment_id)
    counts = {"entries": erased.entries, "images": erased.images, "make_up": made_up_of, "by_status": by_status}
    return Contents(counts, erased.reference_numbers)


def _erase_alerts(work: UnitOfWork, deployment_id: str) -> Contents:
    counts = alerts.erase(work, deployment_id)
    events = delivery.erase_alert_content(work, deployment_id)
    return Contents({**counts, "events": events, "spooled_hits": _clear_spool(work, deployment_id)}, [])


def _clear_spool(work: UnitOfWork, deployment_id: str) -> int:
    """Hits that an engine on this machine never delivered. Their key died with the alerts' key."""
    waiting = sorted(work.installation.settings.spool.glob(f"*{deployment_id}_*"))
    for path in waiting:
        path.unlink(missing_ok=True)
    return len(waiting)


_ERASE: dict[Holding, Callable[[UnitOfWork, str], Contents]] = {
    Holding.WATCHLIST: _erase_watchlist,
    Holding.ALERTS: _erase_alerts,
}


def deadlines(deployment: Deployment) -> list[tuple[Holding, datetime, datetime | None]]:
    """Each holding, when it is due, and when it was purged."""
    return [
        (Holding.WATCHLIST, deployment.watchlist_deadline, deployment.watchlist_purged_at),
        (Holding.ALERTS, deployment.alerts_deadline, deployment.alerts_purged_at),
    ]
