"""Every size a net accepts: the forward rules over all heights and widths at once, read off in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy

from ..definition import Definition
from ..dims import Dim, Expr, Unknown
from ..errors import TITLES, UsageError
from ..intervals import Interval
from ..literal import AXIS_NAMES, Spec
from ..ops import find
from ..trace import Layer, Trace, first_input, trace
from ..window import Window
from . import line as lines
from .bounds import reference
from .every import BOTH, HEIGHT, WIDTH, Every, Sweep, axes_of, line_of, value_at
from .form import EVERY, NOTHING, Form

#: Sizes iterated over, and given as intervals in JSON, when nobody says a limit.
LIMIT = 4096
#: Traces made where rules ask for answers that differ from size to size.
MOST_SIDES = 64
#: Rectangles so near are looked at one by one.
NEAR = 224
#: A map of more places is not written as every height times width that gives it.
LARGEST_MAP = 1 << 24


class Refusal(NamedTuple):
    """Sizes that a layer is the first to refuse, with the code of its problem."""

    layer: str
    code: str
    sizes: Form


class Coupling(NamedTuple):
    """A requirement on height and width together.

    ``product`` is the number that the layer's height times width must be, None for another requirement; ``pairs`` are
    the ways to write it as such a product, each with the heights and widths that give it.
    """

    layer: str
    code: str
    product: int | None
    pairs: list[tuple[int, int, Form, Form]]


class Case(NamedTuple):
    """One trace of a sweep: where it counts, what it asks, in order, and its layers."""

    path: Any
    asked: list[tuple[str, str, Any]]
    layers: list[Layer]

    def exactly(self) -> Case:
        """The same with every division asked to be whole."""
        whole = [(layer.name, "", verdict) for layer in self.layers for verdict in _whole(layer)]
        return self._replace(asked=[*self.asked, *whole])


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
            fitting, refused = _squares(cases)
            square = square & fitting
            refusals += refused
        return square, refusals

    @cached_property
    def _by_axes(self) -> tuple[Form, Form, list[Coupling], bool]:
        return _axes(self.groups)

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


def _coupled_dict(row: Coupling) -> dict[str, Any]:
    pairs = [{"map": [a, b], "height": str(h), "width": str(w)} for a, b, h, w in row.pairs]
    return {"layer": row.layer, "code": row.code, "product": row.product, "pairs": pairs}


# -- from verdicts to sets --------------------------------------------------------------------------------------------


def form_of(verdict: Any) -> Form:
    """The sizes of its axis (of both: the squares) at which a verdict holds."""
    if not isinstance(verdict, Every):
        return EVERY if verdict else NOTHING
    line = line_of(verdict)
    if line.tail is None:
        return Form(line.head.astype(bool).tobytes() + b"\0", line.threshold, line.threshold)
    values = line.values(line.threshold + line.period)
    return Form(values.astype(bool).tobytes(), line.threshold)


def _squares(cases: list[Case]) -> tuple[Form, list[Refusal]]:
    """The squares that fit in one of the cases, and who refuses the others first."""
    total, refusals = NOTHING, []
    for case in cases:
        left = form_of(case.path)
        found: dict[tuple[str, str], Form] = {}
        for layer, code, verdict in case.asked:
            held = form_of(verdict)
            gone, left = left - held, left & held
            if gone:
                found[layer, code] = found.get((layer, code), NOTHING) | gone
        refusals += [Refusal(layer, code, sizes) for (layer, code), sizes in found.items()]
        total = total | left
    return total, refusals


def _axes(groups: list[list[Case]]) -> tuple[Form, Form, list[Coupling], bool]:
    """(heights, widths, what ties them, whether the rest is a product of the two)."""
    heights = widths = EVERY
    joint: list[tuple[str, str, Every]] = []
    plain = all(len(cases) == 1 for cases in groups)
    for cases in groups:
        for layer, code, verdict in cases[0].asked if len(cases) == 1 else ():
            axes = axes_of(verdict)
            if axes == BOTH and verdict.terms is not None and len(verdict.pairs) == 1:
                rows, columns = verdict.pairs[0]  # one condition on each axis
                heights, widths = heights & form_of(rows), widths & form_of(columns)
            elif axes == BOTH:
                joint.append((layer, code, verdict))
            elif axes == WIDTH:
                widths = widths & form_of(verdict)
            else:
                heights = heights & form_of(verdict)
                widths = widths & (EVERY if axes == HEIGHT else form_of(verdict))
    couplings: dict[Any, Coupling] = {}
    for layer, code, verdict in joint:
        row = _coupling(layer, code, verdict, heights, widths)
        if row is not None and len(row.pairs) == 1:  # one way to write it: a condition on each axis
            heights, widths = row.pairs[0][2:]
        elif row is not None:
            couplings.setdefault(_identity(row), row)
    return heights, widths, list(couplings.values()), plain


def _identity(row: Coupling) -> Any:
    return (row.product, tuple((a, b, str(h), str(w)) for a, b, h, w in row.pairs)) if row.pairs else row.layer


def _coupling(layer: str, code: str, verdict: Every, heights: Form, widths: Form) -> Coupling | None:
    """A requirement on both axes in words; None where it is met wherever height and width are by themselves."""
    if verdict.terms is not None and _always(verdict, heights, widths):
        return None
    known = _as_product(verdict)
    if known is None or known[2] > LARGEST_MAP:
        return Coupling(layer, code, None, [])
    height, width, product = known
    pairs = []
    for a in (n for n in range(1, product + 1) if product % n == 0):
        rows, columns = heights & form_of(height == a), widths & form_of(width == product // a)
        if rows and columns:
            pairs.append((a, product // a, rows, columns))
    return Coupling(layer, code, product, pairs)


def _always(verdict: Every, heights: Form, widths: Form) -> bool:
    """Whether a verdict made of lines holds for all pairs of these heights and widths: one pair of each class tells."""
    rows, columns = (_samples(verdict, form, axis) for form, axis in ((heights, 0), (widths, 1)))
    if rows is None or columns is None:
        return False
    return bool(value_at(verdict, rows[:, None], columns[None, :]).all())


def _samples(verdict: Every, form: Form, place: int) -> Any:
    """A size of every class of the lines and the set; None where the lines say nothing for all sizes."""
    import math

    used = [pair[place] for pair in verdict.pairs if isinstance(pair[place], Every)]
    found = [line_of(value) for value in used]
    if any(line.tail is None or line.degree for line in found):
        return None
    threshold = max([form.threshold, *(line.threshold for line in found)])
    count = threshold + math.lcm(form.period, *(line.period for line in found))
    return numpy.array(list(form.upto(count)), "int64") if count <= 8192 else None


def _as_product(verdict: Every) -> tuple[Dim, Dim, int] | None:
    """(line of the height, line of the width, number) of a verdict that says their product is that number."""
    made = verdict.made
    if made is None:
        return None
    rule, a, b = made
    if rule == "|":  # a join: equal, or of size 1
        found = [row for row in map(_as_product, (x for x in (a, b) if isinstance(x, Every))) if row is not None]
        return max(found, key=lambda row: row[2], default=None)
    if rule != "==":
        return None
    pairs = {key_w: pair for pair in (a - b).pairs for key_w in [isinstance(pair[1], int)]} if _sums(a, b) else {}
    if set(pairs) != {True, False} or len((a - b).pairs) != 2:
        return None
    (height, width), (rest, _) = pairs[False], pairs[True]
    if not isinstance(height, Every) or not isinstance(rest, int):
        return None
    factor = lines.factor_of(height.line) or 1
    return (height // factor, width, -rest // factor) if -rest > 0 and rest % factor == 0 else None


def _sums(a: Dim, b: Dim) -> bool:
    return isinstance(a - b, Every) and (a - b).terms is not None


# -- the sweep --------------------------------------------------------------------------------------------------------


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
    found = Sizes([_cases(model, input, dialect, {})], limit or LIMIT, (dialect or model.graph.dialect,))
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
    cases = _cases(model, input, dialect, held)
    return _squares([case.exactly() for case in cases] if exact else cases)[0]


def _cases(model: Definition, input: Spec, dialect: str | None, held: Mapping[str, int]) -> list[Case]:  # noqa: A002
    """A trace of all sizes for every way in which the rules' questions can be answered."""
    todo: list[tuple[bool, ...]] = [()]
    cases: list[Case] = []
    while todo:
        if len(cases) == MOST_SIDES:
            raise UsageError(f"{model.name} asks for too many different answers to be followed for all sizes", "E207")
        sweep, found = swept(model, input, dialect, todo.pop(), held)
        cases.append(_case(sweep, found))
        todo += sweep.open
    return cases


def swept(
    model: Definition,
    spec: Spec,
    dialect: str | None = None,
    sides: tuple[bool, ...] = (),
    held: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Sweep, Trace]:
    """The trace at every height and width, but for an axis ``held``, with the sides of `Sweep.decide`."""
    feeds, given, layout = _feeds(model, spec)
    told = model.told(feeds)
    sized, wanted = told.sized()
    sweep = Sweep(sides)
    shape: list[Dim] = list(feeds[given])
    for axis, every in (("H", sweep.height), ("W", sweep.width)):
        shape[layout.index(axis)] = held.get(axis, every)
    with numpy.errstate(all="ignore"):
        fed = {**feeds, given: tuple(shape)}
        return sweep, trace(told.graph, fed, dialect=dialect, sized=sized, wanted=wanted)


def _feeds(model: Definition, spec: Spec) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """(shapes with batches of one, the image's name, its layout)."""
    given = first_input(model.graph)
    if given is None:
        raise UsageError(f"{model.name} does not say what image it takes", "E207", hint="give it with --input")
    shapes = model.feeds(spec)
    feeds = {name: tuple(1 if isinstance(d, Expr) else d for d in shape) for name, shape in shapes.items()}
    if len(feeds.get(given.name, ())) != 4:
        raise UsageError(f"{model.name} does not take images: its input {given.name!r} is no map", "E207")
    return feeds, given.name, AXIS_NAMES[given.layout]


def _case(sweep: Sweep, found: Trace) -> Case:
    asked: list[tuple[str, str, Any]] = [(row.layer, row.code, row.verdict) for row in found.conditions]
    asked += [(problem.layer, problem.code, False) for problem in found.problems]
    return Case(sweep.path, asked, found.layers)


def _whole(layer: Layer) -> Iterator[Any]:
    """Whether the divisions of a window are whole."""
    row = find(layer.op, layer.node.domain)
    if row is None or row.windows is None or layer.op in ("Resize", "Upsample") or layer.call.attr("global_pooling"):
        return
    if layer.op.startswith("Global"):
        return
    for window, size in zip(row.windows(layer.call), layer.call.spatial, strict=False):
        if isinstance(window, Window) and window.stride > 1 and not isinstance(size, Unknown):
            top = size if window.same else window.numerator(size)
            yield top % window.stride == 0


def reason(code: str) -> str:
    """A code in words."""
    return TITLES.get(code, "a division is not whole")


def native_size(model: Definition) -> tuple[int, int] | None:
    """(height, width) the definition was made for, None where it does not say."""
    given, fitting = first_input(model.graph), reference(model)
    if given is None or fitting is None:
        return None
    shape = fitting.feeds[given.name].shape
    layout = AXIS_NAMES[given.layout]
    if not isinstance(shape, tuple) or len(shape) != 4:
        return None
    height, width = shape[layout.index("H")], shape[layout.index("W")]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
