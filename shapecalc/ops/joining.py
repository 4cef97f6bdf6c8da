"""Operators that join tensors along an axis, or take parts of one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..graph import Param
from .base import Call, Detail, Lowered, Need, Operator, Shapes, moved_axis, register
from .contents import MOST, joined, picked, whole
from .shaping import as_inputs, integers


def _present(call: Call) -> list[int]:
    return [i for i in range(len(call.inputs)) if call.has(i)]


def _concat_shapes(call: Call) -> Shapes:
    axis = call.axis(int(call.attr("axis", 1)))
    shapes = [call.shape(i) for i in _present(call)]
    total: Dim = 0
    for shape in shapes:
        total = shape[axis] + total
    first = shapes[0]
    return [(*first[:axis], total, *first[axis + 1 :])]


def _concat_needs(call: Call) -> Iterator[Need]:
    present = _present(call)
    first = call.shape(present[0])
    axis = call.axis(int(call.attr("axis", 1)))
    for index in present[1:]:
        shape = call.shape(index)
        verdict: Any = len(shape) == len(first)
        for i, (a, b) in enumerate(zip(first, shape, strict=False)):
            if i != axis:
                verdict = dims.both(verdict, dims.equal(a, b))
        yield Need(verdict, "E105", partial(_cannot_concat, call, present[0], first, index, shape, axis))


def _cannot_concat(call: Call, i: int, first: Shape, j: int, second: Shape, axis: int) -> Detail:
    return Detail(
        f"{call.name} joins {dims.show(first)} from {call.giver(i)} with {dims.show(second)} from {call.giver(j)} "
        f"along axis {axis}",
        f"{dims.show(first)} but for axis {axis}",
        dims.show(second),
        "sizes at which both branches round alike",
    )


def _concat_contents(call: Call) -> tuple[Dim, ...] | None:
    present = _present(call)
    parts = [part for part in map(call.contents, present) if part is not None]
    if len(parts) != len(present) or sum(map(len, parts)) > MOST:
        return None
    axis = call.axis(int(call.attr("axis", 1)))
    return joined(parts, [call.shape(i) for i in present], axis)


def _concat_formula(call: Call, outputs: Shapes) -> str:
    axis = call.axis(int(call.attr("axis", 1)))
    parts = [str(call.shape(i)[axis]) for i in _present(call)]
    out = outputs[0]
    if len(parts) > 6:
        parts = [*parts[:3], "…", parts[-1]]
    return f"{' + '.join(parts)} = {out[axis]}" if isinstance(out, tuple) else ""


def _split_parts(call: Call) -> tuple[Dim, ...] | None:
    given = integers(call, "split", 1)
    if given is not None or call.has(1):
        return given
    count = len(call.node.outputs)
    total = call.shape()[call.axis(int(call.attr("axis", 0)))]
    if isinstance(total, int):
        size = -(-total // count)
        return (size,) * (count - 1) + (total - size * (count - 1),)
    return (total // count,) * count


def _split_shapes(call: Call) -> Shapes:
    shape = call.shape()
    axis = call.axis(int(call.attr("axis", 0)))
    parts = _split_parts(call)
    if parts is None:
        parts = (Unknown(f"{call.name}: its parts are computed at run time"),) * len(call.node.outputs)
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts]


def _split_contents(call: Call) -> list[tuple[Dim, ...] | None] | None:
    data, parts = call.contents(0), _split_parts(call)
    if data is None or parts is None or not all(isinstance(part, int) for part in parts):
        return None
    axis, shape = call.axis(int(call.attr("axis", 0))), call.shape()
    ends = list(itertools.accumulate(parts))
    return [picked(data, shape, axis, range(end - part, end)) for part, end in zip(parts, ends, strict=True)]


def _need_portions(call: Call, whole: Dim, count: int) -> Iterator[Need]:
    """Parts that nobody sizes are alike; the last one may be smaller since opset 18, which says how many there are."""
    said = call.attrs.get("num_outputs")
    if said is None:
        if call.scope.graph is not None and call.scope.graph.format == "onnx":
            uneven = f"{call.name}: {whole} does not divide into {count} parts"
            yield Need(
                dims.equal(whole % count, 0), "E106", lambda: Detail(uneven, f"a multiple of {count}", str(whole))
            )
        return
    few = Detail(f"{call.name} splits {whole} into {count} parts", f"{count} or more", str(whole))
    yield Need(dims.at_least(whole, count), "E106", lambda: few)


def _split_needs(call: Call) -> Iterator[Need]:
    axis = call.axis(int(call.attr("axis", 0)))
    parts = _split_parts(call)
    if parts is None:
        return
    count = len(call.node.outputs)
    words = Detail(f"{call.name} has {len(parts)} parts for {count} outputs", str(count), str(len(parts)))
    yield Need(len(parts) == count, "E109", lambda: words, blocks=True)
    if not call.has(1) and call.attrs.get("split") is None:
        yield from _need_portions(call, call.shape()[axis], count)
    total: Dim = 0
    for part in parts:
        total = part + total
    whole = call.shape()[axis]
    yield Need(
        dims.equal(total, whole),
        "E106",
        lambda: Detail(f"{call.name} splits {whole} into parts of {total}", str(total), str(whole)),
    )
    if call.attr("even", False):  # Caffe's Slice without slice_point
        count = len(call.node.outputs)
        yield Need(
            dims.equal(whole % count, 0),
            "E106",
            lambda: Detail(
                f"{call.name}: {whole} does not divide into {count} parts", f"a multiple of {count}", str(whole)
            ),
        )


def _split_lower(call: Call, outputs: Shapes) -> Lowered | None:
    if call.attrs.get("split") is None and "even" not in call.attrs:
        return Lowered([call.node])
    name = f"{call.node.name}/split"
    parts = _split_parts(call) or ()
    node = call.node.replace(inputs=(call.node.inputs[0], name), attrs={"axis": int(call.attr("axis", 0))})
    return Lowered([node], [Param(name, (len(parts),), "int64", contents=tuple(parts), trained=False)])


def _slice_plan(call: Call) -> list[tuple[int, Dim, Dim, int]] | None:
    """(axis, start, end, step) of each sliced axis, from attributes (opset 1) or inputs (10 and later)."""
    starts, ends = integers(call, "starts", 1), integers(call, "ends", 2)
    axes, steps = integers(call, "axes", 3), integers(call, "steps", 4)
    if starts is None or ends is None or (axes is None and call.has(3)) or (steps is None and call.has(4)):
        return None
    axes = axes or tuple(range(len(starts)))
    steps = steps or (1,) * len(starts)
    return [(call.axis(int(a)), s, e, int(p)) for a, s, e, p in zip(axes, starts, ends, steps, strict=True)]


def _clamped(value: Dim, size: Dim, low: Dim = 0) -> Dim:
    if dims.at_least(-1, value) is True:
        value = value + size
    return dims.minimum(dims.maximum(value, low), size)


def _sliced(size: Dim, start: Dim, end: Dim, step: int) -> Dim:
    if step > 0:
        return dims.maximum(dims.ceil_divide(_clamped(end, size) - _clamped(start, size), step), 0)
    if not isinstance(size, int) or not isinstance(start, int) or not isinstance(end, int):
        return Unknown("a backward slice of a free dimension")
    return len(_places(size, start, end, step))


def _places(size: int, start: int, end: int, step: int) -> range:
    """The places that a slice takes; ONNX puts a start before the first place at the first, backward too."""
    last = None if step < 0 and end < -size else end  # Python would count from the end once more
    return range(size)[start if start >= -size else 0 : last : step]


def _slice_shapes(call: Call) -> Shapes:
    plan = _slice_plan(call)
    shape = list(call.shape())
    if plan is None:
        why = Unknown(f"{call.name}: its bounds are computed at run time")
        sliced = {call.axis(int(axis)) for axis in integers(call, "axes", 3) or range(len(shape))}
        return [tuple(why if axis in sliced else d for axis, d in enumerate(shape))]
    for axis, start, end, step in plan:
        shape[axis] = _sliced(shape[axis], start, end, step)
    return [tuple(shape)]


def _slice_contents(call: Call) -> tuple[Dim, ...] | None:
    data, plan, shape = call.contents(0), _slice_plan(call), call.shape()
    for axis, start, end, step in plan or ():
        size = shape[axis]
        if data is None or not all(isinstance(d, int) for d in (size, start, end)):
            return None
        places = _places(size, start, end, step)
        data = picked(data, shape, axis, places)
        shape = (*shape[:axis], len(places), *shape[axis + 1 :])
    return data if plan is not None else None


def _gather_shapes(call: Call) -> Shapes:
    data, indices = call.shape(0), call.shape(1)
    axis = call.axis(int(call.attr("axis", 0)))
    return [(*data[:axis], *indices, *data[axis + 1 :])]


def _gather_contents(call: Call) -> tuple[Dim, ...] | None:
    data, indices = call.contents(0), call.contents(1)
    if data is None or indices is None or not all(isinstance(i, int) for i in indices):
        return None
    return picked(data, call.shape(), call.axis(int(call.attr("axis", 0))), indices)


def need_within(call: Call) -> Iterator[Need]:
    """Known indices must lie on the axis they pick from, counted from its start or, below 0, from its end."""
    yield from need_on(call, call.axis(int(call.attr("axis", 0))), whole(call.contents(1)))


def need_on(call: Call, axis: int, known: list[int] | None) -> Iterator[Need]:
    """As `need_within`, of some of the indices and one axis."""
    if not known:
        return
    size = call.shape()[axis]
    low, high = min(known), max(known)
    fits = dims.both(dims.at_least(size, high + 1), dims.at_least(size, -low))
    yield Need(fits, "E109", partial(_outside, call, size, low, high))


def _outside(call: Call, size: Dim, low: int, high: int) -> Detail:
    place = high if dims.failed(dims.at_least(size, high + 1)) else low
    return Detail(
        f"{call.name} takes element {place} of {size} that {call.giver()} gives",
        f"indices from -{size} to {size - 1}",
        f"from {low} to {high}",
    )


register(
    Operator(
        "Concat",
        _concat_shapes,
        moved=moved_axis,
        needs=_concat_needs,
        contents=_concat_contents,
        formula=_concat_formula,
        source="ONNX Concat-13; Caffe concat_layer.cpp",
    ),
    Operator(
        "Split",
        _split_shapes,
        needs=_split_needs,
        contents=_split_contents,
        lower=_split_lower,
        source="ONNX Split-18; Caffe slice_layer.cpp",
    ),
    Operator(
        "Slice",
        _slice_shapes,
        contents=_slice_contents,
        lower=as_inputs("starts", "ends", "axes", "steps"),
        source="ONNX Slice-13",
    ),
    Operator("Gather", _gather_shapes, needs=need_within, contents=_gather_contents, source="ONNX Gather-13"),
)
