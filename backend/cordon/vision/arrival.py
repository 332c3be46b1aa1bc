"""Published weights that are changed when they arrive, and the check that the result is the pinned one.

MobileFaceNet is published for a batch of one under PyTorch's names. Cordon needs a free batch and fixed names; nothing
else changes. Only the result is pinned: by SHA-256, and by a digest of what the network is (`content_digest`), because
another version of protobuf may write the same network in other bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Arrival:
    """What to do with a download. `input`, `output`: the names that the network gets. `most_bytes`: of the download,
    whose own size and hash are not known."""

    input: str
    output: str
    most_bytes: int


class NotThisNetwork(ValueError):
    """Bytes that are no ONNX network, or one that cannot be changed or accounted for; says why."""


def with_free_batch(data: bytes, arrival: Arrival) -> bytes:
    """The ONNX network `data` with one input and one output under the names of `arrival`, both with the free first axis
    `batch`. The Reshape before the output must be to (1, D), (1, -1) or (-1, D), and becomes (-1, D); D is the output's
    declared width. A network that is so already comes back the same. Raises NotThisNetwork."""
    model = _parsed(data)
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise NotThisNetwork("it has not one input and one output")
    width = graph.output[0].type.tensor_type.shape.dim[-1].dim_value if _rank(graph.output[0]) == 2 else 0
    if width < 1 or _rank(graph.input[0]) != 4:
        raise NotThisNetwork("its input or output has another shape")
    target = _reshape_target(graph)
    if _integers(target) not in ([1, width], [1, -1], [-1, width]):
        raise NotThisNetwork("its output is shaped in another way")
    target.ClearField("int64_data")
    target.raw_data = np.array([-1, width], "<i8").tobytes()
    _rename(graph, graph.input[0], arrival.input)
    _rename(graph, graph.output[0], arrival.output)
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # Shapes that an exporter noted on the way would still speak of a batch of one.
    graph.ClearField("value_info")
    model.ClearField("metadata_props")
    return bytes(model.SerializeToString())


def content_digest(data: bytes) -> str:
    """SHA-256, in hexadecimal, of what an ONNX network computes: operator sets, inputs and outputs (name, type, shape),
    initialisers (name, type, shape, little-endian bytes; ordered by name), nodes (operator, inputs, outputs,
    attributes ordered by name; in the graph's order). Names of nodes, remarks and the way numbers are stored do not
    count. Raises NotThisNetwork where there is anything else that could change what is computed."""
    model = _parsed(data)
    graph = model.graph
    if model.functions or model.training_info or model.metadata_props or graph.sparse_initializer:
        raise NotThisNetwork("it holds more than a plain graph")
    if graph.quantization_annotation:
        raise NotThisNetwork("it is quantised")
    digest = hashlib.sha256()
    _add(digest, "opsets", *sorted(f"{opset.domain}:{opset.version}" for opset in model.opset_import))
    for kind, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            tensor = value.type.tensor_type
            shape = (dim.dim_param if dim.HasField("dim_param") else str(dim.dim_value) for dim in tensor.shape.dim)
            _add(digest, kind, value.name, str(tensor.elem_type), *shape)
    for tensor in sorted(graph.initializer, key=lambda one: str(one.name)):
        _add(digest, "initializer", tensor.name, *_tensor(tensor))
    for node in graph.node:
        _add(digest, "node", node.domain, node.op_type)
        _add(digest, "inputs", *node.input)
        _add(digest, "outputs", *node.output)
        for attribute in sorted(node.attribute, key=lambda one: str(one.name)):
            _add(digest, "attribute", attribute.name, *_attribute(attribute))
    return digest.hexdigest()


def _parsed(data: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise NotThisNetwork("it is no ONNX network, or was cut short") from error
    if not model.graph.node or not model.opset_import:
        raise NotThisNetwork("it is no ONNX network")
    return model


def _rank(value: Any) -> int:
    return len(value.type.tensor_type.shape.dim)


def _reshape_target(graph: Any) -> Any:
    """The tensor that says into which shape the output is brought."""
    last = [node for node in graph.node if graph.output[0].name in node.output]
    if len(last) != 1 or last[0].op_type != "Reshape" or len(last[0].input) != 2:
        raise NotThisNetwork("its output comes from no Reshape")
    name = last[0].input[1]
    if sum(name in node.input for node in graph.node) != 1:
        raise NotThisNetwork("the shape of its output is used elsewhere too")
    constants = [
        node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and name in node.output and len(node.attribute) == 1
    ]
    found = constants + [tensor for tensor in graph.initializer if tensor.name == name]
    if len(found) != 1:
        raise NotThisNetwork("the shape of its output is computed")
    return found[0]


def _rename(graph: Any, value: Any, name: str) -> None:
    if value.name == name:
        return
    taken = {one for node in graph.node for one in (*node.input, *node.output)} | {t.name for t in graph.initializer}
    if name in taken:
        raise NotThisNetwork(f"the name {name} is taken inside it")
    for node in graph.node:
        for names in (node.input, node.output):
            for at, one in enumerate(names):
                if one == value.name:
                    names[at] = name
    value.name = name


def _integers(tensor: Any) -> list[int]:
    values = _array(tensor)
    return [int(value) for value in values.ravel()] if values.dtype == np.int64 else []


def _array(tensor: Any) -> np.ndarray[Any, Any]:
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise NotThisNetwork("its weights lie in another file")
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        raise NotThisNetwork("a tensor in it is broken") from error


def _tensor(tensor: Any) -> tuple[str | bytes, ...]:
    values = _array(tensor)
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    return (str(tensor.data_type), ",".join(map(str, values.shape)), little.tobytes())


def _attribute(attribute: Any) -> Iterable[str | bytes]:
    from onnx import AttributeProto

    kind = attribute.type
    if attribute.ref_attr_name:
        raise NotThisNetwork("it holds more than a plain graph")
    if kind == AttributeProto.INT:
        return ("int", str(attribute.i))
    if kind == AttributeProto.FLOAT:
        return ("float", struct.pack("<f", attribute.f))
    if kind == AttributeProto.STRING:
        return ("string", bytes(attribute.s))
    if kind == AttributeProto.TENSOR:
        return ("tensor", *_tensor(attribute.t))
    if kind == AttributeProto.INTS:
        return ("ints", *map(str, attribute.ints))
    if kind == AttributeProto.FLOATS:
        return ("floats", *(struct.pack("<f", value) for value in attribute.floats))
    raise NotThisNetwork("it holds more than a plain graph")


def _add(digest: Any, *parts: str | bytes) -> None:
    """Each part with its length, so that no two lists of parts read the same."""
    digest.update(struct.pack("<q", len(parts)))
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(struct.pack("<q", len(data)))
        digest.update(data)
