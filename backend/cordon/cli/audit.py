"""`cordon audit verify`: prove the audit chains whole, or name the first link that does not hold."""

from __future__ import annotations

import sys

import click

from cordon.audit import service as chains
from cordon.platform.installation import Installation
from cordon.platform.settings import Settings


@click.group()
def audit() -> None:
    """The audit chains."""


@audit.command()
@click.option("--scope", help="One deployment's id, or `installation`. Without it, every chain is checked.")
def verify(scope: str | None) -> None:
    """Check every link. Exits with 1, naming the first broken link, if a chain was tampered with."""
    installation = Installation.open(Settings.from_environment())
    with installation.read() as work:
        known = chains.scopes(work)
        if scope is not None and scope not in known:
            raise click.ClickException(f"There is no audit chain named {scope}.")
        reports = [chains.verify(work, one) for one in ([scope] if scope is not None else known)]
    for report in reports:
        if report.intact:
            click.echo(f"{report.scope}: intact, {report.records} records")
        else:
            click.echo(f"{report.scope}: BROKEN at record {report.broken_at}: {report.reason}")
    if not all(report.intact for report in reports):
        sys.exit(1)
