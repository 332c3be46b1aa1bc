"""What every test may ask for: a world of its own on SQLite or PostgreSQL, and real weights and photographs where this
machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from world import World

WEIGHTS_MISSING = (
    "NOT RUN: needs the model pack `light`. Enable with: CORDON_MODELS=/folder/with/manifest.json-and-onnx make test"
)
FACES_MISSING = "NOT RUN: needs test photographs. Enable with: CORDON_FACES=/folder/with/lfw make test"


@pytest.fixture(scope="session")
def models_folder() -> Path:
    folder = os.environ.get("CORDON_MODELS")
    if not folder:
        pytest.skip(WEIGHTS_MISSING)
    return Path(folder)


@pytest.fixture(scope="session")
def faces_folder() -> Path:
    folder = os.environ.get("CORDON_FACES")
    if not folder:
        pytest.skip(FACES_MISSING)
    return Path(folder)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """`postgresql://…` without a database's name: that of CORDON_TEST_POSTGRESQL, or a server started for this run."""
    given = os.environ.get("CORDON_TEST_POSTGRESQL")
    if given:
        yield given.rstrip("/")
        return
    programs = Path("/usr/lib/postgresql")
    found = sorted(programs.glob("*/bin/initdb")) if programs.is_dir() else []
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql, or set CORDON_TEST_POSTGRESQL")
    home = Path(tempfile.mkdtemp(prefix="postgresql-for-tests-", dir=os.environ.get("TMPDIR", "/tmp")))
    as_owner: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        shutil.chown(home, "postgres", "postgres")
        as_owner = ["runuser", "-u", "postgres", "--"]
    control = str(Path(initdb).with_name("pg_ctl"))
    subprocess.run(
        [*as_owner, initdb, "-D", f"{home}/data", "-A", "trust", "-U", "cordon", "--no-sync", "-E", "UTF8"],
        check=True,
        capture_output=True,
    )
    options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
    start = [*as_owner, control, "-D", f"{home}/data", "-w", "-o", options, "-l", f"{home}/log", "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"postgresql://cordon@/{{name}}?host={home}"
    finally:
        stop = [*as_owner, control, "-D", f"{home}/data", "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """An empty database of this test's own."""
    name = f"cordon_{uuid.uuid4().hex}"
    pattern = postgresql_server if "{name}" in postgresql_server else postgresql_server + "/{name}"
    with psycopg.connect(pattern.format(name="postgres"), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    yield pattern.format(name=name)
    with psycopg.connect(pattern.format(name="postgres"), autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[[str | None], World]]:
    made: list[World] = []

    def make(database_url: str | None = None) -> World:
        world = World(tmp_path / f"world{len(made)}", database_url)
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: Callable[[str | None], World]) -> World:
    """On SQLite."""
    return make_world(None)


@pytest.fixture
def postgresql_world(make_world: Callable[[str | None], World], postgresql_url: str) -> World:
    return make_world(postgresql_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_world(request: pytest.FixtureRequest, make_world: Callable[[str | None], World]) -> World:
    """Once on each database."""
    return make_world(request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None)
