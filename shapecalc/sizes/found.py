"""Every size a net accepts: the forward rules over all heights and widths at once, read off in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy

from ..definition import Definition
from ..errors import TITLES, UsageError
from ..intervals import Interval
from ..literal import Spec
from .every import value_at
from .form import EVERY, Form
from .sweeps import Case, all_cases
from .verdicts import Coupling, Refusal, axes, form_of, squares

#: Sizes iterated over, and given as intervals in JSON, when nobody says a limit.
LIMIT = 4096
#: Rectangles so near are looked at one by one.
NEAR = 224


class Sizes:
    """The sizes a net accepts, for all heights and widths: in closed form, not up to a bound.

    ``square`` are the sizes N that fit as N×N, ``heights`` and ``widths`` what each axis takes by itself, ``couplings``
    what ties them together; ``(H, W) in sizes`` and ``N in sizes`` are exact for every size. Iteration, `intervals` and
    `nearest` are about squares; iteration and `intervals` end at ``limit``.

    >>> from shapecalc import load
    >>> sizes = load("alexnet").sizes()
    >>> 227 in sizes, (199, 230) in sizes, sizes.nearest(256), str(sizes)
    (True, True, 230, '199 to 230')
    """

    def __init__(self, groups: list[list[Case]], limit: int, names: tuple[str, ...] = ()) -> None:
        self.groups = groups  # every group must hold: one group a net or dialect
        self.limit = limit
        self.names = names

    # What is in closed form is found when it is asked for: `fits` does without.
    @cached_property
    def _by_squares(self) -> tuple[Form, list[Refusal]]:
        square, refusals = EVERY, []
        for cases in self.groups:
            fitting, refused = squares(cases)
            square = square & fitting
            refusals += refused
        return square, refusals

    @cached_property
    def _by_axes(self) -> tuple[Form, Form, list[Coupling], bool]:
        return axes(self.groups)

    @property
    def square(self) -> Form:
        """The sizes N that fit as N×N."""
        return self._by_squares[0]

    @property
    def refusals(self) -> list[Refusal]:
        """What each layer is the first to refuse, of squares."""
        return self._by_squares[1]

    @property
    def heights(self) -> Form:
        """The heights that go with some width: with each of `widths` where there are no couplings."""
        return self._by_axes[0]

    @property
    def widths(self) -> Form:
        """The widths that go with some height."""
        return self._by_axes[1]

    @property
    def couplings(self) -> list[Coupling]:
        """What ties height and width together."""
        return self._by_axes[2]

    @property
    def product(self) -> bool:
        """Whether all but the couplings is a condition on each axis by itself."""
        return self._by_axes[3]

    # -- squares ------------------------------------------------------------------------------------------------------
    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The square sizes up to ``limit`` as disjoint intervals."""
        return tuple(self.square.intervals(self.limit))

    def nearest(self, size: int) -> int | None:
        """The accepted square size closest to ``size``, the smaller of two equally close; None if there is none."""
        return self.square.nearest(size)

    @property
    def whole(self) -> Form:
        """The squares at which every division is whole, whether they fit or not; asked with ``exact``."""
        found = EVERY
        for layer, code, verdict in (row for cases in self.groups for case in cases for row in case.asked):
            if layer and not code:
                found = found & form_of(verdict)
        return found

    @property
    def lower(self) -> str:
        """The layer that refuses the size below the smallest, "" for none."""
        first = self.square.above(1)
        return "" if first is None else self.refused(first - 1)

    @property
    def upper(self) -> str:
        """The layer that refuses the size above the largest, "" for none."""
        last = None if self.square.endless else self.square.below(self.square.threshold)
        return "" if last is None else self.refused(last + 1)

    def refused(self, size: int) -> str:
        """The layer that is the first to refuse a square size, "" where it fits."""
        return next((row.layer for row in self.refusals if size in row.sizes), "")

    # -- rectangles ---------------------------------------------------------------------------------------------------
    def fits(self, heights: Any, widths: Any) -> Any:
        """Which of arrays of heights and widths (broadcast) fit, as booleans."""
        heights, widths = numpy.asarray(heights), numpy.asarray(widths)
        total = numpy.ones(numpy.broadcast_shapes(heights.shape, widths.shape), bool)
        for cases in self.groups:
            group = numpy.zeros(total.shape, bool)
            for case in cases:
                memo: dict[int, Any] = {}
                held = numpy.ones(total.shape, bool)
                for verdict in (case.path, *(row[2] for row in case.asked)):
                    held &= numpy.asarray(value_at(verdict, heights, widths, memo)).astype(bool)
                group |= held
            total &= group
        return total

    def nearest_rectangle(self, height: int, width: int) -> tuple[int, int] | None:
        """The accepted (height, width) closest to a wanted one, by the sum of both differences; None if there is none.

        Of requirements that tie height and width in another way than by a product, rectangles near by are looked at,
        and beyond them squares only.
        """
        if self.independent:
            found = (self.heights.nearest(height), self.widths.nearest(width))
            return None if None in found else found  # type: ignore[return-value]
        if not self.product or any(coupling.product is None for coupling in self.couplings):
            near = self._near(height, width)
            if near is not None:
                return near
        choices = [
            (h, w)
            for coupling in self.couplings
            for _, _, heights, widths in coupling.pairs
            if (h := heights.nearest(height)) is not None and (w := widths.nearest(width)) is not None
        ]
        square = [n for n in (self.nearest(height), self.nearest(width)) if n is not None]
        choices = [pair for pair in [*choices, *((n, n) for n in square)] if pair in self]
        return min(choices, key=lambda pair: abs(pair[0] - height) + abs(pair[1] - width), default=None)

    def _near(self, height: int, width: int) -> tuple[int, int] | None:
        """The nearest of the rectangles whose sides differ from these by `NEAR` together at most."""
        rows, columns = (numpy.arange(max(1, side - NEAR), side + NEAR + 1) for side in (height, width))
        apart = abs(rows - height)[:, None] + abs(columns - width)[None, :]
        reach = (apart <= NEAR) & self.fits(rows[:, None], columns[None, :])
        if not reach.any():
            return None
        row, column = numpy.unravel_index(numpy.where(reach, apart, 2 * NEAR).argmin(), reach.shape)
        return int(rows[row]), int(columns[column])

    @property
    def independent(self) -> bool:
        """Whether every height goes with every width."""
        return self.product and not self.couplings

    # -- sets ---------------------------------------------------------------------------------------------------------
    def intersect(self, other: Sizes) -> Sizes:
        """The sizes both accept."""
        return Sizes([*self.groups, *other.groups], min(self.limit, other.limit), (*self.names, *other.names))

    __and__ = intersect

    def exactly(self) -> Sizes:
        """Those of the sizes at which every division is whole, so that no pixel is dropped."""
        return Sizes([[case.exactly() for case in cases] for cases in self.groups], self.limit, self.names)

    def __contains__(self, size: object) -> bool:
        if isinstance(size, tuple) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size):
            return bool(self.fits([size[0]], [size[1]])[0])
        return size in self.square

    def __iter__(self) -> Iterator[int]:
        return self.square.upto(self.limit)

    def __bool__(self) -> bool:
        return bool(self.square)

    def __str__(self) -> str:
        return str(self.square)

    def __repr__(self) -> str:
        return f"Sizes({self.square})"

    def to_dict(self) -> dict[str, Any]:
        """The sizes as JSON prints them."""
        return {
            "schema": "shapecalc.sizes/1",
            "limit": self.limit,
            "intervals": [list(interval) for interval in self.intervals],
            "forbids_smaller": self.lower,
            "forbids_larger": self.upper,
            "square": self.square.to_dict(),
            "height": self.heights.to_dict(),
            "width": self.widths.to_dict(),
            "independent": self.independent,
            "coupled": [_coupled_dict(row) for row in self.couplings],
            "refused": [{"layer": r.layer, "code": r.code, "sizes": str(r.sizes)} for r in self.refusals],
        }


def valid_sizes(
    model: Definition,
    *,
    limit: int | None = None,
    dialect: str | None = None,
    exact: bool = False,
    input: Spec = None,  # noqa: A002
) -> Sizes:
    """Every size that the net accepts, in closed form.

    ``exact``: only sizes at which every division is whole, so that no pixel is dropped. ``input`` is what the
    definition leaves open (channels). Raises UsageError where the net takes no image, or ``limit`` is no size.
    """
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise UsageError(f"a limit of {limit!r} makes no sense", "E002", hint="a whole number, 1 or more")
    found = Sizes([all_cases(model, input, dialect, {})], limit or LIMIT, (dialect or model.graph.dialect,))
    return found.exactly() if exact else found


def beside(
    model: Definition,
    side: Mapping[str, int],
    *,
    dialect: str | None = None,
    exact: bool = False,
    input: Spec = None,  # noqa: A002
) -> Form:
    """Every width that goes with a height, or every height that goes with a width, in closed form.

    ``side`` is ``{"height": 224}`` or ``{"width": 224}``. For nets that tie the two together in a way that no list of
    rectangles says.
    """
    held = {{"height": "H", "width": "W"}[axis]: size for axis, size in side.items()}
    cases = all_cases(model, input, dialect, held)
    return squares([case.exactly() for case in cases] if exact else cases)[0]


def reason(code: str) -> str:
    """A code in words."""
    return TITLES.get(code, "a division is not whole")


def _coupled_dict(row: Coupling) -> dict[str, Any]:
    pairs = [{"map": [a, b], "height": str(h), "width": str(w)} for a, b, h, w in row.pairs]
    return {"layer": row.layer, "code": row.code, "product": row.product, "pairs": pairs}
