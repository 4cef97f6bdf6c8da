"""Sums of products over named axes: Einsum, attention, rotary embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .. import dims
from ..dims import Dim, Shape
from .base import Call, Detail, Need, Operator, Shapes, register, same_shape
from .elementwise import broadcast

# -- Einsum -----------------------------------------------------------------------------------------------------------


def _terms(call: Call) -> tuple[list[str], str]:
    """The letters of each operand and of the result; without an arrow, those that stand once, in alphabet order."""
    left, arrow, right = str(call.attr("equation")).replace(" ", "").partition("->")
    operands = left.split(",")
    if len(operands) != len(call.inputs):
        raise ValueError(f"equation {left!r} for {len(call.inputs)} operands")
    if arrow:
        return operands, right
    letters = left.replace(",", "").replace("...", "")
    once = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    return operands, ("..." if "..." in left else "") + once


def _axes(term: str, shape: Shape) -> tuple[list[tuple[str, Dim]], Shape]:
    """(letter, size) of each named axis, and the axes that ``...`` stands for."""
    head, dots, tail = term.partition("...")
    hidden = len(shape) - len(head) - len(tail)
    if hidden < 0 or (hidden and not dots):
        raise ValueError(f"{term!r} for {len(shape)} axes")
    middle = len(head) + hidden
    named = [*zip(head, shape[: len(head)], strict=True), *zip(tail, shape[middle:], strict=True)]
    return named, shape[len(head) : middle]


def _einsum(call: Call) -> Shapes:
    operands, result = _terms(call)
    sizes: dict[str, Dim] = {}
    hidden: list[Shape] = []
    for index, term in enumerate(operands):
        named, rest = _axes(term, call.shape(index))
        hidden.append(rest)
        for letter, size in named:
            sizes[letter] = broadcast([(sizes.get(letter, 1),), (size,)])[0]
    head, dots, tail = result.partition("...")
    middle = broadcast(hidden) if dots else ()
    return [(*(sizes[x] for x in head), *middle, *(sizes[x] for x in tail))]


def _einsum_needs(call: Call) -> Iterator[Need]:
    """An axis of one name has one size."""
    operands, _ = _terms(call)
    seen: dict[str, Dim] = {}
    for index, term in enumerate(operands):
        for letter, size in _axes(term, call.shape(index))[0]:
            other = seen.setdefault(letter, size)
            one = any(isinstance(d, int) and d == 1 for d in (other, size))
            yield Need(True if one else dims.equal(other, size), "E105", partial(_unlike, call, letter, other, index))


def _unlike(call: Call, letter: str, wanted: Dim, index: int) -> Detail:
    given = dims.show(call.shape(index))
    return Detail(f"{call.name}: axis {letter!r} is {wanted}, {call.giver(index)} gives {given}", str(wanted), given)


# -- attention --------------------------------------------------------------------------------------------------------


def heads(shape: Shape, count: Dim) -> Shape:
    """(batch, heads, length, features of a head) of a value given with three axes or four."""
    if len(shape) == 4:
        return shape
    batch, length, width = shape
    return batch, count, length, width // count


def attention_shapes(call: Call) -> Shapes:
    """The result lies as the query does; keys and values grow by those of the past."""
    query, key, value = call.shape(0), call.shape(1), call.shape(2)
    q = heads(query, call.attr("q_num_heads", 1))
    kv_heads = call.attr("kv_num_heads", 1)
    k, v = heads(key, kv_heads), heads(value, kv_heads)
    total = (call.shape(4)[2] if call.has(4) else 0) + k[2]
    result: Shape = (*q[:3], v[3]) if len(query) == 4 else (q[0], q[2], q[1] * v[3])
    rest: list[Shape] = [(k[0], k[1], total, k[3]), (v[0], v[1], total, v[3]), (q[0], q[1], q[2], total)]
    return [result, *rest][: len(call.node.outputs)]


def _linear_attention(call: Call) -> Shapes:
    query, key, value = call.shape(0), call.shape(1), call.shape(2)
    q_heads, kv_heads = call.attr("q_num_heads"), call.attr("kv_num_heads")
    deep, wide = key[2] // kv_heads, value[2] // kv_heads
    return [(*query[:2], q_heads * wide), (query[0], kv_heads, deep, wide)][: len(call.node.outputs)]


def _causal_shapes(call: Call) -> Shapes:
    batch, channels, _ = call.shape()
    return [call.shape(), (batch, channels, call.shape(1)[2] - 1)][: len(call.node.outputs)]


def _macs(call: Call, outputs: Shapes) -> Dim:
    """Queries with keys, weights with values."""
    out = outputs[0]
    if not isinstance(out, tuple):
        return out
    q = heads(call.shape(0), call.attr("q_num_heads", 1))
    total = heads(call.shape(1), call.attr("kv_num_heads", 1))[2]
    return dims.product([*q, total]) + dims.product([*out, total])


register(
    Operator("Einsum", _einsum, needs=_einsum_needs, source="ONNX Einsum-12; numpy.einsum"),
    Operator("Attention", attention_shapes, macs=_macs, source="ONNX Attention-23"),
    Operator("RotaryEmbedding", same_shape, source="ONNX RotaryEmbedding-23"),
    Operator("LinearAttention", _linear_attention, source="ONNX LinearAttention-27"),
    Operator("CausalConvWithState", _causal_shapes, source="ONNX CausalConvWithState-27"),
)
register(
    Operator("FlexAttention", attention_shapes, macs=_macs, source="ONNX FlexAttention, preview"),
    domain="ai.onnx.preview",
)
