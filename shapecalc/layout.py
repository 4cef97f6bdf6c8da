"""Definitions whose channels come last, written for ONNX, whose operators on images want them first.

A value keeps its name where it lies as its framework has it, so the net's inputs and outputs are those of the
definition; channels first it is called ``<value>/nchw``. A layer that speaks of channels and places (`Operator.images`)
takes and gives that form, one that can work in any order of axes (`Operator.moved`) follows what it is given, any other
takes values as they lie. A `Transpose` stands only where the two meet, once for each value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .dims import Shape, Unknown
from .graph import Activation, Graph, Node, Tensor
from .ops import Call, Operator, find
from .ops.base import Shapes

FIRST, LAST = "nchw", "nhwc"


def channels_first(rank: int) -> list[int]:
    """The axes of a channels-last tensor in the order that puts the channels first.

    >>> channels_first(4)
    [0, 3, 1, 2]
    """
    return [0, rank - 1, *range(1, rank - 1)]


def channels_last(rank: int) -> list[int]:
    """The axes of a channels-first tensor in the order that puts the channels last.

    >>> channels_last(4)
    [0, 2, 3, 1]
    """
    return [0, *range(2, rank), 1]


class Layouts:
    """Which form of each value there is, and the transposes that make the other."""

    def __init__(self, graph: Graph) -> None:
        self.constants = frozenset(graph.params)
        self.lying = {given.name for given in graph.inputs}
        self.first: set[str] = set()

    def arranged(self, call: Call, outputs: Shapes) -> tuple[list[Node], Call, Shapes]:
        """The transposes a call needs, and the call with its values named and shaped as it takes them."""
        node, row = call.node, find(call.node.op, call.node.domain)
        turned = row is not None and self._wants_first(row, call)
        nodes: list[Node] = []
        names, tensors = list(node.inputs), list(call.inputs)
        for i in self._values(call):
            shape = call.shape(i) if call.rank(i) is not None else ()
            if turned and len(shape) > 2:
                names[i] = self._form(names[i], len(shape), FIRST, nodes, node)
                tensors[i] = Tensor(_ordered(shape), tensors[i].dtype)  # type: ignore[union-attr]
            else:
                names[i] = self.as_it_lies(names[i], len(shape), nodes, node)
        shapes = [_ordered(s) if turned and isinstance(s, tuple) and len(s) > 2 else s for s in outputs]
        written = [
            self._written(name, turned and isinstance(shape, tuple) and len(shape) > 2)
            for name, shape in zip(node.outputs, shapes, strict=False)
        ]
        attrs = call.attrs
        if turned and row is not None and row.moved is not None:
            attrs = row.moved(call, channels_first(len(call.shape())))
        attrs = {key: value for key, value in attrs.items() if key != "layout"}
        made = node.replace(inputs=names, outputs=written, attrs=attrs)
        return nodes, Call(made, tensors, call.scope, attrs), shapes

    def as_it_lies(self, name: str, rank: int, nodes: list[Node], near: Node) -> str:
        """The name of a value as its framework has it, transposed (into ``nodes``) where it is not there."""
        return self._form(name, rank, LAST, nodes, near)

    def made(self, name: str) -> str:
        """The name of a value in a form that there is."""
        return name if name in self.lying else f"{name}/{FIRST}"

    def _wants_first(self, row: Operator, call: Call) -> bool:
        if row.images:
            return call.layout == "NHWC" and (call.rank() or 0) > 2
        values = self._values(call)
        names = [call.node.inputs[i] for i in values]
        if row.moved is None or not self.first.intersection(names):
            return False
        ranks = {call.rank(i) for i in values}
        return len(ranks) == 1 and (ranks.pop() or 0) > 2

    def _values(self, call: Call) -> list[int]:
        """Positions of the inputs that are values and no parameters."""
        return [i for i, name in enumerate(call.node.inputs) if name and name not in self.constants and call.has(i)]

    def _written(self, name: str, turned: bool) -> str:
        if not turned or not name:
            self.lying.add(name)
            return name
        self.first.add(name)
        return f"{name}/{FIRST}"

    def _form(self, name: str, rank: int, form: str, nodes: list[Node], near: Node) -> str:
        here, there = (self.first, self.lying) if form == FIRST else (self.lying, self.first)
        first = f"{name}/{FIRST}"
        wanted, given = (first, name) if form == FIRST else (name, first)
        if name not in here and name in there:
            here.add(name)
            order = channels_first(rank) if form == FIRST else channels_last(rank)
            made = f"{name}/to_{form}"
            nodes.append(Node(made, "Transpose", (given,), (wanted,), {"perm": order}, origin=near.origin))
        return wanted


def forms(name: str, shape: tuple[Any, ...] | None) -> dict[str, tuple[Any, ...] | None]:
    """The names a value may run under, each with the shape it has there.

    >>> forms("conv1", (1, 55, 55, 96))
    {'conv1': (1, 55, 55, 96), 'conv1/nchw': (1, 96, 55, 55)}
    """
    if shape is None or len(shape) < 3:
        return {name: shape}
    return {name: shape, f"{name}/{FIRST}": _ordered(shape)}


def _ordered(shape: Shape) -> Shape:
    return tuple(shape[axis] for axis in channels_first(len(shape)))


def steps(call: Call, outputs: Sequence[Shape | Unknown]) -> Iterator[Call]:
    """A layer that ends in an activation as two calls, any other as it is."""
    activation: Activation | None = call.attr("activation")
    if activation is None:
        yield call
        return
    node = call.node
    linear = f"{node.name}/linear"
    attrs = {key: value for key, value in call.attrs.items() if key != "activation"}
    bare = node.replace(outputs=(linear, *node.outputs[1:]), attrs=attrs)
    yield Call(bare, call.inputs, call.scope, attrs)
    op, given, domain = activation
    attrs = {**given, "layout": call.attrs.get("layout")}
    end = Node(f"{node.name}/{op.lower()}", op, (linear,), node.outputs[:1], attrs, origin=node.origin, domain=domain)
    yield Call(end, [Tensor(outputs[0], "float32")], call.scope)
