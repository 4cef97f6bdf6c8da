"""A dimension as a function of one size, for every size at once: values up to a threshold, then a rule that repeats.

A `Line` is a function f of the whole numbers n = 1, 2, … that is *eventually quasi-polynomial*: there are a threshold
T, a period P and a degree d such that for each residue r the values f(T + 1 + r + P·t), t = 0, 1, 2, …, are a
polynomial of degree d in t. It is kept exactly: the values up to T as they are, each polynomial by its Newton
coefficients, that is f(T + 1 + r + P·t) = Σ tail[i, r]·C(t, i). Every operation that shape rules are made of stays
inside this class; the operations below say with which T, P and d, docs/decisions/0016-sizes-for-all-sizes.md proves it.
So nothing is sampled: d + 1 values of a residue determine its polynomial, because its degree is known beforehand.

Where a rule has no such form (float32 rounding of a size), or T or P would pass `LONGEST`, a line ends: it has a
``horizon`` and says nothing beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy

#: Values computed of one line at most.
LONGEST = 200_000
#: A line that ends is known up to here.
HORIZON = 4096
#: Larger sizes are nobody's (`shapecalc.literal`).
LARGEST = 10**9

Values = Any  # numpy array of whole numbers


class Line:
    """An eventually quasi-polynomial function of one size; see the module."""

    __slots__ = ("head", "key", "tail")

    def __init__(self, head: Values, tail: Values | None) -> None:
        self.head = head
        self.tail = tail  # (degree + 1) × period; None: nothing is known beyond the head
        shape = (len(head), 0 if tail is None else tail.shape)
        self.key = (shape, head.tobytes(), b"" if tail is None else tail.tobytes())
        if head.dtype == object or (tail is not None and tail.dtype == object):
            self.key = (shape, tuple(head), None if tail is None else tuple(tail.ravel()))

    # -- what it says -------------------------------------------------------------------------------------------------
    @property
    def threshold(self) -> int:
        """The size after which the rule repeats."""
        return len(self.head)

    @property
    def horizon(self) -> int | None:
        """The last size it speaks about; None: all."""
        return len(self.head) if self.tail is None else None

    @property
    def period(self) -> int:
        """Sizes after which the rule repeats; 1 for a line that ends."""
        return 1 if self.tail is None else int(self.tail.shape[1])

    @property
    def degree(self) -> int:
        """Degree of the polynomials."""
        return 0 if self.tail is None else int(self.tail.shape[0]) - 1

    @property
    def constant(self) -> int | None:
        """The value where it is the same at every size, else None."""
        if self.tail is None or len(self.head) or self.tail.shape != (1, 1):
            return None
        return int(self.tail[0, 0])

    def values(self, count: int) -> Values:
        """f(1), …, f(count)."""
        rest = count - len(self.head)
        if rest <= 0:
            return self.head[:count]
        if self.tail is None:
            raise IndexError(f"known up to {len(self.head)}")
        steps = numpy.arange(-(-rest // self.period))
        return numpy.concatenate([self.head, _newton(self.tail, steps[:, None]).reshape(-1)[:rest]])

    def at(self, sizes: Values) -> Values:
        """f at each of ``sizes``, an array of whole numbers from 1 (up to the horizon)."""
        sizes = numpy.asarray(sizes)
        beyond = numpy.maximum(sizes - len(self.head) - 1, 0)
        if self.tail is None:
            return self.head[numpy.minimum(sizes, len(self.head)) - 1]
        steps, residues = beyond // self.period, beyond % self.period
        repeated = _newton(self.tail[:, residues], steps)
        if not len(self.head):
            return repeated
        inside = numpy.minimum(sizes, len(self.head)) - 1
        return numpy.where(sizes <= len(self.head), self.head[inside], repeated)

    def __repr__(self) -> str:
        return f"Line(T={self.threshold}, P={self.period}, degree={self.degree})"


def _newton(tail: Values, steps: Values) -> Values:
    """Σ tail[i]·C(steps, i); for negative steps as well, where C(-t, i) = (-1)^i·C(t + i - 1, i)."""
    if len(tail) == 1:
        return tail[0] + 0 * steps
    total, factor = tail[0] + tail[1] * steps, steps
    for i in range(2, len(tail)):
        factor = factor * (steps - (i - 1)) // i
        total = total + tail[i] * factor
    return total


# -- making lines -----------------------------------------------------------------------------------------------------

IDENTITY = Line(numpy.empty(0, "int64"), numpy.array([[1], [1]]))


def always(value: int) -> Line:
    """The same value at every size."""
    dtype = "int64" if abs(value) < 1 << 62 else object
    return Line(numpy.empty(0, dtype), numpy.array([[value]], dtype))


def ending(values: Values) -> Line:
    """A line that is known up to ``len(values)``."""
    return Line(values, None)


def fitted(dense: Values, threshold: int, period: int, degree: int) -> Line:
    """The line through its first ``threshold + (degree + 1)·period`` values, in its shortest form."""
    tail = dense[threshold : threshold + (degree + 1) * period].reshape(degree + 1, period).copy()
    for i in range(1, degree + 1):
        tail[i:] = tail[i:] - tail[i - 1 : -1]
    return shortest(dense[:threshold], tail)


def shortest(head: Values, tail: Values) -> Line:
    """The same function with the smallest degree, period and threshold."""
    while len(tail) > 1 and not tail[-1].any():
        tail = tail[:-1]
    tail = _least_period(tail)
    period = tail.shape[1]
    if len(head):
        places = numpy.arange(-len(head), 0)
        backward = _newton(tail[:, places % period], places // period)
        apart = numpy.flatnonzero(backward != head)
        start = int(apart[-1]) + 1 if len(apart) else 0
        if start < len(head):
            head, tail = head[:start], moved(tail, start - len(head))
    return Line(numpy.ascontiguousarray(head), numpy.ascontiguousarray(tail))


def moved(tail: Values, places: int) -> Values:
    """The coefficients of the rule when it starts ``places`` sizes later (below 0: earlier)."""
    degree, period = len(tail) - 1, tail.shape[1]
    if degree == 0:
        return tail[:, numpy.arange(places, places + period) % period]
    at = numpy.arange(places, places + (degree + 1) * period)
    dense = _newton(tail[:, at % period], at // period).reshape(degree + 1, period)
    for i in range(1, degree + 1):
        dense[i:] = dense[i:] - dense[i - 1 : -1]
    return dense


def _least_period(tail: Values) -> Values:
    period = tail.shape[1]
    for prime in _primes(period):
        while period % prime == 0:
            shorter = _with_period(tail, period // prime)
            if shorter is None:
                break
            tail, period = shorter, period // prime
    return tail


def _with_period(tail: Values, period: int) -> Values | None:
    """The rule with a period that divides its own, None where it has no such period."""
    degree, longer = len(tail) - 1, tail.shape[1]
    count = (degree + 1) * longer
    dense = _newton(tail, numpy.arange(degree + 1)[:, None]).reshape(-1)
    shorter = dense[: (degree + 1) * period].reshape(degree + 1, period).copy()
    for i in range(1, degree + 1):
        shorter[i:] = shorter[i:] - shorter[i - 1 : -1]
    again = _newton(shorter, numpy.arange(count // period)[:, None]).reshape(-1)
    return shorter if bool((again == dense).all()) else None


@cache
def _primes(number: int) -> list[int]:
    found, factor = [], 2
    while factor * factor <= number:
        if number % factor == 0:
            found.append(factor)
            while number % factor == 0:
                number //= factor
        factor += 1
    return [*found, number] if number > 1 else found


# -- operations -------------------------------------------------------------------------------------------------------


def combined(rule: Callable[[Values, Values], Values], a: Line, b: Line, degree: int, threshold: int = 0) -> Line:
    """``rule`` on the values of two lines, for a result that is known to have this degree after this threshold."""
    threshold = max(threshold, a.threshold, b.threshold)
    period = math.lcm(a.period, b.period)
    ends = [line.threshold for line in (a, b) if line.tail is None]
    count = threshold + (degree + 1) * period
    if ends or count > LONGEST:
        count = min([*ends, *([] if ends else [HORIZON])])
        return ending(checked(rule, a.values(count), b.values(count)))
    return fitted(checked(rule, a.values(count), b.values(count)), threshold, period, degree)


def checked(rule: Callable[[Values, Values], Values], a: Values, b: Values) -> Values:
    """The rule in 64 bits where it cannot overflow, else in whole numbers of any length."""
    left, right = _largest(a), _largest(b)
    if left * right + left + right >= 1 << 62:
        a, b = a.astype(object), b.astype(object)
    found = rule(a, b)
    if found.dtype == bool:
        return found.astype("int64")
    return found.astype("int64") if found.dtype == object and _largest(found) < 1 << 62 else found


def _largest(values: Values) -> int:
    return max(abs(int(values.max())), abs(int(values.min())), 1) if len(values) else 1


def add(a: Line, b: Line) -> Line:
    """T the larger, P the least common multiple, d the larger."""
    return combined(lambda x, y: x + y, a, b, max(a.degree, b.degree))


def subtract(a: Line, b: Line) -> Line:
    """As `add`."""
    return combined(lambda x, y: x - y, a, b, max(a.degree, b.degree))


def multiply(a: Line, b: Line) -> Line:
    """Degrees add."""
    return combined(lambda x, y: x * y, a, b, a.degree + b.degree)


def both(a: Line, b: Line) -> Line:
    """1 where two verdicts hold. One that never holds beyond its threshold settles what the other leaves open there."""
    for never, other in ((a, b), (b, a)):
        count = never.threshold
        reaches = other.horizon is None or other.horizon >= count
        if never.tail is not None and not never.tail.any() and reaches:
            return shortest(never.head * other.values(count), numpy.zeros((1, 1), "int64"))
    return multiply(a, b)


def factor_of(line: Line) -> int:
    """The greatest number that divides every value; 0 for the line that is 0."""
    found = int(numpy.gcd.reduce(line.head)) if len(line.head) else 0
    return found if line.tail is None else math.gcd(found, int(numpy.gcd.reduce(line.tail.ravel())))


def stretch(line: Line, steps: int) -> Line:
    """The same line said with ``steps`` times its period."""
    period = line.period * steps
    count = line.threshold + (line.degree + 1) * period
    if steps == 1 or line.tail is None or count > LONGEST:
        return line if count <= LONGEST or line.tail is None else ending(line.values(HORIZON))
    dense = line.values(count)
    tail = dense[line.threshold :].reshape(line.degree + 1, period).copy()
    for i in range(1, line.degree + 1):
        tail[i:] = tail[i:] - tail[i - 1 : -1]
    return Line(line.head, tail)


# -- comparisons ------------------------------------------------------------------------------------------------------

_COMPARE: dict[str, Callable[[Values, Values], Values]] = {
    "==": lambda x, y: x == y,
    ">=": lambda x, y: x >= y,
    "<": lambda x, y: x < y,
}


def compare(sign: str, a: Line, b: Line) -> Line:
    """1 where the comparison holds, else 0: periodic once the difference keeps its sign in every residue."""
    settled = _settled(subtract(a, b))
    if settled is None:
        count = min([line.threshold for line in (a, b) if line.tail is None], default=HORIZON)
        return ending(checked(_COMPARE[sign], a.values(count), b.values(count)))
    return combined(_COMPARE[sign], a, b, 0, settled)


def at_least(a: Line, b: Line) -> Line:
    """1 where a >= b."""
    return compare(">=", a, b)


def extreme(kind: str, a: Line, b: Line) -> Line:
    """The smaller ("min") or larger of two, once the difference keeps its sign; see `compare`."""
    rule = numpy.minimum if kind == "min" else numpy.maximum
    settled = _settled(subtract(a, b))
    if settled is None:
        count = min([line.threshold for line in (a, b) if line.tail is None], default=HORIZON)
        return ending(rule(a.values(count), b.values(count)))
    return combined(rule, a, b, max(a.degree, b.degree), settled)


def _settled(line: Line) -> int | None:
    """A size after which the line keeps its sign in every residue; None where it ends or none was found.

    If every Newton coefficient at t is >= 0 and the first is > 0, all later values are > 0, because they are sums of
    these coefficients times binomials. Every residue comes to that, or to its mirror image, or is 0 throughout.
    """
    if line.tail is None:
        return None
    if line.degree == 1:  # straight lines keep their sign up to a number that no image comes to (INT64_MAX of a Slice)
        far = line.tail[0] + line.tail[1] * (LARGEST // line.period)
        if bool(((far > 0) & (line.tail[0] > 0) | (far < 0) & (line.tail[0] < 0)).all()):
            return line.threshold
    steps = 0
    while line.threshold + steps * line.period <= LONGEST:
        tail = moved(line.tail, steps * line.period)
        up = (tail >= 0).all(axis=0) & (tail[0] > 0)
        down = (tail <= 0).all(axis=0) & (tail[0] < 0)
        if bool((up | down | ~tail.astype(bool).any(axis=0)).all()):
            return line.threshold + steps * line.period
        steps = max(1, steps * 2)
    return None
