"""Windows as large as a map, which an export does not show: what attends to the whole map, cut where the map is larger.

TinyViT and EfficientViT (Liu et al. 2023) look their biases up by distance, so a window has one side, and a map that
it does not fill is padded. Where a map is one window the exporter saw no window. In a net that cuts other maps into
windows with such biases, these are windows too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt, prod
from typing import Any, NamedTuple, Self

from ...dims import show
from ...graph import Graph, Node, Param
from ...source import Origin
from ...trace import Layer, Trace
from ..edits import renamed
from ..names import free_name, free_param
from .folded import looks_up
from .follow import shape_of
from .regroup import Sizes, regrouped

Side = tuple[int, int]
#: Axes of a map; how its channels go to the end, and how they go back.
MAP, LAST, FIRST = 4, (0, 2, 3, 1), (0, 3, 1, 2)
#: A cut map (N, windows down, side, windows across, side, channels) turned to windows, and back: the same.
TURN = (0, 1, 3, 2, 4, 5)


class Whole(NamedTuple):
    """Attention to a whole map, between a map and what is added to it."""

    entry: str  # the value that is attended to, and
    exit: str  # what of it is added to it
    inside: frozenset[str]  # the nodes between
    shape: Sizes  # of both
    side: Side
    last: bool  # whether channels come last

    def size(self, shape: Sizes) -> Side:
        """Height and width."""
        return (shape[1], shape[2]) if self.last else (shape[2], shape[3])


def wholes(graph: Graph, before: Mapping[str, Layer], biased: Mapping[str, Side]) -> list[Whole]:
    """Every attention to a whole map, of the joins with biases that are looked up by distance, in order."""
    follow = following(graph)
    found: dict[tuple[str, str], Whole] = {}
    for scores, side in biased.items():
        whole = _around(graph, graph.node(scores), side, before, follow)
        if whole is not None:
            found[whole.entry, whole.exit] = whole
    return [*found.values()]


def by_distance(graph: Graph, before: Mapping[str, Layer]) -> dict[str, Side]:
    """Join of scores -> the side of the square map whose biases it adds, looked up by distance."""
    follow = following(graph)
    found: dict[str, Side] = {}
    for node in graph.nodes:
        layer = before.get(node.name)
        shape = shape_of(layer, output=True) if node.op == "Add" and layer is not None else None
        side = isqrt(shape[-1]) if shape is not None and len(shape) > 2 and shape[-1] == shape[-2] else 0
        biases = [value for value in node.inputs if value not in follow]
        square = side > 1 and shape is not None and side * side == shape[-1] and len(biases) == 1
        if square and looks_up(graph, biases[0], (side, side)):
            found[node.name] = (side, side)
    return found


def following(graph: Graph) -> set[str]:
    """The values that follow an input."""
    made = {given.name for given in graph.inputs}
    for node in graph.nodes:
        if not made.isdisjoint(node.inputs):
            made.update(node.outputs)
    return made


def _around(graph: Graph, scores: Node, side: Side, before: Mapping[str, Layer], following: set[str]) -> Whole | None:
    """The attention around a join of scores; None where it is not between a map of that side and a sum with it."""
    above = {value for node in graph.ancestors(scores.inputs) for value in (*node.inputs, *node.outputs)}
    made = {*scores.outputs}
    started = False
    for node in graph.nodes:
        started = started or node is scores
        if not started or node is scores or made.isdisjoint(node.inputs):
            continue
        made.update(node.outputs)
        others = [value for value in node.inputs if value in above and value in following]
        layer = before.get(node.name)
        if node.op != "Add" or len(others) != 1 or layer is None:
            continue
        entry, shape = others[0], shape_of(layer, output=True)
        leaving = next(value for value in node.inputs if value != entry)
        tensors = [tensor.sizes if tensor is not None else None for tensor in layer.call.inputs]
        if shape is None or len(shape) != MAP or side not in (shape[1:3], shape[2:]) or tensors != [shape, shape]:
            return None
        inside = _between(graph, entry, leaving, following)
        return Whole(entry, leaving, inside, shape, side, shape[1:3] == side) if inside else None
    return None


def _between(graph: Graph, entry: str, leaving: str, following: set[str]) -> frozenset[str]:
    """The nodes between two values; none where anything else that follows the image comes in."""
    below, nodes = {entry}, list[Node]()
    needed = {node.name for node in graph.ancestors([leaving])}
    for node in graph.nodes:
        if not below.isdisjoint(node.inputs) and node.name in needed:
            below.update(node.outputs)
            nodes.append(node)
    alone = all(value in below or value not in following for node in nodes for value in node.inputs)
    return frozenset(node.name for node in nodes) if alone else frozenset()


def windowed(found: list[Whole], sides: Sides, traced: Trace) -> list[AttendInWindows]:
    """The edits of a net's whole maps that are several windows now; ``traced`` says how large they are."""
    edits = list[AttendInWindows]()
    for whole in found:
        tensor = traced.tensors.get(whole.entry)
        shape = tensor.sizes if tensor is not None else None
        if shape is None or len(shape) != MAP:
            continue
        size = whole.size(shape)
        window = sides.window(whole.side, size)
        if window != size:
            inside = tuple(sorted(whole.inside))
            edits.append(AttendInWindows(whole.entry, whole.exit, inside, shape, whole.side, window, whole.last))
    return edits


class Sides(NamedTuple):
    """The sides of a net's windows: of those that are cut, and whether they are as small as a map that is smaller.

    EfficientViT takes the smaller of its window and its map; TinyViT pads the map. A whole map that is smaller than
    the windows of other maps tells the first.
    """

    cut: Side
    shrinks: bool

    @classmethod
    def of(cls, cut: Side, found: list[Whole]) -> Self:
        """From the windows that are cut and the whole maps."""
        return cls(cut, any(max(whole.side) < min(cut) for whole in found))

    def window(self, side: Side, size: Side) -> Side:
        """The window of a map of ``size`` that was of ``side`` and one window, or was cut into windows of that side."""
        longest = (max(side[0], self.cut[0]), max(side[1], self.cut[1]))
        least = min(*longest, *size) if self.shrinks else 0
        return (least, least) if self.shrinks else longest


class _Work:
    """Parameters and nodes of chains; the state of one edit."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.params: dict[str, Param] = {}

    def chain(self, value: str, name: str, steps: Sequence[tuple[str, tuple[int, ...]]]) -> list[Node]:
        """Nodes that take a value through (operator, its numbers), one after another, to the value ``name``."""
        nodes = list[Node]()
        for place, (op, numbers) in enumerate(steps):
            last = place == len(steps) - 1
            made = free_name(self.graph, f"{name}/{place}")
            held = self._held(made, op, numbers)
            inputs = (nodes[-1].outputs[0] if nodes else value, *held)
            attrs = {"perm": numbers} if op == "Transpose" else {}
            nodes.append(Node(made, op, inputs, (name if last else made,), attrs, origin=Origin(op="inserted")))
        return nodes

    def _held(self, name: str, op: str, numbers: tuple[int, ...]) -> list[str]:
        """The constants that an operator reads beside its value."""
        rows = {"Transpose": (), "Slice": ((0, 0), numbers, (1, 2))}.get(op, (numbers,))
        names = [free_param(self.graph, f"{name}/numbers_{place}") for place in range(len(rows))]
        for held, row in zip(names, rows, strict=True):
            self.params[held] = Param(held, (len(row),), "int64", contents=row, trained=False)
        return names


class AttendInWindows(NamedTuple):
    """What attended to a whole map attends within windows of it; the map is padded to whole ones."""

    value: str  # the map
    leaving: str  # what the attention makes of it
    inside: tuple[str, ...]
    shape: Sizes  # of the map
    side: Side  # of the map that was one window
    window: Side
    last: bool

    @property
    def layer(self) -> str:
        """The value that is cut; no one layer is changed."""
        return self.value

    @property
    def counts(self) -> Side:
        """Windows down and across."""
        high, wide = (-(-n // side) for n, side in zip(self.size, self.window, strict=True))
        return high, wide

    @property
    def size(self) -> Side:
        """Height and width of the map."""
        return (self.shape[1], self.shape[2]) if self.last else (self.shape[2], self.shape[3])

    def target(self, before: Sizes | None, after: Sizes | None, now: Sizes | None) -> Sizes | None:
        """What a reshape within gives of ``now``, where it gave ``after`` of ``before`` for one window.

        None where that comes out whole in no way: items are not the first axis.
        """
        if before is None or after is None or now is None or len(before) != len(now):
            return None
        items = after[0] * prod(self.counts)
        if before[:1] == after[:1] and now[0] == items:
            became = {old: [new] for old, new in zip(self.side, self.window, strict=True) if old != new}
            ways = regrouped(before[1:], after[1:], now[1:], became)
            return (items, *ways[0]) if ways else None
        made = [items, *(prod(self.window) if size == prod(self.side) else size for size in after[1:])]
        return tuple(made) if prod(made) == prod(now) else None

    def apply(self, graph: Graph) -> Graph:
        """The graph with the cut in front of the attention, and the map put together behind."""
        work = _Work(graph)
        cut, joined = free_name(graph, f"{self.value}/windows"), free_name(graph, f"{self.leaving}/windows")
        front, behind = self._cut(work, cut), self._joined(work, joined)
        nodes, inside = list[Node](), {*self.inside}
        started = False
        for node in graph.nodes:
            if node.name not in inside:
                nodes.append(node)
                continue
            if not started:
                nodes += front
                started = True
            last = self.leaving in node.outputs
            made = node.replace(outputs=tuple(joined if out == self.leaving else out for out in node.outputs))
            nodes.append(renamed(made, {self.value: cut}))
            nodes += behind if last else []
        return graph.replace(nodes=tuple(nodes), params={**graph.params, **work.params})

    def _cut(self, work: _Work, name: str) -> list[Node]:
        """Nodes that give windows of the map, laid out as the map was."""
        (high, wide), (rows, columns) = self.window, self.counts
        channels = self.shape[3] if self.last else self.shape[1]
        more = (rows * high - self.size[0], columns * wide - self.size[1])
        steps: list[tuple[str, tuple[int, ...]]] = [] if self.last else [("Transpose", LAST)]
        steps += [("Pad", (0, 0, 0, 0, 0, *more, 0))] if any(more) else []
        steps += [("Reshape", (-1, rows, high, columns, wide, channels)), ("Transpose", TURN)]
        steps += [("Reshape", (-1, high, wide, channels))]
        return work.chain(self.value, name, steps if self.last else [*steps, ("Transpose", FIRST)])

    def _joined(self, work: _Work, name: str) -> list[Node]:
        """Nodes that give the map again."""
        (high, wide), (rows, columns) = self.window, self.counts
        channels = self.shape[3] if self.last else self.shape[1]
        steps: list[tuple[str, tuple[int, ...]]] = [] if self.last else [("Transpose", LAST)]
        steps += [("Reshape", (-1, rows, columns, high, wide, channels)), ("Transpose", TURN)]
        steps += [("Reshape", (-1, rows * high, columns * wide, channels))]
        steps += [("Slice", self.size)] if (rows * high, columns * wide) != self.size else []
        return work.chain(name, self.leaving, steps if self.last else [*steps, ("Transpose", FIRST)])

    def describe(self) -> str:
        """One line for people."""
        return f"{self.value}: attended to in windows of {show(self.window)} of {show(self.size)}, was a whole map"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "attend-in-windows",
            "layer": self.value,
            "leaving": self.leaving,
            "inside": list(self.inside),
            "shape": list(self.shape),
            "side": list(self.side),
            "window": list(self.window),
            "last": self.last,
            "what": "a whole map attended to in windows",
        }
