"""Races on PostgreSQL: people sign, suspend, resume and close at the same moment while engines send hits. What the audit
chain says happened is one order of lawful steps, and no hit lies outside the stretches in which the deployment was open."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from cordon.audit import service as audit
from cordon.deployments import amendments
from cordon.deployments import service as deployments
from cordon.deployments.model import TRANSITIONS, Deployment, DeploymentState
from cordon.platform.errors import Refusal
from cordon.platform.installation import UnitOfWork
from world import OPERATIONAL_PACK, World

STATEMENT = OPERATIONAL_PACK.statement
Step = Callable[[UnitOfWork, Deployment], object]


def race(world: World, deployment_id: str, *steps: Step) -> list[bool]:
    """All at once, each in a transaction of its own; which of them were done."""
    ready = threading.Barrier(len(steps))
    done = [False] * len(steps)
    faults: list[BaseException] = []

    def run(number: int, step: Step) -> None:
        ready.wait()
        try:
            with world.installation.write() as work:
                step(work, deployments.find(work, deployment_id, lock=True))
            done[number] = True
        except Refusal:
            pass
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(steps)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not faults, faults
    return done


def actions(world: World, deployment_id: str) -> list[str]:
    with world.installation.read() as work:
        assert audit.verify(work, deployment_id).intact
        return [record.action for record in audit.chain(work, deployment_id)]


def test_of_two_authorising_officers_who_sign_at_once_one_has_signed(postgresql_world: World) -> None:
    world = postgresql_world
    second = replace(world.people["authoriser"], user_id=world.people["auditor"].user_id)
    for _ in range(8):
        deployment_id = world.drafted()
        done = race(
            world,
            deployment_id,
            *(
                lambda work, deployment, who=who: deployments.sign(work, who, deployment, OPERATIONAL_PACK, STATEMENT)
                for who in (world.people["authoriser"], second)
            ),
        )
        assert sorted(done) == [False, True]
        with world.installation.read() as work:
            assert len(amendments.versions(work, deployment_id)) == 1


def test_a_version_signed_while_another_narrows_never_undoes_the_narrowing(postgresql_world: World) -> None:
    world = postgresql_world
    coordinator, authoriser = world.people["coordinator"], world.people["authoriser"]
    outcomes: Counter[tuple[bool, bool]] = Counter()
    deployment_id = world.opened()
    for turn in range(12):
        with world.installation.write() as work:
            deployment = deployments.find(work, deployment_id, lock=True)
            wider = {"alert_expiry_s": 1_900 + turn, "threshold": deployment.threshold}
            number = amendments.propose(
                work, coordinator, deployment, wider, None, "Wider", OPERATIONAL_PACK
            ).version.number
        higher = 0.5 + turn / 100 + 0.01

        def narrow(work: UnitOfWork, deployment: Deployment, higher: float = higher) -> None:
            amendments.propose(work, coordinator, deployment, {"threshold": higher}, None, "Narrower", OPERATIONAL_PACK)

        def sign(work: UnitOfWork, deployment: Deployment, number: int = number) -> None:
            amendments.sign(work, authoriser, deployment, number, OPERATIONAL_PACK, STATEMENT)

        signed, narrowed = race(world, deployment_id, sign, narrow)
        outcomes[signed, narrowed] += 1
        after = world.deployment(deployment_id)
        assert narrowed
        assert after.threshold == higher
        assert after.may_match(world.clock.now())
        assert (after.alert_expiry_s == 1_900 + turn) is signed
    print(f"\n(signed, narrowed): {dict(outcomes)}")


@pytest.mark.timeout(300)
def test_no_hit_is_taken_after_a_suspension_or_close_was_answered_whoever_else_acts(postgresql_world: World) -> None:
    world = postgresql_world
    coordinator, authoriser = world.people["coordinator"], world.people["authoriser"]
    deployment_id = world.opened()
    entries = [world.entry(deployment_id, str(number)) for number in range(12)]
    stop = threading.Event()
    taken: list[tuple[float, float]] = []
    stopped: list[float] = []
    resumed: list[float] = []
    faults: list[BaseException] = []

    def send_hits(first: int) -> None:
        number = first
        while not stop.is_set():
            began = time.monotonic()
            try:
                world.hit(deployment_id, entries[number % len(entries)])
                taken.append((began, time.monotonic()))
            except Refusal:
                pass
            except BaseException as fault:
                faults.append(fault)
            number += 1

    def act(step: Step, note: list[float] | None) -> None:
        try:
            with world.installation.write() as work:
                step(work, deployments.find(work, deployment_id, lock=True))
        except Refusal:
            return
        if note is not None:
            note.append(time.monotonic())

    def suspend_often(who: str) -> None:
        while not stop.is_set():
            act(lambda work, d: deployments.suspend(work, world.people[who], d, "Doubt"), stopped)
            time.sleep(0.03)

    def resume_often() -> None:
        while not stop.is_set():
            resumed.append(time.monotonic())
            act(lambda work, d: deployments.resume(work, authoriser, d, "Settled", OPERATIONAL_PACK), None)
            resumed.append(time.monotonic())
            time.sleep(0.11)

    engines = [threading.Thread(target=send_hits, args=(first,)) for first in range(3)]
    others = [threading.Thread(target=suspend_often, args=(who,)) for who in ("coordinator", "authoriser")]
    others.append(threading.Thread(target=resume_often))
    for thread in [*engines, *others]:
        thread.start()
    time.sleep(6)
    act(lambda work, d: deployments.close(work, coordinator, d, "Done"), stopped)
    closed_at = time.monotonic()
    time.sleep(1)
    stop.set()
    for thread in [*engines, *others]:
        thread.join(30)
    assert not faults, faults

    assert taken, "no hit was taken at all"
    assert not [one for one in taken if one[0] > closed_at]
    # A hit that began after a suspension was answered, and was done before the next attempt to resume, has no excuse.
    windows = [(at, min((r for r in resumed if r > at), default=float("inf"))) for at in stopped]
    begun = set(resumed[::2])
    for at, until in windows:
        if until in begun:
            assert not [one for one in taken if at < one[0] and one[1] < until]
    state = DeploymentState.AUTHORISED
    counted: Counter[str] = Counter()
    for action in actions(world, deployment_id):
        name = action.removeprefix("deployment.")
        if action.startswith("deployment.") and name in set(DeploymentState):
            if name != DeploymentState.AUTHORISED:
                assert DeploymentState(name) in TRANSITIONS[state], (state, name)
            state = DeploymentState(name)
        if action == "alert.raised":
            assert state == DeploymentState.OPEN
        counted[action] += 1
    assert state == DeploymentState.CLOSED
    assert counted["deployment.suspended"] > 5
    print(f"\n{len(taken)} hits taken; {dict(counted)}")
