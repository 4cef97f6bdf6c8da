"""Poolings that an export wrote down for one size of what was a pooling to a grid, whatever comes in.

An adaptive pooling of 56×56 to 7×7 is written as windows of 8×8. One alone could be either; where poolings of maps of
several sizes all give the same grid, it is the grid that is meant (PVT v2's linear attention, Wang et al. 2022). So it
is where windows are of one place: nobody writes such a pooling, but an adaptive one that met a map of its own grid is
exported so (torchvision's AlexNet and VGG).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...dims import show
from ...graph import Graph, Node, Param
from ...source import Origin
from ...trace import Layer
from ..edits import ChangePool, exchanged
from ..names import free_name, free_param
from .follow import shape_of
from .regroup import Sizes

#: Axes of a map.
MAP = 4


def grids(before: Mapping[str, Layer]) -> dict[str, Sizes]:
    """Layer name -> the grid it pools to, of poolings whose grid is what stays."""
    found: dict[Sizes, dict[str, Sizes]] = {}
    kept: dict[str, Sizes] = {}
    for name, layer in before.items():
        given, made = shape_of(layer), shape_of(layer, output=True)
        if layer.op == "AveragePool" and given is not None and made is not None and len(given) == MAP:
            grid, size = made[2:], given[2:]
            windows = tuple(n // out for n, out in zip(size, grid, strict=True)) if 0 not in grid else ()
            strides = tuple(layer.call.attr("strides") or (1,) * len(windows))
            if windows == tuple(layer.call.attr("kernel_shape")) == strides and max(grid) > 1:
                found.setdefault(grid, {})[name] = size
                if size == grid:
                    kept[name] = grid
    return kept | {name: grid for grid, pools in found.items() if len({*pools.values()}) > 1 for name in pools}


def pooled(old: Layer, layer: Layer, grid: Sizes) -> ChangePool | AdaptPool | None:
    """The edit of a pooling to a grid where another map comes in."""
    before, now = shape_of(old), shape_of(layer)
    if before is None or now is None or before == now or layer.op != "AveragePool":
        return None
    size = now[2:]
    alike = [_alike(n, out) for n, out in zip(size, grid, strict=True)]
    if None in alike:
        return AdaptPool(layer.name, size, grid)
    window, strides = zip(*(pair for pair in alike if pair), strict=True)
    if window == tuple(layer.call.attr("kernel_shape")) and strides == tuple(layer.call.attr("strides")):
        return None
    stride = f", stride {show(strides)}" if strides != window else ""
    what = f"{show(layer.call.attr('kernel_shape'))} → {show(window)}{stride}, so that {show(size)} gives {show(grid)}"
    return ChangePool(layer.name, {"kernel_shape": window, "strides": strides}, what)


def _alike(size: int, grid: int) -> tuple[int, int] | None:
    """Window and stride where the windows of an adaptive pooling are alike: all of one length, one step apart.

    Window i goes from floor(i·size/grid) to ceil((i + 1)·size/grid), as PyTorch has it.
    """
    starts = [i * size // grid for i in range(grid)]
    ends = [-(-(i + 1) * size // grid) for i in range(grid)]
    lengths = {end - start for start, end in zip(starts, ends, strict=True)}
    steps = {after - before for before, after in itertools.pairwise(starts)}
    if len(lengths) > 1 or len(steps) > 1 or steps == {0}:
        return None
    (length,) = lengths
    return length, next(iter(steps), length)


class AdaptPool(NamedTuple):
    """An average pooling to a grid that does not divide its map: windows that overlap, as PyTorch's adaptive ones."""

    layer: str
    size: tuple[int, ...]
    grid: tuple[int, ...]

    def apply(self, graph: Graph) -> Graph:
        """The graph with two products in the pooling's place: its averages over rows, and over columns."""
        old = graph.node(self.layer)
        made = Origin(op="inserted")
        names = [free_param(graph, f"{self.layer}/{word}") for word in ("down", "across")]
        shapes = ((self.grid[0], self.size[0]), (self.size[1], self.grid[1]))
        params = {
            name: Param(name, shape, recipe="averages", arguments=(shape, turned), trained=False, origin=made)
            for name, shape, turned in zip(names, shapes, (False, True), strict=True)
        }
        between = free_name(graph, f"{self.layer}/columns")
        columns = Node(between, "MatMul", (old.inputs[0], names[1]), (between,), {}, origin=made)
        rows = Node(self.layer, "MatMul", (names[0], between), old.outputs, {}, origin=made)
        return graph.replace(nodes=exchanged(graph, old, columns, rows), params={**graph.params, **params})

    def describe(self) -> str:
        """One line for people."""
        return f"{self.layer}: {show(self.size)} pooled to {show(self.grid)}, windows that overlap, as two products"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        sizes = {"size": list(self.size), "grid": list(self.grid)}
        return {"edit": "adapt-pool", "layer": self.layer, **sizes, "what": "an adaptive pooling"}
