"""Small ONNX files made on the spot: one finds what is bright, others are not for segmentation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET, FORMAT = 17, 9
DTYPES = {
    "float": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "double": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
}
Side = int | str
Values = Literal["logits", "probabilities", "bytes", "overshooting", "short", "nan"]

STEPS: dict[Values, list[tuple[str, str, float]]] = {
    "logits": [],
    "probabilities": [("Sigmoid", "", 0)],
    "bytes": [("Sigmoid", "", 0), ("Mul", "all", 255)],
    "overshooting": [("Sigmoid", "", 0), ("Mul", "all", 1.04), ("Sub", "some", 0.02)],
    "short": [("Sigmoid", "", 0), ("Mul", "all", 0.7)],
    "nan": [("Sub", "half", 0.5), ("Sqrt", "", 0)],
}
"""What follows the logits: operator, constant's name, constant."""


def tensor(name: str, shape: Sequence[Side] | None, dtype: str = "float") -> Any:
    return helper.make_tensor_value_info(name, DTYPES[dtype], shape)


def save(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    constants: Sequence[Any] = (),
    *,
    opset: int = OPSET,
    version: int = FORMAT,
    beside: str | None = None,
) -> Path:
    """An ONNX file; with `beside` the constants go into a file of that name next to it."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = version
    path.parent.mkdir(parents=True, exist_ok=True)
    if beside is None:
        path.write_bytes(model.SerializeToString())
    else:
        split = {"save_as_external_data": True, "location": beside, "size_threshold": 0}
        onnx.save(model, path, **split)
    return path


def save_bright(
    path: Path,
    *,
    size: tuple[Side, Side] = (64, 64),
    batch: Side = 1,
    dtype: str = "float",
    channels_last: bool = False,
    output: Literal["1chw", "1hwc", "1hw", "hw"] = "1chw",
    values: Values = "logits",
    threshold: float = 0.0,
    more_outputs: int = 0,
    declared: bool = True,
    beside: str | None = None,
) -> Path:
    """A network whose logits are 40 times how much brighter than the threshold a pixel is.

    threshold: of the normalised mean of the channels.
    more_outputs: coarser masks after the first, as U²-Net has, which say the contrary.
    declared: whether the file says which shape the output has.
    """
    axis = 3 if channels_last else 1
    shape = [batch, *size, 3] if channels_last else [batch, 3, *size]
    kind = np.dtype({"float": "f4", "float16": "f2", "double": "f8"}[dtype])
    nodes: list[Any] = []
    constants: list[Any] = []

    def add(operator: str, constant: str, value: float, **options: Any) -> None:
        given = [f"t{len(nodes)}" if nodes else "picture"]
        if constant:
            data = np.full(1, value, kind).tobytes()
            constants.append(helper.make_tensor(constant, DTYPES[dtype], [1], data, raw=True))
            given.append(constant)
        nodes.append(helper.make_node(operator, given, [f"t{len(nodes) + 1}"], **options))

    add("ReduceMean", "", 0, axes=[axis], keepdims=1)
    add("Sub", "threshold", threshold)
    add("Mul", "slope", 40)
    for step in STEPS[values]:
        add(*step)
    shapes: dict[str, list[Side]] = {
        "1chw": [batch, 1, *size],
        "1hwc": [batch, *size, 1],
        "1hw": [batch, *size],
        "hw": [*size],
    }
    if output == "1hwc" and not channels_last:
        add("Transpose", "", 0, perm=[0, 2, 3, 1])
    elif output in ("1hw", "hw"):
        add("Squeeze", "", 0)
        if output == "1hw":
            nodes.append(helper.make_node("Constant", [], ["first"], value_ints=[0]))
            nodes[-2].output[0], nodes[-1].output[0] = "flat", "first"
            nodes.append(helper.make_node("Unsqueeze", ["flat", "first"], ["mask"]))
    nodes[-1].output[0] = "mask"
    outputs = [tensor("mask", shapes[output] if declared else None, dtype)]
    for number in range(more_outputs):
        nodes.append(helper.make_node("Neg", ["mask"], [f"coarse{number}"]))
        outputs.append(tensor(f"coarse{number}", shapes[output] if declared else None, dtype))
    return save(path, nodes, [tensor("picture", shape, dtype)], outputs, constants, beside=beside)


def save_birefnet(folder: Path) -> Path:
    """A folder as the default network's repository, with one that finds what is bright."""
    save_bright(folder / "onnx" / "model.onnx", size=("height", "width"), batch="batch")
    size = {"height": 256, "width": 256}
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": size}))
    return folder


def save_endless(path: Path) -> Path:
    """A segmentation network that computes for hours."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["go_on"]),
            helper.make_node("Sin", ["carried"], ["turned"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            tensor("carried", None),
        ],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), tensor("turned", None)],
    )
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Loop", ["often", "yes", "mean"], ["mask"], body=body),
    ]
    constants = [
        helper.make_tensor("often", TensorProto.INT64, [], [10**12]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
    ]
    taken, given = tensor("picture", [1, 3, 64, 64]), tensor("mask", [1, 1, 64, 64])
    return save(path, nodes, [taken], [given], constants)


def save_reshaped(path: Path, given: Sequence[Side], gives: Sequence[int]) -> Path:
    """A network whose output is its input in another shape, which the file does not declare."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [len(gives)], gives)
    nodes = [helper.make_node("Reshape", ["in", "shape"], ["out"])]
    return save(path, nodes, [tensor("in", given)], [tensor("out", None)], [shape])


def save_foreign(
    path: Path,
    given: Sequence[Side] | None,
    gives: Sequence[Side] | None,
    *,
    dtype: str = "float",
    inputs: int = 1,
    operator: str = "Identity",
    opset: int = OPSET,
    version: int = FORMAT,
    **options: Any,
) -> Path:
    """A network that is none for segmentation: one operator, and the shapes as declared."""
    names = [f"in{number}" for number in range(inputs)]
    nodes = [helper.make_node(operator, names, ["out"], **options)]
    taken = [tensor(name, given, dtype) for name in names]
    return save(path, nodes, taken, [tensor("out", gives, dtype)], opset=opset, version=version)
