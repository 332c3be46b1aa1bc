"""`cordon engine`: capture and matching for the open deployments' cameras."""

from __future__ import annotations

import signal

import click


@click.command()
def engine() -> None:
    """Match the cameras of open deployments (asks the backend what it may do)."""
    from cordon.engine.engine import run_engine
    from cordon.engine.settings import EngineSettings
    from cordon.platform.logging import log_to_stderr
    from cordon.vision.packs import PackUnavailable

    log_to_stderr()
    try:
        running = run_engine(EngineSettings.from_environment())
    except KeyError as error:
        raise click.ClickException("The engine needs its credential in CORDON_ENGINE_TOKEN.") from error
    except PackUnavailable as unavailable:
        raise click.ClickException(str(unavailable)) from unavailable
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop())
    running.run()
