"""A hit becomes an alert; people adjudicate, claim, engage and record. Each change is one event in one transaction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select

from cordon.alerts.model import (
    OUTCOMES,
    RULES,
    AcceptedAction,
    Action,
    Alert,
    AlertResult,
    AlertState,
    Hit,
    Rule,
)
from cordon.audit import service as audit
from cordon.delivery import service as delivery
from cordon.delivery.model import Audience, DeploymentEvent
from cordon.deployments import service as deployments
from cordon.deployments.model import ACTIONS, CATEGORIES, Adjudication, Deployment, DeploymentState
from cordon.evidence import service as evidence
from cordon.evidence.model import Holding
from cordon.people import service as people
from cordon.people.model import Actor, Role
from cordon.platform.clock import iso
from cordon.platform.errors import Invalid, NotAllowed, NotFound, Refusal
from cordon.platform.ids import new_id
from cordon.platform.installation import UnitOfWork
from cordon.watchlists import service as watchlists
from cordon.watchlists.model import EntryKind, WatchlistEntry

MAX_HITS_KEPT = 20
MAX_VIEWS = 3
CLOCK_TOLERANCE = timedelta(seconds=5)
LONGEST_NOTE = 2_000


@dataclass(frozen=True)
class IncomingHit:
    """What an engine found: a probe that agrees with an entry at or above the threshold. Pictures are JPEG bytes."""

    hit_id: str
    deployment_id: str
    camera_id: str
    entry_id: str
    pack: str
    score: float
    threshold: float
    captured_at: datetime
    detected_at: datetime
    track: dict[str, Any]
    quality: dict[str, Any]
    probe_jpeg: bytes
    context_jpeg: bytes
    views: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class TakenHit:
    alert_id: str
    merged: bool
    repeated: bool = False


@dataclass(frozen=True)
class Request:
    """What a person does with an alert. `made_at` is when, by their device; the action may arrive late."""

    action: Action
    key: str
    made_at: datetime
    outcome: str | None = None
    note: str | None = None
    reason: str | None = None
    user_id: str | None = None


def take_hit(work: UnitOfWork, engine: str, hit: IncomingHit) -> TakenHit:
    """Raises a Refusal where the hit may not become an alert: nothing of it is kept then."""
    repeated = work.session.get(Hit, hit.hit_id)
    if repeated is not None:
        return TakenHit(repeated.alert_id, merged=False, repeated=True)
    deployment = deployments.find(work, hit.deployment_id, lock=True)
    _check_hit(work, deployment, hit)
    entry = watchlists.searchable_entry(work, deployment.id, hit.entry_id)
    # A category that was taken out of the terms while an engine still held its templates.
    if entry is None or not watchlists.is_sought(deployment, entry):
        raise NotFound("watchlist entry")
    alert = _recent_alert(work, deployment, hit)
    if alert is not None:
        _merge(work, deployment, alert, hit, engine)
        return TakenHit(alert.id, merged=True)
    alert = _raise(work, deployment, entry, hit)
    _keep_hit(work, alert, hit, engine)
    audit.record(
        work,
        "alert.raised",
        alert.id,
        actor=engine,
        scope=deployment.id,
        detail={"number": alert.number, "camera": hit.camera_id, "score": hit.score, "threshold": hit.threshold},
    )
    at_once = alert.kind == EntryKind.SUBJECT and deployment.adjudication == Adjudication.PARALLEL
    _tell(work, deployment, alert, "raised", audience=None if at_once else Audience.DESK)
    if at_once:
        _dispatch(work, deployment, alert, None)
    return TakenHit(alert.id, merged=False)


def act(
    work: UnitOfWork, actor: Actor, deployment: Deployment, alert_id: str, request: Request
) -> DeploymentEvent | None:
    """Do it once. The same key again answers with the same event; None where the action left no event behind."""
    alert = _locked(work, deployment.id, alert_id)
    if not visible_to(actor, alert):
        raise NotFound("alert")
    done = work.session.get(AcceptedAction, request.key)
    if done is not None:
        if (done.user_id, done.alert_id, done.action) != (actor.user_id, alert_id, request.action.value):
            raise Refusal("key_reused", "This idempotency key belongs to another action.")
        return None if done.event_id is None else work.session.get(DeploymentEvent, done.event_id)
    rule = RULES[request.action]
    _may(actor, deployment, alert, request, rule)
    event = _CARRY_OUT[request.action](work, actor, deployment, alert, request)
    work.session.add(
        AcceptedAction(
            key=request.key,
            user_id=actor.user_id,
            alert_id=alert.id,
            action=request.action.value,
            event_id=None if event is None else event.id,
            accepted_at=work.now,
        )
    )
    return event


def visible_to(actor: Actor, alert: Alert) -> bool:
    """The desk sees every alert; the street those dispatched to it, which test subjects' never are."""
    return delivery.sees_the_desk(actor.roles) or (actor.has(Role.OFFICER) and alert.dispatched_at is not None)


def find(work: UnitOfWork, actor: Actor, deployment_id: str, alert_id: str) -> Alert:
    alert = work.session.get(Alert, alert_id)
    if alert is None or alert.deployment_id != deployment_id or not visible_to(actor, alert):
        raise NotFound("alert")
    return alert


def all_alerts(work: UnitOfWork, deployment_id: str) -> list[Alert]:
    query = select(Alert).where(Alert.deployment_id == deployment_id).order_by(Alert.number)
    return list(work.session.scalars(query))


def snapshot(deployment: Deployment, alert: Alert) -> dict[str, Any]:
    """The alert as people see it, and as every event of it carries it."""
    camera = deployment.camera_ever(alert.camera_id)
    return {
        "id": alert.id,
        "number": alert.number,
        "kind": alert.kind,
        "state": alert.state,
        "result": alert.result,
        "verified": alert.verified,
        "camera_id": alert.camera_id,
        "camera_name": camera.name if camera else "",
        "position": [camera.longitude, camera.latitude] if camera else None,
        "direction": alert.direction,
        "score": round(alert.score, 4),
        "threshold": alert.threshold,
        "hits": len(alert.hits),
        "first_seen_at": iso(alert.first_seen_at),
        "last_seen_at": iso(alert.last_seen_at),
        "raised_at": iso(alert.raised_at),
        "deadline_at": iso(alert.deadline_at),
        "expires_at": iso(alert.expires_at),
        "entry": alert.entry,
        "quality": alert.quality,
        "adjudications": alert.adjudications,
        "claimed_by": alert.claimed_by,
        "seen_by": alert.seen_by,
        "declined_by": alert.declined_by,
        "outcome": alert.outcome,
        "outcome_label": OUTCOMES[alert.outcome].label if alert.outcome else None,
        "note": alert.note,
        "corrections": alert.corrections,
        "last_seq": alert.last_seq,
    }


def look_after_deadlines(work: UnitOfWork) -> int:
    """Tell the desk of alerts that nobody adjudicated in time; close those that are too old to act on."""
    late = work.session.scalars(
        select(Alert)
        .where(Alert.state.in_([AlertState.RAISED.value, AlertState.DISPATCHED.value]))
        .where((Alert.expires_at <= work.now) | ((Alert.deadline_at <= work.now) & Alert.overdue_at.is_(None)))
        .with_for_update(skip_locked=True, of=Alert)
    ).all()
    for alert in late:
        deployment = deployments.find(work, alert.deployment_id)
        if alert.expires_at <= work.now or deployment.state in {DeploymentState.CLOSED, DeploymentState.PURGED}:
            _close(work, alert, AlertResult.EXPIRED)
            audit.record(work, "alert.expired", alert.id, actor="cordon", scope=alert.deployment_id)
            _tell(work, deployment, alert, "expired")
            continue
        alert.overdue_at = work.now
        if alert.state == AlertState.RAISED:
            _tell(work, deployment, alert, "overdue", audience=Audience.DESK)
    return len(late)


def erase(work: UnitOfWork, deployment_id: str) -> dict[str, int]:
    """Take everything personal out of a deployment's alerts; the figures (times, states, outcomes, scores) stay.
    An alert that nobody brought to an end has expired: nothing personal may be added to it after this."""
    deployment = deployments.find(work, deployment_id)
    hits = work.session.scalars(select(Hit).where(Hit.deployment_id == deployment_id)).all()
    alerts = all_alerts(work, deployment_id)
    for alert in alerts:
        if alert.state != AlertState.CLOSED:
            _close(work, alert, AlertResult.EXPIRED)
            audit.record(work, "alert.expired", alert.id, actor="cordon", scope=deployment_id)
            _tell(work, deployment, alert, "expired")
    for hit in hits:
        hit.probe_object_id = hit.context_object_id = None
        hit.view_object_ids, hit.track = [], {}
    for alert in alerts:
        alert.entry, alert.note, alert.quality = {"category": alert.entry.get("category")}, None, {}
        alert.claimed_by, alert.entry_id = None, ""
        alert.adjudications = [{"decision": a["decision"], "at": a["at"]} for a in alert.adjudications]
        alert.corrections = [{"outcome": c["outcome"], "at": c["at"]} for c in alert.corrections]
        alert.seen_by, alert.declined_by = [], []
    work.session.execute(delete(AcceptedAction).where(AcceptedAction.alert_id.in_([alert.id for alert in alerts])))
    return {"alerts": len(alerts), "hits": len(hits)}


def _check_hit(work: UnitOfWork, deployment: Deployment, hit: IncomingHit) -> None:
    if not deployment.may_match(work.now):
        raise Refusal("deployment_not_open", "This deployment may not match faces now.")
    if not deployment.may_match(hit.captured_at) or hit.captured_at > work.now + CLOCK_TOLERANCE:
        raise Refusal("outside_window", "The frame was not taken inside the deployment's window.")
    if work.now - hit.captured_at > timedelta(seconds=deployment.alert_expiry_s):
        raise Refusal("too_old", "The frame is too old to act on.")
    if deployment.camera(hit.camera_id) is None:
        raise NotFound("camera")
    if not math.isfinite(hit.score) or not deployment.threshold <= hit.score <= 1.0001:
        raise Invalid("below_threshold", "The score does not reach the deployment's threshold.")


def _recent_alert(work: UnitOfWork, deployment: Deployment, hit: IncomingHit) -> Alert | None:
    """The alert that this hit belongs to: the last one of the entry at the camera, while it is followed or for the
    re-alert window after its end. The window does not slide: somebody who keeps coming by is alerted on again."""
    query = (
        select(Alert)
        .where(
            Alert.deployment_id == deployment.id,
            Alert.entry_id == hit.entry_id,
            Alert.camera_id == hit.camera_id,
        )
        .order_by(Alert.number.desc())
        .limit(1)
        .with_for_update(of=Alert)
    )
    alert = work.session.scalars(query).one_or_none()
    if alert is None:
        return None
    since = alert.closed_at or alert.last_seen_at
    return alert if hit.captured_at - since < timedelta(seconds=deployment.re_alert_s) else None


def _raise(work: UnitOfWork, deployment: Deployment, entry: WatchlistEntry, hit: IncomingHit) -> Alert:
    last = work.session.scalar(select(func.max(Alert.number)).where(Alert.deployment_id == deployment.id)) or 0
    alert = Alert(
        id=new_id(),
        deployment_id=deployment.id,
        number=last + 1,
        kind=entry.kind,
        entry_id=entry.id,
        camera_id=hit.camera_id,
        state=AlertState.RAISED.value,
        verified=False,
        score=hit.score,
        threshold=hit.threshold,
        direction=str(hit.track.get("direction", "unknown"))[:10],
        quality=hit.quality,
        first_seen_at=hit.captured_at,
        last_seen_at=hit.captured_at,
        raised_at=work.now,
        deadline_at=work.now + timedelta(seconds=deployment.adjudication_deadline_s),
        expires_at=work.now + timedelta(seconds=deployment.alert_expiry_s),
        adjudications=[],
        seen_by=[],
        declined_by=[],
        corrections=[],
        entry=_entry_snapshot(entry),
        last_seq=0,
    )
    work.session.add(alert)
    work.session.flush()
    return alert


def _merge(work: UnitOfWork, deployment: Deployment, alert: Alert, hit: IncomingHit, engine: str) -> None:
    """Seen again by the same camera within the re-alert window: the same alert. If it is over, nothing comes of it:
    a person who was just let go is not alerted on again."""
    if alert.state == AlertState.CLOSED:
        return
    alert.last_seen_at = max(alert.last_seen_at, hit.captured_at)
    if len(alert.hits) < MAX_HITS_KEPT:
        _keep_hit(work, alert, hit, engine)
    if hit.score > alert.score:
        alert.score, alert.quality = hit.score, hit.quality
    alert.direction = str(hit.track.get("direction", alert.direction))[:10]
    _tell(work, deployment, alert, "sighted_again")


def _keep_hit(work: UnitOfWork, alert: Alert, hit: IncomingHit, engine: str) -> None:
    def keep(picture: bytes) -> str:
        return evidence.keep(work, alert.deployment_id, Holding.ALERTS, picture)

    alert.hits.append(
        Hit(
            id=hit.hit_id,
            deployment_id=alert.deployment_id,
            engine=engine,
            pack=hit.pack,
            score=hit.score,
            captured_at=hit.captured_at,
            detected_at=hit.detected_at,
            received_at=work.now,
            track=hit.track,
            probe_object_id=keep(hit.probe_jpeg),
            context_object_id=keep(hit.context_jpeg),
            view_object_ids=[keep(view) for view in hit.views[:MAX_VIEWS]],
        )
    )
    work.session.flush()


def _entry_snapshot(entry: WatchlistEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "reference_number": entry.reference_number,
        "display_name": entry.display_name,
        "category": entry.category,
        "category_label": CATEGORIES.get(entry.category, "Test subject"),
        "action": entry.action,
        "action_label": ACTIONS[entry.action],
        "reason": entry.reason,
        "risk_warning": entry.risk_warning,
        "image_taken_on": entry.image_taken_on.isoformat() if entry.image_taken_on else None,
        "vulnerable": entry.vulnerable,
        "under_18": entry.under_18,
    }


def _locked(work: UnitOfWork, deployment_id: str, alert_id: str) -> Alert:
    """The row's lock decides between two officers who claim at once."""
    alert = work.session.scalars(
        select(Alert).where(Alert.id == alert_id).with_for_update(of=Alert).execution_options(populate_existing=True)
    ).one_or_none()
    if alert is None or alert.deployment_id != deployment_id:
        raise NotFound("alert")
    return alert


def _may(actor: Actor, deployment: Deployment, alert: Alert, request: Request, rule: Rule) -> None:
    if not actor.roles & rule.roles:
        raise NotAllowed("not_allowed", "Your role does not include this.")
    if deployment.alerts_purged_at is not None:
        raise evidence.Purged
    starts_something = request.action in {Action.CLAIM, Action.ASSIGN, Action.CONFIRM}
    if starts_something and deployment.state != DeploymentState.OPEN:
        raise Refusal("deployment_not_open", "The deployment is not open: nothing new may be started.")
    if alert.state not in rule.states:
        raise _wrong_state(alert, request.action)
    if rule.claimant_only and not actor.has(Role.COORDINATOR):
        holder = (alert.claimed_by or {}).get("id")
        if holder != actor.user_id:
            raise Refusal("not_yours", "Another officer has this alert.")


def _wrong_state(alert: Alert, action: Action) -> Refusal:
    if action is Action.CLAIM and alert.state in {AlertState.CLAIMED, AlertState.ENGAGED}:
        who = (alert.claimed_by or {}).get("callsign", "Another officer")
        return Refusal("already_claimed", f"{who} is already going.")
    if alert.state == AlertState.CLOSED:
        return Refusal("alert_closed", "This alert is over.")
    return Refusal("wrong_state", f"An alert that is {alert.state} does not allow this.")


def _adjudicate(
    work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request
) -> DeploymentEvent:
    decision = request.action.value
    by = {"id": actor.user_id, "callsign": actor.callsign}
    alert.adjudications = [*alert.adjudications, {"by": by, "decision": decision, "at": iso(work.now)}]
    if request.action is Action.CONFIRM:
        alert.verified = True
    if request.action is Action.DISMISS:
        _close(work, alert, AlertResult.DISMISSED)
    elif request.action is Action.CONFIRM and alert.kind == EntryKind.TEST_SUBJECT:
        # Closed before it is told, so that the event carries what is stored.
        _close(work, alert, AlertResult.OUTCOME)
    _audit(work, actor, deployment, alert, request)
    event = _tell(work, deployment, alert, "adjudicated", actor=actor, request=request, extra={"decision": decision})
    if request.action is Action.CONFIRM and alert.state == AlertState.RAISED and alert.kind == EntryKind.SUBJECT:
        _dispatch(work, deployment, alert, actor)
    return event


def _dispatch(work: UnitOfWork, deployment: Deployment, alert: Alert, actor: Actor | None) -> None:
    """A disclosure to those on duty, recorded with its recipients. A test subject's alert never comes here."""
    if alert.kind != EntryKind.SUBJECT:
        raise NotAllowed("test_subject", "An alert on a test subject is never sent to the street.")
    alert.state, alert.dispatched_at = AlertState.DISPATCHED.value, work.now
    on_duty = sorted(u for u, status in people.duty_statuses(work, deployment.id).items() if status.on_duty)
    audit.record(
        work,
        "alert.dispatched",
        alert.id,
        actor="cordon" if actor is None else actor.audit_name,
        scope=deployment.id,
        detail={"number": alert.number, "verified": alert.verified, "recipients": on_duty},
    )
    _tell(work, deployment, alert, "dispatched", actor=actor)


def _seen(
    work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request
) -> DeploymentEvent | None:
    if actor.user_id in alert.seen_by:
        return None
    alert.seen_by = [*alert.seen_by, actor.user_id]
    _audit(work, actor, deployment, alert, request)
    return _tell(work, deployment, alert, "seen", actor=actor, request=request)


def _claim(work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request) -> DeploymentEvent:
    return _give_to(work, actor, deployment, alert, request, actor.user_id, actor.display_name, actor.callsign)


def _assign(work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request) -> DeploymentEvent:
    if request.user_id is None or not deployment.has_member(request.user_id):
        raise Invalid("unknown_user", "This person does not belong to the deployment.")
    user = people.users_by_id(work, [request.user_id])[request.user_id]
    if Role.OFFICER.value not in user.roles:
        raise Invalid("not_an_officer", "An alert is assigned to a street officer.")
    return _give_to(work, actor, deployment, alert, request, user.id, user.display_name, user.callsign)


def _give_to(
    work: UnitOfWork,
    actor: Actor,
    deployment: Deployment,
    alert: Alert,
    request: Request,
    user_id: str,
    display_name: str,
    callsign: str,
) -> DeploymentEvent:
    alert.claimed_by = {"id": user_id, "display_name": display_name, "callsign": callsign}
    alert.state, alert.claimed_at = AlertState.CLAIMED.value, work.now
    _audit(work, actor, deployment, alert, request, {"to": user_id})
    return _tell(work, deployment, alert, RULES[request.action].event, actor=actor, request=request)


def _decline(work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request) -> DeploymentEvent:
    if actor.user_id not in alert.declined_by:
        alert.declined_by = [*alert.declined_by, actor.user_id]
    _audit(work, actor, deployment, alert, request)
    return _tell(work, deployment, alert, "declined", actor=actor, request=request)


def _lost_sight(
    work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request
) -> DeploymentEvent:
    """Back to the street: another officer may still see the person."""
    alert.state, alert.claimed_by, alert.claimed_at = AlertState.DISPATCHED.value, None, None
    _audit(work, actor, deployment, alert, request)
    return _tell(work, deployment, alert, "lost_sight", actor=actor, request=request)


def _engage(work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request) -> DeploymentEvent:
    alert.state, alert.engaged_at = AlertState.ENGAGED.value, work.now
    _audit(work, actor, deployment, alert, request)
    return _tell(work, deployment, alert, "engaged", actor=actor, request=request)


def _not_the_person(
    work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request
) -> DeploymentEvent:
    """One officer's word ends it for everybody: nobody else stops this passer-by."""
    _close(work, alert, AlertResult.NOT_THE_PERSON)
    alert.note = _note(request.note)
    _audit(work, actor, deployment, alert, request)
    return _tell(work, deployment, alert, "not_the_person", actor=actor, request=request)


def _outcome(work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request) -> DeploymentEvent:
    alert.outcome, alert.note = _known_outcome(request.outcome), _note(request.note)
    _close(work, alert, AlertResult.OUTCOME)
    _audit(work, actor, deployment, alert, request, {"outcome": alert.outcome})
    return _tell(work, deployment, alert, "outcome", actor=actor, request=request, extra={"outcome": alert.outcome})


def _correct(work: UnitOfWork, actor: Actor, deployment: Deployment, alert: Alert, request: Request) -> DeploymentEvent:
    """The first entry stays on the record beside the correction."""
    if not (request.reason or "").strip():
        raise Invalid("reason_missing", "Say why the outcome is corrected: it goes on the record.")
    before, alert.outcome = alert.outcome, _known_outcome(request.outcome)
    alert.result = AlertResult.OUTCOME.value
    correction = {
        "by": {"id": actor.user_id, "callsign": actor.callsign},
        "at": iso(work.now),
        "from": before,
        "outcome": alert.outcome,
        "reason": _note(request.reason),
    }
    alert.corrections = [*alert.corrections, correction]
    _audit(work, actor, deployment, alert, request, {"from": before, "to": alert.outcome})
    return _tell(work, deployment, alert, "corrected", actor=actor, request=request, extra={"outcome": alert.outcome})


_CARRY_OUT = {
    Action.CONFIRM: _adjudicate,
    Action.DISMISS: _adjudicate,
    Action.CANNOT_TELL: _adjudicate,
    Action.SEEN: _seen,
    Action.CLAIM: _claim,
    Action.ASSIGN: _assign,
    Action.DECLINE: _decline,
    Action.LOST_SIGHT: _lost_sight,
    Action.ENGAGE: _engage,
    Action.NOT_THE_PERSON: _not_the_person,
    Action.OUTCOME: _outcome,
    Action.CORRECT: _correct,
}


def _close(work: UnitOfWork, alert: Alert, result: AlertResult) -> None:
    alert.state, alert.result, alert.closed_at = AlertState.CLOSED.value, result.value, work.now


def _known_outcome(outcome: str | None) -> str:
    if outcome not in OUTCOMES:
        raise Invalid("outcome", "Choose one of the outcomes.")
    return outcome


def _note(text: str | None) -> str | None:
    return text.strip()[:LONGEST_NOTE] if text and text.strip() else None


def _tell(
    work: UnitOfWork,
    deployment: Deployment,
    alert: Alert,
    kind: str,
    *,
    audience: Audience | None = None,
    actor: Actor | None = None,
    request: Request | None = None,
    extra: dict[str, Any] | None = None,
) -> DeploymentEvent:
    """Without an audience named, the street hears of an alert from its dispatch on, and of no other."""
    if audience is None:
        parallel = alert.kind == EntryKind.SUBJECT and deployment.adjudication == Adjudication.PARALLEL
        audience = Audience.TEAM if parallel or alert.dispatched_at is not None else Audience.DESK
    work.session.flush()
    event = delivery.append(
        work,
        deployment.id,
        kind,
        {"alert": snapshot(deployment, alert), **(extra or {})},
        audience=audience,
        alert_id=alert.id,
        actor=actor,
        made_at=None if request is None else _honest(request.made_at, alert, work.now),
    )
    alert.last_seq = event.seq
    return event


def _honest(made_at: datetime, alert: Alert, now: datetime) -> datetime:
    """A phone's clock may be wrong: nothing was done before the alert was raised, or in the future."""
    return min(max(made_at, alert.raised_at), now)


def _audit(
    work: UnitOfWork,
    actor: Actor,
    deployment: Deployment,
    alert: Alert,
    request: Request,
    detail: dict[str, Any] | None = None,
) -> None:
    audit.record(
        work,
        f"alert.{request.action}",
        alert.id,
        actor=actor.audit_name,
        scope=deployment.id,
        detail={"number": alert.number, "made_at": iso(request.made_at), **(detail or {})},
    )


def best_pictures(alert: Alert) -> tuple[str | None, str | None, Sequence[str]]:
    """Object ids of the best hit's probe and context, and of the other views."""
    shown = max(alert.hits, key=lambda hit: hit.score, default=None)
    if shown is None:
        return None, None, []
    return shown.probe_object_id, shown.context_object_id, shown.view_object_ids
