"""`cordon migrate`: bring the database's schema up to date."""

from __future__ import annotations

import click

from cordon.migrations import new_revision, upgrade
from cordon.platform.database import Database
from cordon.platform.settings import Settings


@click.command()
@click.option("--write", metavar="MESSAGE", help="Write a new revision for changed models (for developers).")
def migrate(write: str | None) -> None:
    """Bring the database's schema up to date."""
    settings = Settings.from_environment()
    settings.data.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    before, after = upgrade(database)
    if write:
        new_revision(database, write)
    click.echo(f"The database is at {after}." if before != after else f"The database was up to date ({after}).")
