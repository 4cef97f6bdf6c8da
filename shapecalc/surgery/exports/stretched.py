"""Tables with an entry for each place of a map, interpolated while the net runs: for a height and a width left free.

The weights of the interpolation are computed from the sides of the map as `shapecalc.resampling.bicubic` has them, by
operators that ONNX has had since opset 11, and the table is multiplied with them: rows, then columns. ONNX's own
Resize says the same since opset 18 alone, where it got antialiasing (measured: 6e-6 apart), and few runtimes have that.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ...graph import Graph
from ..edits import Edit, renamed
from .computed import Size, Work
from .folded import Fold
from .retable import Resample
from .waved import waved

if TYPE_CHECKING:
    from .freeing import Freeing


class Stretch(NamedTuple):
    """A table of a map's places, carried over to the map that there is when the net runs."""

    layer: str  # the node that reads it
    value: str  # the table: a parameter, or what is computed from some
    axis: int  # of its places, or of the map's height, which its width follows
    shape: tuple[int, ...]  # of the table
    grid: tuple[int, int]  # the map it was made for
    sides: tuple[Size, Size]  # the map that there is
    tokens: int  # rows before the places, which are kept
    flat: bool  # whether the places are one axis
    way: str = "timm"  # whose way of interpolating

    def apply(self, graph: Graph) -> Graph:
        """The graph in which this node reads the interpolated table; the trained one stays as it is."""
        reader, work = graph.node(self.layer), Work(graph)
        made = self.made(work)
        return work.before(reader, renamed(reader, {self.value: made}))

    def made(self, work: Work) -> str:
        """The interpolated table, computed by nodes that are added."""
        name, table = f"{self.value}/stretched", self.value
        if self.tokens:
            table = self._rows(work, "places", self.tokens, self.shape[self.axis])
        last = self.shape[self.axis + (1 if self.flat else 2) :]
        across = prod(last)
        high, wide = self.grid
        weights = [_weights(work, old, size, WAYS[self.way]) for old, size in zip(self.grid, self.sides, strict=True)]
        table = work.shaped(f"{name}/rows", table, (-1, high, wide * across))
        table = work.add(f"{name}/down", "MatMul", (weights[0], table))
        table = work.shaped(f"{name}/columns", table, (-1, wide, across))
        table = work.add(f"{name}/across", "MatMul", (weights[1], table))
        front = [Size(plus=size) for size in self.shape[: self.axis]]
        middle = [Size(plus=-1)] if self.flat else [*self.sides]
        target = work.listed(f"{name}/shape", [*front, *middle, *(Size(plus=size) for size in last)])
        table = work.add(f"{name}/map", "Reshape", (table, target))
        if not self.tokens:
            return table
        return work.add(name, "Concat", (self._rows(work, "tokens", 0, self.tokens), table), {"axis": self.axis})

    def _rows(self, work: Work, word: str, start: int, end: int) -> str:
        """Some rows of the table."""
        numbers = [work.numbers(f"number/{number}", (number,)) for number in (start, end, self.axis)]
        return work.add(f"{self.value}/{word}", "Slice", (self.value, *numbers))

    def describe(self) -> str:
        """One line for people."""
        extra = f", {self.tokens} before them kept" if self.tokens else ""
        grid = "×".join(map(str, self.grid))
        how = f"bicubic{WAYS[self.way].words}"
        return f"{self.value}: {grid} places interpolated ({how}) when it runs, to {_named(self.sides)}{extra}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "stretch",
            "layer": self.layer,
            "value": self.value,
            "axis": self.axis,
            "grid": list(self.grid),
            "sides": [*map(str, self.sides)],
            "tokens": self.tokens,
            "way": self.way,
            "what": "places interpolated when it runs",
        }


def _named(sides: tuple[Size, Size]) -> str:
    """A map in words: that of a value, where height and width are simply its own."""
    values = {value for side in sides for value, _ in side.factors}
    whole = all(len(side.factors) == 1 and side == Size(side.factors) for side in sides)
    return f"the map of {values.pop()}" if whole and len(values) == 1 else "×".join(map(str, sides))


class Way(NamedTuple):
    """Keys' cubic kernel by Horner's rule, the highest power first: up to a distance of 1, and from 1 to 2.

    With ``antialias`` it widens where the map shrinks, and what reaches beyond the ends is left out; without, the
    numbers at the ends stand for those beyond.
    """

    near: tuple[float, ...]
    far: tuple[float, ...]
    antialias: bool
    words: str
    corners: bool = False  # whether first lies on first and last on last


#: Whose way (`retable.INTERPOLATIONS`) -> the kernel, for a = -0.5 and for a = -0.75, as `resampling.bicubic` has them.
WAYS = {
    "timm": Way((1.5, -2.5, 0.0, 1.0), (-0.5, 2.5, -4.0, 2.0), True, ""),
    "huggingface": Way(
        (1.25, -2.25, 0.0, 1.0), (-0.75, 3.75, -6.0, 3.0), False, ", without antialiasing, as HuggingFace does"
    ),
    "torchvision": Way(
        (1.25, -2.25, 0.0, 1.0), (-0.75, 3.75, -6.0, 3.0), False, ", corners on corners, as torchvision does", True
    ),
}
#: So far from its middle the kernel reaches.
REACH = 2


def _weights(work: Work, before: int, size: Size, way: Way) -> str:
    """The (now, before) matrix of weights, ``now`` being a size: what `resampling.bicubic` gives."""
    name = f"{size}/from_{before}"

    def number(value: float) -> str:
        return work.numbers(f"number/{value}", (value,), "float32")

    def step(word: str, op: str, *inputs: str) -> str:
        return work.add(f"{name}/{word}", op, inputs)

    def polynomial(word: str, factors: tuple[float, ...]) -> str:
        made = number(factors[0])
        for power, factor in enumerate(factors[1:]):
            product = step(f"{word}_product_{power}", "Mul", made, away)
            made = step(f"{word}_{power}", "Add", product, number(factor))
        return made

    places = work.shaped(f"{name}/places", work.floats(work.counted(size)), (-1, 1))
    wanted = work.floats(work.size(size))
    scale = step("scale", "Div", number(float(before)), wanted)
    if way.corners:
        last = step("last", "Max", step("before_last", "Sub", wanted, number(1.0)), number(1.0))
        centres = step("corners", "Mul", places, step("between", "Div", number(float(before - 1)), last))
    else:
        middle = step("scaled", "Mul", step("middle", "Add", places, number(0.5)), scale)
        centres = step("centres", "Sub", middle, number(0.5))
    beyond = 0 if way.antialias else REACH
    own = work.numbers(f"own/{before}", [float(place) for place in range(-beyond, before + beyond)], "float32")
    apart = step("apart", "Abs", step("offset", "Sub", own, centres))
    away = step("away", "Div", apart, step("width", "Max", scale, number(1.0))) if way.antialias else apart
    far = step("far", "Where", step("beyond_1", "Less", away, number(2.0)), polynomial("second", way.far), number(0.0))
    kernel = step("kernel", "Where", step("within_1", "Less", away, number(1.0)), polynomial("first", way.near), far)
    if not way.antialias:
        return step("weights", "MatMul", kernel, _ends(work, before))
    ones = work.numbers(f"ones/{before}", (1.0,) * before, "float32", (before, 1))
    return step("weights", "Div", kernel, step("sum", "MatMul", kernel, ones))


def _ends(work: Work, before: int) -> str:
    """The matrix that gives the weights of places beyond the ends to the ends."""
    own = [min(max(place, 0), before - 1) for place in range(-REACH, before + REACH)]
    rows = [float(place == column) for place in own for column in range(before)]
    return work.numbers(f"ends/{before}", rows, "float32", (len(own), before))


def stretched(freeing: Freeing, edit: Resample | Fold) -> Edit:
    """A table of places, or of a map, for any map."""
    axis, grid, _, *rest = edit.arguments
    tokens, flat = rest[0] if rest else 0, edit.recipe == "places"
    value = edit.param if isinstance(edit, Resample) else edit.value
    shape = freeing.table(value)
    made = waved(freeing, edit) if flat else None
    if made is not None:
        return made
    sides = freeing.grids(edit, lambda made: made.arguments[2], grid)
    return Stretch(edit.layer, value, axis, shape, grid, sides, tokens, flat)
