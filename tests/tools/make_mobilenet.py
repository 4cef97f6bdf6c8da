"""Writes zoo/mobilenet_v2.onnx: MobileNetV2, width 1.0, 1,000 classes, from the table in the paper.

Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2. The
weights are placeholders: each is a ConstantOfShape node, so the file is small, loads anywhere and says what it lacks.

usage: python tests/tools/make_mobilenet.py [OUTPUT]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

#: Expansion t, output channels c, repeats n, stride s of the first: the rows of table 2.
BLOCKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
STEM, LAST, CLASSES, SIZE = 32, 1280, 1000, 224
OPSET, IR_VERSION = 17, 8
NOTE = "every weight is a constant placeholder: load trained ones before use"


class Net:
    """The graph as it grows: ``value`` is what the next layer reads, with ``channels`` of its own."""

    def __init__(self) -> None:
        self.fillers: list[onnx.NodeProto] = []
        self.sizes: dict[str, onnx.TensorProto] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.value, self.channels = "data", 3

    def weight(self, name: str, shape: tuple[int, ...], value: float) -> str:
        """A placeholder of one number everywhere."""
        sizes = "sizes/" + "x".join(map(str, shape))
        self.sizes[sizes] = helper.make_tensor(sizes, TensorProto.INT64, [len(shape)], shape)
        fill = helper.make_tensor("value", TensorProto.FLOAT, [1], [value])
        self.fillers.append(helper.make_node("ConstantOfShape", [sizes], [name], value=fill))
        return name

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> None:
        """A layer whose output has its name."""
        self.nodes.append(helper.make_node(op, [self.value, *inputs], [name], name=name, **attributes))
        self.value = name

    def conv(
        self, name: str, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        """Convolution without bias, batch normalization and, unless ``linear``, ReLU6."""
        shape = (outputs, self.channels // groups, kernel, kernel)
        window = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        self.node("Conv", name, self.weight(f"{name}.weight", shape, 0.01), group=groups, **window)
        self.channels = outputs
        rows = {"scale": 1.0, "bias": 0.0, "mean": 0.0, "var": 1.0}
        statistics = [self.weight(f"{name}_bn.{what}", (outputs,), value) for what, value in rows.items()]
        self.node("BatchNormalization", f"{name}_bn", *statistics, epsilon=1e-5)
        if not linear:
            self.node("Clip", f"{name}_relu6", "zero", "six")

    def block(self, name: str, expansion: int, outputs: int, stride: int) -> None:
        """An inverted residual: expand, depthwise, project, and add where the shape stays."""
        entry, channels = self.value, self.channels
        hidden = channels * expansion
        if expansion != 1:
            self.conv(f"{name}_expand", hidden)
        self.conv(f"{name}_depthwise", hidden, 3, stride, groups=hidden)
        self.conv(f"{name}_project", outputs, linear=True)
        if stride == 1 and channels == outputs:
            self.node("Add", f"{name}_add", entry)


def build() -> onnx.ModelProto:
    """The whole model, checked."""
    net = Net()
    net.conv("conv1", STEM, 3, 2)
    number = 0
    for expansion, outputs, repeats, stride in BLOCKS:
        for repeat in range(repeats):
            number += 1
            net.block(f"block{number}", expansion, outputs, stride if repeat == 0 else 1)
    net.conv("conv2", LAST)
    net.node("GlobalAveragePool", "pool")
    net.node("Flatten", "flatten", axis=1)
    head = net.weight("fc.weight", (CLASSES, LAST), 0.01), net.weight("fc.bias", (CLASSES,), 0.0)
    net.node("Gemm", "fc", *head, transB=1)
    bounds = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in (("zero", 0.0), ("six", 6.0))]
    graph = helper.make_graph(
        [*net.fillers, *net.nodes],
        "mobilenet_v2",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("fc", TensorProto.FLOAT, [1, CLASSES])],
        [*net.sizes.values(), *bounds],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="shapecalc")
    helper.set_model_props(model, {"shapecalc.placeholder_weights": NOTE})
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    default = Path(__file__).parents[2] / "zoo" / "mobilenet_v2.onnx"
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    target.write_bytes(build().SerializeToString(deterministic=True))
    print(f"{target}: {target.stat().st_size:,} bytes")
