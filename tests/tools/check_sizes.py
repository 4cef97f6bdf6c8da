"""Holds the closed form of sizes against tracing one size at a time; run it over files, or the zoo.

    python tests/tools/check_sizes.py [--squares 1024] [--grid 200] [FILE ...]

Prints one line a file with the numbers compared and those that differ, and exits 1 if any do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy

import shapecalc
from shapecalc.definition import Definition
from shapecalc.dims import Expr
from shapecalc.literal import AXIS_NAMES
from shapecalc.model import Model
from shapecalc.trace import first_input, trace
from shapecalc.zoo import entries


def traced_one(model: Definition, height: int, width: int, dialect: str | None = None) -> bool:
    """Whether one size fits when it is traced by itself, with a batch of one where it is free."""
    given = first_input(model.graph)
    assert given is not None
    layout = AXIS_NAMES[given.layout]
    feeds = {n: tuple(1 if isinstance(d, Expr) else d for d in s) for n, s in model.feeds(None).items()}
    shape = list(feeds[given.name])
    shape[layout.index("H")], shape[layout.index("W")] = height, width
    sized, wanted = model.sized()
    return trace(model.graph, {**feeds, given.name: tuple(shape)}, dialect=dialect, sized=sized, wanted=wanted).ok


def differing(
    model: Model, squares: Iterable[int], rectangles: Iterable[tuple[int, int]], dialect: str | None = None
) -> list[object]:
    """Squares and (height, width) for which the closed form says something else than their trace."""
    sizes = model.sizes(dialect=dialect)
    one = cache(lambda height, width: traced_one(model, height, width, dialect))
    pairs = list(rectangles)
    wrong: list[object] = [n for n in squares if (n in sizes) != one(n, n)]
    if pairs:
        heights, widths = (numpy.array(axis) for axis in zip(*pairs, strict=True))
        said = sizes.fits(heights, widths)
        wrong += [pair for pair, fits in zip(pairs, said, strict=True) if bool(fits) != one(*pair)]
    return wrong


def main() -> int:
    """Checks what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--squares", type=int, default=1024)
    parser.add_argument("--grid", type=int, default=200, help="rectangles: this many heights and widths, ")
    parser.add_argument("--step", type=int, default=1, help="of the grid, every so many")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    compared = failed = 0
    for name in options.files or sorted(entries()):
        try:
            model = shapecalc.load(name)
            axis = range(160, 160 + options.grid, options.step)
            pairs = [(h, w) for h in axis for w in axis]
            wrong = differing(model, range(1, options.squares + 1), pairs)
        except shapecalc.ShapecalcError as error:
            print(f"{Path(name).name}: not asked ({str(error).splitlines()[0][:80]})", flush=True)
            continue
        compared += options.squares + len(pairs)
        failed += len(wrong)
        print(
            f"{Path(name).name}: {options.squares} squares, {len(pairs)} rectangles, {wrong[:5] or 'equal'}", flush=True
        )
    print(f"{compared} compared, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
