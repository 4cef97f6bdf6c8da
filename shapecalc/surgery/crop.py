"""Joins of maps that are off by a row: at a size the net was not made for, its branches round differently.

A stride of 2 halves 57 to 29 by a convolution and to 28 by a pooling; a map of 57 halved and doubled comes back as 58,
one of an eighth as 64. Where such maps meet, the larger loses its last rows and columns: no layer changes, and both
branches keep their grids, which start at the same place. What else a join can do is in `joins`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..dims import Shape, all_numbers, show
from ..graph import Graph, Node, Param, places
from ..source import Origin
from ..trace import Layer, Mend, Trace
from .edits import Edit, carried_out, exchanged, renamed
from .names import free_name

#: Rounding sets two branches apart by a row or two, and by what a small map is enlarged to: up to an eighth of the map.
#: More is another misfit.
MOST_ROWS, MOST_PART = 2, 8
#: Joins of one net.
MOST_JOINS = 1_000
#: The opset from which ONNX's Slice takes its places as inputs.
SLICE_SINCE = 10
#: Traces a graph at given shapes, under a dialect, mending as it goes (`Definition.retrace`).
Retrace = Callable[[Graph, Mapping[str, Shape], str | None, Mend | None], Trace]
#: The code of a join that does not fit.
JOIN = "E105"


class CropMap(NamedTuple):
    """A map without its last rows and columns, for one join; other readers keep it whole."""

    layer: str  # the join
    value: str
    name: str
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    layout: str = "NCHW"
    reference: str = ""  # the map that has the size wanted already, which Caffe's own layer crops to

    def apply(self, graph: Graph) -> Graph:
        """The graph with a slice, or Caffe's Crop, in front of the join."""
        join = graph.node(self.layer)
        new = renamed(join, {self.value: self.name})
        if graph.format == "caffe" and self.reference:
            attrs = {"axis": 2, "offset": ()}
            inputs, origin = (self.value, self.reference), Origin(op="inserted")
            layer = Node(self.name, "Crop", inputs, (self.name,), attrs, origin=origin, domain="caffe")
            return graph.replace(nodes=exchanged(graph, join, layer, new))
        axes = (1, 2) if self.layout == "NHWC" else (2, 3)
        numbers = {"starts": (0, 0), "ends": self.sizes[1], "axes": axes}
        params = {
            f"{self.name}/{word}": Param(f"{self.name}/{word}", (2,), "int64", contents=contents, trained=False)
            for word, contents in numbers.items()
        }
        crop = Node(self.name, "Slice", (self.value, *params), (self.name,), {}, origin=Origin(op="inserted"))
        return graph.replace(nodes=exchanged(graph, join, crop, new), params={**graph.params, **params})

    def describe(self) -> str:
        """One line for people."""
        before, after = (show(size) for size in self.sizes)
        return f"crop {self.value} to what {self.layer} joins it with: {before} → {after}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "crop", "layer": self.layer, "name": self.name, "sizes": [list(size) for size in self.sizes]}


#: The edit that makes a misfitting join fit; None where it joins no maps that are off by a row.
Joining = Callable[[Layer, Graph], Edit | None]


class Joined(NamedTuple):
    """The edits of joins, and the trace that they give: with problems where something else does not fit."""

    edits: tuple[Edit, ...]
    trace: Trace


def join(misfit: Trace, feeds: Mapping[str, Shape], retrace: Retrace, joining: Joining) -> Joined:
    """What makes the joins of a net fit at ``feeds``, in one trace."""
    mending = _Mending(misfit.graph, joining)
    found = retrace(misfit.graph, feeds, misfit.dialect, mending.mend)
    return Joined(tuple(mending.edits), found)


class _Mending:
    """The state of `join`: the graph with the edits so far."""

    def __init__(self, graph: Graph, joining: Joining) -> None:
        self.graph = graph
        self.joining = joining
        self.edits: list[Edit] = []

    def mend(self, layer: Layer) -> tuple[list[Node], dict[str, Param]] | None:
        """The nodes to trace in a join's place; None where it joins no maps that are off by a row."""
        if len(self.edits) >= MOST_JOINS or all(problem.code != JOIN for problem in layer.problems):
            return None
        edit = self.joining(layer, self.graph)
        if edit is None:
            return None
        self.edits.append(edit)
        self.graph, changed, params = carried_out(edit, self.graph)
        return changed, params


def cropped(layer: Layer, graph: Graph) -> CropMap | None:
    """The crop of the first map of a misfitting join that is larger than another by what rounding leaves."""
    if graph.format == "onnx" and graph.opset < SLICE_SINCE:
        return None
    sizes = off_by_a_row(layer, graph)
    smallest = tuple(min(size[axis] for size in sizes.values()) for axis in (0, 1)) if sizes else ()
    for value, size in sizes.items():
        if size != smallest:
            name = free_name(graph, f"{value}_crop")
            reference = next((other for other, sides in sizes.items() if sides == smallest), "")
            return CropMap(layer.name, value, name, (size, smallest), layer.call.layout, reference)
    return None


def off_by_a_row(layer: Layer, graph: Graph) -> dict[str, tuple[int, ...]]:
    """The maps that a layer joins, with height and width; empty where they are apart by more than rounding leaves."""
    maps = [(value, _places(layer, index)) for index, value in enumerate(layer.node.inputs)]
    sizes = {value: size for value, size in maps if size is not None and max(size) > 1}
    if len(sizes) < 2 or any(value in graph.params for value in sizes):
        return {}
    smallest = [min(size[axis] for size in sizes.values()) for axis in (0, 1)]
    return sizes if all(all(map(_rounded, size, smallest)) for size in sizes.values()) else {}


def _rounded(have: int, want: int) -> bool:
    """Whether two sizes can be apart by rounding alone."""
    return have - want <= max(MOST_ROWS, want // MOST_PART)


def _places(layer: Layer, index: int) -> tuple[int, ...] | None:
    """Height and width of an input, None where it is no map of known size."""
    tensor = layer.call.inputs[index] if layer.call.has(index) else None
    shape = tensor.shape if tensor is not None else None
    if not isinstance(shape, tuple) or len(shape) != 4:
        return None
    size = places(shape, layer.call.layout)
    return tuple(int(n) for n in size) if all_numbers(size) else None
