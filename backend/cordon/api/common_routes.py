"""What every screen needs first: the installation, its model pack's standing, the words; and health."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from flask import Blueprint as PlainBlueprint
from flask import Response, current_app, jsonify
from flask_smorest import Blueprint
from marshmallow import Schema, fields
from sqlalchemy import text

from cordon.alerts.model import OUTCOMES
from cordon.api.guard import Call, guarded, installation, open_to_all
from cordon.deployments.bounds import Bounds
from cordon.deployments.model import ACTIONS, CATEGORIES, LOCATION_REASONS, PURPOSES
from cordon.deployments.schemas import VocabularySchema
from cordon.people.model import ROLE_LABELS

blueprint = Blueprint("common", __name__, url_prefix="/api/v1", description="The installation and its words")
health_blueprint = PlainBlueprint("health", __name__)


class PackSchema(Schema):
    name = fields.String(required=True)
    version = fields.String(required=True)
    licence = fields.String(required=True)
    licence_scope = fields.String(required=True)
    notice = fields.String(required=True, allow_none=True)


class InstallationSchema(Schema):
    name = fields.String(required=True)
    version = fields.String(required=True)
    pack = fields.Nested(PackSchema, required=True)


@blueprint.route("/installation", methods=["GET"])
@open_to_all
@blueprint.response(200, InstallationSchema)
def about() -> Any:
    return {
        "name": installation().settings.force_name,
        "version": version("cordon"),
        "pack": current_app.config["CORDON_PACK"],
    }


@blueprint.route("/vocabulary", methods=["GET"])
@guarded("session.own")
@blueprint.response(200, VocabularySchema)
def vocabulary(_call: Call) -> Any:
    def choices(words: dict[str, str]) -> list[dict[str, str]]:
        return [{"code": code, "label": label} for code, label in words.items()]

    bounds = Bounds.of(installation().settings)
    return {
        "bounds": {
            "cameras": bounds.cameras,
            "zone_m2": bounds.zone_m2,
            "window_h": bounds.window.total_seconds() / 3600,
            "list_entries": bounds.list_entries,
        },
        "purposes": choices(PURPOSES),
        "categories": choices(CATEGORIES),
        "actions": choices(ACTIONS),
        "location_reasons": choices(LOCATION_REASONS),
        "outcomes": [
            {"code": code, "label": outcome.label, "truth": outcome.truth.value} for code, outcome in OUTCOMES.items()
        ],
        "roles": choices({role.value: label for role, label in ROLE_LABELS.items()}),
    }


@health_blueprint.get("/healthz")
def alive() -> Response:
    return jsonify(status="alive")


@health_blueprint.get("/readyz")
def ready() -> tuple[Response, int]:
    with installation().read() as work:
        work.session.execute(text("SELECT 1"))
    return jsonify(status="ready"), 200
