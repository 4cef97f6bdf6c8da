"""TensorRT's optimisation profile: the smallest, best and largest shape of one range in which every size is legal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import RefusedError
from ..intervals import Interval
from ..literal import AXIS_NAMES, USUAL
from ..trace import first_input
from .bounds import native_size
from .form import Form
from .found import Sizes

if TYPE_CHECKING:
    from ..definition import Definition

#: Sizes a profile without an upper end goes up to: TensorRT plans memory for the largest.
LARGEST = 4096


def trtexec(model: Definition, sizes: Sizes) -> tuple[str, str]:
    """(options for trtexec, what they leave out), the second "" where nothing is.

    Every height and width from min to max is accepted. Raises RefusedError where none is.
    """
    given = first_input(model.graph)
    start = sizes.nearest_rectangle(*(native_size(model) or (USUAL[0], USUAL[0]))) or _first(sizes)
    if given is None or start is None:
        raise RefusedError(
            f"no size fits {model.name}",
            "E302",
            because="it takes no image" if given is None else f"its sizes are {sizes}",
            hint=f"shapecalc trace {model.typed} shows what does not fit",
        )
    heights, widths = _ranges(sizes, start)
    note = (
        "" if (len(heights), len(widths)) == (1, 1) else f"sizes with holes: {sizes}; the profile is one piece of them"
    )
    rows = [_around(heights, start[0]), _around(widths, start[1])]
    options = []
    for name, pick in (("min", 0), ("opt", 1), ("max", 2)):
        size = {"N": _declared(model, "N", 1), "C": _declared(model, "C", 3), "H": rows[0][pick], "W": rows[1][pick]}
        shape = "x".join(str(size[axis]) for axis in AXIS_NAMES[given.layout])
        options.append(f"--{name}Shapes={given.name}:{shape}")
    return " ".join(options), note


def _first(sizes: Sizes) -> tuple[int, int] | None:
    first = sizes.square.above(1)
    return None if first is None else (first, first)


def _ranges(sizes: Sizes, start: tuple[int, int]) -> tuple[list[Interval], list[Interval]]:
    """The heights and widths that go together at ``start``, as runs."""
    rows, columns = sizes.heights, sizes.widths
    if not sizes.independent:
        for coupling in sizes.couplings:
            held = [pair for pair in coupling.pairs if start[0] in pair[2] and start[1] in pair[3]]
            rows, columns = (rows & held[0][2], columns & held[0][3]) if held else (_just(start[0]), _just(start[1]))
    return rows.intervals(LARGEST), columns.intervals(LARGEST)


def _just(size: int) -> Form:
    from .form import only

    return only({size})


def _around(runs: list[Interval], size: int) -> tuple[int, int, int]:
    run = next((run for run in runs if size in run), Interval(size, size))
    return run.low, size, int(run.high or size)


def _declared(model: Definition, axis: str, otherwise: int) -> int:
    """The number of channels, or the batch, that the file says; another where it leaves it free."""
    given = first_input(model.graph)
    native = given.native if given is not None else None
    value = native[AXIS_NAMES[given.layout].index(axis)] if given is not None and native is not None else None
    return value if isinstance(value, int) else otherwise
