"""Convolutions: Conv, ConvTranspose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from .. import dims
from ..dims import Dim, Shape
from ..window import TransposedWindow, Window
from .base import Call, Detail, Lowered, Need, Operator, Shapes, counted, need_rank, register
from .filters import filters, order_of, reordered
from .windows import SAME, explicit_pads, need_fit, pads_of, per_axis, sizes, sliding, window_formula, window_macs

#: Attributes that plain ONNX does not have.
EXTRAS = ("channels", "layout", "weight_order", "depth_multiplier")


def _kernel(call: Call) -> tuple[Dim, ...]:
    declared = call.attr("kernel_shape")
    return tuple(declared) if declared else filters(call)[2:]


def _groups(call: Call) -> Dim:
    """Groups; as many as the weight has input channels where it is a depthwise one."""
    if call.attr("depth_multiplier"):
        return call.shape(1)[-2] if call.rank(1) else call.channels
    return int(call.attr("group", 1))


def _outputs(call: Call) -> Dim:
    multiplier = call.attr("depth_multiplier")
    return call.channels * int(multiplier) if multiplier else call.attr("channels")


def _windows(call: Call) -> list[Window]:
    return sliding(call, _kernel(call), call.dialect.convolution)


def _shapes(call: Call) -> Shapes:
    return [call.image(filters(call)[0], sizes(_windows(call), call.spatial))]


def _weights(call: Call) -> dict[int, Shape]:
    outputs, groups = _outputs(call), _groups(call)
    shape = (outputs, call.channels // groups, *_kernel(call))
    return {1: order_of(call).from_onnx(shape, groups), 2: (outputs,)}


def _needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, at_least=3)
    kernel = _kernel(call)
    rank = len(kernel) + 2
    yield need_rank(call, rank)
    groups = _groups(call)
    weight = filters(call)
    wanted = weight[1] * groups
    yield from _need_groups(call, groups, weight[0])
    if not dims.failed(dims.equal(call.channels % groups, 0)):
        yield Need(dims.equal(call.channels, wanted), "E102", lambda: _channels(call, wanted))
    if call.dialect.runs:
        yield from _runtime_refuses(call, kernel)
    yield from need_fit(call, _windows(call))


def _need_groups(call: Call, groups: Dim, outputs: Dim) -> Iterator[Need]:
    for what, count in (("input channels", call.channels), ("outputs", outputs)):
        yield Need(
            dims.equal(count % groups, 0),
            "E104",
            partial(_uneven, call, what, count, groups),
        )


def _uneven(call: Call, what: str, count: Dim, groups: Dim) -> Detail:
    return Detail(
        f"{call.name}: {count} {what} do not divide into {groups} groups",
        f"{what} divisible by {groups}",
        f"{count} = {groups}·{count // groups} + {count % groups}",
    )


def _channels(call: Call, wanted: Dim) -> Detail:
    given = call.channels
    colours = {1: "gray", 3: "RGB", 4: "RGB and alpha"}
    graph = call.scope.graph
    image = graph is not None and call.node.inputs[0] in [item.name for item in graph.inputs]
    hint = ""
    if image and call.layout == "NCHW" and call.shape()[-1] == wanted:
        hint = f"the channels come first here: {dims.show((wanted, *call.shape()[1:-1]), 'x')}"
    elif given in colours and wanted in colours:
        hint = f"an input of {counted(wanted, 'channel')} ({colours[wanted]}): repeat or average the image's own"
        hint += f"; or retarget --channels {given}" if image else ""
    elif call.layout == "NHWC" and call.shape()[1] == wanted:
        hint = "the channels come last here: 1x224x224x3"
    return Detail(
        f"{call.name} expects {counted(wanted, 'channel')}, {call.giver()} gives {given}",
        counted(wanted, "channel"),
        f"{counted(given, 'channel')} ({dims.show(call.shape())})",
        hint,
    )


def _runtime_refuses(call: Call, kernel: Sequence[Dim]) -> Iterator[Need]:
    dilated = any(d != 1 for d in per_axis(call, "dilations", len(kernel), 1))
    mode = call.attr("auto_pad", "NOTSET")
    yield Need(
        not (mode in SAME and dilated),
        "E110",
        lambda: Detail(f"{call.name}: onnxruntime refuses auto_pad {mode} with a dilation", "explicit pads", mode),
    )


def _lower(call: Call, outputs: Shapes) -> Lowered | None:
    attrs = {k: v for k, v in call.attrs.items() if k not in EXTRAS and v is not None}
    windows = _windows(call)
    if call.attr("depth_multiplier"):
        attrs["group"] = _groups(call)
    if any(w.same for w in windows):
        attrs |= explicit_pads(windows, call.spatial)
    # C++ division gives one place to a kernel up to a stride too large; plain ONNX needs the input padded to fit.
    short = [0 if w.same else max(0, -int(w.numerator(n))) for w, n in zip(windows, call.spatial, strict=True)]
    if any(short):
        rank = len(windows)
        pads = pads_of(call, rank)
        attrs["pads"] = [begin for begin, _ in pads] + [
            end + extra for (_, end), extra in zip(pads, short, strict=True)
        ]
    return _with_filters(call, attrs)


def _with_filters(call: Call, attrs: dict[str, Any]) -> Lowered:
    """The node with these attributes and its weight in ONNX's order."""
    weight, params = reordered(call.node.inputs[1], call.shape(1), order_of(call))
    inputs = (call.node.inputs[0], weight, *call.node.inputs[2:])
    return Lowered([call.node.replace(inputs=inputs, attrs=attrs)], params)


def _macs(call: Call, outputs: Shapes) -> Dim:
    return window_macs(outputs, dims.product(filters(call)[1:]))


# -- transposed -------------------------------------------------------------------------------------------------------


def _transposed(call: Call) -> list[TransposedWindow]:
    kernel = _kernel(call)
    rank = len(kernel)
    strides = per_axis(call, "strides", rank, 1)
    dilations = per_axis(call, "dilations", rank, 1)
    extra = per_axis(call, "output_padding", rank, 0)
    wanted = call.attr("output_shape")
    mode = call.attr("auto_pad", "NOTSET")
    windows = []
    for i in range(rank):
        begin, end = pads_of(call, rank)[i]
        window = TransposedWindow(kernel[i], strides[i], begin, end, dilations[i], extra[i])
        if wanted:  # ONNX ConvTranspose-22: pads follow from the wanted size
            total = window.size(call.spatial[i]) + begin + end - tuple(wanted)[-rank:][i]
            window = TransposedWindow(kernel[i], strides[i], total, 0, dilations[i], extra[i])
        elif mode in SAME:
            # The specification chooses pads for size * stride and adds output_padding; the runtime fixes the size.
            pad = window.extent - strides[i]
            if call.dialect.runs:
                pad = dims.maximum(pad + extra[i], 0)
            window = TransposedWindow(kernel[i], strides[i], pad, 0, dilations[i], extra[i])
        windows.append(window)
    return windows


def _transposed_shapes(call: Call) -> Shapes:
    return [call.image(filters(call)[1] * _groups(call), sizes(_transposed(call), call.spatial))]


def _transposed_weights(call: Call) -> dict[int, Shape]:
    channels, groups = call.attr("channels"), _groups(call)
    shape = (call.channels, channels // groups, *_kernel(call))
    return {1: order_of(call).from_onnx(shape, groups), 2: (channels,)}


def _transposed_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, at_least=3)
    yield need_rank(call, len(_kernel(call)) + 2)
    wanted, outputs = filters(call)[:2]
    yield Need(dims.equal(call.channels, wanted), "E102", lambda: _channels(call, wanted))
    yield from _need_groups(call, _groups(call), outputs * _groups(call))
    if call.dialect.runs:
        yield from _transposed_refusals(call)
    yield from need_fit(call, _transposed(call))


def _transposed_refusals(call: Call) -> Iterator[Need]:
    """What onnxruntime adds at the end (output_padding, or what output_shape asks beyond) must be below the stride."""
    for window in _transposed(call):
        added = dims.maximum(window.output_padding, -window.pad_begin if call.attr("output_shape") else 0)
        yield Need(dims.at_least(window.stride - 1, added), "E110", partial(_overstretched, call, window, added))


def _overstretched(call: Call, window: TransposedWindow, added: Dim) -> Detail:
    return Detail(
        f"{call.name}: onnxruntime refuses to add {added} elements at the end with stride {window.stride}",
        f"fewer than {window.stride}",
        str(added),
    )


def _transposed_lower(call: Call, outputs: Shapes) -> Lowered | None:
    return _with_filters(call, {k: v for k, v in call.attrs.items() if k not in EXTRAS and v is not None})


def _transposed_macs(call: Call, outputs: Shapes) -> Dim:
    return dims.product(call.shape()) * dims.product(filters(call)[1:])


register(
    Operator(
        "Conv",
        _shapes,
        needs=_needs,
        weights=_weights,
        windows=_windows,
        macs=_macs,
        formula=lambda call, outputs: window_formula(_windows(call), call.spatial),
        lower=_lower,
        images=True,
        source="ONNX Conv-22; Caffe conv_layer.cpp; Chainer utils/conv.py get_conv_outsize",
    ),
    Operator(
        "ConvTranspose",
        _transposed_shapes,
        needs=_transposed_needs,
        weights=_transposed_weights,
        windows=_transposed,
        macs=_transposed_macs,
        formula=lambda call, outputs: window_formula(_transposed(call), call.spatial),
        lower=_transposed_lower,
        images=True,
        source="ONNX ConvTranspose-22; Caffe deconv_layer.cpp; Chainer get_deconv_outsize",
    ),
)
