"""Bounds of symbolic dimensions, and the minima and maxima that they decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from .expressions import NOT_ASKED, Atom, Dim, Expr, Monomial, Unknown


def lower_bound(value: Expr | int) -> int | None:
    """A whole number the expression never falls below (symbols have bounds), or None."""
    if isinstance(value, int):
        return value
    if value.low is NOT_ASKED:
        value.low = _plain_bound(value)
        if value.low is None:
            relaxed = _relaxed(value)
            value.low = None if relaxed is None else lower_bound(relaxed)
    return cast("int | None", value.low)


def _plain_bound(value: Expr) -> int | None:
    """The bound from each term's own."""
    total = 0
    for monomial, coefficient in value.terms.items():
        factor = _product_bound(monomial, _least if coefficient > 0 else _most)
        if factor is None:
            return None
        total += coefficient * factor
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


def _product_bound(monomial: Monomial, bound_of: Callable[[Atom], int | None]) -> int | None:
    """The product of the atoms' bounds, None where one is open or an atom may be negative."""
    factor = 1
    for atom in monomial:
        bound, least = bound_of(atom), _least(atom)
        if bound is None or least is None or least < 0:
            return None
        factor *= bound
    return factor


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


def extreme(kind: str, a: Dim, b: Dim) -> Dim:
    """The smaller ("min") or larger ("max") of two dimensions, decided where their bounds allow it."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b) if kind == "min" else max(a, b)
    for side in (a, b):
        if isinstance(side, Unknown):
            return side
    if isinstance(a, (int, Expr)) and isinstance(b, (int, Expr)):
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
