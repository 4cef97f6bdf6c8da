"""Convolutions and poolings: the layers with a window (base_conv_layer.cpp, pooling_layer.cpp)."""

from __future__ import annotations

from typing import Any

from .layer import Layer
from .made import BIAS, Made, Weight, outputs
from .view import View

#: What MAX pooling starts from (pooling_layer.cpp, -FLT_MAX).
LOWEST = -3.4028234663852886e38
POOLS = {"MAX": 0, "AVE": 1, "STOCHASTIC": 2}
ROUNDS = {"CEIL": 0, "FLOOR": 1}


def _sizes(layer: Layer, view: View, name: str, default: int, *, low: int, paired: bool) -> tuple[int, ...]:
    """One number a spatial axis: ``name`` once or for each, or its ``_h`` and ``_w`` spelling.

    ``paired``: _h and _w must come together and exclude ``name`` (pooling); a convolution takes either alone.
    """
    stem = name.removesuffix("_size")
    high, wide = f"{stem}_h", f"{stem}_w"
    given = view.counts(name)
    sizes: tuple[int, ...]
    if view.has(high, wide):
        if given or (paired and not (view.has(high) and view.has(wide))):
            raise layer.refuse(f"give {name}, or {high} and {wide}", hint="keep one of the two spellings")
        sizes = (view.count(high, default), view.count(wide, default))
    elif len(given) in (0, 1):
        sizes = (given[0] if given else default,) * (2 if paired else layer.spatial)
    elif not paired and len(given) == layer.spatial:
        sizes = tuple(given)
    else:
        raise layer.refuse(f"{len(given)} times {name} for {layer.spatial} spatial axes")
    if min(sizes, default=low) < low:
        raise layer.refuse(f"{name} must be at least {low}, found {min(sizes)}")
    return sizes


def _filters(layer: Layer) -> tuple[dict[str, Any], tuple[Weight | None, ...]]:
    """What convolution and deconvolution share (base_conv_layer.cpp, LayerSetUp)."""
    view = layer.param("convolution_param")
    if len(layer.bottoms) != 1 or len(layer.tops) != 1:
        raise layer.refuse(
            f"{len(layer.bottoms)} bottoms", "E204", "one layer for each, sharing its parameters by name"
        )
    if view.integer("axis", 1) != 1:
        raise layer.refuse("its channels are not axis 1", "E204")
    if any(field.name.endswith(("_h", "_w")) for field in view):
        layer.spatial = 2  # these spellings are for images (base_conv_layer.cpp); other layers may see more axes
    pad = _sizes(layer, view, "pad", 0, low=0, paired=False)
    dilations = tuple(view.counts("dilation")) or (1,)
    attrs: dict[str, Any] = {
        "kernel_shape": _sizes(layer, view, "kernel_size", 0, low=1, paired=False),
        "strides": _sizes(layer, view, "stride", 1, low=1, paired=False),
        "pads": pad + pad,
        "dilations": dilations * layer.spatial if len(dilations) == 1 else dilations,
        "group": view.count("group", 1),
        "channels": outputs(layer, view),
    }
    if len(attrs["dilations"]) != layer.spatial or min(attrs["dilations"]) < 1 or attrs["group"] < 1:
        raise layer.refuse("dilation and group must be at least 1, one dilation for each spatial axis")
    return attrs, (Weight("weight"), BIAS) if view.flag("bias_term", True) else (Weight("weight"),)


def convolution(layer: Layer) -> Made:
    """Convolution."""
    return Made("Conv", *_filters(layer))


def depthwise(layer: Layer) -> Made:
    """A filter for each channel; the forks' layers take as many groups as outputs."""
    attrs, weights = _filters(layer)
    return Made("Conv", {**attrs, "group": attrs["channels"]}, weights)


def deconvolution(layer: Layer) -> Made:
    """Deconvolution: a convolution turned round."""
    return Made("ConvTranspose", *_filters(layer))


def _volume(view: View, name: str, deep: str, default: int) -> tuple[int, int, int]:
    """C3D's two numbers for three axes: time, then height and width."""
    size = view.count(name, default)
    return (view.count(deep, default), size, size)


def _volumes(layer: Layer, view: View) -> dict[str, Any]:
    """The window of C3D's layers (C3D convolution3d_layer.cpp, pooling3d_layer.cpp)."""
    pads = _volume(view, "pad", "temporal_pad", 0)
    attrs = {
        "kernel_shape": _volume(view, "kernel_size", "kernel_depth", 0),
        "strides": _volume(view, "stride", "temporal_stride", 1),
        "pads": pads + pads,
    }
    if min(*attrs["kernel_shape"], *attrs["strides"]) < 1:
        raise layer.refuse("kernel_size, kernel_depth and both strides must be at least 1")
    return attrs


def _filters3d(layer: Layer) -> tuple[dict[str, Any], tuple[Weight | None, ...]]:
    """C3D keeps them in ``convolution_param``, its second version in ``convolution3d_param``."""
    view = layer.param("convolution3d_param" if layer.view.has("convolution3d_param") else "convolution_param")
    attrs = {**_volumes(layer, view), "group": view.count("filter_group", 1), "channels": outputs(layer, view)}
    return attrs, (Weight("weight"), BIAS) if view.flag("bias_term", True) else (Weight("weight"),)


def convolution3d(layer: Layer) -> Made:
    """C3D's convolution over time, height and width."""
    return Made("Conv", *_filters3d(layer))


def deconvolution3d(layer: Layer) -> Made:
    """C3D's convolution turned round."""
    return Made("ConvTranspose", *_filters3d(layer))


def pooling3d(layer: Layer) -> Made:
    """C3D's pooling; it rounds up along all three axes."""
    view = layer.param("pooling3d_param" if layer.view.has("pooling3d_param") else "pooling_param")
    method = view.choice("pool", POOLS, "MAX")
    if method == "STOCHASTIC":
        raise layer.refuse("stochastic pooling is not read", "E204", "pool: MAX or pool: AVE")
    extra: dict[str, Any] = {"outside": LOWEST} if method == "MAX" else {"count_include_pad": 1}
    return Made("MaxPool" if method == "MAX" else "AveragePool", {**extra, **_volumes(layer, view)})


def _ceil_mode(view: View) -> int | None:
    """What the file says of rounding: None for nothing, so that the dialect decides."""
    if view.has("ceil_mode"):
        return int(view.flag("ceil_mode", True))
    return {"CEIL": 1, "FLOOR": 0}[view.choice("round_mode", ROUNDS, "CEIL")] if view.has("round_mode") else None


def pooling(layer: Layer) -> Made:
    """pooling_layer.cpp, LayerSetUp."""
    view = layer.param("pooling_param")
    method = view.choice("pool", POOLS, "MAX")
    if method == "STOCHASTIC":
        raise layer.refuse("stochastic pooling is not read", "E204", "pool: MAX or pool: AVE")
    if method == "AVE" and len(layer.tops) > 1:
        raise layer.refuse("average pooling has one top; the places of the maxima are a second one of MAX")
    attrs: dict[str, Any] = {"outside": LOWEST} if method == "MAX" else {"count_include_pad": 1}
    if len(layer.tops) > 1:
        attrs["places"] = "plane"
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


def pyramid(layer: Layer) -> Made:
    """SPP: poolings into 1, 4, 16, … bins, side by side."""
    view = layer.param("spp_param")
    height = view.count("pyramid_height", 0)
    method = view.choice("pool", POOLS, "MAX")
    if not 1 <= height <= 30 or method == "STOCHASTIC":
        raise layer.refuse("pyramid_height must be from 1 to 30, and pool MAX or AVE")
    return Made("SPP", {"height": height, "pool": method}, domain="caffe")
