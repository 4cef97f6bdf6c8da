"""Which rule gives a number at every size that was looked at: a size of a value, a product of such, a share of one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import combinations
from math import prod

from ...trace import Layer
from .computed import END, HOWS, Size
from .follow import shape_of

#: A number at every size that was looked at.
Vector = tuple[int, ...]
#: What windows of a side may make of a size: names of `HOWS`, and the side.
Made = Collection[tuple[str, int]]
#: Numbers of sizes -> the first (value, axis) that has them.
Known = Mapping[Vector, tuple[str, int]]


def rules(vector: Vector, known: Known, windows: Made = ()) -> Iterator[Size]:
    """Rules that give these numbers from known sizes, the simplest first.

    One size, two multiplied, a share, with a few tokens more; what ``windows`` make of one.
    """
    if len(set(vector)) == 1:
        yield Size(plus=vector[0])
    if vector in known:
        yield Size((known[vector],))
    moving = {v: factor for v, factor in known.items() if len(set(v)) > 1}
    alone, pairs = [(one,) for one in moving], combinations(moving, 2)
    yield from _shares(vector, moving, alone)
    yield from _windowed(vector, moving, windows)  # before a size that is near by chance
    yield from _gaps(vector, moving, alone)
    for pair in pairs:
        yield from _shares(vector, moving, [pair])
        yield from _gaps(vector, moving, [pair])


def shared(vector: Vector, moving: Known) -> Iterator[Size]:
    """The rules that give these numbers as one of some sizes, or as a share of one."""
    yield from _shares(vector, moving, [(one,) for one in moving] if len(set(vector)) > 1 else [])


def _shares(vector: Vector, moving: Known, groups: Iterable[tuple[Vector, ...]]) -> Iterator[Size]:
    for vectors in groups:
        products = map(prod, zip(*vectors, strict=True))
        shares = {Fraction(number, product) for number, product in zip(vector, products, strict=True) if product}
        if len(shares) == 1:
            share = shares.pop()
            yield Size(tuple(moving[each] for each in vectors), share.numerator, share.denominator)


def _gaps(vector: Vector, moving: Known, groups: Iterable[tuple[Vector, ...]]) -> Iterator[Size]:
    for vectors in groups:
        products = map(prod, zip(*vectors, strict=True))
        gaps = {number - product for number, product in zip(vector, products, strict=True)}
        if len(gaps) == 1:
            yield Size(tuple(moving[each] for each in vectors), plus=gaps.pop())


def _windowed(vector: Vector, moving: Known, windows: Made) -> Iterator[Size]:
    for numbers, factor in moving.items():
        for how, side in windows:
            if vector == tuple(HOWS[how].of(n, side) for n in numbers):
                yield Size((factor,), how=how, by=side)


def from_the_end(vector: Vector, layers: list[Layer], place: int) -> Size | None:
    """A number of a slice that lies as far from the end of its axis at every size; None for any other."""
    axes = layers[0].call.inputs[3].contents if layers[0].call.has(3) and layers[0].call.inputs[3] is not None else None
    axis = int(axes[place]) if axes is not None else place
    shapes = [shape_of(layer) for layer in layers]
    known = [shape[axis] for shape in shapes if shape is not None]
    gaps = {number - side for number, side in zip(vector, known, strict=False)} if len(known) == len(shapes) else set()
    gap = gaps.pop() if len(gaps) == 1 and len(set(vector)) > 1 else 1
    return None if gap > 0 else Size(plus=gap or END)
