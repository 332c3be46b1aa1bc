"""`cordon serve`: REST, Socket.IO, the built web app and the public notice pages."""

from __future__ import annotations

import signal

import click


@click.command()
def serve() -> None:
    """Serve people and engines (REST, Socket.IO, web app, public notices)."""
    # Before anything that opens a socket or a lock is imported.
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from gevent.pywsgi import WSGIServer

    from cordon.api.app import create_app
    from cordon.delivery.sockets import start_background
    from cordon.platform.installation import Installation
    from cordon.platform.logging import log_to_stderr
    from cordon.platform.settings import Settings

    log_to_stderr()
    installation = Installation.open(Settings.from_environment())
    app = create_app(installation)
    start_background(installation)
    host, _, port = installation.settings.bind.rpartition(":")
    # Access logs would hold addresses of pictures and people: there are none.
    server = WSGIServer((host, int(port)), app, log=None, error_log=None)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, server.stop, 5)
    server.serve_forever()
    installation.database.dispose()
