"""Layers on sequences and vectors: recurrent ones, attention, embeddings, and wrappers of other layers."""

from __future__ import annotations

from typing import Any

from ...ops.keras_einsum import terms_of
from .activations import activation
from .layer import Layer, Made, Row, Weight, unread
from .text import Value

#: Gates of a recurrent layer, and how many states it returns besides its output.
CELLS = {"LSTM": (4, 2), "GRU": (3, 1), "SimpleRNN": (1, 1), "CuDNNLSTM": (4, 2), "CuDNNGRU": (3, 1)}
#: Cells of Keras 2 that keep their weights as cuDNN does, two biases and no choice of activations (cudnn_recurrent.py).
CUDNN = {
    "inner": ("Tanh", None, None),
    "outer": ("Sigmoid", None, None),
    "use_bias": True,
    "reset_after": False,
    "cudnn": True,
}


def _recurrent(layer: Layer) -> Made:
    """LSTM, GRU and RNN of ONNX with weights turned round; states are taken and given back."""
    gates, states = CELLS[layer.kind]
    attrs, weights = _cell(layer, gates, at="cell")
    outputs = 1 + states if layer.config.flag("return_state", False) else 1
    return Made("Recurrent", attrs, weights, "keras", outputs=outputs)


#: What gates are opened by where nobody says it: Keras 1 and early 2 meant the cheap one.
_OUTER = {True: "sigmoid", False: "hard_sigmoid"}
#: Activations that ONNX's recurrent operators know: by operator, with their two numbers.
GATES = {"Tanh": "Tanh", "Sigmoid": "Sigmoid", "Relu": "Relu", "Softsign": "Softsign", "HardSigmoid": "HardSigmoid"}


def _gate(layer: Layer, setting: str, default: str) -> tuple[str, float | None, float | None] | None:
    """An activation as ONNX lists it, with alpha and beta; None for one that it does not know."""
    name = layer.config.find(setting, _BEFORE[setting])
    chosen = activation(layer, setting if name is None or layer.config.has(setting) else _BEFORE[setting], default)
    if chosen is None or chosen.op not in GATES or chosen.domain:
        return None
    return GATES[chosen.op], chosen.attrs.get("alpha"), chosen.attrs.get("beta")


#: Settings as Keras 1 called them.
_BEFORE = {"activation": "activation", "recurrent_activation": "inner_activation"}


def _cell(layer: Layer, gates: int, prefix: str = "", at: str = "") -> tuple[dict[str, Any], tuple[Weight, ...]]:
    config = layer.config
    attrs: dict[str, Any] = {
        "units": config.integer("units", low=1),
        "gates": gates,
        "return_sequences": config.flag("return_sequences", False),
        "use_bias": config.flag("use_bias", True),
        "go_backwards": config.flag("go_backwards", False) or None,
        "inner": _gate(layer, "activation", "tanh"),
        "outer": _gate(layer, "recurrent_activation", _OUTER[layer.modern]),
        "reset_after": layer.kind == "GRU" and config.flag("reset_after", layer.modern),
    }
    if layer.kind.startswith("CuDNN"):
        attrs |= CUDNN
    names = ["kernel", "recurrent_kernel", *(["bias"] if attrs["use_bias"] else [])]
    return attrs, tuple(Weight(prefix + name, at=at) for name in names)


def started(made: Made, count: int) -> Made | None:
    """A recurrent layer that is told ``count`` states to start from; None for another number than it has."""
    wanted = dict(CELLS.values())[made.attrs["gates"]] * made.attrs.get("directions", 1)
    return made._replace(takes=1 + count, attrs={**made.attrs, "states": count}) if count == wanted else None


def wrapped(layer: Layer) -> Layer:
    """The layer that a wrapper is around; raises ModelError where there is none."""
    inner = layer.config.find("layer")
    if inner is None or not isinstance(inner.data, dict):
        raise layer.refuse("it wraps no layer")
    return layer.inside(inner, "the layer inside")


def _bidirectional(layer: Layer) -> Made:
    """Both directions in one operator; concat, sum, mul, ave."""
    inner = wrapped(layer)
    if inner.kind not in CELLS:
        return unread(f"Bidirectional around {inner.kind} has no rule yet")
    gates, states = CELLS[inner.kind]
    name = (inner.own or inner.kind.lower()).removeprefix("forward_")
    attrs, forward = _cell(inner, gates, f"forward_{name}/", "forward_layer/cell")
    _, backward = _cell(inner, gates, f"backward_{name}/", "backward_layer/cell")
    merge: Value | None = layer.config.value.get("merge_mode")
    if merge is not None and merge.data is None:
        return unread("Bidirectional that keeps its directions apart has no rule yet")
    attrs |= {"directions": 2, "merge": layer.config.text("merge_mode", "concat")}
    outputs = 1 + 2 * states if inner.config.flag("return_state", False) else 1
    return Made("Recurrent", attrs, (*forward, *backward), "keras", outputs=outputs)


#: What attention projects, and where Keras 3 files the weights of each (attention/multi_head_attention.py).
PROJECTIONS = {
    "query": "query_dense",
    "key": "key_dense",
    "value": "value_dense",
    "attention_output": "output_dense",
}


def _attention(layer: Layer) -> Made:
    """Over one axis of steps, causal or not; of masks that are passed along, none in ONNX."""
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


def _grouped_attention(layer: Layer) -> Made:
    """Several heads of the query share those of key and value (attention/grouped_query_attention.py)."""
    config = layer.config
    if config.flag("use_gate", False) or config.has("sliding_window"):
        return unread("GroupedQueryAttention with a gate or a window has no rule yet")
    size, heads = config.integer("head_dim", low=1), config.integer("num_query_heads", low=1)
    shared = config.integer("num_key_value_heads", low=1)
    attrs = {
        "heads": heads,
        "key_heads": shared,
        "key_dim": size,
        "value_dim": size,
        "use_bias": config.flag("use_bias", True),
        "channels": None,
    }
    if heads % shared:
        raise layer.refuse(f"{heads} heads do not divide into {shared}", "E104")
    parts = ("kernel", "bias") if attrs["use_bias"] else ("kernel",)
    weights = tuple(Weight(f"{name}/{part}", at=at) for name, at in PROJECTIONS.items() for part in parts)
    return Made("MultiHeadAttention", attrs, weights, "keras", takes=3)


def _dot_attention(layer: Layer) -> Made:
    """Called on query, value and maybe a key; scores multiplied or added (attention/attention.py)."""
    added = layer.config.text("score_mode", "dot") == "concat"
    scale = (Weight("scale"),) if layer.config.flag("use_scale", False) else ()
    weights = (*scale, Weight("concat_score_weight")) if added else scale
    attrs = {"added": "inside", "scaled": bool(scale)} if added else {}
    return Made("DotAttention", attrs, weights, "keras", takes=3)


def _additive_attention(layer: Layer) -> Made:
    """Sums of tanh(query + key), each feature with its weight (attention/additive_attention.py)."""
    scaled = layer.config.flag("use_scale", True)
    weights = (Weight("scale"),) if scaled else ()
    return Made("DotAttention", {"added": "outside", "scaled": scaled}, weights, "keras", takes=3)


def _einsum_dense(layer: Layer) -> Made:
    """One sum of products, ``...`` in front only; the bias over any axes."""
    config = layer.config
    equation, axes = config.text("equation"), config.text("bias_axes")
    terms = terms_of(equation)
    listed = config.find("output_shape")
    items = [] if listed is None else [item.data for item in listed.items()] or [listed.data]
    sizes = tuple(n if type(n) is int and n > 0 else None for n in items)
    if terms is None or set(axes) - set(terms.result) or len(sizes) > MOST_AXES:
        return unread(f"EinsumDense {equation!r} has no rule yet")
    known = set(terms.value) | {c for c, n in zip(terms.result[::-1], sizes[::-1], strict=False) if n is not None}
    if set(terms.kernel) - known:
        return unread(f"EinsumDense {equation!r} does not say the size of every axis")
    weights = (Weight("kernel"), Weight("bias")) if axes else (Weight("kernel"),)
    attrs = {"equation": equation, "output_shape": sizes, "bias_axes": axes}
    return Made("EinsumDense", attrs, weights, "keras", activation(layer))


#: Values have fewer axes.
MOST_AXES = 32


def _embedding(layer: Layer) -> Made:
    """mask_zero has a shape, and no ONNX form where something obeys it."""
    sizes = {
        "input_dim": layer.config.integer("input_dim", low=1),
        "channels": layer.config.integer("output_dim", low=1),
    }
    return Made("Embedding", sizes, (Weight("embeddings"),), "keras")


def _repeat(layer: Layer) -> Made:
    """Of vectors."""
    return Made("RepeatVector", {"repeats": layer.config.integer("n", low=1)}, domain="keras")


def _dot(layer: Layer) -> Made:
    """Over one axis of each."""
    axes = layer.config.sizes("axes", 2, low=-(1 << 31))
    attrs = {"axes": axes, "normalize": layer.config.flag("normalize", False)}
    return Made("Dot", attrs, domain="keras", takes=2)


def _conv_lstm(rank: int) -> Row:
    """Its steps are written out in ONNX, one after the other; states given back, not taken."""

    def make(layer: Layer) -> Made:
        config = layer.config
        attrs = {
            "channels": config.integer("filters", low=1),
            "kernel_shape": config.sizes("kernel_size", rank),
            "strides": config.sizes("strides", rank, 1),
            "dilations": config.sizes("dilation_rate", rank, 1),
            "auto_pad": "SAME_UPPER" if config.choice("padding", ("valid", "same"), "valid") == "same" else "NOTSET",
            "order": config.choice("data_format", ("channels_last", "channels_first"), "channels_last"),
            "return_sequences": config.flag("return_sequences", False),
            "go_backwards": config.flag("go_backwards", False) or None,
            "inner": _gate(layer, "activation", "tanh"),
            "outer": _gate(layer, "recurrent_activation", _OUTER[layer.modern]),
        }
        names = ["kernel", "recurrent_kernel", *(["bias"] if config.flag("use_bias", True) else [])]
        weights = tuple(Weight(name, at="cell") for name in names)
        return Made("ConvLSTM", attrs, weights, "keras", outputs=3 if config.flag("return_state", False) else 1)

    return make


LAYERS: dict[str, Row] = {
    **{f"ConvLSTM{rank}D": _conv_lstm(rank) for rank in (1, 2, 3)},
    **dict.fromkeys(CELLS, _recurrent),
    "Bidirectional": _bidirectional,
    "MultiHeadAttention": _attention,
    "GroupQueryAttention": _grouped_attention,
    "GroupedQueryAttention": _grouped_attention,
    "Attention": _dot_attention,
    "AdditiveAttention": _additive_attention,
    "Embedding": _embedding,
    "EinsumDense": _einsum_dense,
    "RepeatVector": _repeat,
    "Dot": _dot,
}
