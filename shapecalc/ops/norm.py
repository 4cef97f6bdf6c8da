"""Normalizations: LRN, BatchNormalization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from .. import dims
from ..dims import Dim, Shape
from ..graph import Node, Param
from .baked import constant
from .base import Call, Detail, Lowered, Need, Operator, Shapes, need_rank, register, same_shape
from .chain import Chain


def _lrn_lower(call: Call, outputs: Shapes) -> Lowered | None:
    attrs = {k: v for k, v in call.attrs.items() if k not in ("region", "layout") and v is not None}
    size = int(attrs["size"])
    if call.attr("region", "across") == "within":
        return _lrn_within(call, size)
    if size % 2 == 0:  # Chainer sums n//2 to both sides; onnxruntime takes odd sizes only
        attrs["size"] = size + 1
        attrs["alpha"] = float(attrs["alpha"]) * (size + 1) / size
    return Lowered([call.node.replace(attrs=attrs)])


def _lrn_within(call: Call, size: int) -> Lowered:
    """x * (1 + alpha * mean(x^2))^-beta over a square of one channel (Caffe lrn_layer.cpp; k is not used there)."""
    node = call.node
    pad = (size - 1) // 2
    name = node.name
    constants = {"two": 2.0, "alpha": float(call.attr("alpha")), "one": 1.0, "beta": -float(call.attr("beta"))}
    params = [Param(f"{name}/{k}", (), "float32", contents=(v,), trained=False) for k, v in constants.items()]
    pool = {"kernel_shape": [size, size], "pads": [pad] * 4, "count_include_pad": 1}
    rows: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = [
        ("Pow", (node.inputs[0], f"{name}/two"), f"{name}/square", {}),
        ("AveragePool", (f"{name}/square",), f"{name}/mean", pool),
        ("Mul", (f"{name}/mean", f"{name}/alpha"), f"{name}/weighed", {}),
        ("Add", (f"{name}/weighed", f"{name}/one"), f"{name}/shifted", {}),
        ("Pow", (f"{name}/shifted", f"{name}/beta"), f"{name}/factor", {}),
        ("Mul", (node.inputs[0], f"{name}/factor"), node.outputs[0], {}),
    ]
    nodes = [
        Node(out if out != node.outputs[0] else name, op, ins, (out,), at, origin=node.origin)
        for op, ins, out, at in rows
    ]
    return Lowered(nodes, params)


def _lrn_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, at_least=2)
    if call.dialect.runs:
        size = int(call.attr("size", 1))
        yield Need(
            size % 2 == 1,
            "E110",
            lambda: Detail(f"{call.name}: onnxruntime refuses an even LRN size", "an odd size", str(size)),
        )


# -- BatchNormalization: x, scale, bias, mean, var [, Caffe's scale factor] --------------------------------------------


def _batch_axis(call: Call) -> int:
    """The axis that is normalized by: the channels, or the one that is named (Keras)."""
    axis = call.attrs.get("axis")
    return call.channel_axis if axis is None else call.axis(int(axis))


def _batch_channels(call: Call) -> Dim:
    return call.shape()[_batch_axis(call)]


def _batch_weights(call: Call) -> dict[int, Shape]:
    count = (_batch_channels(call),)
    return {1: count, 2: count, 3: count, 4: count, 5: (1,)}


def _batch_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, at_least=2)
    for index in range(1, 5):
        if call.has(index):
            wanted = call.shape(index)[0]
            given = _batch_channels(call)
            yield Need(dims.equal(given, wanted), "E102", partial(_mischannelled, call, wanted, given))
            return


def _mischannelled(call: Call, wanted: Dim, given: Dim) -> Detail:
    return Detail(
        f"{call.name} expects {wanted} channels, {call.giver()} gives {given}",
        f"{wanted} channels",
        f"{given} channels",
    )


def _batch_shapes(call: Call) -> Shapes:
    statistics = (_batch_channels(call),)
    return [call.shape(), *[statistics] * (len(call.node.outputs) - 1)]


def _batch_moved(call: Call, order: Sequence[int]) -> dict[str, Any]:
    return {**call.attrs, "axis": order.index(_batch_axis(call))}


def _batch_lower(call: Call, outputs: Shapes) -> Lowered | None:
    node = call.node
    names = [*node.inputs, *[""] * (6 - len(node.inputs))]
    attrs = {k: v for k, v in call.attrs.items() if k not in ("phase", "layout", "axis") and v is not None}
    channels = _batch_channels(call)
    params: list[Param] = []

    def derived(what: str, recipe: str, *sources: str) -> str:
        params.append(Param(f"{node.name}/folded_{what}", (channels,), recipe=recipe, sources=sources, trained=False))
        return f"{node.name}/folded_{what}"

    if not names[1]:
        names[1] = derived("scale", "ones")
    if not names[2]:
        names[2] = derived("bias", "zeros")
    if names[5]:  # Caffe keeps sums; the mean is the sum over the scale factor (batch_norm_layer.cpp)
        names[3] = derived("mean", "unscaled", names[3], names[5])
        names[4] = derived("var", "unscaled", names[4], names[5])
    axis = _batch_axis(call)
    if axis == 1:
        return Lowered([node.replace(inputs=names[:5], outputs=node.outputs[:1], attrs=attrs)], params)
    chain = Chain(call)
    order = list(range(len(call.shape())))
    order[1], order[axis] = axis, 1
    front = chain.add("Transpose", names[:1], {"perm": order})
    chain.add("Transpose", (chain.add("BatchNormalization", (front, *names[1:5]), attrs),), {"perm": order})
    return Lowered(chain.done().nodes, params)


def _groups(call: Call) -> Dim:
    """Groups; -1 (Keras) is a group for each channel."""
    groups = int(call.attr("num_groups"))
    return call.channels if groups == -1 else groups


def _group_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, at_least=3)
    groups, channels = _groups(call), call.channels
    words = Detail(f"{call.name}: {channels} channels do not divide into {groups} groups")
    yield Need(dims.equal(channels % groups, 0), "E104", lambda: words)


def _group_lower(call: Call, outputs: Shapes) -> Lowered:
    """ONNX wants a scale and a shift; those that a definition leaves out are 1 and 0."""
    node, channels = call.node, call.channels
    names = [*node.inputs, "", ""][:3]
    params: list[Param] = []
    for index, recipe in ((1, "ones"), (2, "zeros")):
        if not names[index]:
            names[index] = f"{node.name}/{recipe}"
            params.append(Param(names[index], (channels,), recipe=recipe, trained=False))
    attrs = {"num_groups": _groups(call)} | ({"epsilon": call.attrs["epsilon"]} if "epsilon" in call.attrs else {})
    return Lowered([node.replace(inputs=names, attrs=attrs)], params)


# -- LayerNormalization, InstanceNormalization ------------------------------------------------------------------------


def _layer_axis(call: Call) -> int:
    return call.axis(int(call.attr("axis", -1)))


def _layer_shapes(call: Call) -> Shapes:
    """The input's shape; mean and deviation keep the axes in front and are 1 along the normalized ones."""
    shape, axis = call.shape(), _layer_axis(call)
    statistics = (*shape[:axis], *(1,) * (len(shape) - axis))
    return [shape, *[statistics] * (len(call.node.outputs) - 1)]


def _layer_types(call: Call) -> list[str | None]:
    """Mean and deviation are of the type in which they are computed."""
    computed = "float32" if call.attr("stash_type", 1) == 1 else call.tensor(0).dtype
    return [call.tensor(0).dtype, computed, computed]


def _layer_needs(call: Call) -> Iterator[Need]:
    """ONNX normalizes from an axis to the last one; ``count`` says how many a definition names."""
    count = call.attr("count")
    if count is not None and call.rank() is not None:
        axis, rank = _layer_axis(call), len(call.shape())
        words = Detail(f"{call.name} normalizes {count} axes from {axis} on, of {rank}", f"the last {count}", str(axis))
        yield Need(axis + int(count) == rank, "E109", lambda: words, blocks=True)
    yield from _fits_layer(call)


def _fits_layer(call: Call) -> Iterator[Need]:
    """Scale and bias have one number for each place that is normalized, or repeat over them (layer_norm_helper.h)."""
    if call.rank() is None:
        return
    normalized = call.shape()[_layer_axis(call) :]
    for index in range(1, len(call.inputs)):
        if call.has(index) and call.rank(index) is not None:
            shape = call.shape(index)
            verdict = _spreads(shape, call.shape() if len(shape) > len(normalized) else normalized)
            yield Need(verdict, "E105", partial(_misnormalized, call, shape, normalized, index))


def _spreads(shape: Shape, over: Shape) -> dims.Verdict:
    """Whether a weight is as large as what it is spread over, or 1, along each of the last axes."""
    verdict: dims.Verdict = len(shape) <= len(over)
    for size, wanted in zip(reversed(shape), reversed(over), strict=False):
        if not (isinstance(size, int) and size == 1):
            verdict = dims.both(verdict, dims.equal(size, wanted))
    return verdict


def _misnormalized(call: Call, shape: Shape, normalized: Shape, index: int) -> Detail:
    name = constant(call, index)
    return Detail(
        f"{call.name} normalizes {dims.show(normalized)} from {call.giver()} with weights of {dims.show(shape)}",
        dims.show(shape),
        dims.show(normalized),
        f"the input size that {name} was made for: it has one weight a place" if name else "",
    )


def _layer_lower(call: Call, outputs: Shapes) -> Lowered:
    node = call.node
    attrs = {k: v for k, v in call.attrs.items() if k != "count"}
    names, params = list(node.inputs), []
    if len(names) > 1 and not names[1]:  # ONNX wants a scale
        names[1] = f"{node.name}/ones"
        shape = tuple(int(n) for n in call.shape()[_layer_axis(call) :])
        params = [Param(names[1], shape, recipe="ones", trained=False)]
    return Lowered([node.replace(inputs=names, attrs=attrs)], params)


def _layer_weights(call: Call) -> dict[int, Shape]:
    normalized = call.shape()[_layer_axis(call) :]
    return {1: normalized, 2: normalized}


register(
    Operator(
        "LayerNormalization",
        _layer_shapes,
        dtype=_layer_types,
        needs=_layer_needs,
        weights=_layer_weights,
        lower=_layer_lower,
        source="ONNX LayerNormalization-17",
    ),
    Operator(
        "RMSNormalization",
        _layer_shapes,
        needs=_fits_layer,
        weights=lambda call: {1: call.shape()[_layer_axis(call) :]},
        source="ONNX RMSNormalization-23",
    ),
    *(Operator(name, same_shape, source=f"ONNX {name}") for name in ("LpNormalization", "MeanVarianceNormalization")),
    Operator(
        "InstanceNormalization",
        same_shape,
        needs=_batch_needs,
        weights=lambda call: {1: (call.channels,), 2: (call.channels,)},
        source="ONNX InstanceNormalization-22",
    ),
    Operator(
        "GroupNormalization",
        same_shape,
        needs=_group_needs,
        weights=lambda call: {1: (call.channels,), 2: (call.channels,)},
        lower=_group_lower,
        images=True,
        source="ONNX GroupNormalization-21",
    ),
    Operator(
        "LRN",
        same_shape,
        needs=_lrn_needs,
        lower=_lrn_lower,
        source="ONNX LRN-13; Caffe lrn_layer.cpp; Chainer local_response_normalization.py",
    ),
    Operator(
        "BatchNormalization",
        _batch_shapes,
        needs=_batch_needs,
        weights=_batch_weights,
        lower=_batch_lower,
        constants=(3, 4, 5),
        elementwise=True,
        moved=_batch_moved,
        source="ONNX BatchNormalization-15; Caffe batch_norm_layer.cpp",
    ),
)
