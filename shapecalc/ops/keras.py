"""Keras' layers on images that ONNX says in pieces or with other weights, under the domain "keras".

Rules are those of Keras 3 (``keras/src/layers``); rows with ``lower`` can be written as plain ONNX with the same
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..window import TransposedWindow, Window
from .base import Call, Detail, Lowered, Need, Operator, Shapes, need_rank, register, same_shape, unmoved
from .chain import Chain
from .filters import ORDERS, reordered
from .windows import explicit_pads, need_fit, sizes, sliding, window_formula, window_macs

# -- SeparableConv: x, depthwise kernel, pointwise kernel, bias --------------------------------------------------------


def _windows(call: Call) -> list[Window]:
    return sliding(call, call.attr("kernel_shape"), call.dialect.convolution)


def _separable_weights(call: Call) -> dict[int, Shape]:
    kernel, multiplier, channels = call.attr("kernel_shape"), call.attr("depth_multiplier"), call.attr("channels")
    between = call.channels * multiplier
    return {
        1: (*kernel, call.channels, multiplier),
        2: (*(1,) * len(kernel), between, channels),
        3: (channels,),
    }


def _separable_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, len(call.attr("kernel_shape")) + 2)
    given, wanted = call.channels, call.shape(1)[-2]
    text = f"{call.name} expects {wanted} channels, {call.giver()} gives {given}"
    words = Detail(text, f"{wanted} channels", f"{given} channels")
    yield Need(dims.equal(given, wanted), "E102", lambda: words)
    yield from need_fit(call, _windows(call))


def _separable_macs(call: Call, outputs: Shapes) -> Dim:
    depthwise, pointwise = call.shape(1), call.shape(2)
    each = pointwise[-2] * dims.product(depthwise[:-2]) + pointwise[-2] * pointwise[-1]
    return window_macs([call.image(1, sizes(_windows(call), call.spatial))], each)


def _separable_lower(call: Call, outputs: Shapes) -> Lowered:
    windows, names = _windows(call), call.node.inputs
    attrs: dict[str, Any] = {k: call.attrs[k] for k in ("kernel_shape", "strides", "dilations") if k in call.attrs}
    depthwise, first = reordered(names[1], call.shape(1), ORDERS["HWIM"])
    pointwise, second = reordered(names[2], call.shape(2), ORDERS["HWIO"])
    chain = Chain(call)
    attrs |= {"group": call.channels, **explicit_pads(windows, call.spatial)}
    value = chain.add("Conv", (names[0], depthwise), attrs)
    chain.add("Conv", (value, pointwise, *names[3:]), {"kernel_shape": [1] * len(windows)})
    return Lowered(chain.done().nodes, [*first, *second])


# -- UpSampling, Resizing, Cropping to a size --------------------------------------------------------------------------

#: Keras' interpolations, as attributes of ONNX's Resize (backend/jax/image.py: half-pixel centres, a = -0.5).
MODES: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    "bicubic": {
        "mode": "cubic",
        "coordinate_transformation_mode": "half_pixel",
        "cubic_coeff_a": -0.5,
        "exclude_outside": 1,
    },
}


def _repeats(call: Call) -> list[TransposedWindow]:
    return [TransposedWindow(factor, factor) for factor in call.attr("size")]


def _upsampling_lower(call: Call, outputs: Shapes) -> Lowered | None:
    mode = MODES.get(call.attr("mode", "nearest"))
    if mode is None:
        return None
    scales = [1.0, 1.0, *map(float, call.attr("size"))]
    chain = Chain(call)
    chain.add("Resize", (call.node.inputs[0], "", scales), dict(mode))
    return chain.done()


def _resized(call: Call) -> Shapes:
    return [call.image(call.channels, call.attr("size"))]


def _resizing_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """Nearest rounds half-pixel centres down there (jax.image.resize), which ONNX says another way."""
    mode = MODES.get(call.attr("mode", "bilinear"))
    if mode is None or call.attr("exact", True) is False:
        return None
    if mode["mode"] == "nearest":
        mode = {**mode, "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}
    wanted = [int(n) for n in call.shape()[:2]] + [int(n) for n in call.attr("size")]
    chain = Chain(call)
    chain.add("Resize", (call.node.inputs[0], "", "", wanted), dict(mode))
    return chain.done()


def _cropped_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """The middle of a larger image; a smaller one would be resized."""
    spare = [int(n) - int(size) for n, size in zip(call.spatial, call.attr("size"), strict=True)]
    if min(spare) < 0:
        return None
    starts = [n // 2 for n in spare]
    ends = [start + int(size) for start, size in zip(starts, call.attr("size"), strict=True)]
    chain = Chain(call)
    chain.add("Slice", (call.node.inputs[0], starts, ends, [2, 3]))
    return chain.done()


def _need_image(call: Call) -> Iterator[Need]:
    yield need_rank(call, len(call.attr("size")) + 2)


# -- element by element -----------------------------------------------------------------------------------------------


def _relu_lower(call: Call, outputs: Shapes) -> Lowered:
    """max_value above, x between, slope·(x − threshold) below the threshold (activations/activations.py)."""
    slope, threshold = float(call.attr("negative_slope", 0.0)), float(call.attr("threshold", 0.0))
    chain, value = Chain(call), call.node.inputs[0]
    above = chain.add("GreaterOrEqual" if threshold > 0 or slope else "Greater", (value, threshold))
    below = chain.add("Mul", (chain.add("Sub", (value, threshold)), slope))
    result = chain.add("Where", (above, value, below))
    if call.attr("max_value") is not None:
        chain.add("Min", (result, float(call.attr("max_value"))))
    return chain.done()


def _swish_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    chain.add("Mul", (call.node.inputs[0], chain.add("Sigmoid", call.node.inputs[:1])))
    return chain.done()


def _negated_softplus_lower(call: Call, outputs: Shapes) -> Lowered:
    """log(sigmoid(x)) = -softplus(-x)."""
    chain = Chain(call)
    chain.add("Neg", (chain.add("Softplus", (chain.add("Neg", call.node.inputs[:1]),)),))
    return chain.done()


def _tanh_shrink_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    chain.add("Sub", (call.node.inputs[0], chain.add("Tanh", call.node.inputs[:1])))
    return chain.done()


def _prelu_weights(call: Call) -> dict[int, Shape]:
    """A slope for each place of an item, one for all places of the axes that share it (prelu.py)."""
    shared = {call.axis(int(axis)) for axis in call.attr("shared_axes", ())}
    return {1: tuple(1 if axis in shared else n for axis, n in enumerate(call.shape()) if axis)}


def _prelu_lower(call: Call, outputs: Shapes) -> Lowered:
    return Lowered([call.node.replace(domain="", attrs={})])


# -- normalizations ---------------------------------------------------------------------------------------------------


def _standard_axes(call: Call) -> list[int]:
    return sorted(call.axis(int(axis)) for axis in call.attr("axes", (-1,)))


def _standard_weights(call: Call) -> dict[int, Shape]:
    kept = tuple(call.shape()[axis] for axis in _standard_axes(call))
    return {1: kept, 2: kept, 3: ()}


def _standard_lower(call: Call, outputs: Shapes) -> Lowered:
    """(x - mean) / max(sqrt(variance), 1e-7), or back again (preprocessing/normalization.py)."""
    axes, shape = _standard_axes(call), call.shape()
    target = [int(n) if axis in axes else 1 for axis, n in enumerate(shape)]
    chain = Chain(call)
    scalar = not call.shape(1)
    mean, variance = call.node.inputs[1:3]
    if not scalar:
        mean, variance = (chain.add("Reshape", (name, target)) for name in (mean, variance))
    deviation = chain.add("Max", (chain.add("Sqrt", (variance,)), 1e-7))
    if call.attr("invert", False):
        chain.add("Add", (mean, chain.add("Mul", (call.node.inputs[0], deviation))))
    else:
        chain.add("Div", (chain.add("Sub", (call.node.inputs[0], mean)), deviation))
    return chain.done()


def _unit_lower(call: Call, outputs: Shapes) -> Lowered:
    """x / sqrt(max(sum of squares, 1e-12)) (normalization/unit_normalization.py)."""
    chain, value = Chain(call), call.node.inputs[0]
    total = chain.add("ReduceSumSquare", (value, [int(a) for a in call.attr("axes", (-1,))]), {"keepdims": 1})
    chain.add("Div", (value, chain.add("Sqrt", (chain.add("Max", (total, 1e-12)),))))
    return chain.done()


# -- layers whose output nobody can know without running them ---------------------------------------------------------


def _unread(call: Call) -> Shapes:
    return [Unknown(f"{call.name}: {call.attr('reason', 'known when it runs')}")] * len(call.node.outputs)


def nothing(call: Call, outputs: Shapes) -> None:
    """A layer that has no ONNX form here."""


def _elementwise(name: str, lower: Any, source: str) -> Operator:
    return Operator(name, same_shape, lower=lower, elementwise=True, moved=unmoved, source=source)


ACTIVATIONS = "Keras activations/activations.py"

register(
    Operator(
        "SeparableConv",
        lambda call: [call.image(call.attr("channels"), sizes(_windows(call), call.spatial))],
        needs=_separable_needs,
        weights=_separable_weights,
        windows=_windows,
        macs=_separable_macs,
        formula=lambda call, outputs: window_formula(_windows(call), call.spatial),
        lower=_separable_lower,
        images=True,
        source="Keras base_separable_conv.py",
    ),
    Operator(
        "UpSampling",
        lambda call: [call.image(call.channels, sizes(_repeats(call), call.spatial))],
        needs=_need_image,
        windows=_repeats,
        formula=lambda call, outputs: " × ".join(
            dict.fromkeys(f"{n}·{k} = {n * k}" for n, k in zip(call.spatial, call.attr("size"), strict=True))
        ),
        lower=_upsampling_lower,
        images=True,
        source="Keras up_sampling2d.py",
    ),
    Operator(
        "Resizing",
        _resized,
        needs=_need_image,
        lower=_resizing_lower,
        images=True,
        source="Keras image_preprocessing/resizing.py",
    ),
    Operator(
        "CenterCrop",
        _resized,
        needs=_need_image,
        lower=_cropped_lower,
        images=True,
        source="Keras image_preprocessing/center_crop.py",
    ),
    _elementwise("ReLU", _relu_lower, ACTIVATIONS),
    _elementwise("Swish", _swish_lower, ACTIVATIONS),
    _elementwise("LogSigmoid", _negated_softplus_lower, ACTIVATIONS),
    _elementwise("TanhShrink", _tanh_shrink_lower, ACTIVATIONS),
    Operator(
        "PRelu",
        same_shape,
        weights=_prelu_weights,
        lower=_prelu_lower,
        elementwise=True,
        source="Keras activations/prelu.py",
    ),
    Operator(
        "Standardize",
        same_shape,
        weights=_standard_weights,
        lower=_standard_lower,
        constants=(1, 2, 3),
        elementwise=True,
        source="Keras preprocessing/normalization.py",
    ),
    Operator("UnitNormalization", same_shape, lower=_unit_lower, source="Keras unit_normalization.py"),
    Operator("Function", same_shape, lower=nothing, elementwise=True, moved=unmoved, source="a function that is code"),
    Operator("Unread", _unread, lower=nothing, source="a layer that is code"),
    domain="keras",
)
