"""Known people who are on no list walk through a whole deployment while its engine is killed again and again. Afterwards
nothing of them is anywhere that any process could write."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from cordon.cli.demo import SCENE, cast_of
from cordon.deployments import service as deployments
from cordon.people import service as people
from cordon.people.model import Actor, Role
from cordon.simulate.people import DemoPerson
from cordon.vision.images import encode_jpeg
from cordon.vision.packs import Pack, load_pack
from stack import Stack, start_stack
from traces import Sought, find_traces

KILLS = 3
pytestmark = [pytest.mark.weights, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def pack(models_folder: Path) -> Pack:
    return load_pack()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Iterator[Stack]:
    running = start_stack(tmp_path_factory.mktemp("no-trace"))
    yield running
    running.stop()


def commands(stack: Stack) -> dict[int, str]:
    """Every process of the running Cordon: its id, and its command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == stack.process.pid:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except (ProcessLookupError, FileNotFoundError, PermissionError):
                continue
    return found


def engine_of(stack: Stack) -> int | None:
    return next((pid for pid, command in commands(stack).items() if command.endswith("cordon.cli engine")), None)


def core_limits(stack: Stack) -> dict[str, str]:
    found = {}
    for pid, command in commands(stack).items():
        try:
            limits = Path(f"/proc/{pid}/limits").read_text()
        except FileNotFoundError:
            continue
        found[f"{pid} {command}"] = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    return found


def written_elsewhere(stack: Stack) -> set[str]:
    """Files that a process holds open for writing and that do not lie below the stack's folder (or in memory)."""
    found = set()
    for pid in commands(stack):
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = str(descriptor.readlink())
                flags = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text().split("flags:")[1].split()[0]
            except (OSError, IndexError):
                continue
            in_memory = target.startswith(("/memfd:", "/dev/null", "/dev/pts", "/dev/urandom"))
            outside = target.startswith("/") and not in_memory and not Path(target).is_relative_to(stack.folder)
            if int(flags, 8) & 3 and outside:
                found.add(target)
    return found


def running(stack: Stack) -> str:
    with stack.installation().read() as work:
        return deployments.running(work)[0].id


def frames(stack: Stack) -> int:
    installation = stack.installation()
    with installation.read() as work:
        read = deployments.frames_read(work, deployments.running(work)[0].id)
    installation.database.dispose()
    return read


def wait_for_frames(stack: Stack, more: int) -> None:
    since, deadline = frames(stack), time.monotonic() + SCENE.seconds * 4
    while frames(stack) < since + more:
        assert time.monotonic() < deadline, "the camera's frames do not come"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def sought(pack: Pack) -> Sought:
    """Those who walk by and are on no list: templates of both their photographs, and the aligned crops."""
    strangers: list[DemoPerson] = [person for person in cast_of(pack) if not person.walker.listed]
    templates, crops = [], []
    for person in strangers:
        for picture in (person.walker.photo, person.reference):
            faces = pack.detector.detect(picture)
            if len(faces):
                widest = int(np.argmax(faces.boxes[:, 2] - faces.boxes[:, 0]))
                aligned = pack.embedder.align(picture, faces.landmarks[widest : widest + 1])
                templates.append(pack.embedder.embed_crops(aligned)[0])
                crops.append(np.asarray(aligned[0]))
    square = [crop for crop in crops if crop.shape == (112, 112, 3) and crop.dtype == np.uint8]
    return Sought(np.stack(templates), 0.6, np.stack(square) if square else None)


def test_people_on_no_list_leave_nothing_though_the_engine_was_killed(stack: Stack, pack: Pack, sought: Sought) -> None:
    killed: list[int] = []
    elsewhere: set[str] = set()
    for _ in range(KILLS):
        wait_for_frames(stack, SCENE.frames // 6)
        limits = core_limits(stack)
        assert len(limits) >= 4, limits
        for command, limit in limits.items():
            assert limit.split()[4:6] == ["0", "0"], f"{command} may dump its memory: {limit}"
        elsewhere |= written_elsewhere(stack)
        engine = engine_of(stack)
        assert engine is not None
        os.kill(engine, signal.SIGKILL)
        killed.append(engine)
    wait_for_frames(stack, int(SCENE.frames * 1.1))
    elsewhere |= written_elsewhere(stack)
    assert len(set(killed)) == KILLS
    assert not elsewhere, f"processes write outside of where this test looks: {elsewhere}"

    deployment_id = running(stack)
    installation = stack.installation()
    with installation.write() as work:
        user = next(one for one in people.all_users(work) if one.username == "coordinator")
        actor = Actor(user.id, user.display_name, user.callsign, frozenset({Role.COORDINATOR}), "test")
        deployments.close(work, actor, deployments.find(work, deployment_id, lock=True), "Over")
    time.sleep(3)
    stack.stop()
    with installation.read() as work:
        faces = sum(deployments.faces_seen(work, deployment_id).values())
    assert faces >= len(cast_of(pack)), "the strangers must have been seen, or the search proves nothing"
    found = find_traces(stack.folder, installation, pack, sought, except_below=stack.data / "demo")
    assert not found, f"left behind of people who did not match: {found}"
    print(f"\n{faces} faces seen, engine killed {KILLS} times; nothing of {len(sought.templates)} templates found")


def test_what_is_planted_is_found_wherever_it_is(stack: Stack, pack: Pack, sought: Sought) -> None:
    stack.stop()
    installation = stack.installation()
    row = sought.templates[0]
    eight_bits = np.round(row / np.abs(row).max() * 127).astype(np.int8)
    strangers = [person for person in cast_of(pack) if not person.walker.listed]
    picture = encode_jpeg(strangers[0].walker.photo, longest_side=400, quality=90)
    planted = {
        stack.folder / "home" / ".cache": b"abc" + eight_bits.tobytes() + b"xyz",
        stack.folder / "tmp" / "half": row.astype("<f2").tobytes(),
        stack.data / "spool" / "left.part": row.astype(">f4").tobytes(),
        stack.folder / "core.17": b"\x7fELF" + bytes(999) + row.tobytes() + bytes(999),
        stack.data / "objects" / "stray": picture,
    }
    if sought.crops is not None:
        planted[stack.folder / "tmp" / "pixels"] = sought.crops[0].tobytes()
    for path, data in planted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with installation.database.engine.begin() as connection:
        connection.execute(text("UPDATE deployments SET place_name = :row"), {"row": row.tobytes().hex()})
    found = {
        one.where.partition(",")[0]
        for one in find_traces(stack.folder, installation, pack, sought, except_below=stack.data / "demo")
    }
    missed = [str(path) for path in planted if str(path) not in found]
    assert not missed, f"planted and not found: {missed}"
    assert "table deployments.place_name" in found
