"""A deployment's life: drafted, signed by somebody else, announced, opened, suspended, closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select, update

from cordon.audit import service as audit
from cordon.delivery import service as delivery
from cordon.deployments.bounds import Bounds
from cordon.deployments.model import (
    CATEGORIES,
    LOCATION_REASONS,
    MAX_ALERT_RETENTION_D,
    MAX_WATCHLIST_RETENTION_H,
    PURPOSES,
    TRANSITIONS,
    Adjudication,
    Camera,
    Deployment,
    DeploymentMember,
    DeploymentState,
    DeploymentVersion,
    FacesSeen,
    VersionStatus,
    inside_zone,
    zone_area_m2,
    zone_ring,
)
from cordon.deployments.standing import OPERATIONAL, PackStanding
from cordon.deployments.zone import is_simple
from cordon.evaluation.calibration import NotSupported, OperatingPoint, one_in
from cordon.evidence import service as evidence
from cordon.evidence.model import Holding
from cordon.people import service as people
from cordon.people.model import Actor, Role
from cordon.platform.clock import iso
from cordon.platform.errors import Invalid, NotAllowed, NotFound, Refusal
from cordon.platform.ids import new_id, new_secret, secret_digest
from cordon.platform.installation import UnitOfWork


@dataclass(frozen=True)
class Terms:
    """What a coordinator drafts. Durations carry their unit in the name; scores are cosine."""

    reference: str
    name: str
    purpose: str
    legal_basis: str
    necessity: str
    proportionality: str
    intelligence_case: str
    place_name: str
    location_reason: str
    zone: dict[str, Any]
    window_starts_at: datetime
    window_ends_at: datetime
    categories_sought: list[str]
    threshold: float
    false_alert_budget: float
    dpia_reference: str
    policy_reference: str
    community_reference: str
    community_notices: list[str]
    marked_exercise: bool = False
    cordon_points: dict[str, Any] | None = None
    list_limit: int = 20_000
    adjudication: str = Adjudication.FIRST.value
    adjudication_deadline_s: int = 30
    re_alert_s: int = 300
    alert_expiry_s: int = 1_800
    minimum_face_px: int = 40
    watchlist_retention_h: int = 24
    alert_retention_d: int = 31


@dataclass(frozen=True)
class CameraPlan:
    name: str
    source_url: str
    longitude: float
    latitude: float
    heading_deg: float
    fov_deg: float = 60.0
    range_m: float = 25.0


@dataclass(frozen=True)
class CameraReport:
    """What an engine tells of a camera it holds."""

    camera_id: str
    deployment_id: str
    state: str
    detail: str
    fps: float
    faces_seen: int
    frames_read: int
    frames_dropped: int
    median_face_px: float | None
    brightness: float | None
    last_frame_at: datetime | None


CAMERA_SCHEMES = frozenset({"rtsp", "rtsps", "file", "dir", "push"})


def draft(work: UnitOfWork, actor: Actor, terms: Terms) -> Deployment:
    check_terms(work, terms)
    if work.session.scalars(select(Deployment).where(Deployment.reference == terms.reference)).one_or_none():
        raise Refusal("reference_taken", "Another deployment has this reference.")
    values = asdict(terms)
    values["cordon_points"] = terms.cordon_points or {"type": "FeatureCollection", "features": []}
    deployment = Deployment(id=new_id(), author_id=actor.user_id, suspended_by_authoriser=False, **values)
    deployment.members = [DeploymentMember(deployment_id=deployment.id, user_id=actor.user_id)]
    work.session.add(deployment)
    work.session.flush()
    delivery.begin_sequence(work, deployment.id)
    evidence.create_keys(work, deployment.id)
    audit.record(work, "deployment.drafted", deployment.id, actor=actor.audit_name, scope=deployment.id)
    return deployment


def change_draft(work: UnitOfWork, actor: Actor, deployment: Deployment, terms: Terms, version: int) -> None:
    _only_in_draft(deployment)
    if deployment.version != version:
        raise Refusal("changed_meanwhile", "Somebody changed this deployment since you opened it.", status=412)
    check_terms(work, terms)
    values = asdict(terms)
    values["cordon_points"] = terms.cordon_points or deployment.cordon_points
    for name, value in values.items():
        setattr(deployment, name, value)
    deployment.version += 1
    audit.record(work, "deployment.changed", deployment.id, actor=actor.audit_name, scope=deployment.id)


def add_camera(work: UnitOfWork, actor: Actor, deployment: Deployment, plan: CameraPlan) -> tuple[Camera, str]:
    """The camera and its push token, which is shown this once."""
    _only_in_draft(deployment)
    check_cameras(work, deployment.zone, [*deployment.cameras, plan])
    token = new_secret()
    camera = Camera(id=new_id(), deployment_id=deployment.id, token_digest=secret_digest(token), **asdict(plan))
    deployment.all_cameras.append(camera)
    deployment.version += 1
    work.session.flush()
    audit.record(work, "camera.added", camera.id, actor=actor.audit_name, scope=deployment.id)
    return camera, token


def remove_camera(work: UnitOfWork, actor: Actor, deployment: Deployment, camera_id: str) -> None:
    _only_in_draft(deployment)
    camera = deployment.camera(camera_id)
    if camera is None:
        raise NotFound("camera")
    deployment.all_cameras.remove(camera)
    deployment.version += 1
    audit.record(work, "camera.removed", camera_id, actor=actor.audit_name, scope=deployment.id)


def set_members(work: UnitOfWork, actor: Actor, deployment: Deployment, user_ids: Sequence[str]) -> None:
    """Who takes part. Not among the signed terms: a shift may change while the deployment runs."""
    wanted = set(user_ids)
    known = people.users_by_id(work, list(wanted))
    if set(known) != wanted:
        raise Invalid("unknown_user", "One of these people is not a user of this installation.")
    deployment.members = [member for member in deployment.members if member.user_id in wanted] + [
        DeploymentMember(deployment_id=deployment.id, user_id=user_id)
        for user_id in sorted(wanted - {member.user_id for member in deployment.members})
    ]
    work.session.flush()
    audit.record(
        work,
        "deployment.team",
        deployment.id,
        actor=actor.audit_name,
        scope=deployment.id,
        detail={"size": len(wanted)},
    )


def sign(
    work: UnitOfWork, actor: Actor, deployment: Deployment, pack: PackStanding, acknowledged: str | None = None
) -> None:
    """The authorisation. By an authorising officer who did not write it, who has just proved who they are.

    `pack` is the one that this installation runs; `acknowledged` the statement on it that the officer read and agreed
    to, without which nothing operational is signed. An exercise may choose its threshold.
    """
    if not actor.has(Role.AUTHORISER):
        raise NotAllowed("not_allowed", "Only an authorising officer signs.")
    if actor.user_id == deployment.author_id:
        raise NotAllowed("own_deployment", "Somebody other than its author must authorise a deployment.")
    if not actor.stepped_up:
        raise NotAllowed("step_up_needed", "Enter your password again to sign.")
    if not deployment.cameras:
        raise Refusal("no_camera", "A deployment without a camera cannot be authorised.")
    if deployment.window_ends_at <= work.now:
        raise Refusal("window_over", "The deployment's window is over.")
    _only_in_draft_for_signing(deployment)
    # Again, and not only when it was drafted: bounds may have been lowered since, and the zone moved from under a camera.
    check_terms(work, deployment)
    check_cameras(work, deployment.zone, deployment.cameras)
    point = None if deployment.marked_exercise else operating_point(deployment, pack, acknowledged)
    deployment.signed_pack = pack.signed(point, acknowledged=acknowledged == pack.statement)
    deployment.signed_by_id, deployment.signed_at = actor.user_id, work.now
    deployment.signed_terms_hash = deployment.terms_hash()
    work.session.add(
        DeploymentVersion(
            deployment_id=deployment.id,
            number=1,
            status=VersionStatus.IN_FORCE.value,
            terms=deployment.terms(),
            terms_hash=deployment.signed_terms_hash,
            widens=[],
            reason="The authority.",
            proposed_by_id=deployment.author_id,
            proposed_at=work.now,
            signed_by_id=actor.user_id,
            signed_at=work.now,
        )
    )
    audit.record(
        work,
        "deployment.pack_signed_for",
        deployment.id,
        actor=actor.audit_name,
        scope=deployment.id,
        detail=deployment.signed_pack,
    )
    _move(work, deployment, DeploymentState.AUTHORISED, actor, {"terms": deployment.signed_terms_hash})


def publish_notice(work: UnitOfWork, actor: Actor, deployment: Deployment) -> None:
    if deployment.state != DeploymentState.AUTHORISED:
        raise Refusal("not_authorised", "The public notice is published once the deployment is authorised.")
    deployment.notice_published_at = deployment.notice_published_at or work.now
    audit.record(work, "notice.published", deployment.id, actor=actor.audit_name, scope=deployment.id)


def confirm_signs(work: UnitOfWork, actor: Actor, deployment: Deployment) -> None:
    if deployment.notice_published_at is None:
        raise Refusal("notice_missing", "Publish the public notice first: the signs point to it.")
    deployment.signs_confirmed_at = deployment.signs_confirmed_at or work.now
    audit.record(work, "signs.confirmed", deployment.id, actor=actor.audit_name, scope=deployment.id)


def open_deployment(work: UnitOfWork, actor: Actor, deployment: Deployment, pack: PackStanding) -> None:
    """Openly, or not at all; and with the model pack that was signed for."""
    if deployment.state == DeploymentState.SUSPENDED:
        raise Refusal("suspended", "A suspended deployment is resumed, not opened.")
    _check_may_match(work, deployment, pack)
    _move(work, deployment, DeploymentState.OPEN, actor)
    deployment.opened_at = deployment.opened_at or work.now


def suspend(work: UnitOfWork, actor: Actor, deployment: Deployment, reason: str) -> None:
    """Matching stops at every engine's next heartbeat, half a second later at most. An authorising officer may also
    take over a coordinator's suspension: from then on it is theirs to end."""
    by_authoriser = actor.has(Role.AUTHORISER)
    detail = {"reason": reason_given(reason), "by_authoriser": by_authoriser}
    if deployment.state == DeploymentState.SUSPENDED and by_authoriser and not deployment.suspended_by_authoriser:
        deployment.version += 1
        audit.record(
            work,
            "deployment.suspension_taken_over",
            deployment.id,
            actor=actor.audit_name,
            scope=deployment.id,
            detail=detail,
        )
        delivery.append(work, deployment.id, "deployment", {"state": deployment.state, **detail}, actor=actor)
    else:
        _move(work, deployment, DeploymentState.SUSPENDED, actor, detail)
    deployment.suspended_by_id, deployment.suspended_by_authoriser = actor.user_id, by_authoriser


def resume(work: UnitOfWork, actor: Actor, deployment: Deployment, reason: str, pack: PackStanding) -> None:
    """Asks everything again that opening asks. What an authorising officer stopped, only one of them starts again."""
    if deployment.state != DeploymentState.SUSPENDED:
        raise Refusal("not_suspended", "Only a suspended deployment is resumed.")
    if deployment.suspended_by_authoriser and not actor.has(Role.AUTHORISER):
        raise NotAllowed("suspended_by_authoriser", "An authorising officer suspended it: only one of them resumes it.")
    _check_may_match(work, deployment, pack)
    _move(work, deployment, DeploymentState.OPEN, actor, {"reason": reason_given(reason)})
    deployment.suspended_by_id, deployment.suspended_by_authoriser = None, False


def close(work: UnitOfWork, actor: Actor | None, deployment: Deployment, reason: str) -> None:
    """By a person, or by the clock (`actor` None) when the window is over."""
    _move(work, deployment, DeploymentState.CLOSED, actor, {"reason": reason_given(reason)})
    deployment.closed_at = work.now
    people.end_all_duty(work, deployment.id)


def close_ended_windows(work: UnitOfWork) -> list[str]:
    ended = work.session.scalars(
        select(Deployment)
        .where(
            Deployment.state.not_in([DeploymentState.CLOSED.value, DeploymentState.PURGED.value]),
            Deployment.window_ends_at <= work.now,
        )
        .with_for_update(skip_locked=True, of=Deployment)
    ).all()
    for deployment in ended:
        close(work, None, deployment, "The authorised window is over.")
    return [deployment.id for deployment in ended]


def note_purged(work: UnitOfWork, deployment: Deployment, holding: Holding) -> None:
    """Called by retention when one of the two holdings is gone."""
    if holding is Holding.WATCHLIST:
        deployment.watchlist_purged_at = work.now
    else:
        deployment.alerts_purged_at = work.now


def mark_purged(work: UnitOfWork, deployment: Deployment) -> None:
    """Called by retention when both holdings are gone."""
    _move(work, deployment, DeploymentState.PURGED, None)


def find(work: UnitOfWork, deployment_id: str, *, lock: bool = False) -> Deployment:
    """Raises NotFound. With `lock`, nobody else changes it until this unit of work ends."""
    query = select(Deployment).where(Deployment.id == deployment_id)
    if lock:
        query = query.with_for_update(of=Deployment)
    deployment = work.session.scalars(query).one_or_none()
    if deployment is None:
        raise NotFound("deployment")
    return deployment


def all_deployments(work: UnitOfWork) -> list[Deployment]:
    return list(work.session.scalars(select(Deployment).order_by(Deployment.window_starts_at.desc())))


def matching_now(work: UnitOfWork) -> list[Deployment]:
    """What engines may work on at this moment, and nothing else."""
    candidates = work.session.scalars(select(Deployment).where(Deployment.state == DeploymentState.OPEN.value))
    return [deployment for deployment in candidates if deployment.may_match(work.now)]


def running(work: UnitOfWork) -> list[Deployment]:
    """Open or suspended: those whose screens are looked at."""
    states = [DeploymentState.OPEN.value, DeploymentState.SUSPENDED.value]
    return list(work.session.scalars(select(Deployment).where(Deployment.state.in_(states))))


def take_camera_reports(work: UnitOfWork, run_id: str, reports: Sequence[CameraReport]) -> list[str]:
    """Health and counts. A count belongs to a run of an engine, so a repeated report adds nothing. Reports on cameras
    that are not (or no longer) an open deployment's are passed over. The deployments that were reported on."""
    touched: set[str] = set()
    cameras = {
        camera.id: camera
        for camera in work.session.scalars(select(Camera).where(Camera.id.in_([r.camera_id for r in reports])))
    }
    for report in reports:
        camera = cameras.get(report.camera_id)
        if camera is None or camera.deployment_id != report.deployment_id:
            continue
        camera.health_state, camera.health_at = report.state, work.now
        camera.health = {
            "detail": report.detail[:200],
            "fps": round(report.fps, 1),
            "frames_dropped": report.frames_dropped,
            "median_face_px": report.median_face_px,
            "brightness": report.brightness,
            "last_frame_at": None if report.last_frame_at is None else iso(report.last_frame_at),
        }
        count = work.session.get(FacesSeen, (camera.id, run_id))
        if count is None:
            count = FacesSeen(
                camera_id=camera.id,
                run_id=run_id,
                deployment_id=camera.deployment_id,
                faces=0,
                frames_read=0,
                frames_dropped=0,
            )
            work.session.add(count)
        count.faces = max(count.faces, report.faces_seen)
        count.frames_read = max(count.frames_read, report.frames_read)
        count.frames_dropped = max(count.frames_dropped, report.frames_dropped)
        touched.add(camera.deployment_id)
    return sorted(touched)


@dataclass(frozen=True)
class SearchReport:
    """What searches a list and why, Annoy's certificate, and what the live check against exact search found.

    missed_upper95: upper bound of the share of mates that Annoy misses; probe_ms: of one search, 99th percentile.
    """

    deployment_id: str
    engine: str
    reason: str
    kernel: str
    size: int
    missed_upper95: float
    probe_ms: float
    shadow_checked: int
    shadow_disagreed: int


def take_search_reports(work: UnitOfWork, reports: Sequence[SearchReport]) -> None:
    """Kept for the operator's screen. Reports on deployments that are not open are passed over."""
    for report in reports:
        deployment = work.session.get(Deployment, report.deployment_id)
        if deployment is None or deployment.state != DeploymentState.OPEN:
            continue
        known = {name: value for name, value in asdict(report).items() if name != "deployment_id"}
        if deployment.search_report != known:
            deployment.search_report = known


def faces_seen(work: UnitOfWork, deployment_id: str) -> dict[str, int]:
    """Faces for each camera id."""
    rows = work.session.execute(
        select(FacesSeen.camera_id, func.sum(FacesSeen.faces))
        .where(FacesSeen.deployment_id == deployment_id)
        .group_by(FacesSeen.camera_id)
    )
    return {camera_id: int(faces) for camera_id, faces in rows}


def frames_read(work: UnitOfWork, deployment_id: str) -> int:
    total = select(func.sum(FacesSeen.frames_read)).where(FacesSeen.deployment_id == deployment_id)
    return int(work.session.scalar(total) or 0)


def mark_silent_cameras_lost(work: UnitOfWork, silent_since: datetime) -> list[str]:
    """No engine has told of these cameras since then. The deployments concerned."""
    touched = work.session.scalars(
        update(Camera)
        .where(Camera.health_state.in_(["live", "connecting"]), Camera.health_at < silent_since)
        .values(health_state="lost")
        .returning(Camera.deployment_id)
    ).all()
    return sorted(set(touched))


def _move(
    work: UnitOfWork,
    deployment: Deployment,
    to: DeploymentState,
    actor: Actor | None,
    detail: dict[str, Any] | None = None,
) -> None:
    state = DeploymentState(deployment.state)
    if to not in TRANSITIONS[state]:
        raise Refusal("wrong_state", f"A deployment that is {state} cannot become {to}.")
    deployment.state = to.value
    deployment.version += 1
    audit.record(
        work,
        f"deployment.{to}",
        deployment.id,
        actor="cordon" if actor is None else actor.audit_name,
        scope=deployment.id,
        detail=detail,
    )
    delivery.append(work, deployment.id, "deployment", {"state": to.value, **(detail or {})}, actor=actor)


def _check_may_match(work: UnitOfWork, deployment: Deployment, pack: PackStanding) -> None:
    """What must hold whenever matching begins, the first time or again."""
    if deployment.notice_published_at is None:
        raise Refusal("notice_missing", "The public notice must be published before the deployment opens.")
    if deployment.signs_confirmed_at is None:
        raise Refusal("signs_missing", "Confirm that the signs are in place before the deployment opens.")
    if deployment.signed_terms_hash != deployment.terms_hash():
        raise Refusal("terms_changed", "The terms are not those that were signed.")
    if not deployment.window_starts_at <= work.now < deployment.window_ends_at:
        raise Refusal("outside_window", "A deployment matches inside its authorised window only.")
    if not deployment.marked_exercise and pack.label != (deployment.signed_pack or {}).get("label", pack.label):
        raise Refusal("pack_changed", f"The model pack in use, {pack.label}, is not the one that was signed for.")


def operating_point(deployment: Deployment | Terms, pack: PackStanding, acknowledged: str | None) -> OperatingPoint:
    """The operating point of an operational deployment, once its pack, budget and threshold are in order."""
    if pack.scope != OPERATIONAL:
        raise Refusal(
            "pack_not_operational",
            "The model pack in use is not licensed and calibrated for operations: it may serve a marked exercise only.",
        )
    try:
        point = pack.operating_point(deployment.list_limit, deployment.false_alert_budget)
    except NotSupported as refused:
        raise Refusal("budget_not_supported", refused.sentence) from refused
    if deployment.threshold < point.threshold:
        raise Refusal(
            "threshold_too_low",
            f"The threshold {deployment.threshold:.3f} is too low for at most 1 false alert in "
            f"{one_in(deployment.false_alert_budget):,} faces with a list of {deployment.list_limit:,}: "
            f"{point.threshold:.3f} is the least, and finds about {point.tpir:.0%} "
            f"({point.tpir_low:.0%} to {point.tpir_high:.0%}).",
        )
    if acknowledged != pack.statement:
        raise Refusal(
            "pack_not_acknowledged",
            "Read what the model pack's licence allows and what its calibration does not say, and acknowledge both.",
        )
    return point


def _only_in_draft(deployment: Deployment) -> None:
    if deployment.state != DeploymentState.DRAFT:
        raise Refusal("not_a_draft", "The terms were signed: they can no longer be changed.")


def _only_in_draft_for_signing(deployment: Deployment) -> None:
    if deployment.state != DeploymentState.DRAFT:
        raise Refusal("wrong_state", f"A deployment that is {deployment.state} cannot become authorised.")


def reason_given(reason: str) -> str:
    """Raises Invalid where none is."""
    if not reason.strip():
        raise Invalid("reason_missing", "Say why: it goes on the record.")
    return reason.strip()[:500]


def check_cameras(work: UnitOfWork, zone: dict[str, Any], cameras: Sequence[Camera | CameraPlan]) -> None:
    """Raises Invalid, with the sentence, for the first thing wrong with a deployment's cameras."""
    most = Bounds.of(work.installation.settings).cameras
    if len(cameras) > most:
        raise Invalid("too_many_cameras", f"A deployment has at most {most} cameras.")
    ring = zone_ring(zone)
    for camera in cameras:
        if urlsplit(camera.source_url).scheme not in CAMERA_SCHEMES:
            raise Invalid("camera_source", "A camera's source is an rtsp, rtsps, file, dir or push address.")
        if not inside_zone(ring, camera.longitude, camera.latitude):
            raise Invalid("camera_outside_zone", f"The camera {camera.name} stands outside the deployment's zone.")
    if len({camera.name for camera in cameras}) < len(cameras):
        raise Invalid("camera_name_taken", "Another camera of this deployment has this name.")


_IN_WRITING = (
    "legal_basis",
    "necessity",
    "proportionality",
    "intelligence_case",
    "dpia_reference",
    "policy_reference",
    "community_reference",
)


def check_terms(work: UnitOfWork, terms: Terms | Deployment) -> None:
    """Raises Invalid, with the sentence, for the first thing wrong with what is drafted, signed or changed."""
    bounds = Bounds.of(work.installation.settings)
    if terms.purpose not in PURPOSES:
        raise Invalid("purpose", "The purpose must be one of the permitted purposes.")
    if terms.location_reason not in LOCATION_REASONS:
        raise Invalid("location_reason", "The place must be chosen for one of the permitted reasons.")
    if not terms.categories_sought or not set(terms.categories_sought) <= set(CATEGORIES):
        raise Invalid("categories_sought", "Name who is sought, from the permitted categories.")
    for name in _IN_WRITING:
        if not str(getattr(terms, name) or "").strip():
            raise Invalid(
                name,
                "A deployment needs its legal basis, necessity, proportionality, intelligence case and three "
                "references in writing.",
            )
    if not terms.community_notices or not all(line.strip() for line in terms.community_notices):
        raise Invalid("community_notices", "Say how the people of the place are told beforehand.")
    if not terms.window_starts_at < terms.window_ends_at:
        raise Invalid("window", "The window must end after it starts.")
    if terms.window_ends_at - terms.window_starts_at > bounds.window:
        raise Invalid("window", f"A window is at most {bounds.window.total_seconds() / 3600:g} hours.")
    if terms.window_ends_at <= work.now:
        raise Invalid("window", "The window is already over.")
    try:
        ring = zone_ring(terms.zone)
    except ValueError as error:
        raise Invalid("zone", str(error)) from error
    if not is_simple(ring):
        raise Invalid("zone", "The zone's outline must not cross or touch itself.")
    if not 0 < zone_area_m2(ring) <= bounds.zone_m2:
        raise Invalid("zone", f"A zone is at most {bounds.zone_m2 / 1e6:g} square kilometres.")
    limits: list[tuple[str, float, float, float]] = [
        ("list_limit", terms.list_limit, 1, bounds.list_entries),
        ("threshold", terms.threshold, 0.2, 0.99),
        ("false_alert_budget", terms.false_alert_budget, 1e-7, 1e-3),
        ("adjudication_deadline_s", terms.adjudication_deadline_s, 5, 600),
        ("re_alert_s", terms.re_alert_s, 10, 3_600),
        ("alert_expiry_s", terms.alert_expiry_s, 60, 14_400),
        ("minimum_face_px", terms.minimum_face_px, 32, 400),
        ("watchlist_retention_h", terms.watchlist_retention_h, 0, MAX_WATCHLIST_RETENTION_H),
        ("alert_retention_d", terms.alert_retention_d, 0, MAX_ALERT_RETENTION_D),
    ]
    for name, value, low, high in limits:
        if not low <= value <= high:
            raise Invalid(name, f"{name.replace('_', ' ').capitalize()} must lie between {low:g} and {high:g}.")
    if terms.adjudication not in set(Adjudication):
        raise Invalid("adjudication", "Adjudication is either first or in parallel.")
