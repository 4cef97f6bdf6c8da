"""Tables of where places lie from each other, which a net reads as they are: ConViT's positional attention.

ConViT (d'Ascoli et al. 2021) turns (columns apart, rows apart, their squares' sum) of every two places into scores by a
trained layer. The table holds no weight, and is computed for the new map.
"""

from __future__ import annotations

from collections.abc import Collection
from math import isqrt
from typing import Any, NamedTuple

from ...graph import Graph, Param
from ...source import Origin
from ...trace import Layer
from ..edits import exchanged, renamed
from ..names import free_param
from ..stored import swept
from .folded import constants
from .follow import shape_of
from .positions import Grid, Seen
from .regroup import Sizes

#: Numbers of a pair of places: columns apart, rows apart, and both squared.
NUMBERS = 3


class Offsets(NamedTuple):
    """A table of how far every two places lie apart, (…, places, places, 3), computed for another map."""

    layer: str  # the node that reads it
    value: str
    shape: Sizes
    grid: Grid

    def apply(self, graph: Graph) -> Graph:
        """The graph in which this node reads the new table."""
        name = free_param(graph, f"{self.value}_offsets")
        made = Param(
            name, self.shape, "float32", recipe="offsets", arguments=(self.shape, self.grid.now), trained=False,
            origin=Origin(op="resampled"),
        )  # fmt: skip
        reader = graph.node(self.layer)
        nodes = exchanged(graph, reader, renamed(reader, {self.value: name}))
        return swept(graph, graph.replace(nodes=nodes, params={**graph.params, name: made}))

    def describe(self) -> str:
        """One line for people."""
        return f"{self.value}: how far places of {self.grid} lie apart, computed"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        grid = [list(self.grid.before), list(self.grid.now)]
        return {"edit": "offsets", "layer": self.layer, "value": self.value, "grid": grid, "what": "offsets of places"}


def offsets(old: Layer, layer: Layer, seen: Seen, graph: Graph, following: Collection[str]) -> Offsets | None:
    """The edit of a table of offsets that a layer reads, where its map changed; None where it reads none."""
    shape = shape_of(old)
    if shape is None or len(shape) < NUMBERS or shape[-1] != NUMBERS or shape[-2] != shape[-3] or not seen.maps:
        return None
    value, side = layer.node.inputs[0], isqrt(shape[-2])
    if layer.op not in ("MatMul", "Gemm") or value in following or side < 2 or side * side != shape[-2]:
        return None
    now = next((new for before, new in seen.maps if before == (side, side)), None)
    if now is None:
        return None
    from ...resampling import offsets as computed  # numpy, which a trace does without

    held = constants(graph, value)
    if held is None or held.shape != shape or not bool((held == computed(shape, (side, side))).all()):
        return None
    places = now[0] * now[1]
    return Offsets(layer.name, value, (*shape[:-3], places, places, NUMBERS), Grid((side, side), now, 0))
