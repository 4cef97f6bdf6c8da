"""Constants, and the small integer tensors that carry shapes: Shape, Constant, ConstantOfShape, Cast."""

from __future__ import annotations

from .. import dims
from ..dims import Dim, Unknown
from ..graph import Tensor
from .base import Call, Operator, Shapes, register, same_shape
from .contents import cast, count
from .counting import runtime_count
from .shaping import integers, unknown_target


def _range_of(call: Call) -> slice:
    return slice(call.attrs.get("start"), call.attrs.get("end"))


def _filled_shape(call: Call) -> Shapes:
    target = integers(call, "shape", 0)
    shape = tuple(target) if target is not None else unknown_target(call, 0)
    if not isinstance(shape, tuple):
        return [shape]
    return [tuple(runtime_count(call, 0, i) if isinstance(d, Unknown) else d for i, d in enumerate(shape))]


def _filled_contents(call: Call) -> tuple[Dim, ...] | None:
    (shape,) = _filled_shape(call)
    value = call.attrs.get("value")
    if not isinstance(shape, tuple) or not isinstance(value, Tensor) or not value.contents:
        return None
    size = count(shape)
    return tuple(value.contents) * size if size is not None else None


def _filled_type(call: Call) -> str | None:
    value = call.attrs.get("value")
    return value.dtype if isinstance(value, Tensor) else "float32"


def _constant_shapes(call: Call) -> Shapes:
    return [call.attrs["value"].shape]


register(
    Operator(
        "Shape",
        lambda call: [(len(call.shape()[_range_of(call)]),)],
        contents=lambda call: call.shape()[_range_of(call)],
        dtype=lambda call: "int64",
        source="ONNX Shape-21",
    ),
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
        "Size",
        lambda call: [()],
        contents=lambda call: (dims.product(call.shape()),),
        dtype=lambda call: "int64",
        source="ONNX Size-21",
    ),
    Operator(
        "Cast",
        same_shape,
        contents=lambda call: cast(call.contents(0), call.attr("to")),
        dtype=lambda call: call.attr("to"),
        elementwise=True,
        source="ONNX Cast-21",
    ),
    Operator(
        "CastLike",
        same_shape,
        contents=lambda call: cast(call.contents(0), call.tensor(1).dtype),
        dtype=lambda call: call.tensor(1).dtype,
        elementwise=True,
        source="ONNX CastLike-19",
    ),
    Operator("BitCast", same_shape, dtype=lambda call: call.attr("to"), elementwise=True, source="ONNX BitCast-26"),
)
