"""`cordon retention`: what is due, purging it now, and the search for leftovers."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cordon.platform.clock import iso
from cordon.platform.errors import NotFound
from cordon.platform.installation import Installation
from cordon.platform.settings import Settings
from cordon.retention import leftovers
from cordon.retention import service as purges


@click.group()
def retention() -> None:
    """Deadlines, purge and the proof of deletion."""


@retention.command()
def due() -> None:
    """List what should be gone by now: nothing, while `cordon jobs` runs."""
    installation = Installation.open(Settings.from_environment())
    with installation.read() as work:
        waiting = purges.due(work)
    for one in waiting:
        click.echo(f"{one.reference} ({one.deployment_id}): {one.holding}, due since {iso(one.deadline)}")
    if not waiting:
        click.echo("Nothing is due.")


@retention.command()
def purge() -> None:
    """Purge everything that is due, as `cordon jobs` does. Exits with 1 if something could not be purged."""
    installation = Installation.open(Settings.from_environment())
    for one in purges.purge_due(installation):
        click.echo(f"{one.deployment_id}: {one.holding} purged, certificate {one.id}")
    with installation.read() as work:
        left = purges.due(work)
    for due_still in left:
        click.echo(f"{due_still.deployment_id}: {due_still.holding} could not be purged; the log says why.", err=True)
    if left:
        sys.exit(1)


@retention.command()
@click.argument("deployment")
@click.option(
    "--also",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A further folder or file to search, such as the place of logs or core dumps.",
)
def verify(deployment: str, also: tuple[Path, ...]) -> None:
    """Search everything Cordon writes for leftovers of DEPLOYMENT (its id). Exits with 1 if there are any."""
    installation = Installation.open(Settings.from_environment())
    try:
        with installation.read() as work:
            result = leftovers.verify(work, deployment, also)
    except NotFound as error:
        raise click.ClickException(error.sentence) from error
    if not result.searched:
        click.echo("Its retention is not over yet: nothing of it has to be gone.")
        return
    for leftover in result.found:
        click.echo(f"LEFT OVER  {leftover.place}: {leftover.what}")
    click.echo(
        f"Searched for {' and '.join(result.searched)}: {result.rows} rows in {result.tables} tables, "
        f"{result.objects} objects, {result.files} files. {len(result.found) or 'No'} leftovers."
    )
    if result.found:
        sys.exit(1)
