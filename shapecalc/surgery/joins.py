"""Joins of maps that are off by a row, by other means than a crop: zeros in place of the rows, or one branch scaled.

A crop (`crop`) gives up the last row of a skip; a segmentation net whose scores must be as large as the image keeps it
where the branch that was enlarged is padded, or scaled to the size of the map it is joined with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..dims import show
from ..graph import Graph, Node, Param
from ..source import Origin
from ..trace import Layer
from .crop import off_by_a_row
from .edits import exchanged, renamed
from .front import SIZES_SINCE, scaled
from .names import free_name

#: The opset from which ONNX's Pad takes its places as inputs.
PADS_SINCE = 11


class PadMap(NamedTuple):
    """A map with rows and columns of zeros behind its last, for one join; other readers keep it as it is."""

    layer: str  # the join
    value: str
    name: str
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    layout: str = "NCHW"

    def apply(self, graph: Graph) -> Graph:
        """The graph with a padding in front of the join."""
        join = graph.node(self.layer)
        more = [after - before for before, after in zip(*self.sizes, strict=True)]
        ends = (0, *more, 0) if self.layout == "NHWC" else (0, 0, *more)
        pads = Param(f"{self.name}/pads", (8,), "int64", contents=(0, 0, 0, 0, *ends), trained=False)
        node = Node(self.name, "Pad", (self.value, pads.name), (self.name,), {}, origin=Origin(op="inserted"))
        nodes = exchanged(graph, join, node, renamed(join, {self.value: self.name}))
        return graph.replace(nodes=nodes, params={**graph.params, pads.name: pads})

    def describe(self) -> str:
        """One line for people."""
        before, after = (show(size) for size in self.sizes)
        return f"pad {self.value} with zeros to what {self.layer} joins it with: {before} → {after}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "pad", "layer": self.layer, "name": self.name, "sizes": [list(size) for size in self.sizes]}


class ScaleMap(NamedTuple):
    """A map scaled bilinearly to the size of the one that a layer joins it with."""

    layer: str  # the join
    value: str
    name: str
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    layout: str = "NCHW"

    def apply(self, graph: Graph) -> Graph:
        """The graph with the scaling in front of the join."""
        join = graph.node(self.layer)
        node, params = scaled(graph, self.name, self.value, self.sizes, self.layout)
        nodes = exchanged(graph, join, node, renamed(join, {self.value: self.name}))
        return graph.replace(nodes=nodes, params={**graph.params, **{param.name: param for param in params}})

    def describe(self) -> str:
        """One line for people."""
        before, after = (show(size) for size in self.sizes)
        return f"scale {self.value} bilinearly to what {self.layer} joins it with: {before} → {after}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "scale", "layer": self.layer, "name": self.name, "sizes": [list(size) for size in self.sizes]}


def padded(layer: Layer, graph: Graph) -> PadMap | None:
    """The padding of the first map of a misfitting join that is smaller than another by what rounding leaves."""
    if graph.format == "onnx" and graph.opset < PADS_SINCE:
        return None
    sizes = off_by_a_row(layer, graph)
    largest = tuple(max(size[axis] for size in sizes.values()) for axis in (0, 1)) if sizes else ()
    for value, size in sizes.items():
        if size != largest:
            return PadMap(layer.name, value, free_name(graph, f"{value}_pad"), (size, largest), layer.call.layout)
    return None


def rescaled(layer: Layer, graph: Graph) -> ScaleMap | None:
    """The scaling of a map of a misfitting join to the size of the one that was made first: of a skip."""
    if graph.format == "onnx" and graph.opset < SIZES_SINCE:
        return None
    sizes = off_by_a_row(layer, graph)
    order = {value: place for place, node in enumerate(graph.nodes) for value in node.outputs}
    wanted = sizes[min(sizes, key=lambda value: order.get(value, -1))] if sizes else ()
    for value, size in sizes.items():
        if size != wanted:
            return ScaleMap(layer.name, value, free_name(graph, f"{value}_scaled"), (size, wanted), layer.call.layout)
    return None
