"""Operators that move elements without changing them, and the small integer tensors that say how.

Contents of integer tensors are carried as dimensions through Shape, Gather, Concat and arithmetic, so the target of a
Reshape is known even when a graph computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..graph import Param
from .baked import target_hint
from .base import MOST_AXES, Call, Detail, Lowered, Need, Operator, Shapes, factors, need_rank, number, register
from .chain import Chain
from .contents import MOST, passed, spread, transposed


def unknown_target(call: Call, index: int, least: int = 0) -> Shape | Unknown:
    """A shape that input ``index`` holds at run time: its rank is that input's length, and at least ``least``."""
    why = Unknown(f"{call.name}: its target shape is computed at run time")
    length = call.shape(index)[0] if call.has(index) and call.rank(index) == 1 else None
    return (why,) * max(length, least) if isinstance(length, int) and length <= MOST_AXES else why


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
    if call.attr("order") == "HWC" and len(call.shape()) > 2:  # Keras moves the channels to the end first
        chain = Chain(call)
        last = chain.add("Transpose", call.node.inputs[:1], {"perm": [0, *range(2, len(call.shape())), 1]})
        chain.add("Flatten", (last,), {"axis": 1})
        return chain.done()
    if call.attrs.get("end_axis") is not None:
        return _as_reshape(call, outputs)
    return Lowered([call.node.replace(attrs={k: v for k, v in call.attrs.items() if k == "axis"})])


def _target(call: Call) -> tuple[Dim, ...] | None:
    return integers(call, "shape", 1)


def _reshape_shapes(call: Call) -> Shapes:
    target = _target(call)
    if target is None:
        return [unknown_target(call, 1)]
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
        verdict = False if _splits_items(call) else dims.equal(given, wanted)
        yield Need(verdict, "E106", lambda: _cannot_reshape(call, given, wanted))


def _splits_items(call: Call) -> bool:
    """Whether a -1 would stand for a free batch whose items do not divide: it works for no single item.

    Exporters put the batch there: ``[-1, 192, 196]`` of N·192·256 elements.
    """
    shape, target = call.shape(), _target(call) or ()
    items = dims.product(shape[1:])
    if not shape or not isinstance(shape[0], dims.Expr) or not isinstance(items, int) or -1 not in target:
        return False
    known, each = _fixed(call), dims.per_item(shape[0])
    return each is not None and isinstance(known, int) and known > 0 and bool(items * each % known)


def _cannot_reshape(call: Call, given: Dim, wanted: Dim) -> Detail:
    return Detail(
        f"{call.name} cannot put {dims.show(call.shape())} from {call.giver()} into {_show_target(call)}",
        f"a multiple of {number(_fixed(call))}" if -1 in (_target(call) or ()) else number(wanted),
        f"{number(given)} = {factors(call.shape())}",
        target_hint(call, 1, _target(call) or ()),
    )


def _fixed(call: Call) -> Dim:
    out = _reshape_shapes(call)[0]
    target = _target(call) or ()
    dims_out = out if isinstance(out, tuple) else ()
    return dims.product(o for o, t in zip(dims_out, target, strict=False) if not (isinstance(t, int) and t == -1))


def _show_target(call: Call) -> str:
    return "[" + ", ".join(str(d) for d in _target(call) or ()) + "]"


def _reshape_lower(call: Call, outputs: Shapes) -> Lowered | None:
    return _as_reshape(call, outputs) if call.attrs.get("shape") is not None else Lowered([call.node])


# -- Transpose, Squeeze, Unsqueeze ------------------------------------------------------------------------------------


def _order(call: Call) -> tuple[int, ...]:
    axes = range(len(call.shape()))
    order = tuple(call.attr("perm") or reversed(axes))
    if sorted(order) != list(axes):
        raise ValueError(f"{order} is no order of {len(axes)} axes")
    return order


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


def _any_axes(call: Call, rank: int, sign: int) -> Shape | Unknown:
    """What is known where input 1 names, at run time, axes that come in or go: how many there will be."""
    why = Unknown(f"{call.name}: its axes are computed at run time")
    count = call.shape(1)[0] if call.rank(1) == 1 else None
    return (why,) * (rank + sign * count) if isinstance(count, int) and count <= MOST_AXES else why


def _squeeze_shapes(call: Call) -> Shapes:
    shape = call.shape()
    axes = integers(call, "axes", 1)
    if axes is None and call.has(1):
        return [_any_axes(call, len(call.shape()), -1)]
    if axes is None or (not axes and call.dialect.runs):  # onnxruntime takes no axes for all of size 1
        ones = [dims.equal(d, 1) for d in shape]
        if any(one is None or not (one is True or dims.failed(one)) for one in ones):
            return [Unknown(f"{call.name}: which axes are of size 1 is known when it runs")]
        drop = {i for i, one in enumerate(ones) if one is True}
    else:
        drop = {call.axis(int(axis)) for axis in axes}
    return [tuple(d for i, d in enumerate(shape) if i not in drop)]


def _squeeze_needs(call: Call) -> Iterator[Need]:
    """Only an axis of size 1 can go."""
    if call.rank() is None:
        return
    for axis in integers(call, "axes", 1) or ():
        size = call.shape()[call.axis(int(axis))]
        yield Need(dims.equal(size, 1), "E106", partial(_cannot_squeeze, call, int(axis), size))


def _cannot_squeeze(call: Call, axis: int, size: Dim) -> Detail:
    message = f"{call.name} drops axis {axis}, which must be of size 1: {call.giver()} gives {dims.show(call.shape())}"
    return Detail(message, "1", number(size))


def _unsqueeze_shapes(call: Call) -> Shapes:
    axes = integers(call, "axes", 1)
    if axes is None:
        return [_any_axes(call, len(call.shape()), 1)]
    shape = list(call.shape())
    rank = len(shape) + len(axes)
    for axis in sorted(int(a) + rank if int(a) < 0 else int(a) for a in axes):
        shape.insert(axis, 1)
    return [tuple(shape)]


def as_inputs(*names: str) -> Callable[[Call, Shapes], Lowered]:
    """Plain ONNX takes these numbers as inputs after the first (Slice-10, Squeeze-13); a definition has attributes."""

    def lower(call: Call, outputs: Shapes) -> Lowered:
        if call.attrs.get(names[0]) is None:
            return Lowered([call.node])
        rows = {f"{call.node.name}/{name}": tuple(call.attrs[name]) for name in names if name in call.attrs}
        params = [Param(name, (len(row),), "int64", contents=row, trained=False) for name, row in rows.items()]
        return Lowered([call.node.replace(inputs=(call.node.inputs[0], *rows), attrs={})], params)

    return lower


def _expand_shapes(call: Call) -> Shapes:
    from .elementwise import broadcast

    target = call.contents(1)
    if target is None:
        return [unknown_target(call, 1, len(call.shape()))]
    return [broadcast([call.shape(), tuple(target)])]


def _expand_needs(call: Call) -> Iterator[Need]:
    """Each axis is kept, or one is repeated; a target of 1 keeps what there is."""
    target = call.contents(1)
    verdict: dims.Verdict = True
    for a, b in zip(reversed(call.shape()), reversed(target or ()), strict=False):
        verdict = dims.both(verdict, dims.joins(a, b))
    yield Need(verdict, "E105", partial(_cannot_expand, call, target or ()))


def _cannot_expand(call: Call, target: Shape) -> Detail:
    message = f"{call.name} spreads {dims.show(call.shape())} from {call.giver(0)} over {dims.show(target)}"
    return Detail(message, f"sizes of {dims.show(target)}, or 1", dims.show(call.shape()), target_hint(call, 1, target))


def _expand_contents(call: Call) -> tuple[Dim, ...] | None:
    data = call.contents(0)
    (target,) = _expand_shapes(call) if data is not None else (None,)
    return spread(data, call.shape(), target) if data is not None and isinstance(target, tuple) else None


def _tile_contents(call: Call) -> tuple[Dim, ...] | None:
    """One axis repeated; a table of more axes says no shape."""
    data, repeats = call.contents(0), integers(call, "repeats", 1)
    if data is None or repeats is None or len(repeats) != 1 or not isinstance(repeats[0], int):
        return None
    return data * repeats[0] if len(data) * repeats[0] <= MOST else None


def _tile_shapes(call: Call) -> Shapes:
    repeats = integers(call, "repeats", 1)
    if repeats is None:
        return [(Unknown(f"{call.name}: its repeats are computed at run time"),) * len(call.shape())]
    return [tuple(d * r for d, r in zip(call.shape(), repeats, strict=True))]


def _tile_lower(call: Call, outputs: Shapes) -> Lowered | None:
    if call.attrs.get("repeats") is None:
        return Lowered([call.node])
    name = f"{call.node.name}/repeats"
    amounts: Sequence[int] = tuple(call.attrs["repeats"])
    node = call.node.replace(inputs=(call.node.inputs[0], name), attrs={})
    return Lowered([node], [Param(name, (len(amounts),), "int64", contents=tuple(amounts), trained=False)])


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
        contents=passed,
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
        "Squeeze",
        _squeeze_shapes,
        needs=_squeeze_needs,
        contents=passed,
        lower=as_inputs("axes"),
        source="ONNX Squeeze-21",
    ),
    Operator(
        "Unsqueeze",
        _unsqueeze_shapes,
        contents=passed,
        lower=as_inputs("axes"),
        source="ONNX Unsqueeze-21",
    ),
    Operator("Expand", _expand_shapes, needs=_expand_needs, contents=_expand_contents, source="ONNX Expand-13"),
    Operator("Tile", _tile_shapes, contents=_tile_contents, lower=_tile_lower, source="ONNX Tile-13"),
)
