"""Edits: values that say what is changed, and carry it out on a graph.

An edit is listed before it is done, applied to get a new graph that shares every untouched node with the old one, and
written to JSON as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..dims import Dim, Shape, show, substitute, symbol
from ..graph import Graph, Input, Node, Param
from ..source import Origin

#: Values of a network have fewer axes.
MOST_AXES = 8


class Edit(Protocol):
    """What every edit offers."""

    @property
    def layer(self) -> str:
        """The layer it is about."""

    def apply(self, graph: Graph) -> Graph:
        """The changed graph."""

    def describe(self) -> str:
        """One line for people."""

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""


def listed(edits: Sequence[Edit], most: int) -> list[str]:
    """A line an edit; where there are more than ``most``, the first of each kind and how many are like it."""
    if len(edits) <= most:
        return [edit.describe() for edit in edits]
    kinds: dict[Any, list[Edit]] = {}
    for edit in edits:
        kinds.setdefault((type(edit), edit.to_dict().get("what")), []).append(edit)
    return [line for alike in kinds.values() for line in _first(alike)]


def applied(edits: Iterable[Edit], graph: Graph) -> Graph:
    """The graph with edits carried out, one after another."""
    for edit in edits:
        graph = edit.apply(graph)
    return graph


def carried_out(edit: Edit, graph: Graph) -> tuple[Graph, list[Node], dict[str, Param]]:
    """The changed graph, and the nodes and parameters that were not there before."""
    before = {id(node) for node in graph.nodes}
    changed = edit.apply(graph)
    params = {name: param for name, param in changed.params.items() if name not in graph.params}
    return changed, [node for node in changed.nodes if id(node) not in before], params


def _first(alike: list[Edit]) -> list[str]:
    first, more = alike[0].describe(), len(alike) - 1
    return [f"{first}, and {more} more like it"] if more else [first]


def exchanged(graph: Graph, old: Node, *new: Node) -> tuple[Node, ...]:
    """The nodes of a graph with new ones in the place of one."""
    return tuple(made for node in graph.nodes for made in (new if node is old else (node,)))


class SetInput(NamedTuple):
    """Another declared shape of an input."""

    name: str
    before: Shape | None
    after: Shape

    @property
    def layer(self) -> str:
        """The input's name."""
        return self.name

    def apply(self, graph: Graph) -> Graph:
        """The graph with this input declared (and native) at the new shape."""
        return graph.replace(inputs=tuple(self._changed(given) for given in graph.inputs))

    def _changed(self, given: Input) -> Input:
        if given.name != self.name:
            return given
        return Input(
            given.name,
            self.after,
            dtype=given.dtype,
            layout=given.layout,
            role=given.role,
            origin=given.origin,
        )

    def describe(self) -> str:
        """One line for people."""
        before = f"{show(self.before)} → " if self.before is not None else ""
        return f"input {self.name}: {before}{show(self.after)}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "set-input", "layer": self.name, "before": _plain(self.before), "after": _plain(self.after)}


def renamed(node: Node, values: Mapping[str, str]) -> Node:
    """The node reading values under their new names, in its inputs and in the sizes its attributes refer to."""
    refers = node.attrs.get("refers", ())
    if not any(name in values for name in (*node.inputs, *refers)):
        return node
    attrs = node.attrs
    if any(name in values for name in refers):
        sizes = {f"{old}[{i}]": symbol(f"{new}[{i}]") for old, new in values.items() for i in range(MOST_AXES)}
        attrs = {key: _bound(value, sizes) for key, value in attrs.items() if key != "refers"}
        attrs["refers"] = tuple(values.get(name, name) for name in refers)
    return node.replace(inputs=tuple(values.get(name, name) for name in node.inputs), attrs=attrs)


def _bound(value: Any, sizes: Mapping[str, Dim]) -> Any:
    return tuple(_bound(item, sizes) for item in value) if isinstance(value, tuple) else substitute(value, sizes)


class InsertPool(NamedTuple):
    """A pooling without weights between a layer and its users."""

    layer: str
    value: str
    name: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    layout: str = "NCHW"
    readers: tuple[str, ...] = ()  # the nodes that get the pooled map; none named: all

    def apply(self, graph: Graph) -> Graph:
        """The graph with the pooling behind ``value``, read by those that are to read it."""
        pooled = self.name
        attrs = {
            "kernel_shape": self.kernel,
            "strides": self.stride,
            "pads": (0,) * (2 * len(self.kernel)),
            "ceil_mode": 0,
            "count_include_pad": 1,
        } | ({"layout": self.layout} if self.layout != "NCHW" else {})
        pool = Node(pooled, "AveragePool", (self.value,), (pooled,), attrs, origin=Origin(op="inserted"))
        nodes: list[Node] = []
        for node in graph.nodes:
            nodes.append(renamed(node, {self.value: pooled}) if self._concerns(node) else node)
            if self.value in node.outputs:
                nodes.append(pool)
        return graph.replace(nodes=tuple(nodes))

    def _concerns(self, node: Node) -> bool:
        return not self.readers or node.name in self.readers

    def describe(self) -> str:
        """One line for people."""
        before, after = (show(size) for size in self.sizes)
        window = f"{show(self.kernel)}, stride {'×'.join(map(str, dict.fromkeys(self.stride)))}"
        return f"insert average pooling {self.name} ({window}) after {self.layer}: {before} → {after}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "insert-pool",
            "layer": self.layer,
            "name": self.name,
            "kernel": list(self.kernel),
            "stride": list(self.stride),
        }


class ChangePool(NamedTuple):
    """Another window, padding or rounding of a pooling that is there."""

    layer: str
    attrs: dict[str, Any]
    what: str

    def apply(self, graph: Graph) -> Graph:
        """The graph with the pooling's attributes replaced."""
        old = graph.node(self.layer)
        return graph.replace(nodes=exchanged(graph, old, old.replace(attrs={**old.attrs, **self.attrs})))

    def describe(self) -> str:
        """One line for people."""
        return f"change {self.layer}: {self.what}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        attrs = {key: list(value) if isinstance(value, tuple) else value for key, value in self.attrs.items()}
        return {"edit": "change-pool", "layer": self.layer, "attrs": attrs, "what": self.what}


def _plain(shape: Shape | None) -> list[Any] | None:
    return None if shape is None else [d if isinstance(d, int) else str(d) for d in shape]
