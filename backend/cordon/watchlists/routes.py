"""The watchlist manager's page: who is sought, adding, removing."""

from __future__ import annotations

from typing import Any

from flask_smorest import Blueprint

from cordon.api.guard import Call, guarded
from cordon.audit import service as audit
from cordon.evidence.links import picture_link
from cordon.watchlists import service as watchlists
from cordon.watchlists.model import WatchlistEntry
from cordon.watchlists.schemas import (
    EntrySchema,
    NewEntrySchema,
    RemovalSchema,
    UploadedPicturesSchema,
    WatchlistSchema,
)
from cordon.watchlists.service import NewEntry

blueprint = Blueprint("watchlists", __name__, url_prefix="/api/v1/deployments", description="The people sought")


@blueprint.route("/<deployment_id>/watchlist", methods=["GET"])
@guarded("watchlist.view", records=True)
@blueprint.response(200, WatchlistSchema)
def view(call: Call) -> Any:
    audit.record(call.work, "watchlist.read", call.deployment.id, actor=call.actor.audit_name, scope=call.deployment.id)
    return {
        "revision": watchlists.watchlist(call.work, call.deployment.id).revision,
        "entries": [_entry(call, entry) for entry in watchlists.entries(call.work, call.deployment.id)],
    }


@blueprint.route("/<deployment_id>/watchlist", methods=["POST"])
@guarded("watchlist.edit")
@blueprint.arguments(NewEntrySchema, location="form")
@blueprint.arguments(UploadedPicturesSchema, location="files")
@blueprint.response(201, EntrySchema)
def add(call: Call, new: dict[str, Any], files: dict[str, Any]) -> Any:
    pictures = [file.read(watchlists.MAX_UPLOAD_BYTES + 1) for file in files["image"]]
    return _entry(call, watchlists.add_entry(call.work, call.actor, call.deployment, NewEntry(**new), pictures))


@blueprint.route("/<deployment_id>/watchlist/<entry_id>", methods=["DELETE"])
@guarded("watchlist.edit")
@blueprint.arguments(RemovalSchema)
@blueprint.response(204)
def remove(call: Call, why: dict[str, str], entry_id: str) -> None:
    watchlists.remove_entry(call.work, call.actor, call.deployment, entry_id, why["reason"])


def _entry(call: Call, entry: WatchlistEntry) -> dict[str, Any]:
    picture = next((image.picture_object_id for image in entry.images if image.picture_object_id), None)
    link = None
    if picture is not None:
        link = picture_link(call.work.installation, entry.deployment_id, picture, call.actor.session_id)
    return {
        "id": entry.id,
        "reference_number": entry.reference_number,
        "display_name": entry.display_name,
        "category": entry.category,
        "action": entry.action,
        "reason": entry.reason,
        "risk_warning": entry.risk_warning,
        "kind": entry.kind,
        "status": entry.status,
        "refusal": entry.refusal,
        "image_taken_on": entry.image_taken_on.isoformat() if entry.image_taken_on else None,
        "picture_url": link,
    }
