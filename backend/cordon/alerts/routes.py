"""Alerts, their pictures, what people do with them, and the numbered events that screens are folded from."""

from __future__ import annotations

import uuid
from typing import Any

from flask import request
from flask_smorest import Blueprint

from cordon.alerts import service as alerts
from cordon.alerts.model import Action
from cordon.alerts.schemas import (
    ActionSchema,
    ActionTakenSchema,
    AfterSchema,
    AlertsSchema,
    EventsSchema,
    PicturesSchema,
)
from cordon.api.guard import Call, guarded
from cordon.audit import service as audit
from cordon.delivery import service as delivery
from cordon.evidence.links import LINK_LIFE, picture_link
from cordon.platform.clock import iso
from cordon.platform.errors import Invalid
from cordon.watchlists import service as watchlists

blueprint = Blueprint("alerts", __name__, url_prefix="/api/v1/deployments", description="Alerts and events")


@blueprint.route("/<deployment_id>/alerts", methods=["GET"])
@guarded("alerts.view")
@blueprint.response(200, AlertsSchema)
def list_alerts(call: Call) -> Any:
    # The number first: an event between the two reads is then met again by the client, and not missed.
    last = delivery.last_seq(call.work, call.deployment.id)
    shown = [
        alerts.snapshot(call.deployment, alert)
        for alert in alerts.all_alerts(call.work, call.deployment.id)
        if alerts.visible_to(call.actor, alert)
    ]
    return {"alerts": shown, "last_seq": last}


@blueprint.route("/<deployment_id>/events", methods=["GET"])
@guarded("events.follow")
@blueprint.arguments(AfterSchema, location="query")
@blueprint.response(200, EventsSchema)
def events(call: Call, wanted: dict[str, int]) -> Any:
    desk = delivery.sees_the_desk(call.actor.roles)
    last = delivery.last_seq(call.work, call.deployment.id)
    found = delivery.events_after(call.work, call.deployment.id, wanted["after"], wanted["limit"])
    return {"events": [delivery.as_seen_by(event, desk) for event in found], "last_seq": last}


@blueprint.route("/<deployment_id>/alerts/<alert_id>/pictures", methods=["GET"])
@guarded("alerts.view", records=True)
@blueprint.response(200, PicturesSchema)
def pictures(call: Call, alert_id: str) -> Any:
    """Opening an alert's pictures is a consultation, and is recorded as one."""
    alert = alerts.find(call.work, call.actor, call.deployment.id, alert_id)
    audit.record(
        call.work,
        "alert.pictures_opened",
        alert.id,
        actor=call.actor.audit_name,
        scope=call.deployment.id,
        detail={"number": alert.number},
    )
    probe, context, views = alerts.best_pictures(alert)
    entry = watchlists.searchable_entry(call.work, call.deployment.id, alert.entry_id)
    references = [image.picture_object_id for image in entry.images] if entry else []

    def link(object_id: str | None) -> str | None:
        if object_id is None:
            return None
        return picture_link(call.work.installation, call.deployment.id, object_id, call.actor.session_id)

    return {
        "reference_urls": [link(reference) for reference in references if reference],
        "probe_url": link(probe),
        "context_url": link(context),
        "view_urls": [link(view) for view in views],
        "expires_at": iso(call.work.now + LINK_LIFE),
    }


@blueprint.route("/<deployment_id>/alerts/<alert_id>/actions", methods=["POST"])
@guarded("alerts.act")
@blueprint.arguments(ActionSchema)
@blueprint.response(200, ActionTakenSchema)
def act(call: Call, wanted: dict[str, Any], alert_id: str) -> Any:
    asked = alerts.Request(
        action=Action(wanted.pop("action")), key=_idempotency_key(), made_at=wanted.pop("made_at"), **wanted
    )
    event = alerts.act(call.work, call.actor, call.deployment, alert_id, asked)
    alert = alerts.find(call.work, call.actor, call.deployment.id, alert_id)
    desk = delivery.sees_the_desk(call.actor.roles)
    return {
        "event": None if event is None else delivery.as_seen_by(event, desk),
        "alert": alerts.snapshot(call.deployment, alert),
    }


def _idempotency_key() -> str:
    try:
        return str(uuid.UUID(request.headers.get("Idempotency-Key", "")))
    except ValueError as error:
        raise Invalid("idempotency_key_missing", "Each action needs an Idempotency-Key (a UUID).") from error
