"""Nets that tests grow node by node, as PyTorch's exporter writes them for one size, and what such a net gives."""

from __future__ import annotations

from typing import Any

import numpy
import onnx
import onnxruntime
from onnx import helper, numpy_helper


class Grown:
    """Nodes, and the constants that they read; ``pooled`` makes a net of them."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: dict[str, Any] = {}

    def add(self, name: str, op: str, *inputs: str, **attrs: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attrs))
        return name

    def held(self, name: str, array: Any) -> str:
        self.arrays[name] = array
        return name

    def reshape(self, name: str, value: str, *target: int) -> str:
        return self.add(name, "Reshape", value, self.held(f"{name}_to", numpy.array(target, numpy.int64)))

    def pooled(self, value: str, fed: tuple[int, ...], opset: int) -> onnx.ModelProto:
        """The net that takes a map of the shape ``fed`` as ``x`` and gives ``value``, pooled over all places."""
        self.nodes.append(helper.make_node("GlobalAveragePool", [value], ["y"], "pool"))
        given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, fed)
        weights = [numpy_helper.from_array(array, name) for name, array in self.arrays.items()]
        graph = helper.make_graph(self.nodes, "net", [given], [onnx.ValueInfoProto(name="y")], weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(proto: onnx.ModelProto, size: tuple[int, int]) -> Any:
    """What such a net gives of noise of this height and width."""
    channels = proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    image = numpy.random.default_rng(0).standard_normal((1, channels, *size), numpy.float32)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": image})[0]
