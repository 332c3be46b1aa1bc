from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cordon.delivery import service as delivery
from cordon.delivery.model import Audience, DeploymentEvent, OutboxRow
from world import World


def numbers(world: World, deployment_id: str) -> list[int]:
    with world.installation.read() as work:
        return [event.seq for event in delivery.events_after(work, deployment_id, 0, 10_000)]


def test_events_written_by_many_at_once_are_numbered_without_a_gap(any_world: World) -> None:
    """A third of the transactions roll back, and give their number back."""
    deployment_id = any_world.drafted()

    def write(number: int) -> None:
        try:
            with any_world.installation.write() as work:
                delivery.append(work, deployment_id, "duty", {"on": True})
                if number % 3 == 0:
                    raise LookupError
        except LookupError:
            return

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, range(120)))
    found = numbers(any_world, deployment_id)
    assert found == list(range(1, 81))
    with any_world.installation.read() as work:
        assert delivery.last_seq(work, deployment_id) == 80


def test_each_event_leaves_the_outbox_once_however_many_push(any_world: World) -> None:
    deployment_id = any_world.drafted()
    for _ in range(40):
        with any_world.installation.write() as work:
            delivery.append(work, deployment_id, "duty", {"on": True})
    pushed: list[int] = []

    def push(_: int) -> None:
        while True:
            with any_world.installation.write() as work:
                if delivery.push_outbox(work, lambda event: pushed.append(event.seq), limit=3) == 0:
                    return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(push, range(4)))
    assert sorted(pushed) == list(range(1, 41))


def test_a_push_that_fails_is_tried_again(world: World) -> None:
    deployment_id = world.drafted()
    with world.installation.write() as work:
        delivery.append(work, deployment_id, "duty", {"on": True})

    def fail(_: DeploymentEvent) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError), world.installation.write() as work:
        delivery.push_outbox(work, fail)
    with world.installation.read() as work:
        assert work.session.query(OutboxRow).count() == 1


def test_what_is_for_the_desk_is_an_empty_number_in_the_street(world: World) -> None:
    deployment_id = world.drafted()
    with world.installation.write() as work:
        event = delivery.append(
            work,
            deployment_id,
            "raised",
            {"alert": {"id": "a"}},
            audience=Audience.DESK,
            alert_id="a",
            actor=world.people["operator"],
        )
        withheld = delivery.as_seen_by(event, desk=False)
        assert delivery.as_seen_by(event, desk=True)["data"] == {"alert": {"id": "a", "last_seq": event.seq}}
    assert withheld["kind"] == "withheld"
    assert (withheld["alert_id"], withheld["actor"], withheld["data"]) == (None, None, {})
    assert withheld["made_at"] == withheld["at"]


def test_a_receipt_goes_neither_back_nor_past_what_exists(world: World) -> None:
    deployment_id = world.drafted()
    for _ in range(3):
        with world.installation.write() as work:
            delivery.append(work, deployment_id, "duty", {"on": True})
    for seq, expected in [(2, 2), (1, 2), (99, 3), (3, 3)]:
        with world.installation.write() as work:
            delivery.acknowledge(work, deployment_id, "u", seq)
        with world.installation.read() as work:
            assert delivery.receipts(work, deployment_id) == {"u": expected}
