"""Fully connected layers as convolutions: the same numbers, and a map of scores where the image is larger.

A fully connected layer that reads a flattened map of C×H×W is a convolution whose window is that map; those behind it
have windows of 1×1 (Long, Shelhamer, Darrell: Fully convolutional networks, 2015). At the size the net was made for the
outputs are equal, which is measured. Of a larger image each cell of the output is what the net says of one window of
it; that the cell equals the net's answer to that window cut out is so only where nothing on the way pads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..dims import Shape, all_numbers, is_number, show
from ..errors import RefusedError
from ..graph import Graph, Node, Param
from ..ops import find
from ..source import Origin
from ..trace import Layer, Trace
from ..window import Window
from .names import free_name
from .promises import Pair, Promise
from .stored import swept

#: Layers that make a row of a map.
FLATTENS = frozenset({"Flatten", "Reshape"})
#: Layers that do the same with each number, whatever the shape, or with each channel.
PASSES = frozenset(
    "Relu LeakyRelu Elu Selu Celu Gelu PRelu Sigmoid HardSigmoid HardSwish Mish Tanh Softplus Softsign Clip Dropout "
    "Identity Cast BatchNormalization".split()
)
#: Layers whose numbers follow from those around the same place, by their window alone.
LOCAL = PASSES | frozenset(
    "Input Constant Conv MaxPool AveragePool LRN Add Sub Mul Div Sum Max Min Concat Scale".split()
)
#: Roundings that let a window hang over the edge.
UP = frozenset({"ceil", "ceil_clip"})
SOFTMAXES = frozenset({"Softmax", "LogSoftmax"})
#: From this opset on a Softmax is about one axis; before, it flattened all behind it.
ONE_AXIS = 13
#: Shapes of a row of numbers, and of what is added to it.
ROW, VECTOR = 2, 1


class Turned(NamedTuple):
    """A layer that becomes a convolution: its window, its inputs and outputs, how its weight lies."""

    layer: str
    kernel: tuple[int, int]
    channels: int
    outputs: int
    turned: bool  # the weight is (inputs, outputs)


class Convolutional(NamedTuple):
    """Fully connected layers become convolutions; ``gone`` flattened, ``added`` are additions behind a product."""

    windows: tuple[Turned, ...]
    gone: tuple[str, ...]
    added: tuple[str, ...]
    softmaxes: tuple[str, ...]
    outputs: tuple[tuple[str, int], ...]  # of the net, with their channels
    jump: str  # pixels from one cell of the map to the next
    beyond: tuple[str, ...]  # layers on the way that see more than a crop would show them, or less

    @property
    def layer(self) -> str:
        """The layers."""
        return ", ".join(row.layer for row in self.windows)

    @classmethod
    def make(cls, native: Trace) -> Convolutional:
        """The edit of a net at the size it was made for. Raises RefusedError where it has no such layers."""
        walk = _Walk(native)
        for layer in native.layers:
            walk.step(layer)
        first = walk.windows[0] if walk.windows else None
        last = next((layer for layer in native.layers if layer.op in FLATTENS and layer.call.layout == "NHWC"), None)
        if first is None and last is not None:
            raise RefusedError(
                f"{native.graph.name} flattens maps whose channels come last: a {native.graph.format} text cannot say "
                "that as a convolution of the same weights",
                "E303",
                location=last.location,
                because=f"{last.name} gives rows in the order of places, then channels",
                hint="convert it, then retarget the ONNX file --convolutional",
            )
        if first is None:
            raise RefusedError(
                f"{native.graph.name} has no fully connected layer that reads a flattened map",
                "E303",
                because="nothing in it flattens a map of more than one place into a stored matrix",
                hint="a net that ends in a global pooling takes larger images as it is",
            )
        behind = {node.name for node in native.graph.ancestors([native.graph.node(first.layer).inputs[0]])}
        beyond = tuple(
            x.name for x in native.layers if x.name in behind and x.name not in walk.gone and _sees_beyond(x)
        )
        outputs = tuple((name, walk.rows[name]) for name in native.graph.outputs if name in walk.rows)
        return cls(
            tuple(walk.windows), tuple(walk.gone), tuple(walk.added), tuple(walk.softmaxes), outputs, walk.jump, beyond
        )

    def apply(self, graph: Graph) -> Graph:
        """The graph with convolutions in the place of the fully connected layers."""
        windows = {row.layer: row for row in self.windows}
        params = dict(graph.params)
        same: dict[str, str] = {}
        nodes: list[Node] = []
        for node in graph.nodes:
            node = (
                node.replace(inputs=tuple(same.get(name, name) for name in node.inputs)) if _reads(node, same) else node
            )
            if node.name in self.gone:
                same[node.outputs[0]] = node.inputs[0]
            elif node.name in windows:
                nodes.append(_convolution(graph, node, windows[node.name], params))
            elif node.name in self.added:
                nodes.append(_addition(graph, node, params))
            elif node.name in self.softmaxes:
                nodes += _softmax(graph, node)
            else:
                nodes.append(node)
        outputs = tuple(same.get(name, name) for name in graph.outputs)
        return swept(graph, graph.replace(nodes=tuple(nodes), params=params, outputs=outputs))

    def promise(self, graph: Graph) -> Promise:
        """At the size the net was made for its outputs are the numbers they were."""
        after = dict(zip(graph.outputs, self.apply(graph).outputs, strict=True))
        pairs = tuple(Pair(name, after[name], (("reshape", (-1, count, 1, 1)),)) for name, count in self.outputs)
        return Promise("at the size it was made for, the convolutions give what the layers gave", pairs)

    def describe(self) -> str:
        """One line for people."""
        first, *behind = self.windows
        windows = f"as convolutions ({first.layer} {show(first.kernel)}, 1×1 behind it)"
        if not behind:
            windows = f"as a convolution ({show(first.kernel)})"
        cells = f"; of a larger image a map of scores, its cells {self.jump} pixels apart" if self.jump else ""
        return f"{self.layer} {windows}{cells}{self._warning()}"

    def _warning(self) -> str:
        if not self.beyond:
            return ", each equal to the net's answer to its window of the image"
        more = f" and {len(self.beyond) - 1} more" if len(self.beyond) > 1 else ""
        return f"; a cell is not the net's answer to a crop: {self.beyond[0]}{more} see padding there, neighbours here"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "convolutional",
            "layer": self.layer,
            "windows": [
                {"layer": row.layer, "kernel": list(row.kernel), "channels": row.channels} for row in self.windows
            ],
            "jump": self.jump,
            "beyond": list(self.beyond),
        }


def _reads(node: Node, values: Mapping[str, str]) -> bool:
    return any(name in values for name in node.inputs)


def _sees_beyond(layer: Layer) -> bool:
    """Whether a layer sees something else at the edge of a crop than inside a larger image."""
    if layer.op not in LOCAL or layer.call.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return True
    row = find(layer.op)
    windows = list(row.windows(layer.call)) if row is not None and row.windows is not None else []
    sizes = layer.call.spatial if windows else ()
    plain = [w for w in windows if isinstance(w, Window)]
    if len(plain) < len(windows) or any(w.pad_begin or w.pad_end for w in plain):
        return True
    return any(w.rounding in UP and w.remainder(n) for w, n in zip(plain, sizes, strict=True))


class _Walk:
    """What is known on the way: flattened maps, and rows of numbers that become maps."""

    def __init__(self, traced: Trace) -> None:
        self.graph = traced.graph
        self.flat: dict[str, tuple[int, int, int]] = {}  # value -> the map it was
        self.rows: dict[str, int] = {}  # value -> its channels
        self.windows: list[Turned] = []
        self.gone: list[str] = []
        self.added: list[str] = []
        self.softmaxes: list[str] = []
        self.jump = ""
        self.traced = {name: tensor.shape for name, tensor in traced.tensors.items()}
        self.givers = {name: layer for layer in traced.layers for name in layer.node.outputs}

    def step(self, layer: Layer) -> None:
        """Looks at one layer."""
        node = layer.node
        value = next((name for name in node.inputs if name in self.flat or name in self.rows), None)
        if value is None:
            self._begin(layer)
        elif node.op in ("Gemm", "MatMul") and node.inputs[0] == value:
            self._window(node, self.flat.get(value) or (self.rows[value], 1, 1))
        elif node.op in PASSES:
            self._hand_on(value, node.outputs[0])
        elif node.op in FLATTENS and _is_row(layer):
            self.gone.append(node.name)
            self._hand_on(value, node.outputs[0])
        elif node.op == "Add" and value in self.rows and self._added_to(node, value):
            self.added.append(node.name)
            self._hand_on(value, node.outputs[0])
        elif node.op in SOFTMAXES and value in self.rows:
            self.softmaxes.append(node.name)
            self._hand_on(value, node.outputs[0])
        elif node.op not in ("Shape", "Size"):
            raise RefusedError(
                f"{node.name} ({node.origin.op or node.op}) reads a row of numbers and has no form on a map",
                "E303",
                location=node.origin.location,
                because=f"{value} is what is behind a flattened map",
                hint="--input SIZE --repair insert-pool, or --repair resize, keeps its layers",
            )

    def _hand_on(self, value: str, output: str) -> None:
        if value in self.flat:
            self.flat[output] = self.flat[value]
        else:
            self.rows[output] = self.rows[value]

    def _begin(self, layer: Layer) -> None:
        """A map that is flattened here, or by the layer itself as Caffe's and Chainer's do."""
        node, given = layer.node, layer.call.inputs[0] if layer.call.inputs else None
        shape = given.shape if given is not None else None
        if not isinstance(shape, tuple) or len(shape) != 4 or not all_numbers(shape[1:]) or layer.call.layout != "NCHW":
            return
        held: tuple[int, int, int] = (shape[1], shape[2], shape[3])
        if node.op in FLATTENS and _is_row(layer):
            self.flat[node.outputs[0]] = held
            self.gone.append(node.name)
            self._seen(node.inputs[0])
        elif node.op == "Gemm" and node.attrs.get("axis", 0) == 1:
            self._seen(node.inputs[0])
            self._window(node, held)

    def _seen(self, value: str) -> None:
        giver = self.givers.get(value)
        if not self.jump and giver is not None and giver.jump:
            self.jump = show(giver.jump) if isinstance(giver.jump, tuple) else str(giver.jump)

    def _window(self, node: Node, held: tuple[int, int, int]) -> None:
        shape, turned = self._weight(node), node.op == "MatMul" or not node.attrs.get("transB")
        outputs = shape[1 if turned else 0]
        plain = all(float(node.attrs.get(key, 1.0)) == 1.0 for key in ("alpha", "beta")) and not node.attrs.get(
            "transA"
        )
        bias = self.traced.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        if not plain or (bias is not None and bias != (outputs,)):
            raise _no_window(node, "its product is scaled or turned, or its bias is not one number for each output")
        self.windows.append(Turned(node.name, held[1:], held[0], outputs, turned))
        self.rows[node.outputs[0]] = outputs

    def _weight(self, node: Node) -> tuple[int, ...]:
        shape = self.traced.get(node.inputs[1])
        if node.inputs[1] not in self.graph.params or not isinstance(shape, tuple) or not all_numbers(shape):
            raise _no_window(node, f"its weight {node.inputs[1]} is not stored")
        shared = [user.name for user in self.graph.nodes if node.inputs[1] in user.inputs and user is not node]
        if shared or len(shape) != ROW:
            readers = (
                f"{', '.join(shared)} reads its weight too"
                if shared
                else f"its weight has {len(shape)} axes, not {ROW}"
            )
            raise _no_window(node, readers)
        return shape

    def _added_to(self, node: Node, value: str) -> bool:
        """Whether a vector with a number for each channel is added."""
        other = next((name for name in node.inputs if name != value), "")
        return other in self.graph.params and self.traced.get(other) == (self.rows[value],)


def _is_row(layer: Layer) -> bool:
    """Whether a layer gives a row for each item: all but the batch in one."""
    given, made = (layer.call.inputs[0], layer.tensors[0]) if layer.call.inputs else (None, None)
    before, after = getattr(given, "shape", None), getattr(made, "shape", None)
    if not isinstance(before, tuple) or not isinstance(after, tuple) or len(after) != ROW:
        return False
    return bool(str(before[0]) == str(after[0]) and is_number(after[1]))


def _convolution(graph: Graph, node: Node, window: Turned, params: dict[str, Param]) -> Node:
    shape = (window.outputs, window.channels, *window.kernel)
    weight = _moved(graph, node.inputs[1], shape, params, turned=window.turned)
    attrs: dict[str, Any] = {"kernel_shape": window.kernel}
    if "channels" in node.attrs:  # a definition, whose attributes are all there
        once = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
        attrs |= {**once, "channels": window.outputs}
    return node.replace(op="Conv", inputs=(node.inputs[0], weight, *node.inputs[2:]), attrs=attrs)


def _addition(graph: Graph, node: Node, params: dict[str, Param]) -> Node:
    vector = next(name for name in node.inputs if name in graph.params)
    count = (graph.params[vector].shape or (0,))[0]
    added = _moved(graph, vector, (count, 1, 1), params, turned=False)
    return node.replace(inputs=tuple(added if name == vector else name for name in node.inputs))


def _moved(graph: Graph, name: str, shape: tuple[int, ...], params: dict[str, Param], *, turned: bool) -> str:
    """The same numbers in another shape: the bytes themselves where they lie in that order, else computed of them."""
    old = graph.params[name]
    fresh = free_name(graph, f"{name}_window")
    kept = {"trained": old.trained, "origin": Origin(op="window")}
    if not turned and (old.where is not None or old.contents is not None):
        params[fresh] = Param(fresh, shape, old.dtype, where=old.where, contents=old.contents, **kept)  # type: ignore[arg-type]
        return fresh
    made_here = graph.format == "onnx" and old.origin is None and not old.sources
    if made_here:  # by another edit: it has no numbers yet, and under its name starts with the same
        params[name] = Param(name, shape, old.dtype, recipe=old.recipe, trained=old.trained)
        return name
    if old.shape is None:
        flat: Shape = (shape[0], shape[1] * shape[2] * shape[3])
        params[name] = Param(name, flat, old.dtype, trained=old.trained, origin=old.origin)
    params[fresh] = Param(
        fresh, shape, old.dtype, recipe="window", sources=(name,), arguments=(shape, turned), **kept  # type: ignore[arg-type]
    )  # fmt: skip
    return fresh


def _no_window(node: Node, because: str) -> RefusedError:
    return RefusedError(
        f"{node.name} cannot become a convolution",
        "E303",
        location=node.origin.location,
        because=because,
        hint="fold the constants of the file first; without --convolutional, --repair resize takes larger images",
    )


def _softmax(graph: Graph, node: Node) -> Iterator[Node]:
    """Over the channels of each cell; old files need the channels last for that."""
    if graph.format != "onnx" or graph.opset >= ONE_AXIS:
        yield node.replace(attrs={**node.attrs, "axis": 1})
        return
    names = [free_name(graph, f"{node.name}/{word}") for word in ("last", "scores")]
    origin = Origin(op="inserted")
    yield Node(names[0], "Transpose", node.inputs, (names[0],), {"perm": (0, 2, 3, 1)}, origin=origin)
    yield node.replace(inputs=(names[0],), outputs=(names[1],), attrs={**node.attrs, "axis": 3})
    yield Node(f"{names[0]}/back", "Transpose", (names[1],), node.outputs, {"perm": (0, 3, 1, 2)}, origin=origin)
