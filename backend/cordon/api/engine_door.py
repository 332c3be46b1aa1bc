"""The door for engines: heartbeat out of which they learn what they may do, the watchlist in memory, and hits in.

An engine can read no alert, no event and no person here: the way of a face has one direction.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flask_smorest import Blueprint
from marshmallow import Schema, ValidationError, fields, validate

from cordon.alerts import service as alerts
from cordon.alerts.service import IncomingHit
from cordon.api.guard import for_engines, installation
from cordon.deployments import service as deployments
from cordon.deployments.model import Deployment
from cordon.deployments.service import CameraReport, SearchReport
from cordon.evidence import service as evidence
from cordon.platform.clock import iso
from cordon.platform.errors import Invalid, NotFound
from cordon.platform.installation import UnitOfWork
from cordon.watchlists import service as watchlists

blueprint = Blueprint("engine", __name__, url_prefix="/api/v1/engine", description="For matching engines only")

VALID_FOR_S = 2.0
# So many different views of one track must be near the same entry (design.md, decision 4).
AGREE = 2


class Jpeg(fields.Field[bytes]):
    """Base64 of one JPEG, a megabyte at most."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bytes:
        try:
            picture = base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise ValidationError("This is not base64.") from error
        if not picture.startswith(b"\xff\xd8\xff") or len(picture) > 1_000_000:
            raise ValidationError("This is not a JPEG of at most a megabyte.")
        return picture


class ReportSchema(Schema):
    camera_id = fields.String(required=True)
    deployment_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["connecting", "live", "lost", "refused"]))
    detail = fields.String(load_default="")
    fps = fields.Float(required=True, allow_nan=False)
    faces_seen = fields.Integer(required=True, validate=validate.Range(min=0))
    frames_read = fields.Integer(required=True, validate=validate.Range(min=0))
    frames_dropped = fields.Integer(required=True, validate=validate.Range(min=0))
    median_face_px = fields.Float(load_default=None, allow_none=True, allow_nan=False)
    brightness = fields.Float(load_default=None, allow_none=True, allow_nan=False)
    last_frame_at = fields.AwareDateTime(load_default=None, allow_none=True)


class SearchReportSchema(Schema):
    deployment_id = fields.String(required=True)
    engine = fields.String(required=True, validate=validate.OneOf(["annoy", "exact"]))
    reason = fields.String(required=True, validate=validate.Length(max=300))
    kernel = fields.String(required=True, validate=validate.Length(max=60))
    size = fields.Integer(required=True, validate=validate.Range(min=0))
    missed_upper95 = fields.Float(required=True, allow_nan=False)
    probe_ms = fields.Float(required=True, allow_nan=False)
    shadow_checked = fields.Integer(required=True, validate=validate.Range(min=0))
    shadow_disagreed = fields.Integer(required=True, validate=validate.Range(min=0))


class HeartbeatSchema(Schema):
    engine_id = fields.String(required=True)
    run_id = fields.String(required=True, validate=validate.Length(1, 64))
    pack = fields.Dict(required=True)
    indexes = fields.List(fields.Nested(SearchReportSchema), load_default=list, validate=validate.Length(max=100))
    cameras = fields.List(fields.Nested(ReportSchema), required=True)


class HitSchema(Schema):
    hit_id = fields.UUID(required=True)
    deployment_id = fields.String(required=True)
    camera_id = fields.String(required=True)
    entry_id = fields.String(required=True)
    pack = fields.String(load_default="", validate=validate.Length(max=120))
    score = fields.Float(required=True, allow_nan=False)
    threshold = fields.Float(required=True, allow_nan=False)
    captured_at = fields.AwareDateTime(required=True)
    detected_at = fields.AwareDateTime(required=True)
    track = fields.Dict(required=True)
    quality = fields.Dict(required=True)
    probe_jpeg = Jpeg(required=True)
    context_jpeg = Jpeg(required=True)
    views = fields.List(Jpeg(), load_default=list, validate=validate.Length(max=3))


@blueprint.route("/heartbeat", methods=["POST"])
@for_engines
@blueprint.arguments(HeartbeatSchema)
@blueprint.response(200)
def heartbeat(engine: str, beat: dict[str, Any]) -> Any:
    here = installation()
    with here.write() as work:
        deployments.take_camera_reports(work, beat["run_id"], [CameraReport(**report) for report in beat["cameras"]])
        deployments.take_search_reports(work, [SearchReport(**report) for report in beat["indexes"]])
        sessions = [_session(work, deployment) for deployment in deployments.matching_now(work)]
    return {"server_time": iso(here.clock.now()), "valid_for_s": VALID_FOR_S, "sessions": sessions}


@blueprint.route("/deployments/<deployment_id>/watchlist", methods=["GET"])
@for_engines
@blueprint.response(200)
def watchlist(engine: str, deployment_id: str) -> Any:
    with installation().write() as work:
        deployment = deployments.find(work, deployment_id)
        if not deployment.may_match(work.now):
            raise NotFound("open deployment")
        current, entries = watchlists.templates_for_engine(work, deployment, engine)
        return {
            "revision": current.revision,
            "pack": current.pack,
            "dimension": current.dimension,
            "entries": [
                {
                    "entry_id": entry.entry_id,
                    "count": int(entry.templates.shape[0]),
                    "templates": base64.b64encode(entry.templates.astype("<f4").tobytes()).decode(),
                }
                for entry in entries
            ],
        }


@blueprint.route("/hits", methods=["POST"])
@for_engines
@blueprint.arguments(HitSchema)
@blueprint.response(201)
def hits(engine: str, hit: dict[str, Any]) -> Any:
    if len(str(hit["track"])) > 2_000 or len(str(hit["quality"])) > 2_000:
        raise Invalid("too_large", "A hit's track and quality are a few numbers each.")
    hit["hit_id"] = str(hit["hit_id"])
    with installation().write() as work:
        taken = alerts.take_hit(work, engine, IncomingHit(**hit))
    return {"alert_id": taken.alert_id, "merged": taken.merged}, 200 if taken.repeated else 201


def _session(work: UnitOfWork, deployment: Deployment) -> dict[str, Any]:
    return {
        "deployment_id": deployment.id,
        "window_starts_at": iso(deployment.window_starts_at),
        "window_ends_at": iso(deployment.window_ends_at),
        "threshold": deployment.threshold,
        "confirm": {"agree": AGREE},
        "re_alert_s": deployment.re_alert_s,
        "minimum_face_px": deployment.minimum_face_px,
        "watchlist_revision": watchlists.watchlist(work, deployment.id).revision,
        "spool_key": base64.b64encode(evidence.spool_key(work, deployment.id)).decode(),
        "cameras": [
            {
                "camera_id": camera.id,
                "name": camera.name,
                "source_url": camera.source_url,
                "token_sha256": camera.token_digest,
            }
            for camera in deployment.cameras
        ],
    }
