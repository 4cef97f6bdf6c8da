"""Layers of Caffe's forks: detection, segmentation, video, other normalizations."""

from __future__ import annotations

from typing import Any

from .layer import Layer
from .made import BIAS, Made, Row, Weight, computed, outputs, plain
from .recurrent import RECURRENT_LAYERS
from .sliding import convolution3d, deconvolution3d, depthwise, pooling3d
from .view import View


def _permute(layer: Layer) -> Made:
    return Made("Permute", {"order": tuple(layer.param("permute_param").counts("order"))}, domain="caffe")


def _prior_box(layer: Layer) -> Made:
    """Boxes a place: each minimum size with every aspect ratio, and one more for each maximum size."""
    view = layer.param("prior_box_param")
    ratios = [1.0]
    for ratio in view.reals("aspect_ratio"):
        if not any(abs(ratio - other) < ALIKE for other in ratios):
            ratios += [ratio, 1.0 / ratio] if view.flag("flip", True) and ratio else [ratio]
    small, large = tuple(view.reals("min_size")), tuple(view.reals("max_size"))
    attrs: dict[str, Any] = {
        "boxes": len(ratios) * len(small) + len(large),
        "min_size": small,
        "max_size": large if len(large) == len(small) else (),
        "ratios": tuple(ratios),
        "variance": tuple(view.reals("variance")) or (0.1,),
        "image": _both(view, "img", "img_size"),
        "step": _both(view, "step", "step"),
        "offset": view.real("offset", 0.5),
        "clip": int(view.flag("clip", False)),
    }
    return Made("PriorBox", attrs, domain="caffe")


def _detections(layer: Layer) -> Made:
    count = layer.param("detection_output_param").count("num_classes", 0)
    return Made("DetectionOutput", {"num_classes": count}, domain="caffe")


def multibox_loss(layer: Layer) -> Made:
    """SSD's loss: of places, confidences, prior boxes and labels."""
    return Made("Loss", {"num_classes": layer.param("multibox_loss_param").count("num_classes", 0)})


#: Aspect ratios nearer than this are one (prior_box_layer.cpp).
ALIKE = 1e-6


def _both(view: View, pair: str, single: str) -> tuple[float, ...]:
    """Height and width, of two fields or one for both; empty where one of them is 0 or not there."""
    sizes = tuple(view.real(name, view.real(single, 0.0)) for name in (f"{pair}_h", f"{pair}_w"))
    return sizes if all(size > 0 for size in sizes) else ()


def _roi_pooling(message: str, op: str) -> Row:
    """Regions to one size: ROIPooling and ROIAlign."""

    def make(layer: Layer) -> Made:
        view = layer.param(message)
        pooled = (view.count("pooled_h", 0), view.count("pooled_w", 0))
        attrs = {"pooled": pooled, "spatial_scale": view.real("spatial_scale", 1.0)}
        return Made(op, attrs, domain="caffe")

    return make


def _psroi_pooling(layer: Layer) -> Made:
    view = layer.param("psroi_pooling_param")
    size = view.count("group_size", 0)
    return Made("RegionMaps", {"pooled": (size, size), "channels": view.count("output_dim", 0)}, domain="caffe")


def _interp(layer: Layer) -> Made:
    view = layer.param("interp_param")
    names = ("height", "width", "shrink_factor", "zoom_factor", "pad_beg", "pad_end")
    return Made("Interp", {n: view.integer(n, 0) if view.has(n) else None for n in names}, domain="caffe")


def _upsample(layer: Layer) -> Made:
    """``pad_out_h`` and ``pad_out_w`` take one row and column off (SegNet upsample_layer.cpp)."""
    view = layer.param("upsample_param")
    names = ("scale", "scale_h", "scale_w", "upsample_h", "upsample_w")
    cuts = {n: int(view.flag(n, False)) for n in ("pad_out_h", "pad_out_w")}
    return Made("Upsample", {**{n: view.count(n, 0) if view.has(n) else None for n in names}, **cuts}, domain="caffe")


def _bn(layer: Layer) -> Made:
    """The BN of PSPNet: slope, bias, mean and variance in one layer; SegNet's has a scale and a shift alone.

    SegNet's INFERENCE mode holds the statistics inside both; its other mode takes those of the batch.
    """
    view = layer.param("bn_param")
    if view.has("scale_filler", "shift_filler", "bn_mode"):
        inference = view.choice("bn_mode", {"LEARN": 0, "INFERENCE": 1}, "LEARN") == "INFERENCE"
        attrs = {"axis": 1, "num_axes": 1}
        return Made(
            "Scale" if inference else "BatchScale", attrs, (Weight("weight"), BIAS), "" if inference else "caffe"
        )
    epsilon = view.real("eps", 1e-5)
    weights = (Weight("slope"), BIAS, Weight("mean", False), Weight("variance", False))
    return Made("BatchNormalization", {"epsilon": epsilon, "phase": layer.phase}, weights)


def _normalize(layer: Layer) -> Made:
    """SSD's, with a scale; without ``norm_param`` that of NormFace, which has none."""
    if not layer.view.has("norm_param"):
        return Made("LpNormalization", {"axis": 1, "p": 2})
    view = layer.param("norm_param")
    attrs = {
        "across_spatial": int(view.flag("across_spatial", True)),
        "shared": int(view.flag("channel_shared", True)),
        "epsilon": view.real("eps", 1e-10),
    }
    return Made("Normalize", attrs, (Weight("weight"),), "caffe")


def _shuffle(layer: Layer) -> Made:
    group = layer.param("shuffle_channel_param").count("group", 1)
    return Made("ShuffleChannel", {"group": group}, domain="caffe")


def _reorg(layer: Layer) -> Made:
    view = layer.param("reorg_param")
    attrs = {"stride": view.count("stride", 1) or 1, "reverse": int(view.flag("reverse", False))}
    return Made("Reorg", attrs, domain="caffe")


def _relu6(layer: Layer) -> Made:
    return Made("Clip", {}, (Weight("min", False, (0.0,)), Weight("max", False, (6.0,))))


def _rows_of_weights(message: str) -> Row:
    """Scores against one row of weights a class: the heads of SphereFace and NormFace."""

    def make(layer: Layer) -> Made:
        given = layer.type == "InnerDistance" and len(layer.bottoms) > 1  # its second bottom holds the rows
        count = None if given else outputs(layer, layer.param(message))
        attrs = {"channels": count, "bottoms": len(layer.bottoms)}
        return Made("RowScores", attrs, () if given else (Weight("weight"),), "caffe")

    return make


def _detectnet(layer: Layer) -> Made:
    """DetectNet crops or scales its images to one size and draws the labels on a grid."""
    view = layer.param("detectnet_groundtruth_param")
    return Made(
        "DetectNet", {"size": (view.count("image_size_y", 384), view.count("image_size_x", 1248))}, domain="caffe"
    )


#: Where the rule of a type comes from whose operator BVLC Caffe has as well.
SOURCES = {
    "BN": "PSPNet bn_layer.cpp; SegNet bn_layer.cpp",
    "BoxAnnotatorOHEM": "R-FCN box_annotator_ohem_layer.cpp",
    "Convolution3D": "C3D convolution3d_layer.cpp",
    "ConvolutionDepthwise": "a convolution of as many groups as outputs",
    "Deconvolution3D": "C3D deconvolution3d_layer.cpp",
    "DepthwiseConvolution": "a convolution of as many groups as outputs",
    "DetectionEvaluate": "SSD detection_evaluate_layer.cpp",
    "Flip": "NormFace flip_layer.cpp",
    "Noise": "a fork's noise, for training",
    "Normalize": "SSD normalize_layer.cpp; NormFace normalize_layer.cpp",
    "Pooling3D": "C3D pooling3d_layer.cpp",
    "Proposal": "Faster R-CNN proposal_layer.cpp",
    "ReLU6": "a ReLU up to 6",
    "Yolov3DetectionOutput": "MobileNet-YOLO yolov3_detection_output_layer.cpp",
}

#: Layer type -> its row, for types BVLC Caffe does not have.
FORK_LAYERS: dict[str, Row] = {
    "Axpy": plain("Axpy", "caffe"),
    "BN": _bn,
    "BoxAnnotatorOHEM": computed("which boxes are hard is known when it runs"),
    "Convolution3D": convolution3d,
    "ConvolutionDepthwise": depthwise,
    "Deconvolution3D": deconvolution3d,
    "DepthwiseConvolution": depthwise,
    "DetectNetTransformation": _detectnet,
    "DetectionEvaluate": computed("how many boxes are judged is known when it runs"),
    "DetectionOutput": _detections,
    "Flip": plain("Alike", "caffe"),
    "InnerDistance": _rows_of_weights("inner_distance_param"),
    "Interp": _interp,
    "MarginInnerProduct": _rows_of_weights("margin_inner_product_param"),
    "Noise": plain("Alike", "caffe"),
    "Normalize": _normalize,
    "Pooling3D": pooling3d,
    "Proposal": computed("how many regions are proposed is known when it runs"),
    "PSROIPooling": _psroi_pooling,
    "Permute": _permute,
    "PriorBox": _prior_box,
    "ROIAlign": _roi_pooling("roi_align_param", "RegionMaps"),
    "ROIPooling": _roi_pooling("roi_pooling_param", "ROIPooling"),
    "ReLU6": _relu6,
    "Reorg": _reorg,
    "ShuffleChannel": _shuffle,
    "Upsample": _upsample,
    "Yolov3DetectionOutput": plain("DetectionOutput", "caffe"),
    **RECURRENT_LAYERS,
}
