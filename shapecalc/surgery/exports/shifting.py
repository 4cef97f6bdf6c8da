"""Edits that shift the windows of a map: rolled before it is cut, masked in attention, trimmed and rolled back behind.

A roll is what ONNX has no operator for: the rows that go out at one end are put back at the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...dims import show
from ...graph import Graph, Node, Param
from ...source import Origin
from ..edits import exchanged, renamed
from ..names import free_name, free_param

#: The end of an axis of any length.
END = (1 << 63) - 1
#: What Swin adds to a score of two places that were no neighbours before the shift.
FAR = -100.0


class _Built(NamedTuple):
    nodes: list[Node]
    params: dict[str, Param]


def _numbers(graph: Graph, name: str, contents: tuple[int, ...]) -> Param:
    return Param(free_param(graph, name), (len(contents),), "int64", contents=contents, trained=False)


def _slice(
    graph: Graph, name: str, value: str, rows: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
) -> _Built:
    """A Slice of (starts, ends, axes)."""
    words = ("starts", "ends", "axes")
    held = [_numbers(graph, f"{name}/{word}", numbers) for word, numbers in zip(words, rows, strict=True)]
    node = Node(name, "Slice", (value, *(param.name for param in held)), (name,), {}, origin=Origin(op="inserted"))
    return _Built([node], {param.name: param for param in held})


def _rolled(graph: Graph, value: str, name: str, shift: tuple[int, int]) -> _Built:
    """Nodes that roll height and width of a map with its channels last; the last gives the value ``name``."""
    built = _Built([], {})
    turned = [(axis, step) for axis, step in zip((1, 2), shift, strict=True) if step]
    for index, (axis, step) in enumerate(turned):
        last = index == len(turned) - 1
        tail = _slice(graph, f"{name}/tail_{axis}", value, ((-step,), (END,), (axis,)))
        front = _slice(graph, f"{name}/front_{axis}", value, ((0,), (-step,), (axis,)))
        value = name if last else f"{name}/{axis}"
        inputs = (tail.nodes[0].name, front.nodes[0].name)
        join = Node(value, "Concat", inputs, (value,), {"axis": axis}, origin=Origin(op="inserted"))
        built.nodes.extend([*tail.nodes, *front.nodes, join])
        built.params.update({**tail.params, **front.params})
    return built


class RollMap(NamedTuple):
    """A map rolled before a layer reads it."""

    layer: str
    value: str
    name: str
    shift: tuple[int, int]

    def apply(self, graph: Graph) -> Graph:
        """The graph with slices and joins in front of the layer."""
        reader = graph.node(self.layer)
        name = free_name(graph, self.name)
        built = _rolled(graph, self.value, name, self.shift)
        nodes = exchanged(graph, reader, *built.nodes, renamed(reader, {self.value: name}))
        return graph.replace(nodes=nodes, params={**graph.params, **built.params})

    def describe(self) -> str:
        """One line for people."""
        return f"{self.layer}: its windows are shifted by {show(tuple(-step for step in self.shift))} from now on"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "roll", "layer": self.layer, "shift": list(self.shift), "what": "windows are shifted"}


class PadWindows(NamedTuple):
    """A map with rows and columns of zeros behind its last before a layer cuts it into windows."""

    layer: str
    value: str
    more: tuple[int, int]

    def apply(self, graph: Graph) -> Graph:
        """The graph with a Pad in front of the layer."""
        reader = graph.node(self.layer)
        name = free_name(graph, f"{self.value}/padded")
        pads = _numbers(graph, f"{name}/pads", (0, 0, 0, 0, 0, *self.more, 0))
        node = Node(name, "Pad", (self.value, pads.name), (name,), {}, origin=Origin(op="inserted"))
        nodes = exchanged(graph, reader, node, renamed(reader, {self.value: name}))
        return graph.replace(nodes=nodes, params={**graph.params, pads.name: pads})

    def describe(self) -> str:
        """One line for people."""
        rows, columns = self.more
        return f"{self.layer}: its map is padded by {rows} rows and {columns} columns to whole windows"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "pad-windows", "layer": self.layer, "more": list(self.more), "what": "padded to whole windows"}


class TrimMap(NamedTuple):
    """A map behind its windows: what was padded is taken off, and a shift undone."""

    layer: str
    value: str
    sizes: tuple[tuple[int, int], tuple[int, int]]
    shift: tuple[int, int] = (0, 0)
    flat: bool = False  # whether its places are one axis behind
    late: bool = False  # whether the shift is undone first, as in nets that shift a padded map

    def apply(self, graph: Graph) -> Graph:
        """The graph with a slice behind the layer, and the roll back; whatever read the layer reads what they give."""
        old = graph.node(self.layer)
        whole = free_name(graph, f"{self.value}/padded")
        value, nodes, params = whole, list[Node](), dict[str, Param]()
        back = any(self.shift)
        last = free_name(graph, f"{self.value}/map") if self.flat else self.value
        first = free_name(graph, f"{self.value}/back") if self.sizes[0] != self.sizes[1] else last
        if back and self.late:
            built = _rolled(graph, value, first, self.shift)
            nodes, params, value, back = [*built.nodes], {**built.params}, first, False
        if self.sizes[0] != self.sizes[1]:
            name = free_name(graph, f"{self.value}/trimmed") if back else last
            cut = _slice(graph, name, value, ((0, 0), self.sizes[1], (1, 2)))
            nodes += [node.replace(name=free_name(graph, f"{self.layer}/trim")) for node in cut.nodes]
            params |= cut.params
            value = name
        if back:
            built = _rolled(graph, value, last, self.shift)
            nodes += built.nodes
            params |= built.params
        if self.flat:
            places = _numbers(graph, f"{self.value}/places", (0, self.sizes[1][0] * self.sizes[1][1], -1))
            flat = Node(
                f"{self.layer}/flat", "Reshape", (last, places.name), (self.value,), {}, origin=Origin(op="inserted")
            )
            nodes.append(flat.replace(name=free_name(graph, flat.name)))
            params[places.name] = places
        joined = old.replace(outputs=(whole,))
        return graph.replace(nodes=exchanged(graph, old, joined, *nodes), params={**graph.params, **params})

    def describe(self) -> str:
        """One line for people."""
        words = f"{show(self.sizes[0])} → {show(self.sizes[1])}, what was padded taken off"
        return f"{self.layer}: {words if self.sizes[0] != self.sizes[1] else 'the shift undone'}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        sizes = [list(size) for size in self.sizes]
        flat = {word: True for word in ("flat", "late") if getattr(self, word)}
        return {
            "edit": "trim",
            "layer": self.layer,
            "sizes": sizes,
            "shift": list(self.shift),
            **flat,
            "what": "trimmed",
        }


class MaskWindows(NamedTuple):
    """Scores of shifted windows: places that were no neighbours before the shift do not see each other."""

    layer: str  # the softmax
    value: str
    scores: tuple[int, ...]  # (windows of all images, heads if there are any, places, places)
    size: tuple[int, ...]
    window: tuple[int, ...]
    shift: tuple[int, int]

    def apply(self, graph: Graph) -> Graph:
        """The graph with the mask added in front of the softmax."""
        softmax = graph.node(self.layer)
        windows = (self.size[0] // self.window[0]) * (self.size[1] // self.window[1])
        rest, places, between = self.scores[1:], self.scores[-1], len(self.scores) - 3
        base = free_name(graph, f"{self.layer}/mask")
        mask = Param(
            free_param(graph, f"{base}/windows"), (windows, *(1,) * between, places, places), recipe="shifted_windows",
            arguments=(self.size, self.window, self.shift, FAR, between), trained=False, origin=Origin(op="resampled"),
        )  # fmt: skip
        apart = _numbers(graph, f"{base}/apart", (-1, windows, *rest))
        joined = _numbers(graph, f"{base}/joined", (-1, *rest))
        made = Origin(op="inserted")
        nodes = [
            Node(f"{base}/split", "Reshape", (self.value, apart.name), (f"{base}/split",), {}, origin=made),
            Node(f"{base}/add", "Add", (f"{base}/split", mask.name), (f"{base}/add",), {}, origin=made),
            Node(base, "Reshape", (f"{base}/add", joined.name), (base,), {}, origin=made),
            renamed(softmax, {self.value: base}),
        ]
        held: Mapping[str, Param] = {param.name: param for param in (mask, apart, joined)}
        return graph.replace(nodes=exchanged(graph, softmax, *nodes), params={**graph.params, **held})

    def describe(self) -> str:
        """One line for people."""
        return f"{self.layer}: a mask for shifted {show(self.window)} windows of {show(self.size)}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        rows = {name: list(getattr(self, name)) for name in ("size", "window", "shift")}
        return {"edit": "mask", "layer": self.layer, **rows, "what": "a mask for shifted windows"}
