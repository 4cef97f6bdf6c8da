"""Python's own arithmetic, comparisons and formatting on values of a definition, bounded in what they can grow to.

Sizes of traced values are expressions: they go through ``+ - * //`` and wait for the trace; what would need their
number now (a comparison, a loop) is an error that says so.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from ... import dims
from ...dims import Expr
from .text import Site
from .use import describe
from .values import Opaque, Ratio, Value, Variable

#: Numbers beyond this are no size of anything.
LARGEST_NUMBER = 1 << 63
#: Longer texts and lists are not part of a definition.
LONGEST_TEXT = 4096
LONGEST_LIST = 100_000
#: An expression of sizes longer than this is not one a person wrote.
LONGEST_SIZE = 2000

_NUMBERS = (bool, int, float)
_SIMPLE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: lambda a, b: a * 2**b,
    ast.RShift: lambda a, b: a // 2**b,
}
#: A width or precision in a format that would make a long text: ``%1000000d``, ``{:>99999}``, ``%*d``.
_WIDE = re.compile(r"%[^a-zA-Z%]*(\d{4,}|\*)|\{[^{}]*:[^{}]*\d{4,}")


def weigh(value: Value, site: Site, budget: list[int] | None = None) -> None:
    """Refuses values of too many parts: comparing or printing nested lists can take longer than anybody waits."""
    budget = [LONGEST_LIST] if budget is None else budget
    budget[0] -= 1
    if budget[0] < 0:
        raise site.error("a value of too many parts")
    if isinstance(value, (list, tuple, set)):
        for item in value:
            weigh(item, site, budget)
    elif isinstance(value, dict):
        for item in value.values():
            weigh(item, site, budget)


def calculate(kind: type[ast.operator], left: Value, right: Value, site: Site) -> Value:
    """``left <kind> right`` for anything but values of the graph."""
    if isinstance(left, Opaque) or isinstance(right, Opaque):
        return Opaque(site.quote(), site)
    if any(isinstance(side, (Expr, Ratio)) for side in (left, right)):
        return _of_sizes(kind, left, right, site)
    rule = _SIMPLE.get(kind)
    if rule is None:
        raise site.error(f"{site.quote()} is not supported")
    _bounded(kind, left, right, site)
    try:
        return checked(rule(left, right), site)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise site.error(f"{site.quote()}: {error}") from None


def _bounded(kind: type[ast.operator], left: Value, right: Value, site: Site) -> None:
    """Refuses what would take long or much memory before it is done."""
    if kind in (ast.Pow, ast.LShift, ast.RShift) and not (
        isinstance(right, _NUMBERS) and abs(right) <= 64 and isinstance(left, _NUMBERS) and abs(left) <= LARGEST_NUMBER
    ):
        raise site.error(f"{site.quote()} is too large a number")
    if kind is ast.Mult:
        for sequence, times in ((left, right), (right, left)):
            if isinstance(sequence, (str, list, tuple)) and isinstance(times, int):
                _fits(len(sequence) * max(times, 0), isinstance(sequence, str), site)
    if kind is ast.Add and isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
        _fits(len(left) + len(right), isinstance(left, str), site)
    if kind is ast.Mod and isinstance(left, str):
        check_format(left, right, site)


def _fits(length: int, text: bool, site: Site) -> None:
    if length > (LONGEST_TEXT if text else LONGEST_LIST):
        raise site.error(f"{site.quote()} is {length} long, too much for a definition")


def check_format(pattern: str, value: Value, site: Site) -> None:
    """Refuses a format whose result would be long."""
    if _WIDE.search(pattern):
        raise site.error(f"{site.quote()} is too wide a format")
    weigh(value, site)


def checked(value: Value, site: Site) -> Value:
    """A result that is not too large a number or too long a text."""
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        raise site.error(f"{site.quote()} is too large a number")
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise site.error(f"{site.quote()} is too long a text")
    if isinstance(value, complex):
        raise site.error(f"{site.quote()} is a complex number")
    return value


_SIZES: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Div: Ratio,
}


def _of_sizes(kind: type[ast.operator], left: Value, right: Value, site: Site) -> Value:
    """Arithmetic with a size that is known when an input is; a true division waits for its rounding."""
    rule = _SIZES.get(kind)
    sides = [_half(side) for side in (left, right)]
    if rule is None or not all(isinstance(side, (int, Expr)) for side in sides):
        raise site.error(f"{site.quote()} depends on the size of the input in a way that is not supported")
    if isinstance(right, int) and right == 0 and kind in (ast.FloorDiv, ast.Mod, ast.Div):
        raise site.error(f"{site.quote()} divides by 0")
    result = rule(*sides)
    if isinstance(result, Expr) and len(str(result)) > LONGEST_SIZE:
        raise site.error(f"{site.quote()} is too long an expression")
    return result


def _half(value: Value) -> Value:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def floor(value: Value) -> Value:
    """``int`` of a size: sizes are not negative, so toward zero is down."""
    return value.top // value.bottom if isinstance(value, Ratio) else value


def ceil(value: Value) -> Value:
    """``math.ceil`` of a size."""
    return dims.ceil_divide(value.top, value.bottom) if isinstance(value, Ratio) else value


# -- comparisons ------------------------------------------------------------------------------------------------------

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_COMPARE_SIZES: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: dims.equal,
    ast.NotEq: lambda a, b: _negated(dims.equal(a, b)),
    ast.GtE: dims.at_least,
    ast.LtE: lambda a, b: dims.at_least(b, a),
    ast.Gt: lambda a, b: dims.at_least(a, b + 1),
    ast.Lt: lambda a, b: dims.at_least(b, a + 1),
}


def _negated(verdict: bool | None) -> bool | None:
    return None if verdict is None else not verdict


def compare(kind: type[ast.cmpop], left: Value, right: Value, site: Site) -> Value:
    """One comparison; Opaque where it depends on something that is not known."""
    if kind in (ast.Is, ast.IsNot):
        same = left is right or (isinstance(left, Opaque) and isinstance(right, Opaque) and left.name == right.name)
        return same == (kind is ast.Is)
    if kind in (ast.Eq, ast.NotEq) and (left is None or right is None):
        return (left is right) == (kind is ast.Eq)
    if isinstance(left, (Opaque, Variable)) or isinstance(right, (Opaque, Variable)):
        return Opaque(site.quote(), site)
    if isinstance(left, Expr) or isinstance(right, Expr):
        return _compare_sizes(kind, left, right, site)
    weigh([left, right], site)
    try:
        return bool(_COMPARE[kind](left, right))
    except TypeError as error:
        raise site.error(f"{site.quote()}: {error}") from None


def _compare_sizes(kind: type[ast.cmpop], left: Value, right: Value, site: Site) -> Value:
    rule = _COMPARE_SIZES.get(kind)
    numbers = isinstance(left, (int, Expr)) and isinstance(right, (int, Expr))
    verdict = rule(left, right) if rule is not None and numbers else None
    return Opaque(f"{site.quote()}{SIZED}", site) if verdict is None else verdict


#: What a name ends with that waits for the size of an input.
SIZED = ", which depends on the size of the input"


def _way_out(value: Value) -> str:
    """Of a condition that is open: what can be given, or that nothing can."""
    if isinstance(value, (Expr, Ratio)) or (isinstance(value, Opaque) and value.name.endswith(SIZED)):
        return (
            "one definition has one form here: keep the branch that holds for your images, and leave out the condition"
        )
    return "give what it depends on: --arg NAME=VALUE, or --phase TRAIN"


def truth(value: Value, site: Site) -> bool:
    """Whether a condition holds; raises ModelError where that is not known without running it."""
    if isinstance(value, Expr) and dims.at_least(value, 1):
        return True
    if isinstance(value, (Opaque, Expr, Ratio, Variable)):
        what = value.name if isinstance(value, Opaque) else site.quote()
        raise site.error(
            f"whether {what} holds is not known without running it",
            hint=_way_out(value),
        )
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict, set)):
        return bool(value)
    return True


def elements(value: Value, site: Site) -> list[Value]:
    """What a loop goes over."""
    if isinstance(value, (list, tuple, set, str, dict)):
        return list(value)
    raise site.error(f"{site.quote()} is {describe(value)}: what a loop goes over must be known without running it")


def index(value: Value, key: Value, site: Site) -> Value:
    """``value[key]`` of a list, tuple, text or dict."""
    try:
        if isinstance(value, (list, tuple, str, Mapping)):
            return value[key]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise site.error(f"{site.quote()}: {type(error).__name__} {error}") from None
    raise site.error(f"{site.quote()}: {describe(value)} has no parts")
