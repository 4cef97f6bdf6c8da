"""Operators that move elements without changing them, and the small integer tensors that say how.

Contents of integer tensors are carried as dimensions through Shape, Gather, Concat and arithmetic, so the target of a
Reshape is known even when a graph computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..graph import Param, Tensor
from .base import Call, Detail, Lowered, Need, Operator, Shapes, factors, need_rank, number, register, same_shape
from .contents import cast, picked, transposed


def integers(call: Call, attribute: str, index: int) -> tuple[Dim, ...] | None:
    """Numbers that newer opsets take as input ``index`` and older ones as an attribute."""
    value = call.attrs.get(attribute)
    if value is not None:
        return tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return call.contents(index)


# -- Flatten, Reshape -------------------------------------------------------------------------------------------------


def _flatten_shapes(call: Call) -> Shapes:
    shape = call.shape()
    end = call.attrs.get("end_axis")
    if end is not None:  # Caffe merges axis..end_axis and keeps the rest
        first, last = call.axis(int(call.attr("axis", 1))), call.axis(int(end))
        return [(*shape[:first], dims.product(shape[first : last + 1]), *shape[last + 1 :])]
    axis = call.axis(int(call.attr("axis", 1)))
    return [(dims.product(shape[:axis]), dims.product(shape[axis:]))]


def _flatten_formula(call: Call, outputs: Shapes) -> str:
    out = outputs[0]
    return f"{factors(call.shape()[1:])} = {out[-1]}" if isinstance(out, tuple) and len(out) == 2 else dims.show(out)


def _as_reshape(call: Call, outputs: Shapes) -> Lowered | None:
    """ONNX's own Reshape, its target written out from the traced shape (batch copied)."""
    out = outputs[0]
    if not isinstance(out, tuple):
        return None
    name = f"{call.node.name}/shape"
    target = tuple(
        0 if i == 0 and len(call.shape()) > 0 and out[0] is call.shape()[0] else d for i, d in enumerate(out)
    )
    node = call.node.replace(op="Reshape", inputs=(call.node.inputs[0], name), attrs={})
    return Lowered([node], [Param(name, (len(target),), "int64", contents=target, trained=False)])


def _flatten_lower(call: Call, outputs: Shapes) -> Lowered | None:
    if call.attrs.get("end_axis") is not None:
        return _as_reshape(call, outputs)
    return Lowered([call.node])


def _target(call: Call) -> tuple[Dim, ...] | None:
    return integers(call, "shape", 1)


def _reshape_shapes(call: Call) -> Shapes:
    target = _target(call)
    if target is None:
        return [Unknown(f"{call.name}: its target shape is computed at run time")]
    shape = call.shape()
    copies = not call.attr("allowzero", 0)
    first = int(call.attr("axis", 0))  # Caffe reshapes axes [axis, axis + num_axes) only
    first = first + len(shape) + 1 if first < 0 else first
    count = int(call.attr("num_axes", -1))
    end = len(shape) if count == -1 else first + count
    inner = shape[first:end]
    out: list[Dim] = []
    for i, d in enumerate(target):
        copied = copies and isinstance(d, int) and d == 0
        out.append(inner[i] if copied and i < len(inner) else d)
    if any(isinstance(d, int) and d == -1 for d in out):
        known = dims.product(d for d in out if not (isinstance(d, int) and d == -1))
        rest = _inferred(dims.product(inner), known)
        out = [rest if isinstance(d, int) and d == -1 else d for d in out]
    return [(*shape[:first], *out, *shape[end:])]


def _inferred(total: Dim, known: Dim) -> Dim:
    if isinstance(known, int) and known == 0:
        return 0
    if isinstance(known, Unknown):
        return known
    return total // known


def _reshape_needs(call: Call) -> Iterator[Need]:
    if _target(call) is None or call.rank() is None:
        return
    out = _reshape_shapes(call)[0]
    if isinstance(out, tuple):
        given, wanted = dims.product(call.shape()), dims.product(out)
        yield Need(
            dims.equal(given, wanted),
            "E106",
            lambda: Detail(
                f"{call.name} cannot put {dims.show(call.shape())} from {call.giver()} into {_show_target(call)}",
                f"a multiple of {number(_fixed(call))}" if -1 in (_target(call) or ()) else number(wanted),
                f"{number(given)} = {factors(call.shape())}",
            ),
        )


def _fixed(call: Call) -> Dim:
    out = _reshape_shapes(call)[0]
    target = _target(call) or ()
    dims_out = out if isinstance(out, tuple) else ()
    return dims.product(o for o, t in zip(dims_out, target, strict=False) if not (isinstance(t, int) and t == -1))


def _show_target(call: Call) -> str:
    return "[" + ", ".join(str(d) for d in _target(call) or ()) + "]"


def _reshape_contents(call: Call) -> tuple[Dim, ...] | None:
    return call.contents(0)


def _reshape_lower(call: Call, outputs: Shapes) -> Lowered | None:
    return _as_reshape(call, outputs) if call.attrs.get("shape") is not None else Lowered([call.node])


# -- Transpose, Squeeze, Unsqueeze ------------------------------------------------------------------------------------


def _order(call: Call) -> tuple[int, ...]:
    return tuple(call.attr("perm") or reversed(range(len(call.shape()))))


def _transpose_shapes(call: Call) -> Shapes:
    shape = call.shape()
    return [tuple(shape[axis] for axis in _order(call))]


def _transpose_contents(call: Call) -> tuple[Dim, ...] | None:
    data = call.contents(0)
    return None if data is None else transposed(data, call.shape(), _order(call))


def _transpose_needs(call: Call) -> Iterator[Need]:
    order = call.attr("perm")
    if order:
        yield need_rank(call, len(order))


def _squeeze_shapes(call: Call) -> Shapes:
    shape = call.shape()
    axes = integers(call, "axes", 1)
    if axes is None:
        if call.has(1):
            return [Unknown(f"{call.name}: its axes are computed at run time")]
        drop = {i for i, d in enumerate(shape) if isinstance(d, int) and d == 1}
    else:
        drop = {call.axis(int(axis)) for axis in axes}
    return [tuple(d for i, d in enumerate(shape) if i not in drop)]


def _unsqueeze_shapes(call: Call) -> Shapes:
    axes = integers(call, "axes", 1)
    if axes is None:
        return [Unknown(f"{call.name}: its axes are computed at run time")]
    shape = list(call.shape())
    rank = len(shape) + len(axes)
    for axis in sorted(int(a) + rank if int(a) < 0 else int(a) for a in axes):
        shape.insert(axis, 1)
    return [tuple(shape)]


# -- Concat, Split, Slice ---------------------------------------------------------------------------------------------


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
    parts = [call.contents(i) for i in _present(call)]
    if any(part is None for part in parts):
        return None
    return tuple(d for part in parts for d in part or ())


def _concat_formula(call: Call, outputs: Shapes) -> str:
    axis = call.axis(int(call.attr("axis", 1)))
    parts = [str(call.shape(i)[axis]) for i in _present(call)]
    out = outputs[0]
    if len(parts) > 6:
        parts = [*parts[:3], "…", parts[-1]]
    return f"{' + '.join(parts)} = {out[axis]}" if isinstance(out, tuple) else ""


def _split_parts(call: Call) -> tuple[Dim, ...] | None:
    given = integers(call, "split", 1)
    if given is not None:
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
        return [Unknown(f"{call.name}: its parts are computed at run time")] * len(call.node.outputs)
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts]


def _split_needs(call: Call) -> Iterator[Need]:
    axis = call.axis(int(call.attr("axis", 0)))
    parts = _split_parts(call)
    if parts is None:
        return
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
    if starts is None or ends is None:
        return None
    axes = integers(call, "axes", 3) or tuple(range(len(starts)))
    steps = integers(call, "steps", 4) or (1,) * len(starts)
    return [(call.axis(int(a)), s, e, int(p)) for a, s, e, p in zip(axes, starts, ends, steps, strict=True)]


def _clamped(value: Dim, size: Dim, low: Dim = 0) -> Dim:
    if isinstance(value, int) and value < 0:
        value = value + size
    return dims.minimum(dims.maximum(value, low), size)


def _sliced(size: Dim, start: Dim, end: Dim, step: int) -> Dim:
    if step > 0:
        return dims.maximum(dims.ceil_divide(_clamped(end, size) - _clamped(start, size), step), 0)
    if not isinstance(size, int) or not isinstance(start, int) or not isinstance(end, int):
        return Unknown("a backward slice of a free dimension")
    return len(range(size)[start if start >= -size else 0 : end if end >= -size else None : step])


def _slice_shapes(call: Call) -> Shapes:
    plan = _slice_plan(call)
    if plan is None:
        return [Unknown(f"{call.name}: its bounds are computed at run time")]
    shape = list(call.shape())
    for axis, start, end, step in plan:
        shape[axis] = _sliced(shape[axis], start, end, step)
    return [tuple(shape)]


def _slice_contents(call: Call) -> tuple[Dim, ...] | None:
    data, plan, shape = call.contents(0), _slice_plan(call), call.shape()
    for axis, start, end, step in plan or ():
        size = shape[axis]
        if data is None or not all(isinstance(d, int) for d in (size, start, end)):
            return None
        last = None if step < 0 and end < -size else end
        places = range(size)[start:last:step]
        data = picked(data, shape, axis, places)
        shape = (*shape[:axis], len(places), *shape[axis + 1 :])
    return data if plan is not None else None


def _as_inputs(*names: str) -> Callable[[Call, Shapes], Lowered]:
    """Plain ONNX takes these numbers as inputs after the first (Slice-10, Squeeze-13); a definition has attributes."""

    def lower(call: Call, outputs: Shapes) -> Lowered:
        if call.attrs.get(names[0]) is None:
            return Lowered([call.node])
        rows = {f"{call.node.name}/{name}": tuple(call.attrs[name]) for name in names if name in call.attrs}
        params = [Param(name, (len(row),), "int64", contents=row, trained=False) for name, row in rows.items()]
        return Lowered([call.node.replace(inputs=(call.node.inputs[0], *rows), attrs={})], params)

    return lower


# -- Pad, Shape, Gather, Constant, Cast, Expand, Tile -----------------------------------------------------------------


def _pad_shapes(call: Call) -> Shapes:
    amounts = integers(call, "pads", 1) or integers(call, "paddings", 1)
    if amounts is None:
        return [Unknown(f"{call.name}: its padding is computed at run time")]
    shape = list(call.shape())
    axes = call.contents(3) or tuple(range(len(shape)))
    half = len(amounts) // 2
    for i, axis in enumerate(axes):
        shape[call.axis(int(axis))] = shape[call.axis(int(axis))] + amounts[i] + amounts[half + i]
    return [tuple(shape)]


def _range_of(call: Call) -> slice:
    return slice(call.attrs.get("start"), call.attrs.get("end"))


def _gather_shapes(call: Call) -> Shapes:
    data, indices = call.shape(0), call.shape(1)
    axis = call.axis(int(call.attr("axis", 0)))
    return [(*data[:axis], *indices, *data[axis + 1 :])]


def _gather_contents(call: Call) -> tuple[Dim, ...] | None:
    data, indices = call.contents(0), call.contents(1)
    if data is None or indices is None or not all(isinstance(i, int) for i in indices):
        return None
    return picked(data, call.shape(), call.axis(int(call.attr("axis", 0))), indices)


def _filled_shape(call: Call) -> Shapes:
    target = integers(call, "shape", 0)
    return [tuple(target)] if target is not None else [Unknown(f"{call.name}: its shape is computed at run time")]


def _filled_contents(call: Call) -> tuple[Dim, ...] | None:
    (shape,) = _filled_shape(call)
    value = call.attrs.get("value")
    if not isinstance(shape, tuple) or not isinstance(value, Tensor) or not value.contents:
        return None
    count = dims.product(shape)
    return tuple(value.contents) * count if isinstance(count, int) and count <= SMALL else None


#: Integer tensors up to this many elements carry their contents.
SMALL = 4096


def _filled_type(call: Call) -> str | None:
    value = call.attrs.get("value")
    return value.dtype if isinstance(value, Tensor) else "float32"


def _constant_shapes(call: Call) -> Shapes:
    return [call.attrs["value"].shape]


def _expand_shapes(call: Call) -> Shapes:
    from .elementwise import broadcast

    target = call.contents(1)
    if target is None:
        return [Unknown(f"{call.name}: its target shape is computed at run time")]
    return [broadcast([call.shape(), tuple(target)])]


def _tile_shapes(call: Call) -> Shapes:
    repeats = integers(call, "repeats", 1)
    if repeats is None:
        return [Unknown(f"{call.name}: its repeats are computed at run time")]
    return [tuple(d * r for d, r in zip(call.shape(), repeats, strict=True))]


def _tile_lower(call: Call, outputs: Shapes) -> Lowered | None:
    if call.attrs.get("repeats") is None:
        return Lowered([call.node])
    name = f"{call.node.name}/repeats"
    amounts: Sequence[int] = tuple(call.attrs["repeats"])
    node = call.node.replace(inputs=(call.node.inputs[0], name), attrs={})
    return Lowered([node], [Param(name, (len(amounts),), "int64", contents=tuple(amounts), trained=False)])


def _reduce_shapes(call: Call) -> Shapes:
    shape = call.shape()
    axes = integers(call, "axes", 1)
    if axes is None and call.has(1):
        return [Unknown(f"{call.name}: its axes are computed at run time")]
    if not axes:
        axes = () if call.attr("noop_with_empty_axes", 0) else tuple(range(len(shape)))
    chosen = {call.axis(int(axis)) for axis in axes}
    if call.attr("keepdims", 1):
        return [tuple(1 if i in chosen else d for i, d in enumerate(shape))]
    return [tuple(d for i, d in enumerate(shape) if i not in chosen)]


def _arg_shapes(call: Call) -> Shapes:
    shape = call.shape()
    axis = call.axis(int(call.attr("axis", 0)))
    return [(*shape[:axis], *((1,) if call.attr("keepdims", 1) else ()), *shape[axis + 1 :])]


def _reduce_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """Axes as an input (opset 18) where the definition gives them as an attribute."""
    axes = call.attrs.get("axes")
    if axes is None:
        return Lowered([call.node])
    name = f"{call.node.name}/axes"
    attrs = {"keepdims": int(call.attr("keepdims", 1))}
    node = call.node.replace(inputs=(call.node.inputs[0], name), attrs=attrs)
    return Lowered([node], [Param(name, (len(axes),), "int64", contents=tuple(axes), trained=False)])


register(
    Operator(
        "Flatten",
        _flatten_shapes,
        formula=_flatten_formula,
        lower=_flatten_lower,
        source="ONNX Flatten-21; Caffe flatten_layer.cpp",
    ),
    Operator(
        "Reshape",
        _reshape_shapes,
        needs=_reshape_needs,
        contents=_reshape_contents,
        formula=lambda call, outputs: f"{dims.show(call.shape())} → {_show_target(call)}",
        lower=_reshape_lower,
        source="ONNX Reshape-21; Caffe reshape_layer.cpp",
    ),
    Operator(
        "Transpose",
        _transpose_shapes,
        needs=_transpose_needs,
        contents=_transpose_contents,
        source="ONNX Transpose-21",
    ),
    Operator(
        "Squeeze", _squeeze_shapes, contents=_reshape_contents, lower=_as_inputs("axes"), source="ONNX Squeeze-21"
    ),
    Operator(
        "Unsqueeze",
        _unsqueeze_shapes,
        contents=_reshape_contents,
        lower=_as_inputs("axes"),
        source="ONNX Unsqueeze-21",
    ),
    Operator(
        "Concat",
        _concat_shapes,
        needs=_concat_needs,
        contents=_concat_contents,
        formula=_concat_formula,
        source="ONNX Concat-13; Caffe concat_layer.cpp",
    ),
    Operator(
        "Split", _split_shapes, needs=_split_needs, lower=_split_lower, source="ONNX Split-18; Caffe slice_layer.cpp"
    ),
    Operator(
        "Slice",
        _slice_shapes,
        contents=_slice_contents,
        lower=_as_inputs("starts", "ends", "axes", "steps"),
        source="ONNX Slice-13",
    ),
    Operator("Pad", _pad_shapes, constants=(1, 2, 3), source="ONNX Pad-21"),
    Operator(
        "Shape",
        lambda call: [(len(call.shape()[_range_of(call)]),)],
        contents=lambda call: call.shape()[_range_of(call)],
        dtype=lambda call: "int64",
        source="ONNX Shape-21",
    ),
    Operator("Gather", _gather_shapes, contents=_gather_contents, source="ONNX Gather-13"),
    Operator(
        "ConstantOfShape",
        _filled_shape,
        contents=_filled_contents,
        dtype=_filled_type,
        source="ONNX ConstantOfShape-21",
    ),
    Operator(
        "Constant",
        _constant_shapes,
        contents=lambda call: call.attrs["value"].contents,
        dtype=lambda call: call.attrs["value"].dtype,
        source="ONNX Constant-21",
    ),
    Operator(
        "Cast",
        same_shape,
        contents=lambda call: cast(call.contents(0), str(call.attr("to"))),
        dtype=lambda call: call.attr("to"),
        elementwise=True,
        source="ONNX Cast-21",
    ),
    Operator("Expand", _expand_shapes, source="ONNX Expand-13"),
    Operator("Tile", _tile_shapes, lower=_tile_lower, source="ONNX Tile-13"),
    *(
        Operator(name, _arg_shapes, dtype=lambda call: "int64", source=f"ONNX {name}-13")
        for name in ["ArgMax", "ArgMin"]
    ),
    *(
        Operator(name, _reduce_shapes, lower=_reduce_lower, source=f"ONNX {name}-18")
        for name in [
            "ReduceMean",
            "ReduceSum",
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
        ]
    ),
)
