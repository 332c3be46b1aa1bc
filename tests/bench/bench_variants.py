"""`make bench-variants`: other forms of the same weights – fixed shapes, other session options, eight-bit integers – by
time of one run on one thread, and by what they cost in accuracy on LFW."""

from __future__ import annotations

import copy
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from common import SHORT, begin, interleaved, median, missing, report, say
from footage import lfw
from numpy.typing import NDArray
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed

from cordon.evaluation.protocol import collect, identity_folder
from cordon.evaluation.rates import rates_at, search, threshold_at_fpir
from cordon.vision.embedders import IMAGENET_RGB, CropEmbedder
from cordon.vision.packs import Pack, load_pack, manifest_of
from cordon.vision.sessions import OnnxModel
from cordon.vision.yunet import YuNet

REPEATS, RUNS = 5, 20 if SHORT else 60
# The detector's input for a 720-line frame and faces of 40 pixels.
DETECTOR_SHAPE, EMBEDDER_SHAPE = (1, 3, 384, 640), (1, 3, 112, 112)
CALIBRATED_ON = 100
AT_FPIR = 0.01
Model = onnx.ModelProto
Batch = NDArray[np.float32]


class Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: list[Batch]) -> None:
        self._left: Iterator[dict[str, Batch]] = iter([{"input": batch} for batch in batches])

    def get_next(self) -> dict[str, Batch] | None:
        return next(self._left, None)


def session(model: Model | Path, **options: Any) -> onnxruntime.InferenceSession:
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads, chosen.inter_op_num_threads, chosen.log_severity_level = 1, 1, 3
    for name, value in options.items():
        setattr(chosen, name, value)
    given = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(given, chosen, providers=["CPUExecutionProvider"])


def fixed(model: Model, shape: tuple[int, ...]) -> Model:
    made = copy.deepcopy(model)
    for dimension, size in zip(made.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        if dimension.dim_param:
            make_dim_param_fixed(made.graph, dimension.dim_param, size)
    return made


def in_eight_bits(model: Model, batches: list[Batch], folder: Path, name: str) -> Path:
    """Convolutions in eight bits, a scale for each channel, ranges from `batches`."""
    logging.disable(logging.WARNING)
    newer, prepared, made = (folder / f"{name}-{step}.onnx" for step in ("newer", "prepared", "eight"))
    onnx.save(version_converter.convert_version(model, 17), newer)
    quant_pre_process(str(newer), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(made),
        Batches(batches),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv"],
    )
    return made


def crops_of_lfw(pack: Pack) -> list[NDArray[np.uint8]]:
    crops = []
    for path in sorted(lfw().rglob("*.jpg"))[:: 1839 // CALIBRATED_ON]:
        picture = np.asarray(cv2.imread(str(path)), np.uint8)
        found = pack.detector.detect(picture)
        if len(found):
            crops.append(pack.embedder.align(picture, found.landmarks[:1])[0])
    return crops


def as_input(crop: NDArray[np.uint8]) -> Batch:
    norm = IMAGENET_RGB
    scaled = (crop[..., ::-1] * norm.scale - np.array(norm.mean)) / np.array(norm.std)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32)


def as_frame(crop: NDArray[np.uint8]) -> Batch:
    """Faces of several sizes in the detector's input."""
    canvas = np.full((*DETECTOR_SHAPE[2:], 3), 110, np.uint8)
    for number, size in enumerate((24, 40, 64, 100, 110)):
        canvas[20 : 20 + size, 10 + 120 * number : 10 + 120 * number + size] = cv2.resize(crop, (size, size))
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32)


def accuracy(pack: Pack) -> dict[str, float]:
    collected = collect(pack, identity_folder(lfw()))
    searches = search(collected)
    point = rates_at(searches, threshold_at_fpir(searches, AT_FPIR))
    return {
        "rank1": searches.rank1,
        "tpir": point.tpir,
        "tpir_low": point.tpir_low,
        "tpir_high": point.tpir_high,
        "threshold": point.threshold,
    }


def main() -> None:
    begin()
    lacking = missing("CORDON_MODELS", "CORDON_FACES")
    if lacking:
        sys.exit(f"Needs folders in {', '.join(lacking)}.")
    pack, files = load_pack("light"), manifest_of("light").files
    folder = Path(os.environ["CORDON_MODELS"])
    detector, embedder = (onnx.load(folder / files[role].file) for role in ("detector", "embedder"))
    crops = crops_of_lfw(pack)
    level = onnxruntime.GraphOptimizationLevel
    with tempfile.TemporaryDirectory() as place:
        eight = {
            "detector": in_eight_bits(detector, [as_frame(crop) for crop in crops], Path(place), "detector"),
            "embedder": in_eight_bits(embedder, [as_input(crop) for crop in crops], Path(place), "embedder"),
        }
        forms = {
            (role, form): made
            for role, model, shape in (("detector", detector, DETECTOR_SHAPE), ("embedder", embedder, EMBEDDER_SHAPE))
            for form, made in {
                "as published, every optimisation (the product's)": session(model),
                "extended optimisations only": session(model, graph_optimization_level=level.ORT_ENABLE_EXTENDED),
                "no memory arena": session(model, enable_cpu_mem_arena=False),
                "fixed shapes": session(fixed(model, shape)),
                "eight-bit integers": session(eight[role]),
            }.items()
        }
        inputs = {"detector": as_frame(crops[0]), "embedder": as_input(crops[0])}

        def timed(role: str, made: onnxruntime.InferenceSession) -> float:
            made.run(None, {"input": inputs[role]})
            spent = []
            for _ in range(RUNS):
                began = time.thread_time()
                made.run(None, {"input": inputs[role]})
                spent.append((time.thread_time() - began) * 1_000)
            return median(spent)

        taken = interleaved(
            {
                f"{role}: {form}": lambda _, role=role, made=made: timed(role, made)
                for (role, form), made in forms.items()
            },
            REPEATS,
        )
        rows: list[dict[str, Any]] = [
            {"network": name.partition(": ")[0], "form": name.partition(": ")[2], "ms": median(times)}
            for name, times in taken.items()
        ]
        if not SHORT:
            say("evaluating on LFW …")
            small = OnnxModel(eight["embedder"], threads=1)
            found = YuNet(OnnxModel(eight["detector"], threads=1))
            judged = {
                ("embedder", "as published, every optimisation (the product's)"): pack,
                ("embedder", "eight-bit integers"): replace(
                    pack, embedder=CropEmbedder(small, IMAGENET_RGB, pack.manifest.dimension)
                ),
                ("detector", "eight-bit integers"): replace(pack, detector=found),
            }
            for row in rows:
                which = judged.get((row["network"], row["form"]))
                if which is not None:
                    row.update(accuracy(which))
    report(
        "variants",
        {
            "ms_is": "processor time of one run on one thread, median",
            "accuracy_is": f"LFW, list of 450, TPIR at FPIR {AT_FPIR:.0%}; the other network as published",
            "eight_bits": f"static, per channel, convolutions only, ranges from {len(crops)} of the same photographs",
        },
        rows,
        packages=["onnx"],
    )


if __name__ == "__main__":
    main()
