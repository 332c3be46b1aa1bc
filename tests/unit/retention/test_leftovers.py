from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from cordon.alerts.model import Action
from cordon.delivery import service as delivery
from cordon.evidence.model import Holding
from cordon.people import service as people
from cordon.platform.errors import NotFound
from cordon.retention import service as retention
from cordon.retention.leftovers import Leftovers, verify
from world import PROBE_PICTURE, SOUGHT_NAME, WINDOW_ENDS, World


def run_through(world: World) -> tuple[str, str, str]:
    deployment_id = world.opened()
    entry_id = world.entry(deployment_id)
    alert_id = world.hit(deployment_id, entry_id).alert_id
    with world.installation.write() as work:
        people.set_duty(work, deployment_id, world.people["officer"], True)
        delivery.acknowledge(work, deployment_id, world.people["officer"].user_id, 3)
    world.act("operator", deployment_id, alert_id, Action.CONFIRM)
    world.act("officer", deployment_id, alert_id, Action.CLAIM)
    world.act("officer", deployment_id, alert_id, Action.ENGAGE)
    world.act("officer", deployment_id, alert_id, Action.OUTCOME, outcome="different_person", note="brother")
    world.act("officer", deployment_id, alert_id, Action.CORRECT, outcome="arrested", reason="papers were false")
    (world.settings.spool / f"{deployment_id}_late.hit").parent.mkdir(parents=True, exist_ok=True)
    (world.settings.spool / f"{deployment_id}_late.hit").write_bytes(b"sealed")
    return deployment_id, entry_id, alert_id


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder that no other program writes to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def purged(any_world: World) -> tuple[World, str, str, str]:
    deployment_id, entry_id, alert_id = run_through(any_world)
    any_world.clock.move_to(WINDOW_ENDS + timedelta(days=7))
    assert len(retention.purge_due(any_world.installation)) == 2
    return any_world, deployment_id, entry_id, alert_id


def searched(world: World, deployment_id: str, *also: Path) -> Leftovers:
    with world.installation.read() as work:
        return verify(work, deployment_id, also)


def test_nothing_is_left_after_a_purge(purged: tuple[World, str, str, str]) -> None:
    world, deployment_id, _, _ = purged
    result = searched(world, deployment_id)
    assert result.found == []
    assert result.searched == [Holding.WATCHLIST, Holding.ALERTS]
    assert result.tables > 10
    assert result.rows > 10


def test_the_search_finds_everything_when_the_deadline_has_passed_and_nothing_was_purged(any_world: World) -> None:
    deployment_id, _, _ = run_through(any_world)
    assert searched(any_world, deployment_id).searched == []
    any_world.clock.move_to(WINDOW_ENDS + timedelta(days=7))
    places = {leftover.place.partition("/")[0] for leftover in searched(any_world, deployment_id).found}
    assert places >= {
        "watchlists",
        "watchlist_entries",
        "reference_images",
        "deployment_keys",
        "evidence_objects",
        "alerts",
        "hits",
        "accepted_actions",
        "deployment_events",
        "deployments",
    }


def test_another_deployments_data_is_no_leftover(purged: tuple[World, str, str, str]) -> None:
    world, deployment_id, _, _ = purged
    starts = world.clock.now() + timedelta(hours=1)
    other = world.announced(window_starts_at=starts, window_ends_at=starts + timedelta(hours=2))
    world.entry(other)
    assert searched(world, deployment_id).found == []


def statement(sql: str) -> Callable[[World, str, str, str], None]:
    def plant(world: World, deployment_id: str, entry_id: str, alert_id: str) -> None:
        names = {
            "deployment": deployment_id,
            "entry": entry_id,
            "alert": alert_id,
            "now": world.clock.now().replace(tzinfo=None).isoformat(" "),
            "person": json.dumps({"category": "wanted_warrant", "display_name": SOUGHT_NAME}),
            "note": f"It was {SOUGHT_NAME}",
            "picture": PROBE_PICTURE,
        }
        with world.installation.database.engine.begin() as connection:
            for part in sql.split(";"):
                connection.execute(text(part), {k: v for k, v in names.items() if f":{k}" in part})

    return plant


def planted_file(name: str, content: bytes) -> Callable[[World, str, str, str], None]:
    def plant(world: World, deployment_id: str, entry_id: str, alert_id: str) -> None:
        path = world.settings.data / name.format(deployment=deployment_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        for word, value in (("DEPLOYMENT", deployment_id), ("ENTRY", entry_id), ("ALERT", alert_id)):
            content_now = content.replace(word.encode(), value.encode())
            if content_now != content:
                break
        path.write_bytes(content_now)
        moment = world.clock.now().timestamp()
        os.utime(path, (moment, moment))

    return plant


def planted_object(world: World, deployment_id: str, _entry: str, _alert: str) -> None:
    world.installation.objects.put(f"deployments/{deployment_id}/alerts/forgotten", b"sealed")


def planted_stray_object(world: World, deployment_id: str, _entry: str, _alert: str) -> None:
    world.installation.objects.put(f"deployments/{deployment_id}/elsewhere", b"sealed")


PLANTS: dict[str, tuple[Callable[[World, str, str, str], None], str]] = {
    "a name left in an alert": (statement("UPDATE alerts SET entry = :person WHERE id = :alert"), "alerts/"),
    "a note left in an alert": (statement("UPDATE alerts SET note = :note WHERE id = :alert"), "alerts/"),
    "an event's content": (
        statement("UPDATE deployment_events SET data = :person WHERE alert_id = :alert"),
        "deployment_events/",
    ),
    "a picture's id in a hit": (statement("UPDATE hits SET probe_object_id = :entry"), "hits/"),
    "a key that lives": (
        statement("UPDATE deployment_keys SET wrapped = :picture WHERE deployment_id = :deployment"),
        "deployment_keys/",
    ),
    "a list that lives": (
        statement("INSERT INTO watchlists (deployment_id, revision) VALUES (:deployment, 1)"),
        "watchlists/",
    ),
    "a table nobody knows": (
        statement("CREATE TABLE faces_cache (id integer, remark text);INSERT INTO faces_cache VALUES (1, :deployment)"),
        "faces_cache/",
    ),
    "an officer's position": (statement("UPDATE duty_statuses SET longitude = 1.5"), "duty_statuses/"),
    "an object": (planted_object, "deployments/"),
    "an object off its place": (planted_stray_object, "deployments/"),
    "a spooled hit": (planted_file("spool/{deployment}_x.hit", b"sealed"), "/"),
    "a log line naming an entry": (planted_file("logs/engine.log", b"line\n" * 9 + b'{"entry": "ENTRY"}'), "/"),
    "a log line deep in a file": (planted_file("logs/deep.log", b"x" * 3_999_990 + b"ALERT" + b"y" * 99), "/"),
    "a crop": (planted_file("tmp/crop.bin", PROBE_PICTURE), "/"),
    "a template": (planted_file("index/base.npy", b"\x93NUMPY" + np.ones(128, np.float32).tobytes()), "/"),
}


def test_every_planted_leftover_is_found(purged: tuple[World, str, str, str]) -> None:
    world, deployment_id, entry_id, alert_id = purged
    known: set[str] = set()
    for name, (put, place) in PLANTS.items():
        put(world, deployment_id, entry_id, alert_id)
        new = {leftover.place for leftover in searched(world, deployment_id).found} - known
        assert new, f"not found: {name}"
        assert all(one.startswith(place) for one in new), name
        known |= new


def test_the_temporary_folder_and_other_places_are_searched(
    purged: tuple[World, str, str, str], tmp_path: Path, temporary: Path
) -> None:
    world, deployment_id, entry_id, _ = purged
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (temporary / "cordon-crop.txt").write_text(entry_id)
    (elsewhere / "core.123").write_text(f"…{deployment_id}…")
    found = {leftover.place for leftover in searched(world, deployment_id, elsewhere).found}
    assert found == {str(temporary / "cordon-crop.txt"), str(elsewhere / "core.123")}


def test_an_unknown_deployment_is_not_called_clean(world: World) -> None:
    with pytest.raises(NotFound):
        searched(world, "00000000-0000-4000-8000-000000000000")
