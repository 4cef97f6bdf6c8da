"""Lines divided by lines; `shapecalc.sizes.line` says what a line is, decision 16 proves the thresholds and periods."""

from __future__ import annotations

import math

import numpy

from .line import (
    HORIZON,
    LONGEST,
    Line,
    Values,
    always,
    at_least,
    checked,
    combined,
    compare,
    ending,
    factor_of,
    fitted,
    moved,
    multiply,
    shortest,
    stretch,
    subtract,
)


def divide(a: Line, b: Line) -> Line:
    """``a // b``; 0 where b is 0."""
    if b.constant is not None:
        return _divided(a, b.constant)
    if b.tail is None or a.tail is None or b.degree == 0:
        return _divided_by_few(a, b)
    return _quotient(a, b)


def _over(x: Values, y: Values) -> Values:
    safe = numpy.where(y == 0, 1, y)
    return numpy.where(y == 0, 0, x // safe)


def _divided(a: Line, by: int) -> Line:
    """By a number: a polynomial of degree d that takes whole values repeats modulo k after k·lcm(1…d) steps."""
    if by == 0:
        return always(0)
    shared = math.gcd(by, factor_of(a))
    if shared > 1:
        by //= shared
        a = ending(a.head // shared) if a.tail is None else shortest(a.head // shared, a.tail // shared)
    if by == 1:
        return a
    if a.tail is None:
        return ending(a.head // by)
    if a.degree == 0:
        steps = 1
    elif a.degree == 1:
        shared = math.gcd(by, *(int(slope) for slope in a.tail[1]))
        steps = abs(by) // shared
    else:
        steps = abs(by) * math.lcm(*range(1, a.degree + 1))
    stretched = stretch(a, steps)
    return combined(lambda x, y: x // y, stretched, always(by), a.degree)


def _divided_by_few(a: Line, b: Line) -> Line:
    """By a line that takes finitely many values in the end: the periods for each of them, together."""
    if a.tail is None or b.tail is None:
        return combined(_over, a, b, 0)
    steps = math.lcm(*(abs(int(v)) or 1 for v in set(b.tail[0].tolist()))) * math.lcm(*range(1, max(a.degree, 1) + 1))
    return combined(_over, stretch(a, steps), b, a.degree)


def _quotient(a: Line, b: Line) -> Line:
    """By a line that grows: D·a = q·b + r, r of a lower degree than b, so a // b = (q - [r/b < 0]) // D in the end."""
    a, b, given = *_without_zeros(a, b), (a, b)
    whole = _long_division(a, b)
    if whole is None:
        return _tabled(*given)
    quotient, denominator = whole
    rest = subtract(multiply(a, always(denominator)), multiply(quotient, b))
    smaller = at_least(subtract(multiply(b, b), always(1)), multiply(rest, rest))  # |r| < |b|
    below = compare("<", multiply(rest, b), always(0))
    eventually = _divided(subtract(quotient, below), denominator)
    if smaller.tail is None or eventually.tail is None or not smaller.tail.all():
        return _tabled(*given)
    threshold = max(smaller.threshold, a.threshold, b.threshold, eventually.threshold)
    if threshold > LONGEST:
        return _tabled(*given)
    head = checked(_over, *(line.values(threshold) for line in given))
    return shortest(head, moved(eventually.tail, threshold - eventually.threshold))


def _tabled(a: Line, b: Line) -> Line:
    """The quotient as far as lines go that end."""
    return ending(checked(_over, a.values(HORIZON), b.values(HORIZON)))


def _without_zeros(a: Line, b: Line) -> tuple[Line, Line]:
    """Residues where b is 0 throughout as 0 // 1, which is what `divide` gives there."""
    threshold, period = max(a.threshold, b.threshold), math.lcm(a.period, b.period)
    if threshold + period * (max(a.degree, b.degree) + 1) > LONGEST:
        return a, b
    top, bottom = (moved(stretch(x, period // x.period).tail, threshold - x.threshold) for x in (a, b))
    zero = ~bottom.astype(bool).any(axis=0)
    if not zero.any():
        return a, b
    top[:, zero], bottom[0, zero] = 0, 1
    return Line(a.values(threshold), top), Line(b.values(threshold), bottom)


def _long_division(a: Line, b: Line) -> tuple[Line, int] | None:
    """(q, D): for each residue q/D is the polynomial part of a/b; None where a leading coefficient is 0.

    All residues at once and in whole numbers: what is left of ``a`` is multiplied by the leading coefficient of ``b``
    before each step (Knuth, The Art of Computer Programming 2, 4.6.1, algorithm R).
    """
    threshold, period = max(a.threshold, b.threshold), math.lcm(a.period, b.period)
    if threshold + period * (a.degree + b.degree + 1) > LONGEST or period > 10_000:
        return None
    upper = _powers(moved(stretch(a, period // a.period).tail, threshold - a.threshold))
    lower = _powers(moved(stretch(b, period // b.period).tail, threshold - b.threshold))
    there = lower.astype(bool)
    if not there.any(axis=0).all():
        return None
    degrees = b.degree - there[::-1].argmax(axis=0)  # of b in each residue
    top, bottom = _divided_powers(upper, lower, degrees)
    top, bottom = top * math.factorial(b.degree), bottom * math.factorial(a.degree)  # as `_powers` gives them
    denominator = math.lcm(*(abs(bottom) // numpy.gcd(top, bottom)).ravel().tolist())
    if denominator > 1 << 20:
        return None
    coefficients = top * denominator // bottom
    table = [sum(row * t**i for i, row in enumerate(coefficients)) for t in range(len(coefficients))]
    dense = numpy.concatenate(table).astype("int64")
    degree = len(coefficients) - 1
    return fitted(numpy.concatenate([numpy.zeros(threshold, "int64"), dense]), threshold, period, degree), denominator


def _divided_powers(upper: Values, lower: Values, degrees: Values) -> tuple[Values, Values]:
    """The coefficients of the quotient's powers in each residue, as numerators and denominators."""
    count = max(len(upper) - int(degrees.min()), 1)
    shape = (count, upper.shape[1])
    top, bottom = numpy.zeros(shape, object), numpy.ones(shape, object)
    for degree in set(degrees.tolist()):
        places = numpy.flatnonzero(degrees == degree)
        by, rest = lower[: degree + 1, places], upper[:, places]
        scale = numpy.ones(len(places), object)
        for shift in range(len(upper) - 1 - degree, -1, -1):
            factor, scale = rest[shift + degree], scale * by[degree]
            top[shift, places], bottom[shift, places] = factor, scale
            rest = rest * by[degree]
            rest[shift : shift + degree + 1] -= factor * by
    return top, bottom


def _powers(tail: Values) -> Values:
    """Newton coefficients of each residue as coefficients of powers, times the factorial of the degree: whole."""
    degree = len(tail) - 1
    row = [math.factorial(degree)]
    rows = [row]
    for i in range(1, degree + 1):  # degree!·C(t, i) from degree!·C(t, i - 1)
        row = [(s - (i - 1) * v) // i for s, v in zip([0, *row], [*row, 0], strict=True)]
        rows.append(row)
    table = numpy.array([[*row, *[0] * (degree + 1 - len(row))] for row in rows], object)
    return table.T @ tail.astype(object)
