"""The layer types of Caffe: one row each, type -> how its node is made.

A row's function gets a `Layer` and says which operator it is, with which attributes and parameters. Defaults are those
of caffe.proto; what Caffe's LayerSetUp refuses is refused here in its words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ... import dims
from .layer import Layer
from .view import View


class Weight(NamedTuple):
    """A parameter, named ``<layer>/<name>``; ``trained`` is False for statistics that are not learned."""

    name: str
    trained: bool = True
    contents: tuple[Any, ...] | None = None


class Made(NamedTuple):
    """A node to be: its inputs are the bottoms, then ``weights`` in Caffe's order (None: an input left out).

    ``domain`` "caffe" marks operators ONNX does not have (`shapecalc.ops.vision`). A parameter with ``contents`` is a
    constant of one element.
    """

    op: str
    attrs: Mapping[str, Any] = {}
    weights: tuple[Weight | None, ...] = ()
    domain: str = ""


Row: TypeAlias = Callable[[Layer], Made]

#: What MAX pooling starts from (pooling_layer.cpp, -FLT_MAX).
LOWEST = -3.4028234663852886e38
POOLS = {"MAX": 0, "AVE": 1, "STOCHASTIC": 2}
ROUNDS = {"CEIL": 0, "FLOOR": 1}
BIAS = Weight("bias")


# -- windows ----------------------------------------------------------------------------------------------------------


def _sizes(layer: Layer, view: View, name: str, default: int, *, low: int, paired: bool) -> tuple[int, ...]:
    """One number a spatial axis: ``name`` once or for each, or its ``_h`` and ``_w`` spelling.

    ``paired``: _h and _w must come together and exclude ``name`` (pooling); a convolution takes either alone.
    """
    stem = name.removesuffix("_size")
    high, wide = f"{stem}_h", f"{stem}_w"
    given = view.counts(name)
    if view.has(high, wide):
        if given or (paired and not (view.has(high) and view.has(wide))):
            raise layer.refuse(f"give {name}, or {high} and {wide}", hint="keep one of the two spellings")
        if layer.spatial != 2:
            raise layer.refuse(f"{high} and {wide} are for images of 2 axes, this net has {layer.spatial}")
        sizes = (view.count(high, default), view.count(wide, default))
    elif len(given) in (0, 1):
        sizes = tuple(given or [default]) * (2 if paired else layer.spatial)
    elif not paired and len(given) == layer.spatial:
        sizes = tuple(given)
    else:
        raise layer.refuse(f"{len(given)} times {name} for {layer.spatial} spatial axes")
    if min(sizes, default=low) < low:
        raise layer.refuse(f"{name} must be at least {low}, found {min(sizes)}")
    return sizes


def _outputs(layer: Layer, view: View) -> int:
    count = view.count("num_output", 0)
    if count < 1:
        raise layer.refuse("num_output must be at least 1", hint="write num_output: 64")
    return count


def _filters(layer: Layer) -> tuple[dict[str, Any], tuple[Weight | None, ...]]:
    """What convolution and deconvolution share (base_conv_layer.cpp, LayerSetUp)."""
    view = layer.param("convolution_param")
    if len(layer.bottoms) != 1:
        raise layer.refuse(
            f"{len(layer.bottoms)} bottoms", "E204", "one layer for each, sharing its parameters by name"
        )
    if view.integer("axis", 1) != 1:
        raise layer.refuse("its channels are not axis 1", "E204")
    pad = _sizes(layer, view, "pad", 0, low=0, paired=False)
    attrs: dict[str, Any] = {
        "kernel_shape": _sizes(layer, view, "kernel_size", 0, low=1, paired=False),
        "strides": _sizes(layer, view, "stride", 1, low=1, paired=False),
        "pads": pad + pad,
        "dilations": tuple(view.counts("dilation") or [1]) * (layer.spatial if len(view.all("dilation")) < 2 else 1),
        "group": view.count("group", 1),
        "channels": _outputs(layer, view),
    }
    if len(attrs["dilations"]) != layer.spatial or min(attrs["dilations"]) < 1 or attrs["group"] < 1:
        raise layer.refuse("dilation and group must be at least 1, one dilation for each spatial axis")
    return attrs, (Weight("weight"), BIAS) if view.flag("bias_term", True) else (Weight("weight"),)


def _convolution(layer: Layer) -> Made:
    return Made("Conv", *_filters(layer))


def _depthwise(layer: Layer) -> Made:
    """A filter for each channel; the forks' layers take as many groups as outputs."""
    attrs, weights = _filters(layer)
    return Made("Conv", {**attrs, "group": attrs["channels"]}, weights)


def _deconvolution(layer: Layer) -> Made:
    return Made("ConvTranspose", *_filters(layer))


def _ceil_mode(view: View) -> int | None:
    """What the file says of rounding: None for nothing, so that the dialect decides."""
    if view.has("ceil_mode"):
        return int(view.flag("ceil_mode", True))
    return {"CEIL": 1, "FLOOR": 0}[view.choice("round_mode", ROUNDS, "CEIL")] if view.has("round_mode") else None


def _pooling(layer: Layer) -> Made:
    """pooling_layer.cpp, LayerSetUp."""
    view = layer.param("pooling_param")
    method = view.choice("pool", POOLS, "MAX")
    if method == "STOCHASTIC":
        raise layer.refuse("stochastic pooling is not read", "E204", "pool: MAX or pool: AVE")
    attrs: dict[str, Any] = {"outside": LOWEST} if method == "MAX" else {"count_include_pad": 1}
    pad = _sizes(layer, view, "pad", 0, low=0, paired=True)
    strides = _sizes(layer, view, "stride", 1, low=1, paired=True)
    if view.flag("global_pooling", False):
        if view.has("kernel_size", "kernel_h", "kernel_w") or max(pad) > 0 or max(strides) > 1:
            raise layer.refuse("global_pooling takes no kernel, pad or stride")
        attrs["global_pooling"] = 1
    else:
        kernel = _sizes(layer, view, "kernel_size", 0, low=1, paired=True)
        if any(p >= k for p, k in zip(pad, kernel, strict=True)):
            raise layer.refuse(f"pad {max(pad)} must be smaller than kernel {min(kernel)}")
        attrs |= {"kernel_shape": kernel, "strides": strides, "pads": pad + pad, "ceil_mode": _ceil_mode(view)}
    return Made("MaxPool" if method == "MAX" else "AveragePool", attrs)


def _pyramid(layer: Layer) -> Made:
    view = layer.param("spp_param")
    height = view.count("pyramid_height", 0)
    method = view.choice("pool", POOLS, "MAX")
    if not 1 <= height <= 30 or method == "STOCHASTIC":
        raise layer.refuse("pyramid_height must be from 1 to 30, and pool MAX or AVE")
    return Made("SPP", {"height": height, "pool": method}, domain="caffe")


# -- with parameters --------------------------------------------------------------------------------------------------


def _inner_product(layer: Layer) -> Made:
    view = layer.param("inner_product_param")
    attrs = {
        "axis": view.integer("axis", 1),
        "transB": int(not view.flag("transpose", False)),
        "channels": _outputs(layer, view),
    }
    return Made("Gemm", attrs, (Weight("weight"), BIAS) if view.flag("bias_term", True) else (Weight("weight"),))


def _embed(layer: Layer) -> Made:
    view = layer.param("embed_param")
    attrs = {"channels": _outputs(layer, view), "input_dim": view.count("input_dim", 0)}
    if attrs["input_dim"] < 1:
        raise layer.refuse("input_dim must be at least 1")
    weights = (Weight("weight"), BIAS) if view.flag("bias_term", True) else (Weight("weight"),)
    return Made("Embed", attrs, weights, "caffe")


def _batch_norm(layer: Layer) -> Made:
    """Mean, variance and the factor both are divided by; no scale of its own (batch_norm_layer.cpp)."""
    epsilon = layer.param("batch_norm_param").real("eps", 1e-5)
    statistics = (Weight("mean", False), Weight("variance", False), Weight("scale_factor", False))
    return Made("BatchNormalization", {"epsilon": epsilon, "phase": layer.phase}, (None, None, *statistics))


def _bn(layer: Layer) -> Made:
    """The BN of PSPNet: slope, bias, mean and variance in one layer."""
    epsilon = layer.param("bn_param").real("eps", 1e-5)
    weights = (Weight("slope"), BIAS, Weight("mean", False), Weight("variance", False))
    return Made("BatchNormalization", {"epsilon": epsilon, "phase": layer.phase}, weights)


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


def _normalize(layer: Layer) -> Made:
    view = layer.param("norm_param")
    attrs = {
        "across_spatial": int(view.flag("across_spatial", True)),
        "shared": int(view.flag("channel_shared", True)),
        "epsilon": view.real("eps", 1e-10),
    }
    return Made("Normalize", attrs, (Weight("weight"),), "caffe")


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


def _reals(op: str, message: str, domain: str = "", /, **defaults: float) -> Row:
    """An operator whose attributes are numbers of the same name."""

    def make(layer: Layer) -> Made:
        view = layer.param(message)
        return Made(op, {name: view.real(name, default) for name, default in defaults.items()}, domain=domain)

    return make


def _plain(op: str, domain: str = "") -> Row:
    """An operator without settings."""
    return lambda layer: Made(op, domain=domain)


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


# -- detection and segmentation forks ---------------------------------------------------------------------------------


def _permute(layer: Layer) -> Made:
    return Made("Permute", {"order": tuple(layer.param("permute_param").counts("order"))}, domain="caffe")


def _prior_box(layer: Layer) -> Made:
    """Boxes a place: each minimum size with every aspect ratio, and one more for each maximum size."""
    view = layer.param("prior_box_param")
    ratios = {1.0}
    for ratio in view.reals("aspect_ratio"):
        ratios |= {ratio, 1.0 / ratio} if view.flag("flip", True) and ratio else {ratio}
    distinct = {round(ratio, 6) for ratio in ratios}
    boxes = len(distinct) * len(view.all("min_size")) + len(view.all("max_size"))
    return Made("PriorBox", {"boxes": boxes}, domain="caffe")


def _roi_pooling(layer: Layer) -> Made:
    view = layer.param("roi_pooling_param")
    return Made("ROIPooling", {"pooled": (view.count("pooled_h", 0), view.count("pooled_w", 0))}, domain="caffe")


def _psroi_pooling(layer: Layer) -> Made:
    view = layer.param("psroi_pooling_param")
    size = view.count("group_size", 0)
    return Made("ROIPooling", {"pooled": (size, size), "channels": view.count("output_dim", 0)}, domain="caffe")


def _counts(op: str, message: str, *names: str) -> Row:
    """A fork's operator whose attributes are whole numbers of the same name, None where absent."""

    def make(layer: Layer) -> Made:
        view = layer.param(message)
        return Made(op, {n: view.integer(n, 0) if view.has(n) else None for n in names}, domain="caffe")

    return make


def _unknown(reason: str) -> Row:
    """A layer whose output nobody can know before it runs."""
    return lambda layer: Made("Computed", {"reason": reason}, domain="caffe")


#: Layer type -> its row. Data layers are in `inputs`.
LAYERS: dict[str, Row] = {
    "AbsVal": _plain("Abs"),
    "Accuracy": _plain("Accuracy"),
    "ArgMax": _argmax,
    "Axpy": _plain("Axpy", "caffe"),
    "BN": _bn,
    "BNLL": _plain("Softplus"),
    "BatchNorm": _batch_norm,
    "BatchReindex": _plain("BatchReindex", "caffe"),
    "Bias": _bias,
    "Clip": _clip,
    "Concat": _concat,
    "Convolution": _convolution,
    "ConvolutionDepthwise": _depthwise,
    "Crop": _crop,
    "Deconvolution": _deconvolution,
    "DepthwiseConvolution": _depthwise,
    "DetectionOutput": _plain("DetectionOutput", "caffe"),
    "Dropout": _dropout,
    "ELU": _reals("Elu", "elu_param", alpha=1.0),
    "Eltwise": _eltwise,
    "Embed": _embed,
    "Exp": _reals("Exp", "exp_param", "caffe", base=-1.0, scale=1.0, shift=0.0),
    "Filter": _unknown("which items pass a Filter is known when it runs"),
    "Flatten": _flatten,
    "HDF5Output": _plain("Silence"),
    "InnerProduct": _inner_product,
    "Interp": _counts(
        "Interp", "interp_param", "height", "width", "shrink_factor", "zoom_factor", "pad_beg", "pad_end"
    ),
    "LRN": _lrn,
    "Log": _reals("Log", "log_param", "caffe", base=-1.0, scale=1.0, shift=0.0),
    "MVN": _mvn,
    "Normalize": _normalize,
    "PReLU": _prelu,
    "PSROIPooling": _psroi_pooling,
    "Parameter": _parameter,
    "Permute": _permute,
    "Pooling": _pooling,
    "Power": _reals("Power", "power_param", power=1.0, scale=1.0, shift=0.0),
    "PriorBox": _prior_box,
    "Python": _unknown("a Python layer decides its shape in code that is not run"),
    "ROIPooling": _roi_pooling,
    "ReLU": _relu,
    "Reduction": _reduction,
    "Reshape": _reshape,
    "SPP": _pyramid,
    "Scale": _scale,
    "ShuffleChannel": _plain("ShuffleChannel", "caffe"),
    "Sigmoid": _plain("Sigmoid"),
    "Silence": _plain("Silence"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _plain("Copies", "caffe"),
    "Swish": _reals("Swish", "swish_param", "caffe", beta=1.0),
    "TanH": _plain("Tanh"),
    "Threshold": _reals("Threshold", "threshold_param", "caffe", threshold=0.0),
    "Tile": _tile,
    "Upsample": _counts(
        "Upsample",
        "upsample_param",
        "scale",
        "scale_h",
        "scale_w",
        "pad_out_h",
        "pad_out_w",
        "upsample_h",
        "upsample_w",
    ),
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
LAYERS.update({name: _plain(op) for name, op in LOSSES.items()})
