"""The application: every capability's routes behind one guard, one error format, one OpenAPI document."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask
from flask_smorest import Api

from cordon.alerts import routes as alerts_routes
from cordon.api import common_routes, engine_door, web
from cordon.api.guard import deny_unmarked
from cordon.api.problems import register_problems
from cordon.audit import routes as audit_routes
from cordon.delivery.sockets import init_sockets
from cordon.deployments import routes as deployments_routes
from cordon.deployments.standing import EXERCISE, OPERATIONAL, PackStanding
from cordon.evidence import routes as evidence_routes
from cordon.people import routes as people_routes
from cordon.platform.installation import Installation
from cordon.records import routes as records_routes
from cordon.vision.packs import PackManifest, PackUnavailable, describe_pack
from cordon.watchlists import routes as watchlists_routes

log = logging.getLogger(__name__)

LARGEST_REQUEST_BYTES = 64_000_000


def create_app(installation: Installation) -> Flask:
    app = Flask("cordon", static_folder=None)
    app.extensions["cordon"] = installation
    app.config.update(
        API_TITLE="Cordon",
        API_VERSION="v1",
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/api",
        OPENAPI_JSON_PATH="openapi.json",
        MAX_CONTENT_LENGTH=LARGEST_REQUEST_BYTES,
        MAX_FORM_MEMORY_SIZE=1_000_000,
        JSON_SORT_KEYS=False,
        **pack_standing(installation),
    )
    api = Api(app)
    for blueprint in (
        common_routes.blueprint,
        people_routes.blueprint,
        deployments_routes.blueprint,
        watchlists_routes.blueprint,
        alerts_routes.blueprint,
        audit_routes.blueprint,
        records_routes.blueprint,
        engine_door.blueprint,
    ):
        api.register_blueprint(blueprint)
    app.register_blueprint(records_routes.notice_blueprint)
    app.register_blueprint(evidence_routes.blueprint)
    app.register_blueprint(common_routes.health_blueprint)
    app.register_blueprint(web.blueprint)
    for endpoint in ("api-docs.openapi_json",):
        if endpoint in app.view_functions:
            app.view_functions[endpoint].__dict__["permission"] = "open"
    register_problems(app)
    deny_unmarked(app)
    web.set_headers(app)
    init_sockets(app, installation)
    return app


def pack_standing(installation: Installation) -> dict[str, Any]:
    """What the model pack in use may serve, and what every screen must say of it."""
    try:
        manifest = describe_pack(installation.settings.pack)
    except PackUnavailable as unavailable:
        notice = f"No model pack: {unavailable}"
        missing = {"name": "none", "version": "", "licence": "", "licence_scope": EXERCISE, "notice": notice}
        return {"CORDON_PACK": missing, "CORDON_PACK_STANDING": PackStanding("none", "none", EXERCISE)}
    standing = PackStanding.of(manifest)
    shown: dict[str, str | None] = {
        "name": manifest.name,
        "version": manifest.version,
        "licence": manifest.licence,
        "licence_scope": manifest.licence_scope,
        "notice": None if standing.scope == OPERATIONAL else _notice(manifest, standing),
    }
    return {"CORDON_PACK": shown, "CORDON_PACK_STANDING": standing}


def _notice(manifest: PackManifest, standing: PackStanding) -> str:
    if manifest.licence_scope == OPERATIONAL:
        why = standing.trouble or f"The model pack {manifest.name} has not been calibrated here."
        return f"For exercises only. {why}"
    return f"For exercises only: the model pack {manifest.name} is not licensed for operations ({manifest.licence})."
