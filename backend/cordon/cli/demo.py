"""`cordon demo`: what a first look needs. Users of each role, an exercise that is open now, and a simulated camera.

Everything goes through the services, as people would do it: drafted by the coordinator, signed by the authorising
officer, announced, opened. Repeating it keeps what is there and makes a new exercise once the last one is over.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click

from cordon.cli.users import new_password
from cordon.deployments import service as deployments
from cordon.deployments.model import CATEGORIES, Deployment
from cordon.deployments.service import CameraPlan, Terms
from cordon.deployments.standing import PackStanding
from cordon.people import service as people
from cordon.people.model import Actor, Role, User
from cordon.platform.ids import new_id
from cordon.platform.installation import Installation, UnitOfWork
from cordon.platform.settings import Settings
from cordon.simulate.people import DemoPerson, NotEnoughFaces, Picture, faces_for_demo
from cordon.simulate.scene import SceneSettings, render_scene
from cordon.vision.enrol import ReferenceRefused, enrol_reference
from cordon.vision.images import encode_jpeg
from cordon.vision.packs import Pack, PackUnavailable, load_pack
from cordon.watchlists import service as watchlists
from cordon.watchlists.enroller import PackEnroller
from cordon.watchlists.service import NewEntry

FIRST_USERS: tuple[tuple[str, str, str, tuple[Role, ...]], ...] = (
    ("officer", "Sam Okafor", "Oscar 1", (Role.OFFICER,)),
    ("officer2", "Jo Price", "Oscar 2", (Role.OFFICER,)),
    ("operator", "Ada Lewis", "Desk 1", (Role.OPERATOR,)),
    ("coordinator", "Ravi Shah", "Gold 1", (Role.COORDINATOR,)),
    ("authoriser", "Supt Helen Ward", "Auth 1", (Role.AUTHORISER,)),
    ("manager", "Tom Reid", "List 1", (Role.WATCHLIST_MANAGER,)),
    ("auditor", "Mei Lin", "Audit 1", (Role.AUDITOR,)),
    ("admin", "Installation administrator", "Admin 1", (Role.ADMINISTRATOR,)),
)
PEOPLE, LISTED = 14, 5
SCENE = SceneSettings(seconds=48, seed=7)
# A square of about 300 metres; the place is invented.
CENTRE = (-3.1766, 51.4805)
WINDOW = timedelta(hours=12)
ENOUGH_LEFT = timedelta(hours=1)
# Shown together they cover each category, action and warning that a card can carry.
ROLES_PLAYED = (
    ("wanted_warrant", "arrest", "Warrant for failing to appear at court.", ""),
    ("missing_adult", "safeguard", "Missing since yesterday, needs medication.", ""),
    ("wanted_arrest", "do_not_approach_alone", "Wanted on suspicion of robbery.", "May carry a knife"),
    ("court_conditions", "check_conditions", "Must not enter the market between 10:00 and 18:00.", ""),
    ("missing_child", "safeguard", "Missing from a residential home.", ""),
)


@click.command()
def demo() -> None:
    """Set up the demonstration: users, an open exercise, a simulated camera."""
    installation = Installation.open(Settings.from_environment())
    _say("Looking for a model pack …")
    try:
        pack = load_pack(installation.settings.pack)
    except PackUnavailable as unavailable:
        raise click.ClickException(str(unavailable)) from unavailable
    _say(f"Model pack: {pack.manifest.name} ({pack.manifest.licence})")
    if pack.manifest.licence_scope != "operational":
        click.secho("  This pack is FOR EXERCISES ONLY; every screen says so.", bold=True, err=True)
    _first_users(installation)
    if _exercise_is_running(installation, pack):
        _say("The demonstration of the last run is still open.")
        return
    _new_exercise(installation, pack)


def _first_users(installation: Installation) -> None:
    with installation.write() as work:
        known = {user.username for user in people.all_users(work)}
        passwords = {
            username: _add(work, username, name, callsign, roles)
            for username, name, callsign, roles in FIRST_USERS
            if username not in known
        }
    if not passwords:
        return
    click.echo("\nThe first users. Their passwords are shown this once; keep them:\n")
    for username, name, _callsign, roles in FIRST_USERS:
        if username in passwords:
            click.echo(f"  {username:12} {passwords[username]}   {name} ({', '.join(role.value for role in roles)})")
    click.echo("")


def _add(work: UnitOfWork, username: str, name: str, callsign: str, roles: tuple[Role, ...]) -> str:
    password = new_password()
    people.add_user(
        work,
        username=username,
        display_name=name,
        callsign=callsign,
        password=password,
        roles=list(roles),
        by="cordon demo",
    )
    return password


def _exercise_is_running(installation: Installation, pack: Pack) -> bool:
    """An exercise whose list was made with another pack is of no use: its templates cannot be compared."""
    with installation.read() as work:
        return any(
            deployment.reference.startswith("DEMO-")
            and deployment.window_ends_at - work.now > ENOUGH_LEFT
            and watchlists.watchlist(work, deployment.id).pack == pack.label
            for deployment in deployments.running(work)
        )


def _new_exercise(installation: Installation, pack: Pack) -> None:
    cast = cast_of(pack)
    video = _rendered(installation.settings.data, cast, pack)
    with installation.write() as work:
        deployment = _drafted(work, pack, video)
    _say(f"Enrolling {sum(person.walker.listed for person in cast)} people …")
    _enrol(installation, pack, deployment.id, cast)
    with installation.write() as work:
        _opened(work, deployment.id, pack)
    _say("The demonstration is open.")


def cast_of(pack: Pack) -> list[DemoPerson]:
    """As many people as the photographs give: the sample photograph of insightface holds six."""
    for walking, listed in ((PEOPLE, LISTED), (6, 3), (4, 2)):
        try:
            return faces_for_demo(
                pack.detector,
                people=walking,
                listed=listed,
                seed=SCENE.seed,
                embedder=pack.embedder,
                enrols=partial(_enrols, pack),
            )
        except NotEnoughFaces:
            continue
    raise click.ClickException("The demonstration needs photographs of at least four people.")


def _enrols(pack: Pack, reference: Picture) -> bool:
    try:
        enrol_reference(pack, _reference_file(reference))
    except ReferenceRefused:
        return False
    return True


def _reference_file(reference: Picture) -> bytes:
    return encode_jpeg(reference, longest_side=1_000, quality=95)


def _rendered(data: Path, cast: list[DemoPerson], pack: Pack) -> Path:
    """One rendering for each cast; it holds no more than the photographs it was made of, and is kept for the next run."""
    folder = data / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    video = folder / "camera.mp4"
    stamp = folder / "cast.txt"
    photographs = hashlib.sha256(b"".join(person.walker.photo.tobytes() for person in cast)).hexdigest()
    labels = f"{pack.label}\n{SCENE!r}\n{len(cast)} people\n{photographs}\n"
    if video.is_file() and stamp.is_file() and stamp.read_text() == labels:
        return video
    _say("Rendering the simulated camera (about half a minute) …")

    def progress(done: int, frames: int) -> None:
        if done % (frames // 5) == 0:
            _say(f"  {100 * done // frames} %")

    render_scene([person.walker for person in cast], SCENE, video, progress=progress).save(folder / "truth.json")
    stamp.write_text(labels)
    return video


def _drafted(work: UnitOfWork, pack: Pack, video: Path) -> Deployment:
    users = _users(work)
    coordinator = _actor(users["coordinator"])
    deployment = deployments.draft(work, coordinator, _terms(work, pack))
    lon, lat = CENTRE
    deployments.add_camera(
        work,
        coordinator,
        deployment,
        CameraPlan("Market Street", f"file:{video}?loop=1", lon - 0.0006, lat + 0.0002, 110, 55, 45),
    )
    deployments.set_members(work, coordinator, deployment, [users[name].id for name, *_ in FIRST_USERS[:6]])
    return deployment


def _opened(work: UnitOfWork, deployment_id: str, pack: Pack) -> None:
    users = _users(work)
    coordinator = _actor(users["coordinator"])
    deployment = deployments.find(work, deployment_id, lock=True)
    standing = PackStanding.of(pack.manifest)
    deployments.sign(work, _actor(users["authoriser"], stepped_up=True), deployment, standing)
    deployments.publish_notice(work, coordinator, deployment)
    deployments.confirm_signs(work, coordinator, deployment)
    deployments.open_deployment(work, coordinator, deployment, standing)


def _enrol(installation: Installation, pack: Pack, deployment_id: str, cast: list[DemoPerson]) -> None:
    enroller = PackEnroller(installation.settings.pack, pack)
    for number, person in enumerate(person for person in cast if person.walker.listed):
        category, action, reason, warning = ROLES_PLAYED[number % len(ROLES_PLAYED)]
        entry = NewEntry(
            reference_number=f"EX-{number + 1:04d}",
            display_name=f"Exercise person {chr(ord('A') + number)}",
            category=category,
            action=action,
            reason=reason,
            provenance="Demonstration photograph",
            risk_warning=warning,
            under_18=category == "missing_child",
            vulnerable=category.startswith("missing"),
        )
        with installation.write() as work:
            manager = _actor(_users(work)["manager"])
            deployment = deployments.find(work, deployment_id, lock=True)
            watchlists.add_entry(work, manager, deployment, entry, [_reference_file(person.reference)])
    while True:
        with installation.write() as work:
            if watchlists.enrol_waiting(work, enroller) == 0:
                return


def _terms(work: UnitOfWork, pack: Pack) -> Terms:
    lon, lat = CENTRE
    east, north = 0.0021, 0.0013
    ring = [[lon - east, lat - north], [lon + east, lat - north], [lon + east, lat + north], [lon - east, lat + north]]
    points: list[dict[str, Any]] = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "Point", "coordinates": [lon + dx, lat + dy]},
        }
        for name, dx, dy in (
            ("North post", 0.0004, 0.0009),
            ("Station exit", 0.0014, -0.0003),
            ("Van", -0.0013, -0.0008),
        )
    ]
    return Terms(
        reference=f"DEMO-{work.now:%Y%m%d}-{new_id()[:4]}",
        name="Demonstration exercise",
        purpose="wanted_court",
        legal_basis="Exercise with photographs; no member of the public is processed.",
        necessity="To show how Cordon is used.",
        proportionality="Photographs that were published for the purpose; nobody is looked at.",
        intelligence_case="None: an exercise.",
        place_name="Market Street (simulated)",
        location_reason="hotspot_access",
        zone={"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        cordon_points={"type": "FeatureCollection", "features": points},
        window_starts_at=work.now - timedelta(minutes=1),
        window_ends_at=work.now + WINDOW,
        categories_sought=list(CATEGORIES),
        threshold=pack.manifest.suggested_threshold,
        false_alert_budget=1e-3,
        dpia_reference="DPIA-EXERCISE",
        policy_reference="APD-EXERCISE",
        community_reference="CIA-EXERCISE",
        community_notices=["None: an exercise without the public"],
        marked_exercise=True,
        re_alert_s=120,
        alert_expiry_s=600,
    )


def _users(work: UnitOfWork) -> dict[str, User]:
    return {user.username: user for user in people.all_users(work)}


def _actor(user: User, *, stepped_up: bool = False) -> Actor:
    roles = frozenset(Role(role) for role in user.roles)
    return Actor(user.id, user.display_name, user.callsign, roles, "cordon demo", stepped_up)


def _say(line: str) -> None:
    click.echo(line, err=True)
