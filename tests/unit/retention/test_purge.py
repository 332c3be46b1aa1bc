from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from cordon.alerts.model import AcceptedAction, Action, Hit
from cordon.audit import service as audit
from cordon.delivery import service as delivery
from cordon.deployments import service as deployments
from cordon.deployments.model import DeploymentState
from cordon.evidence import service as evidence
from cordon.evidence.model import DeploymentKey, EvidenceObject, Holding
from cordon.platform.errors import Refusal
from cordon.retention import service as retention
from cordon.watchlists import service as watchlists
from cordon.watchlists.model import ReferenceImage, WatchlistEntry
from world import (
    CONTEXT_PICTURE,
    PROBE_PICTURE,
    REFERENCE_NUMBER,
    REFERENCE_PICTURE,
    SOUGHT_NAME,
    WINDOW_ENDS,
    World,
    template_of,
)

AFTER_LIST = WINDOW_ENDS + timedelta(hours=2)
AFTER_ALERTS = WINDOW_ENDS + timedelta(days=7)


@pytest.fixture
def lived(any_world: World) -> tuple[World, str, str]:
    """A deployment with one entry and one alert that ended in an arrest, an hour before its window ends."""
    world = any_world
    deployment_id = world.opened()
    alert_id = world.hit(deployment_id, world.entry(deployment_id)).alert_id
    world.act("operator", deployment_id, alert_id, Action.CONFIRM)
    world.act("officer", deployment_id, alert_id, Action.CLAIM)
    world.act("officer", deployment_id, alert_id, Action.ENGAGE)
    world.act("officer", deployment_id, alert_id, Action.OUTCOME, outcome="arrested", note=f"{SOUGHT_NAME} came along")
    return world, deployment_id, alert_id


def test_nothing_is_purged_before_its_deadline(lived: tuple[World, str, str]) -> None:
    world, deployment_id, _ = lived
    world.clock.move_to(AFTER_LIST - timedelta(seconds=1))
    assert retention.purge_due(world.installation) == []
    with world.installation.read() as work:
        assert not evidence.key_destroyed(work, deployment_id, Holding.WATCHLIST)
        assert len(watchlists.entries(work, deployment_id)) == 1


def test_the_list_goes_at_its_deadline_and_leaves_its_reference_numbers_on_the_certificate(
    lived: tuple[World, str, str],
) -> None:
    world, deployment_id, _ = lived
    world.clock.move_to(AFTER_LIST)
    (certificate,) = retention.purge_due(world.installation)
    assert certificate.holding == "watchlist"
    assert certificate.deadline == AFTER_LIST
    assert certificate.reference_numbers == [REFERENCE_NUMBER]
    assert certificate.counts["entries"] == 1
    assert certificate.counts["images"] == 1
    assert certificate.counts["objects"] == 1
    assert certificate.counts["make_up"] == {"wanted_warrant": 1}
    with world.installation.read() as work:
        assert evidence.key_destroyed(work, deployment_id, Holding.WATCHLIST)
        assert not evidence.key_destroyed(work, deployment_id, Holding.ALERTS)
        assert work.session.query(WatchlistEntry).count() == 0
        assert work.session.query(ReferenceImage).count() == 0
        assert list(world.installation.objects.keys(f"deployments/{deployment_id}/watchlist/")) == []
        assert deployments.find(work, deployment_id).state == DeploymentState.CLOSED
        last = delivery.events_after(work, deployment_id, 0, 1_000)[-1]
        assert (last.kind, last.data) == ("watchlist", {"change": "purged"})
        assert "watchlist.purged" in [record.action for record in audit.chain(work, deployment_id)]


def test_the_alerts_go_at_theirs_and_the_deployment_ends_as_purged(lived: tuple[World, str, str]) -> None:
    world, deployment_id, alert_id = lived
    world.clock.move_to(AFTER_ALERTS)
    assert [one.holding for one in retention.purge_due(world.installation)] == ["watchlist", "alerts"]
    with world.installation.read() as work:
        deployment = deployments.find(work, deployment_id)
        assert deployment.state == DeploymentState.PURGED
        assert work.session.query(EvidenceObject).count() == 0
        assert work.session.query(AcceptedAction).count() == 0
        assert [hit.probe_object_id for hit in work.session.query(Hit)] == [None]
        with pytest.raises(evidence.Purged):
            evidence.spool_key(work, deployment_id)
        events = [event for event in delivery.events_after(work, deployment_id, 0, 1_000) if event.alert_id]
        assert events
        assert all(event.data == {} for event in events)
    alert = world.alert(alert_id)
    assert (alert.outcome, alert.result, alert.note, alert.entry) == (
        "arrested",
        "outcome",
        None,
        {"category": "wanted_warrant"},
    )


def test_what_was_on_the_list_or_in_an_alert_is_nowhere_on_the_disk_afterwards(world: World) -> None:
    deployment_id = world.opened()
    alert_id = world.hit(deployment_id, world.entry(deployment_id)).alert_id
    world.act("operator", deployment_id, alert_id, Action.CONFIRM)
    world.act("officer", deployment_id, alert_id, Action.NOT_THE_PERSON, note=f"not {SOUGHT_NAME}")
    with world.installation.read() as work:
        wrapped = [row.wrapped for row in work.session.query(DeploymentKey)]
        sealed = work.session.query(ReferenceImage).one().sealed_template
    assert SOUGHT_NAME.encode() in world.written_bytes()
    assert all(key in world.written_bytes() for key in wrapped)
    assert sealed in world.written_bytes()
    world.clock.move_to(AFTER_ALERTS)
    retention.purge_due(world.installation)
    world.installation.database.forget_deleted([])
    left = world.written_bytes()
    # The reference number stays, on the certificate and in the audit: it shows that the search finds what is there.
    assert REFERENCE_NUMBER.encode() in left
    template = template_of(REFERENCE_PICTURE + REFERENCE_NUMBER.encode())
    for gone in (SOUGHT_NAME.encode(), b"billhook", b"Quincunx", sealed, *wrapped, template.tobytes()):
        assert gone not in left
    for picture in (REFERENCE_PICTURE, PROBE_PICTURE, CONTEXT_PICTURE):
        assert picture[:24] not in left


def test_a_purge_is_made_up_for_after_downtime_even_if_nobody_closed_the_deployment(
    lived: tuple[World, str, str],
) -> None:
    world, deployment_id, _ = lived
    world.clock.move_to(WINDOW_ENDS + timedelta(days=90))
    assert world.deployment(deployment_id).state == DeploymentState.OPEN
    assert [one.holding for one in retention.purge_due(world.installation)] == ["watchlist", "alerts"]
    assert world.deployment(deployment_id).state == DeploymentState.PURGED


def test_a_second_purge_finds_nothing_to_do_and_writes_nothing(lived: tuple[World, str, str]) -> None:
    world, deployment_id, _ = lived
    world.clock.move_to(AFTER_ALERTS)
    retention.purge_due(world.installation)
    with world.installation.read() as work:
        before = len(audit.chain(work, deployment_id)), delivery.last_seq(work, deployment_id)
    assert retention.purge_due(world.installation) == []
    assert retention.erase_and_certify(world.installation, deployment_id, Holding.WATCHLIST) is None
    with world.installation.read() as work:
        assert (len(audit.chain(work, deployment_id)), delivery.last_seq(work, deployment_id)) == before
        assert len(retention.certificates(work, deployment_id)) == 2


class PowerCut(BaseException):
    pass


@pytest.mark.parametrize("holding", list(Holding))
@pytest.mark.parametrize("step", ["destroy_key", "forget_deleted", "delete_objects", "erase", "note_purged", "append"])
def test_a_purge_cut_short_at_any_step_is_finished_by_the_next(
    lived: tuple[World, str, str], monkeypatch: pytest.MonkeyPatch, step: str, holding: Holding
) -> None:
    from cordon.alerts import service as alerts
    from cordon.platform.database import Database

    world, deployment_id, _ = lived
    world.clock.move_to(WINDOW_ENDS)
    with world.installation.write() as work:
        deployments.close_ended_windows(work)
    world.clock.move_to(AFTER_ALERTS if holding is Holding.ALERTS else AFTER_LIST)
    if holding is Holding.ALERTS:
        retention._purge(world.installation, deployment_id, Holding.WATCHLIST)
    owner = {
        "destroy_key": evidence,
        "forget_deleted": Database,
        "delete_objects": evidence,
        "erase": watchlists if holding is Holding.WATCHLIST else alerts,
        "note_purged": deployments,
        "append": delivery,
    }[step]
    real = getattr(owner, step)

    def cut(*args: object, **named: object) -> None:
        real(*args, **named)
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, cut)
        with pytest.raises(PowerCut):
            retention.purge_due(world.installation)
    with world.installation.read() as work:
        assert len(retention.certificates(work, deployment_id)) == (holding is Holding.ALERTS)
        assert evidence.key_destroyed(work, deployment_id, holding) == (step != "destroy_key")
    assert [one.holding for one in retention.purge_due(world.installation)] == [holding]
    with world.installation.read() as work:
        assert list(world.installation.objects.keys(f"deployments/{deployment_id}/{holding.value}/")) == []
        assert audit.verify(work, deployment_id).intact
        destroyed = [one for one in audit.chain(work, deployment_id) if one.action == "key.destroyed"]
        assert [one.object for one in destroyed].count(holding.value) == 1


def test_no_certificate_while_an_object_cannot_be_deleted(
    lived: tuple[World, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, deployment_id, _ = lived
    world.clock.move_to(AFTER_LIST)
    with monkeypatch.context() as patch:
        patch.setattr(type(world.installation.objects), "delete", lambda self, key: None)
        assert retention.purge_due(world.installation) == []
    with world.installation.read() as work:
        assert retention.certificates(work, deployment_id) == []
        # What could not be deleted cannot be opened either.
        assert evidence.key_destroyed(work, deployment_id, Holding.WATCHLIST)
    assert len(retention.purge_due(world.installation)) == 1


def test_one_deployments_fault_stops_no_others_purge(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = world.announced(), world.announced()
    world.clock.move_to(AFTER_LIST)
    real = evidence.delete_objects

    def fail_for_the_first(work: object, deployment_id: str, holding: Holding) -> object:
        if deployment_id == first:
            raise OSError("disk")
        return real(work, deployment_id, holding)  # type: ignore[arg-type]

    monkeypatch.setattr(evidence, "delete_objects", fail_for_the_first)
    assert [one.deployment_id for one in retention.purge_due(world.installation)] == [second]


def test_an_object_whose_transaction_was_lost_is_purged_too(lived: tuple[World, str, str]) -> None:
    world, deployment_id, _ = lived
    with pytest.raises(PowerCut), world.installation.write() as work:
        evidence.keep(work, deployment_id, Holding.WATCHLIST, REFERENCE_PICTURE)
        raise PowerCut
    prefix = f"deployments/{deployment_id}/watchlist/"
    assert len(list(world.installation.objects.keys(prefix))) == 2
    world.clock.move_to(AFTER_LIST)
    retention.purge_due(world.installation)
    assert list(world.installation.objects.keys(prefix)) == []


def test_an_early_close_brings_the_deadlines_forward(lived: tuple[World, str, str]) -> None:
    world, deployment_id, _ = lived
    world.clock.forward(hours=1)
    with world.installation.write() as work:
        deployments.close(work, world.people["coordinator"], deployments.find(work, deployment_id), "Quiet street")
    world.clock.forward(hours=2)
    assert [one.holding for one in retention.purge_due(world.installation)] == ["watchlist"]


def test_an_entry_removed_while_live_loses_its_pictures_and_templates_at_once(any_world: World) -> None:
    deployment_id = any_world.opened()
    entry_id = any_world.entry(deployment_id)
    prefix = f"deployments/{deployment_id}/watchlist/"
    assert len(list(any_world.installation.objects.keys(prefix))) == 1
    with any_world.installation.write() as work:
        deployment = deployments.find(work, deployment_id)
        watchlists.remove_entry(work, any_world.people["manager"], deployment, entry_id, "Found")
    assert list(any_world.installation.objects.keys(prefix)) == []
    with any_world.installation.read() as work:
        assert work.session.query(ReferenceImage).count() == 0
        assert work.session.query(EvidenceObject).count() == 0
        assert watchlists.searchable_entry(work, deployment_id, entry_id) is None


def test_nothing_personal_is_added_to_alerts_that_were_erased(any_world: World) -> None:
    deployment_id = any_world.opened(alert_retention_d=0, watchlist_retention_h=2)
    alert_id = any_world.hit(deployment_id, any_world.entry(deployment_id)).alert_id
    any_world.act("operator", deployment_id, alert_id, Action.CONFIRM)
    any_world.act("officer", deployment_id, alert_id, Action.CLAIM)
    any_world.clock.move_to(WINDOW_ENDS)
    assert [one.holding for one in retention.purge_due(any_world.installation)] == ["alerts"]
    assert any_world.deployment(deployment_id).state == DeploymentState.CLOSED
    for action in (Action.NOT_THE_PERSON, Action.ENGAGE, Action.LOST_SIGHT):
        with pytest.raises(evidence.Purged):
            any_world.act("officer", deployment_id, alert_id, action, note=SOUGHT_NAME)
    assert any_world.alert(alert_id).result == "expired"
    with any_world.installation.read() as work:
        assert all(not event.data for event in delivery.events_after(work, deployment_id, 0, 1_000) if event.alert_id)


def test_templates_of_a_purged_list_cannot_be_fetched(lived: tuple[World, str, str]) -> None:
    world, deployment_id, _ = lived
    with world.installation.write() as work:
        _, before = watchlists.templates_for_engine(work, deployments.find(work, deployment_id), "engine-1")
    assert before[0].templates.dtype == np.dtype("<f4")
    world.clock.move_to(AFTER_LIST)
    retention.purge_due(world.installation)
    with world.installation.write() as work:
        _, after = watchlists.templates_for_engine(work, deployments.find(work, deployment_id), "engine-1")
    assert after == []
    with pytest.raises(Refusal):
        world.entry(deployment_id, "PNC-2")
