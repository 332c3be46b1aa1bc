from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from scipy.stats import binom

from cordon.alerts.model import Action
from cordon.delivery import service as delivery
from cordon.deployments import service as deployments
from cordon.records import service as records
from cordon.records.schemas import RecordSchema
from cordon.retention import service as retention
from world import SOUGHT_NAME, WINDOW_ENDS, World

STORIES: list[list[tuple[str, Action, dict[str, Any]]]] = [
    [("operator", Action.DISMISS, {})],
    [("operator", Action.CONFIRM, {}), ("officer", Action.NOT_THE_PERSON, {})],
    [
        ("operator", Action.CANNOT_TELL, {}),
        ("operator", Action.CONFIRM, {}),
        ("officer", Action.CLAIM, {}),
        ("officer", Action.ENGAGE, {}),
        ("officer", Action.NOT_THE_PERSON, {}),
    ],
    [
        ("operator", Action.CONFIRM, {}),
        ("officer", Action.CLAIM, {}),
        ("officer", Action.LOST_SIGHT, {}),
        ("second_officer", Action.CLAIM, {}),
        ("second_officer", Action.ENGAGE, {}),
        ("second_officer", Action.OUTCOME, {"outcome": "arrested"}),
    ],
    [
        ("operator", Action.CONFIRM, {}),
        ("officer", Action.CLAIM, {}),
        ("officer", Action.OUTCOME, {"outcome": "not_stopped"}),
    ],
    [
        ("operator", Action.CONFIRM, {}),
        ("officer", Action.CLAIM, {}),
        ("officer", Action.ENGAGE, {}),
        ("officer", Action.OUTCOME, {"outcome": "arrested"}),
        ("officer", Action.CORRECT, {"outcome": "different_person", "reason": "a brother"}),
    ],
    [],
]


@pytest.fixture
def lived(any_world: World) -> tuple[World, str]:
    """Seven alerts on subjects, each with its own end, one on a test subject, and 2,000 faces."""
    world = any_world
    deployment_id = world.opened()
    for number, story in enumerate(STORIES):
        alert_id = world.hit(deployment_id, world.entry(deployment_id, f"N-{number}")).alert_id
        for who, action, more in story:
            world.clock.forward(seconds=10)
            world.act(who, deployment_id, alert_id, action, **more)
    test_subject = world.entry(deployment_id, "STAFF-1", kind="test_subject")
    world.act("operator", deployment_id, world.hit(deployment_id, test_subject).alert_id, Action.CONFIRM)
    world.faces(deployment_id, 1_200, "run-1")
    world.faces(deployment_id, 1_200, "run-1")
    world.faces(deployment_id, 800, "run-2")
    return world, deployment_id


def record_of(world: World, deployment_id: str) -> dict[str, Any]:
    with world.installation.read() as work:
        return records.deployment_record(work, deployments.find(work, deployment_id))


def test_each_alert_is_counted_once_by_what_it_turned_out_to_be(lived: tuple[World, str]) -> None:
    record = record_of(*lived)
    names = ("alerts", "true_alerts", "confirmed_true_alerts", "false_alerts", "confirmed_false_alerts")
    assert {name: record[name] for name in names} == {
        "alerts": 7,
        "true_alerts": 2,
        "confirmed_true_alerts": 1,
        "false_alerts": 4,
        "confirmed_false_alerts": 2,
    }
    assert record["true_alerts"] + record["false_alerts"] + record["undetermined_alerts"] == record["alerts"]
    assert record["by_outcome"] == {"arrested": 1, "different_person": 1, "not_stopped": 1}
    assert record["test_subject_alerts"] == 1
    assert (record["list_size"], record["test_subjects"]) == (7, 1)
    assert record["list_make_up"] == [{"code": "wanted_warrant", "label": "Wanted on a court warrant", "entries": 7}]
    assert record["audit"]["intact"]


def test_faces_are_counted_once_for_each_run_of_an_engine(lived: tuple[World, str]) -> None:
    record = record_of(*lived)
    assert record["faces_seen"] == 2_000 == sum(camera["faces_seen"] for camera in record["cameras"])


def test_waits_are_measured_to_the_first_decision_and_the_first_claim(lived: tuple[World, str]) -> None:
    record = record_of(*lived)
    assert record["adjudication_s"] == {"median": 10.0, "max": 10.0}
    assert record["dispatch_to_claim_s"] == {"median": 10.0, "max": 10.0}


def test_the_figures_can_be_counted_again_from_the_event_log(lived: tuple[World, str]) -> None:
    world, deployment_id = lived
    record = record_of(world, deployment_id)
    with world.installation.read() as work:
        events = delivery.events_after(work, deployment_id, 0, 10_000)
        latest = {event.alert_id: event.data["alert"] for event in events if event.alert_id}
        kinds = Counter(event.kind for event in events if event.alert_id)
    subjects = [alert for alert in latest.values() if alert["kind"] == "subject"]
    assert record["alerts"] == len(subjects) == kinds["raised"] - record["test_subject_alerts"]
    assert record["by_outcome"] == Counter(alert["outcome"] for alert in subjects if alert["outcome"])
    assert record["by_result"] == Counter(alert["result"] or "unfinished" for alert in subjects)
    false = [
        alert
        for alert in subjects
        if alert["result"] in {"dismissed", "not_the_person"} or alert["outcome"] == "different_person"
    ]
    assert record["false_alerts"] == len(false) == record["fpir"]["false_alerts"]


def test_the_purge_takes_no_figure_from_the_record_and_no_person_is_in_it(lived: tuple[World, str]) -> None:
    world, deployment_id = lived
    world.clock.forward(hours=1)
    world.clock.move_to(WINDOW_ENDS)
    with world.installation.write() as work:
        deployments.close_ended_windows(work)
    before = record_of(world, deployment_id)
    assert before["purge"] is None
    world.clock.move_to(WINDOW_ENDS + timedelta(days=7))
    retention.purge_due(world.installation)
    after = record_of(world, deployment_id)
    assert after["purge"]["complete"]
    assert [one["holding"] for one in after["purge"]["certificates"]] == ["alerts", "watchlist"]
    changed = {name for name in before if before[name] != after[name]}
    # The alert that nobody finished expired with the purge.
    assert changed == {"state", "purge", "audit", "by_result"}
    assert after["by_result"] == {"dismissed": 1, "expired": 1, "not_the_person": 2, "outcome": 3}
    shown = RecordSchema().dumps(after)
    assert SOUGHT_NAME not in shown
    assert "N-0" not in shown


def test_the_interval_is_clopper_and_pearsons() -> None:
    """Its ends are the rates at which what was seen, or more of it, has a chance of one in forty."""
    rate = records.false_positive_rate(10, 15_500)
    assert rate is not None
    assert rate["rate"] == pytest.approx(10 / 15_500)
    assert binom.sf(9, 15_500, rate["low"]) == pytest.approx(0.025)
    assert binom.cdf(10, 15_500, rate["high"]) == pytest.approx(0.025)


def test_no_false_alert_is_no_proof_of_a_rate_of_nothing() -> None:
    rate = records.false_positive_rate(0, 3_000)
    assert rate is not None
    assert (rate["rate"], rate["low"]) == (0.0, 0.0)
    assert rate["high"] == pytest.approx(3.689 / 3_000, rel=1e-3)
    assert records.false_positive_rate(0, 0) is None
