"""Caffe's own forms of operators whose axes or constants ONNX says differently, under the domain "caffe".

Rows with ``lower`` can be written as plain ONNX with the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..graph import Node
from ..window import Window
from .base import Call, Detail, Lowered, Need, Operator, Shapes, need_rank, register, same_shape
from .chain import Chain

# -- element by element -----------------------------------------------------------------------------------------------


def _affine(chain: Chain, value: str, scale: float, shift: float) -> str:
    """``shift + scale * value``, steps that change nothing left out."""
    if scale != 1.0:
        value = chain.add("Mul", (value, scale))
    return chain.add("Add", (value, shift)) if shift != 0.0 else value


def _exp_lower(call: Call, outputs: Shapes) -> Lowered:
    """base ** (shift + scale * x), base -1 standing for e (exp_layer.cpp)."""
    base = float(call.attr("base", -1.0))
    factor = 1.0 if base == -1.0 else math.log(base)
    chain = Chain(call)
    scale, shift = float(call.attr("scale", 1.0)) * factor, float(call.attr("shift", 0.0)) * factor
    chain.add("Exp", (_affine(chain, call.node.inputs[0], scale, shift),))
    return chain.done()


def _log_lower(call: Call, outputs: Shapes) -> Lowered:
    """log_base(shift + scale * x), base -1 standing for e (log_layer.cpp)."""
    base = float(call.attr("base", -1.0))
    chain = Chain(call)
    inside = _affine(chain, call.node.inputs[0], float(call.attr("scale", 1.0)), float(call.attr("shift", 0.0)))
    value = chain.add("Log", (inside,))
    if base != -1.0:
        chain.add("Mul", (value, 1.0 / math.log(base)))
    return chain.done()


def _need_base(call: Call) -> Iterator[Need]:
    base = float(call.attr("base", -1.0))
    words = Detail(f"{call.name}: base must be -1 (for e) or above 0, found {base}")
    yield Need(base == -1.0 or (base > 0 and base != 1.0), "E109", lambda: words)


def _swish_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    value = call.node.inputs[0]
    chain.add("Mul", (value, chain.add("Sigmoid", (_affine(chain, value, float(call.attr("beta", 1.0)), 0.0),))))
    return chain.done()


def _threshold_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    above = chain.add("Greater", (call.node.inputs[0], float(call.attr("threshold", 0.0))))
    chain.add("Cast", (above,), {"to": "float32"})
    return chain.done()


def _mvn_lower(call: Call, outputs: Shapes) -> Lowered:
    """(x - mean) / (sqrt(mean of squares) + eps) over the image, or over its channels too (mvn_layer.cpp)."""
    axes = list(range(1 if call.attr("across_channels", 0) else 2, len(call.shape())))
    chain = Chain(call)
    value = call.node.inputs[0]
    centred = chain.add("Sub", (value, chain.add("ReduceMean", (value, axes), {"keepdims": 1})))
    if call.attr("normalize_variance", 1):
        square = chain.add("Mul", (centred, centred))
        deviation = chain.add("Sqrt", (chain.add("ReduceMean", (square, axes), {"keepdims": 1}),))
        chain.add("Div", (centred, chain.add("Add", (deviation, float(call.attr("epsilon", 1e-9))))))
    return chain.done()


def _copies_lower(call: Call, outputs: Shapes) -> Lowered:
    node = call.node
    rows = [(f"{node.name}/{i}" if i else node.name, out) for i, out in enumerate(node.outputs)]
    return Lowered([Node(name, "Identity", node.inputs[:1], (out,), origin=node.origin) for name, out in rows])


# -- whole axes -------------------------------------------------------------------------------------------------------


def _crop_shapes(call: Call) -> Shapes:
    axis = call.axis(int(call.attr("axis", 2)))
    return [(*call.shape()[:axis], *call.shape(1)[axis:])]


def _offsets(call: Call) -> tuple[int, ...]:
    """Offset along each cropped axis: none, one for all, or each its own (crop_layer.cpp)."""
    count = len(call.shape()) - call.axis(int(call.attr("axis", 2)))
    given = tuple(call.attr("offset", ()))
    return given if len(given) > 1 else (given or (0,)) * count


def _crop_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, len(call.shape()), index=1)
    axis = call.axis(int(call.attr("axis", 2)))
    offsets, cropped = _offsets(call), call.shape()[axis:]
    words = Detail(f"{call.name}: {len(offsets)} offsets for {len(cropped)} cropped axes")
    yield Need(len(offsets) == len(cropped), "E109", lambda: words, blocks=True)
    for i, (size, wanted, offset) in enumerate(zip(cropped, call.shape(1)[axis:], offsets, strict=True)):
        text = f"{call.name} crops axis {axis + i} of {size} to {wanted} from {offset} on"
        reach = Detail(text, f"at least {wanted + offset}", str(size))
        yield Need(dims.at_least(size, wanted + offset), "E106", lambda reach=reach: reach)  # type: ignore[misc]


def _crop_lower(call: Call, outputs: Shapes) -> Lowered:
    """The size of the other map is asked for when it runs, so that it follows another input."""
    axis = call.axis(int(call.attr("axis", 2)))
    offsets = list(_offsets(call))
    chain = Chain(call)
    shape = chain.add("Shape", (call.node.inputs[1],))
    wanted = chain.add("Slice", (shape, [axis], [axis + len(offsets)], [0]))
    ends = chain.add("Add", (wanted, offsets)) if any(offsets) else wanted
    chain.add("Slice", (call.node.inputs[0], offsets, ends, list(range(axis, axis + len(offsets)))))
    return chain.done()


def _argmax_shapes(call: Call) -> Shapes:
    """One axis becomes top_k; without an axis, [N, indices (and values), top_k] (argmax_layer.cpp)."""
    shape, top = call.shape(), int(call.attr("top_k", 1))
    axis = call.attr("axis")
    if axis is not None:
        place = call.axis(int(axis))
        return [(*shape[:place], top, *shape[place + 1 :])]
    return [(shape[0], 2 if call.attr("out_max_val", 0) else 1, top, *(1,) * (len(shape) - 3))]


def _argmax_lower(call: Call, outputs: Shapes) -> Lowered | None:
    axis = call.attr("axis")
    if axis is None or int(call.attr("top_k", 1)) != 1:
        return None
    chain = Chain(call)
    place = call.axis(int(axis))
    if call.attr("out_max_val", 0):
        chain.add("ReduceMax", (call.node.inputs[0], [place]), {"keepdims": 1})
    else:
        found = chain.add("ArgMax", (call.node.inputs[0],), {"axis": place, "keepdims": 1})
        chain.add("Cast", (found,), {"to": "float32"})
    return chain.done()


REDUCTIONS = {"SUM": "ReduceSum", "ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare", "MEAN": "ReduceMean"}


def _reduction_lower(call: Call, outputs: Shapes) -> Lowered:
    axes = list(range(call.axis(int(call.attr("axis", 0))), len(call.shape())))
    chain = Chain(call)
    value = chain.add(REDUCTIONS[call.attr("operation")], (call.node.inputs[0], axes), {"keepdims": 0})
    if float(call.attr("coeff", 1.0)) != 1.0:
        chain.add("Mul", (value, float(call.attr("coeff"))))
    return chain.done()


def _tiled(call: Call) -> Shapes:
    shape, axis = call.shape(), call.axis(int(call.attr("axis", 1)))
    return [(*shape[:axis], shape[axis] * int(call.attr("tiles", 1)), *shape[axis + 1 :])]


def _tile_lower(call: Call, outputs: Shapes) -> Lowered:
    repeats = [1] * len(call.shape())
    repeats[call.axis(int(call.attr("axis", 1)))] = int(call.attr("tiles", 1))
    chain = Chain(call)
    chain.add("Tile", (call.node.inputs[0], repeats))
    return chain.done()


def _add_from_needs(call: Call) -> Iterator[Need]:
    axis = call.axis(int(call.attr("axis", 1)))
    given, wanted = call.shape()[axis : axis + len(call.shape(1))], call.shape(1)
    verdict: dims.Verdict = len(given) == len(wanted)
    for a, b in zip(given, wanted, strict=False):
        verdict = dims.both(verdict, dims.equal(a, b))
    words = Detail(f"{call.name} adds {dims.show(wanted)} to {dims.show(given)}", dims.show(given), dims.show(wanted))
    yield Need(verdict, "E105", lambda: words)


def _add_from_lower(call: Call, outputs: Shapes) -> Lowered:
    axis = call.axis(int(call.attr("axis", 1)))
    tail = len(call.shape()) - axis - len(call.shape(1))
    chain = Chain(call)
    second = call.node.inputs[1]
    lined = chain.add("Reshape", (second, [*call.shape(1), *(1,) * tail])) if tail else second
    chain.add("Add", (call.node.inputs[0], lined))
    return chain.done()


# -- spatial pyramid --------------------------------------------------------------------------------------------------


def _levels(call: Call) -> list[list[Window]]:
    """The windows of each level: 2**level bins an axis (spp_layer.cpp, GetPoolingParam)."""
    return [[_bin_window(n, 2**level) for n in call.spatial] for level in range(int(call.attr("height")))]


def _bin_window(n: Dim, bins: int) -> Window:
    kernel = dims.ceil_divide(n, bins)
    pad = (kernel * bins - n + 1) // 2
    rounding = "ceil" if isinstance(pad, int) and pad == 0 else "ceil_clip"
    return Window(kernel, kernel, pad, pad, rounding=rounding)


def _pyramid_shapes(call: Call) -> Shapes:
    levels = [[w.size(n) for w, n in zip(windows, call.spatial, strict=True)] for windows in _levels(call)]
    if len(levels) == 1:
        return [call.image(call.channels, levels[0])]
    total: Dim = 0
    for sizes in levels:
        total = dims.product(sizes) + total
    return [(call.shape()[0], call.channels * total)]


def _pyramid_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    op, extra = ("MaxPool", {}) if call.attr("pool") == "MAX" else ("AveragePool", {"count_include_pad": 1})
    flat = []
    for windows in _levels(call):
        pads = [int(w.pad_begin) for w in windows]
        kernel = [int(w.kernel) for w in windows]
        attrs = {"kernel_shape": kernel, "strides": kernel, "pads": pads + pads, "ceil_mode": 1, **extra}
        flat.append(chain.add(op, (call.node.inputs[0],), attrs))
    if len(flat) > 1:
        chain.add("Concat", [chain.add("Flatten", (value,), {"axis": 1}) for value in flat], {"axis": 1})
    return chain.done()


# -- embedding, normalization across channels -------------------------------------------------------------------------


def _embed_weights(call: Call) -> dict[int, Shape]:
    return {1: (call.attr("input_dim"), call.attr("channels")), 2: (call.attr("channels"),)}


def _embed_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    indices = chain.add("Cast", (call.node.inputs[0],), {"to": "int64"})
    value = chain.add("Gather", (call.node.inputs[1], indices), {"axis": 0})
    if call.has(2):
        chain.add("Add", (value, call.node.inputs[2]))
    return chain.done()


def regions(call: Call) -> Dim:
    """How many regions the second input names."""
    shape = call.tensor(1).shape
    return shape if isinstance(shape, Unknown) else shape[0]


def _computed(call: Call) -> Shapes:
    """Nothing is known, or how wide each of an unknown number of rows is."""
    reason = Unknown(f"{call.name}: {call.attr('reason', 'known when it runs')}")
    rows = call.attr("rows")
    if rows is None:
        return [reason] * len(call.node.outputs)
    given: list[Shape | Unknown] = [(reason, *(reason if size is None else size for size in row)) for row in rows]
    return [*given, *[reason] * len(call.node.outputs)][: len(call.node.outputs)]


def _anchor_targets(call: Call) -> Shapes:
    """A label of each anchor at each place, then its box and two weights of it (lib/rpn/anchor_target_layer.py)."""
    _, _, height, width = call.shape()
    anchors = int(call.attr("anchors"))
    boxes = (1, 4 * anchors, height, width)
    return [(1, 1, anchors * height, width), boxes, boxes, boxes][: len(call.node.outputs)]


def _anchor_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, 4)
    words = Detail(f"{call.name} gives labels, boxes and two weights, not {len(call.node.outputs)} values")
    yield Need(len(call.node.outputs) <= 4, "E109", lambda: words, blocks=True)


def _unread(call: Call) -> Shapes:
    return [Unknown(str(call.attr("reason")))] * len(call.node.outputs)


def _unread_needs(call: Call) -> Iterator[Need]:
    words = Detail(str(call.attr("reason")), hint=str(call.attr("hint", "")))
    yield Need(False, "E204", lambda: words)


register(
    Operator("Exp", same_shape, needs=_need_base, lower=_exp_lower, elementwise=True, source="Caffe exp_layer.cpp"),
    Operator("Log", same_shape, needs=_need_base, lower=_log_lower, elementwise=True, source="Caffe log_layer.cpp"),
    Operator("Swish", same_shape, lower=_swish_lower, elementwise=True, source="Caffe swish_layer.cpp"),
    Operator("Threshold", same_shape, lower=_threshold_lower, elementwise=True, source="Caffe threshold_layer.cpp"),
    Operator("MVN", same_shape, lower=_mvn_lower, source="Caffe mvn_layer.cpp"),
    Operator("Copies", same_shape, lower=_copies_lower, elementwise=True, source="Caffe split_layer.cpp"),
    Operator("Crop", _crop_shapes, needs=_crop_needs, lower=_crop_lower, source="Caffe crop_layer.cpp"),
    Operator("ArgMax", _argmax_shapes, lower=_argmax_lower, source="Caffe argmax_layer.cpp"),
    Operator(
        "Reduction",
        lambda call: [call.shape()[: call.axis(int(call.attr("axis", 0)))]],
        lower=_reduction_lower,
        source="Caffe reduction_layer.cpp",
    ),
    Operator("Tile", _tiled, lower=_tile_lower, source="Caffe tile_layer.cpp"),
    Operator("AddFrom", same_shape, needs=_add_from_needs, lower=_add_from_lower, source="Caffe bias_layer.cpp"),
    Operator(
        "SPP",
        _pyramid_shapes,
        needs=lambda call: iter([need_rank(call, 4)]),
        lower=_pyramid_lower,
        source="Caffe spp_layer.cpp",
    ),
    Operator(
        "Embed",
        lambda call: [(*call.shape(), call.attr("channels"))],
        weights=_embed_weights,
        lower=_embed_lower,
        source="Caffe embed_layer.cpp",
    ),
    Operator(
        "Parameter",
        lambda call: [call.attr("shape")],
        weights=lambda call: {0: call.attr("shape")},
        lower=lambda call, outputs: Lowered([call.node.replace(op="Identity", domain="", attrs={})]),
        source="Caffe parameter_layer.hpp",
    ),
    Operator("BatchReindex", lambda call: [(regions(call), *call.shape()[1:])], source="Caffe batch_reindex_layer.cpp"),
    Operator("AnchorTargets", _anchor_targets, needs=_anchor_needs, source="Faster R-CNN anchor_target_layer.py"),
    Operator("Computed", _computed, source="a layer whose output is known when it runs"),
    Operator("Unread", _unread, needs=_unread_needs, source="a layer type that is not read"),
    domain="caffe",
)
