"""Weights are what they claim to be, or are not loaded."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cordon.vision import packs
from cordon.vision.packs import PackFile, PackManifest, PackUnavailable, load_pack, manifest_of, pull, verified

WEIGHTS = b"the weights as they were published"


@pytest.fixture
def store() -> Iterator[dict[str, bytes]]:
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    files["address"] = f"http://127.0.0.1:{server.server_port}".encode()
    yield files
    server.shutdown()
    server.server_close()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: dict[str, bytes]) -> PackManifest:
    """A pack whose one file is to be had from a real server."""
    url = store["address"].decode() + "/weights.onnx"
    file = PackFile("weights.onnx", hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS), url)
    manifest = PackManifest("open", "1", 128, "", "exercise", "", 0.5, "yunet", "sface", {"detector": file})
    monkeypatch.setattr(packs, "manifest_of", lambda name: manifest)
    monkeypatch.setenv("CORDON_CACHE", str(tmp_path))
    return manifest


def test_a_download_with_the_pinned_content_is_kept(published: PackManifest, store: dict[str, bytes]) -> None:
    store["/weights.onnx"] = WEIGHTS
    assert (pull("open") / "weights.onnx").read_bytes() == WEIGHTS


@pytest.mark.parametrize("served", [WEIGHTS[:-1] + b"!", WEIGHTS + b"more", b"", None])
def test_any_other_download_is_thrown_away(
    published: PackManifest, store: dict[str, bytes], tmp_path: Path, served: bytes | None
) -> None:
    if served is not None:
        store["/weights.onnx"] = served
    with pytest.raises(PackUnavailable):
        pull("open")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_weights_that_were_changed_on_disk_are_not_loaded(tmp_path: Path) -> None:
    file = manifest_of("light").files["detector"]
    (tmp_path / file.file).write_bytes(b"something else")
    with pytest.raises(PackUnavailable, match="not the ones that were published"):
        verified(tmp_path / file.file, file)


def test_a_pack_of_an_unknown_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORDON_CACHE", str(tmp_path))
    monkeypatch.delenv("CORDON_MODELS", raising=False)
    with pytest.raises(PackUnavailable):
        load_pack("no-such-pack")


def test_the_manifests_calibrations_are_of_their_own_pack_and_none_makes_it_operational() -> None:
    assert manifest_of("open").calibration is None
    light = manifest_of("light")
    assert light.calibration is not None
    assert light.calibration["pack"] == light.label
    # Measured on news photographs, by networks whose training data had research terms.
    assert light.licence_scope == "research"


def test_an_installations_own_calibration_takes_the_manifests_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in manifest_of("light").files.values():
        (tmp_path / file.file).write_bytes(b"")
    monkeypatch.setenv("CORDON_MODELS", str(tmp_path))
    monkeypatch.setenv("CORDON_CALIBRATIONS", str(tmp_path / "calibrations"))
    kept = packs.calibration_file(manifest_of("light"))
    kept.parent.mkdir()
    kept.write_text('{"pack": "light 1", "version": 1}')
    assert packs.describe_pack("light").calibration == {"pack": "light 1", "version": 1}
    kept.write_text('{"pack": "open 1", "version": 1}')
    with pytest.raises(PackUnavailable, match="not one of the pack light 1"):
        packs.describe_pack("light")
    kept.write_text("cut sho")
    with pytest.raises(PackUnavailable, match="cannot be read"):
        packs.describe_pack("light")
