"""ONNX models for the tests: onnx's own light models, and small ones made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
LIGHT_MODELS = sorted(path.stem for path in LIGHT.glob("light_*.onnx"))


def light(name: str) -> Path:
    return LIGHT / f"{name}.onnx"


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    weights: dict[str, numpy.ndarray[Any, Any]] | None = None,
    opset: int = 17,
    ir_version: int = 8,
    **more: Any,
) -> onnx.ModelProto:
    """A checked model; ``inputs`` and ``outputs`` are name -> shape, ``weights`` name -> array."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
        **more,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version, producer_name="test"
    )


def small(ir_version: int = 8) -> onnx.ModelProto:
    """Convolution, pooling and a head on 3x32x32, with real numbers and recorded shapes."""
    numbers = numpy.random.default_rng(0)
    weights = {
        "conv.w": numbers.standard_normal((8, 3, 3, 3), dtype=numpy.float32),
        "conv.b": numbers.standard_normal(8, dtype=numpy.float32),
        "fc.w": numbers.standard_normal((10, 8 * 15 * 15), dtype=numpy.float32),
        "fc.b": numbers.standard_normal(10, dtype=numpy.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv.w", "conv.b"], ["c"], name="conv", kernel_shape=[3, 3], doc_string="kept"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "fc.w", "fc.b"], ["y"], name="fc", transB=1),
    ]
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("c", [1, 8, 30, 30]), ("f", [1, 1800]))
    ]
    made = model(nodes, {"x": [1, 3, 32, 32]}, {"y": [1, 10]}, weights, ir_version=ir_version, value_info=infos)
    if ir_version < 4:
        made.graph.input.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in weights.items()
        )
    helper.set_model_props(made, {"author": "nobody"})
    return made
