"""Which elements each place of a resized axis is interpolated from (ONNX Resize-19)."""

from __future__ import annotations

import math
from fractions import Fraction

from ..ops import Call
from .field import Reads, UnseenError, check_period

HALF = Fraction(1, 2)
#: Neighbours that an interpolation reads: how far before and after the whole number below a coordinate.
REACH = {"linear": (0, 1), "cubic": (-1, 2)}
#: Coordinate modes -> the coordinate at the input of place ``o``, for a factor ``s`` (output over input).
COORDINATES = {
    "half_pixel": lambda o, s: (o + HALF) / s - HALF,
    "half_pixel_symmetric": lambda o, s: (o + HALF) / s - HALF,
    "pytorch_half_pixel": lambda o, s: (o + HALF) / s - HALF,
    "asymmetric": lambda o, s: Fraction(o) / s,
    "align_corners": lambda o, s: Fraction(o) / s,
}
NEAREST = {
    "round_prefer_floor": lambda x: math.ceil(x - HALF),
    "round_prefer_ceil": lambda x: math.floor(x + HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}


def stretched(call: Call, n: int, size: int) -> Reads:
    """What ``size`` places read of ``n`` elements. Raises UnseenError for a mode that is not followed."""
    mode = str(call.attr("mode", "nearest"))
    coordinates = str(call.attr("coordinate_transformation_mode", "asymmetric" if call.opset < 11 else "half_pixel"))
    if coordinates not in COORDINATES:
        raise UnseenError(f"its coordinates are {coordinates}")
    corners = coordinates == "align_corners"
    if corners and (size == 1 or n == 1):
        return Reads(((0, 0),), 1)
    factor = Fraction(size - 1, n - 1) if corners else Fraction(size, n)
    check_period(factor.numerator)
    spans = tuple(
        _span(call, mode, COORDINATES[coordinates](output, factor), factor) for output in range(factor.numerator)
    )
    return Reads(spans, factor.denominator, n)


def _span(call: Call, mode: str, x: Fraction, factor: Fraction) -> tuple[int, int]:
    """The elements read at a coordinate; one whose weight is zero is not."""
    if mode == "nearest":
        index = NEAREST[str(call.attr("nearest_mode", "floor" if call.opset < 11 else "round_prefer_floor"))](x)
        return index, index
    if mode not in REACH and mode != "bilinear":
        raise UnseenError(f"it interpolates as {mode}")
    if call.attr("antialias", 0) and factor < 1:
        reach = (1 if mode != "cubic" else 2) / factor  # the kernel widens as the map shrinks
        return math.floor(x - reach) + 1, math.ceil(x + reach) - 1
    if x.denominator == 1:
        return int(x), int(x)
    before, after = REACH.get(mode, (0, 1))
    return math.floor(x) + before, math.floor(x) + after
