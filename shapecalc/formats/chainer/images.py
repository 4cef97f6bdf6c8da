"""Functions of ``chainer.functions`` on images: unpooling, resizing, regions, and convolutions with given weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .use import Row, Use
from .values import Variable

DOMAIN = "chainer"


def _unpool(use: Use) -> Variable:
    """Each place written over its window; without ``cover_all`` windows reach to the end."""
    x = use.variable()
    return use.emit("Unpool", [x], _unpool_attrs(use), rank=x.rank, domain=DOMAIN)


def _unpool_attrs(use: Use) -> dict[str, Any]:
    rank = use.row.options
    kernel = use.pair("ksize", 1, rank)
    return {
        "kernel_shape": kernel,
        "strides": kernel if use["stride"] is None else use.pair("stride", 1, rank),
        "pads": use.pair("pad", 0, rank) * 2,
        "cover_all": int(bool(use["cover_all"])),
        "outsize": None if use["outsize"] is None else use.pair("outsize", 1, rank),
    }


def _upsample(use: Use) -> Variable:
    """Each place written where the pooling found it: ``indexes`` are those of that pooling."""
    x = use.variable()
    places = [use["indexes"]] if isinstance(use["indexes"], Variable) else []
    return use.emit("Unsample", [x, *places], _unpool_attrs(use), rank=x.rank, domain=DOMAIN)


def _resize(use: Use) -> Variable:
    x = use.variable()
    attrs = {
        "size": use.pair("output_shape", 1),
        "mode": str(use["mode"]),
        "align_corners": int(bool(use["align_corners"])),
    }
    return use.emit("Resize", [x], attrs, rank=4, domain=DOMAIN)


def _regions(use: Use) -> Variable:
    """A map of ``outsize`` for every region."""
    outsize = ("outh", "outw") if "outh" in use.given else ("outsize",)
    sizes = [use.size(name, 1) for name in outsize] if len(outsize) == 2 else list(use.pair("outsize", 1))
    attrs: dict[str, Any] = {"size": tuple(sizes), "spatial_scale": use.number("spatial_scale"), "kind": use.row.name}
    if "sampling_ratio" in use.given:
        ratio = use["sampling_ratio"]
        attrs["sampling_ratio"] = (0, 0) if ratio is None else use.pair("sampling_ratio", 1)
    images = [use.variable("roi_indices")] if "roi_indices" in use.given else []
    return use.emit("Regions", [use.variable(), use.variable("rois"), *images], attrs, rank=4, domain=DOMAIN)


def _given_weights(use: Use) -> list[Variable]:
    weights = [use.variable("W")]
    return weights if use["b"] is None else [*weights, use.variable("b")]


def _convolution(use: Use) -> Variable:
    """A convolution whose weights are a value of the graph or a parameter of the definition."""
    x, (weight, *bias) = use.variable(), _given_weights(use)
    shape = weight.shape
    rank = use.row.options if use.row.options is not None else use.need_rank(x.rank) - 2
    if len(shape) != rank + 2:
        raise use.error(f"its argument W has {len(shape)} dimensions, not {rank + 2}", "E108")
    attrs = {
        "kernel_shape": shape[2:],
        "strides": use.pair("stride", 1, rank),
        "pads": use.pair("pad", 0, rank) * 2,
        "dilations": use.pair("dilate", 1, rank),
        "group": use.size("groups", 1),
        "channels": shape[0],
    }
    return use.emit("Conv", [x, weight, *bias], attrs, rank=x.rank)


def _deconvolution(use: Use) -> Variable:
    """A transposed convolution, its weights (inputs, outputs of a group, kh, kw)."""
    x, (weight, *bias) = use.variable(), _given_weights(use)
    if len(weight.shape) != 4 or use["outsize"] is not None:
        raise use.error("of another weight than one of 4 dimensions, or with outsize, is not supported", "E204")
    group = use.size("groups", 1)
    attrs = {
        "kernel_shape": weight.shape[2:],
        "strides": use.pair("stride", 1),
        "pads": use.pair("pad", 0) * 2,
        "dilations": use.pair("dilate", 1),
        "group": group,
        "channels": weight.shape[1] * group,
    }
    return use.emit("ConvTranspose", [x, weight, *bias], attrs, rank=x.rank)


def _local(use: Use) -> Variable:
    """Weights of their own at every place: (outputs, oh, ow, inputs, kh, kw)."""
    x, (weight, *bias) = use.variable(), _given_weights(use)
    shape = weight.shape
    if len(shape) != 6:
        raise use.error(f"its argument W has {len(shape)} dimensions, not 6", "E108")
    attrs = {"kernel_shape": shape[4:], "strides": use.pair("stride", 1), "channels": shape[0]}
    return use.emit("LocalConv", [x, weight, *bias], attrs, rank=x.rank, domain=DOMAIN)


def _linear(use: Use) -> Variable:
    """W, or where the first input decides its size (a Linear that was derived from) the bias, tells the outputs."""
    x, (weight, *bias) = use.variable(), _given_weights(use)
    lazily = weight.rank is None and bool(bias) and bias[0].rank == 1
    if weight.rank != 2 and not lazily:
        raise use.error(f"its argument W has {weight.rank} dimensions, not 2", "E108")
    axis = int(use.size("n_batch_axes", 1))
    attrs = {"axis": axis, "transB": 1, "channels": (bias[0] if lazily else weight).shape[0]}
    return use.emit("Gemm", [x, weight, *bias], attrs, rank=axis + 1)


def _prelu(use: Use) -> Variable:
    x, slope = use.variable(), use.variable("W")
    return use.emit("PRelu", [x, slope], {"per_channel": slope.rank == 1}, rank=x.rank)


def _embed(use: Use) -> Variable:
    x, table = use.variable(), use.variable("W")
    rank = None if x.rank is None else x.rank + 1
    sizes = {"input_dim": table.shape[0], "channels": table.shape[1]}
    return use.emit("Embedding", [x, table], sizes, rank=rank, domain="keras")


def _normalized(op: str, **attrs: str) -> Callable[[Use], Variable]:
    def rule(use: Use) -> Variable:
        x, gamma, beta = use.variable(), use.variable("gamma"), use.variable("beta")
        numbers: dict[str, Any] = {"epsilon": use.number("eps")}
        numbers |= {key: use.size(name, 1) for key, name in attrs.items()}
        return use.emit(op, [x, gamma, beta], numbers, rank=x.rank)

    return rule


_UNPOOL: dict[str, Any] = {"stride": None, "pad": 0, "outsize": None, "cover_all": True}
_CONV: dict[str, Any] = {"b": None, "stride": 1, "pad": 0, "cover_all": False, "dilate": 1, "groups": 1}
_REGIONS = "x rois roi_indices outsize spatial_scale"

IMAGES = {
    row.name: row
    for row in (
        *(Row(f"unpooling_{n}d", _unpool, "x ksize", "unpool", options=n, **_UNPOOL) for n in (1, 2, 3)),
        Row("upsampling_2d", _upsample, "x indexes ksize", "unpool", options=2, **_UNPOOL),
        Row("resize_images", _resize, "x output_shape", "resize", mode="bilinear", align_corners=True),
        Row("roi_pooling_2d", _regions, "x rois outh outw spatial_scale", "roi"),
        *(Row(f"roi_{kind}_pooling_2d", _regions, _REGIONS, "roi") for kind in ("max", "average")),
        *(Row(f"roi_{kind}_align_2d", _regions, _REGIONS, "roi", sampling_ratio=None) for kind in ("max", "average")),
        *(Row(f"convolution_{n}d", _convolution, "x W", "conv", options=n, **_CONV) for n in (1, 2, 3)),
        Row("convolution_nd", _convolution, "x W", "conv", **_CONV),
        Row(
            "deconvolution_2d", _deconvolution, "x W", "conv", b=None, stride=1, pad=0, outsize=None, dilate=1, groups=1
        ),
        Row("local_convolution_2d", _local, "x W", "conv", b=None, stride=1),
        Row("linear", _linear, "x W", b=None, n_batch_axes=1),
        Row("prelu", _prelu, "x W", "relu"),
        Row("embed_id", _embed, "x W", "embed", ignore_label=None),
        Row(
            "group_normalization",
            _normalized("GroupNormalization", num_groups="groups"),
            "x groups gamma beta",
            "norm",
            eps=1e-5,
        ),
    )
}
