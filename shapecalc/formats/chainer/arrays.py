"""Functions of ``chainer.functions`` on whole arrays: matrices, repetition, broadcasting, and arrays of one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...dims import Dim
from .use import Row, Use
from .values import Value, Variable


def _sizes(use: Use, name: str, least: int = 0) -> tuple[Dim, ...]:
    value = use[name]
    given = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(use.as_size(size, name, least) for size in given)


def _pair(op: str) -> Callable[[Use], Variable]:
    """An operator of two values that broadcast."""

    def rule(use: Use) -> Variable:
        first, second = use.row.signature.names[:2]
        values = [use.variable(first), use.variable(second)]
        ranks = [value.rank for value in values]
        return use.emit(op, values, rank=None if None in ranks else max(rank or 0 for rank in ranks))

    return rule


def _matmul(use: Use) -> Variable:
    """``transa`` and ``transb`` turn the last two axes; a vector is no matrix here."""
    values = []
    for name, switch in (("a", "transa"), ("b", "transb")):
        value = use.variable(name)
        rank = use.need_rank(value.rank)
        if rank < 2:
            raise use.error(f"{name} has {rank} dimensions, which is not supported", "E204")
        if use[switch]:
            perm = (*range(rank - 2), rank - 1, rank - 2)
            value = use.emit("Transpose", [value], {"perm": perm}, rank=rank, kind="transpose")
        values.append(value)
    return use.emit("MatMul", values, rank=max(use.need_rank(value.rank) for value in values))


def _tile(use: Use) -> Variable:
    """Fewer numbers than axes count from the last one (numpy.tile); more are not supported."""
    x = use.variable()
    rank, repeats = use.need_rank(x.rank), _sizes(use, "reps", 1)
    if len(repeats) > rank:
        raise use.error(f"{len(repeats)} numbers for {rank} dimensions are not supported", "E204")
    return use.emit("Tile", [x], {"repeats": (*(1,) * (rank - len(repeats)), *repeats)}, rank=rank)


def _broadcast_to(use: Use) -> Variable:
    shape = _sizes(use, "shape")
    return use.emit("Broadcast", [use.variable()], {"shape": shape}, rank=len(shape), domain="chainer")


def _pad(use: Use) -> Variable:
    """``pad_width``: one number, (before, after), or such a pair for each axis; a constant around the array."""
    x = use.variable()
    rank, width = use.need_rank(x.rank), use["pad_width"]
    mode = use["mode"]
    if mode not in ("constant", "reflect", "edge"):
        raise use.error(f"mode {mode!r} is not supported", "E204")
    if mode == "constant" and use["constant_values"] not in (0, (0, 0)):
        raise use.error("constant values other than 0 are not supported", "E204")
    rows = _pad_rows(width, rank)
    if len(rows) != rank or any(len(row) != 2 for row in rows):
        raise use.error(f"its argument pad_width has {len(rows)} pairs for {rank} axes", "E109")
    pads = tuple(use.as_size(row[end], "pad_width", 0) for end in (0, 1) for row in rows)
    attrs: dict[str, Any] = {"pads": pads} | ({} if mode == "constant" else {"mode": mode})
    return use.emit("Pad", [x], attrs, rank=rank)


def _pad_rows(width: Value, rank: int) -> list[Any]:
    if not isinstance(width, (list, tuple)):
        return [(width, width)] * rank
    if all(isinstance(row, (list, tuple)) for row in width):
        rows = [tuple(row) * 2 if len(row) == 1 else tuple(row) for row in width]
        return rows * rank if len(rows) == 1 else rows
    return [tuple(width)] * rank


def _index(op: str) -> Callable[[Use], Variable]:
    """The place of the largest or smallest element along an axis."""

    def rule(use: Use) -> Variable:
        x = use.variable()
        if use["axis"] is None:
            raise use.error("without an axis is not supported", "E204")
        rank = use.need_rank(x.rank)
        return use.emit(op, [x], {"axis": use.axes("axis", rank)[0], "keepdims": 0}, rank=rank - 1)

    return rule


ARRAYS = {
    row.name: row
    for row in (
        Row("matmul", _matmul, "a b", transa=False, transb=False),
        Row("batch_matmul", _matmul, "a b", "matmul", transa=False, transb=False),
        Row("tile", _tile, "x reps"),
        Row("broadcast_to", _broadcast_to, "x shape", "broadcast"),
        Row("pad", _pad, "x pad_width mode", constant_values=0),
        Row("argmax", _index("ArgMax"), "x", axis=None),
        Row("argmin", _index("ArgMin"), "x", axis=None),
    )
}
