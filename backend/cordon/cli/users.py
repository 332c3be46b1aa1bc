"""`cordon users`: who may sign in. For the first administrator, and for machines without a screen."""

from __future__ import annotations

import secrets

import click

from cordon.people import service as people
from cordon.people.model import Role
from cordon.platform.errors import Refusal
from cordon.platform.installation import Installation
from cordon.platform.settings import Settings


@click.group()
def users() -> None:
    """List and add users."""


@users.command("list")
def list_users() -> None:
    """Name, callsign and roles of every user."""
    with Installation.open(Settings.from_environment()).read() as work:
        for user in people.all_users(work):
            state = "" if user.disabled_at is None else "  (disabled)"
            click.echo(f"{user.username:24} {user.callsign:10} {', '.join(user.roles)}{state}")


@users.command("add")
@click.argument("username")
@click.option("--name", required=True, help="As shown to others.")
@click.option("--callsign", required=True)
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice([role.value for role in Role]))
def add_user(username: str, name: str, callsign: str, roles: tuple[str, ...]) -> None:
    """Add a user with a generated password, printed this once."""
    password = new_password()
    try:
        with Installation.open(Settings.from_environment()).write() as work:
            people.add_user(
                work,
                username=username,
                display_name=name,
                callsign=callsign,
                password=password,
                roles=[Role(role) for role in roles],
                by="command line",
            )
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from refusal
    click.echo(f"{username} signs in with: {password}")


def new_password() -> str:
    """Four groups of five: 100 bits without letters that look alike, easy to type once on a phone."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(4))
