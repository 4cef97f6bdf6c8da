"""Several ONNX nodes in the place of one, for operators ONNX says in pieces."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Node, Param
from .base import Call, Lowered


class Chain:
    """Nodes one after the other, from the first input to the first output."""

    def __init__(self, call: Call) -> None:
        self.node = call.node
        self.nodes: list[Node] = []
        self.params: list[Param] = []

    def constant(self, value: object) -> str:
        """The name of a constant; names pass through."""
        if isinstance(value, str):
            return value
        name = f"{self.node.name}/constant{len(self.params)}"
        if isinstance(value, (list, tuple)):
            dtype = "float32" if any(isinstance(number, float) for number in value) else "int64"
            self.params.append(Param(name, (len(value),), dtype, contents=tuple(value), trained=False))
        else:
            self.params.append(Param(name, (), "float32", contents=(value,), trained=False))
        return name

    def whole(self, number: int) -> str:
        """The name of one whole number."""
        name = f"{self.node.name}/constant{len(self.params)}"
        self.params.append(Param(name, (), "int64", contents=(number,), trained=False))
        return name

    def numbers(self, dtype: str, *values: float, shape: tuple[int, ...] | None = None) -> str:
        """The name of a constant of this element type, in a row where no shape is given, a scalar of one number."""
        name = f"{self.node.name}/constant{len(self.params)}"
        shape = shape or ((len(values),) if len(values) > 1 else ())
        self.params.append(Param(name, shape, dtype, contents=tuple(map(float, values)), trained=False))
        return name

    def add(self, op: str, inputs: Sequence[object], attrs: dict[str, object] | None = None) -> str:
        """A node; returns the name of its value."""
        name = f"{self.node.name}/{op.lower()}{len(self.nodes)}"
        names = [self.constant(value) for value in inputs]
        self.nodes.append(Node(name, op, names, (name,), attrs, origin=self.node.origin))
        return name

    def done(self) -> Lowered:
        """The chain; its last node writes what the layer writes."""
        self.nodes[-1] = self.nodes[-1].replace(name=self.node.name, outputs=self.node.outputs[:1])
        return Lowered(self.nodes, self.params)
