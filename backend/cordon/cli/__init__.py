"""The `cordon` command. Each subcommand lives in its own module and is imported only when it is called."""

from __future__ import annotations

import importlib

import click

from cordon.cli.hardening import forbid_core_dumps

COMMANDS = {
    "audit": "cordon.cli.audit:audit",
    "demo": "cordon.cli.demo:demo",
    "engine": "cordon.cli.engine:engine",
    "jobs": "cordon.cli.jobs:jobs",
    "migrate": "cordon.cli.migrate:migrate",
    "models": "cordon.cli.models:models",
    "openapi": "cordon.cli.openapi:openapi",
    "retention": "cordon.cli.retention:retention",
    "run": "cordon.cli.run:run",
    "serve": "cordon.cli.serve:serve",
    "simulate": "cordon.cli.simulate:simulate",
    "users": "cordon.cli.users:users",
}


class LazyGroup(click.Group):
    """Imports a subcommand when it is named: `cordon serve` must patch sockets before anything else loads."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cordon")
def main() -> None:
    """Openly signposted live facial recognition: one place, some hours, one list, and a person decides."""
    forbid_core_dumps()
