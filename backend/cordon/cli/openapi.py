"""`cordon openapi`: the OpenAPI document, from which the web app's types are made."""

from __future__ import annotations

import json

import click


@click.command()
def openapi() -> None:
    """Print the OpenAPI document of the REST interface."""
    import tempfile
    from pathlib import Path

    from cordon.api.app import create_app
    from cordon.platform.installation import Installation
    from cordon.platform.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_environment({"CORDON_DATA": str(Path(folder))})
        app = create_app(Installation.open(settings))
        with app.test_client() as client:
            document = client.get("/api/openapi.json").get_json()
    click.echo(json.dumps(document, indent=2, sort_keys=True))
