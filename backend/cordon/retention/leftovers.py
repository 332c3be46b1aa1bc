"""Proof of deletion: look through everything Cordon writes for what a purge should have left nowhere.

The search does not trust the purge: it knows which columns of which tables may still hold something of a deployment
whose retention is over, and reports every other value. Files are searched for the deployment's own ids, which the
audit chain names, and for pictures and arrays, which have no business outside the object store.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Column, MetaData, Table, select
from sqlalchemy.engine import Connection

from cordon.audit import service as audit
from cordon.deployments import service as deployments
from cordon.deployments.model import Deployment
from cordon.evidence.model import Holding
from cordon.platform.installation import Installation, UnitOfWork
from cordon.retention import service as retention

# What may stay for the record, by table: columns that hold a figure, a state, a time or an id, and nothing of a face,
# a name or a note. A table that is not here may hold no row of a purged deployment; a column that is not, no value.
_ALWAYS_KEPT = frozenset(
    {
        "audit_heads",
        "audit_records",
        "cameras",
        "deployment_members",
        "deployment_versions",
        "deployments",
        "event_counters",
        "faces_seen",
        "purge_certificates",
    }
)
KEPT_COLUMNS: dict[str, frozenset[str]] = {
    name: frozenset(columns.split(" "))
    for name, columns in {
        "alerts": "id deployment_id number kind camera_id state result verified score threshold direction "
        "first_seen_at last_seen_at raised_at deadline_at overdue_at expires_at dispatched_at claimed_at engaged_at "
        "closed_at outcome last_seq",
        "hits": "id alert_id deployment_id engine pack score captured_at detected_at received_at",
        "deployment_events": "id deployment_id seq kind audience alert_id actor at made_at",
        "deployment_keys": "deployment_id holding created_at destroyed_at",
        # Of events and their delivery: numbers and times only.
        "outbox": "event_id created_at",
        # Staff on duty and what their phones received: not of the public, and part of the record of who was told.
        "duty_statuses": "deployment_id user_id on_duty since last_seen_at",
        "receipts": "deployment_id user_id received_seq received_at",
    }.items()
}
# Columns that may hold something, but only this much of it.
_MAY_HOLD: dict[tuple[str, str], frozenset[str]] = {
    ("alerts", "entry"): frozenset({"category"}),
    ("alerts", "adjudications"): frozenset({"decision", "at"}),
    ("alerts", "corrections"): frozenset({"outcome", "at"}),
    # Events that are no alert's: a state and its reason, a change of the list by a random id, a turn of duty.
    ("deployment_events", "data"): frozenset({"state", "reason", "terms", "change", "entry_id", "user_id", "on"}),
}
_WATCHLIST_TABLES = frozenset({"watchlists", "watchlist_entries", "reference_images"})
_Row = dict[str, Any]
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY")
_LARGEST_FILE_SEARCHED = 512_000_000
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Leftover:
    """`place` is a table with its row, an object's key or a file; `what` says why it should not be there."""

    place: str
    what: str


@dataclass(frozen=True)
class Leftovers:
    deployment_id: str
    searched: list[Holding]
    """The holdings whose retention is over. The others may still be there, and were not searched."""
    found: list[Leftover]
    tables: int
    rows: int
    objects: int
    files: int


@dataclass
class _Search:
    installation: Installation
    deployment: Deployment
    holdings: list[Holding]
    identifiers: list[bytes]
    found: list[Leftover] = field(default_factory=list)
    tables: int = 0
    rows: int = 0
    objects: int = 0
    files: int = 0

    def report(self, place: str, what: str) -> None:
        self.found.append(Leftover(place, what))


def verify(work: UnitOfWork, deployment_id: str, also: Sequence[Path] = ()) -> Leftovers:
    """Search the database, the object store, the data and temporary folders and the folders in `also` (logs, core
    dumps). Raises NotFound for an unknown deployment."""
    deployment = deployments.find(work, deployment_id)
    over = [
        holding
        for holding, deadline, purged_at in retention.deadlines(deployment)
        if purged_at is not None or deadline <= work.now
    ]
    search = _Search(work.installation, deployment, over, _identifiers(work, deployment))
    if over:
        connection = work.session.connection()
        _search_database(search, connection)
        _search_objects(search)
        _search_files(search, also)
    return Leftovers(deployment_id, over, search.found, search.tables, search.rows, search.objects, search.files)


def _identifiers(work: UnitOfWork, deployment: Deployment) -> list[bytes]:
    """What a forgotten file about this deployment would contain: its id, and those of its entries and alerts, which
    outlive them in the audit chain only."""
    named = {deployment.id}
    for record in audit.chain(work, deployment.id):
        if record.action.startswith(("watchlist.", "alert.")) and len(record.object) == 36:
            named.add(record.object)
    return [one.encode() for one in sorted(named)]


def _search_database(search: _Search, connection: Connection) -> None:
    """Every table that the database really has, also those that Cordon does not know."""
    tables = MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        if table.name in _ALWAYS_KEPT:
            continue
        search.tables += 1
        for row in _rows_of(connection, table, search.deployment.id):
            search.rows += 1
            _judge_row(search, table, row)


def _rows_of(connection: Connection, table: Table, deployment_id: str) -> Iterator[_Row]:
    """Rows of this deployment: by its column, by the row they belong to, or because some text in them names it."""
    query = select(table)
    owner = _owner(table)
    if "deployment_id" in table.c:
        query = query.where(table.c.deployment_id == deployment_id)
    elif owner is not None:
        column, parent = owner
        query = query.where(column.in_(select(parent.c.id).where(parent.c.deployment_id == deployment_id)))
    for found in connection.execute(query).mappings():
        row = {str(name): value for name, value in found.items()}
        if "deployment_id" in row or owner is not None or any(deployment_id in _as_text(v) for v in row.values()):
            yield row


def _owner(table: Table) -> tuple[Column[Any], Table] | None:
    """The column that ties a row to a parent which names its deployment."""
    for key in table.foreign_keys:
        parent = key.column.table
        if "deployment_id" in parent.c and key.column.name == "id":
            return key.parent, parent
    return None


def _judge_row(search: _Search, table: Table, row: _Row) -> None:
    place = f"{table.name}/{_row_name(table, row)}"
    holding = _holding_of(table.name, row)
    if holding not in search.holdings:
        return
    kept = KEPT_COLUMNS.get(table.name)
    if kept is None:
        search.report(place, "a row that should have been deleted")
        return
    for column, value in row.items():
        if column not in kept and _holds_something(table.name, column, value):
            search.report(f"{place}.{column}", "a value that should have been erased")


def _holding_of(table: str, row: _Row) -> Holding:
    if "holding" in row:
        return Holding(row["holding"])
    return Holding.WATCHLIST if table in _WATCHLIST_TABLES else Holding.ALERTS


def _holds_something(table: str, column: str, value: Any) -> bool:
    if isinstance(value, str) and value[:1] in {"{", "["}:
        value = json.loads(value)
    allowed = _MAY_HOLD.get((table, column), frozenset())
    parts = value if isinstance(value, list) else [value]
    return any(set(part) - allowed if isinstance(part, dict) else bool(part) for part in parts)


def _row_name(table: Table, row: _Row) -> str:
    return ",".join(str(row[column.name]) for column in table.primary_key.columns) or "?"


def _search_objects(search: _Search) -> None:
    for key in search.installation.objects.keys("deployments/"):
        search.objects += 1
        parts = key.split("/")
        if search.deployment.id not in key:
            continue
        if len(parts) < 4 or parts[2] not in set(Holding) or Holding(parts[2]) in search.holdings:
            search.report(key, "an object that should have been deleted")


def _search_files(search: _Search, also: Sequence[Path]) -> None:
    """Only once both holdings are over: until then, files such as the spool may rightly hold the rest."""
    if set(search.holdings) != set(Holding):
        return
    settings = search.installation.settings
    own = _own_files(search.installation)
    for path in _files([settings.data, *_temporary_places(), *also]):
        if path in own or any(path.is_relative_to(folder) for folder in (settings.keys, _object_folder(settings.data))):
            continue
        search.files += 1
        _judge_file(search, path)


def _judge_file(search: _Search, path: Path) -> None:
    if search.deployment.id in path.as_posix():
        search.report(str(path), "a file named after the deployment")
        return
    try:
        content = path.open("rb")
    except OSError as error:
        search.report(str(path), f"a file that could not be read ({type(error).__name__}): look at it yourself")
        return
    with content:
        changed_at = path.stat().st_mtime
        tail = b""
        for position in range(0, _LARGEST_FILE_SEARCHED, _CHUNK):
            chunk = content.read(_CHUNK)
            if not chunk:
                return
            during = search.deployment.opened_at is not None and changed_at >= search.deployment.opened_at.timestamp()
            if position == 0 and during and chunk.startswith(_PICTURES):
                search.report(str(path), "a picture or an array, written since the deployment opened")
                return
            if any(identifier in tail + chunk for identifier in search.identifiers):
                search.report(str(path), "a file that names the deployment, one of its entries or one of its alerts")
                return
            tail = chunk[-64:]


def _own_files(installation: Installation) -> set[Path]:
    """The database's files: searched as tables, where more can be told apart."""
    if not installation.database.is_sqlite:
        return set()
    database = Path(installation.database.url.removeprefix("sqlite:///")).absolute()
    return {database, *(database.with_name(database.name + end) for end in ("-wal", "-shm"))}


def _object_folder(data: Path) -> Path:
    return data / "objects"


def _temporary_places() -> list[Path]:
    return sorted(Path(tempfile.gettempdir()).glob("cordon*"))


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not path.is_symlink():
                yield path


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
