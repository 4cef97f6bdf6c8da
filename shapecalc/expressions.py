"""Symbolic dimensions: polynomials with integer coefficients over symbols, divisions, minima and maxima.

An expression is kept in a normal form, so equal expressions look and compare equal. A symbol stands for a whole number
of at least 1, unless it says otherwise: it is the size of something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

#: int | Expr | Unknown | a numpy integer array (numpy is never imported here, so it has no name).
Dim: TypeAlias = Any


class Unknown:
    """A dimension nobody can know before running, with the reason; arithmetic with it stays unknown."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def _stay(self, _other: object) -> Unknown:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __rfloordiv__ = _stay
    __mod__ = __rmod__ = _stay

    def __neg__(self) -> Unknown:
        return self

    def __repr__(self) -> str:
        return f"Unknown({self.reason!r})"

    def __str__(self) -> str:
        return "?"


class Atom:
    """An indivisible factor of an expression: a symbol, or a floor division, minimum or maximum of expressions."""

    __slots__ = ("args", "kind", "text")

    def __init__(self, kind: str, args: tuple[Any, ...], text: str) -> None:
        self.kind = kind  # "symbol", "//", "min" or "max"
        self.args = args
        self.text = text  # printed form; equal text means equal value, so it is also the identity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.text == other.text

    def __lt__(self, other: Atom) -> bool:
        return self.text < other.text

    def __hash__(self) -> int:
        return hash(self.text)


Monomial: TypeAlias = tuple[Atom, ...]

#: In the place of a lower bound that nobody asked for yet.
NOT_ASKED = object()


class Expr:
    """A polynomial with integer coefficients over atoms, kept in a normal form, so equal expressions compare equal."""

    __slots__ = ("low", "terms")

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.low: Any = NOT_ASKED  # the lower bound, found when it is first asked for
        self.terms = {m: c for m, c in sorted(terms.items(), key=lambda row: (-len(row[0]), row[0])) if c}

    # -- construction ---------------------------------------------------------------------------------------------
    @staticmethod
    def of(value: Expr | int) -> Expr:
        """An expression from an int or an expression."""
        return value if isinstance(value, Expr) else Expr({(): int(value)})

    def reduced(self) -> Expr | int:
        """The plain int where no atom is left."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and () in self.terms:
            return self.terms[()]
        return self

    @property
    def constant(self) -> int:
        """The term without atoms."""
        return self.terms.get((), 0)

    # -- arithmetic -----------------------------------------------------------------------------------------------
    def __add__(self, other: Any) -> Any:
        if not isinstance(other, (int, Expr)):
            return NotImplemented
        terms = dict(self.terms)
        for monomial, coefficient in Expr.of(other).terms.items():
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return Expr(terms).reduced()

    __radd__ = __add__

    def __neg__(self) -> Any:
        return self._times(-1)

    def __sub__(self, other: Any) -> Any:
        if not isinstance(other, (int, Expr)):
            return NotImplemented
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return (-self) + other

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, int):
            return self._times(other)
        if not isinstance(other, Expr):
            return NotImplemented
        terms: dict[Monomial, int] = {}
        for left, a in self.terms.items():
            for right, b in other.terms.items():
                monomial = tuple(sorted(left + right))
                terms[monomial] = terms.get(monomial, 0) + a * b
        return Expr(terms).reduced()

    __rmul__ = __mul__

    def _times(self, factor: int) -> Any:
        """A multiple: the terms stay in order."""
        if factor in (0, 1):
            return self if factor else 0
        multiple = Expr.__new__(Expr)
        multiple.low = NOT_ASKED
        multiple.terms = {m: c * factor for m, c in self.terms.items()}
        return multiple

    def __floordiv__(self, other: Any) -> Any:
        if not isinstance(other, (int, Expr)):
            return NotImplemented
        return _floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        if not isinstance(other, (int, Expr)):
            return NotImplemented
        return _floor_divide(Expr.of(other), self)

    def __mod__(self, other: Any) -> Any:
        return self - (self // other) * other

    def __rmod__(self, other: Any) -> Any:
        if not isinstance(other, (int, Expr)):
            return NotImplemented
        return Expr.of(other) % self

    # -- comparison and printing ----------------------------------------------------------------------------------
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(tuple(self.terms.items()))

    def __repr__(self) -> str:
        return f"Expr({self})"

    def __str__(self) -> str:
        return "".join(_terms_text(self.terms)) or "0"


def _terms_text(terms: Mapping[Monomial, int]) -> Iterable[str]:
    for index, (monomial, coefficient) in enumerate(terms.items()):
        size = abs(coefficient)
        factors = [atom.text for atom in monomial]
        if size != 1 or not factors:
            factors.insert(0, str(size))
        sign = "-" if coefficient < 0 else "+" if index else ""
        yield (f" {sign} " if index else sign) + "*".join(factors)


def _grouped(value: Expr | int) -> str:
    text = str(value)
    simple = isinstance(value, int) or (len(value.terms) == 1 and 1 in value.terms.values() and len(_only(value)) == 1)
    return text if simple and not text.startswith("-") else f"({text})"


def _only(value: Expr) -> Monomial:
    return next(iter(value.terms))


def symbol(name: str, low: int = 1, high: Any = None) -> Expr:
    """A free dimension called ``name``, from ``low`` to ``high`` (a dimension; None: no upper end)."""
    return Expr({(Atom("symbol", (name, low, high), name),): 1})


def _floor_divide(top: Expr, bottom: Expr | int) -> Any:
    simpler = _divide_by_number(top, bottom) if isinstance(bottom, int) else _divide_by_expression(top, bottom)
    if simpler is not None:
        return simpler
    text = f"{_grouped(top)}//{_grouped(bottom)}"
    return Expr({(Atom("//", (top, bottom), f"({text})"),): 1})


def _divide_by_number(top: Expr, bottom: int) -> Any:
    """The quotient in a simpler form, None where it is simple already."""
    if bottom == 0:
        raise ZeroDivisionError("a dimension divided by 0")
    if bottom in (1, -1):
        return bottom * top
    if bottom > 0 and top.constant % bottom and top.constant // bottom != -1:
        # the constant inside is kept in (-bottom, 0], so that equal divisions look equal
        shift = top.constant // bottom + 1
        return (top - shift * bottom) // bottom + shift
    whole = {m: c // bottom for m, c in top.terms.items() if c % bottom == 0}
    if whole:
        rest = Expr({m: c for m, c in top.terms.items() if c % bottom}).reduced()
        return Expr(whole).reduced() + rest // bottom
    nested = _nested_division(top) if bottom > 0 else None
    if nested is None:
        return None
    inner, divisor, offset = nested  # (a//b + c)//d == (a + b*c)//(b*d) for b, d > 0
    return (inner + divisor * offset) // (divisor * bottom)


def _divide_by_expression(top: Expr, bottom: Expr) -> Any:
    if top == bottom:
        return 1
    return 0 if not top.terms else _without_factor(top, bottom)


def _nested_division(top: Expr) -> tuple[Any, int, int] | None:
    """``(a, b, c)`` where ``top`` is ``a//b + c`` with an int b > 0."""
    atoms = [m for m in top.terms if m]
    if len(atoms) == 1 and len(atoms[0]) == 1 and top.terms[atoms[0]] == 1 and atoms[0][0].kind == "//":
        inner, divisor = atoms[0][0].args
        if isinstance(divisor, int) and divisor > 0:
            return inner, divisor, top.constant
    return None


def _without_factor(top: Expr, bottom: Expr) -> Any:
    """``(a*x) // (b*x) = a // b`` where bottom is one monomial whose atoms are in every term of top, else None."""
    if len(bottom.terms) != 1:
        return None
    ((monomial, coefficient),) = bottom.terms.items()
    rest: dict[Monomial, int] = {}
    for term, value in top.terms.items():
        left = list(term)
        for atom in monomial:
            if atom not in left:
                return None
            left.remove(atom)
        rest[tuple(left)] = value
    return Expr(rest).reduced() // coefficient
