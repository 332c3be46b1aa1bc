"""How a member of a deployment's team looks to the others."""

from __future__ import annotations

from typing import Any

from cordon.people.model import DutyStatus, User
from cordon.platform.clock import iso, iso_or_none


def member_view(user: User, status: DutyStatus | None) -> dict[str, Any]:
    position = None
    if status is not None and status.longitude is not None and status.position_at is not None:
        position = {
            "lon": status.longitude,
            "lat": status.latitude,
            "accuracy_m": status.accuracy_m,
            "at": iso(status.position_at),
        }
    return {
        "user_id": user.id,
        "display_name": user.display_name,
        "callsign": user.callsign,
        "roles": user.roles,
        "on_duty": status is not None and status.on_duty,
        "last_seen_at": iso_or_none(None if status is None else status.last_seen_at),
        "position": position,
    }
