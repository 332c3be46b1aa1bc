"""No sequence of calls and clock moves matches a face outside an open, signed, announced, unchanged deployment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cordon.deployments import service as deployments
from cordon.deployments.model import TRANSITIONS, Deployment, DeploymentState
from cordon.deployments.service import CameraPlan
from cordon.platform.errors import Refusal
from cordon.platform.installation import UnitOfWork
from cordon.retention import service as retention
from world import MORNING, OPERATIONAL_PACK, WINDOW_ENDS, WINDOW_STARTS, World

SETTINGS = settings(
    max_examples=50,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    # Shrinking a sequence of this length takes minutes and shows little more.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class DeploymentLife(RuleBasedStateMachine):
    """Beside the service runs a small model that knows only what people did, and from it what may be matched."""

    def __init__(self, world: World, seen: list[str]) -> None:
        super().__init__()
        self.world = world
        self.seen = seen

    @initialize(minutes=st.integers(0, 55), proper_steps=st.sampled_from([4, 4, 4, 3, 2, 0]))
    def draft(self, minutes: int, proper_steps: int) -> None:
        self.world.clock.move_to(MORNING + timedelta(minutes=minutes))
        self.id = self.world.drafted()
        self.entry_id = self.world.entry(self.id)
        self.state = DeploymentState.DRAFT
        self.published = self.confirmed = self.tampered = False
        for _ in range(proper_steps):
            self.go_on_as_one_should()

    def teardown(self) -> None:
        with self.world.installation.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE deployments SET state = 'purged'")

    def attempt(self, call: Callable[[UnitOfWork, Deployment], object]) -> bool:
        try:
            with self.world.installation.write() as work:
                call(work, deployments.find(work, self.id, lock=True))
        except Refusal:
            return False
        return True

    @rule(
        to=st.one_of(
            st.builds(
                lambda edge, ms: edge + timedelta(milliseconds=ms),
                st.sampled_from([WINDOW_STARTS, WINDOW_ENDS]),
                st.integers(-1, 1),
            ),
            st.integers(-60, 60 * 24 * 9).map(lambda minutes: WINDOW_STARTS + timedelta(minutes=minutes)),
        )
    )
    def clock_jumps(self, to: datetime) -> None:
        self.world.clock.move_to(to)

    @rule(who=st.sampled_from(["authoriser", "coordinator", "operator"]), stepped_up=st.booleans())
    def sign(self, who: str, stepped_up: bool) -> None:
        actor = replace(self.world.people[who], stepped_up=stepped_up)
        if self.attempt(
            lambda work, deployment: deployments.sign(
                work, actor, deployment, OPERATIONAL_PACK, OPERATIONAL_PACK.statement
            )
        ):
            assert who == "authoriser"
            assert stepped_up
            assert self.state == DeploymentState.DRAFT
            assert self.world.clock.now() < WINDOW_ENDS
            self.state = DeploymentState.AUTHORISED

    @rule()
    def publish(self) -> None:
        coordinator = self.world.people["coordinator"]
        if self.attempt(lambda work, deployment: deployments.publish_notice(work, coordinator, deployment)):
            assert self.state == DeploymentState.AUTHORISED
            self.published = True

    @rule()
    def confirm_signs(self) -> None:
        coordinator = self.world.people["coordinator"]
        if self.attempt(lambda work, deployment: deployments.confirm_signs(work, coordinator, deployment)):
            assert self.published
            self.confirmed = True

    @rule()
    def open(self) -> None:
        coordinator = self.world.people["coordinator"]
        if self.attempt(
            lambda work, deployment: deployments.open_deployment(work, coordinator, deployment, OPERATIONAL_PACK)
        ):
            assert self.state == DeploymentState.AUTHORISED
            assert self.published
            assert self.confirmed
            assert not self.tampered
            assert self.inside_window()
            self.state = DeploymentState.OPEN

    @rule()
    def suspend(self) -> None:
        coordinator = self.world.people["coordinator"]
        if self.attempt(lambda work, deployment: deployments.suspend(work, coordinator, deployment, "Doubt")):
            assert self.state == DeploymentState.OPEN
            self.state = DeploymentState.SUSPENDED

    @rule()
    def resume(self) -> None:
        coordinator = self.world.people["coordinator"]
        if self.attempt(
            lambda work, deployment: deployments.resume(work, coordinator, deployment, "Settled", OPERATIONAL_PACK)
        ):
            assert self.state == DeploymentState.SUSPENDED
            assert self.inside_window()
            self.state = DeploymentState.OPEN

    @rule()
    def go_on_as_one_should(self) -> None:
        if self.state == DeploymentState.DRAFT:
            self.sign("authoriser", True)
        elif self.state == DeploymentState.AUTHORISED and not self.published:
            self.publish()
        elif self.state == DeploymentState.AUTHORISED and not self.confirmed:
            self.confirm_signs()
        elif self.state == DeploymentState.AUTHORISED:
            self.world.clock.move_to(WINDOW_STARTS + timedelta(minutes=1))
            self.open()
        elif self.state == DeploymentState.SUSPENDED:
            self.resume()

    @rule()
    def close(self) -> None:
        coordinator = self.world.people["coordinator"]
        if self.attempt(lambda work, deployment: deployments.close(work, coordinator, deployment, "Done")):
            assert self.state != DeploymentState.CLOSED
            self.state = DeploymentState.CLOSED

    @rule()
    def jobs_run(self) -> None:
        over = self.world.clock.now() >= WINDOW_ENDS
        retention.purge_due(self.world.installation)
        found = DeploymentState(self.world.deployment(self.id).state)
        if self.state not in {DeploymentState.CLOSED, DeploymentState.PURGED} and over:
            self.state = DeploymentState.CLOSED
        if found == DeploymentState.PURGED:
            assert self.state in {DeploymentState.CLOSED, DeploymentState.PURGED}
            self.state = found

    @precondition(lambda self: self.state != DeploymentState.PURGED)
    @rule()
    def add_camera_late(self) -> None:
        plan = CameraPlan("Late", "push:", -0.097, 51.502, 0.0)
        coordinator = self.world.people["coordinator"]
        if self.attempt(lambda work, deployment: deployments.add_camera(work, coordinator, deployment, plan)):
            assert self.state == DeploymentState.DRAFT

    @rule(column=st.sampled_from(["threshold = 0.3", "necessity = 'widened'", "re_alert_s = 11"]))
    def change_terms_behind_the_services_back(self, column: str) -> None:
        self.tamper(column)
        if self.state != DeploymentState.DRAFT:
            self.tampered = True

    @precondition(lambda self: self.published)
    @rule(column=st.sampled_from(["notice_published_at", "signs_confirmed_at"]))
    def take_the_notice_down(self, column: str) -> None:
        self.tamper(f"{column} = NULL")
        self.published = self.published and column != "notice_published_at"
        self.confirmed = self.confirmed and column != "signs_confirmed_at"

    def tamper(self, assignment: str) -> None:
        with self.world.installation.database.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE deployments SET {assignment} WHERE id = '{self.id}'")

    def inside_window(self) -> bool:
        return WINDOW_STARTS <= self.world.clock.now() < WINDOW_ENDS

    @invariant()
    def matches_exactly_when_it_may(self) -> None:
        proper = self.state == DeploymentState.OPEN and self.published and self.confirmed and not self.tampered
        may = proper and self.inside_window()
        with self.world.installation.read() as work:
            matching = [deployment.id for deployment in deployments.matching_now(work)]
        assert matching == ([self.id] if may else [])
        self.seen.append("may" if may else "open, outside its window" if proper and not self.inside_window() else "not")

    @invariant()
    def hits_are_taken_exactly_when_it_may(self) -> None:
        with self.world.installation.read() as work:
            may = bool(deployments.matching_now(work))
        try:
            self.world.hit(self.id, self.entry_id, captured_at=self.world.clock.now())
        except Refusal:
            assert not may
        else:
            assert may

    @invariant()
    def state_is_as_people_left_it(self) -> None:
        assert self.world.deployment(self.id).state == self.state


def test_no_sequence_of_calls_and_clock_moves_matches_outside_an_open_signed_announced_deployment(
    world: World,
) -> None:
    seen: list[str] = []
    run_state_machine_as_test(lambda: DeploymentLife(world, seen), settings=SETTINGS)
    # The sequences really came to an open deployment, and past it.
    assert Counter(seen)["may"] > 100, Counter(seen)
    assert Counter(seen)["open, outside its window"] > 30, Counter(seen)


def test_nothing_leads_back_from_closed() -> None:
    assert TRANSITIONS[DeploymentState.CLOSED] == {DeploymentState.PURGED}
    assert TRANSITIONS[DeploymentState.PURGED] == frozenset()
    assert set(TRANSITIONS) == set(DeploymentState)


def test_a_hit_from_before_the_window_is_refused_even_while_it_is_open(world: World) -> None:
    deployment_id = world.opened()
    entry_id = world.entry(deployment_id)
    for captured_at in (WINDOW_STARTS - timedelta(seconds=1), WINDOW_STARTS + timedelta(minutes=5)):
        try:
            world.hit(deployment_id, entry_id, captured_at=captured_at)
        except Refusal as refusal:
            assert refusal.code == "outside_window"
        else:
            raise AssertionError("the hit was taken")
