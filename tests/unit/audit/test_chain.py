"""Whatever is done to a chain behind Cordon's back is found, and the first broken link named."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from cordon.audit import service as audit
from cordon.audit.model import INSTALLATION
from cordon.cli import main
from cordon.platform.installation import Installation
from world import World

SCOPE = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def chained(any_world: World) -> World:
    for number in range(1, 8):
        with any_world.installation.write() as work:
            audit.record(work, f"act.{number}", "thing", actor="tester", scope=SCOPE, detail={"n": number})
        any_world.clock.forward(seconds=1)
    return any_world


def report(world: World, scope: str = SCOPE) -> audit.ChainReport:
    with world.installation.read() as work:
        return audit.verify(work, scope)


def tamper(world: World, *statements: str) -> None:
    with world.installation.database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace("@", f"scope = '{SCOPE}' AND number")))


def test_an_untouched_chain_is_whole(chained: World) -> None:
    assert report(chained) == audit.ChainReport(SCOPE, 7, None, None)


@pytest.mark.parametrize(
    "column", ["action = 'x'", "actor = 'x'", "object = 'x'", "detail = '{}'", "at = '2020-01-01 00:00:00'"]
)
def test_an_edited_record_is_named(chained: World, column: str) -> None:
    tamper(chained, f"UPDATE audit_records SET {column} WHERE @ = 4")
    assert report(chained).broken_at == 4


def test_an_edit_that_makes_its_own_hash_right_breaks_the_next_link(chained: World) -> None:
    with chained.installation.write() as work:
        record = audit.chain(work, SCOPE)[3]
        record.action = "forged"
        record.hash = record.expected_hash()
    found = report(chained)
    assert (found.broken_at, found.reason) == (5, "it does not follow from the record before it")


def test_a_deleted_record_is_named(chained: World) -> None:
    tamper(chained, "DELETE FROM audit_records WHERE @ = 3")
    assert (report(chained).broken_at, report(chained).reason) == (3, "record 3 is missing")


def test_a_deleted_record_with_the_rest_renumbered_is_named(chained: World) -> None:
    tamper(chained, "DELETE FROM audit_records WHERE @ = 3")
    for number in range(4, 8):
        tamper(chained, f"UPDATE audit_records SET number = {number - 1} WHERE @ = {number}")
    assert report(chained).broken_at == 3


def test_reordered_records_are_named(chained: World) -> None:
    tamper(
        chained,
        "UPDATE audit_records SET number = 99 WHERE @ = 3",
        "UPDATE audit_records SET number = 3 WHERE @ = 5",
        "UPDATE audit_records SET number = 5 WHERE @ = 99",
    )
    assert report(chained).broken_at == 3


def test_a_chain_cut_short_is_named(chained: World) -> None:
    tamper(chained, "DELETE FROM audit_records WHERE @ > 5")
    found = report(chained)
    assert (found.broken_at, found.reason) == (6, "the chain was cut off after this point")


def test_a_chain_cut_short_with_its_head_set_back_is_found_by_the_seal(chained: World) -> None:
    tamper(
        chained,
        "DELETE FROM audit_records WHERE @ > 5",
        f"UPDATE audit_heads SET number = 5, hash = (SELECT hash FROM audit_records WHERE @ = 5) "
        f"WHERE scope = '{SCOPE}'",
    )
    found = report(chained)
    assert (found.broken_at, found.reason) == (5, "the head was not sealed by this installation's key")


def test_a_replayed_record_is_named(chained: World) -> None:
    columns = "at, actor, action, object, detail, previous_hash, hash"
    tamper(
        chained,
        f"INSERT INTO audit_records (scope, number, {columns}) SELECT scope, 8, {columns} FROM audit_records WHERE @ = 7",
    )
    assert report(chained).broken_at == 8


def test_a_chain_rewritten_with_another_key_is_found(chained: World) -> None:
    stranger = Installation(
        chained.settings, chained.installation.database, chained.installation.objects, chained.clock, b"k" * 32
    )
    with stranger.write() as work:
        audit.record(work, "forged", "thing", actor="stranger", scope=SCOPE)
    assert report(chained).reason == "the head was not sealed by this installation's key"


def test_a_chain_whose_head_was_deleted_is_broken(chained: World) -> None:
    tamper(chained, f"DELETE FROM audit_heads WHERE scope = '{SCOPE}'")
    assert not report(chained).intact


def test_what_is_rolled_back_leaves_no_gap(chained: World) -> None:
    with pytest.raises(RuntimeError), chained.installation.write() as work:
        audit.record(work, "never", "thing", actor="tester", scope=SCOPE)
        raise RuntimeError
    with chained.installation.write() as work:
        audit.record(work, "after", "thing", actor="tester", scope=SCOPE)
    assert report(chained) == audit.ChainReport(SCOPE, 8, None, None)


def test_records_written_at_once_make_one_chain(any_world: World) -> None:
    def write(number: int) -> None:
        with any_world.installation.write() as work:
            audit.record(work, f"act.{number}", "thing", actor="tester", scope=SCOPE)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert report(any_world) == audit.ChainReport(SCOPE, 40, None, None)


def test_the_command_names_the_broken_link_and_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        with world.installation.write() as work:
            audit.record(work, f"act.{number}", "thing", actor="tester", scope=SCOPE)
            audit.record(work, f"act.{number}", "thing", actor="tester")
    monkeypatch.setenv("CORDON_DATA", str(world.settings.data))
    for name in ("DATABASE_URL", "OBJECT_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    whole = CliRunner().invoke(main, ["audit", "verify"])
    assert (whole.exit_code, whole.output.count("intact, 3 records")) == (0, 2)
    tamper(world, "UPDATE audit_records SET actor = 'x' WHERE @ = 2")
    broken = CliRunner().invoke(main, ["audit", "verify"])
    assert broken.exit_code == 1
    assert f"{SCOPE}: BROKEN at record 2: its content was changed after it was written" in broken.output
    assert CliRunner().invoke(main, ["audit", "verify", "--scope", INSTALLATION]).exit_code == 0
    assert CliRunner().invoke(main, ["audit", "verify", "--scope", SCOPE]).exit_code == 1
    assert CliRunner().invoke(main, ["audit", "verify", "--scope", "nothing"]).exit_code == 1
