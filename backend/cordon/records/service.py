"""The deployment's record: what happened, in figures that anybody can count again from the event log.

Nothing personal is in it. It is the same before and after the purge, because it is made of what the purge leaves:
states, times, outcomes, counts and certificates.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from scipy.stats import beta

from cordon.alerts import service as alerts
from cordon.alerts.model import OUTCOMES, Alert, AlertResult, Truth
from cordon.audit import service as audit
from cordon.delivery import service as delivery
from cordon.delivery.model import DeploymentEvent
from cordon.deployments import service as deployments
from cordon.deployments.model import CATEGORIES, LOCATION_REASONS, PURPOSES, Deployment
from cordon.evidence.model import Holding
from cordon.platform.clock import iso, iso_or_none
from cordon.platform.installation import UnitOfWork
from cordon.retention import service as retention
from cordon.retention.model import PurgeCertificate
from cordon.watchlists import service as watchlists
from cordon.watchlists.model import EntryKind, EntryStatus

CONFIDENCE = 0.95
_PAGE = 1_000


class Standing(StrEnum):
    """What an alert turned out to be, in South Wales Police's words. Each alert has exactly one."""

    CONFIRMED_TRUE = "confirmed_true"
    """Engaged, and the person sought."""
    TRUE = "true"
    """An operator took it for the person sought, and nobody engaged to find out."""
    CONFIRMED_FALSE = "confirmed_false"
    """Engaged, and somebody else."""
    FALSE = "false"
    """Dismissed by an operator or an officer, without an engagement."""
    UNDETERMINED = "undetermined"


def standing(alert: Alert) -> Standing:
    truth = OUTCOMES[alert.outcome].truth if alert.outcome in OUTCOMES else Truth.NONE
    if truth is Truth.TRUE:
        return Standing.CONFIRMED_TRUE
    if truth is Truth.FALSE:
        return Standing.CONFIRMED_FALSE
    if alert.result == AlertResult.NOT_THE_PERSON:
        return Standing.FALSE if alert.engaged_at is None else Standing.CONFIRMED_FALSE
    if alert.result == AlertResult.DISMISSED:
        return Standing.FALSE
    return Standing.TRUE if alert.verified else Standing.UNDETERMINED


def deployment_record(work: UnitOfWork, deployment: Deployment) -> dict[str, Any]:
    every = alerts.all_alerts(work, deployment.id)
    subjects = [alert for alert in every if alert.kind == EntryKind.SUBJECT]
    standings = Counter(standing(alert) for alert in subjects)
    false_alerts = standings[Standing.FALSE] + standings[Standing.CONFIRMED_FALSE]
    faces = deployments.faces_seen(work, deployment.id)
    certificates = {one.holding: one for one in retention.certificates(work, deployment.id)}
    waits = _waits(work, deployment.id, {alert.id for alert in subjects})
    chain = audit.verify(work, deployment.id)
    return {
        "id": deployment.id,
        "reference": deployment.reference,
        "name": deployment.name,
        "state": deployment.state,
        "marked_exercise": deployment.marked_exercise,
        "purpose": deployment.purpose,
        "purpose_label": PURPOSES.get(deployment.purpose, deployment.purpose),
        "legal_basis": deployment.legal_basis,
        "necessity": deployment.necessity,
        "place_name": deployment.place_name,
        "location_reason_label": LOCATION_REASONS.get(deployment.location_reason, deployment.location_reason),
        "categories_sought": [CATEGORIES.get(code, code) for code in deployment.categories_sought],
        "references": {
            "dpia": deployment.dpia_reference,
            "policy": deployment.policy_reference,
            "community": deployment.community_reference,
        },
        "window_starts_at": iso(deployment.window_starts_at),
        "window_ends_at": iso(deployment.window_ends_at),
        "signed_at": iso_or_none(deployment.signed_at),
        "signed_terms_hash": deployment.signed_terms_hash,
        "notice_published_at": iso_or_none(deployment.notice_published_at),
        "signs_confirmed_at": iso_or_none(deployment.signs_confirmed_at),
        "opened_at": iso_or_none(deployment.opened_at),
        "closed_at": iso_or_none(deployment.closed_at),
        "threshold": deployment.threshold,
        "false_alert_budget": deployment.false_alert_budget,
        "watchlist_retention_h": deployment.watchlist_retention_h,
        "alert_retention_d": deployment.alert_retention_d,
        **_list_figures(work, deployment, certificates.get(Holding.WATCHLIST)),
        "faces_seen": sum(faces.values()),
        "cameras": [
            {"id": camera.id, "name": camera.name, "faces_seen": faces.get(camera.id, 0)}
            for camera in deployment.all_cameras
        ],
        "alerts": len(subjects),
        "test_subject_alerts": len(every) - len(subjects),
        "true_alerts": standings[Standing.TRUE] + standings[Standing.CONFIRMED_TRUE],
        "confirmed_true_alerts": standings[Standing.CONFIRMED_TRUE],
        "false_alerts": false_alerts,
        "confirmed_false_alerts": standings[Standing.CONFIRMED_FALSE],
        "undetermined_alerts": standings[Standing.UNDETERMINED],
        "by_result": dict(sorted(Counter(alert.result or "unfinished" for alert in subjects).items())),
        "by_outcome": dict(sorted(Counter(alert.outcome for alert in subjects if alert.outcome).items())),
        "fpir": false_positive_rate(false_alerts, sum(faces.values())),
        "adjudication_s": _spread(waits["adjudication"]),
        "dispatch_to_claim_s": _spread(waits["claim"]),
        "purge": _purge(deployment, certificates.values()),
        "audit": {"records": chain.records, "intact": chain.intact},
    }


def false_positive_rate(false_alerts: int, faces: int) -> dict[str, Any] | None:
    """FPIR over faces seen (ISO/IEC 19795-1) with its Clopper–Pearson interval; None before a face was seen.

    An alert joins the hits of one person within the re-alert window, and a face seen is one track: both count people
    walking past, not frames.
    """
    if faces <= 0:
        return None
    false_alerts = min(false_alerts, faces)
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if false_alerts == 0 else float(beta.ppf(tail, false_alerts, faces - false_alerts + 1))
    high = 1.0 if false_alerts == faces else float(beta.ppf(1 - tail, false_alerts + 1, faces - false_alerts))
    return {
        "false_alerts": false_alerts,
        "faces": faces,
        "rate": false_alerts / faces,
        "low": low,
        "high": high,
        "confidence": CONFIDENCE,
    }


def _list_figures(work: UnitOfWork, deployment: Deployment, purged: PurgeCertificate | None) -> dict[str, Any]:
    """From the list while there is one, and from its certificate afterwards. Test subjects are counted apart."""
    make_up: Mapping[str, int] = watchlists.make_up(work, deployment.id)
    by_status: Mapping[str, int] = watchlists.counts(work, deployment.id)
    if purged is not None:
        make_up, by_status = purged.counts["make_up"], purged.counts["by_status"]
    subjects = {code: number for code, number in sorted(make_up.items()) if code != EntryKind.TEST_SUBJECT}
    return {
        "list_size": sum(subjects.values()),
        "list_make_up": [
            {"code": code, "label": CATEGORIES.get(code, code), "entries": number} for code, number in subjects.items()
        ],
        "test_subjects": make_up.get(EntryKind.TEST_SUBJECT.value, 0),
        "removed_while_live": by_status.get(EntryStatus.REMOVED.value, 0),
        "refused_pictures": by_status.get(EntryStatus.REFUSED.value, 0),
    }


def _waits(work: UnitOfWork, deployment_id: str, alert_ids: set[str]) -> dict[str, list[float]]:
    """Seconds from raised to the first adjudication, and from dispatched to the first claim, for each alert that had
    both. By the server's clock, from the event log: a later claim after "lost sight" does not change the first."""
    first: dict[tuple[str, str], datetime] = {}
    for event in _events(work, deployment_id):
        if event.alert_id in alert_ids:
            first.setdefault((event.alert_id or "", "claimed" if event.kind == "assigned" else event.kind), event.at)

    def seconds(start: str, end: str) -> list[float]:
        return [
            (first[one, end] - first[one, start]).total_seconds()
            for one in sorted(alert_ids)
            if (one, start) in first and (one, end) in first
        ]

    return {"adjudication": seconds("raised", "adjudicated"), "claim": seconds("dispatched", "claimed")}


def _events(work: UnitOfWork, deployment_id: str) -> Iterable[DeploymentEvent]:
    after = 0
    while page := delivery.events_after(work, deployment_id, after, _PAGE):
        yield from page
        after = page[-1].seq


def _spread(seconds: list[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {"median": round(statistics.median(seconds), 3), "max": round(max(seconds), 3)}


def _purge(deployment: Deployment, certificates: Iterable[PurgeCertificate]) -> dict[str, Any] | None:
    written = sorted(certificates, key=lambda one: (one.purged_at, one.holding))
    if not written:
        return None
    return {
        "complete": deployment.watchlist_purged_at is not None and deployment.alerts_purged_at is not None,
        "certificates": [
            {
                "id": one.id,
                "holding": one.holding,
                "deadline": iso(one.deadline),
                "purged_at": iso(one.purged_at),
                "counts": one.counts,
            }
            for one in written
        ],
    }
