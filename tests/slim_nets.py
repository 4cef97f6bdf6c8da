"""Published nets as their windows alone: what Araujo et al. measured, layer by layer, without channels.

A step is a kernel (``3``, ``1x7``), its stride after a slash, and ``v`` for no padding or ``e`` for padding that does
not ask the size, (k-1)/2 before and the rest behind; else the padding is TensorFlow's SAME. A list of lists are
branches that are concatenated, `Residual` a branch that is added to what it started from. A pair names an end point.
After the nets of TF-Slim (github.com/tensorflow/models, research/slim/nets).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from shapecalc.graph import Graph, Input, Node, Param


class Residual(NamedTuple):
    """``branch`` is added to ``shortcut`` of the same value."""

    branch: list[Any]
    shortcut: list[Any]


def _vgg(*repeats: int) -> Iterator[Any]:
    for block, count in enumerate(repeats, 1):
        yield from ((f"conv{block}/conv{block}_{i}", ["3"]) for i in range(1, count + 1))
        yield f"pool{block}", ["2/2v"]


def _resnet(*units: int) -> Iterator[Any]:
    yield from ["7/2e", "3/2"]
    for block, count in enumerate(units, 1):
        strides = [1] * (count - 1) + [2 if block < 4 else 1]
        shortcuts = [
            ["1"] if unit == 0 else [f"1/{stride}"] if stride > 1 else [] for unit, stride in enumerate(strides)
        ]
        rows = zip(strides, shortcuts, strict=True)
        yield f"block{block}", [Residual(["1", f"3/{s}e" if s > 1 else "3", "1"], shortcut) for s, shortcut in rows]


def _mobilenet() -> Iterator[Any]:
    yield "Conv2d_0", ["3/2"]
    for i, stride in enumerate([1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1], 1):
        yield f"Conv2d_{i}_depthwise", [f"3/{stride}"]
        yield f"Conv2d_{i}_pointwise", ["1"]


THREES = [["1"], ["1", "3"], ["1", "3", "3"], ["3", "1"]]
FIVES = [["1"], ["1", "5"], ["1", "3", "3"], ["3", "1"]]
SEVENS = [["1"], ["1", "1x7", "7x1"], ["1", "7x1", "1x7", "7x1", "1x7"], ["3", "1"]]
SPREAD = [["1x3"], ["3x1"]]
SMALLER = [["3/2v"], ["1", "3", "3/2v"], ["3/2v"]]
SMALLEST = [["1", "3/2v"], ["1", "1x7", "7x1", "3/2v"], ["3/2v"]]
HALVED = [["1", "3/2"], ["1", "3", "3/2"], ["3/2"]]
STEM = [("Conv2d_1a_3x3", ["3/2v"]), ("Conv2d_2a_3x3", ["3v"]), ("Conv2d_2b_3x3", ["3"])]
LONGER = [
    *STEM,
    ("MaxPool_3a_3x3", ["3/2v"]),
    ("Conv2d_3b_1x1", ["1v"]),
    ("Conv2d_4a_3x3", ["3v"]),
    ("MaxPool_5a_3x3", ["3/2v"]),
]


def _mixed(names: str, block: Any) -> list[Any]:
    return [(f"Mixed_{name}", [block]) for name in names.split()]


NETS: dict[str, list[Any]] = {
    "alexnet_v2": [
        ("conv1", ["11/4v"]),
        ("pool1", ["3/2v"]),
        ("conv2", ["5"]),
        "3/2v",
        *((f"conv{i}", ["3"]) for i in (3, 4, 5)),
        ("pool5", ["3/2v"]),
    ],
    "vgg_a": list(_vgg(1, 1, 2, 2, 2)),
    "vgg_16": list(_vgg(2, 2, 3, 3, 3)),
    "resnet_v1_50": list(_resnet(3, 4, 6, 3)),
    "resnet_v1_101": list(_resnet(3, 4, 23, 3)),
    "resnet_v1_152": list(_resnet(3, 8, 36, 3)),
    "mobilenet_v1": list(_mobilenet()),
    "inception_v2": [
        ("Conv2d_1a_7x7", ["7/2"]),
        ("MaxPool_2a_3x3", ["3/2"]),
        ("Conv2d_2b_1x1", ["1"]),
        ("Conv2d_2c_3x3", ["3"]),
        ("MaxPool_3a_3x3", ["3/2"]),
        *_mixed("3b 3c", THREES),
        *_mixed("4a", HALVED),
        *_mixed("4b 4c 4d 4e", THREES),
        *_mixed("5a", HALVED),
        *_mixed("5b 5c", THREES),
    ],
    "inception_v3": [
        *LONGER,
        *_mixed("5b 5c 5d", FIVES),
        *_mixed("6a", SMALLER),
        *_mixed("6b 6c 6d 6e", SEVENS),
        *_mixed("7a", SMALLEST),
        *_mixed("7b 7c", [["1"], ["1", SPREAD], ["1", "3", SPREAD], ["3", "1"]]),
    ],
    "inception_v4": [
        *STEM,
        *_mixed("3a", [["3/2v"], ["3/2v"]]),
        *_mixed("4a", [["1", "3v"], ["1", "1x7", "7x1", "3v"]]),
        *_mixed("5a", [["3/2v"], ["3/2v"]]),
        *_mixed("5b 5c 5d 5e", THREES),
        *_mixed("6a", SMALLER),
        *_mixed("6b 6c 6d 6e 6f 6g 6h", SEVENS),
        *_mixed("7a", SMALLEST),
        *_mixed("7b 7c 7d", [["1"], ["1", SPREAD], ["1", "3x1", "1x3", SPREAD], ["3", "1"]]),
    ],
    "inception_resnet_v2": [
        *LONGER,
        *_mixed("5b", FIVES),
        *[Residual([[["1"], ["1", "3"], ["1", "3", "3"]], "1"], [])] * 10,
        *_mixed("6a", SMALLER),
        *[Residual([[["1"], ["1", "1x7", "7x1"]], "1"], [])] * 20,
        *_mixed("7a", [["1", "3/2v"], ["1", "3/2v"], ["1", "3", "3/2v"], ["3/2v"]]),
        *[Residual([[["1"], ["1", "1x3", "3x1"]], "1"], [])] * 10,
        ("Conv2d_7b_1x1", ["1"]),
    ],
}


class Builder:
    """The graph of a net: every step a convolution of one channel."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.params: list[Param] = []
        self.points: dict[str, str] = {}  # end point -> the value it is

    def all(self, steps: list[Any], value: str, channels: int) -> tuple[str, int]:
        """The value behind some steps, and its channels."""
        for step in steps:
            value, channels = self.one(step, value, channels)
        return value, channels

    def one(self, step: Any, value: str, channels: int) -> tuple[str, int]:
        """The value behind one step, and its channels."""
        if isinstance(step, Residual):
            ends = [self.all(part, value, channels)[0] for part in (step.branch, step.shortcut)]
            return self._add("Add", ends), 1
        if isinstance(step, tuple):
            name, steps = step
            self.points[name], channels = self.all(steps, value, channels)
            return self.points[name], channels
        if isinstance(step, list):
            ends = [self.all(branch, value, channels)[0] for branch in step]
            return self._add("Concat", ends, {"axis": 1}), len(ends)
        return self._convolved(step, value, channels), 1

    def _convolved(self, step: str, value: str, channels: int) -> str:
        kernel, _, stride = step.strip("ve").partition("/")
        sides = [int(side) for side in kernel.split("x")] * (1 if "x" in kernel else 2)
        weight = Param(f"w{len(self.params)}", (1, channels, *sides))
        self.params.append(weight)
        attrs: dict[str, Any] = {"strides": [int(stride or 1)] * 2}
        if step.endswith("e"):
            attrs["pads"] = [(side - 1) // 2 for side in sides] + [side // 2 for side in sides]
        elif not step.endswith("v"):
            attrs["auto_pad"] = "SAME_UPPER"
        return self._add("Conv", [value, weight.name], attrs)

    def _add(self, op: str, inputs: list[str], attrs: dict[str, Any] | None = None) -> str:
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs, [name], attrs or {}))
        return name


def graph(net: str, size: int) -> tuple[Graph, dict[str, str]]:
    """A net at a size, and which value each of its end points is."""
    builder = Builder()
    value, _ = builder.all(NETS[net], "x", 1)
    return Graph(net, [Input("x", (1, 1, size, size))], builder.nodes, [value], builder.params), builder.points
