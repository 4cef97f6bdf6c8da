"""What operators do to what places see, where windows and work place by place do not say it.

A value's `View` says which of its axes are the image's, and what its elements see along each (`Field`). A rule takes
the views of the inputs, by position, and the output's shape. A rule that cannot say raises UnseenError: never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from .. import dims
from ..dims import Shape
from ..ops import Call, find
from ..ops.padding import amounts
from ..window import TransposedWindow, Window
from .field import Field, Reads, UnseenError, join
from .stretch import stretched

Fields: TypeAlias = tuple[Field, ...]


class View(NamedTuple):
    """The axes of a tensor that are the image's (height, width), and what its elements see along each.

    A value that is no map any more (behind Flatten) has no axes: its fields say what the whole of it sees.
    """

    axes: tuple[int, ...]
    fields: Fields


Views: TypeAlias = dict[int, View]
Rule: TypeAlias = Callable[[Call, Views, Shape], View]


def spatial_axes(rank: int, layout: str) -> tuple[int, ...]:
    """The axes that are height, width, …"""
    return tuple(range(1, rank - 1) if layout == "NHWC" else range(2, rank))


def rule_of(call: Call) -> Rule:
    """The rule of a node: of the table, else by its row: windows, or work place by place."""
    key = (call.node.domain if call.node.domain != "ai.onnx" else "", call.node.op)
    row = find(call.node.op, call.node.domain)
    if key in RULES:
        return RULES[key]
    if row is not None and row.windows is not None:
        return _windows
    if row is not None and row.elementwise:
        return _place_by_place
    raise UnseenError(f"there is no rule for what {call.node.origin.op or call.node.op} sees")


def _number(size: object) -> int:
    if not isinstance(size, int):
        raise UnseenError("a size is not known")
    return size


def _only(arriving: Views) -> View:
    if list(arriving) != [0]:
        raise UnseenError("it mixes several values of the image")
    return arriving[0]


def _sizes(call: Call, view: View, index: int = 0) -> list[int]:
    return [_number(call.shape(index)[axis]) for axis in view.axes]


def _whole(call: Call, view: View, index: int = 0) -> Fields:
    """What the whole of a value sees."""
    sizes = _sizes(call, view, index)
    return tuple(f.over(n) for f, n in zip(view.fields, sizes, strict=True)) if view.axes else view.fields


# -- windows, places ---------------------------------------------------------------------------------------------------


def _windows(call: Call, arriving: Views, out: Shape) -> View:
    row, view = find(call.node.op, call.node.domain), arriving.get(0)
    assert row is not None
    assert row.windows is not None
    if view is None or len(arriving) > 1:
        raise UnseenError("its weights come from the image")
    windows = row.windows(call)
    if not view.axes:
        return view  # it slides over channels of what has seen all places
    if not windows:
        raise UnseenError("where its windows stand is not known")
    if view.axes != spatial_axes(len(call.shape()), call.layout):
        raise UnseenError("it slides over axes that are not the image's")
    sizes = _sizes(call, view)
    fields = tuple(f.through(w, n) for f, w, n in zip(view.fields, windows, sizes, strict=True))
    return View(view.axes if len(out) == len(call.shape()) else (), fields)


def _place_by_place(call: Call, arriving: Views, out: Shape) -> View:
    """Every output element depends on the same place of the inputs, which may have one place for all (broadcast)."""
    views = {i: _shifted(view, len(out) - len(call.shape(i))) for i, view in arriving.items()}
    maps = [view for view in views.values() if view.axes]
    if not maps:
        return View((), tuple(_as_one(parts) for parts in zip(*(v.fields for v in views.values()), strict=True)))
    axes = maps[0].axes
    if any(view.axes != axes for view in maps):
        raise UnseenError("it joins values whose axes of the image are not the same")
    sizes = [_number(out[axis]) for axis in axes]
    parts = [_spread(call.shape(i), view, axes, sizes, len(out)) for i, view in views.items()]
    return View(axes, tuple(join(branches, n) for branches, n in zip(zip(*parts, strict=True), sizes, strict=True)))


def _shifted(view: View, ahead: int) -> View:
    return View(tuple(axis + ahead for axis in view.axes), view.fields)


def _as_one(parts: Sequence[Field]) -> Field:
    return join([field.still(1) for field in parts], 1) if len(set(parts)) > 1 else parts[0]


def _spread(shape: Shape, view: View, axes: tuple[int, ...], sizes: Sequence[int], rank: int) -> Fields:
    """The fields of an input as the places of the output read them."""
    ahead = rank - len(shape)
    own = [shape[axis - ahead] if view.axes and axis >= ahead else 1 for axis in axes]
    return tuple(
        field.still(n) if size == 1 and n != 1 else field
        for field, size, n in zip(view.fields, own, sizes, strict=True)
    )


def _joined(call: Call, arriving: Views, out: Shape) -> View:
    """Concatenation: along channels places meet; along an axis of the image they stand side by side."""
    axis = call.axis(int(call.attr("axis", 1)), len(out))
    if any(axis in view.axes for view in arriving.values()):
        raise UnseenError("it puts maps side by side along an axis of the image")
    if len({bool(view.axes) for view in arriving.values()}) > 1:
        raise UnseenError("it joins maps with values that are no maps")
    return _place_by_place(call, arriving, out)


def _split(call: Call, arriving: Views, out: Shape) -> View:
    view = _only(arriving)
    if call.axis(int(call.attr("axis", 0))) in view.axes:
        raise UnseenError("it cuts an axis of the image into several")
    return view


def _kept(call: Call, arriving: Views, out: Shape) -> View:
    """Channels change, places stay."""
    return _only(arriving)


def _scaled(call: Call, arriving: Views, out: Shape) -> View:
    """a·x + y with one a for each channel (SENet axpy_layer.cpp)."""
    if 0 in arriving and arriving[0].axes and len(call.shape(0)) < len(out):
        arriving = {**arriving, 0: View((), _whole(call, arriving[0]))}
    return _place_by_place(call, arriving, out)


# -- what mixes places -------------------------------------------------------------------------------------------------


def _mixed(call: Call, view: View, axes: Iterable[int]) -> View:
    """Every place along these axes sees all that any of them sees."""
    mixed = set(axes)
    if not view.axes:
        return view
    rows = zip(view.axes, view.fields, _sizes(call, view), strict=True)
    return View(view.axes, tuple(f.over(n).still(n) if axis in mixed else f for axis, f, n in rows))


def _softmax(call: Call, arriving: Views, out: Shape) -> View:
    view = _only(arriving)
    axis = call.axis(int(call.attr("axis", 1 if call.opset < 13 else -1)))
    graph = call.scope.graph
    flat = call.opset < 13 and graph is not None and graph.format == "onnx"  # before 13 the axes from there on are one
    return _mixed(call, view, range(axis, len(out)) if flat else [axis])


def _layer_norm(call: Call, arriving: Views, out: Shape) -> View:
    return _mixed(call, _only(arriving), range(call.axis(int(call.attr("axis", -1))), len(out)))


def _map_norm(call: Call, arriving: Views, out: Shape) -> View:
    return _mixed(call, _only(arriving), _only(arriving).axes)


def _mean_variance(call: Call, arriving: Views, out: Shape) -> View:
    return _mixed(call, _only(arriving), [call.axis(int(axis)) for axis in call.attr("axes", (0, 2, 3))])


def _lrn(call: Call, arriving: Views, out: Shape) -> View:
    view = _only(arriving)
    if call.attr("region", "across") != "within":
        return view
    size = int(call.attr("size", 5))
    window = Window(size, 1, (size - 1) // 2, (size - 1) // 2)
    return View(view.axes, tuple(f.through(window, n) for f, n in zip(view.fields, _sizes(call, view), strict=True)))


def _reduced(call: Call, arriving: Views, out: Shape) -> View:
    """A reduction: over places it sees them all, over channels it keeps them."""
    view = _only(arriving)
    rank = len(call.shape())
    given = call.attr("axes") if call.attr("axes") is not None else call.contents(1)
    if call.node.op.startswith("Arg"):
        given = (int(call.attr("axis", 0)),)
    axes = [call.axis(int(axis)) for axis in given] if given else list(range(rank))
    rows = list(zip(view.axes, view.fields, _sizes(call, view), strict=True))
    fields = tuple(field.over(n) if axis in axes else field for axis, field, n in rows) if rows else view.fields
    left = [axis for axis in range(rank) if axis not in axes or call.attr("keepdims", 1) == 1]
    kept = [axis for axis in view.axes if axis in left]
    if kept and len(kept) < len(view.axes):
        raise UnseenError("it leaves out one axis of the image and keeps the other")
    return View(tuple(left.index(axis) for axis in kept), fields)


# -- what moves places -------------------------------------------------------------------------------------------------


def _transposed(call: Call, arriving: Views, out: Shape) -> View:
    view = _only(arriving)
    given = call.attr("perm") or call.attr("order")
    order = [int(axis) for axis in given] if given else list(reversed(range(len(out))))
    order += [axis for axis in range(len(out)) if axis not in order]
    return View(tuple(order.index(axis) for axis in view.axes), view.fields)


def _reshaped(call: Call, arriving: Views, out: Shape) -> View:
    """Axes stay the image's where as many elements lie behind them as before; all merged, the value sees the whole."""
    view = _only(arriving)
    if not view.axes:
        return view
    shape = call.shape()
    behind = {str(dims.product(out[axis + 1 :])): axis for axis in reversed(range(len(out))) if out[axis] != 1}
    found = [behind.get(str(dims.product(shape[axis + 1 :]))) for axis in view.axes]
    pairs = zip(view.axes, found, strict=True)
    if all(place is not None and dims.equal(out[place], shape[axis]) is True for axis, place in pairs):
        return View(tuple(place for place in found if place is not None), view.fields)
    if len(out) <= 2 or all(shape[axis] == 1 for axis in view.axes):
        return View((), _whole(call, view))
    raise UnseenError("it merges places with others, so they lie on no axis of the image")


def _dense(call: Call, arriving: Views, out: Shape) -> View:
    """A fully connected layer: it sees all that its input sees."""
    return View((), _whole(call, _only(arriving)))


def _product(call: Call, arriving: Views, out: Shape) -> View:
    """A matrix product with a weight mixes the last axis alone."""
    view = _only(arriving)
    if len(call.shape()) - 1 in view.axes:
        raise UnseenError("it mixes all places along an axis of the image")
    return view


def _gathered(call: Call, arriving: Views, out: Shape) -> View:
    """Channels, or items of a batch, chosen by a table: the axes behind them move by as many as the table has more."""
    view, axis = _only(arriving), call.axis(int(call.attr("axis", 0)))
    if axis in view.axes:
        raise UnseenError("it picks places by a table")
    more = len(out) - len(call.shape())
    return View(tuple(place + more if place > axis else place for place in view.axes), view.fields)


def _sliced(call: Call, arriving: Views, out: Shape) -> View:
    view = _only(arriving)
    given = call.attr("starts") or call.contents(1)
    if given is None:
        raise UnseenError("where it cuts is computed at run time")
    axes = [call.axis(int(axis)) for axis in call.attr("axes") or call.contents(3) or range(len(given))]
    steps = call.contents(4) or (1,) * len(given)
    cuts = dict(zip(axes, zip(given, steps, strict=True), strict=True))
    rows = zip(view.axes, view.fields, _sizes(call, view), strict=True)
    return View(view.axes, tuple(_cut(f, n, out[axis], *cuts.get(axis, (0, 1))) for axis, f, n in rows))


def _cut(field: Field, n: int, out: object, start: object, step: object) -> Field:
    begin, by = _number(start), _number(step)
    if by < 1:
        raise UnseenError("it turns the image round")
    begin = min(max(begin + n if begin < 0 else begin, 0), n)
    return field if (begin, by, out) == (0, 1, n) else field.read(Reads(((begin, begin),), by), _number(out))


def _padded(call: Call, arriving: Views, out: Shape) -> View:
    """Pad, along any axes: what is added reads what lies outside of the map."""
    view, padding = _only(arriving), amounts(call)
    if padding is None:
        raise UnseenError("its padding is computed at run time")
    rows = zip(view.axes, view.fields, _sizes(call, view), strict=True)
    windows = {axis: Window(1, 1, _number(padding[axis][0]), _number(padding[axis][1])) for axis in view.axes}
    return View(view.axes, tuple(f.through(windows[axis], n) for axis, f, n in rows))


def _cropped(call: Call, arriving: Views, out: Shape) -> View:
    """Caffe's Crop: from ``axis`` on, to the second bottom's size, from an offset (crop_layer.cpp)."""
    view = arriving.get(0)
    if view is None:
        raise UnseenError("only its sizes come from the image")
    first, given = call.axis(int(call.attr("axis", 2))), tuple(call.attr("offset") or (0,))
    fields = []
    for axis, field, n in zip(view.axes, view.fields, _sizes(call, view), strict=True):
        at = (given[0] if len(given) == 1 else given[axis - first]) if axis >= first else 0
        fields.append(_cut(field, n, out[axis], at, 1))
    return View(view.axes, tuple(fields))


def _resized(call: Call, arriving: Views, out: Shape) -> View:
    """Resize and Upsample: which elements a place is interpolated from, by coordinates and mode."""
    view = _only(arriving)
    rows = zip(view.axes, view.fields, _sizes(call, view), strict=True)
    fields = tuple(
        f if n == out[axis] else f.read(stretched(call, n, _number(out[axis])), _number(out[axis]))
        for axis, f, n in rows
    )
    return View(view.axes, fields)


def _blocks(window: Callable[[int], Window | TransposedWindow]) -> Rule:
    """Channels exchanged for places: each place becomes a block of them, or the other way round."""

    def rule(call: Call, arriving: Views, out: Shape) -> View:
        view = _only(arriving)
        block = window(int(call.attr("blocksize")))
        return View(view.axes, tuple(f.through(block, n) for f, n in zip(view.fields, _sizes(call, view), strict=True)))

    return rule


REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()

RULES: dict[tuple[str, str], Rule] = {
    ("", "Concat"): _joined,
    ("", "Split"): _split,
    ("", "Softmax"): _softmax,
    ("", "LogSoftmax"): _softmax,
    ("", "LayerNormalization"): _layer_norm,
    ("", "InstanceNormalization"): _map_norm,
    ("", "GroupNormalization"): _map_norm,
    ("", "MeanVarianceNormalization"): _mean_variance,
    ("", "LRN"): _lrn,
    ("", "BatchNormalization"): _kept,
    ("caffe", "BatchScale"): _kept,
    ("caffe", "ShuffleChannel"): _kept,
    ("", "Transpose"): _transposed,
    ("caffe", "Permute"): _transposed,
    **{("", name): _reshaped for name in ("Reshape", "Flatten", "Squeeze", "Unsqueeze")},
    ("", "Gemm"): _dense,
    ("", "MatMul"): _product,
    ("", "Expand"): _place_by_place,
    ("", "Gather"): _gathered,
    ("", "Slice"): _sliced,
    ("", "Pad"): _padded,
    ("caffe", "Crop"): _cropped,
    ("", "Resize"): _resized,
    ("", "Upsample"): _resized,
    ("", "DepthToSpace"): _blocks(lambda block: TransposedWindow(block, block)),
    ("", "SpaceToDepth"): _blocks(lambda block: Window(block, block)),
    ("caffe", "Axpy"): _scaled,
    **{("", f"Reduce{kind}"): _reduced for kind in REDUCTIONS},
    ("", "ArgMax"): _reduced,
    ("", "ArgMin"): _reduced,
}
