"""Bounds of symbolic dimensions, and the minima and maxima that they decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from .expressions import NOT_ASKED, Atom, Dim, Expr, Monomial, Unknown


def lower_bound(value: Expr | int) -> int | None:
    """A whole number the expression never falls below (symbols have bounds), or None."""
    if isinstance(value, int):
        return value
    if value.low is NOT_ASKED:
        found = [_plain_bound(value)]
        if found[0] is None:
            found.append(_bound_of(_relaxed(value)))
        if found[0] is None or found[0] < 0:  # else it is decided
            found.append(_bound_of(_decided(value)))
        value.low = max((bound for bound in found if bound is not None), default=None)
    return cast("int | None", value.low)


def _bound_of(value: Expr | int | None) -> int | None:
    return None if value is None else lower_bound(value)


def _plain_bound(value: Expr) -> int | None:
    """The bound from each term's own."""
    total = 0
    for monomial, coefficient in value.terms.items():
        term = _term_bound(monomial, coefficient)
        if term is None:
            return None
        total += term
    return total


def _relaxed(value: Expr) -> Expr | int | None:
    """Something that is never larger, its divisions undone; None where there are none to undo.

    ``k*(a//k)`` is at least ``a - (k - 1)`` and at most ``a``: ``2*((H - 1)//2) - H + 3``, which SAME pads, is at
    least 1. ``a//12`` is ``(a//4)//3``, which is undone by halves where the expression holds ``a//4`` as well.
    """
    total: Any = 0
    found = False
    divisions = [atoms[0] for atoms in value.terms if len(atoms) == 1 and _divides(atoms[0])]
    for monomial, coefficient in value.terms.items():
        undone = _undone(monomial[0], coefficient, divisions) if monomial and monomial[0] in divisions else None
        found = found or undone is not None
        total = total + (Expr({monomial: coefficient}).reduced() if undone is None else undone)
    return total if found else None


def _decided(value: Expr) -> Expr | int | None:
    """Something shorter that is never larger; None where nothing cancels.

    One ``-min(a, b)`` is at least ``-a``: ``H - min(H, 2)``, which is left of a map that a slice cut, is at least 0.
    And ``a//k - b//k`` is at least ``(a - b)//k``.
    """
    for monomial, coefficient in value.terms.items():
        if len(monomial) == 1 and monomial[0].kind != "symbol":
            for shorter in _shorter(value, monomial[0], coefficient):
                if isinstance(shorter, int) or len(shorter.terms) < len(value.terms):
                    return shorter
    return None


def _shorter(value: Expr, atom: Atom, coefficient: int) -> Iterator[Expr | int]:
    """What is never larger than a value that has so many times this atom, without the atom."""
    if atom.kind == ("min" if coefficient < 0 else "max"):
        rest = value - Expr({(atom,): coefficient})
        for side in atom.args:
            yield rest + coefficient * side
    if coefficient < 0 or not _divides(atom):
        return
    top, bottom = atom.args
    for monomial, other in value.terms.items():
        if other == -coefficient and len(monomial) == 1 and _divides(monomial[0]) and monomial[0].args[1] == bottom:
            both = Expr({(atom,): coefficient, monomial: other})
            yield value - both + coefficient * ((top - monomial[0].args[0]) // bottom)


def _divides(atom: Atom) -> bool:
    return atom.kind == "//" and isinstance(atom.args[1], int) and atom.args[1] > 0


def _undone(atom: Atom, coefficient: int, divisions: list[Atom]) -> Any:
    """The least that ``coefficient * (a//k)`` is, written without that division; None where it does not come out whole.

    With ``a = b + o*j`` and ``k = j*m`` it is ``(b//j + o)//m``, so a division by m of something the expression holds.
    """
    top, bottom = atom.args
    rows = [(top, bottom)]  # what is divided, and by how much
    for other in divisions:
        start, step = other.args
        offset = top - start
        if bottom % step == 0 and bottom != step and isinstance(offset, int) and offset % step == 0:
            rows.insert(0, (Expr({(other,): 1}) + offset // step, bottom // step))
    for inner, by in rows:
        if coefficient % by == 0:
            return (inner - (by - 1) if coefficient > 0 else inner) * (coefficient // by)
    return None


def _term_bound(monomial: Monomial, coefficient: int) -> int | None:
    """The lower bound of a term, None where one that it needs is open or an atom may have either sign.

    An atom that is never positive, such as ``(-H)//4``, counts as minus its opposite.
    """
    negative = [atom for atom in monomial if (least := _least(atom)) is None or least < 0]
    signed = -coefficient if len(negative) % 2 else coefficient
    total = signed
    for atom in monomial:
        most = _most(atom) if atom in negative or signed < 0 else None
        if atom in negative and (most is None or most > 0):
            return None
        near, far = (most, _least(atom)) if atom in negative else (_least(atom), most)
        bound = near if signed > 0 else far
        if bound is None:
            return None
        total *= abs(bound)
    return total


def _least(atom: Atom) -> int | None:
    """The lower bound of an atom."""
    if atom.kind == "symbol":
        return int(atom.args[1])
    bounds = [lower_bound(arg) for arg in atom.args]
    if atom.kind == "max":
        known = [b for b in bounds if b is not None]
        return max(known) if known else None
    if atom.kind == "min":
        return None if None in bounds else min(cast(list[int], bounds))
    bottom = atom.args[1]
    return bounds[0] // bottom if isinstance(bottom, int) and bottom > 0 and bounds[0] is not None else None


def _most(atom: Atom) -> int | None:
    """The upper bound of an atom, known for symbols that have one and what is made of them."""
    if atom.kind == "symbol":
        return atom.args[2] if isinstance(atom.args[2], int) else None
    bounds = [None if (least := lower_bound(-arg)) is None else -least for arg in atom.args]
    if atom.kind == "min":
        known = [b for b in bounds if b is not None]
        return min(known) if known else None
    if atom.kind == "max":
        return None if None in bounds else max(cast(list[int], bounds))
    bottom = atom.args[1]
    return bounds[0] // bottom if isinstance(bottom, int) and bottom > 0 and bounds[0] is not None else None


def _endless(value: Expr | int) -> bool:
    """Whether it is as much as an integer tensor can hold: exporters write that for "to the end"."""
    return isinstance(value, int) and value >= (1 << 63) - 1


def extreme(kind: str, a: Dim, b: Dim) -> Dim:
    """The smaller ("min") or larger ("max") of two dimensions, decided where their bounds allow it."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b) if kind == "min" else max(a, b)
    for side in (a, b):
        if isinstance(side, Unknown):
            return side
    if isinstance(a, (int, Expr)) and isinstance(b, (int, Expr)):
        if kind == "min" and (_endless(a) or _endless(b)):
            return b if _endless(a) else a
        lowest = lower_bound(a - b)
        highest = lower_bound(b - a)
        if lowest is not None and lowest >= 0:
            return a if kind == "max" else b
        if highest is not None and highest >= 0:
            return b if kind == "max" else a
        first, second = sorted((a, b), key=str)
        return Expr({(Atom(kind, (first, second), f"{kind}({first}, {second})"),): 1})
    import numpy  # an array is involved, so numpy is loaded already

    return numpy.minimum(a, b) if kind == "min" else numpy.maximum(a, b)


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two dimensions, elementwise for arrays."""
    return extreme("min", a, b)


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two dimensions, elementwise for arrays."""
    return extreme("max", a, b)
