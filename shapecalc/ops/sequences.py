"""Keras' layers on sequences and vectors, under the domain "keras": attention, embeddings, products."""

from __future__ import annotations

from collections.abc import Iterator

from .. import dims
from ..dims import Dim, Shape
from .base import Call, Detail, Lowered, Need, Operator, Shapes, need_rank, register
from .chain import Chain

# -- MultiHeadAttention: query, value, key, then kernel and bias of query, key, value and output -----------------------


def _attention_shapes(call: Call) -> Shapes:
    """The query's shape, its features as ``output_shape`` says; then the scores (multi_head_attention.py)."""
    query = call.shape()
    width = call.attr("channels") or query[-1]
    scores = (query[0], call.attr("heads"), query[1], call.shape(1)[1])
    return [(*query[:-1], width), scores][: len(call.node.outputs)]


def _attention_weights(call: Call) -> dict[int, Shape]:
    query, value, key = call.shape(0)[-1], call.shape(1)[-1], call.shape(2)[-1]
    heads, key_dim, value_dim = call.attr("heads"), call.attr("key_dim"), call.attr("value_dim")
    out, shared = call.attr("channels") or query, call.attr("key_heads") or heads
    rows: list[tuple[Shape, Shape]] = [
        ((query, heads, key_dim), (heads, key_dim)),
        ((key, shared, key_dim), (shared, key_dim)),
        ((value, shared, value_dim), (shared, value_dim)),
        ((heads, value_dim, out), (out,)),
    ]
    shapes = [shape for row in rows for shape in (row if call.attr("use_bias", True) else row[:1])]
    return dict(enumerate(shapes, 3))


def _attention_macs(call: Call, outputs: Shapes) -> Dim:
    """The four projections, then queries with keys and scores with values."""
    batch, steps = call.shape()[:2]
    width, key_dim, value_dim = call.attr("heads"), call.attr("key_dim"), call.attr("value_dim")
    given, shared = call.shape(1)[1], call.attr("key_heads") or width
    out = call.attr("channels") or call.shape()[-1]
    asked = steps * (call.shape()[-1] * key_dim + value_dim * out)
    told = given * (call.shape(2)[-1] * key_dim + call.shape(1)[-1] * value_dim)
    return batch * (width * (asked + steps * given * (key_dim + value_dim)) + shared * told)


def _projected(call: Call, chain: Chain, place: int, weight: int) -> str:
    """A value of three axes through a kernel (features, heads, size): (batch, heads, steps, size)."""
    value = chain.add("Einsum", (call.node.inputs[place], call.node.inputs[weight]), {"equation": "btd,dnk->btnk"})
    if call.attr("use_bias", True):
        value = chain.add("Add", (value, call.node.inputs[weight + 1]))
    return chain.add("Transpose", (value,), {"perm": [0, 2, 1, 3]})


def _repeated(call: Call, chain: Chain, value: str) -> str:
    """Heads of key or value for each head of the query that shares them: (batch, heads, steps, size)."""
    heads, shared = int(call.attr("heads")), int(call.attr("key_heads") or call.attr("heads"))
    if heads == shared:
        return value
    steps, size = int(call.shape(1)[1]), int(call.attr("key_dim"))
    line = chain.add("Unsqueeze", (value, [2]))
    wide = chain.add("Expand", (line, [1, 1, heads // shared, 1, 1]))
    return chain.add("Reshape", (wide, [0, heads, steps, size]))


def _earlier(call: Call, chain: Chain, scores: str) -> str:
    """Scores of which each step keeps those of no later one."""
    if not call.attr("causal", False):
        return scores
    size = [int(call.shape(0)[1]), int(call.shape(1)[1])]
    params = [chain.numbers("float32", 1.0), chain.numbers("int64", *size)]
    ones = chain.add("Expand", params)
    seen = chain.add("Cast", (chain.add("Trilu", (ones,), {"upper": 0}),), {"to": "bool"})
    return chain.add("Where", (seen, scores, -1.0e9))


def _attention_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """softmax(q·k / √key_dim)·v, by heads (multi_head_attention.py); over one axis of steps."""
    if any(len(call.shape(i)) != 3 for i in range(3)) or len(call.node.outputs) > 1:
        return None
    step = 2 if call.attr("use_bias", True) else 1
    chain = Chain(call)
    query = chain.add("Mul", (_projected(call, chain, 0, 3), float(call.attr("key_dim")) ** -0.5))
    key, value = _projected(call, chain, 2, 3 + step), _projected(call, chain, 1, 3 + 2 * step)
    key, value = (_repeated(call, chain, each) for each in (key, value))
    scores = chain.add("MatMul", (query, chain.add("Transpose", (key,), {"perm": [0, 1, 3, 2]})))
    seen = chain.add("MatMul", (chain.add("Softmax", (_earlier(call, chain, scores),), {"axis": -1}), value))
    inputs = (seen, call.node.inputs[3 + 3 * step])
    result = chain.add("Einsum", inputs, {"equation": "bntv,nvo->bto"})
    if step == 2:
        chain.add("Add", (result, call.node.inputs[4 + 3 * step]))
    return chain.done()


# -- Attention without projections: query, value, key, then a scale ----------------------------------------------------


def _dot_attention_shapes(call: Call) -> Shapes:
    return [(*call.shape()[:-1], call.shape(1)[-1])]


def _dot_attention_weights(call: Call) -> dict[int, Shape]:
    if call.attr("added") == "outside":
        return {3: (call.shape()[-1],)}
    return {3: (), 4: ()}


def _dot_attention_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """softmax(scores)·v (attention/attention.py, additive_attention.py)."""
    if any(len(call.shape(i)) != 3 for i in range(3)):
        return None
    chain = Chain(call)
    scores = (_added_scores if call.attr("added") else _multiplied_scores)(call, chain)
    weights = chain.add("Softmax", (_earlier(call, chain, scores),), {"axis": -1})
    chain.add("MatMul", (weights, call.node.inputs[1]))
    return chain.done()


def _multiplied_scores(call: Call, chain: Chain) -> str:
    """scale·q·k."""
    query, _, key = call.node.inputs[:3]
    scores = chain.add("MatMul", (query, chain.add("Transpose", (key,), {"perm": [0, 2, 1]})))
    return chain.add("Mul", (scores, call.node.inputs[3])) if call.has(3) else scores


def _added_scores(call: Call, chain: Chain) -> str:
    """w·Σ tanh(scale·(q + k)), or Σ scale·tanh(q + k)."""
    query, key = (chain.add("Unsqueeze", (call.node.inputs[i], [axis])) for i, axis in ((0, 2), (2, 1)))
    weights = list(call.node.inputs[3:])
    both = chain.add("Add", (query, key))
    inside = call.attr("added") == "inside"
    if inside and call.attr("scaled"):
        both = chain.add("Mul", (both, weights.pop(0)))
    bent = chain.add("Tanh", (both,))
    if not inside and weights:
        bent = chain.add("Mul", (bent, weights.pop(0)))
    total = chain.add("ReduceSum", (bent, [-1]), {"keepdims": 0})
    return chain.add("Mul", (total, weights.pop(0))) if weights else total


# -- Embedding, RepeatVector, Dot --------------------------------------------------------------------------------------


def _embedding_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    indices = chain.add("Cast", call.node.inputs[:1], {"to": "int64"})
    chain.add("Gather", (call.node.inputs[1], indices), {"axis": 0})
    return chain.done()


def _repeat_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    line = chain.add("Unsqueeze", (call.node.inputs[0], [1]))
    chain.add("Tile", (line, [1, call.attr("repeats"), 1]))
    return chain.done()


def _dot_axes(call: Call) -> tuple[int, int]:
    first, second = call.attr("axes")
    return call.axis(int(first)), call.axis(int(second), len(call.shape(1)))


def _dot_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, at_least=2)
    yield need_rank(call, at_least=2, index=1)
    i, j = _dot_axes(call)
    a, b = call.shape(0)[i], call.shape(1)[j]
    text = f"{call.name} multiplies axis {i} of {dims.show(call.shape())} with axis {j} of {dims.show(call.shape(1))}"
    words = Detail(text, str(a), str(b))
    yield Need(dims.both(i > 0 and j > 0, dims.equal(a, b)), "E105", lambda: words)


def _dot_shapes(call: Call) -> Shapes:
    """Batch, what is left of the first, what is left of the second; at least one axis behind the batch (dot.py)."""
    i, j = _dot_axes(call)
    a, b = call.shape(0), call.shape(1)
    rest = (*a[1:i], *a[i + 1 :], *b[1:j], *b[j + 1 :])
    return [(a[0], *(rest or (1,)))]


LETTERS = "abcdefghijklmnopqrstuvwxy"


def _dot_lower(call: Call, outputs: Shapes) -> Lowered | None:
    i, j = _dot_axes(call)
    a, b = len(call.shape(0)), len(call.shape(1))
    if call.attr("normalize", False) or a + b > len(LETTERS):
        return None
    first = ["z", *LETTERS[: a - 1]]
    second = ["z", *LETTERS[a - 1 : a + b - 2]]
    second[j] = first[i]
    rest = [letter for letter in first[1:] + second[1:] if letter != first[i]]
    chain = Chain(call)
    equation = f"{''.join(first)},{''.join(second)}->z{''.join(rest)}"
    value = chain.add("Einsum", call.node.inputs[:2], {"equation": equation})
    if not rest:
        chain.add("Unsqueeze", (value, [1]))
    return chain.done()


register(
    Operator(
        "MultiHeadAttention",
        _attention_shapes,
        needs=lambda call: iter([need_rank(call, at_least=3)]),
        weights=_attention_weights,
        macs=_attention_macs,
        lower=_attention_lower,
        source="Keras attention/multi_head_attention.py",
    ),
    Operator(
        "DotAttention",
        _dot_attention_shapes,
        needs=lambda call: iter([need_rank(call, at_least=3)]),
        weights=_dot_attention_weights,
        lower=_dot_attention_lower,
        source="Keras attention/attention.py",
    ),
    Operator(
        "Embedding",
        lambda call: [(*call.shape(), call.attr("channels"))],
        weights=lambda call: {1: (call.attr("input_dim"), call.attr("channels"))},
        lower=_embedding_lower,
        dtype=lambda call: "float32",
        source="Keras core/embedding.py",
    ),
    Operator(
        "RepeatVector",
        lambda call: [(call.shape()[0], call.attr("repeats"), *call.shape()[1:])],
        needs=lambda call: iter([need_rank(call, 2)]),
        lower=_repeat_lower,
        source="Keras reshaping/repeat_vector.py",
    ),
    Operator("Dot", _dot_shapes, needs=_dot_needs, lower=_dot_lower, source="Keras merging/dot.py"),
    domain="keras",
)
