"""Arithmetic of one dimension: an int, an integer array, a symbolic expression, or Unknown.

Shape rules use ``+ - * // minimum maximum`` and nothing else, so one rule traces one size, a million sizes at once
(numpy arrays, broadcast) and the closed form (expressions such as ``(H - 11)//4 + 1``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from .bounds import extreme, lower_bound, maximum, minimum
from .expressions import Atom, Dim, Expr, Unknown, symbol

Shape: TypeAlias = tuple[Dim, ...]
Contents: TypeAlias = tuple[Dim, ...]
#: The answer to a comparison: decided, undecidable (None), or one answer per element of an array.
Verdict: TypeAlias = Any

__all__ = [
    "Contents",
    "Dim",
    "Expr",
    "Shape",
    "Unknown",
    "Verdict",
    "all_numbers",
    "at_least",
    "both",
    "ceil_divide",
    "equal",
    "failed",
    "is_number",
    "is_symbol",
    "joined",
    "joins",
    "maximum",
    "minimum",
    "per_item",
    "product",
    "ranges",
    "show",
    "substitute",
    "symbol",
    "symbols",
    "truncated_divide",
]


def ceil_divide(a: Dim, b: Dim) -> Dim:
    """``a / b`` rounded up, for b > 0."""
    return (a + (b - 1)) // b


def truncated_divide(a: Dim, b: Dim) -> Dim:
    """``a / b`` rounded toward zero as C++ does, for b > 0."""
    if isinstance(a, (Expr, Unknown)):
        return a // b  # a symbolic numerator is a size that fits, so it is not negative
    return maximum(a, 0) // b - maximum(-a, 0) // b


def product(dims: Iterable[Dim]) -> Dim:
    """The product of dimensions; 1 for none."""
    total = 1
    others = []
    for dim in dims:
        if isinstance(dim, int):
            total *= dim
        else:
            others.append(dim)
    if not others:
        return total
    first: Dim = others[0] if total == 1 else others[0] * total
    for dim in others[1:]:
        first = first * dim if not isinstance(dim, Unknown) else dim
    return first


def _verdict(a: Dim, b: Dim, compare: Callable[[Any, Any], Any], decide: Callable[[Any], bool | None]) -> Verdict:
    if isinstance(a, int) and isinstance(b, int):
        return bool(compare(a, b))
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return None
    if isinstance(a, Expr) or isinstance(b, Expr):
        return decide(a - b) if isinstance(a, (int, Expr)) and isinstance(b, (int, Expr)) else None
    return compare(a, b)


def equal(a: Dim, b: Dim) -> Verdict:
    """Whether two dimensions are equal; None where that depends on a free or unknown dimension."""

    def decide(difference: Any) -> bool | None:
        if isinstance(difference, int):
            return difference == 0
        lowest, highest = lower_bound(difference), lower_bound(-difference)
        apart = (lowest is not None and lowest > 0) or (highest is not None and highest > 0)
        return False if apart else None

    return _verdict(a, b, lambda x, y: x == y, decide)


def joins(a: Dim, b: Dim) -> Verdict:
    """Whether two sizes join by broadcasting: they are equal, or one is 1."""
    if (isinstance(a, int) and a == 1) or (isinstance(b, int) and b == 1):
        return True
    verdict = equal(a, b)
    if verdict is None or isinstance(verdict, bool):
        return verdict
    return verdict | (a == 1) | (b == 1)


def joined(a: Dim, b: Dim) -> Dim:
    """The size of two that join by broadcasting; of two that do not, one of them."""
    if isinstance(a, int) and isinstance(b, int):
        return b if a == 1 else a
    if isinstance(a, int) or isinstance(b, int):
        number, other = (a, b) if isinstance(a, int) else (b, a)
        return other if number == 1 else number
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return a if isinstance(a, Unknown) else b
    if isinstance(a, Expr) or isinstance(b, Expr):
        return maximum(a, b) if is_symbol(a) and is_symbol(b) else a  # either symbol may be the one that is 1
    return a if a is b else a + (a == 1) * (b - 1)  # arrays: b where a is 1


def at_least(a: Dim, b: Dim) -> Verdict:
    """Whether ``a >= b``; None where that depends on a free or unknown dimension."""

    def decide(difference: Any) -> bool | None:
        lowest, highest = lower_bound(difference), lower_bound(-difference)
        if lowest is not None and lowest >= 0:
            return True
        return False if highest is not None and highest > 0 else None

    return _verdict(a, b, lambda x, y: x >= y, decide)


def both(a: Verdict, b: Verdict) -> Verdict:
    """Conjunction of two verdicts: false if either is, undecided if neither is false and one is undecided."""
    if isinstance(a, bool) and isinstance(b, bool):
        return a and b
    if a is False or b is False:
        return False
    if a is None or b is None:
        return None
    return a & b


def failed(verdict: Verdict) -> bool:
    """Whether a verdict is a definite no (for an array: no at every element)."""
    if isinstance(verdict, bool):
        return not verdict
    if verdict is None:
        return False
    return not verdict.any()


def is_number(dim: Dim) -> bool:
    """Whether a dimension is a plain int."""
    return isinstance(dim, int)


def is_symbol(dim: Dim) -> bool:
    """Whether a dimension is a free symbol by itself."""
    return isinstance(dim, Expr) and [[atom.kind for atom in m] for m in dim.terms] == [["symbol"]]


def per_item(dim: Dim) -> int | None:
    """``k`` of a dimension that is ``k`` times one free symbol, else None."""
    if not isinstance(dim, Expr) or len(dim.terms) != 1:
        return None
    ((monomial, factor),) = dim.terms.items()
    return factor if [atom.kind for atom in monomial] == ["symbol"] else None


def all_numbers(shape: Shape | Unknown | None) -> bool:
    """Whether every dimension of a shape is a plain int."""
    return isinstance(shape, tuple) and all(isinstance(d, int) for d in shape)


def substitute(dim: Dim, bindings: Mapping[str, Dim]) -> Dim:
    """The dimension with symbols replaced by what they are bound to; unbound ones stay."""
    if not isinstance(dim, Expr):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms.items():
        total = total + product([coefficient, *(_bound(atom, bindings) for atom in monomial)])
    return total


def _bound(atom: Atom, bindings: Mapping[str, Dim]) -> Dim:
    if atom.kind == "symbol":
        return bindings.get(atom.args[0], Expr({(atom,): 1}))
    first, second = (substitute(arg, bindings) for arg in atom.args)
    if atom.kind == "//":
        return first // second
    return extreme(atom.kind, first, second)


def symbols(dim: Dim) -> set[str]:
    """The names of the free symbols in a dimension."""
    if not isinstance(dim, Expr):
        return set()
    names: set[str] = set()
    for atom in {atom for monomial in dim.terms for atom in monomial}:
        names |= {atom.args[0]} if atom.kind == "symbol" else set().union(*(symbols(arg) for arg in atom.args))
    return names


def ranges(dim: Dim) -> dict[str, tuple[int, Dim]]:
    """(lowest, highest) of the symbols in a dimension that have an upper end: counts that only running tells.

    >>> ranges(symbol("boxes[0]", 0, 100) + 1)
    {'boxes[0]': (0, 100)}
    """
    if not isinstance(dim, Expr):
        return {}
    found: dict[str, tuple[int, Dim]] = {}
    for atom in {atom for monomial in dim.terms for atom in monomial}:
        if atom.kind != "symbol":
            for arg in atom.args:
                found.update(ranges(arg))
        elif atom.args[2] is not None:
            found[atom.args[0]] = atom.args[1:]
    return found


def show(shape: Shape | Unknown | None, separator: str = "×") -> str:
    """A shape for people: ``256×6×6``; ``?`` where nothing is known."""
    if shape is None or isinstance(shape, Unknown):
        return "?"
    sums = len(shape) > 1  # N + 1 is read apart from what stands beside it
    return (
        separator.join(f"({d})" if sums and isinstance(d, Expr) and len(d.terms) > 1 else str(d) for d in shape)
        or "scalar"
    )
