"""Reductions along axes: sums, means, extremes and where they are."""

from __future__ import annotations

from collections.abc import Sequence

from ..dims import Dim, Unknown
from ..graph import Param
from .base import Call, Lowered, Operator, Shapes, register
from .contents import of_reduction
from .shaping import integers


def _axes(call: Call) -> list[int] | None:
    """The axes that are reduced, None where they are computed at run time."""
    axes = integers(call, "axes", 1)
    if axes is None and call.has(1):
        return None
    if not axes:
        axes = () if call.attr("noop_with_empty_axes", 0) == 1 else tuple(range(len(call.shape())))
    return _reduced(call, [int(axis) for axis in axes])


def _reduced(call: Call, axes: Sequence[int]) -> list[int]:
    """The axes counted from 0. onnxruntime reduces an empty tensor along none that is counted from the end.

    Measured; its reduction_ops.cc takes the axes of an empty tensor as they are written.
    """
    found = [call.axis(axis) for axis in axes]
    if call.dialect.runs and any(isinstance(n, int) and n == 0 for n in call.shape()):
        return [axis for axis, written in zip(found, axes, strict=True) if written >= 0]
    return found


def _kept(call: Call) -> bool:
    """Whether a reduced axis stays as one of size 1."""
    return bool(call.attr("keepdims", 1) == 1)


def _reduce_shapes(call: Call) -> Shapes:
    shape, axes = call.shape(), _axes(call)
    if axes is None:
        why = Unknown(f"{call.name}: its axes are computed at run time")
        if _kept(call):
            return [tuple(why for _ in shape)]
        length = call.shape(1)[0] if call.rank(1) == 1 else None  # as many different axes go
        return [(why,) * (len(shape) - length) if isinstance(length, int) and 0 < length <= len(shape) else why]
    if _kept(call):
        return [tuple(1 if i in axes else d for i, d in enumerate(shape))]
    return [tuple(d for i, d in enumerate(shape) if i not in axes)]


def _reduce_contents(call: Call) -> tuple[Dim, ...] | None:
    return of_reduction(call, _axes(call) or ()) if call.contents(0) else None


def _arg_shapes(call: Call) -> Shapes:
    shape = call.shape()
    axes = _reduced(call, [int(call.attr("axis", 0))])
    if not axes:
        return [shape]
    return [(*shape[: axes[0]], *((1,) if _kept(call) else ()), *shape[axes[0] + 1 :])]


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
    Operator("Det", lambda call: [call.shape()[:-2]], source="ONNX Det-22"),
    *(
        Operator(name, _arg_shapes, dtype=lambda call: "int64", source=f"ONNX {name}-13")
        for name in ["ArgMax", "ArgMin"]
    ),
    *(
        Operator(name, _reduce_shapes, contents=_reduce_contents, lower=_reduce_lower, source=f"ONNX {name}-18")
        for name in [
            "ReduceMean",
            "ReduceSum",
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceSumSquare",
        ]
    ),
)
