"""Operators that count: ranges, running sums, the largest, the places that are not zero.

Where a count depends on the numbers it is a symbol named after the output and its axis, with the bounds that hold for
it: ``boxes[0]``, from 0 to the number of candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .. import dims
from ..dims import Contents, Dim, Unknown
from . import numbers
from .base import Call, Detail, Need, Operator, Shapes, number, register, same_shape
from .contents import MOST, whole
from .shaping import integers


def runtime_count(call: Call, output: int = 0, axis: int = 0, *, low: int = 0, high: Dim = None) -> Dim:
    """A size that depends on the numbers: a symbol between ``low`` and ``high``, named after an output and its axis.

    Inside a subgraph or a function it is unknown: another turn of it has another size under the same name.
    """
    if call.scope.inside:
        return Unknown(f"{call.name}: its size depends on the numbers")
    outputs = call.node.outputs
    name = (outputs[output] if output < len(outputs) else "") or f"{call.name}.{output}"
    return dims.symbol(f"{name}[{axis}]", low, high)


# -- Range, CumSum ----------------------------------------------------------------------------------------------------


def _bounds(call: Call) -> tuple[Dim, Dim, Dim] | None:
    rows = [call.contents(i) for i in range(3)]
    if any(row is None or len(row) != 1 for row in rows):
        return None
    start, limit, step = (row[0] for row in rows if row is not None)
    return start, limit, step


def _range_length(call: Call) -> Dim:
    """``max(ceil((limit - start) / delta), 0)``; onnxruntime divides floats as doubles (range.cc)."""
    bounds = _bounds(call)
    if bounds is None:
        return runtime_count(call)
    start, limit, step = bounds
    dtype = call.tensor(0).dtype
    span = numbers.binary("Sub", limit, start, dtype)
    if not numbers.is_float(dtype):
        if not isinstance(step, int) or step == 0:
            return runtime_count(call)
        return dims.maximum(dims.ceil_divide(span if step > 0 else -span, abs(step)), 0)
    length = numbers.unary("Ceil", numbers.binary("Div", span, step, "float64"), "float64")
    return dims.maximum(numbers.cast(length, "int64"), 0)


def _range_contents(call: Call) -> Contents | None:
    length, bounds = _range_length(call), _bounds(call)
    if bounds is None or not isinstance(length, int) or length > MOST:
        return None
    start, _, step = bounds
    dtype = call.tensor(0).dtype
    return tuple(numbers.binary("Add", start, numbers.binary("Mul", step, i, dtype), dtype) for i in range(length))


# -- the largest, the unlike, the true --------------------------------------------------------------------------------


def _top_k(call: Call) -> Shapes:
    shape = call.shape()
    axis = call.axis(int(call.attr("axis", -1)))
    given = integers(call, "k", 1)
    count = given[0] if given else runtime_count(call, axis=axis, high=shape[axis])
    return [(*shape[:axis], count, *shape[axis + 1 :])] * len(call.node.outputs)


def _top_k_needs(call: Call) -> Iterator[Need]:
    """No more can be chosen than there are."""
    given = integers(call, "k", 1)
    if given and call.rank() is not None:
        size = call.shape()[call.axis(int(call.attr("axis", -1)))]
        yield Need(dims.at_least(size, given[0]), "E109", partial(_too_few, call, given[0], size))


def _too_few(call: Call, wanted: Dim, size: Dim) -> Detail:
    message = f"{call.name} takes the {wanted} largest of {number(size)} that {call.giver()} gives"
    return Detail(message, f"{wanted} or more", number(size))


def _non_zero(call: Call) -> Shapes:
    known = whole(call.contents(0))
    count = runtime_count(call, axis=1, high=dims.product(call.shape())) if known is None else sum(map(bool, known))
    return [(len(call.shape()), count)]


def _non_zero_contents(call: Call) -> Contents | None:
    known = whole(call.contents(0))
    if known is None or len(call.shape()) != 1:
        return None
    return tuple(place for place, value in enumerate(known) if value)


def _unique(call: Call) -> Shapes:
    shape = call.shape()
    axis = call.attrs.get("axis")
    among = dims.product(shape) if axis is None else shape[call.axis(int(axis))]
    known = whole(call.contents(0)) if axis is None or len(shape) == 1 else None
    low = int(dims.at_least(among, 1) is True)
    at = 0 if axis is None else call.axis(int(axis))
    count = runtime_count(call, axis=at, low=low, high=among) if known is None else len(set(known))
    if axis is None:
        values: tuple[Dim, ...] = (count,)
    else:
        values = (*shape[:at], count, *shape[at + 1 :])
    return [values, (count,), (among,), (count,)][: len(call.node.outputs)]


def _suppressed(call: Call) -> Shapes:
    """Boxes that are kept: at most so many of each class of each image, and no more than there are."""
    batch, classes, boxes = call.shape(1)
    most = call.contents(2)
    if not call.has(2) or most == (0,):  # the specification's default is 0: none
        return [(0, 3)]
    each = dims.minimum(boxes, most[0]) if most else boxes
    return [(runtime_count(call, high=dims.product([batch, classes, each])), 3)]


def _compressed(call: Call) -> Shapes:
    shape = call.shape()
    axis = call.attrs.get("axis")
    at = None if axis is None else call.axis(int(axis))
    among = dims.product(shape) if at is None else shape[at]
    known = whole(call.contents(1))
    if known is not None and isinstance(among, int):
        known = known[:among]
    count = runtime_count(call, axis=at or 0, high=among) if known is None else sum(map(bool, known))
    return [(count,)] if at is None else [(*shape[:at], count, *shape[at + 1 :])]


def _one_hot(call: Call) -> Shapes:
    shape, depth = call.shape(), call.contents(1)
    axis = call.axis(int(call.attr("axis", -1)), len(shape) + 1)
    size = numbers.cast(depth[0], "int64") if depth else Unknown(f"{call.name}: its depth is computed at run time")
    return [(*shape[:axis], size, *shape[axis:])]


def _one_hot_contents(call: Call) -> Contents | None:
    """One row an index, where rows are the last axis: ``values`` are what is off, then what is on."""
    given, depth, values = whole(call.contents(0)), whole(call.contents(1)), call.contents(2)
    last = call.attr("axis", -1) in (-1, len(call.shape()))
    if not last or given is None or not depth or values is None or len(given) * depth[0] > MOST:
        return None
    off, on = values
    return tuple(on if place in (index, index + depth[0]) else off for index in given for place in range(depth[0]))


register(
    Operator(
        "Range",
        lambda call: [(_range_length(call),)],
        contents=_range_contents,
        source="ONNX Range-11; onnxruntime range.cc",
    ),
    *(Operator(name, same_shape, constants=(1,), source=f"ONNX {name}") for name in ("CumSum", "CumProd", "Trilu")),
    Operator("EyeLike", same_shape, dtype=lambda call: call.attr("dtype"), source="ONNX EyeLike-22"),
    Operator(
        "TopK",
        _top_k,
        needs=_top_k_needs,
        dtype=lambda call: [call.tensor(0).dtype, "int64"],
        constants=(1,),
        source="ONNX TopK-24",
    ),
    Operator("NonZero", _non_zero, contents=_non_zero_contents, dtype=lambda call: "int64", source="ONNX NonZero-13"),
    Operator(
        "Unique",
        _unique,
        dtype=lambda call: [call.tensor(0).dtype, "int64", "int64", "int64"],
        source="ONNX Unique-11",
    ),
    Operator(
        "NonMaxSuppression",
        _suppressed,
        dtype=lambda call: "int64",
        constants=(2, 3, 4),
        source="ONNX NonMaxSuppression-11",
    ),
    Operator("Compress", _compressed, constants=(1,), source="ONNX Compress-11"),
    Operator(
        "OneHot",
        _one_hot,
        contents=_one_hot_contents,
        dtype=lambda call: call.tensor(2).dtype,
        constants=(1, 2),
        source="ONNX OneHot-11",
    ),
)
