"""Biases between every two places, carried over while the net runs: for a height and a width left free.

What a bias depends on is the offset between two places (BEiT, CoAtNet, MaxViT, Swin). The numbers of the trained
offsets are kept as a small map; its rows and columns are read at the offsets of the map that there is, between places
that `shapecalc.resampling.over_offsets` has them stand at, by two products with weights that fall off on straight
lines. Which offset lies between which two places is computed from their rows and columns.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ...graph import Graph, Param
from ..edits import Edit, renamed
from ..names import free_param
from ..stored import swept
from .computed import Size, Work
from .folded import Fold, derivable, derived
from .retable import Resample

if TYPE_CHECKING:
    from .freeing import Freeing

#: Ratios that are kept; at maps with a longer side distances grow as at this one.
MOST_RATIOS = 4096
#: So far away the ends of a scale reach on.
BEYOND = 1e9


class Spread(NamedTuple):
    """A bias between places, spread over the map that there is when the net runs."""

    layer: str  # the node that reads it
    value: str  # the bias: a parameter, or what is computed from some
    axes: tuple[int, int]  # of the places that ask and those that are asked
    shape: tuple[int, ...]  # of the bias
    grid: tuple[int, int]  # the map it was made for
    sides: tuple[Size, Size]  # the map that there is
    tokens: int  # before the places; their biases are kept
    way: str = "timm"  # whose way of interpolating

    def apply(self, graph: Graph) -> Graph:
        """The graph in which this node reads the spread bias."""
        reader, work = graph.node(self.layer), Work(graph)
        made = self._made(work)
        return swept(graph, work.before(reader, renamed(reader, {self.value: made})))

    def _made(self, work: Work) -> str:
        name = f"{self.value}/spread"
        about = (self.axes, self.grid, self.tokens)
        rest = [size for axis, size in enumerate(self.shape) if axis not in self.axes]
        rows, olds = prod(rest), [2 * side - 1 for side in self.grid]
        table = self._derived(work, "offset rows", "offsets", about, (rows, *olds))
        high, wide = self._weights(work)
        table = work.add(f"{name}/down", "MatMul", (high, table))
        turned = work.add(f"{wide}/turned", "Transpose", (wide,), {"perm": (1, 0)})
        table = work.shaped(f"{name}/rows", work.add(f"{name}/across", "MatMul", (table, turned)), (rows, -1))
        index = offsets(work, self.sides)
        if self.tokens:
            extra = self._derived(work, "token rows", "tokens", about, (rows, self.tokens * (self.tokens + 2)))
            table = work.add(f"{name}/all", "Concat", (extra, table), {"axis": 1})
            index = _behind_tokens(work, index, self.tokens)
        table = work.add(f"{name}/pairs", "Gather", (table, index), {"axis": 1})
        places = work.side(index, 0)
        target = [*([work.numbers(f"{name}/heads", rest)] if rest else []), places, places]
        table = work.add(
            f"{name}/laid_out", "Reshape", (table, work.add(f"{name}/shape", "Concat", target, {"axis": 0}))
        )
        others = iter(range(len(rest)))
        ends = {axis: len(rest) + place for place, axis in enumerate(self.axes)}
        perm = tuple(ends[axis] if axis in ends else next(others) for axis in range(len(self.shape)))
        return table if perm == tuple(range(len(perm))) else work.add(name, "Transpose", (table,), {"perm": perm})

    def _derived(self, work: Work, recipe: str, word: str, about: tuple[Any, ...], shape: tuple[int, ...]) -> str:
        name, params = derived(work.graph, self.value, f"{self.value}/{word}", recipe, about, shape)
        work.params.update(params)
        return name

    def _weights(self, work: Work) -> list[str]:
        """The matrices that read the rows and the columns of the offsets."""
        same = _same(work, self.sides, self.grid)
        return [WEIGHTS[self.way](work, old, size, same) for old, size in zip(self.grid, self.sides, strict=True)]

    def describe(self) -> str:
        """One line for people."""
        extra = f", {self.tokens} before them kept" if self.tokens else ""
        grid, sides = ("×".join(map(str, pair)) for pair in (self.grid, self.sides))
        how = ", bilinearly, as HuggingFace does" if self.way == "huggingface" else ""
        return f"{self.value}: relative positions of {grid} interpolated when it runs, to {sides}{how}{extra}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "spread",
            "layer": self.layer,
            "value": self.value,
            "axes": list(self.axes),
            "grid": list(self.grid),
            "sides": [*map(str, self.sides)],
            "tokens": self.tokens,
            "way": self.way,
            "what": "relative positions interpolated when it runs",
        }


def rows_and_columns(work: Work, sides: tuple[Size, Size]) -> tuple[str, str]:
    """The row and the column of each place of a map, row by row."""
    name = "×".join(map(str, sides))
    count = work.add(f"{name}/count", "Mul", tuple(work.scalar(side) for side in sides))
    first, step = (work.numbers(f"count/{end}", (end,), "int64", ()) for end in (0, 1))
    places = work.add(f"{name}/places", "Range", (first, count, step))
    wide = work.size(sides[1])
    return work.add(f"{name}/place_rows", "Div", (places, wide)), work.add(
        f"{name}/place_columns", "Mod", (places, wide)
    )


def apart(work: Work, asking: str, asked: str) -> str:
    """(places that ask, places asked): the differences of their rows or columns."""
    name = f"{asking}-{asked}"
    return work.add(
        name, "Sub", (work.shaped(f"{asking}/asking", asking, (-1, 1)), work.shaped(f"{asked}/asked", asked, (1, -1)))
    )


def offsets(work: Work, sides: tuple[Size, Size]) -> str:
    """(places, places): which of the (2·height-1)·(2·width-1) offsets lies between two places."""
    name = "×".join(map(str, sides))
    down, across = (apart(work, which, which) for which in rows_and_columns(work, sides))
    last = [_less_one(work, size) for size in sides]
    many = work.add(f"{name}/offsets_across", "Add", (work.size(sides[1]), last[1]))
    row = work.add(f"{name}/offset_rows", "Mul", (work.add(f"{name}/from_top", "Add", (down, last[0])), many))
    return work.add(f"{name}/offsets", "Add", (row, work.add(f"{name}/from_left", "Add", (across, last[1]))))


def _less_one(work: Work, size: Size) -> str:
    return work.add(f"{size}/last", "Sub", (work.size(size), work.numbers("number/1", (1,))))


def _behind_tokens(work: Work, index: str, tokens: int) -> str:
    """An index of pairs of places with those of some tokens before them; their biases stand before all others."""
    name, more = f"{index}/behind_{tokens}", tokens * (tokens + 2)
    first, then = tokens * tokens, tokens * (tokens + 1)
    places, many = work.side(index, 0), work.numbers(f"number/{tokens}", (tokens,))
    between = work.numbers(f"{name}/between", range(first), "int64", (tokens, tokens))
    to = work.numbers(f"{name}/to", range(first, then), "int64", (tokens, 1))
    of = work.numbers(f"{name}/of", range(then, more), "int64", (1, tokens))
    wide = work.add(f"{name}/top_shape", "Concat", (many, places), {"axis": 0})
    high = work.add(f"{name}/left_shape", "Concat", (places, many), {"axis": 0})
    top = (between, work.add(f"{name}/to_places", "Expand", (to, wide)))
    moved = work.add(f"{name}/moved", "Add", (index, work.numbers(f"number/{more}", (more,))))
    rest = (work.add(f"{name}/of_places", "Expand", (of, high)), moved)
    halves = (
        work.add(f"{name}/top", "Concat", top, {"axis": 1}),
        work.add(f"{name}/rest", "Concat", rest, {"axis": 1}),
    )
    return work.add(name, "Concat", halves, {"axis": 0})


def _same(work: Work, sides: tuple[Size, Size], grid: tuple[int, int]) -> str:
    """Whether the map is the one that the bias was made for."""
    name = f"{'×'.join(map(str, sides))}/is_{grid[0]}×{grid[1]}"
    olds = [work.numbers(f"number/{side}", (side,)) for side in grid]
    equal = [
        work.add(f"{name}/{axis}", "Equal", (work.size(side), old))
        for axis, side, old in zip(("high", "wide"), sides, olds, strict=True)
    ]
    return work.add(name, "And", tuple(equal))


def _geometric(work: Work, old: int, size: Size, same: str) -> str:
    """The (2·now-1, 2·old-1) weights of `resampling.geometric`; of the same map, those that leave it as it is."""
    many, name = old - 1, f"{size}/spread_from_{old}/{same}"
    last = _less_one(work, size)
    wanted = _offsets_of(work, size, last)
    if not many:
        return _weighed(work, name, wanted, work.numbers("number/0.0", (0.0,), "float32"))
    kept = min(_farthest(many), MOST_RATIOS)
    ratios = _ratios(work, many, kept)
    within = work.least(f"{last}/below_{kept}", last, work.numbers(f"number/{kept - 1}", (kept - 1,)))
    ratio = work.add(f"{name}/grown", "Gather", (ratios, within), {"axis": 0})
    ratio = work.add(f"{name}/ratio", "Where", (same, work.numbers("number/1.0", (1.0,), "float32"), ratio))
    powers = work.add(
        f"{name}/powers", "Pow", (ratio, work.numbers(f"powers/{many}", [float(n) for n in range(many)], "float32"))
    )
    middle = [place - many for place in range(2 * many + 1)]
    sums = [float((offset > power) - (-offset > power)) for power in range(many) for offset in middle]
    summed = work.numbers(f"sums/{many}", sums, "float32", (many, len(middle)))
    return _weighed(work, name, wanted, work.add(f"{name}/stand_at", "MatMul", (powers, summed)))


def _farthest(many: int) -> int:
    from ...resampling import farthest  # numpy, which a trace does without

    return farthest(many)


def _ratios(work: Work, many: int, kept: int) -> str:
    name = f"ratios/{many}"
    if name not in {**work.graph.params, **work.params}:
        work.params[name] = Param(
            free_param(work.graph, name), (kept,), "float32", recipe="ratios", arguments=(many, kept), trained=False
        )
    return name


def _offsets_of(work: Work, size: Size, last: str) -> str:
    """(2·now-1,) of floats: the offsets on a side."""
    first, step = (work.numbers(f"count/{end}", (end,), "int64", ()) for end in (0, 1))
    count = work.add(f"{size}/offset_count", "Add", (work.size(size), last))
    numbered = work.add(f"{size}/numbered", "Range", (first, work.shaped(f"{size}/offset_scalar", count, ()), step))
    return work.floats(work.add(f"{size}/offsets", "Sub", (numbered, last)))


def _bilinear(work: Work, old: int, size: Size, same: str) -> str:
    """The (2·now-1, 2·old-1) weights of `resampling.bilinear`."""
    before, name = 2 * old - 1, f"{size}/bilinear_from_{old}"
    last = _less_one(work, size)
    count = work.floats(work.add(f"{size}/offset_count", "Add", (work.size(size), last)))

    def number(value: float) -> str:
        return work.numbers(f"number/{value}", (value,), "float32")

    places = work.add(f"{name}/from_first", "Add", (_offsets_of(work, size, last), work.floats(last)))
    middle = work.add(f"{name}/middle", "Add", (places, number(0.5)))
    scale = work.add(f"{name}/scale", "Div", (number(float(before)), count))
    centres = work.add(f"{name}/centres", "Sub", (work.add(f"{name}/scaled", "Mul", (middle, scale)), number(0.5)))
    inside = work.add(f"{name}/not_before", "Max", (centres, number(0.0)))
    inside = work.add(f"{name}/not_behind", "Min", (inside, number(float(before - 1))))
    return _weighed(work, name, inside, work.numbers(f"own/{before}", [float(n) for n in range(before)], "float32"))


def _weighed(work: Work, name: str, wanted: str, known: str) -> str:
    """(wanted, known): how much each known place counts at a wanted one, on the line between its neighbours."""
    ends = [work.numbers(f"number/{end}", (end,), "float32") for end in (-BEYOND, BEYOND)]
    longer = work.add(f"{name}/longer", "Concat", (ends[0], known, ends[1]), {"axis": 0})
    zero, _one, two, end = (work.numbers(f"number/{n}", (n,)) for n in (0, 1, 2, (1 << 63) - 1))
    minus = work.numbers("number/-2", (-2,))
    below = work.add(f"{name}/below", "Slice", (longer, zero, minus, zero))
    above = work.add(f"{name}/above", "Slice", (longer, two, end, zero))
    at = work.shaped(f"{name}/at", wanted, (-1, 1))

    def line(word: str, near: str, far: str) -> str:
        part, whole = (
            work.add(f"{name}/{word}_{what}", "Sub", pair)
            for what, pair in (("part", (near, far)), ("whole", (known, far)))
        )
        return work.add(f"{name}/{word}", "Div", (part, whole))

    lines = work.add(f"{name}/nearer", "Min", (line("rising", at, below), line("falling", at, above)))
    capped = work.add(f"{name}/capped", "Min", (lines, work.numbers("number/1.0", (1.0,), "float32")))
    return work.add(f"{name}/weights", "Max", (capped, work.numbers("number/0.0", (0.0,), "float32")))


#: Whose way -> the weights; torchvision has none for biases, and takes timm's.
WEIGHTS = {"timm": _geometric, "huggingface": _bilinear, "torchvision": _geometric}


def spread(freeing: Freeing, edit: Resample | Fold) -> Edit:
    """A bias between places, for any map."""
    axes, grid, _, tokens = edit.arguments
    value = edit.param if isinstance(edit, Resample) else edit.value
    shape = freeing.table(value)
    recipes = ["offset rows", *(["token rows"] if tokens else [])]
    if not all(derivable(freeing.graph, value, recipe, (axes, grid, tokens)) for recipe in recipes):
        raise freeing.refused(f"{value} depends on more than how far two places lie apart")
    sides = freeing.grids(edit, lambda made: made.arguments[2], grid)
    return Spread(edit.layer, value, axes, shape, grid, sides, tokens)
