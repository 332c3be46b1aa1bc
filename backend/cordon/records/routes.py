"""The record, for the desk and those who oversee; the public notice, for everybody, without sign-in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint as PlainBlueprint
from flask import Response, make_response, render_template, request, send_from_directory
from flask_smorest import Blueprint

from cordon.api.guard import Call, guarded, installation, open_to_all
from cordon.audit import service as audit
from cordon.deployments import service as deployments
from cordon.platform.errors import NotFound
from cordon.records import notice as notices
from cordon.records import service as records
from cordon.records.schemas import RecordSchema

blueprint = Blueprint("records", __name__, url_prefix="/api/v1/deployments", description="A deployment's record")
notice_blueprint = PlainBlueprint("notice", __name__, template_folder="templates")

# The page is words and one stylesheet: nothing may run, load or be framed.
NOTICE_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.route("/<deployment_id>/record", methods=["GET"])
@guarded("record.view", records=True)
@blueprint.response(200, RecordSchema)
def record(call: Call) -> Any:
    audit.record(call.work, "record.read", call.deployment.id, actor=call.actor.audit_name, scope=call.deployment.id)
    return records.deployment_record(call.work, call.deployment)


@notice_blueprint.get("/notice/notice.css")
@open_to_all
def style() -> Response:
    response = send_from_directory(notices.STATIC, "notice.css")
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@notice_blueprint.get("/notice/<deployment_id>")
@open_to_all
def notice(deployment_id: str) -> Response:
    here = installation()
    words = notices.words_for([request.args.get("language", ""), *request.accept_languages.values()])
    force, contact = here.settings.force_name, here.settings.contact
    with here.read() as work:
        try:
            deployment = deployments.find(work, deployment_id)
            shown = (
                notices.content(deployment, words, work.now, force=force, contact=contact)
                if notices.is_public(deployment)
                else None
            )
        except NotFound:
            shown = None
    if shown is None:
        # A draft answers like an address that never was: that something is planned is nobody's to find out.
        return _page(render_template("notice_missing.html", words=words, force=force), 404)
    others = [(one.language, one.say("language_name")) for one in notices.languages().values() if one is not words]
    return _page(render_template("notice.html", notice=shown, force=force, other_languages=others), 200)


def _page(html: str, status: int) -> Response:
    response = make_response(html, status)
    response.headers["Content-Security-Policy"] = NOTICE_SECURITY_POLICY
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Vary"] = "Accept-Language"
    return response
