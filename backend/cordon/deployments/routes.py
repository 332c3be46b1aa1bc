"""Drafting, signing, announcing, opening, suspending and closing a deployment."""

from __future__ import annotations

from typing import Any

from flask import current_app, request
from flask_smorest import Blueprint

from cordon.api.guard import Call, guarded
from cordon.deployments import amendments
from cordon.deployments import service as deployments
from cordon.deployments.amendments import PlannedCamera
from cordon.deployments.model import Deployment
from cordon.deployments.schemas import (
    AcknowledgementSchema,
    AddedCameraSchema,
    ChangeSchema,
    DeploymentSchema,
    MembersSchema,
    NewCameraSchema,
    OperatingPointQuerySchema,
    OperatingPointSchema,
    ProposedSchema,
    ReasonSchema,
    SummarySchema,
    TermsSchema,
    VersionSchema,
)
from cordon.deployments.service import CameraPlan, Terms
from cordon.deployments.standing import PackStanding
from cordon.deployments.views import camera_view, full, summary, version_views
from cordon.people.model import OVERSEEN_BY
from cordon.platform.errors import Invalid, NotFound

blueprint = Blueprint("deployments", __name__, url_prefix="/api/v1/deployments", description="A deployment's life")


@blueprint.route("", methods=["GET"])
@guarded("deployments.list")
@blueprint.response(200, SummarySchema(many=True))
def list_deployments(call: Call) -> Any:
    oversees = bool(call.actor.roles & OVERSEEN_BY["deployments.view"])
    return [
        summary(deployment, call.actor.user_id)
        for deployment in deployments.all_deployments(call.work)
        if oversees or deployment.has_member(call.actor.user_id)
    ]


@blueprint.route("", methods=["POST"])
@guarded("deployments.draft")
@blueprint.arguments(TermsSchema)
@blueprint.response(201, DeploymentSchema)
def draft(call: Call, terms: dict[str, Any]) -> Any:
    return _shown(call, deployments.draft(call.work, call.actor, Terms(**terms)))


@blueprint.route("/operating-point", methods=["GET"])
@guarded("deployments.draft")
@blueprint.arguments(OperatingPointQuerySchema, location="query")
@blueprint.response(200, OperatingPointSchema)
def operating_point(_call: Call, wanted: dict[str, Any]) -> Any:
    return _pack().shown(wanted["list_limit"], wanted["false_alert_budget"])


@blueprint.route("/<deployment_id>", methods=["GET"])
@guarded("deployments.view")
@blueprint.response(200, DeploymentSchema)
def view(call: Call) -> Any:
    return _shown(call)


@blueprint.route("/<deployment_id>", methods=["PUT"])
@guarded("deployments.edit")
@blueprint.arguments(TermsSchema)
@blueprint.response(200, DeploymentSchema)
def change(call: Call, terms: dict[str, Any]) -> Any:
    version = request.headers.get("If-Match", "").strip('"')
    if not version.isdigit():
        raise Invalid("if_match_missing", "Say which version you changed (If-Match).", status=428)
    deployments.change_draft(call.work, call.actor, call.deployment, Terms(**terms), int(version))
    return _shown(call)


@blueprint.route("/<deployment_id>/cameras", methods=["POST"])
@guarded("deployments.edit")
@blueprint.arguments(NewCameraSchema)
@blueprint.response(201, AddedCameraSchema)
def add_camera(call: Call, plan: dict[str, Any]) -> Any:
    camera, token = deployments.add_camera(call.work, call.actor, call.deployment, CameraPlan(**plan))
    return {**camera_view(camera, 0), "token": token}


@blueprint.route("/<deployment_id>/cameras/<camera_id>", methods=["DELETE"])
@guarded("deployments.edit")
@blueprint.response(204)
def remove_camera(call: Call, camera_id: str) -> None:
    deployments.remove_camera(call.work, call.actor, call.deployment, camera_id)


@blueprint.route("/<deployment_id>/members", methods=["PUT"])
@guarded("deployments.run")
@blueprint.arguments(MembersSchema)
@blueprint.response(200, DeploymentSchema)
def set_members(call: Call, wanted: dict[str, list[str]]) -> Any:
    deployments.set_members(call.work, call.actor, call.deployment, wanted["user_ids"])
    return _shown(call)


@blueprint.route("/<deployment_id>/sign", methods=["POST"])
@guarded("deployments.sign")
@blueprint.arguments(AcknowledgementSchema)
@blueprint.response(200, DeploymentSchema)
def sign(call: Call, acknowledgement: dict[str, str | None]) -> Any:
    statement = acknowledgement.get("acknowledged_statement")
    deployments.sign(call.work, call.actor, call.deployment, _pack(), statement)
    return _shown(call)


@blueprint.route("/<deployment_id>/publish-notice", methods=["POST"])
@guarded("deployments.run")
@blueprint.response(200, DeploymentSchema)
def publish_notice(call: Call) -> Any:
    deployments.publish_notice(call.work, call.actor, call.deployment)
    return _shown(call)


@blueprint.route("/<deployment_id>/confirm-signs", methods=["POST"])
@guarded("deployments.run")
@blueprint.response(200, DeploymentSchema)
def confirm_signs(call: Call) -> Any:
    deployments.confirm_signs(call.work, call.actor, call.deployment)
    return _shown(call)


@blueprint.route("/<deployment_id>/open", methods=["POST"])
@guarded("deployments.run")
@blueprint.response(200, DeploymentSchema)
def open_deployment(call: Call) -> Any:
    deployments.open_deployment(call.work, call.actor, call.deployment, _pack())
    return _shown(call)


@blueprint.route("/<deployment_id>/suspend", methods=["POST"])
@guarded("deployments.suspend")
@blueprint.arguments(ReasonSchema)
@blueprint.response(200, DeploymentSchema)
def suspend(call: Call, why: dict[str, str]) -> Any:
    deployments.suspend(call.work, call.actor, call.deployment, why["reason"])
    return _shown(call)


@blueprint.route("/<deployment_id>/resume", methods=["POST"])
@guarded("deployments.suspend")
@blueprint.arguments(ReasonSchema)
@blueprint.response(200, DeploymentSchema)
def resume(call: Call, why: dict[str, str]) -> Any:
    deployments.resume(call.work, call.actor, call.deployment, why["reason"], _pack())
    return _shown(call)


@blueprint.route("/<deployment_id>/close", methods=["POST"])
@guarded("deployments.suspend")
@blueprint.arguments(ReasonSchema)
@blueprint.response(200, DeploymentSchema)
def close(call: Call, why: dict[str, str]) -> Any:
    deployments.close(call.work, call.actor, call.deployment, why["reason"])
    return _shown(call)


@blueprint.route("/<deployment_id>/versions", methods=["GET"])
@guarded("deployments.view")
@blueprint.response(200, VersionSchema(many=True))
def list_versions(call: Call) -> Any:
    return version_views(call.work, amendments.versions(call.work, call.deployment.id))


@blueprint.route("/<deployment_id>/versions", methods=["POST"])
@guarded("deployments.run")
@blueprint.arguments(ChangeSchema)
@blueprint.response(201, ProposedSchema)
def propose_version(call: Call, wanted: dict[str, Any]) -> Any:
    cameras = None
    if "cameras" in wanted:
        cameras = [_planned(call.deployment, dict(camera)) for camera in wanted["cameras"]]
    made = amendments.propose(
        call.work, call.actor, call.deployment, wanted["changes"], cameras, wanted["reason"], _pack()
    )
    return {**version_views(call.work, [made.version])[0], "tokens": made.tokens}


@blueprint.route("/<deployment_id>/versions/<number>/sign", methods=["POST"])
@guarded("deployments.sign")
@blueprint.arguments(AcknowledgementSchema)
@blueprint.response(200, VersionSchema)
def sign_version(call: Call, acknowledgement: dict[str, str | None], number: str) -> Any:
    statement = acknowledgement.get("acknowledged_statement")
    signed = amendments.sign(call.work, call.actor, call.deployment, _number(number), _pack(), statement)
    return version_views(call.work, [signed])[0]


@blueprint.route("/<deployment_id>/versions/<number>/withdraw", methods=["POST"])
@guarded("deployments.suspend")
@blueprint.arguments(ReasonSchema)
@blueprint.response(200, VersionSchema)
def withdraw_version(call: Call, why: dict[str, str], number: str) -> Any:
    withdrawn = amendments.withdraw(call.work, call.actor, call.deployment, _number(number), why["reason"])
    return version_views(call.work, [withdrawn])[0]


def _number(given: str) -> int:
    if not given.isdecimal() or len(given) > 6:
        raise NotFound("version")
    return int(given)


def _planned(deployment: Deployment, camera: dict[str, Any]) -> PlannedCamera:
    camera_id = camera.pop("id", None)
    known = deployment.camera(camera_id) if camera_id else None
    if "source_url" not in camera:
        if known is None:
            raise Invalid("camera_source", "A new camera needs its source address.")
        camera["source_url"] = known.source_url
    return PlannedCamera(CameraPlan(**camera), camera_id)


def _shown(call: Call, deployment: Deployment | None = None) -> dict[str, Any]:
    call.work.session.flush()
    return full(call.work, deployment or call.deployment, call.actor.user_id, _pack())


def _pack() -> PackStanding:
    standing: PackStanding = current_app.config["CORDON_PACK_STANDING"]
    return standing
