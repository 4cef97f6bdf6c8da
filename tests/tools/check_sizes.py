"""Holds the closed form of sizes against tracing at each size; run it over files, folders, or the zoo.

    python tests/tools/check_sizes.py [--into sizes.jsonl] [--squares 1024] [--grid 200] [--alone 60] [PATH ...]

Squares: every one from 1, with the layer that refuses it. Rectangles: a full grid of that many heights and widths
around the native size. Both are traced with plain numbers, equal work once (`many`); ``--alone`` of them, at random,
half of them among those that fit, are traced one by one as well. With ``--into`` a definition is a line of JSON there,
and what is there is not done again: stop it and start it as you like. Exits 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy

import shapecalc
from shapecalc.definition import Definition
from shapecalc.dims import Expr
from shapecalc.literal import AXIS_NAMES, Spec
from shapecalc.model import Model
from shapecalc.sizes.bounds import native_size
from shapecalc.sizes.found import Sizes
from shapecalc.trace import first_input, trace
from shapecalc.zoo import entries

sys.path.insert(0, str(Path(__file__).parents[1]))
from tools.many import refusing

#: What definitions leave to their data, tried in turn where they ask for it.
ASKED_FOR = (None, "3x227x227", "1x28x28", "2x28x28")

Pairs = Sequence[tuple[int, int]]


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
    rectangles: Pairs,
    dialect: str | None = None,
    input: Spec = None,  # noqa: A002
    alone: int = 0,
) -> list[object]:
    """Squares and (height, width) of which the closed form says something else than their trace."""
    sizes = model.sizes(dialect=dialect, input=input)
    pairs = [*((n, n) for n in squares), *rectangles]
    refused = refusing(model, pairs, dialect, input)
    wrong = _differing(sizes, pairs, refused)
    for place in _chosen(refused, alone):
        if traced_one(model, *pairs[place], dialect, input) == bool(refused[place]):
            wrong.append((*pairs[place], "traced alone", refused[place]))
    return wrong


def _differing(sizes: Sizes, pairs: Pairs, refused: Sequence[str]) -> list[object]:
    said = sizes.fits(*(numpy.array(axis) for axis in zip(*pairs, strict=True))) if pairs else []
    wrong: list[object] = []
    for (height, width), fits, layer in zip(pairs, said, refused, strict=True):
        square = height == width
        if bool(fits) == bool(layer) or (
            square and (sizes.refused(height) != layer or (height in sizes) != bool(fits))
        ):
            wrong.append((height, width, layer))
    return wrong


def _chosen(refused: Sequence[str], count: int) -> list[int]:
    """The places of some sizes, half of them of those that fit, where there are as many."""
    chosen = random.Random(0)
    fitting = [place for place, layer in enumerate(refused) if not layer]
    half = chosen.sample(fitting, min(len(fitting), count // 2))
    return [*half, *chosen.sample(range(len(refused)), min(count - len(half), len(refused)))]


# -- many files --------------------------------------------------------------------------------------------------------


def accepted(model: Model) -> Spec:
    """The first of the usual inputs that says all a definition leaves open."""
    for tried in ASKED_FOR:
        try:
            model.feeds(tried)
            return tried
        except shapecalc.UsageError:
            continue
    return None


def around(native: tuple[int, int], grid: int) -> list[tuple[int, int]]:
    """The rectangles of a grid whose middle is the native size."""
    axes = [range(max(1, n - grid // 2), max(1, n - grid // 2) + grid) for n in native]
    return [(height, width) for height in axes[0] for width in axes[1]]


def named(paths: list[str]) -> list[str]:
    """Files, the files of folders, or the zoo."""
    found = [[str(f) for f in sorted(Path(p).rglob("*")) if f.is_file()] if Path(p).is_dir() else [p] for p in paths]
    return [name for names in found for name in names] if paths else sorted(entries())


def row_of(name: str, squares: int, grid: int, alone: int) -> dict[str, Any]:
    """A definition's line. Raises ShapecalcError where it cannot be asked."""
    model = shapecalc.load(name)
    spec = accepted(model)
    rectangles = around(native_size(model) or (224, 224), grid)
    wrong = differing(model, range(1, squares + 1), rectangles, input=spec, alone=alone)
    return {"definition": name, "squares": squares, "rectangles": len(rectangles), "alone": alone, "wrong": wrong}


def main() -> int:
    """Checks what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--squares", type=int, default=1024)
    parser.add_argument("--grid", type=int, default=200)
    parser.add_argument("--alone", type=int, default=60)
    parser.add_argument("paths", nargs="*")
    options = parser.parse_args()
    done = options.into.read_text().splitlines() if options.into and options.into.exists() else []
    rows = {row["definition"]: row for row in map(json.loads, done)}
    for name in named(options.paths):
        if name in rows:
            continue
        try:
            rows[name] = row_of(name, options.squares, options.grid, options.alone)
        except shapecalc.ShapecalcError as error:
            print(f"{Path(name).name}: not asked ({str(error).splitlines()[0][:90]})", flush=True)
            continue
        if options.into:
            with options.into.open("a") as file:
                file.write(json.dumps(rows[name]) + "\n")
        print(f"{Path(name).name}: {rows[name]['wrong'][:5] or 'equal'}", flush=True)
    failed = sum(len(row["wrong"]) for row in rows.values())
    traced = {key: sum(row[key] for row in rows.values()) for key in ("squares", "rectangles", "alone")}
    counts = ", ".join(f"{count:,} {key}" for key, count in traced.items())
    print(f"{len(rows)} definitions, {counts}: {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
