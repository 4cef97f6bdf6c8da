"""A dimension at every height and width at once: what the rules are given instead of a number.

`Sweep.height` and `Sweep.width` go into a trace in the place of two numbers; ``+ - * // min max`` and comparisons give
`Every` again, so the rules run unchanged and say what they say about each size. A dimension of one axis is a
`Line`. One of both is kept as a sum of products of a line of the height and one of the width where it is that, else as
the operation that made it; on the diagonal, where height = width, it is a line as well. Constants become plain ints.

A rule that has to know whether something holds (``if verdict``) makes the sweep take sides: it is traced once for each,
and each counts where it holds (`Sweep.decide`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from ..dims import Dim, Expr, Unknown
from . import line as lines
from .line import Line
from .quotient import divide

HEIGHT, WIDTH, BOTH = 1, 2, 3

_LINES: dict[str, Callable[[Line, Line], Line]] = {
    "+": lines.add,
    "-": lines.subtract,
    "*": lines.multiply,
    "//": divide,
    "min": lambda a, b: lines.extreme("min", a, b),
    "max": lambda a, b: lines.extreme("max", a, b),
    "==": lambda a, b: lines.compare("==", a, b),
    ">=": lambda a, b: lines.compare(">=", a, b),
    "<": lambda a, b: lines.compare("<", a, b),
    "|": lambda a, b: lines.extreme("max", a, b),
    "&": lines.both,
}
_ARRAYS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": lambda x, y: numpy.where(y == 0, 0, x // numpy.where(y == 0, 1, y)),
    "min": numpy.minimum,
    "max": numpy.maximum,
    "==": lambda x, y: (x == y) * 1,
    ">=": lambda x, y: (x >= y) * 1,
    "<": lambda x, y: (x < y) * 1,
    "|": numpy.maximum,
    "&": operator.mul,
}
_PYTHON: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    ">=": operator.ge,
    "<": operator.lt,
    "|": lambda x, y: bool(x or y),
    "&": lambda x, y: bool(x and y),
}
#: Results that are verdicts: a constant one is True or False.
VERDICTS = frozenset(_PYTHON)
_FREE = Unknown("a size that only running tells, beside one that is free")

Terms = dict[int, tuple[Dim, Dim]]  # key of the width's line -> (line of the height or number, line of the width or 1)


class Every:
    """A dimension, or a verdict (1 and 0), at every height and width."""

    __slots__ = ("axes", "key", "line", "made", "sweep", "terms")

    def __init__(
        self, sweep: Sweep, axes: int, line: Line, terms: Terms | None = None, made: tuple[str, Dim, Dim] | None = None
    ) -> None:
        self.sweep = sweep
        self.axes = axes
        self.line = line  # of its axis; of both: on the diagonal
        self.terms = terms
        self.made = made
        self.key = len(sweep.known) + 1

    # -- arithmetic ---------------------------------------------------------------------------------------------------
    def __add__(self, other: Any) -> Any:
        return self.sweep.operate("+", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.sweep.operate("+", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.sweep.operate("-", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.sweep.operate("-", other, self)

    def __neg__(self) -> Any:
        return self.sweep.operate("*", self, -1)

    def __mul__(self, other: Any) -> Any:
        return self.sweep.operate("*", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.sweep.operate("*", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self.sweep.operate("//", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self.sweep.operate("//", other, self)

    def __mod__(self, other: Any) -> Any:
        return self - (self // other) * other

    def __rmod__(self, other: Any) -> Any:
        return other - (other // self) * self

    # -- verdicts -----------------------------------------------------------------------------------------------------
    def __eq__(self, other: object) -> Any:
        return self.sweep.operate("==", self, other)

    def __ne__(self, other: object) -> Any:
        verdict = self.sweep.operate("==", self, other)
        return verdict if verdict is NotImplemented else negated(verdict)

    def __ge__(self, other: Any) -> Any:
        return self.sweep.operate(">=", self, other)

    def __lt__(self, other: Any) -> Any:
        return self.sweep.operate("<", self, other)

    def __gt__(self, other: Any) -> Any:
        return self.sweep.operate("<", other, self)

    def __le__(self, other: Any) -> Any:
        return self.sweep.operate(">=", other, self)

    def __and__(self, other: Any) -> Any:
        return self.sweep.operate("&", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return self.sweep.operate("|", self, other)

    __ror__ = __or__

    def __bool__(self) -> bool:
        return self.sweep.decide(self)

    def __hash__(self) -> int:
        return hash(self.key)

    def any(self) -> bool:
        """Whether a verdict holds somewhere; of both axes together this is not asked, and taken as so."""
        return self.axes == BOTH or bool(self.line.head.any() or (self.line.tail is not None and self.line.tail.any()))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        kind = {numpy.minimum: "min", numpy.maximum: "max"}.get(ufunc)
        return NotImplemented if kind is None else self.sweep.operate(kind, *inputs)

    # -- values -------------------------------------------------------------------------------------------------------
    def at(self, height: Any, width: Any, memo: dict[int, Any] | None = None) -> Any:
        """Its values at arrays of heights and widths, broadcast against each other."""
        memo = {} if memo is None else memo
        found = memo.get(self.key)
        if found is None:
            found = memo[self.key] = self._at(height, width, memo)
        return found

    def _at(self, height: Any, width: Any, memo: dict[int, Any]) -> Any:
        if self.axes != BOTH:
            return self.line.at(height if self.axes == HEIGHT else width)
        if self.terms is not None:
            return sum(value_at(h, height, width, memo) * value_at(w, height, width, memo) for h, w in self.pairs)
        rule, a, b = self.made or ("+", 0, 0)  # neither a line nor a sum: an operation
        return _ARRAYS[rule](value_at(a, height, width, memo), value_at(b, height, width, memo))

    @property
    def pairs(self) -> list[tuple[Dim, Dim]]:
        """The products of its sum."""
        return list((self.terms or {}).values())

    def scaled(self, scale: float) -> Any:
        """``floor(size·scale)`` as float32 gives it: a division where the factor is a simple fraction."""
        return self.sweep.scaled(self, scale)

    def __repr__(self) -> str:
        return f"Every({'?HWB'[self.axes]}{self.key}, {self.line})"

    def __str__(self) -> str:
        return f"{'?HWB'[self.axes]}{self.key}"


def value_at(value: Dim, height: Any, width: Any, memo: dict[int, Any] | None = None) -> Any:
    """A dimension or number at arrays of heights and widths."""
    return value.at(height, width, memo) if isinstance(value, Every) else value


def negated(verdict: Any) -> Any:
    """The opposite of a verdict."""
    return (not verdict) if isinstance(verdict, bool) else 1 - verdict


class Sweep:
    """The dimensions of one trace over every size, each kept once, and the sides it took.

    ``sides`` are the answers to the questions that rules ask, in order; beyond them it takes yes first and keeps in
    ``open`` what is left to try.
    """

    def __init__(self, sides: tuple[bool, ...] = ()) -> None:
        self.known: dict[Any, Every] = {}
        self.cache: dict[tuple[str, Any, Any], Any] = {}
        self.sides = sides
        self.taken: list[bool] = []
        self.open: list[tuple[bool, ...]] = []
        self.path: Any = True
        self.height: Dim = self.of_line(HEIGHT, lines.IDENTITY)
        self.width: Dim = self.of_line(WIDTH, lines.IDENTITY)

    # -- keeping ------------------------------------------------------------------------------------------------------
    def of_line(self, axes: int, line: Line) -> Dim:
        """A dimension of one axis; a plain int where it is constant."""
        if line.constant is not None:
            return line.constant
        return self._kept((axes, line.key), lambda: Every(self, axes, line))

    def _kept(self, key: Any, make: Callable[[], Every]) -> Every:
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = make()
        return found

    def _made(self, rule: str, a: Dim, b: Dim, diagonal: Line) -> Dim:
        key = (rule, key_of(a), key_of(b))
        return self._kept(key, lambda: Every(self, BOTH, diagonal, None, (rule, a, b)))

    def _sum(self, terms: Terms, diagonal: Line) -> Dim:
        """A sum of products; what depends on one axis or none is kept as that."""
        terms = {key: (h, w) for key, (h, w) in terms.items() if not (isinstance(h, int) and h == 0)}
        if all(isinstance(w, int) for _, w in terms.values()):
            return terms[0][0] if terms else 0
        if all(isinstance(h, int) for h, _ in terms.values()):
            total: Dim = 0
            for h, w in terms.values():
                total = total + h * w
            return total
        key = ("sum", tuple(sorted((k, key_of(h)) for k, (h, _) in terms.items())))
        return self._kept(key, lambda: Every(self, BOTH, diagonal, terms))

    # -- operating ----------------------------------------------------------------------------------------------------
    def operate(self, rule: str, a: Any, b: Any) -> Any:
        """``a rule b`` at every size."""
        for side in (a, b):
            if not isinstance(side, (Every, int)):
                if isinstance(side, Unknown):
                    return side
                if isinstance(side, Expr):
                    return _FREE
                if not isinstance(side, numpy.integer):
                    return NotImplemented
        a, b = _plain(a), _plain(b)
        key = (rule, key_of(a), key_of(b))
        found = self.cache.get(key)
        if found is None:
            found = self.cache[key] = self._operated(rule, a, b)
        return found

    def _operated(self, rule: str, a: Dim, b: Dim) -> Any:
        simple = _simple(rule, a, b)
        if simple is not None:
            return simple
        axes = axes_of(a) | axes_of(b)
        line = _LINES[rule](line_of(a), line_of(b))
        found = self.of_line(axes, line) if axes != BOTH else self._joint(rule, a, b, line)
        return bool(found) if rule in VERDICTS and isinstance(found, int) else found

    def _joint(self, rule: str, a: Dim, b: Dim, line: Line) -> Any:
        """An operation on dimensions of both axes."""
        left, right = terms_of(a), terms_of(b)
        if rule in ("+", "-", "*", "&") and left is not None and right is not None:
            return self._sum(_product(left, right) if rule in "*&" else _total(left, right, rule), line)
        if rule == "|" and left is not None and right is not None:
            return a + b - a * b
        if rule == "//":
            exact = self._exact(left, b, terms_of(b))
            if exact is not None:
                return exact
        if rule == "==":
            apart = a - b
            if axes_of(apart) != BOTH:
                return apart == 0
        return self._made(rule, a, b, line)

    def _exact(self, left: Terms | None, by: Dim, right: Terms | None) -> Dim | None:
        """A quotient that comes out whole term by term, None where it does not."""
        if left is None or right is None or len(right) != 1:
            return None
        ((below, beside),) = right.values()
        total: Dim = 0
        for h, w in left.values():
            first, second = _whole(h, below), _whole(w, beside)
            if first is None or second is None:
                return None
            total = total + first * second
        return total

    def scaled(self, size: Every, scale: float) -> Any:
        """See `Every.scaled`."""
        top, bottom = scale.as_integer_ratio()
        if bottom <= 1 << 8 and 0 < top <= 1 << 8:  # sizes below 2^16: the product is exact in float32
            return size * top // bottom
        if size.axes == BOTH:
            return Unknown("a product of height and width, resized")
        count = min(lines.HORIZON, size.line.horizon or lines.HORIZON)
        found = (size.line.values(count) * scale).astype("float32") // 1
        return self.of_line(size.axes, lines.ending(found.astype("int64")))

    # -- taking sides -------------------------------------------------------------------------------------------------
    def decide(self, verdict: Every) -> bool:
        """One answer for every size that is left; where both are possible the sweep takes a side."""
        yes, no = self.path & verdict, self.path & negated(verdict)
        if not _possible(yes):
            return False
        if not _possible(no):
            return True
        place = len(self.taken)
        if place < len(self.sides):
            side = self.sides[place]
        else:
            side = True
            self.open.append((*self.taken, False))
        self.taken.append(side)
        self.path = yes if side else no
        return side


def _possible(verdict: Any) -> bool:
    return bool(verdict) if isinstance(verdict, int) else bool(verdict.any())


def _plain(value: Any) -> Dim:
    return value if isinstance(value, Every) else int(value)


def key_of(value: Dim) -> Any:
    """What tells a dimension from others."""
    return ("n", value) if isinstance(value, int) else value.key


def axes_of(value: Dim) -> int:
    """The axes a dimension depends on."""
    return value.axes if isinstance(value, Every) else 0


def line_of(value: Dim) -> Line:
    """The line of its axis, or on the diagonal."""
    return value.line if isinstance(value, Every) else lines.always(value)


def terms_of(value: Dim) -> Terms | None:
    """A dimension as a sum of products, None where it is none."""
    if not isinstance(value, Every):
        return {0: (value, 1)}
    if value.axes == HEIGHT:
        return {0: (value, 1)}
    if value.axes == WIDTH:
        factor, rest = _primitive(value)
        return {key_of(rest): (factor, rest)}
    return value.terms


def _primitive(value: Every) -> tuple[int, Every]:
    """A line of the width as a number times one whose values have no common factor."""
    factor = lines.factor_of(value.line)
    if factor <= 1:
        return 1, value
    return factor, value // factor


def _total(left: Mapping[int, tuple[Dim, Dim]], right: Mapping[int, tuple[Dim, Dim]], rule: str) -> Terms:
    total: Terms = dict(left)
    for key, (h, w) in right.items():
        before = total[key][0] if key in total else 0
        total[key] = (before + h if rule == "+" else before - h, w)
    return total


def _product(left: Terms, right: Terms) -> Terms:
    total: Terms = {}
    for h1, w1 in left.values():
        for h2, w2 in right.values():
            for key, (factor, rest) in (terms_of(w1 * w2) or {}).items():
                before = total[key][0] if key in total else 0
                total[key] = (before + h1 * h2 * factor, rest)
    return total


def _whole(top: Dim, bottom: Dim) -> Dim | None:
    """``top / bottom`` where that is whole at every size, else None."""
    if isinstance(bottom, int) and bottom == 1:
        return top
    if isinstance(bottom, int) and bottom == 0:
        return None
    quotient = top // bottom
    again = quotient * bottom
    same = again is top or (isinstance(again, int) and isinstance(top, int) and again == top)
    return quotient if same else None


def _simple(rule: str, a: Dim, b: Dim) -> Any:
    """The results that need no line."""
    if isinstance(a, int) and isinstance(b, int):
        return _PYTHON[rule](a, b) if rule in _PYTHON else None
    if a is b:
        return {"-": 0, "min": a, "max": a, "==": True, ">=": True, "<": False, "|": a, "&": a}.get(rule)
    if isinstance(b, int):
        if b == 0:
            return {"+": a, "-": a, "*": 0, "//": 0, "|": a, "&": False}.get(rule)
        if b == 1:
            return {"*": a, "//": a, "|": True, "&": a}.get(rule)
    if isinstance(a, int):
        if a == 0:
            return {"+": b, "*": 0, "|": b, "&": False}.get(rule)
        if a == 1:
            return {"*": b, "|": True, "&": b}.get(rule)
    return None
