"""Fully connected layers: Gemm (Caffe InnerProduct, Chainer and Keras Linear) and MatMul."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import dims
from ..dims import Dim, Shape
from ..graph import Node, Param
from .baked import constant, squares
from .base import Call, Detail, Lowered, Need, Operator, Shapes, factors, need_rank, number, register

#: A Gemm that flattens its input first says from which axis (ONNX's own has no such attribute and takes a matrix).
FLATTEN = "axis"


def _flatten_axis(call: Call) -> int | None:
    axis = call.attrs.get(FLATTEN)
    return None if axis is None else call.axis(int(axis))


def _fan_in(call: Call) -> Dim:
    axis = _flatten_axis(call)
    shape = call.shape()
    if axis is None:
        return shape[0] if call.attr("transA", 0) else shape[1]
    return dims.product(shape[axis:])


def _weight(call: Call) -> tuple[Dim, Dim]:
    """(fan-in, outputs) of the weight, whichever way it lies."""
    shape = call.shape(1)
    return (shape[1], shape[0]) if call.attr("transB", 0) else (shape[0], shape[1])


def _shapes(call: Call) -> Shapes:
    axis = _flatten_axis(call)
    outputs = _weight(call)[1]
    if axis is None:
        return [(call.shape()[1 if call.attr("transA", 0) else 0], outputs)]
    return [(*call.shape()[:axis], outputs)]


def _weights(call: Call) -> dict[int, Shape]:
    channels, fan_in = call.attr("channels"), _fan_in(call)
    return {1: (channels, fan_in) if call.attr("transB", 0) else (fan_in, channels), 2: (channels,)}


def _needs(call: Call) -> Iterator[Need]:
    if call.attrs.get(FLATTEN) is None:
        yield need_rank(call, 2)
    yield need_rank(call, 2, index=1)
    given, wanted = _fan_in(call), _weight(call)[0]
    yield Need(dims.equal(given, wanted), "E101", lambda: _misfit(call, given, wanted))
    if call.has(2) and call.rank(2) is not None and call.attrs.get(FLATTEN) is None:
        out, bias = _shapes(call)[0], call.shape(2)
        if isinstance(out, tuple):
            verdict: dims.Verdict = len(bias) <= 2
            for size, n in zip(reversed(bias), reversed(out), strict=False):
                verdict = dims.both(verdict, True if isinstance(size, int) and size == 1 else dims.equal(size, n))
            yield Need(verdict, "E105", lambda: _unbiased(call, out, bias))


def _unbiased(call: Call, out: Shape, bias: Shape) -> Detail:
    """The third input is repeated over the result, never the result over it."""
    return Detail(f"{call.name} adds {dims.show(bias)} to {dims.show(out)}", dims.show(out), dims.show(bias))


def _misfit(call: Call, given: Dim, wanted: Dim) -> Detail:
    axis = _flatten_axis(call)
    offered = factors(call.shape()[axis:]) if axis is not None and len(call.shape()) > axis + 1 else ""
    return Detail(
        f"{call.name} expects {wanted} inputs, {call.giver()} gives {given}",
        number(wanted),
        f"{number(given)} = {offered}" if offered else number(given),
    )


def _formula(call: Call, outputs: Shapes) -> str:
    axis = _flatten_axis(call)
    given = _fan_in(call)
    flat = factors(call.shape()[axis:]) if axis is not None and len(call.shape()) > axis + 1 else ""
    total = "" if flat and isinstance(given, dims.Expr) else str(given)  # a product of symbols is written once
    wanted, channels = _weight(call)
    clash = f" ≠ {wanted}" if dims.equal(given, wanted) is False else ""
    return f"{' = '.join(filter(None, (flat, total)))}{clash} → {channels}"


def _macs(call: Call, outputs: Shapes) -> Dim:
    out = outputs[0]
    return dims.product(out) * _weight(call)[0] if isinstance(out, tuple) else out


def _lower(call: Call, outputs: Shapes) -> Lowered | None:
    node, axis = call.node, _flatten_axis(call)
    attrs = {k: v for k, v in call.attrs.items() if k not in (FLATTEN, "channels") and v is not None}
    if axis is None or (axis == 1 and len(call.shape()) == 2):
        return Lowered([node.replace(attrs=attrs)])
    flat = f"{node.name}/flat"
    flatten = Node(f"{node.name}/flatten", "Flatten", node.inputs[:1], (flat,), {"axis": axis}, origin=node.origin)
    if axis == 1:
        return Lowered([flatten, node.replace(inputs=(flat, *node.inputs[1:]), attrs=attrs)])
    rows, target = f"{node.name}/rows", f"{node.name}/shape"
    gemm = node.replace(inputs=(flat, *node.inputs[1:]), outputs=(rows,), attrs=attrs)
    shape = tuple(outputs[0]) if isinstance(outputs[0], tuple) else ()
    reshape = Node(f"{node.name}/reshape", "Reshape", (rows, target), node.outputs, origin=node.origin)
    return Lowered([flatten, gemm, reshape], [Param(target, (len(shape),), "int64", contents=shape, trained=False)])


# -- MatMul -----------------------------------------------------------------------------------------------------------


def _matmul_shapes(call: Call) -> Shapes:
    a, b = call.shape(0), call.shape(1)
    if len(a) == 1 or len(b) == 1:
        head = a[:-1] if len(b) == 1 else b[:-2]
        return [(*head, *(() if len(b) == 1 else b[-1:]))]
    from .elementwise import broadcast

    return [(*broadcast([a[:-2], b[:-2]]), a[-2], b[-1])]


def _matmul_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, at_least=1)
    yield need_rank(call, at_least=1, index=1)
    a, b = call.shape(0), call.shape(1)
    given, wanted = a[-1], b[-2] if len(b) > 1 else b[0]
    yield Need(
        dims.equal(given, wanted),
        "E101",
        lambda: _mismatched(call, given, wanted),
    )
    verdict: Any = True
    for one, other in zip(reversed(a[:-2]), reversed(b[:-2]), strict=False):
        verdict = dims.both(verdict, dims.joins(one, other))
    yield Need(verdict, "E105", lambda: _unlike_stacks(call, a[:-2], b[:-2]))


def _unlike_stacks(call: Call, one: Shape, other: Shape) -> Detail:
    """Matrices are multiplied pair by pair: as many on both sides, or one for all."""
    shown = dims.show(one), dims.show(other)
    message = (
        f"{call.name} multiplies {shown[0]} matrices from {call.giver()} with {shown[1]} matrices from {call.giver(1)}"
    )
    return Detail(message, f"{shown[0]}, or one for all", shown[1], "the batch and size that the file was made for")


def _mismatched(call: Call, given: Dim, wanted: Dim) -> Detail:
    """A matrix that mixes places was made for as many as there were."""
    name, (made, now) = constant(call, 1), squares(wanted, given)
    hint = (
        f"the input size that {name} was made for: it mixes {made} places, {now} come" if "×" in made and name else ""
    )
    return Detail(
        f"{call.name} expects {wanted} inputs, {call.giver()} gives {given}", number(wanted), number(given), hint
    )


def _matmul_macs(call: Call, outputs: Shapes) -> Dim:
    out = outputs[0]
    return dims.product(out) * call.shape(0)[-1] if isinstance(out, tuple) else out


register(
    Operator(
        "Gemm",
        _shapes,
        needs=_needs,
        weights=_weights,
        macs=_macs,
        formula=_formula,
        lower=_lower,
        source="ONNX Gemm-13; Caffe inner_product_layer.cpp; Chainer links/connection/linear.py",
    ),
    Operator(
        "MatMul",
        _matmul_shapes,
        needs=_matmul_needs,
        macs=_matmul_macs,
        formula=lambda call, outputs: f"{call.shape(0)[-1]} → {call.shape(1)[-1]}",
        source="ONNX MatMul-13 (numpy.matmul)",
    ),
)
