"""Operators that keep their input's shape, and those that join several inputs place by place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..graph import Node, Param
from .base import Call, Detail, Lowered, Need, Operator, Shapes, register, same_shape

UNARY = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
]


def _drop_extras(call: Call, outputs: Shapes) -> Lowered | None:
    """ONNX as it stands, less the attributes only the trace reads."""
    keep = {k: v for k, v in call.attrs.items() if k not in ("phase", "layout", "ratio") and v is not None}
    return Lowered([call.node.replace(attrs=keep)])


register(
    *(
        Operator(name, same_shape, constants=(1, 2), elementwise=True, lower=_drop_extras, source=f"ONNX {name}")
        for name in UNARY
    ),
    Operator("Identity", same_shape, contents=lambda call: call.contents(0), elementwise=True, source="ONNX Identity"),
    Operator(
        "Dropout",
        same_shape,
        constants=(1, 2),
        elementwise=True,
        lower=_drop_extras,
        source="ONNX Dropout-13: identity at inference",
    ),
    Operator("Softmax", same_shape, lower=_drop_extras, source="ONNX Softmax-13"),
    Operator("LogSoftmax", same_shape, lower=_drop_extras, source="ONNX LogSoftmax-13"),
)


# -- joins ------------------------------------------------------------------------------------------------------------


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The common shape of several under numpy's rule; a pair that cannot be joined yields the larger."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_joined(axis) for axis in zip(*padded, strict=True))


def _joined(sizes: Sequence[Dim]) -> Dim:
    others = [d for d in sizes if not (isinstance(d, int) and d == 1)]
    if not others:
        return 1
    known = [d for d in others if isinstance(d, int)]
    return known[0] if known else others[0]


def _lined_up(call: Call) -> list[tuple[int, Shape]]:
    """(input, shape) of every operand; before opset 7 ``broadcast`` and ``axis`` say where the second one starts."""
    shapes = [(i, call.shape(i)) for i in range(len(call.inputs)) if call.has(i)]
    if call.attr("broadcast", 0) and call.attrs.get("axis") is not None and len(shapes) == 2:
        index, shape = shapes[1]
        tail = len(call.shape()) - call.axis(int(call.attr("axis"))) - len(shape)
        if not 0 <= tail < len(call.shape()):
            raise ValueError(f"axis {call.attr('axis')}")
        shapes[1] = index, (*shape, *(1,) * tail)
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
            one = not strict and ((isinstance(a, int) and a == 1) or (isinstance(b, int) and b == 1))
            verdict = dims.both(verdict, True if one else dims.equal(a, b))
        yield Need(verdict, "E105", partial(_cannot_join, call, first_index, first, index, shape))


def _cannot_join(call: Call, i: int, first: Shape, j: int, second: Shape) -> Detail:
    return Detail(
        f"{call.name} joins {dims.show(first)} from {call.giver(i)} with {dims.show(second)} from {call.giver(j)}",
        f"equal shapes, {dims.show(first)}",
        dims.show(second),
        "sizes at which both branches round alike",
    )


def _join_shapes(call: Call) -> Shapes:
    return [broadcast([shape for _, shape in _lined_up(call)])]


_ARITHMETIC: dict[str, Callable[[Any, Any], Dim]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: dims.truncated_divide(a, b),
    "Min": dims.minimum,
    "Max": dims.maximum,
    "Equal": lambda a, b: _truth(dims.equal(a, b)),
    "Less": lambda a, b: _truth(dims.at_least(b, a + 1)),
    "Greater": lambda a, b: _truth(dims.at_least(a, b + 1)),
}


def _join_contents(call: Call) -> tuple[Dim, ...] | None:
    rule = _ARITHMETIC.get(call.node.op)
    sides = [call.contents(i) for i in range(len(call.inputs))]
    if (
        rule is None
        or any(side is None for side in sides)
        or not call.tensor(0).dtype
        or "int" not in str(call.tensor(0).dtype)
    ):
        return None
    total = sides[0]
    for side in sides[1:]:
        if total is None or side is None:
            return None
        if len(total) != len(side):
            if 1 not in (len(total), len(side)):
                return None
            longest = max(len(total), len(side))
            total, side = (s * longest if len(s) == 1 else s for s in (total, side))
        if call.node.op == "Div" and any(isinstance(d, int) and d == 0 for d in side):
            return None
        total = tuple(rule(a, b) for a, b in zip(total, side, strict=True))
    return total


def _lower_join(call: Call, outputs: Shapes) -> Lowered | None:
    """Caffe's ``coeff`` becomes a multiplication of each input (skipped where it is 1)."""
    node = call.node
    keep = {k: v for k, v in call.attrs.items() if k not in ("coeff", "strict", "layout") and v is not None}
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
    return Lowered([*nodes, node.replace(inputs=inputs, attrs=keep)], params)


def _join(name: str, dtype: Any = None) -> Operator:
    return Operator(
        name,
        _join_shapes,
        needs=_join_needs,
        contents=_join_contents,
        dtype=dtype,
        lower=_lower_join,
        elementwise=True,
        source=f"ONNX {name}: numpy broadcasting",
    )


def _bool(call: Call) -> str:
    return "bool"


def _truth(verdict: Any) -> Dim:
    return int(verdict) if isinstance(verdict, bool) else Unknown("a comparison of free dimensions")


def _where_contents(call: Call) -> tuple[Dim, ...] | None:
    """Conditions over small integer tensors, as exporters put them before Expand (where(shape == -1, 1, shape))."""
    sides = [call.contents(i) or () for i in range(3)]
    longest = max(map(len, sides))
    if any(len(side) not in (1, longest) for side in sides):
        return None
    rows = zip(*(side * longest if len(side) == 1 else side for side in sides), strict=True)
    return tuple((a if c else b) if isinstance(c, int) else Unknown("a condition on sizes") for c, a, b in rows)


register(
    *(
        _join(name)
        for name in ["Add", "Sub", "Mul", "Div", "Pow", "Sum", "Max", "Min", "Mean", "Mod", "And", "Or", "Xor"]
    ),
    *(_join(name, _bool) for name in ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"]),
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
    Operator("Power", same_shape, lower=_power_lower, elementwise=True, source="Caffe power_layer.cpp"),
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


register(
    Operator(
        "PRelu",
        same_shape,
        weights=lambda call: {1: (1,) if call.attr("shared", False) else (call.channels,)},
        lower=_prelu_lower,
        elementwise=True,
        source="ONNX PRelu-16; Caffe prelu_layer.cpp",
    )
)
