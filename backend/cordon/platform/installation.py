"""One installation: its database, object store, clock and master key, and the unit of work of its use cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from cordon.platform.clock import Clock, SystemClock
from cordon.platform.database import Database
from cordon.platform.keys import load_master_key
from cordon.platform.objectstore import ObjectStore, open_object_store
from cordon.platform.settings import Settings


@dataclass
class UnitOfWork:
    """One transaction: what is read and changed in it is seen together or not at all."""

    session: Session
    installation: Installation
    now: datetime
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    opened_keys: dict[tuple[str, str], bytes] = field(default_factory=dict, repr=False)
    """Deployment keys that this transaction has unwrapped already; they go with it."""


@dataclass(frozen=True)
class Installation:
    settings: Settings
    database: Database
    objects: ObjectStore
    clock: Clock
    master_key: bytes
    # Rung after a commit that left something in the outbox, so that delivery need not wait for its next look.
    doorbells: list[Callable[[], None]] = field(default_factory=list)

    @contextmanager
    def write(self) -> Iterator[UnitOfWork]:
        with self.database.write() as session:
            work = UnitOfWork(session, self, self.clock.now())
            yield work
        for call in work.after_commit:
            call()

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        with self.database.read() as session:
            yield UnitOfWork(session, self, self.clock.now())

    @staticmethod
    def open(settings: Settings, clock: Clock | None = None) -> Installation:
        settings.data.mkdir(parents=True, exist_ok=True)
        return Installation(
            settings=settings,
            database=Database(settings.database_url),
            objects=open_object_store(settings.object_store_url),
            clock=clock or SystemClock(),
            master_key=load_master_key(settings.keys),
        )
