"""Small networks that find subjects, for a demo's operator."""

from __future__ import annotations

from pathlib import Path


def save_bright(path: Path) -> Path:
    """An ONNX segmentation network whose subject is what is bright."""
    from onnx import TensorProto, helper, save

    given = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 64, 64])
    made = helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, 64, 64])
    gain = helper.make_tensor("gain", TensorProto.FLOAT, [], [8.0])
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["grey", "gain"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["mask"]),
    ]
    graph = helper.make_graph(nodes, "bright", [given], [made], [gain])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    save(model, str(path))
    return path
