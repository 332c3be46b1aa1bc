"""Changes of signed terms: each a numbered version with its whole text, its hash, who wanted it, who signed it, and why.

What only narrows is in force at once, on the coordinator's word. What widens anything waits for an authorising officer
other than the one who proposed it; until then the old terms hold, and no engine sees the new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sqlalchemy import func, select

from cordon.audit import service as audit
from cordon.delivery import service as delivery
from cordon.deployments import service as deployments
from cordon.deployments.model import (
    SIGNED_COLUMNS,
    Camera,
    Deployment,
    DeploymentState,
    DeploymentVersion,
    VersionStatus,
    terms_document,
    terms_hash,
    values_of,
)
from cordon.deployments.service import CameraPlan, Terms
from cordon.deployments.standing import PackStanding
from cordon.deployments.widening import widens
from cordon.people.model import Actor, Role
from cordon.platform.errors import Invalid, NotAllowed, NotFound, Refusal
from cordon.platform.ids import new_id, new_secret, secret_digest
from cordon.platform.installation import UnitOfWork
from cordon.watchlists import service as watchlists

AMENDABLE = frozenset({DeploymentState.AUTHORISED, DeploymentState.OPEN, DeploymentState.SUSPENDED})
# What a deployment is: another one of these is another deployment.
FIXED = frozenset({"reference", "marked_exercise"})
# Signs stand at a place and point to a notice for it: where it grows, somebody looks at them again.
_NEEDS_NEW_SIGNS = frozenset({"zone", "place_name", "cameras"})
_CALIBRATED = frozenset({"threshold", "false_alert_budget", "list_limit"})


@dataclass(frozen=True)
class PlannedCamera:
    """`id`: that of a camera there is already; None for a new one."""

    plan: CameraPlan
    id: str | None = None


@dataclass(frozen=True)
class Proposal:
    """`tokens`: for each new camera's name the token it pushes with, shown this once."""

    version: DeploymentVersion
    tokens: dict[str, str]


def propose(
    work: UnitOfWork,
    actor: Actor,
    deployment: Deployment,
    changes: Mapping[str, Any],
    cameras: Sequence[PlannedCamera] | None,
    reason: str,
    pack: PackStanding,
) -> Proposal:
    """`changes`: terms by name, as in `Terms`; what is not named stays. `cameras`: all of them, or None for no change.

    In force at once where nothing is widened.
    """
    _may_be_amended(work, deployment)
    if FIXED & set(changes):
        raise Invalid("fixed", "A deployment's reference, and whether it is an exercise, do not change.")
    why = deployments.reason_given(reason)
    old = deployment.terms()
    terms = replace(_terms(deployment), **changes)
    deployments.check_terms(work, terms)
    planned, tokens = _planned(deployment, cameras)
    deployments.check_cameras(work, terms.zone, [CameraPlan(**_plan_of(camera)) for camera in planned])
    if not planned:
        raise Refusal("no_camera", "A deployment without a camera is closed, not changed.")
    new = terms_document(asdict(terms), planned, deployment.id, deployment.signed_pack)
    if new == old:
        raise Invalid("nothing_changed", "These are the terms that are in force.")
    if watchlists.held(work, deployment.id) > terms.list_limit:
        raise Refusal("list_longer", "The list holds more entries than that: remove some first.")
    version = DeploymentVersion(
        deployment_id=deployment.id,
        number=_last_number(work, deployment.id) + 1,
        status=VersionStatus.PROPOSED.value,
        terms=new,
        terms_hash=terms_hash(new),
        base_hash=terms_hash(old),
        widens=widens(old, new),
        reason=why,
        proposed_by_id=actor.user_id,
        proposed_at=work.now,
    )
    work.session.add(version)
    _record(work, actor, deployment, version, "proposed")
    if not version.widens:
        if not deployment.marked_exercise and any(old[name] != new[name] for name in _CALIBRATED):
            deployments.operating_point(terms, pack, pack.statement)
        _put_in_force(work, actor, deployment, version)
    return Proposal(version, tokens)


def sign(
    work: UnitOfWork,
    actor: Actor,
    deployment: Deployment,
    number: int,
    pack: PackStanding,
    acknowledged: str | None = None,
) -> DeploymentVersion:
    """The authorising officer's signature under a version that widens the terms."""
    version = _proposed(work, deployment, number)
    if not actor.has(Role.AUTHORISER):
        raise NotAllowed("not_allowed", "Only an authorising officer signs.")
    if actor.user_id == version.proposed_by_id:
        raise NotAllowed("own_proposal", "Somebody other than its proposer must sign a change.")
    if not actor.stepped_up:
        raise NotAllowed("step_up_needed", "Enter your password again to sign.")
    _may_be_amended(work, deployment)
    if version.base_hash != deployment.signed_terms_hash:
        raise Refusal("changed_meanwhile", "Other terms are in force since this was proposed: propose it again.")
    if terms_hash(version.terms) != version.terms_hash:
        raise Refusal("terms_changed", "These are not the terms that were proposed.")
    terms = _terms_from(version.terms)
    deployments.check_terms(work, terms)
    point = None if deployment.marked_exercise else deployments.operating_point(terms, pack, acknowledged)
    signed_pack = pack.signed(point, acknowledged=acknowledged == pack.statement)
    version.terms = {**version.terms, "pack": signed_pack}
    version.terms_hash = terms_hash(version.terms)
    deployment.signed_pack = signed_pack
    deployment.signed_by_id, deployment.signed_at = actor.user_id, work.now
    _put_in_force(work, actor, deployment, version)
    return version


def withdraw(work: UnitOfWork, actor: Actor, deployment: Deployment, number: int, reason: str) -> DeploymentVersion:
    """By whoever proposed it, or by the authorising officer who will not sign it."""
    version = _proposed(work, deployment, number)
    why = deployments.reason_given(reason)
    version.status, version.ended_at = VersionStatus.WITHDRAWN.value, work.now
    _record(work, actor, deployment, version, "withdrawn", why)
    return version


def versions(work: UnitOfWork, deployment_id: str) -> list[DeploymentVersion]:
    """All of them, the first first."""
    query = select(DeploymentVersion).where(DeploymentVersion.deployment_id == deployment_id)
    return list(work.session.scalars(query.order_by(DeploymentVersion.number)))


def _may_be_amended(work: UnitOfWork, deployment: Deployment) -> None:
    if deployment.state not in AMENDABLE:
        raise Refusal("wrong_state", f"The terms of a deployment that is {deployment.state} are not changed this way.")
    if deployment.window_ends_at <= work.now:
        # Also before a job has closed it: what is over is not made longer.
        raise Refusal("window_over", "The authorised window is over: draft another deployment.")
    if deployment.proportionality is None:
        raise Refusal("terms_too_old", "These terms were signed before changes were possible: close, and draft anew.")
    if deployment.signed_terms_hash != deployment.terms_hash():
        raise Refusal("terms_changed", "The terms are not those that were signed.")


def _put_in_force(work: UnitOfWork, actor: Actor, deployment: Deployment, version: DeploymentVersion) -> None:
    before = deployment.terms()
    for name, value in values_of(version.terms).items():
        setattr(deployment, name, value)
    _change_cameras(work, deployment, version.terms["cameras"])
    for one in versions(work, deployment.id):
        if one.status == VersionStatus.IN_FORCE:
            one.status, one.ended_at = VersionStatus.REPLACED.value, work.now
    version.status, version.signed_by_id, version.signed_at = VersionStatus.IN_FORCE.value, actor.user_id, work.now
    deployment.signed_terms_hash = version.terms_hash
    deployment.version += 1
    if _NEEDS_NEW_SIGNS & set(version.widens):
        deployment.signs_confirmed_at = None
    work.session.flush()
    if deployment.terms_hash() != version.terms_hash:
        raise RuntimeError("What was put in force is not what was signed.")
    if any(before[name] != version.terms[name] for name in ("threshold", "categories_sought")):
        watchlists.fetch_again(work, deployment.id)
    _record(work, actor, deployment, version, "in_force")


def _change_cameras(work: UnitOfWork, deployment: Deployment, wanted: list[dict[str, Any]]) -> None:
    """A camera that goes stays as a row, for what it saw; one that comes back by its id is the same camera."""
    known = {camera.id: camera for camera in deployment.all_cameras}
    for camera in deployment.cameras:
        if camera.id not in {one["id"] for one in wanted}:
            camera.withdrawn_at, camera.health_state = work.now, "not_started"
    for one in wanted:
        if one["id"] not in known:
            deployment.all_cameras.append(Camera(deployment_id=deployment.id, **one))
            continue
        for name, value in one.items():
            setattr(known[one["id"]], name, value)
        known[one["id"]].withdrawn_at = None


def _planned(
    deployment: Deployment, cameras: Sequence[PlannedCamera] | None
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The cameras of the new terms, as they are signed for; and the new ones' tokens."""
    if cameras is None:
        return [camera.signed_for() for camera in deployment.cameras], {}
    if len({one.id for one in cameras if one.id}) < sum(1 for one in cameras if one.id):
        raise Invalid("camera_twice", "The same camera is named twice.")
    planned, tokens = [], {}
    for one in cameras:
        values = asdict(one.plan)
        if one.id is None:
            tokens[one.plan.name] = new_secret()
            values |= {"id": new_id(), "token_digest": secret_digest(tokens[one.plan.name])}
        else:
            camera = deployment.camera(one.id)
            if camera is None:
                raise NotFound("camera")
            values |= {"id": camera.id, "token_digest": camera.token_digest}
        planned.append({name: float(v) if isinstance(v, int) else v for name, v in values.items()})
    return planned, tokens


def _plan_of(camera: Mapping[str, Any]) -> dict[str, Any]:
    return {plan.name: camera[plan.name] for plan in fields(CameraPlan)}


def _terms(deployment: Deployment) -> Terms:
    return _terms_from({name: getattr(deployment, name) for name in SIGNED_COLUMNS})


def _terms_from(values: Mapping[str, Any]) -> Terms:
    """From a deployment's columns, or from a document (whose moments are text)."""
    if isinstance(values["window_starts_at"], str):
        values = values_of(dict(values))
    return Terms(**{name: values[name] for name in SIGNED_COLUMNS})


def _proposed(work: UnitOfWork, deployment: Deployment, number: int) -> DeploymentVersion:
    version = work.session.get(DeploymentVersion, (deployment.id, number))
    if version is None:
        raise NotFound("version")
    if version.status != VersionStatus.PROPOSED:
        raise Refusal("not_proposed", "This version waits for no signature.")
    return version


def _last_number(work: UnitOfWork, deployment_id: str) -> int:
    query = select(func.max(DeploymentVersion.number)).where(DeploymentVersion.deployment_id == deployment_id)
    return work.session.scalar(query) or 0


def _record(
    work: UnitOfWork,
    actor: Actor,
    deployment: Deployment,
    version: DeploymentVersion,
    what: str,
    reason: str | None = None,
) -> None:
    detail = {
        "number": version.number,
        "terms": version.terms_hash,
        "widens": version.widens,
        "reason": reason or version.reason,
    }
    audit.record(work, f"terms.{what}", deployment.id, actor=actor.audit_name, scope=deployment.id, detail=detail)
    event = {"state": deployment.state, "terms": {"number": version.number, "what": what, "widens": version.widens}}
    delivery.append(work, deployment.id, "deployment", event, actor=actor)
