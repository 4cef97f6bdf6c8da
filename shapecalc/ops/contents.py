"""Contents of small integer tensors, flat and row-major, when elements are picked or reordered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from ..dims import Contents, Shape, all_numbers, product


def cast(contents: Contents | None, dtype: str) -> Contents | None:
    """The contents as another element type: a float becomes a whole number toward zero, as in C.

    >>> cast((1.5, 2), "int64")
    (1, 2)
    """
    if contents is None or "int" not in dtype:
        return contents
    if any(isinstance(value, float) and not math.isfinite(value) for value in contents):
        return None
    return tuple(int(value) if isinstance(value, float) else value for value in contents)


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
