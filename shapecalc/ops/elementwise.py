"""Operators that keep their input's shape, and those that join several inputs place by place."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..graph import Node, Param
from . import contents, numbers
from .baked import weight_in_join
from .base import Call, Detail, Lowered, Need, Operator, Shapes, moved_axis, register, same_shape, unmoved

UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid "
    "HardSwish Hardmax IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh "
    "Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu"
).split()
#: Those of them that answer yes or no.
TESTS = ("IsInf", "IsNaN")


def _drop_extras(call: Call, outputs: Shapes) -> Lowered | None:
    """ONNX as it stands, less the attributes only the trace reads."""
    keep = {k: v for k, v in call.attrs.items() if k not in ("phase", "layout", "ratio") and v is not None}
    return Lowered([call.node.replace(attrs=keep)])


def _clip_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """Plain ONNX takes the bounds as inputs (Clip-11); a definition may have them as attributes."""
    node = call.node
    bounds = {name: call.attrs[name] for name in ("min", "max") if call.attrs.get(name) is not None}
    if not bounds:
        return _drop_extras(call, outputs)
    params = [Param(f"{node.name}/{n}", (), "float32", contents=(v,), trained=False) for n, v in bounds.items()]
    inputs = (node.inputs[0], *(f"{node.name}/{name}" if name in bounds else "" for name in ("min", "max")))
    return Lowered([node.replace(inputs=inputs if inputs[2] else inputs[:2], attrs={})], params)


def _bool(call: Call) -> str:
    return "bool"


def _clip_contents(call: Call) -> tuple[Dim, ...] | None:
    """Elements between bounds, which opset 11 moved from attributes to inputs."""
    data, dtype = call.contents(0), call.tensor(0).dtype
    for index, op, name in ((1, "Max", "min"), (2, "Min", "max")):
        given = call.attrs.get(name)
        bound = (given,) if given is not None else call.contents(index)
        if bound is None and not call.has(index):
            continue
        if data is None or not bound:
            return None
        data = tuple(numbers.binary(op, value, bound[0], dtype) for value in data)
    return data


def _unary(name: str) -> Operator:
    counted = name in numbers.UNARY or name == "Reciprocal"
    return Operator(
        name,
        same_shape,
        contents=_clip_contents if name == "Clip" else contents.of_unary if counted else None,
        dtype=_bool if name in TESTS else None,
        constants=(1, 2),
        elementwise=True,
        moved=moved_axis,
        lower=_clip_lower if name == "Clip" else _drop_extras,
        source=f"ONNX {name}",
    )


register(
    *map(_unary, UNARY),
    Operator("Identity", same_shape, contents=contents.passed, elementwise=True, moved=unmoved, source="ONNX Identity"),
    Operator(
        "Dropout",
        same_shape,
        dtype=lambda call: [call.tensor(0).dtype, "bool" if call.opset >= 10 else call.tensor(0).dtype],
        constants=(1, 2),
        elementwise=True,
        moved=unmoved,
        lower=_drop_extras,
        source="ONNX Dropout-13: identity at inference",
    ),
    Operator("Softmax", same_shape, moved=moved_axis, lower=_drop_extras, source="ONNX Softmax-13"),
    Operator("LogSoftmax", same_shape, moved=moved_axis, lower=_drop_extras, source="ONNX LogSoftmax-13"),
)


# -- joins ------------------------------------------------------------------------------------------------------------


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The common shape of several under numpy's rule; a pair that cannot be joined yields the larger."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(functools.reduce(dims.joined, axis) for axis in zip(*padded, strict=True))


def _lined_up(call: Call) -> list[tuple[int, Shape]]:
    """(input, shape) of every operand; before opset 7 ``broadcast`` and ``axis`` say where the second one starts."""
    shapes = [(i, call.shape(i)) for i in range(len(call.inputs)) if call.has(i)]
    if call.attr("broadcast", 0) and call.attrs.get("axis") is not None and len(shapes) == 2:
        index, shape = shapes[1]
        tail = len(call.shape()) - call.axis(int(call.attr("axis"))) - len(shape)
        if not 0 <= tail < len(call.shape()):
            raise ValueError(f"axis {call.attr('axis')}")
        shapes[1] = index, (*shape, *(1,) * tail)
    if call.attr("batch_first", False):  # Keras: axes of 1 are put in behind the batch (base_merge.py)
        rank = max(len(shape) for _, shape in shapes)
        return [(i, (*shape[:1], *(1,) * (rank - len(shape)), *shape[1:])) for i, shape in shapes]
    return shapes


def _join_needs(call: Call) -> Iterator[Need]:
    """Shapes must join: by broadcasting, or (``strict``, as Caffe's Eltwise) be equal."""
    shapes = _lined_up(call)
    first_index, first = shapes[0]
    strict = bool(call.attr("strict", False))
    for index, shape in shapes[1:]:
        verdict: Any = True
        if strict and len(first) != len(shape):
            verdict = False
        for a, b in zip(reversed(first), reversed(shape), strict=False):
            verdict = dims.both(verdict, dims.equal(a, b) if strict else dims.joins(a, b))
        yield Need(verdict, "E105", partial(_cannot_join, call, first_index, first, index, shape))


def _cannot_join(call: Call, i: int, first: Shape, j: int, second: Shape) -> Detail:
    message = f"{call.name} joins {dims.show(first)} from {call.giver(i)} with {dims.show(second)} from {call.giver(j)}"
    fixed = weight_in_join(call, i, first, j, second)
    alike = (f"equal shapes, {dims.show(first)}", dims.show(second), "sizes at which both branches round alike")
    return Detail(message, *(fixed or alike))


def _join_shapes(call: Call) -> Shapes:
    return [broadcast([shape for _, shape in _lined_up(call)])]


def _join_contents(call: Call) -> tuple[Dim, ...] | None:
    if any(call.contents(i) is None for i in range(len(call.inputs))):
        return None
    target = broadcast([shape for _, shape in _lined_up(call)])
    return contents.of_join(call, target)


def _lower_join(call: Call, outputs: Shapes) -> Lowered | None:
    """Caffe's ``coeff`` becomes a multiplication of each input (skipped where it is 1)."""
    node = call.node
    drop = ("coeff", "strict", "layout", "batch_first")
    keep = {k: v for k, v in call.attrs.items() if k not in drop and v is not None}
    coefficients = call.attr("coeff", ())
    nodes: list[Node] = []
    params: list[Param] = []
    inputs = list(node.inputs)
    for i, coefficient in enumerate(coefficients):
        if float(coefficient) != 1.0:
            factor, scaled = f"{node.name}/coeff{i}", f"{node.name}/scaled{i}"
            params.append(Param(factor, (), "float32", contents=(float(coefficient),), trained=False))
            nodes.append(Node(f"{node.name}/mul{i}", "Mul", (inputs[i], factor), (scaled,), origin=node.origin))
            inputs[i] = scaled
    for i, shape in _lined_up(call) if call.attr("batch_first", False) else ():
        if len(shape) != len(call.shape(i)):
            target, lined = f"{node.name}/shape{i}", f"{node.name}/lined{i}"
            params.append(Param(target, (len(shape),), "int64", contents=(0, *shape[1:]), trained=False))
            nodes.append(Node(lined, "Reshape", (inputs[i], target), (lined,), origin=node.origin))
            inputs[i] = lined
    while node.op in PAIRWISE and len(inputs) > 2:
        value = f"{node.name}/{len(inputs)}"
        nodes.append(Node(value, node.op, inputs[:2], (value,), keep, origin=node.origin))
        inputs[:2] = [value]
    return Lowered([*nodes, node.replace(inputs=inputs, attrs=keep)], params)


#: Joins that ONNX has for two inputs only.
PAIRWISE = ("Add", "Sub", "Mul")


#: Operators on several tensors, place by place.
JOINS = "Add Sub Mul Div Pow Sum Max Min Mean Mod And Or Xor BitShift BitwiseAnd BitwiseOr BitwiseXor SwiGLU".split()
COMPARISONS = "Equal Greater Less GreaterOrEqual LessOrEqual".split()


def _join(name: str, dtype: Any = None) -> Operator:
    return Operator(
        name,
        _join_shapes,
        needs=_join_needs,
        contents=_join_contents,
        dtype=dtype,
        moved=unmoved,
        lower=_lower_join,
        elementwise=True,
        source=f"ONNX {name}: numpy broadcasting",
    )


def _where_contents(call: Call) -> tuple[Dim, ...] | None:
    """Conditions over small integer tensors, as exporters put them before Expand (where(shape == -1, 1, shape))."""
    if any(call.contents(i) is None for i in range(3)):
        return None
    target = broadcast([call.shape(i) for i in range(3)])
    sides = [contents.broadcast_side(call, i, target) or () for i in range(3)]
    return tuple(_chosen(*row) for row in zip(*sides, strict=True)) or None


def _chosen(condition: Dim, a: Dim, b: Dim) -> Dim:
    return (a if condition else b) if isinstance(condition, int) else Unknown("a condition on sizes")


register(
    *map(_join, JOINS),
    *(_join(name, _bool) for name in COMPARISONS),
    Operator(
        "Where",
        _join_shapes,
        needs=_join_needs,
        contents=_where_contents,
        dtype=lambda call: call.tensor(1).dtype,
        elementwise=True,
        source="ONNX Where-16: numpy broadcasting",
    ),
)


# -- Scale (Caffe) and Power: affine in each element ------------------------------------------------------------------


def _scale_axes(call: Call) -> tuple[int, int]:
    axis = call.axis(int(call.attr("axis", 1)))
    count = call.attrs.get("num_axes", 1)
    if count is None:  # the scale is a value of its own: as many axes as that has
        count = len(call.shape(1))
    return axis, len(call.shape()) - axis if count == -1 else int(count)


def _scale_weights(call: Call) -> dict[int, Shape]:
    axis, count = _scale_axes(call)
    shape = call.shape()[axis : axis + count]
    return {1: shape, 2: shape}


def _scale_lower(call: Call, outputs: Shapes) -> Lowered | None:
    node = call.node
    axis, count = _scale_axes(call)
    tail = len(call.shape()) - axis - count
    nodes: list[Node] = []
    params: list[Param] = []
    value = node.inputs[0]
    for index, op in ((1, "Mul"), (2, "Add")):
        if not call.has(index) or not node.inputs[index]:
            continue
        operand = node.inputs[index]
        if tail:  # line the weight up with its axes
            target, lined = f"{node.name}/shape{index}", f"{node.name}/lined{index}"
            contents = (*call.shape(index), *(1,) * tail)
            params.append(Param(target, (len(contents),), "int64", contents=contents, trained=False))
            nodes.append(
                Node(f"{node.name}/reshape{index}", "Reshape", (operand, target), (lined,), origin=node.origin)
            )
            operand = lined
        out = f"{node.name}/{op.lower()}"
        nodes.append(Node(f"{node.name}/{op.lower()}", op, (value, operand), (out,), origin=node.origin))
        value = out
    if not nodes:
        return Lowered([node.replace(op="Identity", inputs=node.inputs[:1], attrs={})])
    nodes[-1] = nodes[-1].replace(name=node.name, outputs=node.outputs)
    return Lowered(nodes, params)


def _scale_needs(call: Call) -> Iterator[Need]:
    axis, count = _scale_axes(call)
    given = call.shape()[axis : axis + count]
    for index in (1, 2):
        if call.has(index):
            shape = call.shape(index)
            verdict: Any = len(shape) == len(given)
            for a, b in zip(given, shape, strict=False):
                verdict = dims.both(verdict, dims.equal(a, b))
            yield Need(
                verdict,
                "E105",
                partial(_misscaled, call, shape, given),
            )


def _misscaled(call: Call, wanted: Shape, given: Shape) -> Detail:
    return Detail(
        f"{call.name} has weights of {dims.show(wanted)}, {call.giver()} gives {dims.show(call.shape())}",
        dims.show(wanted),
        dims.show(given),
    )


def _power_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """(shift + scale * x) ** power, steps that change nothing left out."""
    node = call.node
    steps = [("Mul", "scale", 1.0), ("Add", "shift", 0.0), ("Pow", "power", 1.0)]
    nodes: list[Node] = []
    params: list[Param] = []
    value = node.inputs[0]
    for op, name, neutral in steps:
        amount = float(call.attr(name, neutral))
        if amount != neutral:
            constant, out = f"{node.name}/{name}", f"{node.name}/{op.lower()}"
            params.append(Param(constant, (), "float32", contents=(amount,), trained=False))
            nodes.append(Node(f"{node.name}/{op.lower()}", op, (value, constant), (out,), origin=node.origin))
            value = out
    if not nodes:
        return Lowered([node.replace(op="Identity", attrs={})])
    nodes[-1] = nodes[-1].replace(name=node.name, outputs=node.outputs)
    return Lowered(nodes, params)


register(
    Operator(
        "Scale",
        same_shape,
        needs=_scale_needs,
        weights=_scale_weights,
        lower=_scale_lower,
        elementwise=True,
        source="Caffe scale_layer.cpp, bias_layer.cpp",
    ),
    Operator("Power", same_shape, lower=_power_lower, elementwise=True, moved=unmoved, source="Caffe power_layer.cpp"),
)


# -- PRelu: one slope a channel (or one for all), not lined up with its axis in Caffe and Chainer ----------------------


def _prelu_lower(call: Call, outputs: Shapes) -> Lowered | None:
    node = call.node
    tail = len(call.shape()) - 2
    if not call.attr("per_channel", False) or tail <= 0 or len(call.shape(1)) != 1:
        return Lowered([node.replace(attrs={})])
    target, lined = f"{node.name}/shape", f"{node.name}/lined"
    contents = (*call.shape(1), *(1,) * tail)
    reshape = Node(f"{node.name}/reshape", "Reshape", (node.inputs[1], target), (lined,), origin=node.origin)
    return Lowered(
        [reshape, node.replace(inputs=(node.inputs[0], lined), attrs={})],
        [Param(target, (len(contents),), "int64", contents=contents, trained=False)],
    )


def _prelu_shapes(call: Call) -> Shapes:
    """The input's shape; onnxruntime repeats the input over larger slopes as well."""
    shape = call.shape()
    if not call.dialect.runs or call.rank(1) is None or call.attrs.get("per_channel"):
        return [shape]
    return [broadcast([shape, call.shape(1)])]


register(
    Operator(
        "PRelu",
        _prelu_shapes,
        weights=lambda call: {1: (1,) if call.attr("shared", False) else (call.channels,)},
        lower=_prelu_lower,
        elementwise=True,
        source="ONNX PRelu-16; Caffe prelu_layer.cpp",
    )
)
