"""`cordon engine`: capture and matching for the open deployments' cameras."""

from __future__ import annotations

import logging
import signal

import click


@click.command()
def engine() -> None:
    """Match the cameras of open deployments (asks the backend what it may do)."""
    from cordon.cli.hardening import lock_memory
    from cordon.engine.engine import run_engine
    from cordon.engine.settings import EngineSettings
    from cordon.platform.logging import log_to_stderr
    from cordon.vision.packs import PackUnavailable

    log_to_stderr()
    if not lock_memory():
        logging.getLogger(__name__).warning(
            "memory cannot be locked: encrypt the swap or turn it off, or raise the limit of locked memory (LimitMEMLOCK)"
        )
    try:
        running = run_engine(EngineSettings.from_environment())
    except KeyError as error:
        raise click.ClickException("The engine needs its credential in CORDON_ENGINE_TOKEN.") from error
    except PackUnavailable as unavailable:
        raise click.ClickException(str(unavailable)) from unavailable
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop())
    running.run()
