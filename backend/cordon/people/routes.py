"""Signing in and out, users, duty and position."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request
from flask_smorest import Blueprint

from cordon.api.guard import COOKIE, Call, NotSignedIn, check_origin, guarded, installation, open_to_all
from cordon.api.problems import problem
from cordon.delivery import service as delivery
from cordon.delivery.sockets import announce_presence
from cordon.people import service as people
from cordon.people.model import DutyStatus, Role, User, UserSession
from cordon.people.schemas import (
    DutySchema,
    NewPositionSchema,
    NewUserSchema,
    SessionSchema,
    SignInSchema,
    StepUpSchema,
    TeamMemberSchema,
    UserSchema,
)
from cordon.people.views import member_view
from cordon.platform.clock import iso

blueprint = Blueprint("people", __name__, url_prefix="/api/v1", description="Sign-in, users, duty and position")


@blueprint.route("/session", methods=["POST"])
@open_to_all
@blueprint.arguments(SignInSchema)
@blueprint.response(200, SessionSchema)
def sign_in(credentials: dict[str, str]) -> Any:
    check_origin()
    with installation().write() as work:
        user = people.check_password(work, credentials["username"], credentials["password"])
        if user is None:
            # Returned, not raised: the failed attempt must be counted, and a raised error would undo it.
            return problem(401, "wrong_credentials", "The user name or the password is not right.")
        secret, session = people.open_session(work, user)
        body = _session(user, session)
    response = jsonify(body)
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(people.SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="Strict",
        secure=installation().settings.secure_cookies,
        path="/",
    )
    return response


@blueprint.route("/session", methods=["GET"])
@open_to_all
@blueprint.response(200, SessionSchema)
def own_session() -> Any:
    with installation().read() as work:
        found = people.session_of(work, request.cookies.get(COOKIE, ""))
        if found is None:
            raise NotSignedIn
        actor, session = found
        return _session(people.users_by_id(work, [actor.user_id])[actor.user_id], session)


@blueprint.route("/session", methods=["DELETE"])
@guarded("session.own")
@blueprint.response(204)
def sign_out(call: Call) -> None:
    people.close_session(call.work, call.actor)


@blueprint.route("/session/step-up", methods=["POST"])
@guarded("session.own")
@blueprint.arguments(StepUpSchema)
def step_up(call: Call, credentials: dict[str, str]) -> Any:
    user = people.users_by_id(call.work, [call.actor.user_id])[call.actor.user_id]
    if people.check_password(call.work, user.username, credentials["password"]) is None:
        return problem(403, "wrong_credentials", "The password is not right.")
    people.step_up(call.work, call.actor.session_id)
    return Response(status=204)


@blueprint.route("/users", methods=["GET"])
@guarded("users.view")
@blueprint.response(200, UserSchema(many=True))
def list_users(call: Call) -> Any:
    return [_user(user) for user in people.all_users(call.work) if user.disabled_at is None]


@blueprint.route("/users", methods=["POST"])
@guarded("users.manage")
@blueprint.arguments(NewUserSchema)
@blueprint.response(201, UserSchema)
def add_user(call: Call, new: dict[str, Any]) -> Any:
    roles = [Role(role) for role in new.pop("roles")]
    return _user(people.add_user(call.work, roles=roles, by=call.actor.audit_name, **new))


@blueprint.route("/users/<user_id>", methods=["DELETE"])
@guarded("users.manage")
@blueprint.response(204)
def disable_user(call: Call, user_id: str) -> None:
    people.disable_user(call.work, user_id, call.actor)


@blueprint.route("/deployments/<deployment_id>/team", methods=["GET"])
@guarded("team.view")
@blueprint.response(200, TeamMemberSchema(many=True))
def team(call: Call) -> Any:
    members = people.users_by_id(call.work, [member.user_id for member in call.deployment.members])
    statuses = people.duty_statuses(call.work, call.deployment.id)
    received = delivery.receipts(call.work, call.deployment.id)
    return [
        {**member_view(user, statuses.get(user.id)), "received_seq": received.get(user.id, 0)}
        for user in sorted(members.values(), key=lambda user: user.callsign)
    ]


@blueprint.route("/deployments/<deployment_id>/duty", methods=["POST"])
@guarded("team.duty")
@blueprint.arguments(DutySchema)
@blueprint.response(200, TeamMemberSchema)
def duty(call: Call, wanted: dict[str, bool]) -> Any:
    status = people.set_duty(call.work, call.deployment.id, call.actor, wanted["on"])
    delivery.append(call.work, call.deployment.id, "duty", {"user_id": call.actor.user_id, "on": status.on_duty})
    return _announced(call, status)


@blueprint.route("/deployments/<deployment_id>/position", methods=["POST"])
@guarded("team.duty")
@blueprint.arguments(NewPositionSchema)
@blueprint.response(200, TeamMemberSchema)
def position(call: Call, where: dict[str, Any]) -> Any:
    """The last position of a person on duty. It overwrites the one before: there is no trail."""
    return _announced(call, people.set_position(call.work, call.deployment.id, call.actor, **where))


def _announced(call: Call, status: DutyStatus) -> dict[str, Any]:
    user = people.users_by_id(call.work, [call.actor.user_id])[call.actor.user_id]
    member = member_view(user, status)
    deployment_id = call.deployment.id
    call.work.after_commit.append(lambda: announce_presence(deployment_id, member))
    return {**member, "received_seq": 0}


def _session(user: User, session: UserSession) -> dict[str, Any]:
    return {"user": _user(user), "csrf_token": session.csrf_token, "expires_at": iso(session.expires_at)}


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "display_name": user.display_name,
        "callsign": user.callsign,
        "roles": user.roles,
    }
