"""`light` comes from its publishers' repositories: the embedder's batch is freed on arrival, and nothing else gets in.

This machine does not reach GitHub, so the published embedder is made here by undoing the change on the checked weights
(batch of one, PyTorch's names), and served by a real server on 127.0.0.1.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

from cordon.cli.models import models as models_command
from cordon.vision.arrival import Arrival, NotThisNetwork, content_digest, with_free_batch
from cordon.vision.packs import PackUnavailable, load_pack, manifest_of, pull

ARRIVAL = Arrival("input", "embedding", 4_200_000)
PUBLISHED = "MobileFaceNet.onnx"


@pytest.fixture(scope="session")
def checked(models_folder: Path) -> bytes:
    """The embedder as it is pinned."""
    return (models_folder / manifest_of("light").files["embedder"].file).read_bytes()


def published_from(checked: bytes, change: Callable[[Any], object] = lambda model: None) -> bytes:
    """The embedder as it is published (batch of one, `input0`, `output0`), after one more change."""
    model = onnx.ModelProto.FromString(checked)
    graph = model.graph
    for value, name in ((graph.input[0], "input0"), (graph.output[0], "output0")):
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = [name if one == value.name else one for one in names]
        value.name = name
        value.type.tensor_type.shape.dim[0].ClearField("dim_param")
        value.type.tensor_type.shape.dim[0].dim_value = 1
    target = next(node for node in graph.node if node.op_type == "Constant" and node.output[0] == "/Constant_output_0")
    target.attribute[0].t.raw_data = np.array([1, -1], np.int64).tobytes()
    change(model)
    return model.SerializeToString()


@pytest.fixture
def mirror(
    models_folder: Path, checked: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """A server of the published files, which CORDON_MODELS_MIRROR names; an empty cache, and no CORDON_MODELS."""
    detector = manifest_of("light").files["detector"].file
    served: dict[str, Any] = {
        f"/files/{detector}": (models_folder / detector).read_bytes(),
        f"/files/{PUBLISHED}": published_from(checked),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served.get(self.path)
            self.send_response(404 if body is None else 200)
            if self.path in served.get("promised", {}):
                self.send_header("Content-Length", str(served["promised"][self.path]))
            self.end_headers()
            try:
                self.wfile.write(body or b"")
            except (BrokenPipeError, ConnectionResetError):
                """The client hung up, as it should on what is too large."""

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("CORDON_MODELS_MIRROR", f"http://127.0.0.1:{server.server_port}/files/")
    monkeypatch.setenv("CORDON_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CORDON_MODELS")
    yield served
    server.shutdown()
    server.server_close()


def outputs(data: bytes, batch: np.ndarray) -> np.ndarray:
    """Of the network on each row by itself: the published one takes no more."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: batch[at : at + 1]})[0] for at in range(len(batch))])


def left_behind(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


def test_light_arrives_with_a_free_batch_and_the_very_outputs_that_were_published(
    mirror: dict[str, Any], checked: bytes
) -> None:
    folder = pull("light")
    kept = (folder / "mobilefacenet_ms1m_112_128.onnx").read_bytes()
    assert hashlib.sha256(kept).hexdigest() == manifest_of("light").files["embedder"].sha256
    batch = np.random.default_rng(5).normal(size=(3, 3, 112, 112)).astype(np.float32)
    assert np.array_equal(outputs(kept, batch), outputs(mirror[f"/files/{PUBLISHED}"], batch))
    crops = np.random.default_rng(5).integers(0, 256, (11, 112, 112, 3), np.uint8)
    assert load_pack("light").embedder.embed_crops(crops).shape == (11, 128)


def test_the_command_says_where_light_is_and_verifies_it(mirror: dict[str, Any]) -> None:
    pulled = CliRunner().invoke(models_command, ["pull", "light"])
    assert pulled.exit_code == 0, pulled.output
    assert "Licence: Apache-2.0" in pulled.output
    verified = CliRunner().invoke(models_command, ["verify", "light"])
    assert "2 files are the pinned ones" in verified.output


def test_what_is_there_and_right_is_not_fetched_again(mirror: dict[str, Any]) -> None:
    folder = pull("light")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    mirror.clear()
    assert {path.name: path.stat().st_mtime_ns for path in pull("light").iterdir()} == before


def in_another_protobufs_bytes(model: Any) -> None:
    """The same numbers stored the other way, remarks on nodes, and notes that an exporter may leave."""
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor)
    tensor.ClearField("raw_data")
    tensor.float_data.extend(values.ravel().tolist())
    model.graph.node[0].doc_string = "a remark"
    model.producer_version = "another"


def test_the_same_network_in_other_bytes_is_taken_and_loads(mirror: dict[str, Any], checked: bytes) -> None:
    mirror[f"/files/{PUBLISHED}"] = published_from(checked, in_another_protobufs_bytes)
    kept = (pull("light") / "mobilefacenet_ms1m_112_128.onnx").read_bytes()
    assert kept != checked
    batch = np.random.default_rng(6).normal(size=(2, 3, 112, 112)).astype(np.float32)
    assert np.array_equal(outputs(kept, batch), outputs(checked, batch))
    load_pack("light")


def one_bit_of_a_weight(model: Any) -> None:
    raw = bytearray(model.graph.initializer[40].raw_data)
    raw[3] ^= 1
    model.graph.initializer[40].raw_data = bytes(raw)


def another_stride(model: Any) -> None:
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    next(one for one in conv.attribute if one.name == "pads").ints[0] = 0


def another_input_for_a_node(model: Any) -> None:
    adds = [node for node in model.graph.node if node.op_type == "Add"]
    adds[1].input[0], adds[1].input[1] = adds[0].output[0], adds[1].input[0]


def another_operator_set(model: Any) -> None:
    model.opset_import[0].version = 17


def a_bound_that_clips_more(model: Any) -> None:
    constant = next(n for n in model.graph.node if n.op_type == "Constant" and "conv2" in n.name)
    constant.attribute[0].t.raw_data = np.float32(1).tobytes()


@pytest.mark.parametrize(
    "change",
    [one_bit_of_a_weight, another_stride, another_input_for_a_node, another_operator_set, a_bound_that_clips_more],
    ids=lambda change: change.__name__,
)
def test_a_network_that_computes_anything_else_is_thrown_away(
    mirror: dict[str, Any], checked: bytes, tmp_path: Path, change: Callable[[Any], object]
) -> None:
    mirror[f"/files/{PUBLISHED}"] = published_from(checked, change)
    with pytest.raises(PackUnavailable, match=r"is not MobileFaceNet\.onnx as it was published: it was thrown away"):
        pull("light")
    assert left_behind(tmp_path) == ["yunet_n_dynamic.onnx"]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda data: data[: len(data) // 2], "it is no ONNX network, or was cut short"),
        (lambda data: data + b"\0" * 300_000, "more than the 4200000 bytes"),
        (lambda data: b"<!DOCTYPE html><html><body>Sign in to the network</body></html>", "a web page, not"),
        (lambda data: b"\n <html>Blocked by policy</html>", "a web page, not"),
        (lambda data: b'{"message": "rate limited"}', "it is no ONNX network"),
        (lambda data: b"", "it is no ONNX network"),
        (lambda data: None, "the server answered 404"),
    ],
    ids=["truncated", "oversized", "sign-in page", "block page", "JSON error", "empty", "not found"],
)
def test_what_is_no_such_file_is_refused_in_a_sentence_and_nothing_stays(
    mirror: dict[str, Any],
    tmp_path: Path,
    spoil: Callable[[bytes], bytes | None],
    sentence: str,
) -> None:
    mirror[f"/files/{PUBLISHED}"] = spoil(mirror[f"/files/{PUBLISHED}"])
    with pytest.raises(PackUnavailable, match=sentence) as refused:
        pull("light")
    assert str(refused.value).endswith(".")
    assert left_behind(tmp_path) == ["yunet_n_dynamic.onnx"]


def test_a_connection_that_breaks_off_leaves_nothing(mirror: dict[str, Any], tmp_path: Path) -> None:
    whole = mirror[f"/files/{PUBLISHED}"]
    mirror["promised"] = {f"/files/{PUBLISHED}": len(whole)}
    mirror[f"/files/{PUBLISHED}"] = whole[:1_000_000]
    with pytest.raises(PackUnavailable, match="could not be downloaded"):
        pull("light")
    assert left_behind(tmp_path) == ["yunet_n_dynamic.onnx"]


def test_an_address_that_nobody_answers_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORDON_CACHE", str(tmp_path))
    for address in ("http://127.0.0.1:9/", "not an address"):
        with pytest.raises(PackUnavailable, match="could not be downloaded"):
            pull("light", mirror=address)
    assert left_behind(tmp_path) == []


def test_a_network_with_a_free_batch_stays_byte_for_byte(checked: bytes) -> None:
    assert with_free_batch(checked, ARRIVAL) == checked


def functions_of_its_own(model: Any) -> None:
    model.functions.add().name = "f"


def weights_elsewhere(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def settings_for_the_runtime(model: Any) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = "ort_config", json.dumps({"session_options": {"intra_op_num_threads": 64}})


@pytest.mark.parametrize("change", [functions_of_its_own, weights_elsewhere, settings_for_the_runtime])
def test_a_network_with_hidden_parts_has_no_digest(checked: bytes, change: Callable[[Any], object]) -> None:
    model = onnx.ModelProto.FromString(checked)
    change(model)
    with pytest.raises(NotThisNetwork):
        content_digest(model.SerializeToString())


def test_every_pack_by_name_says_where_its_files_are_published() -> None:
    for name in ("light", "open"):
        assert all(str(file.url).startswith("https://") for file in manifest_of(name).files.values())
