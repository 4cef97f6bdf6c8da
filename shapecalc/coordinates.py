"""Tables of how far places lie apart, from which a net computes its biases (Swin V2, Liu et al. 2022), at another size.

A row holds a·sign(d)·log(1 + b·|d|) of the rows and of the columns between two places. Either all pairs of places have
a row, or all offsets. timm's nets take a = b = 1; Swin V2 takes b = 8 / (side - 1), so that the farthest is 8, and
a = 1 / log 8; what was trained on windows of another side keeps that side's b.
"""

from __future__ import annotations

from math import log
from typing import Any, NamedTuple

import numpy
import numpy.typing

Array = numpy.typing.NDArray[Any]
Size = tuple[int, int]

#: Numbers that differ by less are the same: what float16 leaves of a distance of a few.
SAME = 2e-3
#: The farthest distance in the table of Swin V2.
FARTHEST = 8.0


class Law(NamedTuple):
    """How one axis of the table is made: ``scaled`` where b follows the side."""

    a: float
    b: float
    scaled: bool

    def at(self, side: int) -> Law:
        """The law of a map of another side."""
        return self._replace(b=FARTHEST / max(side - 1, 1)) if self.scaled else self

    def of(self, distance: Array) -> Array:
        """The numbers of distances in places."""
        return numpy.asarray(self.a * numpy.sign(distance) * numpy.log1p(self.b * numpy.abs(distance)))


class Coordinates(NamedTuple):
    """A table that was told: its laws for rows and columns, and where each of its rows is read between two places."""

    laws: tuple[Law, Law]
    pairs: Array  # (rows of the table, 2): a place that asks and a place that is asked

    def rows(self, offsets: Array, now: Size) -> Array:
        """(offsets, 2) of the table on a map of another size."""
        columns = [
            law.at(side).of(offsets[:, axis]) for axis, (law, side) in enumerate(zip(self.laws, now, strict=True))
        ]
        return numpy.stack(columns, axis=1)

    @property
    def bounded(self) -> bool:
        """Whether the table knows the side of the map it is for."""
        return any(law.scaled for law in self.laws)


def apart(size: Size) -> Array:
    """(places, places, 2): the rows and the columns from each place to each."""
    places = numpy.stack(numpy.meshgrid(*map(numpy.arange, size), indexing="ij"), axis=-1).reshape(-1, 2)
    return numpy.asarray(places[:, None] - places[None, :])


def told(table: Array, size: Size) -> Coordinates | None:
    """What the table of a map of this size is made by; None for any other table."""
    if table.shape[-1:] != (2,) or table.dtype.kind != "f":
        return None
    rows, between = table.reshape(-1, 2).astype(numpy.float64), apart(size)
    count = len(between)
    if len(rows) == count * count:
        pairs = numpy.stack(numpy.divmod(numpy.arange(count * count), count), axis=1)
    elif len(rows) == (2 * size[0] - 1) * (2 * size[1] - 1):
        which = (between[..., 0] + size[0] - 1) * (2 * size[1] - 1) + between[..., 1] + size[1] - 1
        pairs = numpy.stack(numpy.divmod(numpy.unique(which, return_index=True)[1], count), axis=1)
    else:
        return None
    offsets = between[pairs[:, 0], pairs[:, 1]]
    laws = [_law(rows[:, axis], offsets[:, axis], size[axis]) for axis in (0, 1)]
    return Coordinates((laws[0], laws[1]), pairs) if laws[0] is not None and laws[1] is not None else None


def _law(numbers: Array, distance: Array, side: int) -> Law | None:
    """The law that gives these numbers."""
    nearest = numbers[distance == 1]
    known = [Law(1.0, 1.0, False), Law(1 / log(FARTHEST), FARTHEST / max(side - 1, 1), True)]
    if len(nearest) and 0 < nearest[0] < 1:
        known.append(Law(1 / log(FARTHEST), float(FARTHEST ** nearest[0]) - 1, False))
    return next((law for law in known if numpy.abs(law.of(distance) - numbers).max() < SAME), None)
