"""How a deployment looks from outside."""

from __future__ import annotations

from typing import Any

from cordon.delivery import service as delivery
from cordon.deployments import service as deployments
from cordon.deployments.model import Camera, Deployment, DeploymentVersion
from cordon.deployments.standing import PackStanding
from cordon.people import service as people
from cordon.platform.clock import iso, iso_or_none
from cordon.platform.installation import UnitOfWork
from cordon.watchlists import service as watchlists
from cordon.watchlists.model import EntryStatus


def summary(deployment: Deployment, user_id: str) -> dict[str, Any]:
    return {
        "id": deployment.id,
        "name": deployment.name,
        "reference": deployment.reference,
        "state": deployment.state,
        "window_starts_at": iso(deployment.window_starts_at),
        "window_ends_at": iso(deployment.window_ends_at),
        "purpose": deployment.purpose,
        "place_name": deployment.place_name,
        "member": deployment.has_member(user_id),
        "marked_exercise": deployment.marked_exercise,
    }


def camera_view(camera: Camera, faces: int) -> dict[str, Any]:
    health = camera.health or {}
    return {
        "id": camera.id,
        "name": camera.name,
        "position": [camera.longitude, camera.latitude],
        "heading_deg": camera.heading_deg,
        "fov_deg": camera.fov_deg,
        "range_m": camera.range_m,
        "source_kind": camera.source_url.partition(":")[0],
        "health": {
            "state": camera.health_state,
            "detail": health.get("detail", ""),
            "fps": health.get("fps", 0.0),
            "faces_seen": faces,
            "frames_dropped": health.get("frames_dropped", 0),
            "median_face_px": health.get("median_face_px"),
            "brightness": health.get("brightness"),
            "last_frame_at": health.get("last_frame_at"),
        },
    }


def full(work: UnitOfWork, deployment: Deployment, user_id: str, pack: PackStanding) -> dict[str, Any]:
    faces = deployments.faces_seen(work, deployment.id)
    people_named = people.users_by_id(
        work, [uid for uid in (deployment.author_id, deployment.signed_by_id) if uid is not None]
    )
    numbers = watchlists.counts(work, deployment.id)
    signer = people_named.get(deployment.signed_by_id or "")
    author = people_named.get(deployment.author_id)
    return {
        **summary(deployment, user_id),
        **{
            name: getattr(deployment, name)
            for name in (
                "legal_basis",
                "necessity",
                "location_reason",
                "zone",
                "cordon_points",
                "categories_sought",
                "list_limit",
                "threshold",
                "false_alert_budget",
                "adjudication",
                "adjudication_deadline_s",
                "re_alert_s",
                "alert_expiry_s",
                "minimum_face_px",
                "watchlist_retention_h",
                "alert_retention_d",
                "dpia_reference",
                "policy_reference",
                "community_reference",
                "suspended_by_authoriser",
                "version",
            )
        },
        "proportionality": deployment.proportionality or "",
        "intelligence_case": deployment.intelligence_case or "",
        "community_notices": deployment.community_notices or [],
        "notice_published_at": iso_or_none(deployment.notice_published_at),
        "signs_confirmed_at": iso_or_none(deployment.signs_confirmed_at),
        "author": _person(author.id, author.display_name, author.callsign) if author else None,
        "signed_by": _person(signer.id, signer.display_name, signer.callsign) if signer else None,
        "signed_at": iso_or_none(deployment.signed_at),
        "members": [member.user_id for member in deployment.members],
        "cameras": [camera_view(camera, faces.get(camera.id, 0)) for camera in deployment.cameras],
        "watchlist": {
            "entries": numbers.get(EntryStatus.READY, 0) + numbers.get(EntryStatus.ENROLLING, 0),
            "ready": numbers.get(EntryStatus.READY, 0),
            "refused": numbers.get(EntryStatus.REFUSED, 0),
            "revision": watchlists.watchlist(work, deployment.id).revision,
        },
        "faces_seen": sum(faces.values()),
        "search": deployment.search_report,
        "last_seq": delivery.last_seq(work, deployment.id),
        "operating_point": pack.shown(deployment.list_limit, deployment.false_alert_budget),
    }


def version_views(work: UnitOfWork, versions: list[DeploymentVersion]) -> list[dict[str, Any]]:
    known = people.users_by_id(
        work, [uid for one in versions for uid in (one.proposed_by_id, one.signed_by_id) if uid is not None]
    )

    def person(user_id: str | None) -> dict[str, str] | None:
        user = known.get(user_id or "")
        return None if user is None else _person(user.id, user.display_name, user.callsign)

    return [
        {
            "number": one.number,
            "status": one.status,
            "reason": one.reason,
            "widens": one.widens,
            "terms": _without_secrets(one.terms),
            "terms_hash": one.terms_hash,
            "proposed_by": person(one.proposed_by_id),
            "proposed_at": iso(one.proposed_at),
            "signed_by": person(one.signed_by_id),
            "signed_at": iso_or_none(one.signed_at),
            "ended_at": iso_or_none(one.ended_at),
        }
        for one in versions
    ]


def _without_secrets(terms: dict[str, Any]) -> dict[str, Any]:
    """A camera's address may carry its password."""
    hidden = {"source_url", "token_digest"}
    if not all(isinstance(camera, dict) for camera in terms["cameras"]):
        return {**terms, "cameras": [camera[1] for camera in terms["cameras"]]}
    return {
        **terms,
        "cameras": [
            {
                **{key: value for key, value in camera.items() if key not in hidden},
                "source_kind": camera["source_url"].partition(":")[0],
            }
            for camera in terms["cameras"]
        ],
    }


def _person(user_id: str, display_name: str, callsign: str) -> dict[str, str]:
    return {"id": user_id, "display_name": display_name, "callsign": callsign}
