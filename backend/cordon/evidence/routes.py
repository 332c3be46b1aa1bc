"""Pictures, opened for the person whose link it is, as long as they still belong to the deployment."""

from __future__ import annotations

from flask import Blueprint, Response

from cordon.api.guard import installation, open_to_all, signed_in
from cordon.deployments import service as deployments
from cordon.evidence import service as evidence
from cordon.evidence.links import read_link
from cordon.people import service as people

blueprint = Blueprint("media", __name__)


@blueprint.get("/media/<token>")
@open_to_all
def picture(token: str) -> Response:
    """Open to all only in name: the link holds for the session that asked for it, which is checked here."""
    here = installation()
    with here.read() as work:
        actor = signed_in(work, check_csrf=False)
        deployment_id, object_id = read_link(here, token, actor.session_id)
        deployment = deployments.find(work, deployment_id)
        people.permit(actor, "deployments.view", member=deployment.has_member(actor.user_id))
        data = evidence.fetch(work, deployment_id, object_id)
    response = Response(data, mimetype="image/jpeg")
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Content-Disposition"] = "inline"
    return response
