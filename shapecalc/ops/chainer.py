"""What Chainer computes and ONNX says in other words: unpooling, resizing to a size, broadcasting to a shape."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .. import dims
from ..dims import Dim, Shape, Verdict
from .base import Call, Detail, Lowered, Need, Operator, Shapes, need_rank, register
from .chain import Chain

# -- unpooling --------------------------------------------------------------------------------------------------------


def _rows(call: Call) -> Iterator[tuple[Dim, Dim, Dim, Dim]]:
    """(size, kernel, stride, padding) of each axis."""
    pads = call.attr("pads")
    return zip(call.spatial, call.attr("kernel_shape"), call.attr("strides"), pads[: len(pads) // 2], strict=True)


def unpooled_sizes(call: Call) -> tuple[Dim, ...]:
    """``outsize``, else s(n − 1) + k − 2p, less s − 1 where the pooling covered all (get_deconv_outsize)."""
    given = call.attr("outsize")
    if given is not None:
        return tuple(given)
    spare = 1 if call.attr("cover_all", 1) else 0
    return tuple(s * (n - 1) + k - 2 * p - spare * (s - 1) for n, k, s, p in _rows(call))


def unpooled(call: Call) -> Shapes:
    """The shape of an unpooling."""
    return [call.image(call.channels, unpooled_sizes(call))]


def unpool_needs(call: Call) -> Iterator[Need]:
    """An unpooling gives places."""
    yield need_rank(call, len(call.attr("kernel_shape")) + 2)
    for size in unpooled_sizes(call):
        words = Detail(f"{call.name} gives a size of {size}", "1 or more", str(size))
        yield Need(dims.at_least(size, 1), "E103", partial(_same, words))


def _same(words: Detail) -> Detail:
    return words


def _unpool_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """Every place written over its window, overlaps added: a transposed convolution of ones, channel by channel."""
    channels, kernel = int(call.channels), [int(k) for k in call.attr("kernel_shape")]
    begins, ends, more = [], [], []
    for (n, k, s, p), out in zip(_rows(call), unpooled_sizes(call), strict=True):
        spare = int(s) * (int(n) - 1) + int(k) - int(p) - int(out)
        begins.append(int(p))
        ends.append(max(spare, 0))
        more.append(max(-spare, 0))
    chain = Chain(call)
    ones = chain.add("Expand", (1.0, [channels, 1, *kernel]))
    whole = call.node.inputs[0]
    attrs: dict[str, object] = {"group": channels, "kernel_shape": kernel, "strides": list(call.attr("strides"))}
    value = chain.add("ConvTranspose", (whole, ones), attrs | {"pads": [*begins, *ends]})
    if any(more):
        chain.add("Pad", (value, [0, 0, *[0] * len(more), 0, 0, *more]))
    return chain.done()


# -- shapes given as arguments ----------------------------------------------------------------------------------------


def _resized(call: Call) -> Shapes:
    return [call.image(call.channels, call.attr("size"))]


def _resize_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """Bilinear; corners on corners, or half-pixel centres (chainer/functions/array/resize_images.py)."""
    nearest = call.attr("mode", "bilinear") == "nearest"
    aligned = bool(call.attr("align_corners", 1))
    if nearest:
        return None  # rounded in a way of its own
    wanted = [int(n) for n in (*call.shape()[:2], *call.attr("size"))]
    mode = "align_corners" if aligned else "half_pixel"
    chain = Chain(call)
    chain.add(
        "Resize", (call.node.inputs[0], "", "", wanted), {"mode": "linear", "coordinate_transformation_mode": mode}
    )
    return chain.done()


def _broadcast(call: Call) -> Shapes:
    return [tuple(call.attr("shape"))]


def _broadcast_needs(call: Call) -> Iterator[Need]:
    """From the last axis: equal, or 1."""
    wanted, given = tuple(call.attr("shape")), call.shape()
    verdict: Verdict = len(given) <= len(wanted)
    for a, b in zip(reversed(given), reversed(wanted), strict=False):
        verdict = dims.both(verdict, True if a == 1 else dims.equal(a, b))
    words = Detail(
        f"{call.name} broadcasts {dims.show(given)} to {dims.show(wanted)}", dims.show(wanted), dims.show(given)
    )
    yield Need(verdict, "E105", partial(_same, words))


def _broadcast_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    chain.add("Expand", (call.node.inputs[0], [int(n) for n in call.attr("shape")]))
    return chain.done()


def _filled_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    chain.add("Expand", (float(call.attr("value", 0.0)), [int(n) for n in call.attr("shape")]))
    return chain.done()


# -- convolution with weights of its own at every place ---------------------------------------------------------------


def _local_places(call: Call) -> tuple[Dim, ...]:
    kernel, strides = call.attr("kernel_shape"), call.attr("strides")
    return tuple((n - k) // s + 1 for n, k, s in zip(call.spatial, kernel, strides, strict=True))


def _local(call: Call) -> Shapes:
    return [call.image(call.attr("channels"), _local_places(call))]


def _local_weights(call: Call) -> dict[int, Shape]:
    """(outputs, oh, ow, inputs, kh, kw) and (outputs, oh, ow): chainer/links/connection/local_convolution_2d.py."""
    places, channels = _local_places(call), call.attr("channels")
    return {1: (channels, *places, call.channels, *call.attr("kernel_shape")), 2: (channels, *places)}


def _local_needs(call: Call) -> Iterator[Need]:
    """The weights are made for one size of the image."""
    yield need_rank(call, len(call.attr("kernel_shape")) + 2)
    wanted, given = tuple(call.shape(1)[1:3]), _local_places(call)
    verdict: Verdict = True
    for a, b in zip(wanted, given, strict=True):
        verdict = dims.both(verdict, dims.equal(a, b))
    words = Detail(
        f"{call.name} has weights for {dims.show(wanted)} places, {call.giver()} gives {dims.show(given)}",
        dims.show(wanted),
        dims.show(given),
    )
    yield Need(verdict, "E101", partial(_same, words))


def _local_lower(call: Call, outputs: Shapes) -> Lowered:
    """Windows as channels (a convolution by the unit matrix), then at every place a product with its own weights."""
    kernel, places = [int(k) for k in call.attr("kernel_shape")], [int(n) for n in _local_places(call)]
    reach = int(call.channels) * kernel[0] * kernel[1]
    chain = Chain(call)
    unit = chain.add("EyeLike", (chain.add("Expand", (0.0, [reach, reach])),))
    kernels = chain.add("Reshape", (unit, [reach, int(call.channels), *kernel]))
    windows = chain.add("Conv", (call.node.inputs[0], kernels), {"strides": list(call.attr("strides"))})
    weights = chain.add("Reshape", (call.node.inputs[1], [int(call.attr("channels")), *places, reach]))
    result = chain.add("Einsum", (windows, weights), {"equation": "npij,oijp->noij"})
    if call.has(2):
        chain.add("Add", (result, call.node.inputs[2]))
    return chain.done()


register(
    Operator(
        "Unpool",
        unpooled,
        needs=unpool_needs,
        lower=_unpool_lower,
        source="Chainer functions/pooling/unpooling_2d.py",
    ),
    Operator("Resize", _resized, lower=_resize_lower, source="Chainer functions/array/resize_images.py"),
    Operator(
        "Broadcast",
        _broadcast,
        needs=_broadcast_needs,
        lower=_broadcast_lower,
        source="Chainer functions/array/broadcast.py",
    ),
    Operator("Filled", _broadcast, lower=_filled_lower, dtype=lambda call: "float32", source="numpy.zeros, numpy.ones"),
    Operator(
        "LocalConv",
        _local,
        needs=_local_needs,
        weights=_local_weights,
        lower=_local_lower,
        source="Chainer links/connection/local_convolution_2d.py",
    ),
    domain="chainer",
)
