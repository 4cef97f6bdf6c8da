"""Layers of Caffe's forks for detection and segmentation, under the domain "caffe".

Rows with ``lower`` can be written as plain ONNX with the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .. import dims
from ..dims import Dim, Shape, Unknown
from .base import Call, Detail, Lowered, Need, Operator, Shapes, register, same_shape
from .chain import Chain


def _order(call: Call) -> tuple[int, ...]:
    """The axes named, then the others in ascending order (SSD permute_layer.cpp)."""
    named = tuple(call.attr("order", ()))
    return (*named, *(axis for axis in range(len(call.shape())) if axis not in named))


def _permute_lower(call: Call, outputs: Shapes) -> Lowered:
    return Lowered([call.node.replace(op="Transpose", domain="", attrs={"perm": _order(call)})])


def _normalize_lower(call: Call, outputs: Shapes) -> Lowered:
    """x / sqrt(sum of squares + eps) * scale, over channels or the whole item (SSD normalize_layer.cpp)."""
    rank = len(call.shape())
    axes = list(range(1, rank)) if call.attr("across_spatial", 1) else [1]
    chain = Chain(call)
    value, scale = call.node.inputs[:2]
    total = chain.add("ReduceSumSquare", (value, axes), {"keepdims": 1})
    norm = chain.add("Sqrt", (chain.add("Add", (total, float(call.attr("epsilon", 1e-10)))),))
    unit = chain.add("Div", (value, norm))
    lined = scale if call.attr("shared", 1) else chain.add("Reshape", (scale, [-1, *(1,) * (rank - 2)]))
    chain.add("Mul", (unit, lined))
    return chain.done()


# -- detection --------------------------------------------------------------------------------------------------------


def _detections(call: Call) -> Shapes:
    return [(1, 1, Unknown(f"{call.name}: how many boxes are found is known when it runs"), 7)]


# -- segmentation -----------------------------------------------------------------------------------------------------


def _interp(call: Call) -> Shapes:
    """Padded, then shrunk, then zoomed, or to a given size, that of a second input (PSPNet interp_layer.cpp)."""
    if call.has(1):
        return [call.image(call.channels, call.shape(1)[2:])]
    given = (call.attr("height"), call.attr("width"))
    pad = int(call.attr("pad_beg", 0)) + int(call.attr("pad_end", 0))
    sizes: list[Dim] = []
    for n, wanted in zip(call.spatial, given, strict=True):
        size = n + pad
        shrink, zoom = call.attr("shrink_factor"), call.attr("zoom_factor")
        if shrink is not None:
            size = (size - 1) // int(shrink) + 1
        if zoom is not None:
            size = size + (size - 1) * (int(zoom) - 1)
        sizes.append(wanted if shrink is None and zoom is None and wanted else size)
    return [call.image(call.channels, sizes)]


def _interp_lower(call: Call, outputs: Shapes) -> Lowered:
    """Its pads are below 0 and cut; then corners stay on corners (interp_layer.cpp, caffe_cpu_interp2)."""
    chain = Chain(call)
    value = call.node.inputs[0]
    begin, end = int(call.attr("pad_beg", 0)), int(call.attr("pad_end", 0))
    if begin or end:
        value = chain.add("Pad", (value, [0, 0, begin, begin, 0, 0, end, end]))
    attrs: dict[str, object] = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    chain.add("Resize", (value, "", "", list(outputs[0])), attrs)  # type: ignore[arg-type]
    return chain.done()


def _axpy_needs(call: Call) -> Iterator[Need]:
    """a * x + y: a has one number a channel, x and y have one shape (SENet axpy_layer.cpp)."""
    a, x, y = call.shape(0), call.shape(1), call.shape(2)
    verdict: dims.Verdict = len(x) == len(y)
    for left, right in [*zip(x, y, strict=False), *zip(a[:2], x[:2], strict=True)]:
        verdict = dims.both(verdict, dims.equal(left, right))
    shown = [dims.show(shape) for shape in (a, x, y)]
    words = Detail(f"{call.name} joins {shown[0]} · {shown[1]} + {shown[2]}", f"twice {shown[1]}", shown[2])
    yield Need(verdict, "E105", lambda: words)


def _axpy_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    a, x, y = call.node.inputs[:3]
    tail = len(call.shape(1)) - len(call.shape(0))
    lined = chain.add("Reshape", (a, [*call.shape(0), *(1,) * tail])) if tail else a
    chain.add("Add", (chain.add("Mul", (lined, x)), y))
    return chain.done()


# -- channels, classes ------------------------------------------------------------------------------------------------


def _shuffle_needs(call: Call) -> Iterator[Need]:
    group = int(call.attr("group", 1))
    words = Detail(f"{call.name} shuffles {call.channels} channels in {group} groups", f"a multiple of {group}")
    whole = group > 0 and dims.equal(call.channels // group * group, call.channels)
    yield Need(whole, "E104", lambda: words)


def _shuffle_lower(call: Call, outputs: Shapes) -> Lowered:
    """Channels as a matrix of groups by rest, turned (shuffle_channel_layer.cpp)."""
    batch, channels, *rest = call.shape()
    group = int(call.attr("group", 1))
    chain = Chain(call)
    value = chain.add("Reshape", (call.node.inputs[0], [batch, group, channels // group, dims.product(rest)]))
    turned = chain.add("Transpose", (value,), {"perm": [0, 2, 1, 3]})
    chain.add("Reshape", (turned, list(call.shape())))
    return chain.done()


def _reorg_shapes(call: Call) -> Shapes:
    """Places become channels, or with ``reverse`` channels places."""
    batch, channels, height, width = call.shape()
    s = int(call.attr("stride"))
    if call.attr("reverse", 0):
        return [(batch, channels // (s * s), height * s, width * s)]
    return [(batch, channels * s * s, height // s, width // s)]


def _reorg_needs(call: Call) -> Iterator[Need]:
    """Both ways the layer counts channels by blocks of stride · stride (reorg_layer.hpp, reorg_cpu)."""
    s = int(call.attr("stride"))
    _, channels, height, width = call.shape()
    sides = () if call.attr("reverse", 0) else ((height, s, "height"), (width, s, "width"))
    for size, by, what in ((channels, s * s, "channels"), *sides):
        words = Detail(f"{call.name}: {what} {size} does not divide by {by}", f"a multiple of {by}", str(size))
        yield Need(dims.equal(size // by * by, size), "E106", partial(Detail, *words))


def _reorg_lower(call: Call, outputs: Shapes) -> Lowered:
    """Darknet's order: the numbers are read as a map of fewer channels, which is cut into blocks, or put together."""
    batch, channels, height, width = call.shape()
    s = int(call.attr("stride"))
    chain = Chain(call)
    if call.attr("reverse", 0):
        chain.add("DepthToSpace", (call.node.inputs[0],), {"blocksize": s})
        return chain.done()
    wide = chain.add("Reshape", (call.node.inputs[0], [batch, channels // (s * s), height * s, width * s]))
    blocks = chain.add("SpaceToDepth", (wide,), {"blocksize": s})
    chain.add("Reshape", (blocks, [batch, channels * s * s, height // s, width // s]))
    return chain.done()


def _row_scores(call: Call) -> Shapes:
    """One score a class; further tops watch the training (SphereFace margin_inner_product_layer.cpp)."""
    classes = call.attr("channels") or call.shape(1)[0]
    watched = Unknown(f"{call.name}: it is a figure of the training")
    return [(call.shape()[0], classes), *[watched] * (len(call.node.outputs) - 1)]


def _detectnet(call: Call) -> Shapes:
    grid = Unknown(f"{call.name}: the grid of its labels follows from its settings when it runs")
    return [call.image(call.channels, call.attr("size")), *[grid] * (len(call.node.outputs) - 1)]


def _fork_loss(call: Call) -> Shapes:
    further = Unknown(f"{call.name}: what a fork's loss gives besides its number is known to the fork")
    shapes: list[Shape | Unknown] = [(), *[further] * (len(call.node.outputs) - 1)]
    return shapes[: len(call.node.outputs)]


register(
    Operator(
        "Permute",
        lambda call: [tuple(call.shape()[axis] for axis in _order(call))],
        lower=_permute_lower,
        source="SSD permute_layer.cpp",
    ),
    Operator(
        "Normalize",
        same_shape,
        weights=lambda call: {1: (1,) if call.attr("shared", 1) else (call.channels,)},
        lower=_normalize_lower,
        source="SSD normalize_layer.cpp",
    ),
    Operator("DetectionOutput", _detections, source="SSD detection_output_layer.cpp"),
    Operator("Interp", _interp, lower=_interp_lower, source="PSPNet interp_layer.cpp"),
    Operator(
        "Axpy",
        lambda call: [call.shape(1)],
        needs=_axpy_needs,
        lower=_axpy_lower,
        source="SENet axpy_layer.cpp",
    ),
    Operator(
        "ShuffleChannel",
        same_shape,
        needs=_shuffle_needs,
        lower=_shuffle_lower,
        source="ShuffleNet shuffle_channel_layer.cpp",
    ),
    Operator(
        "Reorg",
        _reorg_shapes,
        needs=_reorg_needs,
        lower=_reorg_lower,
        source="YOLOv2 reorg_layer.cpp",
    ),
    Operator(
        "BatchScale",
        same_shape,
        weights=lambda call: {1: (call.channels,), 2: (call.channels,)},
        source="SegNet bn_layer.cpp",
    ),
    Operator(
        "RowScores",
        _row_scores,
        weights=lambda call: {call.attr("bottoms"): (call.attr("channels"), dims.product(call.shape()[1:]))},
        source="SphereFace margin_inner_product_layer.cpp; NormFace inner_distance_layer.cpp",
    ),
    Operator("DetectNet", _detectnet, source="NVCaffe detectnet_transform_layer.cpp"),
    Operator("Alike", same_shape, source="a fork's layer that keeps the shape"),
    Operator("Loss", _fork_loss, source="a fork's loss: Caffe loss_layer.cpp"),
    domain="caffe",
)
