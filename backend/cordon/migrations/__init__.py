"""The database's schema, step by step. `cordon migrate` brings a database up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData

from cordon.alerts import model as alerts
from cordon.audit import model as audit
from cordon.delivery import model as delivery
from cordon.deployments import model as deployments
from cordon.evidence import model as evidence
from cordon.people import model as people
from cordon.platform.database import Base, Database
from cordon.retention import model as retention
from cordon.watchlists import model as watchlists

# Every capability's tables, known to the metadata once they are imported.
MODELS = (alerts, audit, delivery, deployments, evidence, people, retention, watchlists)


def metadata() -> MetaData:
    return Base.metadata


def upgrade(database: Database) -> tuple[str | None, str | None]:
    """Bring the schema up to date; the revisions before and after. Repeating it does nothing."""
    with database.engine.begin() as connection:
        before = _revision(connection)
        command.upgrade(_config(connection), "head")
        return before, _revision(connection)


def new_revision(database: Database, message: str) -> None:
    """Write a revision for what the models have and the database lacks."""
    with database.engine.begin() as connection:
        command.revision(_config(connection), message=message, autogenerate=True)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
