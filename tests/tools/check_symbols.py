"""Expressions of a free input, with numbers put in, against the trace of those numbers: tensor by tensor.

    python -m tests.tools.check_symbols FILES… [--sizes 224,256,197x260] [--batches 1,3]

Each net's image is fed three ways: a free batch, a free height and width, both; and then as numbers. Sizes that do not
fit are left out. Of every tensor, and of the contents that are known of it:

    equal    every size is that of the numbers
    open     a size is one that only running tells, or is not known
    weaker   it is known of the numbers, and not of the free input
    unequal  a defect
"""

from __future__ import annotations

import argparse
import collections
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import shapecalc
from shapecalc import dims
from shapecalc.dims import Dim, Shape, Unknown, symbol
from shapecalc.graph import Input, Tensor
from shapecalc.trace import Trace, first_input, trace

Remark = tuple[str, str]
BATCH, HEIGHT, WIDTH = (symbol(name) for name in ("BATCH", "HEIGHT", "WIDTH"))
#: What is left free: batch, height and width.
WAYS: dict[str, tuple[bool, bool]] = {"batch": (True, False), "places": (False, True), "both": (True, True)}


def image(given: Input, batch: Dim, height: Dim, width: Dim) -> Shape | None:
    """The shape of an image of such a size; None where the input takes none."""
    declared = given.declared
    if declared is None or len(declared) != 4:
        return None
    first = given.layout.index("H")
    return (batch, *declared[1:first], height, width, *declared[first + 2 :])


def judged(free: Any, number: Any, bound: Mapping[str, Dim]) -> str:
    """The verdict on one size."""
    if isinstance(number, Unknown):
        return "open" if isinstance(free, Unknown) else "unequal"
    if isinstance(free, Unknown):
        return "weaker"
    value = dims.substitute(free, bound)
    if isinstance(value, dims.Expr) or isinstance(number, dims.Expr):
        return "open" if str(value) == str(number) or dims.equal(value, number) is not False else "unequal"
    return "equal" if value == number else "unequal"


def of_tensor(free: Tensor, number: Tensor, bound: Mapping[str, Dim]) -> str:
    """The verdict on a value: that on its worst size, or element."""
    if not isinstance(free.shape, tuple) or not isinstance(number.shape, tuple):
        same = isinstance(free.shape, tuple) == isinstance(number.shape, tuple)
        return "open" if same else "weaker" if isinstance(number.shape, tuple) else "unequal"
    if len(free.shape) != len(number.shape):
        return "unequal"
    pairs = list(zip(free.shape, number.shape, strict=True))
    verdicts = {judged(a, b, bound) for a, b in pairs}
    if free.contents is not None and number.contents is not None:
        same = len(free.contents) == len(number.contents)
        elements = zip(free.contents, number.contents, strict=False)
        verdicts |= {judged(a, b, bound) for a, b in elements if _whole(a) and _whole(b)} if same else {"unequal"}
    return next((verdict for verdict in ("unequal", "weaker", "open") if verdict in verdicts), "equal")


def _whole(element: Any) -> bool:
    return not isinstance(element, float)


def compared(free: Trace, number: Trace, bound: Mapping[str, Dim]) -> Iterator[Remark]:
    """(verdict, remark) of every tensor, and of what is said to misfit."""
    if free.problems:
        yield "unequal", f"a misfit at any size, but not at this one: {free.problems[0].message}"
    for name, tensor in free.tensors.items():
        other = number.tensors.get(name)
        verdict = of_tensor(tensor, other, bound) if other is not None else "unequal"
        yield verdict, f"{name}: {tensor} at {bound}, not {other}"


def of_net(path: Path, sizes: list[tuple[int, int]], batches: list[int]) -> Iterator[Remark]:
    """What came of one net."""
    model = shapecalc.load(path)
    given = first_input(model.graph)
    if given is None or image(given, 1, 1, 1) is None:
        yield "not asked", "it takes no image"
        return
    rest = {name: shape for name, shape in model.feeds(None).items() if name != given.name}
    fits = [(size, batch) for size in sizes for batch in batches if _trace(model, given, rest, batch, *size).ok]
    for way, (batched, placed) in WAYS.items():
        for (height, width), batch in fits if placed else fits[: len(batches)]:
            free = _trace(
                model,
                given,
                rest,
                BATCH if batched else batch,
                HEIGHT if placed else height,
                WIDTH if placed else width,
            )
            bound: dict[str, Dim] = {"BATCH": batch, "HEIGHT": height, "WIDTH": width}
            number = _trace(model, given, rest, batch, height, width)
            yield from ((verdict, f"{way}: {remark}") for verdict, remark in compared(free, number, bound))


def _trace(
    model: shapecalc.Model, given: Input, rest: Mapping[str, Shape], batch: Dim, height: Dim, width: Dim
) -> Trace:
    shape = image(given, batch, height, width)
    return trace(model.graph, {**rest, given.name: shape if shape is not None else ()})


def main() -> None:
    """Prints a line a net, what is unequal, and the sums."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("paths", nargs="+", type=Path)
    words.add_argument("--sizes", default="224,256,197x260,512,64x96")
    words.add_argument("--batches", default="1,3")
    words.add_argument("--remarks", type=int, default=3)
    asked = words.parse_args()
    pairs = [text.partition("x") for text in asked.sizes.split(",")]
    sizes = [(int(high), int(wide or high)) for high, _, wide in pairs]
    sums = collections.Counter[str]()
    for path in asked.paths:
        rows = list(of_net(path, sizes, [int(n) for n in asked.batches.split(",")]))
        counts = collections.Counter(verdict for verdict, _ in rows)
        sums.update(counts)
        print(path.stem, ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items())), flush=True)
        for kind in ("unequal", "weaker"):
            for remark in [remark for verdict, remark in rows if verdict == kind][: asked.remarks]:
                print(f"    {kind}: {remark[:400]}", flush=True)
    print(f"{len(asked.paths)} nets: " + ", ".join(f"{verdict} {count}" for verdict, count in sums.most_common()))


if __name__ == "__main__":
    main()
