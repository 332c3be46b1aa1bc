"""The database port: PostgreSQL, or SQLite in WAL mode for one machine.

A write to SQLite begins with BEGIN IMMEDIATE behind a lock of this process: one greenlet that held SQLite's
write lock while another asked for it would stop the whole event loop until the busy timeout ran out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, Engine, create_engine, event, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import JSON, TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python; SQLite keeps it naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a zone cannot be stored.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON, list[str]: JSON}  # noqa: RUF012


class Database:
    def __init__(self, url: str) -> None:
        self.url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self.is_sqlite = self.url.startswith("sqlite")
        self.engine = self._engine()
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._sqlite_writer = threading.Lock()

    def _engine(self) -> Engine:
        if not self.is_sqlite:
            return create_engine(self.url, pool_size=20, max_overflow=20, pool_pre_ping=True, pool_timeout=10)
        path = self.url.removeprefix("sqlite:///")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            self.url, connect_args={"timeout": 10, "check_same_thread": False}, pool_size=20, max_overflow=20
        )
        event.listen(engine, "connect", _prepare_sqlite)
        return engine

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that may change something; commits at the end, rolls back on any error."""
        if not self.is_sqlite:
            with self._sessions.begin() as session:
                yield session
            return
        with self._sqlite_writer, self._sessions() as session:
            session.execute(text("BEGIN IMMEDIATE"))
            yield session
            session.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent look; nothing done in it is kept."""
        with self._sessions() as session:
            if self.is_sqlite:
                session.execute(text("BEGIN"))
            yield session
            session.rollback()

    def forget_deleted(self, tables: Sequence[str]) -> None:
        """Drop from the database's own files what was deleted or overwritten in these (small) tables: SQLite's
        write-ahead log, PostgreSQL's dead rows. Raises where a long reader stands in the way: try again later."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self.is_sqlite:
                busy = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0]
                if busy:
                    raise TimeoutError("The write-ahead log could not be emptied: somebody is still reading.")
                return
            connection.execute(text("SET lock_timeout = '5s'"))
            try:
                for table in tables:
                    # A name cannot be a parameter of VACUUM; it is quoted as an identifier.
                    name = self.engine.dialect.identifier_preparer.quote(table)
                    connection.execute(text(f"VACUUM (FULL) {name}"))
            finally:
                connection.execute(text("RESET lock_timeout"))

    def dispose(self) -> None:
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Transactions are begun by us (IMMEDIATE for writes), not by the driver's own guess.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        # A purged row's bytes are overwritten, not left in free pages.
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
