"""Somebody who calls the REST interface."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient


class Caller:
    """A signed-in person (or an engine) who speaks JSON."""

    def __init__(self, client: FlaskClient, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, headers=self.headers, **options)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(path, json={} if body is None else body, headers={**self.headers, **headers})
