"""Biases that are looked up by distance: a table of numbers, and indices that an export wrote down for one map.

LeViT and EfficientFormerV2 keep a number for each distance between two places, row by row, and the export holds which
of them belongs to which pair. The indices are computed for the new map, and the table interpolated as a map is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...dims import all_numbers, show
from ...graph import Graph, Node, Param, Tensor
from ...source import Origin
from ...trace import Layer
from ..edits import exchanged
from ..names import free_param
from ..stored import stored
from .positions import Grid, Seen
from .regroup import Sizes

#: Operators that hand a bias on with the same last two axes.
HANDS_ON = frozenset({"Identity", "Cast", "Unsqueeze"})


class Lookup(NamedTuple):
    """A table read by distance, and which distances are read, for another map."""

    layer: str  # the Gather
    table: str
    queries: Grid
    keys: Grid
    shape: Sizes  # of the table
    read: bool = True  # whether the old indices were seen to be distances; large ones are told by their shape alone

    def apply(self, graph: Graph) -> Graph:
        """The graph in which this Gather reads the new table by new indices; the old table stays as its source."""
        old, node = graph.params[self.table], graph.node(self.layer)
        name = free_param(graph, f"{self.table}_{show(self.shape, 'x')}")
        indices = free_param(graph, f"{self.layer}/indices")
        made = Param(
            name, self.shape, old.dtype, recipe="places", sources=(self.table,), trained=old.trained,
            arguments=(len(self.shape) - 1, self.keys.before, self.keys.now, 0), origin=Origin(op="resampled"),
        )  # fmt: skip
        count = tuple(high * wide for high, wide in (self.queries.now, self.keys.now))
        which = Param(
            indices, count, "int64", recipe="distances", arguments=(self.queries.now, self.keys.now), trained=False
        )
        new = node.replace(inputs=(name, indices))
        return graph.replace(nodes=exchanged(graph, node, new), params={**graph.params, name: made, indices: which})

    def describe(self) -> str:
        """One line for people."""
        return f"{self.table}: biases by distance, {self.keys} interpolated (bicubic), looked up anew" + (
            "" if self.read else "; its indices are taken to be distances by their shape, they were not read"
        )

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        grids = {
            name: [list(grid.before), list(grid.now)] for name, grid in (("queries", self.queries), ("keys", self.keys))
        }
        return {"edit": "lookup", "layer": self.layer, "param": self.table, **grids, "what": "biases by distance"}


def looked_up(layer: Layer, seen: Seen, graph: Graph) -> Lookup | None:
    """The edit of the bias by distance that a misfitting join reads; None where it reads none."""
    producers = graph.producers()
    for index, value in enumerate(layer.node.inputs):
        gather = producers.get(value)
        while gather is not None and gather.op in HANDS_ON:
            gather = producers.get(gather.inputs[0])
        other = layer.call.inputs[1 - index] if len(layer.node.inputs) == 2 else None
        wanted = other.shape if other is not None else None
        if gather is None or gather.op != "Gather" or not isinstance(wanted, tuple) or not all_numbers(wanted[-2:]):
            continue
        found = _of_distances(gather, wanted[-2:], seen, graph)
        if found is not None:
            return found
    return None


def _of_distances(gather: Node, wanted: Sizes, seen: Seen, graph: Graph) -> Lookup | None:
    """The edit of a Gather whose indices are distances on a map that is known at both sizes."""
    table, indices = stored(graph, gather.inputs[0]), _indices(gather.inputs[1], graph)
    shape = table.shape if table is not None else None
    count = indices.shape if indices is not None else None
    if table is None or indices is None or not shape or not isinstance(count, tuple) or len(count) != 2:
        return None
    last = int(gather.attrs.get("axis", 0)) % len(shape) == len(shape) - 1
    queries, keys = (seen.grid(int(before), now) for before, now in zip(count, wanted, strict=True))
    if not last or table.name not in graph.params or queries is None or keys is None or shape[-1] != count[1]:
        return None
    if queries.tokens or keys.tokens:
        return None
    if not _are_distances(indices, _pair(queries.before), _pair(keys.before)):
        return None
    size = (*shape[:-1], keys.now[0] * keys.now[1])
    return Lookup(gather.name, table.name, queries, keys, size, indices.contents is not None)


def _are_distances(indices: Tensor, queries: tuple[int, int], keys: tuple[int, int]) -> bool:
    """Whether indices are the distances between places, as far as they are to be had."""
    if indices.contents is None:
        return True
    from ...resampling import distances  # numpy, which a trace does without

    return tuple(distances(queries, keys).reshape(-1).tolist()) == tuple(indices.contents)


def _pair(size: Sizes) -> tuple[int, int]:
    return size[0], size[1]


def _indices(value: str, graph: Graph) -> Tensor | None:
    """The indices that the file holds; without contents where they are too many to be read with it."""
    node, param = graph.producers().get(value), graph.params.get(value)
    if param is not None and param.shape is not None:
        return Tensor(param.shape, param.dtype, param.contents)
    found = node.attrs.get("value") if node is not None and node.op == "Constant" else None
    return found if isinstance(found, Tensor) else None
