"""Layers on sequences and vectors: recurrent ones, attention, embeddings, and wrappers of other layers."""

from __future__ import annotations

from typing import Any

from .activations import LAYERS as ACTIVATION_LAYERS
from .layer import Layer, Made, Row, Weight, unread
from .text import Value

#: Gates of a recurrent layer, and how many states it returns besides its output.
CELLS = {"LSTM": (4, 2), "GRU": (3, 1), "SimpleRNN": (1, 1)}


def _recurrent(layer: Layer) -> Made:
    gates, states = CELLS[layer.kind]
    attrs, weights = _cell(layer, gates, at="cell")
    outputs = 1 + states if layer.config.flag("return_state", False) else 1
    return Made("Recurrent", attrs, weights, "keras", outputs=outputs)


def _cell(layer: Layer, gates: int, prefix: str = "", at: str = "") -> tuple[dict[str, Any], tuple[Weight, ...]]:
    config = layer.config
    attrs: dict[str, Any] = {
        "units": config.integer("units", low=1),
        "gates": gates,
        "return_sequences": config.flag("return_sequences", False),
        "use_bias": config.flag("use_bias", True),
        "reset_after": layer.kind == "GRU" and config.flag("reset_after", layer.modern),
    }
    names = ["kernel", "recurrent_kernel", *(["bias"] if attrs["use_bias"] else [])]
    return attrs, tuple(Weight(prefix + name, at=at) for name in names)


def _wrapped(layer: Layer) -> Layer:
    inner = layer.config.find("layer")
    if inner is None or not isinstance(inner.data, dict):
        raise layer.refuse("it wraps no layer")
    return layer.inside(inner, "the layer inside")


def _bidirectional(layer: Layer) -> Made:
    inner = _wrapped(layer)
    if inner.kind not in CELLS:
        return unread(f"Bidirectional around {inner.kind} has no rule yet")
    gates, states = CELLS[inner.kind]
    attrs, forward = _cell(inner, gates, f"forward_{inner.kind.lower()}/", "forward_layer/cell")
    _, backward = _cell(inner, gates, f"backward_{inner.kind.lower()}/", "backward_layer/cell")
    merge: Value | None = layer.config.value.get("merge_mode")
    if merge is not None and merge.data is None:
        return unread("Bidirectional that keeps its directions apart has no rule yet")
    attrs |= {"directions": 2, "merge": layer.config.text("merge_mode", "concat")}
    outputs = 1 + 2 * states if inner.config.flag("return_state", False) else 1
    return Made("Recurrent", attrs, (*forward, *backward), "keras", outputs=outputs)


#: What acts on the last axis, or on each element, does so at every step alike.
STEPWISE = frozenset({"Dense", "Dropout", *ACTIVATION_LAYERS} - {"PReLU", "Softmax"})


def _time_distributed(layer: Layer) -> Made:
    inner = _wrapped(layer)
    if inner.kind not in STEPWISE:
        return unread(f"TimeDistributed around {inner.kind} has no rule yet")
    from .layers import LAYERS as ALL

    made = ALL[inner.kind](inner)
    return made._replace(weights=tuple(w._replace(at="layer") if w is not None else None for w in made.weights))


#: What attention projects, and where Keras 3 files the weights of each (attention/multi_head_attention.py).
PROJECTIONS = {
    "query": "query_dense",
    "key": "key_dense",
    "value": "value_dense",
    "attention_output": "output_dense",
}


def _attention(layer: Layer) -> Made:
    config = layer.config
    axes = config.integers("attention_axes", (1,))
    if axes not in ((1,), (-2,)):
        return unread(f"MultiHeadAttention over the axes {list(axes)} has no rule yet")
    key_dim = config.integer("key_dim", low=1)
    width = config.integers("output_shape")
    attrs = {
        "heads": config.integer("num_heads", low=1),
        "key_dim": key_dim,
        "value_dim": config.integer("value_dim", key_dim, low=1),
        "use_bias": config.flag("use_bias", True),
        "channels": width[-1] if width else None,
    }
    if len(width) > 1 or config.flag("use_gate", False):
        return unread("MultiHeadAttention with a gate or an output of several axes has no rule yet")
    parts = ("kernel", "bias") if attrs["use_bias"] else ("kernel",)
    weights = tuple(Weight(f"{name}/{part}", at=at) for name, at in PROJECTIONS.items() for part in parts)
    return Made("MultiHeadAttention", attrs, weights, "keras", takes=3)


def _embedding(layer: Layer) -> Made:
    sizes = {
        "input_dim": layer.config.integer("input_dim", low=1),
        "channels": layer.config.integer("output_dim", low=1),
    }
    return Made("Embedding", sizes, (Weight("embeddings"),), "keras")


def _repeat(layer: Layer) -> Made:
    return Made("RepeatVector", {"repeats": layer.config.integer("n", low=1)}, domain="keras")


def _dot(layer: Layer) -> Made:
    axes = layer.config.sizes("axes", 2, low=-(1 << 31))
    attrs = {"axes": axes, "normalize": layer.config.flag("normalize", False)}
    return Made("Dot", attrs, domain="keras", takes=2)


LAYERS: dict[str, Row] = {
    **dict.fromkeys(CELLS, _recurrent),
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "MultiHeadAttention": _attention,
    "Embedding": _embedding,
    "RepeatVector": _repeat,
    "Dot": _dot,
}
