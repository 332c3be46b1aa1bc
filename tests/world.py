"""A small force for tests: its people, a clock that can be moved, and a deployment at any point of its life."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordon.alerts import service as alerts
from cordon.alerts.model import Action, Alert
from cordon.alerts.service import IncomingHit, Request, TakenHit
from cordon.audit import model as audit_model  # noqa: F401
from cordon.delivery.model import DeploymentEvent
from cordon.deployments import service as deployments
from cordon.deployments.model import Deployment
from cordon.deployments.service import CameraPlan, CameraReport, Terms
from cordon.deployments.standing import PackStanding
from cordon.evaluation.calibration import Calibration
from cordon.people.model import Actor, Role, User
from cordon.platform.database import Base
from cordon.platform.ids import new_id
from cordon.platform.installation import Installation, UnitOfWork
from cordon.platform.settings import Settings
from cordon.retention import model as retention_model  # noqa: F401
from cordon.watchlists import service as watchlists
from cordon.watchlists.model import WatchlistEntry
from cordon.watchlists.service import NewEntry

MORNING = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
WINDOW_STARTS = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
WINDOW_ENDS = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[-0.1, 51.5], [-0.095, 51.5], [-0.095, 51.505], [-0.1, 51.505], [-0.1, 51.5]]],
}
# Not pictures: marked bytes, so that a search finds them wherever they should not be.
REFERENCE_PICTURE = b"\xff\xd8\xff\xe0REFERENCE-PICTURE-OF-THE-PERSON-SOUGHT" * 4
PROBE_PICTURE = b"\xff\xd8\xff\xe0PROBE-PICTURE-FROM-THE-STREET" * 4
CONTEXT_PICTURE = b"\xff\xd8\xff\xe0CONTEXT-PICTURE-OF-THE-STREET" * 4
SOUGHT_NAME = "Jonquil Featherstonehaugh"
REFERENCE_NUMBER = "PNC-2026-771-K"
# Made up, and large enough for 1 false alert in 10,000 faces with a list of 20,000: no real pack has been measured so.
OPERATIONAL_PACK = PackStanding(
    label="seeded 1",
    licence="None needed: it looks at no face",
    licence_scope="operational",
    calibration=Calibration(
        pack="seeded 1",
        data="invented scores",
        limits="They say nothing about anybody.",
        measured_on=date(2026, 11, 1),
        list_size=20_000,
        non_mated=60_000,
        curve_from=0.3,
        non_mated_scores=((0.45, 0), (0.42, 1), (0.4, 2), (0.38, 3), (0.37, 3), (0.3, 4)),
        mated_scores=tuple(((0.3 + number / 500, 0.1),) for number in range(300)),
    ),
)


class MovableClock:
    def __init__(self, now: datetime = MORNING) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def move_to(self, moment: datetime) -> None:
        self._now = moment

    def forward(self, **duration: float) -> None:
        self._now += timedelta(**duration)


@dataclass(frozen=True)
class MadeTemplate:
    template: NDArray[np.float32]
    picture_jpeg: bytes


class SeededEnroller:
    """Makes a unit vector out of the picture's bytes, and remembers none of it."""

    pack_label = "seeded 1"
    dimension = 128

    def enrol(self, picture: bytes) -> MadeTemplate:
        return MadeTemplate(template_of(picture), b"CROPPED:" + picture)


def template_of(picture: bytes) -> NDArray[np.float32]:
    vector = np.random.default_rng(list(picture)).standard_normal(SeededEnroller.dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class World:
    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        self.clock = MovableClock()
        environment = {"CORDON_DATA": str(folder), "CORDON_FORCE_NAME": "Testshire Police"}
        if database_url is not None:
            environment["DATABASE_URL"] = database_url
        self.settings = Settings.from_environment(environment)
        self.installation = Installation.open(self.settings, self.clock)
        Base.metadata.create_all(self.installation.database.engine)
        self.people: dict[str, Actor] = {}
        self.team: list[str] = []
        for name, role in [
            ("officer", Role.OFFICER),
            ("second_officer", Role.OFFICER),
            ("operator", Role.OPERATOR),
            ("coordinator", Role.COORDINATOR),
            ("authoriser", Role.AUTHORISER),
            ("manager", Role.WATCHLIST_MANAGER),
            ("auditor", Role.AUDITOR),
        ]:
            self.people[name] = self.person(name, role)

    def close(self) -> None:
        self.installation.database.dispose()

    def person(self, name: str, *roles: Role) -> Actor:
        """A user as a row and as a signed-in actor. No password: hashing one for each test would take seconds."""
        actor = Actor(new_id(), name.title(), name.upper()[:8], frozenset(roles), session_id="test", stepped_up=True)
        user = User(
            id=actor.user_id,
            username=f"{name}-{actor.user_id}",
            display_name=actor.display_name,
            callsign=actor.callsign,
            password_hash="none",
            roles=[role.value for role in roles],
        )
        with self.installation.write() as work:
            work.session.add(user)
        return actor

    def terms(self, **changed: Any) -> Terms:
        terms = Terms(
            reference=f"LFR/{uuid.uuid4().hex[:8]}",
            name="High Street, Saturday",
            purpose="wanted_serious",
            legal_basis="Common law policing powers",
            necessity="Two linked robberies in this street this week",
            proportionality="Four hours, one street, and nobody who does not match is kept",
            intelligence_case="Both suspects were seen here on the last two Saturdays",
            place_name="High Street, Testford",
            location_reason="crime_hotspot",
            zone=SQUARE,
            window_starts_at=WINDOW_STARTS,
            window_ends_at=WINDOW_ENDS,
            categories_sought=["wanted_warrant", "missing_child"],
            threshold=0.5,
            false_alert_budget=0.0001,
            dpia_reference="DPIA-1",
            policy_reference="APD-1",
            community_reference="CIA-1",
            community_notices=["The force's website from Thursday", "Leaflets to each shop in the street"],
            watchlist_retention_h=2,
            alert_retention_d=7,
        )
        return replace(terms, **changed)

    def drafted(self, **changed: Any) -> str:
        with self.installation.write() as work:
            deployment = deployments.draft(work, self.people["coordinator"], self.terms(**changed))
            plan = CameraPlan("North", "push:", -0.0975, 51.5025, 90.0)
            deployments.add_camera(work, self.people["coordinator"], deployment, plan)
            team = [self.people[name].user_id for name in ("officer", "second_officer", "operator", "coordinator")]
            deployments.set_members(work, self.people["coordinator"], deployment, team + self.team)
            return deployment.id

    def announced(self, **changed: Any) -> str:
        """Signed, its notice published, its signs confirmed."""
        deployment_id = self.drafted(**changed)
        with self.installation.write() as work:
            deployment = deployments.find(work, deployment_id)
            deployments.sign(work, self.people["authoriser"], deployment, OPERATIONAL_PACK, OPERATIONAL_PACK.statement)
            deployments.publish_notice(work, self.people["coordinator"], deployment)
            deployments.confirm_signs(work, self.people["coordinator"], deployment)
        return deployment_id

    def opened(self, **changed: Any) -> str:
        deployment_id = self.announced(**changed)
        self.clock.move_to(WINDOW_STARTS)
        with self.installation.write() as work:
            deployment = deployments.find(work, deployment_id)
            deployments.open_deployment(work, self.people["coordinator"], deployment, OPERATIONAL_PACK)
        return deployment_id

    def entry(self, deployment_id: str, number: str = REFERENCE_NUMBER, **changed: Any) -> str:
        new = NewEntry(
            reference_number=number,
            display_name=SOUGHT_NAME,
            category="wanted_warrant",
            action="arrest",
            reason="Wanted for robbery in Quincunx Road",
            provenance="Custody photograph",
            risk_warning="May carry a billhook",
        )
        picture = REFERENCE_PICTURE + number.encode()
        with self.installation.write() as work:
            deployment = deployments.find(work, deployment_id)
            entry = watchlists.add_entry(work, self.people["manager"], deployment, replace(new, **changed), [picture])
            watchlists.enrol_waiting(work, SeededEnroller())
            return entry.id

    def hit(self, deployment_id: str, entry_id: str, **changed: Any) -> TakenHit:
        with self.installation.write() as work:
            return alerts.take_hit(work, "engine-1", self.incoming(work, deployment_id, entry_id, **changed))

    def incoming(self, work: UnitOfWork, deployment_id: str, entry_id: str, **changed: Any) -> IncomingHit:
        hit = IncomingHit(
            hit_id=new_id(),
            deployment_id=deployment_id,
            camera_id=deployments.find(work, deployment_id).cameras[0].id,
            entry_id=entry_id,
            pack="seeded 1",
            score=0.7,
            threshold=0.5,
            captured_at=work.now,
            detected_at=work.now,
            track={"direction": "left"},
            quality={"face_px": 90},
            probe_jpeg=PROBE_PICTURE,
            context_jpeg=CONTEXT_PICTURE,
        )
        return replace(hit, **changed)

    def act(self, who: str, deployment_id: str, alert_id: str, action: Action, **more: Any) -> DeploymentEvent | None:
        key = more.pop("key", None) or new_id()
        with self.installation.write() as work:
            deployment = deployments.find(work, deployment_id, lock=True)
            request = Request(action=action, key=key, made_at=more.pop("made_at", work.now), **more)
            return alerts.act(work, self.people[who], deployment, alert_id, request)

    def alert(self, alert_id: str) -> Alert:
        with self.installation.read() as work:
            alert = work.session.get(Alert, alert_id)
            assert alert is not None
            _ = alert.hits
            work.session.expunge_all()
            return alert

    def deployment(self, deployment_id: str) -> Deployment:
        with self.installation.read() as work:
            deployment = deployments.find(work, deployment_id)
            _ = deployment.cameras, deployment.members
            work.session.expunge_all()
            return deployment

    def entry_row(self, entry_id: str) -> WatchlistEntry:
        with self.installation.read() as work:
            entry = work.session.get(WatchlistEntry, entry_id)
            assert entry is not None
            _ = entry.images
            work.session.expunge_all()
            return entry

    def faces(self, deployment_id: str, faces: int, run_id: str = "run-1") -> None:
        camera = self.deployment(deployment_id).cameras[0]
        report = CameraReport(camera.id, deployment_id, "live", "", 10.0, faces, faces * 9, 0, 80.0, 120.0, None)
        with self.installation.write() as work:
            deployments.take_camera_reports(work, run_id, [report])

    def written_bytes(self) -> bytes:
        """Everything in the data folder, one file after another."""
        return b"\n".join(path.read_bytes() for path in sorted(self.settings.data.rglob("*")) if path.is_file())
