"""Activations: those that layers end in by name, and the layers that are nothing else.

Definitions: ``keras/src/activations/activations.py``, ``keras/src/layers/activations``.
"""

from __future__ import annotations

from typing import Any

from ...graph import Activation
from .layer import Layer, Made, Row, Weight
from .text import Value

#: A function of the user's own: it keeps the shape, as Keras takes it to, and is not run.
OWN = Activation("Function", {}, "keras")

#: Name -> operator; None: nothing is done.
ACTIVATIONS: dict[str, Activation | None] = {
    "linear": None,
    "relu": Activation("Relu"),
    "relu6": Activation("Clip", {"min": 0.0, "max": 6.0}),
    "sigmoid": Activation("Sigmoid"),
    "tanh": Activation("Tanh"),
    "softmax": Activation("Softmax", {"axis": -1}),
    "log_softmax": Activation("LogSoftmax", {"axis": -1}),
    "softplus": Activation("Softplus"),
    "softsign": Activation("Softsign"),
    "elu": Activation("Elu", {"alpha": 1.0}),
    "selu": Activation("Selu"),
    "celu": Activation("Celu", {"alpha": 1.0}),
    "exponential": Activation("Exp"),
    "gelu": Activation("Gelu", {"approximate": "none"}),
    "silu": Activation("Swish", {}, "keras"),
    "swish": Activation("Swish", {}, "keras"),
    "hard_sigmoid": Activation("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": Activation("HardSwish"),
    "hard_swish": Activation("HardSwish"),
    "hard_tanh": Activation("Clip", {"min": -1.0, "max": 1.0}),
    "hard_shrink": Activation("Shrink", {"lambd": 0.5, "bias": 0.0}),
    "soft_shrink": Activation("Shrink", {"lambd": 0.5, "bias": 0.5}),
    "tanh_shrink": Activation("TanhShrink", {}, "keras"),
    "leaky_relu": Activation("LeakyRelu", {"alpha": 0.2}),
    "mish": Activation("Mish"),
    "log_sigmoid": Activation("LogSigmoid", {}, "keras"),
}

#: Before Keras 3: clip(0.2·x + 0.5, 0, 1).
OLDER: dict[str, Activation] = {"hard_sigmoid": Activation("HardSigmoid", {"alpha": 0.2, "beta": 0.5})}


def activation(layer: Layer, setting: str = "activation", default: str = "linear") -> Activation | None:
    """What a layer ends in: a name, or a layer or function written out; None for nothing."""
    value = layer.config.find(setting)
    if value is None:
        return ACTIVATIONS[default]
    if isinstance(value.data, str):
        return named(layer, value.data)
    if not isinstance(value.data, dict):
        raise layer.refuse(f"{setting} is neither a name nor a layer")
    return _written_out(layer, value, setting)


def named(layer: Layer, name: str) -> Activation | None:
    """The activation of a name; one that Keras does not have is the user's own."""
    if not layer.modern and name in OLDER:
        return OLDER[name]
    return ACTIVATIONS.get(name, OWN)


def _written_out(layer: Layer, value: Value, setting: str) -> Activation | None:
    kind, config = value.get("class_name"), value.get("config")
    if kind is not None and kind.data == "function" and config is not None and isinstance(config.data, str):
        return named(layer, config.data)
    row = LAYERS.get(str(kind.data)) if kind is not None else None
    if row is None or config is None:
        return OWN
    made = row(layer.inside(value, setting))
    return Activation(made.op, made.attrs, made.domain) if not made.weights else OWN


# -- layers -----------------------------------------------------------------------------------------------------------


def _activation(layer: Layer) -> Made:
    """Any activation by name, or a layer written out."""
    chosen = activation(layer)
    return Made("Identity") if chosen is None else Made(chosen.op, chosen.attrs, domain=chosen.domain)


def _number(layer: Layer, names: tuple[str, ...], default: float) -> float:
    return next((layer.config.number(name, default) for name in names if layer.config.has(name)), default)


def _relu(layer: Layer) -> Made:
    """With a slope, a threshold and a bound."""
    slope = _number(layer, ("negative_slope", "alpha"), 0.0)
    threshold = layer.config.number("threshold", 0.0)
    top = layer.config.number("max_value", 0.0) if layer.config.has("max_value") else None
    if slope == threshold == 0.0:
        return Made("Relu") if top is None else Made("Clip", {"min": 0.0, "max": top})
    attrs: dict[str, Any] = {"negative_slope": slope, "threshold": threshold, "max_value": top}
    return Made("ReLU", attrs, domain="keras")


def _leaky(layer: Layer) -> Made:
    """A slope below zero, 0.3 where none is given."""
    return Made("LeakyRelu", {"alpha": _number(layer, ("negative_slope", "alpha"), 0.3)})


def _softmax(layer: Layer) -> Made:
    """Over one axis."""
    axes = layer.config.integers("axis", (-1,))
    if len(axes) != 1:
        return Made("Function", domain="keras")
    return Made("Softmax", {"axis": axes[0]})


def _prelu(layer: Layer) -> Made:
    """A slope for each place, shared over the axes that say so."""
    return Made("PRelu", {"shared_axes": layer.config.integers("shared_axes")}, (Weight("alpha"),), "keras")


LAYERS: dict[str, Row] = {
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky,
    "ELU": lambda layer: Made("Elu", {"alpha": layer.config.number("alpha", 1.0)}),
    "ThresholdedReLU": lambda layer: Made("ThresholdedRelu", {"alpha": layer.config.number("theta", 1.0)}),
    "Softmax": _softmax,
    "PReLU": _prelu,
}
