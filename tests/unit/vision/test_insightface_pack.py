"""InsightFace packs. Their weights are not here, so networks of the same shape are built: what they prove is the way
through the insightface package (routing, normalisation, decoding, scaling), nothing about SCRFD's or ArcFace's accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from cordon.cli.models import models as models_command
from cordon.vision import insightface_pack
from cordon.vision.packs import PackUnavailable, describe_pack, load_pack

DIMENSION = 512
# The one face that the built detector sees: anchor at column 10, row 5 of the stride of 32, sides two strides away.
STRIDE, COLUMN, ROW, REACH = 32, 10, 5, 2.0


def write_arcface(path: Path) -> None:
    """Means of a 4 × 4 grid in each channel, times a fixed matrix: 112 × 112 × 3 in, 512 out."""
    weights = np.random.default_rng(3).normal(size=(48, DIMENSION)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["data"], ["cells"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["template"]),
    ]
    save(path, nodes, [("data", ["n", 3, 112, 112])], [("template", ["n", DIMENSION])], {"weights": weights})


def write_scrfd(path: Path) -> None:
    """SCRFD's nine outputs (score, box, five points, at three strides), with one face wherever the picture is not black."""
    nodes = [helper.make_node("ReduceMax", ["data"], ["brightest"], keepdims=0)]
    outputs, constants = [], {}
    for kind, columns in (("score", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            cells = (640 // stride) ** 2 * 2
            values = np.zeros((cells, columns), np.float32)
            if stride == STRIDE:
                # Two anchors a cell.
                at = (ROW * (640 // stride) + COLUMN) * 2
                values[at] = {"score": 0.9, "bbox": REACH, "kps": np.array([-1, -1, 1, -1, 0, 0, -1, 1, 1, 1])}[kind]
            name = f"{kind}_{stride}"
            constants[f"{name}_value"] = values
            if kind == "score":
                nodes.append(helper.make_node("Clip", ["brightest", "zero", "one"], [f"{name}_lit"]))
                nodes.append(helper.make_node("Mul", [f"{name}_value", f"{name}_lit"], [name]))
            else:
                nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
            outputs.append((name, [cells, columns]))
    constants |= {"zero": np.array(0, np.float32), "one": np.array(1, np.float32)}
    save(path, nodes, [("data", [1, 3, 640, 640])], outputs, constants)


def save(path: Path, nodes: list, inputs: list, outputs: list, constants: dict[str, np.ndarray]) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack folder laid out as buffalo_l is, found through CORDON_MODELS."""
    monkeypatch.setenv("CORDON_MODELS", str(tmp_path))
    monkeypatch.setenv("CORDON_CACHE", str(tmp_path / "cache"))
    made = tmp_path / "buffalo_l"
    made.mkdir()
    write_scrfd(made / "det_10g.onnx")
    write_arcface(made / "w600k_r50.onnx")
    return made


def test_a_pack_folder_is_loaded_by_name_and_is_for_research_only(folder: Path) -> None:
    pack = load_pack("buffalo_l")
    assert pack.manifest.name == "buffalo_l"
    assert pack.manifest.licence_scope == "research"
    assert pack.manifest.dimension == pack.embedder.dimension == DIMENSION
    assert describe_pack("buffalo_l").version == pack.manifest.version


def test_templates_are_the_networks_output_on_rgb_scaled_to_one_and_normalised(folder: Path) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (3, 112, 112, 3), np.uint8)
    templates = load_pack("buffalo_l").embedder.embed_crops(crops)
    scaled = (crops[..., ::-1].astype(np.float32) - 127.5) / 127.5
    cells = scaled.reshape(3, 4, 28, 4, 28, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(3, 48)
    expected = cells @ np.random.default_rng(3).normal(size=(48, DIMENSION)).astype(np.float32)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert templates.dtype == np.float32
    np.testing.assert_allclose(templates, expected, atol=2e-4)


def test_no_crops_give_no_templates(folder: Path) -> None:
    assert load_pack("buffalo_l").embedder.embed_crops(np.zeros((0, 112, 112, 3), np.uint8)).shape == (0, DIMENSION)


def test_a_face_is_found_in_pixels_of_the_original_picture(folder: Path) -> None:
    found = load_pack("buffalo_l").detector.detect(np.full((720, 1280, 3), 255, np.uint8))
    # 1280 × 720 is halved for the network.
    middle, half = np.array([COLUMN, ROW]) * STRIDE * 2.0, REACH * STRIDE * 2
    np.testing.assert_allclose(found.boxes, [[*(middle - half), *(middle + half)]])
    # insightface keeps its candidates in half precision on the way.
    np.testing.assert_allclose(found.scores, [0.9], atol=0.01)
    np.testing.assert_allclose(found.landmarks[0, 2], middle)
    np.testing.assert_allclose(found.landmarks[0, 1] - found.landmarks[0, 0], [4 * STRIDE, 0])


def test_a_picture_without_a_face_gives_no_detections(folder: Path) -> None:
    found = load_pack("buffalo_l").detector.detect(np.zeros((720, 1280, 3), np.uint8))
    assert len(found) == 0
    assert found.landmarks.shape == (0, 5, 2)


def test_networks_that_cordon_has_no_use_for_are_not_even_opened(folder: Path) -> None:
    (folder / "genderage.onnx").write_bytes(b"never read")
    assert load_pack("buffalo_l").manifest.name == "buffalo_l"


def test_the_version_changes_with_the_files(folder: Path) -> None:
    before = insightface_pack.manifest(folder).version
    (folder / "w600k_r50.onnx").rename(folder / "w600k_mbf.onnx")
    assert insightface_pack.manifest(folder).version != before


def test_a_missing_folder_is_said_to_be_missing(folder: Path) -> None:
    with pytest.raises(PackUnavailable, match="There is no folder antelopev2"):
        load_pack("antelopev2")


def test_a_pack_that_was_unpacked_one_folder_deeper_is_found(folder: Path) -> None:
    """antelopev2.zip holds antelopev2/antelopev2/*.onnx once it is unpacked into a folder of its name."""
    inner = folder.parent / "antelopev2" / "antelopev2"
    inner.parent.mkdir()
    folder.rename(inner)
    pack = load_pack("antelopev2")
    assert (pack.manifest.name, pack.manifest.licence_scope) == ("antelopev2", "research")
    listed = CliRunner().invoke(models_command, ["list"]).output
    assert "antelopev2   here" in listed


@pytest.mark.parametrize("missing", ["det_10g.onnx", "w600k_r50.onnx"])
def test_half_a_pack_is_refused(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(PackUnavailable, match="needs a detection and a recognition network"):
        load_pack("buffalo_l")


def test_a_file_that_is_no_network_is_refused_by_name(folder: Path) -> None:
    (folder / "w600k_r50.onnx").write_bytes(b"not a network")
    with pytest.raises(PackUnavailable, match=r"w600k_r50\.onnx of the pack buffalo_l cannot be loaded"):
        load_pack("buffalo_l")
