"""Holds the closed form of sizes against tracing one size at a time; run it over files, folders, or the zoo.

    python tests/tools/check_sizes.py [--into sizes.jsonl] [--squares 1024] [--grid 200] [--seconds 60] [PATH ...]

Squares: every one from 1. Rectangles: of a grid of that many heights and widths around the native size, all where
tracing them takes no longer than ``--seconds`` a definition, else as many, at random, half of them among those said to
fit; the line says how many. With ``--into`` every part is a line of JSON there, and what is there is not done again:
stop it and start it as you like. Quick definitions come first. Exits 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy

import shapecalc
from shapecalc.definition import Definition
from shapecalc.dims import Expr
from shapecalc.literal import AXIS_NAMES, Spec
from shapecalc.model import Model
from shapecalc.sizes.found import native_size
from shapecalc.trace import first_input, trace
from shapecalc.zoo import entries

#: Squares in one line of JSON.
PART = 128
#: Rectangles traced at least, however long they take.
FEWEST = 400
#: What definitions leave to their data, tried in turn where they ask for it.
ASKED_FOR = (None, "3x227x227", "1x28x28", "2x28x28")


def traced_one(model: Definition, height: int, width: int, dialect: str | None = None, input: Spec = None) -> bool:  # noqa: A002
    """Whether one size fits when it is traced by itself, with a batch of one where it is free."""
    given = first_input(model.graph)
    assert given is not None
    layout = AXIS_NAMES[given.layout]
    feeds = {n: tuple(1 if isinstance(d, Expr) else d for d in s) for n, s in model.feeds(input).items()}
    told = model.told(feeds)
    shape = list(feeds[given.name])
    shape[layout.index("H")], shape[layout.index("W")] = height, width
    sized, wanted = told.sized()
    return trace(told.graph, {**feeds, given.name: tuple(shape)}, dialect=dialect, sized=sized, wanted=wanted).ok


def differing(
    model: Model,
    squares: Iterable[int],
    rectangles: Iterable[tuple[int, int]],
    dialect: str | None = None,
    input: Spec = None,  # noqa: A002
) -> list[object]:
    """Squares and (height, width) for which the closed form says something else than their trace."""
    sizes = model.sizes(dialect=dialect, input=input)
    one = cache(lambda height, width: traced_one(model, height, width, dialect, input))
    pairs = list(rectangles)
    wrong: list[object] = [n for n in squares if (n in sizes) != one(n, n)]
    if pairs:
        heights, widths = (numpy.array(axis) for axis in zip(*pairs, strict=True))
        said = sizes.fits(heights, widths)
        wrong += [pair for pair, fits in zip(pairs, said, strict=True) if bool(fits) != one(*pair)]
    return wrong


# -- many files --------------------------------------------------------------------------------------------------------


class Asked:
    """A definition, what it is asked with, and how many seconds one trace takes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model = shapecalc.load(name)
        self.input = self._accepted()
        self.sizes = self.model.sizes(input=self.input)
        self.native = native_size(self.model) or (224, 224)
        traced_one(self.model, *self.native, None, self.input)
        begun = time.perf_counter()
        for size in (self.native[0], self.native[0] // 2 + 1, self.native[0] + 9):
            traced_one(self.model, size, size, None, self.input)
        self.cost = (time.perf_counter() - begun) / 3

    def _accepted(self) -> Spec:
        """The first of the usual inputs that says all the definition leaves open."""
        for tried in ASKED_FOR:
            try:
                self.model.feeds(tried)
                return tried
            except shapecalc.UsageError:
                continue
        return None

    def rectangles(self, grid: int, seconds: float) -> list[tuple[int, int]]:
        """The rectangles to trace; see the module."""
        axes = [range(max(1, n - grid // 2), max(1, n - grid // 2) + grid) for n in self.native]
        pairs = [(h, w) for h in axes[0] for w in axes[1]]
        count = max(FEWEST, int(seconds / self.cost))
        if count >= len(pairs):
            return pairs
        said = self.sizes.fits(numpy.array(axes[0])[:, None], numpy.array(axes[1])[None, :]).ravel()
        fitting = [pair for pair, fits in zip(pairs, said, strict=True) if fits]
        chosen = random.Random(0)
        half = chosen.sample(fitting, min(len(fitting), count // 2))
        return [*half, *chosen.sample(pairs, count - len(half))]


def parts(asked: Asked, squares: int, grid: int, seconds: float) -> Iterator[tuple[str, list[int], Any]]:
    """(name of a part, squares, rectangles)."""
    for first in range(1, squares + 1, PART):
        last = min(first + PART - 1, squares)
        yield f"squares {first} to {last}", list(range(first, last + 1)), []
    if grid:
        yield f"rectangles of {grid}x{grid}", [], asked.rectangles(grid, seconds)


def named(paths: list[str]) -> list[str]:
    """Files, the files of folders, or the zoo."""
    found = [[str(f) for f in sorted(Path(p).rglob("*")) if f.is_file()] if Path(p).is_dir() else [p] for p in paths]
    return [name for names in found for name in names] if paths else sorted(entries())


def opened(names: Iterable[str]) -> Iterator[Asked]:
    """The definitions that can be asked, quick ones first; says why the others cannot."""
    found = []
    for name in names:
        try:
            found.append(Asked(name))
        except shapecalc.ShapecalcError as error:
            print(f"{Path(name).name}: not asked ({str(error).splitlines()[0][:90]})", flush=True)
    return iter(sorted(found, key=lambda asked: asked.cost))


def main() -> int:
    """Checks what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--squares", type=int, default=1024)
    parser.add_argument("--grid", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("paths", nargs="*")
    options = parser.parse_args()
    done = options.into.read_text().splitlines() if options.into and options.into.exists() else []
    rows = {(row["definition"], row["part"]): row for row in map(json.loads, done)}
    for asked in opened(named(options.paths)):
        for part, squares, pairs in parts(asked, options.squares, options.grid, options.seconds):
            key = (asked.name, part)
            if key in rows:
                continue
            wrong = differing(asked.model, squares, pairs, input=asked.input)
            rows[key] = {"definition": key[0], "part": part, "traced": len(squares) + len(pairs), "wrong": wrong}
            if options.into:
                with options.into.open("a") as file:
                    file.write(json.dumps(rows[key]) + "\n")
            if wrong or not squares:
                print(f"{Path(key[0]).name}: {part}, {rows[key]['traced']} traced, {wrong[:5] or 'equal'}", flush=True)
    failed = sum(len(row["wrong"]) for row in rows.values())
    print(f"{sum(row['traced'] for row in rows.values())} compared, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
