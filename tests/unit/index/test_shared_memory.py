"""The index between processes: built in one, searched in another, never in a file, refused when it is not what was sealed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from cordon.index.build import ChildBuilder
from cordon.index.certificate import Demands
from cordon.index.memory import CorruptMemory, check, empty_block, read_arrays, seal, write_arrays
from cordon.index.watchlist_index import WatchlistIndex
from index_lists import ANNOY_AT_ONCE, unit

ELSEWHERE = """
import json, sys
import numpy as np
from cordon.index.certificate import Certificate
from cordon.index.memory import Block
from cordon.index.watchlist_index import SharedIndex, WatchlistIndex
task = json.loads(sys.stdin.readline())
index = WatchlistIndex(task["dimension"], task["threshold"])
index.adopt(SharedIndex(Block(**task["base"]), Block(**task["annoy"]), Certificate(**task["certificate"])))
found = index.search(np.array(task["probes"], np.float32))
print(json.dumps([index.certificate.engine, [[(match.entry_id, match.cosine) for match in one] for one in found]]))
"""


@pytest.fixture(scope="module")
def index() -> WatchlistIndex:
    made = WatchlistIndex(16, 0.5, ChildBuilder(ANNOY_AT_ONCE, "annoy"))
    made.replace_all({f"e{n}": unit(n, 2) for n in range(500)})
    made.rebuild()
    return made


def test_a_child_builds_what_this_process_maps(index: WatchlistIndex) -> None:
    assert index.certificate.engine == "annoy", index.certificate.reason
    assert index.search(unit(7, 2))[0][0].entry_id == "e7"
    maps = Path("/proc/self/maps").read_text()
    assert "memfd:cordon-annoy (deleted)" in maps
    assert "memfd:cordon-watchlist (deleted)" in maps


def test_another_process_searches_the_same_memory_and_answers_alike(index: WatchlistIndex) -> None:
    shared = index.share()
    assert shared is not None
    assert shared.annoy is not None
    probes = np.concatenate([unit(n, 2) for n in range(30)])
    task = {
        "dimension": 16,
        "threshold": 0.5,
        "base": asdict(shared.base),
        "annoy": asdict(shared.annoy),
        "certificate": asdict(shared.certificate),
        "probes": probes.tolist(),
    }
    answer = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=json.dumps(task).encode(),
        pass_fds=(shared.base.descriptor, shared.annoy.descriptor),
        capture_output=True,
        check=True,
        timeout=60,
    )
    engine, found = json.loads(answer.stdout)
    assert engine == "annoy"
    assert found == [[[match.entry_id, pytest.approx(match.cosine)] for match in one] for one in index.search(probes)]


def test_a_base_of_another_process_is_refused_when_it_is_not_what_was_sealed(index: WatchlistIndex) -> None:
    shared = index.share()
    assert shared is not None
    assert shared.annoy is not None
    mine = WatchlistIndex(16, 0.5)
    mine.replace_all({"mine": unit(1)})
    for wrong in (
        replace(shared, base=replace(shared.base, sha256="0" * 64)),
        replace(shared, annoy=replace(shared.annoy, sha256="0" * 64)),
        replace(shared, annoy=replace(shared.annoy, size=12)),
        replace(shared, annoy=shared.base),
    ):
        with pytest.raises(CorruptMemory):
            mine.adopt(wrong)
    assert mine.search(unit(1))[0][0].entry_id == "mine", "what was searched before is still searched"


def test_what_is_sealed_cannot_be_changed() -> None:
    block = write_arrays("cordon-test", {"names": ["a"]}, {"rows": unit(1, 10)})
    header, arrays = read_arrays(block)
    assert header == {"names": ["a"]}
    assert (arrays["rows"] == unit(1, 10)).all()
    with pytest.raises(PermissionError):
        os.pwrite(block.descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.truncate(block.descriptor, 0)
    with pytest.raises(ValueError, match="read-only"):
        arrays["rows"][0, 0] = 1
    check(block)


def test_a_block_of_nonsense_is_refused() -> None:
    descriptor = empty_block("cordon-test")
    os.write(descriptor, b"\xff" * 100)
    with pytest.raises(CorruptMemory):
        read_arrays(seal(descriptor))


def slow_index() -> WatchlistIndex:
    """Its certificate takes minutes: the demands can hardly be met."""
    demands = Demands(annoy_from=1, most_ms=1_000, probes=1_000_000, trees=(200,), first_search_k=100_000)
    made = WatchlistIndex(128, 0.5, ChildBuilder(demands, "annoy"))
    made.replace_all({f"e{n}": row[None] for n, row in enumerate(unit(1, 3_000, 128))})
    return made


def test_closing_an_index_ends_the_building_at_once() -> None:
    index = slow_index()
    thread = threading.Thread(target=index.rebuild)
    thread.start()
    child = _child_of_builder(index)
    began = time.monotonic()
    index.close()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
    assert not Path(f"/proc/{child}/exe").exists(), "the child that held the templates is gone"
    assert len(index) == 0
    index.rebuild()
    assert len(index) == 0


def test_a_child_that_is_killed_leaves_exact_search() -> None:
    index = slow_index()
    thread = threading.Thread(target=index.rebuild)
    thread.start()
    os.kill(_child_of_builder(index), 9)
    thread.join(20)
    assert not thread.is_alive()
    assert index.certificate.engine == "exact"
    assert "-9" in index.certificate.reason
    assert index.search(unit(1, 3_000, 128)[5:6])[0][0].entry_id == "e5"


def test_nothing_of_a_list_is_written_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file that this process or the builder opens for writing while an index is made is one without a name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    opened: list[str] = []

    def note(event: str, arguments: tuple) -> None:
        if event == "open" and watching and isinstance(arguments[0], str) and _for_writing(arguments):
            opened.append(arguments[0])

    watching = True
    sys.addaudithook(note)
    made = WatchlistIndex(16, 0.5, ChildBuilder(ANNOY_AT_ONCE, "annoy"))
    made.replace_all({f"e{n}": unit(n, 2) for n in range(100)})
    made.rebuild()
    watching = False
    assert made.certificate.engine == "annoy"
    assert list(tmp_path.rglob("*")) == []
    assert [path for path in opened if not path.startswith("/proc/self/fd/") and path != os.devnull] == []


def _for_writing(arguments: tuple) -> bool:
    mode, flags = arguments[1], arguments[2]
    return bool(mode and set(mode) & set("wa+x")) or bool(flags & (os.O_WRONLY | os.O_RDWR))


def _child_of_builder(index: WatchlistIndex) -> int:
    builder = index._builder
    assert isinstance(builder, ChildBuilder)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in list(builder._children):
            time.sleep(1.0)
            return child.pid
        time.sleep(0.02)
    raise AssertionError("no child was started")
