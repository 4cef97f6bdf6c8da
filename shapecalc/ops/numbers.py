"""Elements of small tensors: whole numbers as dimensions, floats as onnxruntime rounds them, quotients of sizes.

An element of an integer or boolean tensor is a dimension. One of a float tensor is a float, a dimension (a size cast to
float) or a `Ratio`. Floats are rounded to their type after every step, so ``floor(n * scale)`` falls where the runtime
puts it; a ratio is kept exact, and becomes Unknown where rounding could move it over a whole number. Sizes stay below
2^24, so their sums and products with small numbers are exact in float32.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import dims
from ..dims import Dim, Expr, Unknown

#: An element of a tensor: Dim | float | Ratio.
Element = Any

#: What no 64-bit integer holds; also keeps repeated products of a hostile file small.
OVERFLOW = 1 << 63
#: Numerators and denominators of exact factors of a size stay below this, so products are exact in float32.
SMALL = 1 << 12

_UNCLEAR = Unknown("floats round a size here in a way that depends on the size")


class Ratio:
    """A size over a whole number above 1, as a float of a graph: ``H/2``."""

    __slots__ = ("bottom", "top")

    def __init__(self, top: Dim, bottom: int) -> None:
        self.top = top
        self.bottom = bottom

    @property
    def exact(self) -> bool:
        """Whether binary floats hold it exactly: only halves, quarters, …."""
        return self.bottom & (self.bottom - 1) == 0

    def __repr__(self) -> str:
        return f"Ratio({self.top}, {self.bottom})"


def rounded(value: float, dtype: str | None) -> float:
    """A number as its float type holds it.

    >>> rounded(0.1, "float32")
    0.10000000149011612
    """
    letter = {"float32": "<f", "float16": "<e"}.get(dtype or "")
    if letter is None:
        return float(value)
    try:
        return float(struct.unpack(letter, struct.pack(letter, value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def is_plain(value: Element) -> bool:
    """Whether an element is a Python number."""
    return isinstance(value, (int, float))


def _parts(value: Element) -> tuple[Dim, int] | None:
    """An element as (top, bottom); None for a float that is no simple fraction."""
    if isinstance(value, Ratio):
        return value.top, value.bottom
    if not isinstance(value, float):
        return value, 1
    if not math.isfinite(value):
        return None
    top, bottom = value.as_integer_ratio()
    return (top, bottom) if bottom < SMALL else None


def _ratio(top: Dim, bottom: int) -> Element:
    """``top / bottom``, simplified where the numbers show how."""
    if bottom < 0:
        top, bottom = -top, -bottom
    if isinstance(top, Expr):
        shared = math.gcd(bottom, *top.terms.values())
        top, bottom = top // shared, bottom // shared
    return top if bottom == 1 else Ratio(top, bottom)


# -- arithmetic on ratios ---------------------------------------------------------------------------------------------


def _add(a: tuple[Dim, int], b: tuple[Dim, int]) -> Element:
    common = math.lcm(a[1], b[1])
    if common > SMALL or not (Ratio(*a).exact or Ratio(*b).exact):
        return _UNCLEAR
    return _ratio(a[0] * (common // a[1]) + b[0] * (common // b[1]), common)


def _subtract(a: tuple[Dim, int], b: tuple[Dim, int]) -> Element:
    return _add(a, (-b[0], b[1]))


def _multiply(a: tuple[Dim, int], b: tuple[Dim, int]) -> Element:
    for (top, _), (_, bottom) in ((a, b), (b, a)):
        odd = bottom // (bottom & -bottom)  # what binary floats cannot divide by exactly must not cancel
        if odd > 1 and not (isinstance(top, int) and math.gcd(top, odd) == 1):
            return _UNCLEAR
    if a[1] * b[1] > SMALL or any(isinstance(top, int) and abs(top) >= SMALL for top, _ in (a, b)):
        return _UNCLEAR
    return _ratio(a[0] * b[0], a[1] * b[1])


def _divide(a: tuple[Dim, int], b: tuple[Dim, int]) -> Element:
    top, bottom = b
    if not isinstance(top, int):
        return 1.0 if a[1] == b[1] and isinstance(a[0], Expr) and a[0] == top else _UNCLEAR
    if top == 0 or abs(top) * a[1] > SMALL or (bottom > 1 and not Ratio(*a).exact):
        return _UNCLEAR
    return _ratio(a[0] * bottom, a[1] * top)


def _smaller(a: tuple[Dim, int], b: tuple[Dim, int]) -> Element:
    return _ratio(dims.minimum(a[0] * b[1], b[0] * a[1]), a[1] * b[1])


def _larger(a: tuple[Dim, int], b: tuple[Dim, int]) -> Element:
    return _ratio(dims.maximum(a[0] * b[1], b[0] * a[1]), a[1] * b[1])


def truth(verdict: Any) -> Dim:
    """A comparison as a boolean element, 0 or 1."""
    return int(verdict) if isinstance(verdict, bool) else Unknown("a comparison of free dimensions")


def _compared(compare: Callable[[Dim, Dim], Any], a: Dim, b: Dim) -> Element:
    return truth(compare(a, b))


def _ratios_compared(compare: Callable[[Dim, Dim], Any], a: tuple[Dim, int], b: tuple[Dim, int]) -> Element:
    return truth(compare(a[0] * b[1], b[0] * a[1]))


# -- operators --------------------------------------------------------------------------------------------------------


def _quotient(a: Dim, b: Dim) -> Dim:
    """Integer division as C does it: toward zero."""
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if b else Unknown("a division by 0")
    if isinstance(b, int) and b <= 0:
        return Unknown("a size divided by a number below 1")
    return _toward_zero(a, b)


def _toward_zero(a: Dim, b: Dim) -> Dim:
    """``a / b`` cut toward zero, for b > 0 and a of either sign."""
    return dims.maximum(a, 0) // b - dims.maximum(-a, 0) // b


def _remainder(a: Dim, b: Dim) -> Dim:
    return a % b if not (isinstance(b, int) and b == 0) else Unknown("a division by 0")


def _power(a: Dim, b: Dim) -> Dim:
    if not isinstance(b, int) or not 0 <= b <= 8:
        return Unknown("a power of a size")
    return dims.product([a] * b)


def _real_power(a: float, b: float) -> Element:
    """Powers whose result no library rounds in its own way."""
    exact = {0.0: lambda: 1.0, 1.0: lambda: a, 2.0: lambda: a * a, 0.5: lambda: math.sqrt(a), -1.0: lambda: 1 / a}
    return exact[b]() if b in exact else Unknown("a power that libraries round differently")


_LOGIC: dict[str, Callable[[int, int], int]] = {"And": operator.and_, "Or": operator.or_, "Xor": operator.xor}


def _logic(rule: Callable[[int, int], int], a: Dim, b: Dim) -> Dim:
    return rule(a, b) if isinstance(a, int) and isinstance(b, int) else Unknown("a condition on sizes")


_COMPARISONS: dict[str, Callable[[Dim, Dim], Any]] = {
    "Equal": dims.equal,
    "Less": lambda a, b: dims.at_least(b, a + 1),
    "Greater": lambda a, b: dims.at_least(a, b + 1),
    "LessOrEqual": lambda a, b: dims.at_least(b, a),
    "GreaterOrEqual": lambda a, b: dims.at_least(a, b),
}

#: Operators on two whole numbers (booleans are 0 and 1).
WHOLE: dict[str, Callable[[Dim, Dim], Element]] = {
    "Add": lambda a, b: a + b,
    "Sum": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": _quotient,
    "Mod": _remainder,
    "Pow": _power,
    "Min": dims.minimum,
    "Max": dims.maximum,
    **{f"{kind}{name}": partial(_logic, rule) for name, rule in _LOGIC.items() for kind in ("", "Bitwise")},
    **{name: partial(_compared, rule) for name, rule in _COMPARISONS.items()},
}
#: The same on two Python floats, before rounding to their type.
REAL: dict[str, Callable[[float, float], Element]] = {
    "Add": lambda a, b: a + b,
    "Sum": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b if b else Unknown("a division by 0"),
    "Mod": lambda a, b: math.fmod(a, b) if b else Unknown("a division by 0"),
    "Pow": _real_power,
    "Min": min,
    "Max": max,
}
_REAL_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "Equal": lambda a, b: a == b,
    "Less": lambda a, b: a < b,
    "Greater": lambda a, b: a > b,
    "LessOrEqual": lambda a, b: a <= b,
    "GreaterOrEqual": lambda a, b: a >= b,
}
_RATIOS: dict[str, Callable[[tuple[Dim, int], tuple[Dim, int]], Element]] = {
    "Add": _add,
    "Sum": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Min": _smaller,
    "Max": _larger,
    **{name: partial(_ratios_compared, rule) for name, rule in _COMPARISONS.items()},
}


def binary(op: str, a: Element, b: Element, dtype: str | None) -> Element:
    """One element of ``op`` on two elements of type ``dtype``; Unknown where it cannot be known."""
    for side in (a, b):
        if isinstance(side, Unknown):
            return side
    if not is_float(dtype):
        return bounded(WHOLE[op](a, b))
    if is_plain(a) and is_plain(b):
        if op in _REAL_COMPARISONS:
            return int(_REAL_COMPARISONS[op](a, b))
        found = REAL[op](float(a), float(b))
        return found if isinstance(found, Unknown) else rounded(found, dtype)
    left, right = _parts(a), _parts(b)
    return _RATIOS[op](left, right) if op in _RATIOS and left is not None and right is not None else _UNCLEAR


def bounded(value: Element) -> Element:
    """A whole number as a 64-bit integer holds it; Unknown where it would wrap around."""
    if isinstance(value, int) and not -OVERFLOW <= value < OVERFLOW:
        return Unknown("a number that wraps around 64 bits")
    return value


def is_float(dtype: str | None) -> bool:
    """Whether elements of this type are floats."""
    return dtype is not None and "float" in dtype


# -- one element ------------------------------------------------------------------------------------------------------


def _absolute(value: Element) -> Element:
    return abs(value) if is_plain(value) else value if isinstance(value, Ratio) else dims.maximum(value, -value)


def _negative(value: Element) -> Element:
    return Ratio(-value.top, value.bottom) if isinstance(value, Ratio) else -value


def _floor(value: Element) -> Element:
    if isinstance(value, Ratio):
        return value.top // value.bottom
    return float(math.floor(value)) if isinstance(value, float) and math.isfinite(value) else value


def _ceil(value: Element) -> Element:
    if isinstance(value, Ratio):
        return dims.ceil_divide(value.top, value.bottom)
    return float(math.ceil(value)) if isinstance(value, float) and math.isfinite(value) else value


def _to_even(value: Element) -> Element:
    """Round half to even; a ratio without halves has no such case."""
    if isinstance(value, Ratio):
        return (2 * value.top + value.bottom) // (2 * value.bottom) if value.bottom % 2 else _UNCLEAR
    return float(round(value)) if isinstance(value, float) and math.isfinite(value) else value


def _root(value: Element) -> Element:
    return math.sqrt(value) if is_plain(value) and value >= 0 else Unknown("a square root of a size")


def _not(value: Element) -> Element:
    return 1 - value


def _sign(value: Element) -> Element:
    return (value > 0) - (value < 0) if is_plain(value) else Unknown("the sign of a size")


#: Operators on one element.
UNARY: dict[str, Callable[[Element], Element]] = {
    "Abs": _absolute,
    "Ceil": _ceil,
    "Floor": _floor,
    "Neg": _negative,
    "Not": _not,
    "Round": _to_even,
    "Sign": _sign,
    "Sqrt": _root,
}


def unary(op: str, value: Element, dtype: str | None) -> Element:
    """One element of ``op``; floats are rounded to ``dtype``."""
    if isinstance(value, Unknown):
        return value
    if op == "Reciprocal":
        return binary("Div", 1.0, value, dtype)
    found = UNARY[op](value)
    return rounded(found, dtype) if isinstance(found, float) else found


# -- between types ----------------------------------------------------------------------------------------------------


def _truncated(value: Element) -> Element:
    if isinstance(value, Ratio):
        return _toward_zero(value.top, value.bottom)
    if not isinstance(value, float):
        return value
    return bounded(int(value)) if math.isfinite(value) else Unknown("a float that is no whole number")


def _as_bool(value: Element) -> Element:
    if is_plain(value):
        return int(value != 0)
    same = dims.equal(value.top if isinstance(value, Ratio) else value, 0)
    return 1 - int(same) if isinstance(same, bool) else Unknown("whether a size is 0")


def cast(value: Element, dtype: str | None) -> Element:
    """An element as another type: toward zero to integers, as in C.

    >>> cast(1.5, "int64"), cast(3, "float32"), cast(-2, "bool")
    (1, 3.0, 1)
    """
    if isinstance(value, Unknown) or dtype is None:
        return value
    if is_float(dtype):
        return rounded(value, dtype) if is_plain(value) else value
    return _as_bool(value) if dtype == "bool" else _wrapped(_truncated(value), dtype)


#: Bits of the integer types narrower than 64 that wrap.
_BITS = {"int32": 32, "int16": 16, "int8": 8, "uint32": 32, "uint16": 16, "uint8": 8}


def _wrapped(value: Element, dtype: str) -> Element:
    """Exporters cut INT64_MAX down to int32: as in C, the low bits stay."""
    bits = _BITS.get(dtype)
    if bits is None or not isinstance(value, int):
        return value
    low = value & ((1 << bits) - 1)
    return low - (1 << bits) if low >> (bits - 1) and dtype.startswith("int") else low


def scaled(size: Dim, scale: Element) -> Dim:
    """``floor(size * scale)`` as float32 gives it (Resize, Upsample).

    >>> scaled(7, 1.5)
    10
    """
    if isinstance(size, Unknown):
        return size
    if isinstance(scale, float) and not isinstance(size, (int, Expr)):
        if hasattr(size, "scaled"):  # every size at once
            return size.scaled(scale)
        return ((size * scale).astype("float32") // 1).astype("int64")  # an array: float64 holds the product exactly
    found = _floor(binary("Mul", size if isinstance(size, Expr) else float(size), scale, "float32"))
    return bounded(int(found)) if isinstance(found, float) and math.isfinite(found) else found
