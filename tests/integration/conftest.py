"""People and engines at the REST interface of a world, on each database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from caller import Caller
from cordon.api.app import create_app
from cordon.api.guard import COOKIE
from cordon.people import service as people
from world import World


@pytest.fixture
def app(any_world: World) -> Flask:
    return create_app(any_world.installation)


@pytest.fixture
def sign_in(any_world: World, app: Flask) -> Callable[[str], Caller]:
    def as_person(name: str) -> Caller:
        with any_world.installation.write() as work:
            user = people.users_by_id(work, [any_world.people[name].user_id])[any_world.people[name].user_id]
            secret, session = people.open_session(work, user)
            csrf = session.csrf_token
        client = app.test_client()
        client.set_cookie(COOKIE, secret)
        return Caller(client, {"X-CSRF-Token": csrf})

    return as_person


@pytest.fixture
def engine(any_world: World, app: Flask) -> Caller:
    with any_world.installation.write() as work:
        token = people.add_engine(work, "engine-1", by="test")
    return Caller(app.test_client(), {"Authorization": f"Bearer {token}"})
