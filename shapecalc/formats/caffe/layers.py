"""The layer types of Caffe: one row each, type -> how its node is made.

A row's function gets a `Layer` and says which operator it is, with which attributes and parameters. Defaults are those
of caffe.proto; what Caffe's LayerSetUp refuses is refused here in its words.
"""

from __future__ import annotations

from typing import Any

from ... import dims
from .forks import FORK_LAYERS, multibox_loss
from .layer import Layer
from .made import BIAS, Made, Row, Weight, computed, outputs, plain, reals
from .python_layers import python_layer
from .sliding import convolution, deconvolution, pooling, pyramid

# -- with parameters --------------------------------------------------------------------------------------------------


def _inner_product(layer: Layer) -> Made:
    view = layer.param("inner_product_param")
    attrs = {
        "axis": view.integer("axis", 1),
        "transB": int(not view.flag("transpose", False)),
        "channels": outputs(layer, view),
    }
    return Made("Gemm", attrs, (Weight("weight"), BIAS) if view.flag("bias_term", True) else (Weight("weight"),))


def _embed(layer: Layer) -> Made:
    view = layer.param("embed_param")
    attrs = {"channels": outputs(layer, view), "input_dim": view.count("input_dim", 0)}
    if attrs["input_dim"] < 1:
        raise layer.refuse("input_dim must be at least 1")
    weights = (Weight("weight"), BIAS) if view.flag("bias_term", True) else (Weight("weight"),)
    return Made("Embed", attrs, weights, "caffe")


def _batch_norm(layer: Layer) -> Made:
    """Mean, variance and the factor both are divided by; no scale of its own (batch_norm_layer.cpp)."""
    epsilon = layer.param("batch_norm_param").real("eps", 1e-5)
    statistics = (Weight("mean", False), Weight("variance", False), Weight("scale_factor", False))
    return Made("BatchNormalization", {"epsilon": epsilon, "phase": layer.phase}, (None, None, *statistics))


def _scale(layer: Layer) -> Made:
    view = layer.param("scale_param")
    given = len(layer.bottoms) > 1  # a second bottom is the scale, aligned from the axis on (scale_layer.cpp)
    attrs = {"axis": view.integer("axis", 1), "num_axes": None if given else view.integer("num_axes", 1)}
    scale = () if given else (Weight("weight"),)
    return Made("Scale", attrs, (*scale, BIAS) if view.flag("bias_term", False) else scale)


def _bias(layer: Layer) -> Made:
    view = layer.param("bias_param")
    if len(layer.bottoms) > 1:
        return Made("AddFrom", {"axis": view.integer("axis", 1)}, domain="caffe")
    attrs = {"axis": view.integer("axis", 1), "num_axes": view.integer("num_axes", 1)}
    return Made("Scale", attrs, (None, BIAS))


def _prelu(layer: Layer) -> Made:
    shared = layer.param("prelu_param").flag("channel_shared", False)
    return Made("PRelu", {"per_channel": 1, "shared": int(shared)}, (Weight("slope"),))


def _parameter(layer: Layer) -> Made:
    shape = layer.param("parameter_param").view("shape").counts("dim")
    return Made("Parameter", {"shape": tuple(shape)}, (Weight("weight"),), "caffe")


# -- element by element -----------------------------------------------------------------------------------------------


def _relu(layer: Layer) -> Made:
    slope = layer.param("relu_param").real("negative_slope", 0.0)
    return Made("LeakyRelu", {"alpha": slope}) if slope else Made("Relu")


def _clip(layer: Layer) -> Made:
    view = layer.param("clip_param")
    if not (view.has("min") and view.has("max")):
        raise layer.refuse("clip_param needs min and max")
    bounds = tuple(Weight(name, False, (view.real(name, 0.0),)) for name in ("min", "max"))
    return Made("Clip", {}, bounds)


def _lrn(layer: Layer) -> Made:
    view = layer.param("lrn_param")
    size = view.count("local_size", 5)
    if size % 2 == 0:
        raise layer.refuse(f"local_size must be odd, found {size}", hint=f"local_size: {size + 1}")
    within = view.choice("norm_region", {"ACROSS_CHANNELS": 0, "WITHIN_CHANNEL": 1}, "ACROSS_CHANNELS")
    attrs = {
        "size": size,
        "alpha": view.real("alpha", 1.0),
        "beta": view.real("beta", 0.75),
        "bias": view.real("k", 1.0),
        "region": "within" if within == "WITHIN_CHANNEL" else "across",
    }
    return Made("LRN", attrs)


def _dropout(layer: Layer) -> Made:
    return Made("Dropout", {"ratio": layer.param("dropout_param").real("dropout_ratio", 0.5), "phase": layer.phase})


def _softmax(layer: Layer) -> Made:
    return Made("Softmax", {"axis": layer.param("softmax_param").integer("axis", 1)})


def _mvn(layer: Layer) -> Made:
    view = layer.param("mvn_param")
    attrs = {
        "normalize_variance": int(view.flag("normalize_variance", True)),
        "across_channels": int(view.flag("across_channels", False)),
        "epsilon": view.real("eps", 1e-9),
    }
    return Made("MVN", attrs, domain="caffe")


# -- joins, and moving elements ---------------------------------------------------------------------------------------


def _axis(layer: Layer, message: str, old: str) -> int:
    """``axis``, or the spelling of older files, which counts from 0 only."""
    view = layer.param(message)
    if view.has("axis") and view.has(old):
        raise layer.refuse(f"give axis or {old}, not both")
    return view.count(old, 1) if view.has(old) else view.integer("axis", 1)


def _concat(layer: Layer) -> Made:
    return Made("Concat", {"axis": _axis(layer, "concat_param", "concat_dim")})


def _slice(layer: Layer) -> Made:
    """Parts between the slice points, else equal parts (slice_layer.cpp)."""
    axis = _axis(layer, "slice_param", "slice_dim")
    points = layer.param("slice_param").counts("slice_point")
    if not points:
        return Made("Split", {"axis": axis, "even": 1})
    if len(points) != len(layer.tops) - 1:
        raise layer.refuse(f"{len(layer.tops)} tops need {len(layer.tops) - 1} slice_point, found {len(points)}")
    sizes = [b - a for a, b in zip([0, *points], points, strict=False)]
    if min(sizes) < 1:
        raise layer.refuse("slice_point must grow from one to the next")
    if axis < 0:
        raise layer.refuse(f"axis {axis} with slice_point is not read", "E204", "count the axis from 0")
    whole = dims.symbol(f"{layer.inputs[0]}[{axis}]")
    return Made("Split", {"axis": axis, "split": (*sizes, whole - points[-1]), "refers": layer.inputs[:1]})


def _eltwise(layer: Layer) -> Made:
    view = layer.param("eltwise_param")
    operation = view.choice("operation", {"PROD": 0, "SUM": 1, "MAX": 2}, "SUM")
    coefficients = view.reals("coeff")
    if coefficients and (operation != "SUM" or len(coefficients) != len(layer.bottoms)):
        raise layer.refuse(f"coeff goes with SUM, one for each of the {len(layer.bottoms)} bottoms")
    attrs: dict[str, Any] = {"strict": 1}
    if coefficients:
        attrs["coeff"] = tuple(coefficients)
    return Made({"PROD": "Mul", "SUM": "Sum", "MAX": "Max"}[operation], attrs)


def _flatten(layer: Layer) -> Made:
    view = layer.param("flatten_param")
    axis, end = view.integer("axis", 1), view.integer("end_axis", -1)
    # ONNX's Flatten gives a matrix, which is the same for axis 1 to the end alone
    return Made("Flatten", {"axis": axis} if (axis, end) == (1, -1) else {"axis": axis, "end_axis": end})


def _reshape(layer: Layer) -> Made:
    view = layer.param("reshape_param")
    shape = tuple(view.view("shape").integers("dim", low=-1))
    if shape.count(-1) > 1:
        raise layer.refuse("reshape_param has more than one -1")
    return Made("Reshape", {"shape": shape, "axis": view.integer("axis", 0), "num_axes": view.integer("num_axes", -1)})


def _crop(layer: Layer) -> Made:
    view = layer.param("crop_param")
    return Made("Crop", {"axis": view.integer("axis", 2), "offset": tuple(view.counts("offset"))}, domain="caffe")


def _argmax(layer: Layer) -> Made:
    view = layer.param("argmax_param")
    attrs = {
        "axis": view.integer("axis", 0) if view.has("axis") else None,
        "top_k": view.count("top_k", 1),
        "out_max_val": int(view.flag("out_max_val", False)),
    }
    return Made("ArgMax", attrs, domain="caffe")


def _reduction(layer: Layer) -> Made:
    view = layer.param("reduction_param")
    operation = view.choice("operation", {"SUM": 1, "ASUM": 2, "SUMSQ": 3, "MEAN": 4}, "SUM")
    attrs = {"operation": operation, "axis": view.integer("axis", 0), "coeff": view.real("coeff", 1.0)}
    return Made("Reduction", attrs, domain="caffe")


def _tile(layer: Layer) -> Made:
    view = layer.param("tile_param")
    return Made("Tile", {"axis": view.integer("axis", 1), "tiles": view.count("tiles", 1)}, domain="caffe")


#: Layer type -> its row. Data layers are in `inputs`.
LAYERS: dict[str, Row] = {
    "AbsVal": plain("Abs"),
    "Accuracy": plain("Accuracy"),
    "ArgMax": _argmax,
    "BNLL": plain("Softplus"),
    "BatchNorm": _batch_norm,
    "BatchReindex": plain("BatchReindex", "caffe"),
    "Bias": _bias,
    "Clip": _clip,
    "Concat": _concat,
    "Convolution": convolution,
    "Crop": _crop,
    "Deconvolution": deconvolution,
    "Dropout": _dropout,
    "ELU": reals("Elu", "elu_param", alpha=1.0),
    "Eltwise": _eltwise,
    "Embed": _embed,
    "Exp": reals("Exp", "exp_param", "caffe", base=-1.0, scale=1.0, shift=0.0),
    "Filter": computed("which items pass a Filter is known when it runs"),
    "Flatten": _flatten,
    "HDF5Output": plain("Silence"),
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Log": reals("Log", "log_param", "caffe", base=-1.0, scale=1.0, shift=0.0),
    "MVN": _mvn,
    "PReLU": _prelu,
    "Parameter": _parameter,
    "Pooling": pooling,
    "Power": reals("Power", "power_param", power=1.0, scale=1.0, shift=0.0),
    "Python": python_layer,
    "ReLU": _relu,
    "Reduction": _reduction,
    "Reshape": _reshape,
    "SPP": pyramid,
    "Scale": _scale,
    "Sigmoid": plain("Sigmoid"),
    "Silence": plain("Silence"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": plain("Copies", "caffe"),
    "Swish": reals("Swish", "swish_param", "caffe", beta=1.0),
    "TanH": plain("Tanh"),
    "Threshold": reals("Threshold", "threshold_param", "caffe", threshold=0.0),
    "Tile": _tile,
    **FORK_LAYERS,
}

#: Losses: the first bottom are the scores, and the top is made up where the file names none (AutoTopBlobs).
LOSSES = {
    "ContrastiveLoss": "Loss",
    "EuclideanLoss": "Loss",
    "HingeLoss": "Loss",
    "InfogainLoss": "Loss",
    "MultiBoxLoss": "Loss",
    "MultinomialLogisticLoss": "Loss",
    "SigmoidCrossEntropyLoss": "Loss",
    "SmoothL1Loss": "Loss",
    "SoftmaxWithLoss": "SoftmaxCrossEntropyLoss",
}
LAYERS.update({name: plain(op) for name, op in LOSSES.items()} | {"MultiBoxLoss": multibox_loss})


def is_loss(kind: str) -> bool:
    """Whether a layer type is a loss: one of Caffe's, or one of a fork, which all call theirs so."""
    return kind in LOSSES or ("Loss" in kind and kind not in LAYERS)


def scores_of(kind: str) -> int:
    """How many of a loss's bottoms, from the first on, are made by the net: a pair's two features are compared."""
    return 2 if kind == "ContrastiveLoss" else 1


def judges(kind: str) -> bool:
    """Whether a layer type compares scores with labels: a loss or an accuracy, of Caffe or of a fork."""
    return is_loss(kind) or kind == "Accuracy" or ("Accuracy" in kind and kind not in LAYERS)


def row_of(kind: str) -> Row | None:
    """The row of a layer type; None for one that is not read."""
    return LAYERS.get(kind) or (plain("Loss", "caffe") if judges(kind) else None)
