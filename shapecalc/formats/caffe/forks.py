"""Layers of Caffe's forks: detection, segmentation, other normalizations."""

from __future__ import annotations

from .layer import Layer
from .made import BIAS, Made, Row, Weight, plain
from .sliding import depthwise


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


def _bn(layer: Layer) -> Made:
    """The BN of PSPNet: slope, bias, mean and variance in one layer."""
    epsilon = layer.param("bn_param").real("eps", 1e-5)
    weights = (Weight("slope"), BIAS, Weight("mean", False), Weight("variance", False))
    return Made("BatchNormalization", {"epsilon": epsilon, "phase": layer.phase}, weights)


def _normalize(layer: Layer) -> Made:
    view = layer.param("norm_param")
    attrs = {
        "across_spatial": int(view.flag("across_spatial", True)),
        "shared": int(view.flag("channel_shared", True)),
        "epsilon": view.real("eps", 1e-10),
    }
    return Made("Normalize", attrs, (Weight("weight"),), "caffe")


#: Layer type -> its row, for types BVLC Caffe does not have.
FORK_LAYERS: dict[str, Row] = {
    "Axpy": plain("Axpy", "caffe"),
    "BN": _bn,
    "ConvolutionDepthwise": depthwise,
    "DepthwiseConvolution": depthwise,
    "DetectionOutput": plain("DetectionOutput", "caffe"),
    "Interp": _counts(
        "Interp", "interp_param", "height", "width", "shrink_factor", "zoom_factor", "pad_beg", "pad_end"
    ),
    "Normalize": _normalize,
    "PSROIPooling": _psroi_pooling,
    "Permute": _permute,
    "PriorBox": _prior_box,
    "ROIPooling": _roi_pooling,
    "ShuffleChannel": plain("ShuffleChannel", "caffe"),
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
