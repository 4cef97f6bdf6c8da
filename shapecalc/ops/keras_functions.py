"""Keras' and TensorFlow's functions in a graph that ONNX says in pieces, under the domain "keras"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import dims
from ..dims import Dim, ceil_divide
from .base import Call, Detail, Lowered, Need, Operator, Shapes, moved_axis, need_rank, register, same_shape, unmoved
from .chain import Chain

# -- GetItem: x[a:b:c, 3, None, ...] -----------------------------------------------------------------------------------


def _index(call: Call) -> list[Any]:
    """One entry an axis: (start, stop, step), or a place; "new" for an axis of 1. ``...`` is filled up."""
    given = list(call.attr("index"))
    if "..." in given:
        place = given.index("...")
        spare = len(call.shape()) - sum(item != "new" for item in given) + 1
        given[place : place + 1] = [(None, None, None)] * spare
    spare = len(call.shape()) - sum(item != "new" for item in given)
    return given + [(None, None, None)] * spare


def _clamped(at: int | None, n: Dim, default: Dim) -> Dim:
    """A bound as Python counts it: from the end where it is negative, and never outside."""
    if at is None:
        return default
    if not isinstance(n, int):
        return at if at >= 0 else n + at
    return max(0, min(n, at + n if at < 0 else at))


def _length(part: tuple[int | None, ...], n: Dim) -> Dim:
    start, stop, step = part
    if (step or 1) < 0:
        return n if start is None and stop is None and step == -1 else dims.Unknown("a slice that runs backwards")
    length = _clamped(stop, n, n) - _clamped(start, n, 0)
    size = ceil_divide(length, step or 1)
    return max(size, 0) if isinstance(size, int) else size


def _item_shapes(call: Call) -> Shapes:
    sizes = iter(call.shape())
    shape: list[Dim] = []
    for item in _index(call):
        if item == "new":
            shape.append(1)
            continue
        n = next(sizes)
        if isinstance(item, tuple):
            shape.append(_length(item, n))
    return [tuple(shape)]


def _item_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, at_least=sum(item not in ("new", "...") for item in call.attr("index")))
    rest = [item for item in _index(call) if item != "new"] if call.rank() is not None else []
    for axis, (item, n) in enumerate(zip(rest, call.shape(), strict=False)):
        if isinstance(item, int):
            least = item + 1 if item >= 0 else -item
            words = Detail(f"{call.name} takes place {item} of axis {axis}", f"at least {least}", dims.show((n,)))
            yield Need(dims.at_least(n, least), "E106", lambda words=words: words)  # type: ignore[misc]


END = (1 << 63) - 1


def _item_lower(call: Call, outputs: Shapes) -> Lowered:
    rows, dropped, added = [], [], []
    axis = written = 0
    for item in _index(call):
        if item == "new":
            added.append(written)
        elif isinstance(item, tuple):
            start, stop, step = item
            backwards = (step or 1) < 0
            if item != (None, None, None):
                rows.append(
                    (axis, start or (END if backwards and start is None else 0), _stop(stop, backwards), step or 1)
                )
        else:
            rows.append((axis, item, item + 1 if item != -1 else END, 1))
            dropped.append(axis)
        written += item == "new" or isinstance(item, tuple)
        axis += item != "new"
    chain, value = Chain(call), call.node.inputs[0]
    if rows:
        axes, starts, stops, steps = (list(column) for column in zip(*rows, strict=True))
        value = chain.add("Slice", (value, starts, stops, axes, steps))
    for op, places in (("Squeeze", dropped), ("Unsqueeze", added)):
        value = chain.add(op, (value, places)) if places else value
    if not chain.nodes:
        chain.add("Identity", (value,))
    return chain.done()


def _stop(stop: int | None, backwards: bool) -> int:
    return stop if stop is not None else (-END if backwards else END)


# -- Stack, Swapaxes, Repeat, Tile -------------------------------------------------------------------------------------


def _stacked(call: Call) -> Shapes:
    shape = call.shape()
    axis = call.axis(int(call.attr("axis", 0)), len(shape) + 1)
    return [(*shape[:axis], len(call.node.inputs), *shape[axis:])]


def _stack_lower(call: Call, outputs: Shapes) -> Lowered:
    axis = call.axis(int(call.attr("axis", 0)), len(call.shape()) + 1)
    chain = Chain(call)
    parts = [chain.add("Unsqueeze", (name, [axis])) for name in call.node.inputs]
    chain.add("Concat", parts, {"axis": axis})
    return chain.done()


def _order(call: Call) -> list[int]:
    order = list(range(len(call.shape())))
    a, b = (call.axis(int(axis)) for axis in call.attr("axes"))
    order[a], order[b] = order[b], order[a]
    return order


def _swap_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    chain.add("Transpose", call.node.inputs[:1], {"perm": _order(call)})
    return chain.done()


def _repeated(call: Call) -> Shapes:
    axis = call.axis(int(call.attr("axis")))
    return [tuple(n * call.attr("repeats") if i == axis else n for i, n in enumerate(call.shape()))]


def _repeat_lower(call: Call, outputs: Shapes) -> Lowered:
    """Each place as often as said: an axis of 1 behind it, tiled, then joined with it."""
    axis, rank = call.axis(int(call.attr("axis"))), len(call.shape())
    chain = Chain(call)
    wide = chain.add("Unsqueeze", (call.node.inputs[0], [axis + 1]))
    tiled = chain.add("Tile", (wide, [call.attr("repeats") if i == axis + 1 else 1 for i in range(rank + 1)]))
    target = [-1 if i == axis else int(n) for i, n in enumerate(call.shape())]
    chain.add("Reshape", (tiled, target))
    return chain.done()


# -- a·x + y, as applications write it --------------------------------------------------------------------------------


def _scaled_lower(call: Call, outputs: Shapes) -> Lowered:
    first, second = call.node.inputs[:2]
    chain = Chain(call)
    chain.add("Add", (first, chain.add("Mul", (second, float(call.attr("scale"))))))
    return chain.done()


def _scaled_needs(call: Call) -> Iterator[Need]:
    a, b = call.shape(0), call.shape(1)
    same = len(a) == len(b) and not any(dims.failed(dims.equal(x, y)) for x, y in zip(a, b, strict=True))
    words = Detail(f"{call.name} adds {dims.show(a)} and {dims.show(b)}", dims.show(a), dims.show(b))
    yield Need(same, "E105", lambda: words)


# -- space to depth and back ------------------------------------------------------------------------------------------


def _to_space(call: Call) -> Shapes:
    block = call.attr("blocksize")
    return [call.image(call.channels // (block * block), [n * block for n in call.spatial])]


def _to_depth(call: Call) -> Shapes:
    block = call.attr("blocksize")
    return [call.image(call.channels * block * block, [n // block for n in call.spatial])]


def _space_lower(op: str) -> Any:
    def lower(call: Call, outputs: Shapes) -> Lowered:
        chain = Chain(call)
        chain.add(op, call.node.inputs[:1], {"blocksize": int(call.attr("blocksize"))})
        return chain.done()

    return lower


def _whole(call: Call) -> Iterator[Need]:
    block = call.attr("blocksize")
    yield need_rank(call, 4)
    wholes = [call.channels % (block * block)] if call.node.op == "DepthToSpace" else [n % block for n in call.spatial]
    words = Detail(f"{call.name}: blocks of {block} do not divide {dims.show(call.shape())}", f"a multiple of {block}")
    for rest in wholes:
        yield Need(dims.equal(rest, 0), "E106", lambda: words)


NUMPY, CORE = "Keras ops/numpy.py", "Keras ops/core.py"

register(
    Operator("GetItem", _item_shapes, needs=_item_needs, lower=_item_lower, source="Keras ops/numpy.py, GetItem"),
    Operator("Stack", _stacked, lower=_stack_lower, source=NUMPY),
    Operator(
        "Swapaxes",
        lambda call: [tuple(call.shape()[axis] for axis in _order(call))],
        lower=_swap_lower,
        source=NUMPY,
    ),
    Operator("Repeat", _repeated, lower=_repeat_lower, moved=moved_axis, source=NUMPY),
    Operator(
        "ScaledAdd",
        same_shape,
        needs=_scaled_needs,
        lower=_scaled_lower,
        elementwise=True,
        moved=unmoved,
        source="Keras applications/inception_resnet_v2.py, CustomScaleLayer",
    ),
    Operator(
        "DepthToSpace",
        _to_space,
        needs=_whole,
        lower=_space_lower("DepthToSpace"),
        images=True,
        source="tf.nn.depth_to_space",
    ),
    Operator(
        "SpaceToDepth",
        _to_depth,
        needs=_whole,
        lower=_space_lower("SpaceToDepth"),
        images=True,
        source="tf.nn.space_to_depth",
    ),
    domain="keras",
)
