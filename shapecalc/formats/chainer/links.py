"""The links of ``chainer.links`` that are one layer each: a row for each, with its constructor as Chainer 7.8.1 has it.

Links made of several others are written in Chainer itself, in `composites`.
"""

from __future__ import annotations

from typing import Any

from ...dims import Dim
from .use import Row, Use
from .values import Value, Variable


def _channels(use: Use, inputs: str = "in_channels", outputs: str = "out_channels") -> tuple[Dim | None, Dim, Value]:
    """(inputs or None where the first image decides, outputs, ksize): without ksize, the arguments shift by one.

    chainer/links/connection/convolution_2d.py, ``if ksize is None``.
    """
    given, wanted, ksize = use[inputs], use[outputs], use["ksize"]
    if ksize is None:
        given, wanted, ksize = None, given, wanted
    size = None if given is None else use.as_size(given, inputs, 1)
    return size, use.as_size(wanted, outputs, 1), ksize


def _geometry(use: Use, ksize: Value, rank: int = 2) -> dict[str, Any]:
    kernel = tuple(ksize) if isinstance(ksize, (list, tuple)) else (ksize,) * rank
    if len(kernel) != rank:
        raise use.error(f"its argument ksize has {len(kernel)} numbers for {rank} axes", "E109")
    return {
        "kernel_shape": tuple(use.as_size(size, "ksize", 1) for size in kernel),
        "strides": use.pair("stride", 1, rank),
        "pads": use.pair("pad", 0, rank) * 2,
    }


def _axes(use: Use) -> int:
    """Spatial axes: the link's own, or its argument ndim (which numpy bounds at 32)."""
    rank = use.row.options or use.size("ndim", 1)
    if not isinstance(rank, int) or rank > 30:
        raise use.error(f"{rank} axes", "E109")
    return rank


def _bias(use: Use, outputs: Dim) -> list[str]:
    return [] if use["nobias"] else [use.param("b", (outputs,))]


def _convolution(use: Use) -> Variable:
    x = use.variable()
    inputs, outputs, ksize = _channels(use)
    rank = _axes(use)
    groups = use.size("groups", 1)
    attrs = _geometry(use, ksize, rank) | {"dilations": use.pair("dilate", 1, rank), "group": groups}
    shape = None if inputs is None else (outputs, inputs // groups, *attrs["kernel_shape"])
    weight = use.param("W", shape)
    return use.emit("Conv", [x, weight, *_bias(use, outputs)], attrs | {"channels": outputs}, rank=x.rank)


def _depthwise(use: Use) -> Variable:
    """W is (multiplier, channels, kh, kw); ONNX's grouped weight is made of it when a file is written.

    Without in_channels the shape of W waits for the first image, so the grouped weight stands for itself.
    """
    x = use.variable()
    multiplier = use.size("channel_multiplier", 1)
    attrs = _geometry(use, use["ksize"])
    if use["in_channels"] is None:
        groups = x.shape[1]
        params = [use.param("W:grouped"), *([] if use["nobias"] else [use.param("b")])]
    else:
        groups = use.size("in_channels", 1)
        source = use.param("W", (multiplier, groups, *attrs["kernel_shape"]))
        shape = (groups * multiplier, 1, *attrs["kernel_shape"])
        grouped = use.param("W:grouped", shape, recipe="depthwise", sources=(source,))
        params = [grouped, *_bias(use, groups * multiplier)]
    return use.emit("Conv", [x, *params], attrs | {"group": groups, "channels": groups * multiplier}, rank=x.rank)


def _deconvolution(use: Use) -> Variable:
    x = use.variable()
    inputs, outputs, ksize = _channels(use)
    rank = _axes(use)
    groups = use.size("groups", 1)
    attrs = _geometry(use, ksize, rank) | {"dilations": use.pair("dilate", 1, rank), "group": groups}
    if use["outsize"] is not None:
        attrs["output_padding"] = _extra(use, x, attrs, rank)
    shape = None if inputs is None else (inputs, outputs // groups, *attrs["kernel_shape"])
    weight = use.param("W", shape)
    return use.emit("ConvTranspose", [x, weight, *_bias(use, outputs)], attrs | {"channels": outputs}, rank=x.rank)


def _extra(use: Use, x: Variable, attrs: dict[str, Any], rank: int) -> tuple[Dim, ...]:
    """What ``outsize`` adds to stride·(n − 1) + extent − 2·pad (chainer/utils/conv.py get_deconv_outsize)."""
    rows = zip(
        use.pair("outsize", 1, rank),
        x.shape[2:],
        attrs["kernel_shape"],
        attrs["strides"],
        attrs["pads"],
        attrs["dilations"],
        strict=False,
    )
    return tuple(wanted - (s * (n - 1) + (k - 1) * d + 1 - 2 * p) for wanted, n, k, s, p, d in rows)


def _linear(use: Use) -> Variable:
    x = use.variable()
    inputs, outputs = use["in_size"], use["out_size"]
    if outputs is None:  # Linear(n) is Linear(None, n): chainer/links/connection/linear.py
        inputs, outputs = None, inputs
    channels = use.as_size(outputs, "out_size", 1)
    weight = use.param("W", None if inputs is None else (channels, use.as_size(inputs, "in_size", 1)))
    axis = int(use.size("n_batch_axes", 1))
    attrs = {"axis": axis, "transB": 1, "channels": channels}
    return use.emit("Gemm", [x, weight, *_bias(use, channels)], attrs, rank=axis + 1)


def _batch_normalization(use: Use) -> Variable:
    x = use.variable()
    size = use["size"]
    shape = None if size is None else (use.as_size(size, "size", 1),)
    gamma, beta = (
        use.param(key, shape) if use[switch] else "" for key, switch in (("gamma", "use_gamma"), ("beta", "use_beta"))
    )
    mean, variance = (use.param(key, shape, trained=False) for key in ("avg_mean", "avg_var"))
    attrs = {"epsilon": use.number("eps"), **_kept(use, x)}
    return use.emit("BatchNormalization", [x, gamma, beta, mean, variance], attrs, rank=x.rank)


def _kept(use: Use, x: Variable) -> dict[str, Any]:
    """The one axis that is not averaged over; axis 1 where ``axis`` is not given."""
    given = use["axis"]
    if given is None:
        return {}
    axes = set(given) if isinstance(given, (tuple, list)) else {given}
    kept = sorted(set(range(use.need_rank(x.rank))) - axes)
    if len(kept) != 1:
        raise use.error("statistics for several axes together are not supported", "E204")
    return {} if kept == [1] else {"axis": kept[0]}


def _prelu(use: Use) -> Variable:
    x = use.variable()
    shape = use["shape"]
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
    slope = use.param("W", tuple(use.as_size(size, "shape", 1) for size in sizes))
    return use.emit("PRelu", [x, slope], {"per_channel": len(sizes) == 1}, rank=x.rank)


def _affine(use: Use, shape: Value, keys: list[str]) -> Variable:
    x = use.variable()
    if shape is None:
        raise use.error("without a shape of its own it needs two inputs, which is not supported", "E204")
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
    numbers = tuple(use.as_size(size, "shape", 1) for size in sizes)
    params = [use.param(key, numbers) if key else "" for key in keys]
    return use.emit("Scale", [x, *params], {"axis": use.size("axis"), "num_axes": len(numbers)}, rank=x.rank)


def _local(use: Use) -> Variable:
    """Weights of its own at every place; of any size of image while ``in_size`` is not given."""
    x = use.variable()
    inputs, outputs, ksize = _channels(use)
    attrs = _geometry(use, ksize) | {"channels": outputs}
    shape = None
    if inputs is not None and use["in_size"] is not None:
        rows = zip(use.pair("in_size", 1), attrs["kernel_shape"], attrs["strides"], strict=True)
        places = tuple((n - k) // s + 1 for n, k, s in rows)
        shape = (outputs, *places, inputs, *attrs["kernel_shape"])
    names = [use.param("W", shape)]
    if not use["nobias"]:
        names.append(use.param("b", None if shape is None else shape[:3]))
    del attrs["pads"]
    return use.emit("LocalConv", [x, *names], attrs, rank=x.rank, domain="chainer")


def _scale(use: Use) -> Variable:
    return _affine(use, use["W_shape"], ["W", "bias/b"] if use["bias_term"] else ["W"])


_CONVOLUTION: dict[str, Any] = {
    "ksize": None,
    "stride": 1,
    "pad": 0,
    "nobias": False,
    "initialW": None,
    "initial_bias": None,
    "dilate": 1,
    "groups": 1,
}
_DECONVOLUTION: dict[str, Any] = {
    "ksize": None,
    "stride": 1,
    "pad": 0,
    "nobias": False,
    "outsize": None,
    "initialW": None,
    "initial_bias": None,
    "dilate": 1,
    "groups": 1,
}
_DILATED: dict[str, Any] = {
    "ksize": None,
    "stride": 1,
    "pad": 0,
    "dilate": 1,
    "nobias": False,
    "initialW": None,
    "initial_bias": None,
    "groups": 1,
}
_BATCH: dict[str, Any] = {
    "size": None,
    "decay": 0.9,
    "eps": 2e-5,
    "dtype": None,
    "use_gamma": True,
    "use_beta": True,
    "initial_gamma": None,
    "initial_beta": None,
    "axis": None,
    "initial_avg_mean": None,
    "initial_avg_var": None,
}

LINKS = {
    row.name: row
    for row in (
        Row("Convolution2D", _convolution, "in_channels out_channels", options=2, **_CONVOLUTION),
        Row("Convolution1D", _convolution, "in_channels out_channels", options=1, **_CONVOLUTION),
        Row("Convolution3D", _convolution, "in_channels out_channels", options=3, **_CONVOLUTION),
        Row("ConvolutionND", _convolution, "ndim in_channels out_channels", **_CONVOLUTION),
        Row("DilatedConvolution2D", _convolution, "in_channels out_channels", options=2, **_DILATED),
        Row(
            "DepthwiseConvolution2D",
            _depthwise,
            "in_channels channel_multiplier ksize",
            stride=1,
            pad=0,
            nobias=False,
            initialW=None,
            initial_bias=None,
        ),
        Row("Deconvolution2D", _deconvolution, "in_channels out_channels", options=2, **_DECONVOLUTION),
        Row("Deconvolution1D", _deconvolution, "in_channels out_channels", options=1, **_DECONVOLUTION),
        Row("Deconvolution3D", _deconvolution, "in_channels out_channels", options=3, **_DECONVOLUTION),
        Row("DeconvolutionND", _deconvolution, "ndim in_channels out_channels", **_DECONVOLUTION),
        Row("Linear", _linear, "in_size", out_size=None, nobias=False, initialW=None, initial_bias=None),
        Row("BatchNormalization", _batch_normalization, "", **_BATCH),
        Row(
            "LocalConvolution2D",
            _local,
            "in_channels out_channels",
            in_size=None,
            ksize=None,
            stride=1,
            pad=0,
            nobias=False,
            initialW=None,
            initial_bias=None,
        ),
        Row("PReLU", _prelu, "", shape=(), init=0.25),
        Row("Scale", _scale, "", axis=1, W_shape=None, bias_term=False, bias_shape=None),
        Row("Bias", lambda use: _affine(use, use["shape"], ["", "b"]), "", axis=1, shape=None),
    )
}
#: What each link takes when it is called, besides the image.
CALLS: dict[str, dict[str, Any]] = {"Linear": {"n_batch_axes": 1}, "BatchNormalization": {"finetune": False}}
