"""Convolutions and poolings: the layers with a window (``layers/convolutional``, ``layers/pooling``)."""

from __future__ import annotations

from typing import Any

from .activations import activation
from .layer import Layer, Made, Row, weighted

PADDINGS = ("valid", "same")


def _windows(layer: Layer, rank: int) -> dict[str, Any]:
    config = layer.config
    strides = config.sizes("strides", rank, 1)
    dilations = config.sizes("dilation_rate", rank, 1)
    if max(strides) > 1 and max(dilations) > 1:
        raise layer.refuse(f"strides {list(strides)} with dilation_rate {list(dilations)}: one of them must be 1")
    return {"kernel_shape": config.sizes("kernel_size", rank), "strides": strides, "dilations": dilations}


def _layout(layer: Layer) -> str:
    return layer.layout or "NHWC"


def _padded(layer: Layer, attrs: dict[str, Any], rank: int) -> dict[str, Any]:
    """ "causal" sees the past only: all padding stands before the first step (base_conv.py, Conv1D)."""
    words = (*PADDINGS, "causal") if rank == 1 else PADDINGS
    padding = layer.config.choice("padding", words, "valid")
    if padding == "same":
        return attrs | {"auto_pad": "SAME_UPPER"}
    if padding == "causal":
        return attrs | {"pads": ((attrs["kernel_shape"][0] - 1) * attrs["dilations"][0], 0)}
    return attrs


def _convolution(rank: int) -> Row:
    """valid, same (⌈n/stride⌉, the larger half of the padding at the end) and causal; dilation, groups."""

    def make(layer: Layer) -> Made:
        filters, groups = layer.config.integer("filters", low=1), layer.config.integer("groups", 1, low=1)
        if filters % groups:
            raise layer.refuse(f"{filters} filters do not divide into {groups} groups", "E104")
        attrs = _padded(layer, _windows(layer, rank), rank)
        attrs |= {"group": groups, "channels": filters, "weight_order": "HWIO"}
        return Made("Conv", attrs, weighted(layer, "kernel"), "", activation(layer), _layout(layer))

    return make


def _depthwise(rank: int) -> Row:
    """Older versions call its weight ``depthwise_kernel``."""

    def make(layer: Layer) -> Made:
        multiplier = layer.config.integer("depth_multiplier", 1, low=1)
        attrs = _padded(layer, _windows(layer, rank), rank)
        attrs |= {"depth_multiplier": multiplier, "weight_order": "HWIM"}
        name = "kernel" if layer.modern else "depthwise_kernel"
        return Made("Conv", attrs, weighted(layer, name), "", activation(layer), _layout(layer))

    return make


def _separable(rank: int) -> Row:
    """Two convolutions in ONNX."""

    def make(layer: Layer) -> Made:
        attrs = _padded(layer, _windows(layer, rank), rank)
        attrs["channels"] = layer.config.integer("filters", low=1)
        attrs["depth_multiplier"] = layer.config.integer("depth_multiplier", 1, low=1)
        weights = weighted(layer, "depthwise_kernel", "pointwise_kernel")
        return Made("SeparableConv", attrs, weights, "keras", activation(layer), _layout(layer))

    return make


def _turned_round(kernel: int, stride: int, dilation: int, same: bool, extra: int | None) -> tuple[int, int, int]:
    """(pad_begin, pad_end, output_padding) that give Keras' size: n·stride, or n·stride + max(extent − stride, 0).

    backend/common/backend_utils.py, _convert_conv_transpose_padding_args_from_keras_to_jax.
    """
    extent = (kernel - 1) * dilation + 1
    left, right = extent - 1, extent - 1 + (max(extent, stride) - extent if extra is None else extra)
    if same:
        total = stride + extent - 2 if extra is None else extent + extent % 2 - 2 + extra
        left = min(total // 2 + total % 2, extent - 1)
        right = total - left
    end = extent - 1 - right
    return extent - 1 - left, max(end, 0), max(-end, 0)


def _transposed(rank: int) -> Row:
    """n·stride, or n·stride + max(extent − stride, 0); output_padding."""

    def make(layer: Layer) -> Made:
        config, attrs = layer.config, _windows(layer, rank)
        same = config.choice("padding", PADDINGS, "valid") == "same"
        extra: tuple[int | None, ...] = (None,) * rank
        if config.has("output_padding"):
            extra = config.sizes("output_padding", rank, low=0)
            if any(e is not None and e >= s for e, s in zip(extra, attrs["strides"], strict=True)):
                raise layer.refuse(f"output_padding {list(extra)} must be below strides {list(attrs['strides'])}")
        windows = zip(attrs["kernel_shape"], attrs["strides"], attrs["dilations"], extra, strict=True)
        rows = [_turned_round(k, s, d, same, e) for k, s, d, e in windows]
        attrs |= {"pads": (*(r[0] for r in rows), *(r[1] for r in rows)), "output_padding": tuple(r[2] for r in rows)}
        attrs |= {"channels": config.integer("filters", low=1), "weight_order": "HWIO"}
        return Made("ConvTranspose", attrs, weighted(layer, "kernel"), "", activation(layer), _layout(layer))

    return make


def _pooling(op: str, rank: int) -> Row:
    """An average leaves the padding out; the stride is the window where none is given (base_pooling.py)."""

    def make(layer: Layer) -> Made:
        kernel = layer.config.sizes("pool_size", rank, 2)
        attrs: dict[str, Any] = {"kernel_shape": kernel, "strides": layer.config.sizes("strides", rank, kernel)}
        attrs["ceil_mode"] = 0
        if op == "AveragePool":
            attrs["count_include_pad"] = 0
        if layer.config.choice("padding", PADDINGS, "valid") == "same":
            attrs["auto_pad"] = "SAME_UPPER"
        return Made(op, attrs, layout=_layout(layer))

    return make


def _global(op: str) -> Row:
    """keepdims keeps axes of 1."""

    def make(layer: Layer) -> Made:
        return Made(op, {"keepdims": int(layer.config.flag("keepdims", False))}, layout=_layout(layer))

    return make


LAYERS: dict[str, Row] = {}
for _rank in (1, 2, 3):
    LAYERS |= {
        f"Conv{_rank}D": _convolution(_rank),
        f"Convolution{_rank}D": _convolution(_rank),
        f"Conv{_rank}DTranspose": _transposed(_rank),
        f"Convolution{_rank}DTranspose": _transposed(_rank),
        f"MaxPooling{_rank}D": _pooling("MaxPool", _rank),
        f"MaxPool{_rank}D": _pooling("MaxPool", _rank),
        f"AveragePooling{_rank}D": _pooling("AveragePool", _rank),
        f"AvgPool{_rank}D": _pooling("AveragePool", _rank),
        f"GlobalMaxPooling{_rank}D": _global("GlobalMaxPool"),
        f"GlobalMaxPool{_rank}D": _global("GlobalMaxPool"),
        f"GlobalAveragePooling{_rank}D": _global("GlobalAveragePool"),
        f"GlobalAvgPool{_rank}D": _global("GlobalAveragePool"),
    }
for _rank in (1, 2):
    LAYERS |= {
        f"DepthwiseConv{_rank}D": _depthwise(_rank),
        f"SeparableConv{_rank}D": _separable(_rank),
        f"SeparableConvolution{_rank}D": _separable(_rank),
    }
