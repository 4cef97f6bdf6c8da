"""Tables of waves over a map, computed while the net runs: rotary embeddings and Fourier features at any size.

Every column of such a table is the sine or the cosine of b·t, t the row or the column of a place (`shapecalc.waves`).
The waves of the map that there is are the sines of one sum: b times the row, or the column, and a quarter turn for a
cosine. What a net makes of its waves by sums of their multiples (XCiT, EdgeNeXt) is one product with them.
"""

from __future__ import annotations

from math import pi, prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ...graph import Graph
from ..edits import Edit, renamed
from ..stored import swept
from .computed import Size, Work
from .folded import Fold, derivable, derived, numbers_of
from .retable import Resample

if TYPE_CHECKING:
    from .freeing import Freeing


class Waves(NamedTuple):
    """Sines of ``down`` · row + ``across`` · column + ``turn``, times ``sign``: a number of each for every channel."""

    down: tuple[float, ...]
    across: tuple[float, ...]
    turn: tuple[float, ...]
    sign: tuple[float, ...]
    starts: tuple[str, str]  # where rows and columns begin to count (`waves.STARTS`)


class Waved(NamedTuple):
    """A table of waves, computed for the map that there is when the net runs."""

    layer: str  # the node that reads it
    value: str  # the table: a parameter, or what is computed from some
    axis: int  # of its places
    shape: tuple[int, ...]
    grid: tuple[int, int]  # the map it was made for
    sides: tuple[Size, Size]  # the map that there is
    tokens: int  # rows before the places, which are kept
    waves: Waves
    mixed: bool = False  # whether it is sums of multiples of the waves

    def apply(self, graph: Graph) -> Graph:
        """The graph in which this node reads the computed table."""
        reader, work = graph.node(self.layer), Work(graph)
        made = self._made(work)
        return swept(graph, work.before(reader, renamed(reader, {self.value: made})))

    def _made(self, work: Work) -> str:
        rest = [size for axis, size in enumerate(self.shape) if axis != self.axis]
        table = self._rows(work)
        name = f"{self.value}/waved"
        if self.mixed:
            about = (self.axis, self.grid, self.tokens)
            shape = (len(self.waves.down), prod(rest))
            weights, params = derived(work.graph, self.value, f"{name}/weights", "wave weights", about, shape)
            work.params.update(params)
            table = work.add(f"{name}/mixed", "MatMul", (table, weights))
        perm = (*range(1, self.axis + 1), 0, *range(self.axis + 1, len(self.shape)))
        table = work.shaped(f"{name}/apart", table, (-1, *rest))
        if self.axis:
            table = work.add(f"{name}/places", "Transpose", (table,), {"perm": perm})
        if not self.tokens:
            return table
        numbers = [work.numbers(f"number/{number}", (number,)) for number in (0, self.tokens, self.axis)]
        kept = work.add(f"{self.value}/tokens", "Slice", (self.value, *numbers))
        return work.add(name, "Concat", (kept, table), {"axis": self.axis})

    def _rows(self, work: Work) -> str:
        """(places, channels) of waves."""
        name = f"{'×'.join(map(str, self.sides))}/waves"
        parts = [self._angles(work, side) for side in (0, 1)]
        channels = len(self.waves.down)
        turned = work.add(
            f"{name}/turned", "Add",
            (work.add(f"{name}/sum", "Add", tuple(parts)), work.numbers(f"{name}/turn", self.waves.turn, "float32")),
        )  # fmt: skip
        sines = work.add(f"{name}/sines", "Sin", (turned,))
        signed = work.add(f"{name}/signed", "Mul", (sines, work.numbers(f"{name}/sign", self.waves.sign, "float32")))
        return work.shaped(f"{name}/rows", signed, (-1, channels))

    def _angles(self, work: Work, side: int) -> str:
        """(height, 1, channels) or (1, width, channels): steps times where the rows or the columns stand."""
        size, before = self.sides[side], self.grid[side]
        start, steps = self.waves.starts[side], (self.waves.down, self.waves.across)[side]
        name, now = f"{size}/angles_of_{before}_from_{start}", work.floats(work.size(size))
        places = work.floats(work.counted(size))

        def number(value: float) -> str:
            return work.numbers(f"number/{value}", (value,), "float32")

        if start == "one":
            places = work.add(f"{name}/places", "Add", (places, number(1.0)))
        elif start == "centre":
            last = work.add(f"{name}/last", "Sub", (now, number(1.0)))
            middle = work.add(f"{name}/middle", "Mul", (last, number(0.5)))
            places = work.add(f"{name}/places", "Sub", (places, middle))
        scale = work.add(f"{name}/scale", "Div", (number(float(before)), now))
        angles = work.add(name, "Mul", (places, scale))
        spread = work.shaped(
            f"{name}/{'rows' if side == 0 else 'columns'}", angles, (-1, 1, 1) if side == 0 else (1, -1, 1)
        )
        word = f"{'×'.join(map(str, self.sides))}/waves/{'down' if side == 0 else 'across'}"
        return work.add(f"{word}/angles", "Mul", (spread, work.numbers(f"{word}/steps", steps, "float32")))

    def describe(self) -> str:
        """One line for people."""
        extra = f", {self.tokens} before them kept" if self.tokens else ""
        grid, sides = ("×".join(map(str, pair)) for pair in (self.grid, self.sides))
        return f"{self.value}: waves of {grid} places computed when it runs, for {sides}{extra}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "waved",
            "layer": self.layer,
            "value": self.value,
            "axis": self.axis,
            "grid": list(self.grid),
            "sides": [*map(str, self.sides)],
            "tokens": self.tokens,
            "mixed": self.mixed,
            "what": "waves computed when it runs",
        }


def from_waves(freeing: Freeing, edit: Fold) -> Edit:
    """A table that a net computes from waves, for any map."""
    axis, grid, _, tokens = edit.arguments
    found = waved(freeing, edit)
    if found is not None:
        return found
    about = (axis, grid, tokens)
    table = numbers_of(freeing.graph, edit.value, "waves", about)
    if table is None or not derivable(freeing.graph, edit.value, "wave weights", about):
        raise freeing.refused(f"{edit.value} is computed from waves, and is more than sums of them")
    return _waved(freeing, edit, table, mixed=True)


def waved(freeing: Freeing, edit: Resample | Fold) -> Edit | None:
    """A table of waves, for any map; None for any other."""
    from ...resampling import as_map  # numpy, which a trace does without
    from ...waves import told

    axis, grid, _, tokens = edit.arguments
    table = numbers_of(freeing.graph, _value(edit))
    waves = as_map(table, axis, grid, tokens) if table is not None else None
    if waves is None or told(waves) is None:
        return None
    return _waved(freeing, edit, waves, mixed=False)


def _value(edit: Resample | Fold) -> str:
    return edit.param if isinstance(edit, Resample) else edit.value


def _waved(freeing: Freeing, edit: Resample | Fold, table: Any, *, mixed: bool) -> Edit:
    axis, grid, _, tokens = edit.arguments
    shape, sides = freeing.table(_value(edit)), freeing.grids(edit, lambda made: made.arguments[2], grid)
    return Waved(edit.layer, _value(edit), axis, shape, grid, sides, tokens, _waves(table, mixed), mixed)


def _waves(table: Any, mixed: bool) -> Waves:
    """The waves of (height, width, channels), and behind them a 1, the sine of a quarter turn, where they are mixed."""
    from ...waves import KINDS, told  # numpy, which a trace does without

    found = told(table)
    assert found is not None  # `waved`
    rows = {
        channel: (step * (side == 0), step * (side == 1), pi / 2 * (kind is KINDS[1]), sign)
        for side, axis in enumerate(found)
        for channel, (sign, kind, step) in zip(axis.channels, axis.waves, strict=True)
    }
    columns = [rows[channel] for channel in range(table.shape[2])] + [(0.0, 0.0, pi / 2, 1.0)] * mixed
    down, across, turn, sign = zip(*columns, strict=True)
    return Waves(down, across, turn, sign, (found[0].start, found[1].start))
