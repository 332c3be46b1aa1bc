"""Socket.IO: a push tells a screen sooner what it could read anyway. Nothing depends on having been connected.

gevent carries it: with 200 phones it was as quick as threads at a quarter of the CPU (design.md, decision 8).
"""

from __future__ import annotations

import logging
from typing import Any

import gevent
from flask import Flask, request
from flask_socketio import SocketIO, disconnect, join_room
from gevent.event import Event as Doorbell

from cordon.api.guard import COOKIE
from cordon.delivery import service as delivery
from cordon.delivery.model import DeploymentEvent, OutboxRow
from cordon.deployments import service as deployments
from cordon.people import service as people
from cordon.people.model import Actor
from cordon.platform.errors import Refusal
from cordon.platform.installation import Installation

log = logging.getLogger(__name__)

RELAY_LOOKS_EVERY_S = 0.5
HEALTH_EVERY_S = 1.0
SESSIONS_CHECKED_EVERY_S = 1.0

socketio = SocketIO()
# Of this process only: which session each socket was opened with.
_sessions: dict[str, str] = {}


def init_sockets(app: Flask, installation: Installation) -> None:
    socketio.init_app(
        app,
        async_mode="gevent",
        message_queue=installation.settings.socketio_queue_url,
        # Same origin only. A dead connection is known within ping_interval + ping_timeout.
        cors_allowed_origins=None,
        ping_interval=5,
        ping_timeout=4,
        max_http_buffer_size=100_000,
        manage_session=False,
    )
    _register(installation)


def start_background(installation: Installation) -> None:
    doorbell = Doorbell()
    installation.doorbells.append(doorbell.set)
    gevent.spawn(_forever, "relay", lambda: _relay(installation, doorbell))
    gevent.spawn(_forever, "health", lambda: _health(installation))
    gevent.spawn(_forever, "sessions", lambda: _drop_ended_sessions(installation))


def announce_presence(deployment_id: str, member: dict[str, Any]) -> None:
    body = {"deployment_id": deployment_id, **member, "at": member["last_seen_at"]}
    socketio.emit("presence", body, to=_room(deployment_id, desk=True))
    # The street sees who is on duty; where they are is for the coordinator's map.
    socketio.emit("presence", {**body, "position": None}, to=_room(deployment_id, desk=False))


def _register(installation: Installation) -> None:
    @socketio.on("connect")
    def connect(_auth: object = None) -> bool:
        with installation.read() as work:
            found = people.session_of(work, request.cookies.get(COOKIE, ""))
        if found is None:
            return False
        _sessions[_sid()] = found[0].session_id
        return True

    @socketio.on("disconnect")
    def disconnected(_reason: object = None) -> None:
        _sessions.pop(_sid(), None)

    @socketio.on("join")
    def join(message: object) -> dict[str, Any]:
        deployment_id = _text(message, "deployment_id")
        try:
            with installation.read() as work:
                actor = _actor(work)
                deployment = deployments.find(work, deployment_id)
                people.permit(actor, "events.follow", member=deployment.has_member(actor.user_id))
                last = delivery.last_seq(work, deployment_id)
        except Refusal as refusal:
            return {"ok": False, "code": refusal.code, "detail": refusal.sentence}
        join_room(_room(deployment_id, desk=delivery.sees_the_desk(actor.roles)))
        return {"ok": True, "last_seq": last}

    @socketio.on("received")
    def received(message: object) -> dict[str, Any]:
        deployment_id = _text(message, "deployment_id")
        seq = message.get("seq") if isinstance(message, dict) else None
        if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
            return {"ok": False}
        try:
            with installation.write() as work:
                actor = _actor(work)
                deployment = deployments.find(work, deployment_id)
                people.permit(actor, "events.follow", member=deployment.has_member(actor.user_id))
                delivery.acknowledge(work, deployment_id, actor.user_id, seq)
        except Refusal:
            return {"ok": False}
        return {"ok": True}

    def _actor(work: Any) -> Actor:
        found = people.session_of(work, request.cookies.get(COOKIE, ""))
        if found is None:
            disconnect()
            raise Refusal("not_signed_in", "Your session is over.")
        return found[0]


def _relay(installation: Installation, doorbell: Doorbell) -> None:
    doorbell.wait(RELAY_LOOKS_EVERY_S)
    doorbell.clear()
    with installation.read() as work:
        if work.session.query(OutboxRow.event_id).first() is None:
            return
    while True:
        with installation.write() as work:
            if delivery.push_outbox(work, _emit) == 0:
                return


def _emit(event: DeploymentEvent) -> None:
    for desk in (True, False):
        socketio.emit("event", delivery.as_seen_by(event, desk), to=_room(event.deployment_id, desk=desk))


def _health(installation: Installation) -> None:
    gevent.sleep(HEALTH_EVERY_S)
    from cordon.deployments.views import camera_view

    with installation.read() as work:
        bodies = []
        for deployment in deployments.running(work):
            faces = deployments.faces_seen(work, deployment.id)
            cameras = [camera_view(camera, faces.get(camera.id, 0)) for camera in deployment.cameras]
            bodies.append(
                {
                    "deployment_id": deployment.id,
                    "cameras": [{"id": camera["id"], **camera["health"]} for camera in cameras],
                    "faces_seen": sum(faces.values()),
                    "search": deployment.search_report,
                }
            )
    for body in bodies:
        socketio.emit("health", body, to=_room(str(body["deployment_id"]), desk=True))


def _drop_ended_sessions(installation: Installation) -> None:
    gevent.sleep(SESSIONS_CHECKED_EVERY_S)
    with installation.read() as work:
        ended = [sid for sid, session_id in list(_sessions.items()) if not people.session_alive(work, session_id)]
    for sid in ended:
        _sessions.pop(sid, None)
        socketio.emit("signed_out", {}, to=sid)
        socketio.server.disconnect(sid)


def _forever(name: str, step: Any) -> None:
    while True:
        try:
            step()
        except Exception:
            log.exception("background step failed", extra={"fields": {"step": name}})
            gevent.sleep(1)


def _room(deployment_id: str, *, desk: bool) -> str:
    return f"{deployment_id}:{'desk' if desk else 'street'}"


def _sid() -> str:
    sid: str = request.sid  # type: ignore[attr-defined]
    return sid


def _text(message: object, name: str) -> str:
    value = message.get(name) if isinstance(message, dict) else None
    return value if isinstance(value, str) else ""
