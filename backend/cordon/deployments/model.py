"""A deployment: its terms, its life, its zone and cameras. Everything belongs to one, and dies with it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from cordon.platform.clock import iso
from cordon.platform.database import Base


class DeploymentState(StrEnum):
    DRAFT = "draft"
    AUTHORISED = "authorised"
    OPEN = "open"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    PURGED = "purged"


# The whole life of a deployment. Nothing changes a state except `move`, and `move` asks this table.
TRANSITIONS: dict[DeploymentState, frozenset[DeploymentState]] = {
    DeploymentState.DRAFT: frozenset({DeploymentState.AUTHORISED, DeploymentState.CLOSED}),
    DeploymentState.AUTHORISED: frozenset({DeploymentState.OPEN, DeploymentState.CLOSED}),
    DeploymentState.OPEN: frozenset({DeploymentState.SUSPENDED, DeploymentState.CLOSED}),
    DeploymentState.SUSPENDED: frozenset({DeploymentState.OPEN, DeploymentState.CLOSED}),
    DeploymentState.CLOSED: frozenset({DeploymentState.PURGED}),
    DeploymentState.PURGED: frozenset(),
}

# A bespoke list and a small, targeted area make a deployment lawful: an installation may go lower, not higher.
MAX_LIST_ENTRIES = 50_000
MAX_CAMERAS = 16
MAX_ZONE_M2 = 1_000_000.0
MAX_WINDOW = timedelta(hours=24)
MAX_WATCHLIST_RETENTION_H = 24
MAX_ALERT_RETENTION_D = 31

PURPOSES = {
    "wanted_serious": "Locate people wanted for serious or violent offences",
    "wanted_court": "Locate people wanted by the courts",
    "missing_at_risk": "Find missing people at risk of harm",
    "protect_event": "Protect a public event from a specific threat",
    "conditions": "Manage people subject to court conditions",
}
CATEGORIES = {
    "wanted_arrest": "Wanted on suspicion of an offence",
    "wanted_warrant": "Wanted on a court warrant",
    "missing_child": "Missing child",
    "missing_adult": "Missing vulnerable adult",
    "court_conditions": "Subject to court conditions",
    "threat_to_event": "Poses a threat to this event",
}
ACTIONS = {
    "arrest": "Arrest",
    "safeguard": "Safeguard",
    "check_conditions": "Check conditions",
    "do_not_approach_alone": "Do not approach alone",
    "inform_coordinator": "Inform the coordinator",
}
LOCATION_REASONS = {
    "crime_hotspot": "Crime hotspot",
    "hotspot_access": "Access route to a crime hotspot",
    "event_security": "Protective security at an event",
    "intelligence": "Intelligence that those sought are likely to be here",
}


class Adjudication(StrEnum):
    FIRST = "adjudicate_first"
    PARALLEL = "parallel"


class Deployment(Base):
    __tablename__ = "deployments"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    reference: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    state: Mapped[str] = mapped_column(String(20), default=DeploymentState.DRAFT.value)
    version: Mapped[int] = mapped_column(default=1)
    marked_exercise: Mapped[bool]
    """An exercise with consenting people: the only use of a pack that is not licensed or calibrated for operations."""

    purpose: Mapped[str] = mapped_column(String(40))
    legal_basis: Mapped[str] = mapped_column(Text)
    necessity: Mapped[str] = mapped_column(Text)
    proportionality: Mapped[str | None] = mapped_column(Text)
    """None in what was signed before it was asked for apart: such terms stay as they are, and cannot be amended."""
    intelligence_case: Mapped[str | None] = mapped_column(Text)
    place_name: Mapped[str] = mapped_column(String(200))
    location_reason: Mapped[str] = mapped_column(String(40))
    zone: Mapped[dict[str, Any]]
    cordon_points: Mapped[dict[str, Any]]
    window_starts_at: Mapped[datetime]
    window_ends_at: Mapped[datetime]
    categories_sought: Mapped[list[str]]
    list_limit: Mapped[int]
    threshold: Mapped[float]
    false_alert_budget: Mapped[float]
    """False alerts for each face seen that the authoriser accepts, for example 0.0001."""
    adjudication: Mapped[str] = mapped_column(String(20))
    adjudication_deadline_s: Mapped[int]
    re_alert_s: Mapped[int]
    alert_expiry_s: Mapped[int]
    minimum_face_px: Mapped[int]
    watchlist_retention_h: Mapped[int]
    alert_retention_d: Mapped[int]
    dpia_reference: Mapped[str] = mapped_column(String(120))
    policy_reference: Mapped[str] = mapped_column(String(120))
    community_reference: Mapped[str] = mapped_column(String(120))
    community_notices: Mapped[list[str] | None]
    """How the people of the place are told beforehand, one line for each way."""

    author_id: Mapped[str] = mapped_column(String(36))
    signed_by_id: Mapped[str | None] = mapped_column(String(36))
    signed_at: Mapped[datetime | None]
    signed_terms_hash: Mapped[str | None] = mapped_column(String(64))
    signed_pack: Mapped[dict[str, Any] | None]
    """The model pack under the signature: label, statement, whether it was acknowledged, the threshold derived."""
    search_report: Mapped[dict[str, Any] | None]
    """How the engine searches the list, as its last heartbeat said: `SearchReport`."""
    notice_published_at: Mapped[datetime | None]
    signs_confirmed_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    watchlist_purged_at: Mapped[datetime | None]
    alerts_purged_at: Mapped[datetime | None]
    suspended_by_id: Mapped[str | None] = mapped_column(String(36))
    suspended_by_authoriser: Mapped[bool] = mapped_column(default=False)

    all_cameras: Mapped[list[Camera]] = relationship(order_by="Camera.name", cascade="all, delete-orphan")
    members: Mapped[list[DeploymentMember]] = relationship(cascade="all, delete-orphan")

    def may_match(self, now: datetime) -> bool:
        """The one question that every match depends on: authorised, announced, open, and inside its window."""
        return (
            self.state == DeploymentState.OPEN
            and self.signed_terms_hash == self.terms_hash()
            and self.notice_published_at is not None
            and self.signs_confirmed_at is not None
            and self.window_starts_at <= now < self.window_ends_at
        )

    def has_member(self, user_id: str) -> bool:
        return any(member.user_id == user_id for member in self.members)

    @property
    def cameras(self) -> list[Camera]:
        """Those of the terms in force. One that a later version took out stays for the record, in `all_cameras`."""
        return [camera for camera in self.all_cameras if camera.withdrawn_at is None]

    def camera(self, camera_id: str) -> Camera | None:
        return next((camera for camera in self.cameras if camera.id == camera_id), None)

    def camera_ever(self, camera_id: str) -> Camera | None:
        """Also one that has been taken out since: for what it saw while it was in."""
        return next((camera for camera in self.all_cameras if camera.id == camera_id), None)

    @property
    def watchlist_deadline(self) -> datetime:
        """From the window's end, or from an earlier close: a list does not outlive its use."""
        end = min(self.closed_at or self.window_ends_at, self.window_ends_at)
        return end + timedelta(hours=self.watchlist_retention_h)

    @property
    def alerts_deadline(self) -> datetime:
        return min(self.closed_at or self.window_ends_at, self.window_ends_at) + timedelta(days=self.alert_retention_d)

    def terms(self) -> dict[str, Any]:
        """What the authorising officer signs: who, where, when, why, how, and with which cameras."""
        if self.proportionality is None:
            return self._first_terms()
        return terms_document(
            {name: getattr(self, name) for name in SIGNED_COLUMNS},
            [camera.signed_for() for camera in self.cameras],
            self.id,
            self.signed_pack,
        )

    def terms_hash(self) -> str:
        return terms_hash(self.terms())

    def _first_terms(self) -> dict[str, Any]:
        """As they were put before proportionality, intelligence and notices were asked for: old signatures stay valid."""
        terms = {
            "id": self.id,
            "reference": self.reference,
            "name": self.name,
            "marked_exercise": self.marked_exercise,
            "purpose": self.purpose,
            "legal_basis": self.legal_basis,
            "necessity": self.necessity,
            "place_name": self.place_name,
            "location_reason": self.location_reason,
            "zone": self.zone,
            "window": [iso(self.window_starts_at), iso(self.window_ends_at)],
            "categories_sought": sorted(self.categories_sought),
            "list_limit": self.list_limit,
            "threshold": float(self.threshold),
            "false_alert_budget": float(self.false_alert_budget),
            "adjudication": [
                self.adjudication,
                self.adjudication_deadline_s,
                self.re_alert_s,
                self.alert_expiry_s,
            ],
            "retention": [self.watchlist_retention_h, self.alert_retention_d],
            "references": [self.dpia_reference, self.policy_reference, self.community_reference],
            "minimum_face_px": self.minimum_face_px,
            "cameras": sorted(
                [c.id, c.name, c.source_url, float(c.longitude), float(c.latitude), float(c.heading_deg)]
                for c in self.cameras
            ),
        }
        # Signatures of before packs were signed for stay valid.
        return terms if self.signed_pack is None else {**terms, "pack": self.signed_pack}


# Every column that goes under the signature. What is not here (team, posts of the cordon) may change from shift to shift.
SIGNED_COLUMNS = (
    "reference",
    "name",
    "marked_exercise",
    "purpose",
    "legal_basis",
    "necessity",
    "proportionality",
    "intelligence_case",
    "place_name",
    "location_reason",
    "zone",
    "window_starts_at",
    "window_ends_at",
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
    "community_notices",
)
_MOMENTS = ("window_starts_at", "window_ends_at")
_FRACTIONS = ("threshold", "false_alert_budget")


def terms_document(
    values: dict[str, Any], cameras: list[dict[str, Any]], deployment_id: str, pack: dict[str, Any] | None
) -> dict[str, Any]:
    """The terms as one JSON document that can be hashed, compared, and put in force again. `values`: SIGNED_COLUMNS."""
    document = {name: values[name] for name in SIGNED_COLUMNS}
    document |= {name: iso(document[name]) for name in _MOMENTS}
    document |= {name: float(document[name]) for name in _FRACTIONS}
    document["categories_sought"] = sorted(set(document["categories_sought"]))
    document["cameras"] = sorted(cameras, key=lambda camera: camera["id"])
    return {**document, "id": deployment_id, "pack": pack}


def values_of(document: dict[str, Any]) -> dict[str, Any]:
    """The columns' values out of a document: the way back from `terms_document`."""
    values = {name: document[name] for name in SIGNED_COLUMNS}
    return values | {name: datetime.fromisoformat(values[name]) for name in _MOMENTS}


def terms_hash(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class VersionStatus(StrEnum):
    PROPOSED = "proposed"
    IN_FORCE = "in_force"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"


class DeploymentVersion(Base):
    """The terms as they were signed, and each change of them: who wanted it, who signed it, when and why."""

    __tablename__ = "deployment_versions"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(20))
    terms: Mapped[dict[str, Any]]
    terms_hash: Mapped[str] = mapped_column(String(64))
    base_hash: Mapped[str | None] = mapped_column(String(64))
    """The terms that this changes: where others are in force by now, it is not signed but proposed anew."""
    widens: Mapped[list[str]]
    reason: Mapped[str] = mapped_column(Text)
    proposed_by_id: Mapped[str] = mapped_column(String(36))
    proposed_at: Mapped[datetime]
    signed_by_id: Mapped[str | None] = mapped_column(String(36))
    """An authorising officer; or, where nothing is widened, whoever narrowed it."""
    signed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class DeploymentMember(Base):
    __tablename__ = "deployment_members"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)


class Camera(Base):
    __tablename__ = "cameras"
    __table_args__ = (UniqueConstraint("deployment_id", "name"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    source_url: Mapped[str] = mapped_column(String(500))
    token_digest: Mapped[str] = mapped_column(String(64))
    longitude: Mapped[float]
    latitude: Mapped[float]
    heading_deg: Mapped[float]
    fov_deg: Mapped[float]
    range_m: Mapped[float]

    health_state: Mapped[str] = mapped_column(String(20), default="not_started")
    health: Mapped[dict[str, Any]] = mapped_column(default=dict)
    health_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]

    def signed_for(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "source_url": self.source_url,
            "token_digest": self.token_digest,
            **{name: float(getattr(self, name)) for name in ("longitude", "latitude", "heading_deg")},
            **{name: float(getattr(self, name)) for name in ("fov_deg", "range_m")},
        }


class FacesSeen(Base):
    """The only thing that is left of those who did not match: a count, for each camera and run of an engine."""

    __tablename__ = "faces_seen"

    camera_id: Mapped[str] = mapped_column(ForeignKey("cameras.id"), primary_key=True)
    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(String(36), index=True)
    faces: Mapped[int]
    frames_read: Mapped[int]
    frames_dropped: Mapped[int]


def zone_ring(zone: dict[str, Any]) -> list[tuple[float, float]]:
    """The outer ring of a GeoJSON polygon as (lon, lat). Raises ValueError with a sentence for the author."""
    if zone.get("type") != "Polygon":
        raise ValueError("The zone must be one GeoJSON polygon.")
    rings = zone.get("coordinates")
    if not isinstance(rings, list) or len(rings) != 1 or not isinstance(rings[0], list):
        raise ValueError("The zone must be one ring without holes.")
    try:
        ring = [(float(lon), float(lat)) for lon, lat in rings[0]]
    except (TypeError, ValueError) as error:
        raise ValueError("Each corner of the zone needs a longitude and a latitude.") from error
    if len(ring) < 4 or ring[0] != ring[-1] or len(ring) > 200:
        raise ValueError("The zone must be a closed ring of at least three corners.")
    if not all(math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 180 and abs(lat) <= 85 for lon, lat in ring):
        raise ValueError("A corner of the zone is not on the map.")
    return ring


def zone_area_m2(ring: list[tuple[float, float]]) -> float:
    """Shoelace area on a plane touching the first corner; exact enough for a zone of a square kilometre."""
    metres = [_metres_from(ring[0], corner) for corner in ring]
    twice = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in itertools.pairwise(metres))
    return abs(twice) / 2


def inside_zone(ring: list[tuple[float, float]], lon: float, lat: float) -> bool:
    """Even-odd rule."""
    inside = False
    for (x1, y1), (x2, y2) in itertools.pairwise(ring):
        if (y1 > lat) != (y2 > lat) and lon < (x2 - x1) * (lat - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


def _metres_from(origin: tuple[float, float], point: tuple[float, float]) -> tuple[float, float]:
    metres_a_degree = 111_320.0
    east = (point[0] - origin[0]) * metres_a_degree * math.cos(math.radians(origin[1]))
    return east, (point[1] - origin[1]) * metres_a_degree
