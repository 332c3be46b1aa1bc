"""Whatever people press, in whatever order and however often: RULES hold, and a screen can fold what happened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cordon.alerts import service as alerts
from cordon.alerts.model import OUTCOMES, RULES, Action, AlertState
from cordon.delivery import service as delivery
from cordon.deployments import service as deployments
from cordon.people.model import Role
from cordon.platform.errors import Refusal
from cordon.platform.ids import new_id
from world import World

PEOPLE = ("officer", "second_officer", "operator", "coordinator", "manager")
SETTINGS = settings(
    max_examples=15,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    # Shrinking a sequence of this length takes minutes and shows little more.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class AlertLife(RuleBasedStateMachine):
    def __init__(self, world: World, accepted: list[Action]) -> None:
        super().__init__()
        self.world = world
        self.accepted = accepted

    @initialize(
        adjudication=st.sampled_from(["adjudicate_first", "parallel"]),
        kind=st.sampled_from(["subject", "subject", "subject", "test_subject"]),
        proper_steps=st.sampled_from([0, 1, 2, 2, 2]),
    )
    def raise_alert(self, adjudication: str, kind: str, proper_steps: int) -> None:
        self.deployment_id = self.world.opened(adjudication=adjudication)
        self.entry_id = self.world.entry(self.deployment_id, kind=kind)
        self.kind = kind
        self.alert_id = self.world.hit(self.deployment_id, self.entry_id).alert_id
        self.latest, self.last_seen = self.alert_id, self.world.clock.now()
        self.ended = False
        self.done: list[tuple[str, Action, str, dict[str, Any]]] = []
        for who, action in [("operator", Action.CONFIRM), ("officer", Action.CLAIM)][:proper_steps]:
            self.press(who, action, "arrested")

    def teardown(self) -> None:
        with self.world.installation.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE deployments SET state = 'purged'")
            connection.exec_driver_sql("UPDATE alerts SET state = 'closed'")

    def last_seq(self) -> int:
        with self.world.installation.read() as work:
            return delivery.last_seq(work, self.deployment_id)

    @rule(who=st.sampled_from(PEOPLE), action=st.sampled_from(list(Action)), outcome=st.sampled_from(sorted(OUTCOMES)))
    def press(self, who: str, action: Action, outcome: str) -> None:
        more = {
            Action.OUTCOME: {"outcome": outcome},
            Action.CORRECT: {"outcome": outcome, "reason": "mistyped"},
            Action.ASSIGN: {"user_id": self.world.people["second_officer"].user_id},
        }.get(action, {})
        before, seq, key = self.world.alert(self.alert_id), self.last_seq(), new_id()
        try:
            self.world.act(who, self.deployment_id, self.alert_id, action, key=key, **more)
        except Refusal:
            after = self.world.alert(self.alert_id)
            assert (after.state, after.claimed_by, after.last_seq) == (before.state, before.claimed_by, before.last_seq)
            assert self.last_seq() == seq
            return
        self.accepted.append(action)
        self.done.append((who, action, key, more))
        self.check_accepted(who, action, before)

    @rule(data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)))
    def press_what_the_rules_name(self, data: st.DataObject, outcome: str) -> None:
        """So that many sequences come far."""
        alert = self.world.alert(self.alert_id)
        holder = (alert.claimed_by or {}).get("id")
        open_now = [
            (who, action)
            for action, one in RULES.items()
            for who in PEOPLE
            if alert.state in one.states
            and self.world.people[who].roles & one.roles
            and (not one.claimant_only or holder == self.world.people[who].user_id)
        ]
        if open_now:
            self.press(*data.draw(st.sampled_from(open_now)), outcome)

    def check_accepted(self, who: str, action: Action, before: Any) -> None:
        actor, rule_, after = self.world.people[who], RULES[action], self.world.alert(self.alert_id)
        assert before.state in rule_.states
        assert actor.roles & rule_.roles
        if self.kind == "test_subject":
            assert after.dispatched_at is None
            assert not actor.has(Role.OFFICER)
        if rule_.claimant_only and not actor.has(Role.COORDINATOR):
            assert before.claimed_by["id"] == actor.user_id
        if action is Action.CLAIM:
            assert before.claimed_by is None
            assert after.claimed_by["id"] == actor.user_id
        if before.claimed_by is not None and action not in {Action.ASSIGN, Action.LOST_SIGHT}:
            assert after.claimed_by == before.claimed_by
        if action is Action.NOT_THE_PERSON:
            assert after.state == AlertState.CLOSED
        if before.state == AlertState.CLOSED:
            assert action in {Action.SEEN, Action.CORRECT}
            assert after.state == AlertState.CLOSED
        self.ended = self.ended or after.state == AlertState.CLOSED

    @rule(data=st.data())
    def press_again_what_was_taken(self, data: st.DataObject) -> None:
        if not self.done:
            return
        who, action, key, more = data.draw(st.sampled_from(self.done))
        seq, before = self.last_seq(), self.snapshot()
        self.world.act(who, self.deployment_id, self.alert_id, action, key=key, **more)
        assert (self.last_seq(), self.snapshot()) == (seq, before)
        other = "operator" if who != "operator" else "coordinator"
        with pytest.raises(Refusal):
            self.world.act(other, self.deployment_id, self.alert_id, action, key=key, **more)
        assert self.snapshot() == before

    @rule(score=st.sampled_from([0.55, 0.9]), seconds=st.sampled_from([1.0, 40.0, 299.0]))
    def walk_by_again(self, score: float, seconds: float) -> None:
        """Within five minutes of the last time, it is the same alert; later, it is a new one."""
        self.world.clock.forward(seconds=seconds)
        again = self.world.clock.now() - self.last_seen < timedelta(minutes=5)
        taken = self.world.hit(self.deployment_id, self.entry_id, score=score)
        assert taken.merged is again
        if again:
            assert taken.alert_id == self.latest
        self.latest, self.last_seen = taken.alert_id, self.world.clock.now()

    @rule(seconds=st.sampled_from([5.0, 31.0, 301.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.forward(seconds=seconds)
        with self.world.installation.write() as work:
            alerts.look_after_deadlines(work)

    def snapshot(self) -> dict[str, Any]:
        deployment = self.world.deployment(self.deployment_id)
        return alerts.snapshot(deployment, self.world.alert(self.alert_id))

    @invariant()
    def an_alert_that_is_over_stays_over(self) -> None:
        assert not self.ended or self.world.alert(self.alert_id).state == AlertState.CLOSED

    @invariant()
    def what_events_tell_is_what_is_stored(self) -> None:
        with self.world.installation.read() as work:
            events = delivery.events_after(work, self.deployment_id, 0, 10_000)
            work.session.expunge_all()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        folded: dict[str, Any] = {}
        for event in events:
            if event.alert_id == self.alert_id:
                assert event.data["alert"]["last_seq"] == event.seq
                folded = event.data["alert"]
        assert folded == self.snapshot()

    @invariant()
    def the_street_never_hears_of_a_test_subject_or_before_the_dispatch(self) -> None:
        with self.world.installation.read() as work:
            events = delivery.events_after(work, self.deployment_id, 0, 10_000)
            street = [delivery.as_seen_by(event, desk=False) for event in events]
        heard = [event for event in street if event["alert_id"] == self.alert_id]
        alert = self.world.alert(self.alert_id)
        if self.kind == "test_subject" or alert.dispatched_at is None:
            assert heard == []
            assert not alerts.visible_to(self.world.people["officer"], alert)


def test_whatever_is_pressed_the_rules_hold_and_events_tell_what_is_stored(world: World) -> None:
    accepted: list[Action] = []
    run_state_machine_as_test(lambda: AlertLife(world, accepted), settings=SETTINGS)
    # The sequences really came somewhere.
    assert len(accepted) > 30
    assert len(set(accepted)) >= 6


class Undo(Exception):
    pass


@pytest.mark.parametrize("state", list(AlertState))
def test_in_each_state_each_person_may_do_exactly_what_the_rules_name(world: World, state: AlertState) -> None:
    deployment_id = world.opened()
    alert_id = world.hit(deployment_id, world.entry(deployment_id)).alert_id
    way = [
        ("operator", Action.CONFIRM, {}),
        ("officer", Action.CLAIM, {}),
        ("officer", Action.ENGAGE, {}),
        ("officer", Action.OUTCOME, {"outcome": "arrested"}),
    ]
    for who, action, more in way[: list(AlertState).index(state)]:
        world.act(who, deployment_id, alert_id, action, **more)
    assert world.alert(alert_id).state == state
    holder = (world.alert(alert_id).claimed_by or {}).get("id")
    for who in PEOPLE:
        actor = world.people[who]
        for action, one in RULES.items():
            allowed = (
                state in one.states
                and bool(actor.roles & one.roles)
                and (not one.claimant_only or actor.has(Role.COORDINATOR) or holder == actor.user_id)
            )
            request = alerts.Request(
                action=action,
                key=new_id(),
                made_at=world.clock.now(),
                outcome="arrested",
                reason="mistyped",
                user_id=world.people["second_officer"].user_id,
            )
            with pytest.raises((Undo, Refusal)) as ended, world.installation.write() as work:
                alerts.act(work, actor, deployments.find(work, deployment_id), alert_id, request)
                raise Undo
            assert (ended.type is Undo) == allowed, f"{who}: {action}"


def test_of_two_officers_who_claim_at_once_one_has_it(postgresql_world: World) -> None:
    from concurrent.futures import ThreadPoolExecutor

    world = postgresql_world
    deployment_id = world.opened()
    alert_id = world.hit(deployment_id, world.entry(deployment_id)).alert_id
    world.act("operator", deployment_id, alert_id, Action.CONFIRM)

    def claim(who: str) -> str:
        try:
            world.act(who, deployment_id, alert_id, Action.CLAIM)
        except Refusal as refusal:
            return refusal.code
        return who

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(claim, ["officer", "second_officer"] * 4))
    winner = world.alert(alert_id).claimed_by
    assert winner is not None
    assert sorted(results).count("already_claimed") == 7
    assert [world.people[one].user_id for one in results if one != "already_claimed"] == [winner["id"]]


def test_a_hit_sent_twice_is_one_hit(any_world: World) -> None:
    deployment_id = any_world.opened()
    entry_id, hit_id = any_world.entry(deployment_id), new_id()
    first = any_world.hit(deployment_id, entry_id, hit_id=hit_id)
    with any_world.installation.read() as work:
        seq = delivery.last_seq(work, deployment_id)
    again = any_world.hit(deployment_id, entry_id, hit_id=hit_id)
    assert (again.alert_id, again.repeated) == (first.alert_id, True)
    with any_world.installation.read() as work:
        assert delivery.last_seq(work, deployment_id) == seq
