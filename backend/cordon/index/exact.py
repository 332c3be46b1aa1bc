"""Exact search: which templates have a cosine with a probe at or above the threshold. Nothing is ever missed.

Short lists are multiplied out in float32. Long ones are bound by memory, so a copy of the templates in eight bits is
scanned first, with a proven bound on its error; only what may reach the threshold is multiplied out. With q the
quantised and e the error, p = p̂ + e_p and t = t̂ + e_t, so by Cauchy–Schwarz

    |p·t − p̂·t̂| ≤ |e_p|·|t̂| + |p|·|e_t|.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# Fewer float32 values than this are multiplied out sooner than a scan of the quantised copy can begin.
SCANNED_FROM_VALUES = 400_000
# A probe's values become 0 … 126 around 63, a template's −127 … 127: the sum of two products stays within 16 bits, which
# processors without VNNI saturate at (2 × 126 × 127 = 32,004 < 32,767).
_PROBE_MIDDLE, _TEMPLATE_MOST = 63, 127
# float32 sums of up to 512 products of unit vectors are off by less than this.
_ROUNDING = 1e-5
_OUTPUTS = ["products"]
# Probes scanned at once: the products of more would be larger than what is scanned.
_TOGETHER = 16


class ExactSearch:
    """Over `templates` (N, D), float32, L2-normalised. `scan`: None decides by size; True and False force it."""

    def __init__(self, templates: NDArray[np.float32], *, scan: bool | None = None) -> None:
        self._templates = templates
        wanted = templates.size >= SCANNED_FROM_VALUES if scan is None else scan
        self._scan = _Scan(templates) if wanted and len(templates) else None

    @property
    def kernel(self) -> str:
        return "float32" if self._scan is None else "int8 scan, float32 decision"

    def search(
        self, probes: NDArray[np.float32], threshold: float
    ) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """For each probe (M, D), finite and of length one: the rows at or above the threshold (cosine), and their cosines."""
        if not len(self._templates):
            empty = (np.zeros(0, np.intp), np.zeros(0, np.float32))
            return [empty for _ in probes]
        if self._scan is None:
            return [_reaching(None, row, threshold) for row in self._multiplied(probes)]
        return [
            _reaching(rows, self._templates[rows] @ probe, threshold)
            for start in range(0, len(probes), _TOGETHER)
            for rows, probe in zip(
                self._scan.possible(probes[start : start + _TOGETHER], threshold),
                probes[start : start + _TOGETHER],
                strict=True,
            )
        ]

    def _multiplied(self, probes: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(probes) == 1:
            return np.asarray((self._templates @ probes[0])[None], np.float32)
        return np.asarray((self._templates @ probes.T).T, np.float32)


class _Scan:
    """The quantised copy, multiplied by onnxruntime's integer kernel (VNNI where the processor has it)."""

    def __init__(self, templates: NDArray[np.float32]) -> None:
        self._step = max(float(np.abs(templates).max()), 1e-6) / _TEMPLATE_MOST
        quantised = np.empty(templates.shape, np.int8)
        most_error = most_length = 0.0
        # In parts, so that a list of the largest size does not need several times its memory.
        for start in range(0, len(templates), 8_192):
            part = templates[start : start + 8_192]
            whole = np.rint(part / self._step).astype(np.int8)
            quantised[start : start + 8_192] = whole
            restored = whole.astype(np.float32) * np.float32(self._step)
            most_error = max(most_error, float(np.linalg.norm(part - restored, axis=1).max()))
            most_length = max(most_length, float(np.linalg.norm(restored, axis=1).max()))
        self._template_error = most_error
        # Probes look like templates, and are quantised by about the same range.
        probe_step = self._step * _TEMPLATE_MOST / _PROBE_MIDDLE
        self._to_steps = np.float32(1 / probe_step)
        self._error_a_step = np.float32(probe_step * most_length)
        self._products_a_cosine = 1 / (probe_step * self._step)
        self._session = _integer_product(np.ascontiguousarray(quantised.T))
        self._check(quantised)

    def possible(self, probes: NDArray[np.float32], threshold: float) -> list[NDArray[np.intp]]:
        """For each probe the rows that may reach the threshold: all that do are among them."""
        scaled = probes * self._to_steps
        whole = np.minimum(np.maximum(np.rint(scaled), -_PROBE_MIDDLE), _PROBE_MIDDLE)
        rest = scaled - whole
        # What was cut off beyond the range is in the error too: the bound holds for every probe.
        errors = np.sqrt(np.einsum("ij,ij->i", rest, rest)) * self._error_a_step
        errors += np.sqrt(np.einsum("ij,ij->i", probes, probes)) * self._template_error
        least = (threshold - _ROUNDING - errors) * self._products_a_cosine
        (products,) = self._session.run(_OUTPUTS, {"probes": (whole + _PROBE_MIDDLE).astype(np.uint8)})
        return [np.flatnonzero(row >= int(bound)) for row, bound in zip(products, np.floor(least), strict=True)]

    def _check(self, quantised: NDArray[np.int8]) -> None:
        """The bound is worth nothing if a kernel saturates: shown once, on this processor, with the largest values."""
        some = quantised[:: max(1, len(quantised) // 512)][:512]
        random = np.random.default_rng(20261123)
        probes = random.integers(0, 2 * _PROBE_MIDDLE + 1, (2, quantised.shape[1])).astype(np.uint8)
        probes[1] = np.where(some[0] > 0, 2 * _PROBE_MIDDLE, 0)
        got = self._session.run(None, {"probes": probes})[0][:, :: max(1, len(quantised) // 512)][:, :512]
        expected = (probes.astype(np.int64) - _PROBE_MIDDLE) @ some.astype(np.int64).T
        if not (got == expected).all():
            raise ArithmeticError("The integer product of this processor is not exact.")


def _reaching(
    rows: NDArray[np.intp] | None, cosines: NDArray[np.float32], threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Of `rows` (None: all rows) those whose cosine is at or above the threshold."""
    reach = np.flatnonzero(cosines >= threshold)
    return (reach if rows is None else rows[reach]), cosines[reach]


def _integer_product(columns: NDArray[np.int8]) -> Any:
    """A session that multiplies uint8 probes (M, D) around 63 with int8 columns (D, N) into int32 (M, N)."""
    constants = [
        numpy_helper.from_array(columns, "templates"),
        numpy_helper.from_array(np.array(_PROBE_MIDDLE, np.uint8), "middle"),
    ]
    depth, count = columns.shape
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["probes", "templates", "middle"], ["products"])],
        "scan",
        [helper.make_tensor_value_info("probes", TensorProto.UINT8, ["m", depth])],
        [helper.make_tensor_value_info("products", TensorProto.INT32, ["m", count])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
