"""Attention as onnxruntime's domain has it: fused by its optimizer, or written so by exporters of language models."""

from __future__ import annotations

from .. import dims
from ..dims import Dim, Shape, Unknown
from .attention import heads
from .base import Call, Operator, Shapes, register
from .counting import runtime_count
from .microsoft import DOMAIN, SOURCE
from .views import view


def _some(call: Call, shapes: Shapes) -> Shapes:
    """Those of its outputs that the node asks for."""
    return shapes[: len(call.node.outputs)]


def _number(call: Call, index: int, output: int, axis: int) -> Dim:
    """A size given as an input; where it is computed when it runs, a symbol of the output's axis."""
    listed = call.contents(index)
    return listed[0] if listed else runtime_count(call, output, axis)


def _shared(call: Call, index: int) -> bool:
    """Whether the past lies in the buffer of what comes out, which stays as long as it is."""
    return bool(call.attr("past_present_share_buffer", 0)) and call.has(index)


# -- one weight for query, key and value ------------------------------------------------------------------------------


def _merged_attention(call: Call, past: int, weight: int = 1) -> Shapes:
    """The width of the value is the last third, unless the attribute says other parts; the past has its own length."""
    batch, length, _ = call.shape()
    hidden = call.attr("qkv_hidden_sizes")
    width: Dim = hidden[2] if hidden else call.shape(weight)[1] // 3
    count = int(call.attr("num_heads"))
    total = call.shape(past)[3] if call.has(past) else 0
    if not _shared(call, past):
        total = total + length
    return _some(call, [(batch, length, width), (2, batch, count, total, width // count)])


def _packed_attention(call: Call) -> Shapes:
    """Tokens of all items in one row, without padding."""
    hidden = call.attr("qkv_hidden_sizes")
    return [(call.shape()[0], hidden[2] if hidden else call.shape(1)[1] // 3)]


# -- query, key and value apart ---------------------------------------------------------------------------------------


def _keys(call: Call, index: int, count: int) -> Shape:
    shape = call.shape(index)
    if len(shape) == 5:  # batch, length, heads, 2, features of a head
        return (shape[0], shape[2], shape[1], shape[4])
    return heads(shape, count)


def _multi_head(call: Call) -> Shapes:
    """Query, key, value; keys and values may lie packed with the query, or come with their heads apart."""
    query, count = call.shape(), int(call.attr("num_heads"))
    if len(query) == 5:  # batch, length, heads, 3, features of a head
        batch, length, _, _, each = query
        k: Shape = (batch, count, length, each)
        v = k
    else:
        batch, length = query[:2]
        k = _keys(call, 1, count)
        v = _keys(call, 2, count) if call.has(2) else k
    buffered = call.has(6) and call.has(8)
    past = call.shape(6)[2] if call.has(6) else 0
    total = past if buffered else past + k[2]
    rest: list[Shape] = [(*k[:2], total, k[3]), (*v[:2], total, v[3]), (batch, count, length, total)]
    return _some(call, [(batch, length, v[3] * count), *rest])


def _masked_multi_head(call: Call) -> Shapes:
    """One token after the past: alone packed with its key and value, or with the keys of an encoder (four axes)."""
    query, count = call.shape(), int(call.attr("num_heads"))
    batch, length = query[:2]
    value = call.shape(2) if call.has(2) else (*query[:-1], query[-1] // 3)
    width = value[1] * value[3] if len(value) == 4 else value[-1]
    if not call.has(5):
        return _some(call, [(batch, length, width)])
    past = call.shape(5)
    present = past if _shared(call, 5) else (*past[:2], past[2] + length, past[3])
    return _some(call, [(batch, length, width), present, present, (batch, count, length, present[2])])


def _packed_multi_head(call: Call) -> Shapes:
    query = call.shape()
    if len(query) == 4:  # tokens, heads, 3, features of a head
        return [(query[0], query[1] * query[3])]
    return [(query[0], call.shape(2)[1])]


# -- groups of heads --------------------------------------------------------------------------------------------------


def _group_query(call: Call) -> Shapes:
    """The query's shape; keys and values are as long as the past was, or as an input says if that is more."""
    batch, length, width = call.shape()
    count, groups = int(call.attr("num_heads")), int(call.attr("kv_num_heads"))
    each = width // count if call.has(1) else width // (count + 2 * groups)
    total = _number(call, 6, 1, 2)
    longest = dims.maximum(call.shape(3)[2], total) if call.has(3) else total
    present: Shape = (batch, groups, longest, each)
    return _some(call, [(batch, length, each * count), present, present, (batch, count, length, total)])


def _sparse(call: Call) -> Shapes:
    """As `_group_query`, with keys and values in buffers that stay."""
    return _some(call, [_group_query(call)[0], call.shape(3), call.shape(4)])


def _paged(call: Call) -> Shapes:
    """Tokens of all items in one row; keys and values lie in blocks that stay."""
    tokens, width = call.shape()
    count, groups = int(call.attr("num_heads")), int(call.attr("kv_num_heads"))
    each = width // count if call.has(1) else width // (count + 2 * groups)
    stay = [call.shape(i) for i in (3, 4) if call.has(i)]
    return _some(call, [(tokens, count * (call.attr("v_head_size") or each)), *stay])


# -- what stands around it --------------------------------------------------------------------------------------------


def _embedded(call: Call) -> Shapes:
    """Words with their features; how many of each item count; the sum before it is normalized."""
    batch, length = call.shape()
    rows: Shape = (batch, length, call.shape(2)[1])
    return _some(call, [rows, (batch,), rows])


def _relative_bias(call: Call) -> Shapes:
    return [(1, call.shape()[1], _number(call, 1, 0, 2), _number(call, 2, 0, 3))]


def _gated_bias(call: Call) -> Shapes:
    """A bias for each pair of places; of packed tokens their offsets tell how long the items are."""
    batch, length = call.shape(6)[:2] if call.has(6) else call.shape()[:2]
    return [(batch, int(call.attr("num_heads")), length, length)]


def _unpadded(call: Call) -> Shapes:
    batch, length, width = call.shape()
    tokens = runtime_count(call, high=batch * length)
    return _some(call, [(tokens, width), (batch, length), (batch + 1,), (1,)])


# -- whole decoders ---------------------------------------------------------------------------------------------------


def _words(call: Call) -> Dim:
    count = int(call.attr("vocab_size", -1))
    return count if count != -1 else Unknown(f"{call.name}: it does not say how many words there are")


def _beams(call: Call) -> Shapes:
    """Sequences of each item, their scores, and the scores of every word at every step."""
    batch, longest = call.shape()[0], _number(call, 1, 0, 2)
    found = _number(call, 4, 0, 1)
    steps = runtime_count(call, 2, 0)
    return _some(call, [(batch, found, longest), (batch, found), (steps, batch, _number(call, 3, 2, 2), _words(call))])


def _searched(call: Call) -> Shapes:
    batch = call.shape()[0]
    return _some(call, [(batch, _number(call, 1, 0, 1)), (batch, _words(call))])


def _with_window(call: Call) -> Shapes:
    """ONNX's operator of that name, whose state may be that of the last ``state_window`` tokens."""
    from . import find

    row = find(call.node.op)
    if row is None:
        raise ValueError(f"no row {call.node.op}")
    result, *state = row.shapes(view(call, call.node.op, range(len(call.inputs))))
    window = int(call.attr("state_window", 0))
    kept = [(window, *shape) if window and isinstance(shape, tuple) else shape for shape in state]
    return [result, *kept]


def _cached(call: Call) -> list[str | None]:
    """Keys and values are of the element type they were kept in."""
    dtype = call.tensor(0).dtype
    kept = call.tensor(3).dtype if call.has(3) else dtype
    return [dtype, kept, kept, dtype]


def _of_words(call: Call, index: int) -> list[str | None]:
    dtype = call.tensor(index).dtype
    return [dtype, "int32", dtype]


register(
    Operator("Attention", lambda call: _merged_attention(call, 4), source=SOURCE),
    Operator("DecoderMaskedSelfAttention", lambda call: _merged_attention(call, 4), source=SOURCE),
    Operator(
        "QAttention", lambda call: _merged_attention(call, 8), dtype=lambda call: call.tensor(3).dtype, source=SOURCE
    ),
    Operator("PackedAttention", _packed_attention, source=SOURCE),
    Operator("LongformerAttention", lambda call: [call.shape()], source=SOURCE),
    Operator("MultiHeadAttention", _multi_head, source=SOURCE),
    Operator("DecoderMaskedMultiHeadAttention", _masked_multi_head, source=SOURCE),
    Operator("PackedMultiHeadAttention", _packed_multi_head, source=SOURCE),
    Operator("GroupQueryAttention", _group_query, dtype=_cached, source=SOURCE),
    Operator("SparseAttention", _sparse, source=SOURCE),
    Operator("PagedAttention", _paged, dtype=_cached, source=SOURCE),
    Operator("EmbedLayerNormalization", _embedded, dtype=lambda call: _of_words(call, 2), source=SOURCE),
    Operator("QEmbedLayerNormalization", _embedded, dtype=lambda call: _of_words(call, 8), source=SOURCE),
    Operator("RelativePositionBias", _relative_bias, source=SOURCE),
    Operator("GatedRelativePositionBias", _gated_bias, source=SOURCE),
    Operator("RemovePadding", _unpadded, dtype=lambda call: [call.tensor(0).dtype, *["int32"] * 3], source=SOURCE),
    Operator("RestorePadding", lambda call: [(*call.shape(1), call.shape()[1])], source=SOURCE),
    *(
        Operator(name, _beams, dtype=lambda call: ["int32", *["float32"] * 4], source=SOURCE)
        for name in ("BeamSearch", "WhisperBeamSearch")
    ),
    *(
        Operator(name, _searched, dtype=lambda call: ["int32", "float32"], source=SOURCE)
        for name in ("GreedySearch", "Sampling")
    ),
    *(Operator(name, _with_window, source=SOURCE) for name in ("LinearAttention", "CausalConvWithState")),
    domain=DOMAIN,
)
