"""Signed terms change by signed versions: narrower at once, wider by an authorising officer who did not propose it."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from datetime import timedelta
from typing import Any

import pytest

from cordon.alerts import service as alerts
from cordon.audit import service as audit
from cordon.deployments import amendments
from cordon.deployments import service as deployments
from cordon.deployments.amendments import PlannedCamera
from cordon.deployments.model import Deployment, DeploymentVersion, terms_hash
from cordon.deployments.service import CameraPlan
from cordon.people.model import Role
from cordon.platform.errors import Refusal
from cordon.watchlists import service as watchlists
from world import MORNING, OPERATIONAL_PACK, SQUARE, WINDOW_ENDS, WINDOW_STARTS, World

HALF = {
    "type": "Polygon",
    "coordinates": [[[-0.1, 51.5], [-0.0965, 51.5], [-0.0965, 51.505], [-0.1, 51.505], [-0.1, 51.5]]],
}
LARGER = {
    "type": "Polygon",
    "coordinates": [[[-0.101, 51.5], [-0.095, 51.5], [-0.095, 51.505], [-0.101, 51.505], [-0.101, 51.5]]],
}
NEW_CAMERA = PlannedCamera(CameraPlan("South", "push:", -0.0985, 51.501, 0.0))


def propose(
    world: World,
    deployment_id: str,
    cameras: list[PlannedCamera] | None = None,
    who: str = "coordinator",
    **changes: Any,
) -> DeploymentVersion:
    with world.installation.write() as work:
        deployment = deployments.find(work, deployment_id, lock=True)
        return amendments.propose(
            work, world.people[who], deployment, changes, cameras, "Needed now", OPERATIONAL_PACK
        ).version


def sign(world: World, deployment_id: str, number: int, *, stepped_up: bool = True, who: str = "authoriser") -> None:
    actor = replace(world.people[who], stepped_up=stepped_up)
    with world.installation.write() as work:
        deployment = deployments.find(work, deployment_id, lock=True)
        amendments.sign(work, actor, deployment, number, OPERATIONAL_PACK, OPERATIONAL_PACK.statement)


def refusal(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(Refusal) as refused:
        call(*args, **kwargs)
    return refused.value.code


def planned(deployment: Deployment) -> list[PlannedCamera]:
    names = [field.name for field in fields(CameraPlan)]
    return [PlannedCamera(CameraPlan(**{n: getattr(c, n) for n in names}), c.id) for c in deployment.cameras]


def rows(world: World, deployment_id: str) -> list[DeploymentVersion]:
    with world.installation.read() as work:
        found = amendments.versions(work, deployment_id)
        work.session.expunge_all()
        return found


def test_the_first_version_is_what_was_signed(world: World) -> None:
    deployment_id = world.announced()
    (first,) = rows(world, deployment_id)
    deployment = world.deployment(deployment_id)
    assert (first.number, first.status) == (1, "in_force")
    assert first.terms == deployment.terms()
    assert first.terms_hash == terms_hash(first.terms) == deployment.signed_terms_hash
    assert first.signed_by_id == world.people["authoriser"].user_id
    assert {"proportionality", "intelligence_case", "community_notices", "cameras", "pack"} <= set(first.terms)


@pytest.mark.parametrize(
    "changes",
    [
        {"window_ends_at": WINDOW_ENDS - timedelta(hours=1)},
        {"categories_sought": ["wanted_warrant"]},
        {"zone": HALF},
        {"threshold": 0.6},
        {"list_limit": 100},
        {"alert_retention_d": 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_narrowing_is_in_force_at_once_as_a_version(world: World, changes: dict[str, Any]) -> None:
    deployment_id = world.opened()
    made = propose(world, deployment_id, **changes)
    deployment = world.deployment(deployment_id)
    (name, value) = next(iter(changes.items()))
    assert (made.number, made.status, made.widens) == (2, "in_force", [])
    assert getattr(deployment, name) == value
    assert deployment.may_match(world.clock.now())
    assert deployment.signed_terms_hash == made.terms_hash == deployment.terms_hash()
    assert [one.status for one in rows(world, deployment_id)] == ["replaced", "in_force"]
    assert made.signed_by_id == made.proposed_by_id == world.people["coordinator"].user_id
    assert deployment.signed_by_id == world.people["authoriser"].user_id


@pytest.mark.parametrize(
    "changes",
    [
        {"window_ends_at": WINDOW_ENDS + timedelta(hours=1)},
        {"window_starts_at": WINDOW_STARTS - timedelta(minutes=1)},
        {"categories_sought": ["wanted_warrant", "missing_child", "court_conditions"]},
        {"zone": LARGER},
        {"threshold": 0.48},
        {"alert_retention_d": 8},
        {"legal_basis": "Another"},
        # One narrower thing beside it does not carry a wider one through.
        {"threshold": 0.9, "alert_retention_d": 8},
    ],
    ids="+".join,
)
def test_a_widening_waits_for_another_persons_signature_and_the_old_terms_hold(
    world: World, changes: dict[str, Any]
) -> None:
    deployment_id = world.opened()
    before = world.deployment(deployment_id).terms()
    made = propose(world, deployment_id, **changes)
    assert made.status == "proposed"
    assert made.widens
    deployment = world.deployment(deployment_id)
    assert deployment.terms() == before
    assert deployment.may_match(world.clock.now())
    sign(world, deployment_id, made.number)
    deployment = world.deployment(deployment_id)
    for name, value in changes.items():
        found = getattr(deployment, name)
        assert (sorted(found), sorted(value)) if name == "categories_sought" else found == value
    assert deployment.signed_terms_hash == deployment.terms_hash()
    # A larger place is announced again before anything is matched in it.
    assert deployment.may_match(world.clock.now()) is (deployment.signs_confirmed_at is not None)
    assert (deployment.signs_confirmed_at is None) is ("zone" in changes)


def test_who_may_sign_a_widening(world: World) -> None:
    deployment_id = world.opened()
    both = world.person("both", Role.COORDINATOR, Role.AUTHORISER)
    world.people["both"] = both
    number = propose(world, deployment_id, who="both", alert_retention_d=8).number
    assert refusal(sign, world, deployment_id, number, who="both") == "own_proposal"
    assert refusal(sign, world, deployment_id, number, who="coordinator") == "not_allowed"
    assert refusal(sign, world, deployment_id, number, stepped_up=False) == "step_up_needed"
    assert world.deployment(deployment_id).alert_retention_d == 7
    sign(world, deployment_id, number)
    assert refusal(sign, world, deployment_id, number) == "not_proposed"


def test_a_proposal_made_before_a_narrowing_does_not_undo_it(world: World) -> None:
    deployment_id = world.opened()
    wider = propose(world, deployment_id, alert_retention_d=8).number
    propose(world, deployment_id, categories_sought=["missing_child"])
    assert refusal(sign, world, deployment_id, wider) == "changed_meanwhile"
    assert world.deployment(deployment_id).categories_sought == ["missing_child"]


def test_a_proposal_that_was_altered_in_the_database_is_not_signed(world: World) -> None:
    deployment_id = world.opened()
    number = propose(world, deployment_id, alert_retention_d=8).number
    with world.installation.write() as work:
        row = amendments.versions(work, deployment_id)[-1]
        row.terms = {**row.terms, "alert_retention_d": 31}
    assert refusal(sign, world, deployment_id, number) == "terms_changed"


def test_a_withdrawn_proposal_is_not_signed(world: World) -> None:
    deployment_id = world.opened()
    number = propose(world, deployment_id, alert_retention_d=8).number
    with world.installation.write() as work:
        deployment = deployments.find(work, deployment_id, lock=True)
        amendments.withdraw(work, world.people["authoriser"], deployment, number, "Not justified")
    assert refusal(sign, world, deployment_id, number) == "not_proposed"
    actions = _actions(world, deployment_id)
    assert [action for action in actions if action.startswith("terms.")] == ["terms.proposed", "terms.withdrawn"]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("window", {"window_ends_at": MORNING}),
        ("window", {"window_ends_at": WINDOW_STARTS + timedelta(hours=25)}),
        ("zone", {"zone": {**SQUARE, "coordinates": [[[0, 0], [0.1, 0], [0.1, 0.1], [0, 0]]]}}),
        (
            "camera_outside_zone",
            {"zone": {**HALF, "coordinates": [[[-0.1, 51.5], [-0.099, 51.5], [-0.1, 51.501], [-0.1, 51.5]]]}},
        ),
        ("list_limit", {"list_limit": 50_001}),
        ("purpose", {"purpose": "other"}),
        ("proportionality", {"proportionality": " "}),
        ("community_notices", {"community_notices": []}),
        ("fixed", {"marked_exercise": True}),
        ("nothing_changed", {"threshold": 0.5}),
        ("budget_not_supported", {"false_alert_budget": 0.000001}),
    ],
)
def test_what_could_not_be_drafted_cannot_be_proposed(world: World, code: str, changes: dict[str, Any]) -> None:
    deployment_id = world.opened()
    assert refusal(propose, world, deployment_id, **changes) == code
    assert len(rows(world, deployment_id)) == 1


def test_a_list_that_is_longer_than_the_new_limit_is_shortened_first(world: World) -> None:
    deployment_id = world.opened()
    for number in ("1", "2"):
        world.entry(deployment_id, number)
    assert refusal(propose, world, deployment_id, list_limit=1) == "list_longer"
    propose(world, deployment_id, list_limit=2)


def test_a_camera_that_is_taken_out_matches_nothing_more_and_keeps_its_name(world: World) -> None:
    deployment_id = world.opened()
    entry_id = world.entry(deployment_id)
    north = world.deployment(deployment_id).cameras[0]
    alert_id = world.hit(deployment_id, entry_id).alert_id
    made = propose(world, deployment_id, [*planned(world.deployment(deployment_id)), NEW_CAMERA])
    assert made.widens == ["cameras"]
    sign(world, deployment_id, made.number)
    with world.installation.write() as work:
        deployments.confirm_signs(work, world.people["coordinator"], deployments.find(work, deployment_id))
    deployment = world.deployment(deployment_id)
    assert [camera.name for camera in deployment.cameras] == ["North", "South"]
    keep = [camera for camera in planned(deployment) if camera.plan.name == "South"]
    assert propose(world, deployment_id, keep).widens == []
    world.clock.forward(seconds=400)
    assert refusal(world.hit, deployment_id, entry_id, camera_id=north.id) == "not_found"
    world.hit(deployment_id, entry_id)
    with world.installation.read() as work:
        found = deployments.find(work, deployment_id)
        shown = next(one for one in alerts.all_alerts(work, deployment_id) if one.id == alert_id)
        assert alerts.snapshot(found, shown)["camera_name"] == "North"


def test_a_category_that_is_taken_out_is_matched_no_more(world: World) -> None:
    deployment_id = world.opened()
    entry_id = world.entry(deployment_id)
    with world.installation.read() as work:
        before = watchlists.watchlist(work, deployment_id).revision
    propose(world, deployment_id, categories_sought=["missing_child"])
    assert refusal(world.hit, deployment_id, entry_id) == "not_found"
    with world.installation.write() as work:
        current, sent = watchlists.templates_for_engine(work, deployments.find(work, deployment_id), "engine-1")
    assert sent == []
    assert current.revision > before


def test_nothing_is_changed_before_signing_or_after_closing_this_way(world: World) -> None:
    assert refusal(propose, world, world.drafted(), threshold=0.6) == "wrong_state"
    deployment_id = world.opened()
    wider = propose(world, deployment_id, alert_retention_d=8).number
    with world.installation.write() as work:
        deployments.close(work, world.people["coordinator"], deployments.find(work, deployment_id), "Done")
    assert refusal(propose, world, deployment_id, threshold=0.6) == "wrong_state"
    assert refusal(sign, world, deployment_id, wider) == "wrong_state"


def test_a_window_that_is_over_is_not_made_longer(world: World) -> None:
    deployment_id = world.opened()
    number = propose(world, deployment_id, window_ends_at=WINDOW_ENDS + timedelta(hours=1)).number
    world.clock.move_to(WINDOW_ENDS)
    assert refusal(sign, world, deployment_id, number) == "window_over"
    assert not world.deployment(deployment_id).may_match(world.clock.now())


def test_terms_of_before_versions_stay_signed_and_are_not_amended(world: World) -> None:
    deployment_id = world.announced()
    with world.installation.write() as work:
        deployment = deployments.find(work, deployment_id)
        deployment.proportionality = None
        deployment.signed_terms_hash = deployment.terms_hash()
        assert "proportionality" not in deployment.terms()
    assert refusal(propose, world, deployment_id, threshold=0.6) == "terms_too_old"


def suspend(world: World, deployment_id: str, who: str) -> None:
    with world.installation.write() as work:
        deployments.suspend(work, world.people[who], deployments.find(work, deployment_id, lock=True), "Doubt")


def resume(world: World, deployment_id: str, who: str, pack: Any = OPERATIONAL_PACK) -> None:
    with world.installation.write() as work:
        deployment = deployments.find(work, deployment_id, lock=True)
        deployments.resume(work, world.people[who], deployment, "Settled", pack)


def test_what_an_authorising_officer_suspended_no_coordinator_resumes(world: World) -> None:
    deployment_id = world.opened()
    suspend(world, deployment_id, "coordinator")
    resume(world, deployment_id, "coordinator")
    suspend(world, deployment_id, "coordinator")
    suspend(world, deployment_id, "authoriser")
    assert refusal(suspend, world, deployment_id, "coordinator") == "wrong_state"
    assert refusal(resume, world, deployment_id, "coordinator") == "suspended_by_authoriser"
    resume(world, deployment_id, "authoriser")
    assert world.deployment(deployment_id).state == "open"
    suspend(world, deployment_id, "authoriser")
    assert refusal(resume, world, deployment_id, "coordinator") == "suspended_by_authoriser"


def test_resuming_asks_all_that_opening_asks(world: World) -> None:
    deployment_id = world.opened()
    suspend(world, deployment_id, "coordinator")
    other = replace(OPERATIONAL_PACK, label="other 1")
    assert refusal(resume, world, deployment_id, "coordinator", other) == "pack_changed"
    for column, code in [("signs_confirmed_at", "signs_missing"), ("notice_published_at", "notice_missing")]:
        with world.installation.write() as work:
            setattr(deployments.find(work, deployment_id), column, None)
        assert refusal(resume, world, deployment_id, "coordinator") == code


def test_a_camera_left_outside_by_a_redrawn_zone_is_not_signed_for(world: World) -> None:
    deployment_id = world.drafted()
    small = {**HALF, "coordinates": [[[-0.1, 51.5], [-0.099, 51.5], [-0.1, 51.501], [-0.1, 51.5]]]}
    terms = world.terms(zone=small)
    with world.installation.write() as work:
        deployment = deployments.find(work, deployment_id)
        deployments.change_draft(work, world.people["coordinator"], deployment, terms, deployment.version)

    def authorise() -> None:
        with world.installation.write() as work:
            deployment = deployments.find(work, deployment_id)
            deployments.sign(work, world.people["authoriser"], deployment, OPERATIONAL_PACK, OPERATIONAL_PACK.statement)

    assert refusal(authorise) == "camera_outside_zone"
    assert asdict(terms)["zone"] == small


def _actions(world: World, deployment_id: str) -> list[str]:
    with world.installation.read() as work:
        return [record.action for record in audit.chain(work, deployment_id)]


def test_nobody_signs_the_deployment_that_they_drafted(world: World) -> None:
    both = world.person("both", Role.COORDINATOR, Role.AUTHORISER)
    author = world.people["coordinator"]
    world.people["coordinator"] = both
    deployment_id = world.drafted()
    world.people["coordinator"] = author

    def authorise() -> None:
        with world.installation.write() as work:
            deployment = deployments.find(work, deployment_id)
            deployments.sign(work, both, deployment, OPERATIONAL_PACK, OPERATIONAL_PACK.statement)

    assert refusal(authorise) == "own_deployment"
    assert world.deployment(deployment_id).state == "draft"
