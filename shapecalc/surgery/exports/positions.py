"""Tables with an entry for each place of a map: position embeddings, relative positions, masks of shifted windows.

Which kind a table is follows from its shape: the axes that no longer fit, and the maps of the net that have as many
places. How each is carried over is said beside its recipe (`shapecalc.resampling`).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt, prod
from typing import Any, NamedTuple

from ...dims import all_numbers
from ...graph import Graph, Node, Param
from ...trace import Layer
from .folded import Fold, carries, foldable, looks_up
from .growing import places as only_places
from .regroup import Scale, Sizes
from .retable import Resample

#: Rows in front of the places: a class token, a distillation token, a few registers.
MOST_TOKENS = 8
#: Operators that hand a table on, with axes of 1 put in.
HANDS_ON = frozenset({"Unsqueeze", "Identity", "Cast"})


class Grid(NamedTuple):
    """A map's height and width before and now, and the tokens that stand before its places."""

    before: Sizes
    now: Sizes
    tokens: int

    def __str__(self) -> str:
        extra = f" + {self.tokens}" if self.tokens else ""
        return f"{self.before[0]}×{self.before[1]}{extra} → {self.now[0]}×{self.now[1]}{extra}"


class Seen(NamedTuple):
    """What is known of the values that follow the input: which numbers became which, and which maps which."""

    became: dict[int, list[int]]
    maps: list[tuple[Sizes, Sizes]]
    scale: Scale  # what height and width of the image were multiplied by
    shapes: dict[Sizes, Sizes]  # what whole shapes became last

    def learn(self, old: Layer, layer: Layer) -> None:
        """Takes note of a layer's outputs at both sizes."""
        for a, b in zip(old.tensors, layer.tensors, strict=False):
            if all_numbers(a.shape) and all_numbers(b.shape) and len(a.shape) == len(b.shape):  # type: ignore[arg-type]
                self.note(a.shape, b.shape)  # type: ignore[arg-type]

    def note(self, before: Sizes, now: Sizes) -> None:
        """Takes note of one value's shape at both sizes."""
        axes = [axis for axis, (a, b) in enumerate(zip(before, now, strict=True)) if a != b]
        if axes:
            self.shapes[before] = now
        for axis in axes:
            known = self.became.setdefault(before[axis], [])
            if now[axis] not in known:
                known.append(now[axis])
        for first in (2, 1):  # channels first, or last
            if len(before) == 4 and axes and {first, first + 1}.issuperset(axes):
                pair = (before[first : first + 2], now[first : first + 2])
                if pair not in self.maps:
                    self.maps.append(pair)

    def grid(self, before: int, now: int) -> Grid | None:
        """The map of which ``before`` rows are the places, with the fewest tokens; None where no map has so many."""
        for tokens in range(MOST_TOKENS):
            for old, new in self.maps:
                if prod(old) == before - tokens and prod(new) == now - tokens:
                    return Grid(old, new, tokens)
        return None

    def square(self, before: int, now: int) -> Grid | None:
        """As `grid`, of a net that cuts its patches without a map of them: a square that grew as the image did."""
        for tokens in range(min(MOST_TOKENS, before)):
            side = isqrt(before - tokens)
            grown = (round(side * self.scale[0]), round(side * self.scale[1]))
            if side * side == before - tokens and prod(grown) == now - tokens:
                return Grid((side, side), grown, tokens)
        return None


def resampled(layer: Layer, seen: Seen, graph: Graph) -> Resample | Fold | None:
    """The edit that carries over the table a misfitting node reads; None where it reads none that can be."""
    for table in _tables(layer, graph):
        axes = tuple(axis for axis, (a, b) in enumerate(zip(table.shape, table.wanted, strict=True)) if a != b)
        found = _grown(table, seen, graph) or _carried(table.shape, table.wanted, axes, seen)
        if found is not None:
            recipe, arguments, what = _by_distance(table, *found, graph)
            if table.stored:
                return Resample(table.reader, table.name, recipe, arguments, table.wanted, what)
            edit = Fold(table.reader, table.name, recipe, arguments, table.wanted, what)
            edits = [_computed(edit, arguments[-3:]), edit] if recipe in COMPUTED else [edit]
            carried = next((each for each in edits if carries(graph, each)), None)
            if carried is not None:
                return carried
    return None


#: Recipes of tables that a net may compute, and what it then computes them from.
COMPUTED = {
    "relative": "relative positions of {} computed from their distances",
    "places": "{} computed from waves",
}


def _by_distance(
    table: _Table, recipe: str, arguments: tuple[Any, ...], what: str, graph: Graph
) -> tuple[str, tuple[Any, ...], str]:
    """As `_carried`, of biases that are looked up by distance on the way to a join."""
    if recipe != "relative" or not looks_up(graph, table.name, arguments[1]):
        return recipe, arguments, what
    return "apart", arguments, f"biases by distance, {Grid(*arguments[-3:])} interpolated (bicubic)"


def _computed(edit: Fold, grid: tuple[Any, ...]) -> Fold:
    """As an edit of a table, where the net computes it from where places lie."""
    return edit._replace(recipe=f"computed {edit.recipe}", what=COMPUTED[edit.recipe].format(Grid(*grid)))


class _Table(NamedTuple):
    """A parameter (or a value computed from some), the node that reads it, its shape and the shape that would fit."""

    name: str
    reader: str
    shape: Sizes
    wanted: Sizes
    stored: bool


def _tables(layer: Layer, graph: Graph) -> Iterator[_Table]:
    """The tables that a join reads."""
    shapes = [tensor.shape if tensor is not None else None for tensor in layer.call.inputs]
    producers = graph.producers()
    for index, value in enumerate(layer.node.inputs):
        shape, around = shapes[index], shapes[1 - index] if len(shapes) == 2 else None
        if not all_numbers(shape) or not all_numbers(around) or len(around) < len(shape):  # type: ignore[arg-type]
            continue
        fitting = [a if a == 1 else b for a, b in zip(shape, around[len(around) - len(shape) :], strict=True)]  # type: ignore[index,arg-type]
        name, reader, inserted = _behind(value, layer.node, producers, graph)
        if name is None:
            if foldable(graph, value):
                yield _Table(value, layer.name, tuple(map(int, shape or ())), tuple(fitting), False)  # type: ignore[arg-type]
            continue
        own = graph.params[name].shape or ()
        kept = [size for axis, size in enumerate(fitting) if axis not in inserted]
        if len(kept) == len(own):
            yield _Table(name, reader.name, own, tuple(kept), True)


def _behind(
    value: str, reader: Node, producers: dict[str, Node], graph: Graph
) -> tuple[str | None, Node, tuple[int, ...]]:
    """The parameter a value is, through nodes that only hand it on; its reader, and the axes of 1 put in."""
    inserted: tuple[int, ...] = ()
    while value not in graph.params:
        maker = producers.get(value)
        if maker is None or maker.op not in HANDS_ON:
            return None, reader, ()
        if maker.op == "Unsqueeze":
            axes = _axes(maker, graph)
            if axes is None:
                return None, reader, ()
            inserted = (*inserted, *axes) if not inserted else _above(axes, inserted)
        value, reader = maker.inputs[0], maker
    return value, reader, inserted


def _above(axes: tuple[int, ...], inserted: tuple[int, ...]) -> tuple[int, ...]:
    """Axes of 1 put in by one node and, behind it, by others, counted in the last shape."""
    kept = [axis for axis in range(len(axes) + len(inserted) + max((*axes, *inserted)) + 1) if axis not in inserted]
    return (*inserted, *(kept[axis] for axis in axes))


def _axes(node: Node, graph: Graph) -> tuple[int, ...] | None:
    given = node.attrs.get("axes")
    if given is None and len(node.inputs) > 1:
        param = graph.params.get(node.inputs[1])
        given = param.contents if param is not None else None
    return tuple(given) if given is not None and all(isinstance(a, int) and a >= 0 for a in given) else None


def _carried(
    shape: Sizes, wanted: Sizes, axes: tuple[int, ...], seen: Seen
) -> tuple[str, tuple[object, ...], str] | None:
    """(recipe, its arguments, words) of a table whose ``axes`` no longer fit."""
    grids = {seen.grid(shape[axis], wanted[axis]) for axis in axes}
    grid = next(iter(grids)) if len(grids) == 1 else None
    if grid is None:
        known = _windows(shape, wanted, axes, seen) or _map(shape, wanted, axes, seen)
        grid = seen.square(shape[axes[0]], wanted[axes[0]]) if known is None and len(axes) == 1 else None
        if grid is None:
            return known
    if len(axes) == 1:
        blocks = _blocks(shape, axes[0], grid, seen)
        if blocks is not None:
            return blocks
        return "places", (axes[0], *grid), f"{grid} interpolated (bicubic)"
    if len(axes) == 2:
        return "relative", (axes, *grid), f"relative positions of {grid} interpolated"
    return None


def _blocks(shape: Sizes, axis: int, grid: Grid, seen: Seen) -> tuple[str, tuple[object, ...], str] | None:
    """As `_carried`, of a map in as many blocks as before, (1, blocks, places, channels) (NesT, Zhang et al. 2022)."""
    if len(shape) != 4 or axis != 2 or grid.tokens:
        return None
    for old, new in seen.maps:
        whole = not any(size % side for size, side in zip((*old, *new), (*grid.before, *grid.now), strict=True))
        if whole and prod(old) == shape[1] * prod(grid.before) and prod(new) == shape[1] * prod(grid.now):
            what = f"{Grid(old, new, 0)} in blocks of {grid}, interpolated (bicubic, without antialiasing)"
            return "blocks", (axis - 1, old, new, grid.before, grid.now), what
    return None


def _map(shape: Sizes, wanted: Sizes, axes: tuple[int, ...], seen: Seen) -> tuple[str, tuple[object, ...], str] | None:
    """As `_carried`, of a table whose axes are height and width themselves; what relates places to places is none."""
    related = len(shape) > 2 and shape[-1] == shape[-2] and axes[-1] < len(shape) - 2
    for first in () if related else (axes[0], axes[0] - 1):  # a side that stayed is the one behind or the one before
        pair = ((*shape[first : first + 2],), (*wanted[first : first + 2],))
        if first >= 0 and {first, first + 1}.issuperset(axes) and pair in seen.maps:
            return "map", (first, *pair), f"{Grid(*pair, 0)} interpolated (bicubic)"
    return None


def _windows(
    shape: Sizes, wanted: Sizes, axes: tuple[int, ...], seen: Seen
) -> tuple[str, tuple[object, ...], str] | None:
    """As `_carried`, of a mask over the windows of a map: (…, windows, …, places, places)."""
    side = isqrt(shape[-1])
    if len(axes) != 1 or axes[0] >= len(shape) - 2 or shape[-1] != shape[-2] or side * side != shape[-1]:
        return None
    counts = [prod(sides) * shape[-1] for sides in ((shape[axes[0]],), (wanted[axes[0]],))]
    for old, new in seen.maps:
        if [prod(old), prod(new)] == counts and not any(size % side for size in (*old, *new)):
            what = f"mask of shifted {side}×{side} windows, {Grid(old, new, 0)}"
            return "windows", (axes[0], old, new, (side, side)), what
    return None


def _grown(table: _Table, seen: Seen, graph: Graph) -> tuple[str, tuple[object, ...], str] | None:
    """As `_windows`, of windows whose side changed and whose number did not; a bias of as many heads is no mask."""
    grid = seen.grid(table.shape[-1], table.wanted[-1]) if only_places(table.shape, table.wanted) else None
    if grid is None or grid.tokens or not table.stored or not _is_mask(graph.params[table.name]):
        return None
    for axis, count in enumerate(table.shape[:-2]):
        for old, new in seen.maps:
            whole = not any(size % side for size, side in zip((*old, *new), (*grid.before, *grid.now), strict=True))
            if count > 1 and whole and prod(old) == count * prod(grid.before) and prod(new) == count * prod(grid.now):
                what = f"mask of shifted windows of {grid}, in a map of {Grid(old, new, 0)}"
                return "windows", (axis, old, new, grid.before, grid.now), what
    return None


def _is_mask(param: Param) -> bool:
    """Whether a table holds 0 and one other number alone."""
    from ...folding import numbers  # numpy, which a trace does without

    held = numbers(param)
    return held is not None and bool(((held == 0) | (held == held.min())).all())
