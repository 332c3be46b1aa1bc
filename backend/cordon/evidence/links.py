"""Short-lived addresses of pictures, bound to one session: of no use to another person, in a log, or tomorrow."""

from __future__ import annotations

from datetime import timedelta

from itsdangerous import BadSignature, URLSafeTimedSerializer

from cordon.platform.errors import NotFound
from cordon.platform.installation import Installation

LINK_LIFE = timedelta(seconds=120)


def picture_link(installation: Installation, deployment_id: str, object_id: str, session_id: str) -> str:
    return f"/media/{_serializer(installation).dumps([deployment_id, object_id, session_id])}"


def read_link(installation: Installation, token: str, session_id: str) -> tuple[str, str]:
    """Deployment and object id. Raises NotFound for a link that is forged, too old, or another session's."""
    try:
        deployment_id, object_id, bound_to = _serializer(installation).loads(
            token, max_age=int(LINK_LIFE.total_seconds())
        )
    except (BadSignature, ValueError) as error:
        raise NotFound("picture") from error
    if bound_to != session_id:
        raise NotFound("picture")
    return str(deployment_id), str(object_id)


def _serializer(installation: Installation) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(installation.master_key, salt="picture link")
