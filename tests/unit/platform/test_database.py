from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text

from cordon.platform.clock import iso
from cordon.platform.keys import load_master_key
from cordon.platform.logging import JsonLines
from cordon.platform.objectstore import FolderStore, ObjectMissing, open_object_store
from world import World


def test_writers_at_once_wait_for_each_other_and_none_is_lost(any_world: World) -> None:
    with any_world.installation.database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE tally (id integer primary key, n integer)"))
        connection.execute(text("INSERT INTO tally VALUES (1, 0)"))

    def add(_: int) -> None:
        with any_world.installation.write() as work:
            work.session.execute(text("UPDATE tally SET n = n + 1 WHERE id = 1"))

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(add, range(100)))
    with any_world.installation.read() as work:
        assert work.session.scalar(text("SELECT n FROM tally")) == 100


def test_a_reading_keeps_nothing(any_world: World) -> None:
    deployment_id = any_world.drafted()
    with any_world.installation.read() as work:
        work.session.execute(text("UPDATE deployments SET name = 'changed'"))
    assert any_world.deployment(deployment_id).name != "changed"


def test_what_follows_a_commit_is_not_done_when_there_was_none(world: World) -> None:
    rung: list[str] = []
    with pytest.raises(RuntimeError), world.installation.write() as work:
        work.after_commit.append(lambda: rung.append("lost"))
        raise RuntimeError
    with world.installation.write() as work:
        work.after_commit.append(lambda: rung.append("kept"))
        assert rung == []
    assert rung == ["kept"]


def test_what_was_deleted_is_forgotten_by_the_files_too(world: World) -> None:
    secret = b"THE-KEY-THAT-MUST-NOT-OUTLIVE-ITS-PURGE"
    with world.installation.database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE vault (id integer, secret blob)"))
        connection.execute(text("INSERT INTO vault VALUES (1, :secret)"), {"secret": secret})
    with world.installation.database.engine.begin() as connection:
        connection.execute(text("UPDATE vault SET secret = NULL"))
    assert secret in world.written_bytes()
    world.installation.database.forget_deleted(["vault"])
    assert secret not in world.written_bytes()


def test_forgetting_waits_for_no_reader_for_ever(world: World) -> None:
    with world.installation.database.engine.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT count(*) FROM deployments")
        world.drafted()
        with world.installation.database.engine.connect() as other:
            other.exec_driver_sql("PRAGMA busy_timeout = 100")
        with pytest.raises(TimeoutError):
            world.installation.database.forget_deleted([])


def test_a_time_without_a_zone_is_refused_and_every_other_comes_back_in_utc(any_world: World) -> None:
    from sqlalchemy.exc import StatementError

    deployment_id = any_world.drafted()
    east = datetime(2026, 11, 23, 12, 0, tzinfo=timezone(timedelta(hours=5)))
    with any_world.installation.write() as work:
        from cordon.deployments import service as deployments

        deployments.find(work, deployment_id).opened_at = east
    found = any_world.deployment(deployment_id).opened_at
    assert (found, iso(found or east)) == (east, "2026-11-23T07:00:00.000Z")
    assert found is not None
    assert found.tzinfo == UTC
    with pytest.raises(StatementError), any_world.installation.write() as work:
        deployments.find(work, deployment_id).opened_at = datetime(2026, 11, 23, 12, 0)  # noqa: DTZ001


@pytest.mark.parametrize("key", ["../outside", "/etc/outside", "a/../../outside"])
def test_no_key_leaves_the_store(tmp_path: Path, key: str) -> None:
    store = FolderStore(tmp_path / "store")
    for call in (lambda: store.put(key, b"x"), lambda: store.get(key), lambda: store.delete(key)):
        with pytest.raises(ValueError, match="may not leave"):
            call()
    assert not (tmp_path / "outside").exists()


def test_a_store_gives_back_what_it_got_until_it_is_deleted(tmp_path: Path) -> None:
    store = open_object_store(f"file:{tmp_path / 'store'}")
    store.put("a/b", b"one")
    store.put("a/b", b"two")
    assert store.get("a/b") == b"two"
    assert list(store.keys("a/")) == ["a/b"]
    store.delete("a/b")
    store.delete("a/b")
    with pytest.raises(ObjectMissing):
        store.get("a/b")
    assert list((tmp_path / "store").rglob("*.*")) == []


def test_the_master_key_is_made_once_and_is_its_owners_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORDON_MASTER_KEY", raising=False)
    key = load_master_key(tmp_path / "keys")
    assert len(key) == 32
    (tmp_path / "keys" / "master.key").chmod(0o644)
    assert load_master_key(tmp_path / "keys") == key
    assert (tmp_path / "keys" / "master.key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("CORDON_MASTER_KEY", "c2hvcnQ=")
    with pytest.raises(ValueError, match="32 bytes"):
        load_master_key(tmp_path / "keys")


def test_a_log_line_tells_a_faults_kind_and_place_and_not_its_values() -> None:
    try:
        raise LookupError("Jonquil Featherstonehaugh is not here")
    except LookupError:
        import sys

        record = logging.LogRecord("cordon", logging.ERROR, __file__, 1, "a job failed", (), sys.exc_info())
    line = JsonLines().format(record)
    assert json.loads(line)["fault"] == "LookupError"
    assert "Jonquil" not in line
