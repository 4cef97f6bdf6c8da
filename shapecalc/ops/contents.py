"""Contents of small tensors, flat and row-major, when elements are computed, repeated, picked or reordered."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from ..dims import Contents, Dim, Shape, Unknown, all_numbers, product
from . import numbers
from .base import Call

#: What a computation gives carries its contents up to this many elements: shapes need a few, index tables none.
MOST = 1024


def cast(contents: Contents | None, dtype: str | None) -> Contents | None:
    """The contents as another element type.

    >>> cast((1.5, 2), "int64")
    (1, 2)
    """
    return None if contents is None else tuple(numbers.cast(value, dtype) for value in contents)


def whole(contents: Contents | None) -> list[int] | None:
    """The contents as plain ints, None where one is no such thing."""
    if contents is None:
        return None
    found = [value for value in contents if isinstance(value, int)]
    return found if len(found) == len(contents) else None


def count(shape: Shape | Unknown) -> int | None:
    """Number of elements where it is known and small enough to carry them, else None."""
    if not all_numbers(shape):
        return None
    found = int(product(shape))  # type: ignore[arg-type]
    return found if found <= MOST else None


def picked(contents: Contents, shape: Shape, axis: int, indices: Iterable[int]) -> Contents | None:
    """The contents with only these places along one axis; None where the shape or a place is not known.

    >>> picked((1, 2, 3, 4), (2, 2), 0, [1])
    (3, 4)
    """
    if not all_numbers(shape) or not -len(shape) <= axis < len(shape):
        return None
    size, inner = int(shape[axis]), int(product(shape[axis + 1 :] if axis != -1 else ()))
    places = [i + size if i < 0 else i for i in indices]
    if not all(0 <= place < size for place in places):
        return None
    if inner == 1 and len(contents) == size:
        return tuple(contents[p] for p in places)
    blocks = range(len(contents) // (size * inner) if size * inner else 0)
    return tuple(contents[(b * size + p) * inner + k] for b in blocks for p in places for k in range(inner))


def transposed(contents: Contents, shape: Shape, order: Sequence[int]) -> Contents | None:
    """The contents with the axes in another order.

    >>> transposed((1, 2, 3, 4), (2, 2), (1, 0))
    (1, 3, 2, 4)
    """
    if not all_numbers(shape) or len(order) != len(shape) or product(shape) != len(contents):
        return None
    steps = [int(product(shape[axis + 1 :])) for axis in range(len(shape))]
    places = itertools.product(*(range(int(shape[axis])) for axis in order))
    return tuple(contents[sum(i * steps[axis] for i, axis in zip(place, order, strict=True))] for place in places)


def spread(contents: Contents, shape: Shape, target: Shape) -> Contents | None:
    """The contents of a tensor broadcast to ``target``; None where that cannot be said.

    >>> spread((1, 2), (2, 1), (2, 3))
    (1, 1, 1, 2, 2, 2)
    """
    if shape == target:
        return contents
    if count(target) is None or len(shape) > len(target):
        return None
    if len(contents) == 1:
        return contents * int(product(target))
    padded = (1,) * (len(target) - len(shape)) + shape
    if not all_numbers(shape) or any(a not in (1, b) for a, b in zip(padded, target, strict=True)):
        return None
    return _strided(contents, padded, target)


def _strided(contents: Contents, padded: Shape, target: Shape) -> Contents:
    steps = [0 if size == 1 else int(product(padded[axis + 1 :])) for axis, size in enumerate(padded)]
    places = itertools.product(*(range(int(size)) for size in target))
    return tuple(contents[sum(i * step for i, step in zip(place, steps, strict=True))] for place in places)


def joined(parts: Sequence[Contents], shapes: Sequence[Shape], axis: int) -> Contents | None:
    """The contents of tensors joined along ``axis``.

    >>> joined([(1, 2), (3, 4)], [(2, 1), (2, 1)], 1)
    (1, 3, 2, 4)
    """
    if axis == 0:
        return tuple(value for part in parts for value in part)
    if not all(map(all_numbers, shapes)):
        return None
    rows = int(product(shapes[0][:axis]))
    widths = [int(product(shape[axis:])) for shape in shapes]
    return tuple(
        value
        for row in range(rows)
        for part, width in zip(parts, widths, strict=True)
        for value in part[row * width : (row + 1) * width]
    )


# -- rules of rows ----------------------------------------------------------------------------------------------------


def passed(call: Call) -> Contents | None:
    """What goes in comes out: Identity, Reshape, Squeeze, …."""
    return call.contents(0)


def of_unary(call: Call) -> Contents | None:
    """Contents of an operator on one tensor, element by element."""
    data = call.contents(0)
    if data is None or (call.node.op not in numbers.UNARY and call.node.op != "Reciprocal"):
        return None
    return tuple(numbers.unary(call.node.op, value, call.tensor(0).dtype) for value in data)


def of_join(call: Call, target: Shape) -> Contents | None:
    """Contents of an operator on several tensors broadcast to ``target``, element by element."""
    op = call.node.op
    if op not in numbers.WHOLE:
        return None
    sides = [broadcast_side(call, i, target) for i in range(len(call.inputs))]
    total = sides[0]
    dtype = call.tensor(0).dtype
    for side in sides[1:]:
        if total is None or side is None or dtype is None:
            return None
        total = tuple(numbers.binary(op, a, b, dtype) for a, b in zip(total, side, strict=True))
    return total


def broadcast_side(call: Call, index: int, target: Shape) -> Contents | None:
    """Contents of one input broadcast to ``target``, None where they are not known."""
    data = call.contents(index)
    return None if data is None else spread(data, call.shape(index), target)


#: Reductions as operators on two elements.
FOLDS = {"ReduceProd": "Mul", "ReduceSum": "Add", "ReduceMax": "Max", "ReduceMin": "Min"}


def of_reduction(call: Call, axes: Sequence[int]) -> Contents | None:
    """Contents of a reduction: the number of places in a window, the longest side of several images, …."""
    data, op, shape, dtype = call.contents(0), FOLDS.get(call.node.op), call.shape(), call.tensor(0).dtype
    if not data or op is None:
        return None
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    width = len(data) if not kept else int(product(shape[axis] for axis in axes)) if all_numbers(shape) else 0
    ordered = data if not kept else transposed(data, shape, [*kept, *axes])
    if ordered is None or not width or (numbers.is_float(dtype) and width > 2 and op in ("Mul", "Add")):
        return None  # floats: what several products or sums round to depends on their order
    return tuple(_folded(op, ordered[at : at + width], dtype) for at in range(0, len(ordered), width))


def _folded(op: str, values: Contents, dtype: str | None) -> Dim:
    total = values[0]
    for value in values[1:]:
        total = numbers.binary(op, total, value, dtype)
    return total
