"""Biases looked up by distance (LeViT, EfficientFormerV2), while the net runs: for a height and a width left free.

What `shapecalc.surgery.exports.lookup` writes for one size is computed: the table is interpolated as the map of its
distances, and which distance lies between two places follows from their rows and columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...graph import Graph
from ..edits import Edit
from .computed import Size, Work
from .lookup import Lookup
from .spread import apart, rows_and_columns
from .stretched import Stretch

if TYPE_CHECKING:
    from .freeing import Freeing

Sides = tuple[Size, Size]


class LookUpToFit(NamedTuple):
    """A table read by distance, for the maps that there are when the net runs."""

    layer: str  # the Gather
    table: str
    shape: tuple[int, ...]  # of the table
    grid: tuple[int, int]  # the map it was made for
    queries: Sides  # the map of the places that ask
    keys: Sides  # the map of the places that are asked
    strides: tuple[int, int]  # that the asking places stand apart
    way: str = "timm"  # whose way of interpolating

    def apply(self, graph: Graph) -> Graph:
        """The graph in which this Gather reads the interpolated table by computed indices."""
        old, work = graph.node(self.layer), Work(graph)
        axis = len(self.shape) - 1
        table = Stretch(self.layer, self.table, axis, self.shape, self.grid, self.keys, 0, True, self.way).made(work)
        return work.before(old, old.replace(inputs=(table, self._indices(work))))

    def _indices(self, work: Work) -> str:
        """(places that ask, places asked): rows apart times the width, and columns apart."""
        asking, asked = rows_and_columns(work, self.queries), rows_and_columns(work, self.keys)
        far = [self._far(work, *pair) for pair in zip(asking, asked, self.strides, strict=True)]
        down = work.add(f"{far[0]}/lines", "Mul", (far[0], work.size(self.keys[1])))
        return work.add(f"{down}/{far[1]}", "Add", (down, far[1]))

    def _far(self, work: Work, asking: str, asked: str, stride: int) -> str:
        if stride != 1:
            asking = work.add(f"{asking}/every_{stride}", "Mul", (asking, work.numbers(f"number/{stride}", (stride,))))
        between = apart(work, asking, asked)
        return work.add(f"{between}/far", "Abs", (between,))

    def describe(self) -> str:
        """One line for people."""
        grid, sides = ("×".join(map(str, pair)) for pair in (self.grid, self.keys))
        how = {"timm": "", "huggingface": ", without antialiasing, as HuggingFace does"}[self.way]
        return f"{self.table}: biases by distance of {grid} interpolated (bicubic{how}) when it runs, to {sides}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "look-up-to-fit",
            "layer": self.layer,
            "param": self.table,
            "queries": [*map(str, self.queries)],
            "keys": [*map(str, self.keys)],
            "what": "biases by distance when it runs",
        }


def distant(freeing: Freeing, edit: Lookup) -> Edit:
    """A bias by distance, for any map."""
    shape, made = freeing.table(edit.table), _lookups(freeing, edit)
    strides = {_strides(each) for each in made}
    if len(strides) != 1:
        raise freeing.refused(f"{edit.table}: places that ask stand apart by other strides at other sizes")
    native = [(int(grid.before[0]), int(grid.before[1])) for grid in (edit.queries, edit.keys)]
    queries = freeing.grids(edit, lambda made: made.queries.now, native[0])
    keys = freeing.grids(edit, lambda made: made.keys.now, native[1])
    return LookUpToFit(edit.layer, edit.table, shape, native[1], queries, keys, strides.pop())


def _lookups(freeing: Freeing, edit: Lookup) -> list[Lookup]:
    edits = (made for sample in freeing.samples for made in sample.edits)
    return [made for made in edits if isinstance(made, Lookup) and made.layer == edit.layer]


def _strides(edit: Lookup) -> tuple[int, int]:
    """How far apart places that ask stand among those that are asked."""
    down, across = (-(-key // query) for query, key in zip(edit.queries.now, edit.keys.now, strict=True))
    return down, across
