"""The auditor's reading of a chain, with the proof that it is whole. The reading is recorded too."""

from __future__ import annotations

from typing import Any

from flask_smorest import Blueprint

from cordon.api.guard import Call, guarded
from cordon.audit import service as audit
from cordon.audit.model import INSTALLATION
from cordon.audit.schemas import ChainSchema
from cordon.platform.clock import iso

blueprint = Blueprint("audit", __name__, url_prefix="/api/v1", description="The audit chains")


@blueprint.route("/audit", methods=["GET"])
@guarded("audit.view", records=True)
@blueprint.response(200, ChainSchema)
def installation_chain(call: Call) -> Any:
    return _chain(call, INSTALLATION)


@blueprint.route("/deployments/<deployment_id>/audit", methods=["GET"])
@guarded("audit.view", records=True)
@blueprint.response(200, ChainSchema)
def deployment_chain(call: Call) -> Any:
    return _chain(call, call.deployment.id)


def _chain(call: Call, scope: str) -> dict[str, Any]:
    audit.record(call.work, "audit.read", scope, actor=call.actor.audit_name, scope=scope)
    report = audit.verify(call.work, scope)
    return {
        "scope": scope,
        "intact": report.intact,
        "broken_at": report.broken_at,
        "reason": report.reason,
        "records": [
            {
                "number": record.number,
                "at": iso(record.at),
                "actor": record.actor,
                "action": record.action,
                "object": record.object,
                "detail": record.detail,
                "hash": record.hash,
            }
            for record in audit.chain(call.work, scope)
        ],
    }
