"""Sequences of tensors, and optional values.

A sequence is a value whose shape is a `Listed`: unknown as a tensor, with what is known of its items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..graph import Tensor
from .base import Call, OpenRankError, Operator, register
from .counting import runtime_count

#: Sequences up to this many items are followed one by one.
MOST_ITEMS = 256


class Listed(Unknown):
    """What is known of a sequence: its items, or where their number is open only what all of them have in common."""

    __slots__ = ("any", "items")

    def __init__(self, items: Sequence[Tensor] | None, any_item: Tensor | None = None) -> None:
        count = "a" if items is None else f"a {len(items)}-item"
        super().__init__(f"{count} sequence of tensors, no tensor")
        self.items = None if items is None else tuple(items)
        self.any = any_item

    @property
    def common(self) -> Tensor | None:
        """What every item has in common; None of an empty sequence."""
        if self.items is None:
            return self.any
        found: Tensor | None = None
        for item in self.items:
            found = item if found is None else merged(found, item, "the items of a sequence differ")
        return found


class Maybe(Unknown):
    """What is known of an optional value that comes from outside: what it holds, if it holds anything."""

    __slots__ = ("item",)

    def __init__(self, name: str, item: Tensor | None) -> None:
        super().__init__(f"{name} may hold nothing")
        self.item = item


def merged(a: Tensor, b: Tensor, why: str) -> Tensor:
    """What is known of a value that is one of two."""
    dtype = a.dtype if a.dtype == b.dtype else None
    if isinstance(a.shape, Listed) and isinstance(b.shape, Listed):
        return Tensor(_merged_lists(a.shape, b.shape, why), dtype)
    if not isinstance(a.shape, tuple) or not isinstance(b.shape, tuple) or len(a.shape) != len(b.shape):
        return Tensor(a.shape if isinstance(a.shape, Unknown) else Unknown(why), dtype)
    shape = tuple(
        x if x is y or dims.equal(x, y) is True else Unknown(why) for x, y in zip(a.shape, b.shape, strict=True)
    )
    same = a.contents is not None and a.contents is b.contents
    return Tensor(shape, dtype, a.contents if same else None)


def _merged_lists(a: Listed, b: Listed, why: str) -> Listed:
    if a.items is not None and b.items is not None and len(a.items) == len(b.items):
        return Listed([merged(x, y, why) for x, y in zip(a.items, b.items, strict=True)])
    known = [item for item in (a.common, b.common) if item is not None]
    return Listed(None, merged(known[0], known[-1], why) if known else None)


def _sequence(call: Call, index: int = 0) -> Listed:
    shape = call.tensor(index).shape
    if isinstance(shape, Listed):
        return shape
    raise OpenRankError(shape if isinstance(shape, Unknown) else Unknown(f"{call.name}: its input is no sequence"))


def _place(call: Call, index: int, count: int, default: int) -> int | None:
    """A position from the front, None where it is computed at run time."""
    if not call.has(index):
        return default
    contents = call.contents(index)
    if not contents or not isinstance(contents[0], int):
        return None
    return contents[0] + count if contents[0] < 0 else contents[0]


def _opened(sequence: Listed, *more: Tensor) -> list[Tensor]:
    """A sequence of an open number of such items."""
    known = [item for item in (sequence.common, *more) if item is not None]
    return [Tensor(Listed(None, merged(known[0], known[-1], "the items of a sequence differ") if known else None))]


def _moved(sequence: Listed, count: int, *more: Tensor) -> list[Tensor]:
    """A sequence of so many items, of which nobody knows which stands where."""
    common = _opened(sequence, *more)[0].shape.any  # type: ignore[union-attr]
    return [Tensor(Listed([common] * count))] if common is not None else _opened(sequence, *more)


def _insert(call: Call) -> list[Tensor]:
    sequence, item = _sequence(call), call.tensor(1)
    if sequence.items is None or len(sequence.items) >= MOST_ITEMS:
        return _opened(sequence, item)
    at = _place(call, 2, len(sequence.items), len(sequence.items))
    if at is None:
        return _moved(sequence, len(sequence.items) + 1, item)
    return [Tensor(Listed([*sequence.items[:at], item, *sequence.items[at:]]))]


def _erase(call: Call) -> list[Tensor]:
    sequence = _sequence(call)
    at = None if sequence.items is None else _place(call, 1, len(sequence.items), len(sequence.items) - 1)
    if sequence.items is None:
        return _opened(sequence)
    if at is None:
        return _moved(sequence, max(len(sequence.items) - 1, 0))
    return [Tensor(Listed([*sequence.items[:at], *sequence.items[at + 1 :]]))]


def _at(call: Call) -> list[Tensor]:
    sequence = _sequence(call)
    at = None if sequence.items is None else _place(call, 1, len(sequence.items), 0)
    if sequence.items is not None and at is not None:
        return [sequence.items[at]]
    return [sequence.common or Tensor(Unknown(f"{call.name}: nothing is known of the sequence's items"))]


def _length(call: Call) -> list[Tensor]:
    sequence = _sequence(call)
    return [Tensor((), "int64", None if sequence.items is None else (len(sequence.items),))]


def _split(call: Call) -> list[Tensor]:
    """Parts of one size, the last one smaller, or of the sizes that are listed."""
    shape, dtype = call.shape(), call.tensor(0).dtype
    axis = call.axis(int(call.attr("axis", 0)))
    given = call.contents(1) if call.has(1) else (1,)
    whole = shape[axis]

    def part(size: Dim) -> Tensor:
        return Tensor((*shape[:axis], size, *shape[axis + 1 :]), dtype)

    if call.has(1) and call.rank(1) == 1:
        count = call.shape(1)[0]
        if given is None and isinstance(count, int) and count <= MOST_ITEMS:
            given = (Unknown(f"{call.name}: its parts are computed at run time"),) * count
        if given is not None:
            return [Tensor(Listed([part(size) for size in given]))]
    each = given[0] if given and call.rank(1) != 1 else None
    if not isinstance(whole, int) or not isinstance(each, int) or each < 1 or whole // each > MOST_ITEMS:
        fixed = isinstance(each, int) and each == 1
        return [Tensor(Listed(None, part(1 if fixed else Unknown(f"{call.name}: its parts are not known"))))]
    sizes = [min(each, whole - start) for start in range(0, whole, each)]
    if not call.has(1) and not call.attr("keepdims", 1):
        return [Tensor(Listed([Tensor((*shape[:axis], *shape[axis + 1 :]), dtype) for _ in sizes]))]
    return [Tensor(Listed([part(size) for size in sizes]))]


def _concat(call: Call) -> list[Tensor]:
    sequence = _sequence(call)
    common = sequence.common
    if common is None or not isinstance(common.shape, tuple):
        raise OpenRankError(Unknown(f"{call.name}: the items of its sequence are not known"))
    rank = len(common.shape) + int(call.attr("new_axis", 0))
    axis = call.axis(int(call.attr("axis")), rank)
    items = sequence.items
    if call.attr("new_axis", 0):
        count: Dim = runtime_count(call, axis=axis, low=1) if items is None else len(items)
        return [Tensor((*common.shape[:axis], count, *common.shape[axis:]), common.dtype)]
    shapes: list[Shape] = [item.shape for item in items or () if isinstance(item.shape, tuple)]
    total: Dim = sum((shape[axis] for shape in shapes), 0) if items is not None else runtime_count(call, axis=axis)
    return [Tensor((*common.shape[:axis], total, *common.shape[axis + 1 :]), common.dtype)]


# -- optionals --------------------------------------------------------------------------------------------------------


def _optional(call: Call) -> list[Tensor]:
    return [call.tensor(0) if call.has(0) else Tensor(Unknown("an optional value that is empty"))]


def _element(call: Call) -> list[Tensor]:
    """What an optional value holds: to ask an empty one is an error."""
    given = call.tensor(0)
    held = given.shape.item if isinstance(given.shape, Maybe) else given
    return [held or Tensor(Unknown(f"{call.name}: nothing is known of what it holds"))]


def _has_element(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape if call.has(0) else None
    open_ = isinstance(shape, Unknown) and not isinstance(shape, Listed)
    return [Tensor((), "bool", None if open_ else (int(call.has(0)),))]


def whole(name: str, rule: Callable[[Call], list[Tensor]], source: str) -> Operator:
    """A row that gives whole tensors."""
    return Operator(name, lambda call: [tensor.shape for tensor in rule(call)], tensors=rule, source=source)


register(
    whole("SequenceEmpty", lambda call: [Tensor(Listed([]))], "ONNX SequenceEmpty-11"),
    whole(
        "SequenceConstruct",
        lambda call: [Tensor(Listed([call.tensor(i) for i in range(len(call.inputs))]))],
        "ONNX SequenceConstruct-11",
    ),
    whole("SequenceInsert", _insert, "ONNX SequenceInsert-11"),
    whole("SequenceErase", _erase, "ONNX SequenceErase-11"),
    whole("SequenceAt", _at, "ONNX SequenceAt-11"),
    whole("SequenceLength", _length, "ONNX SequenceLength-11"),
    whole("SplitToSequence", _split, "ONNX SplitToSequence-24"),
    whole("ConcatFromSequence", _concat, "ONNX ConcatFromSequence-11"),
    whole("Optional", _optional, "ONNX Optional-15"),
    whole("OptionalGetElement", _element, "ONNX OptionalGetElement-18"),
    whole("OptionalHasElement", _has_element, "ONNX OptionalHasElement-18"),
)
