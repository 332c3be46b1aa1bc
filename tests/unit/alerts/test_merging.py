"""Hits of one entry at one camera are one alert, for as long as the deployment's re-alert window says."""

from __future__ import annotations

import pytest

from cordon.alerts.model import Action
from world import World

WINDOW_S = 120


@pytest.fixture
def seen(world: World) -> tuple[str, str, str]:
    """Deployment, entry and alert."""
    deployment_id = world.opened(re_alert_s=WINDOW_S)
    entry_id = world.entry(deployment_id)
    return deployment_id, entry_id, world.hit(deployment_id, entry_id).alert_id


def test_a_person_who_is_still_followed_stays_one_alert(world: World, seen: tuple[str, str, str]) -> None:
    deployment_id, entry_id, alert_id = seen
    for _ in range(5):
        world.clock.forward(seconds=WINDOW_S - 20)
        again = world.hit(deployment_id, entry_id)
        assert (again.alert_id, again.merged) == (alert_id, True)
    assert len(world.alert(alert_id).hits) == 6


def test_a_person_who_was_let_go_is_not_alerted_on_again_at_once(world: World, seen: tuple[str, str, str]) -> None:
    deployment_id, entry_id, alert_id = seen
    world.act("operator", deployment_id, alert_id, Action.DISMISS)
    before = world.alert(alert_id).last_seen_at
    world.clock.forward(seconds=WINDOW_S - 1)
    assert world.hit(deployment_id, entry_id).alert_id == alert_id
    assert world.alert(alert_id).last_seen_at == before
    assert len(world.alert(alert_id).hits) == 1


def test_a_person_who_keeps_coming_by_is_alerted_on_again_after_the_window(
    world: World, seen: tuple[str, str, str]
) -> None:
    deployment_id, entry_id, alert_id = seen
    world.act("operator", deployment_id, alert_id, Action.DISMISS)
    raised = set()
    for _ in range(3):
        world.clock.forward(seconds=50)
        raised.add(world.hit(deployment_id, entry_id).alert_id)
    assert raised - {alert_id}


def test_two_deployments_never_share_an_alert(world: World) -> None:
    first, second = world.opened(), world.opened()
    one = world.hit(first, world.entry(first)).alert_id
    other = world.hit(second, world.entry(second)).alert_id
    assert one != other
