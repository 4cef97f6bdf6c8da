"""Pad: elements added at the ends of axes, or taken away where the amounts are negative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from .. import dims
from ..dims import Dim, Unknown
from ..graph import Param
from ..window import Window
from .base import Call, Detail, Lowered, Need, Operator, Shapes, need_rank, register
from .shaping import integers


def _given(call: Call) -> tuple[Dim, ...] | None:
    """All begins, then all ends: an attribute before opset 11 (``paddings`` at first), an input since."""
    return integers(call, "pads", 1) or integers(call, "paddings", 1)


def amounts(call: Call) -> list[tuple[Dim, Dim]] | None:
    """(begin, end) of each axis; None where they are not known, or are not for the axes there are."""
    given = _given(call)
    if given is None or len(given) != 2 * len(call.contents(3) or call.shape()):
        return None
    found: list[tuple[Dim, Dim]] = [(0, 0)] * len(call.shape())
    axes = call.contents(3) or tuple(range(len(found)))
    half = len(given) // 2
    for i, axis in enumerate(axes):
        found[call.axis(int(axis))] = (given[i], given[half + i])
    return found


def _shapes(call: Call) -> Shapes:
    padding = amounts(call)
    if padding is None:
        return [(Unknown(f"{call.name}: its padding is computed at run time"),) * len(call.shape())]
    return [tuple(n + begin + end for n, (begin, end) in zip(call.shape(), padding, strict=True))]


def _needs(call: Call) -> Iterator[Need]:
    given = _given(call)
    axes = call.contents(3)
    if given is not None and axes:
        words = Detail(
            f"{call.name} has {len(given)} amounts for {len(axes)} axes", str(2 * len(axes)), str(len(given))
        )
        yield Need(len(given) == 2 * len(axes), "E108", lambda: words, blocks=True)
    if given is not None and not call.contents(3):
        yield need_rank(call, len(given) // 2)
    for axis, (begin, end) in enumerate((amounts(call) or ()) if call.rank() is not None else ()):
        if any(isinstance(amount, int) and amount < 0 for amount in (begin, end)):
            size = call.shape()[axis]
            yield Need(dims.at_least(size + begin + end, 1), "E103", partial(_emptied, call, axis, size, -begin, -end))
    if call.dialect.runs:
        yield from _runtime_needs(call)


def _runtime_needs(call: Call) -> Iterator[Need]:
    """What onnxruntime asks of a map that is continued by its own elements (padbase.h, pad.cc; measured)."""
    mode = str(call.attr("mode", "constant"))
    if mode not in ("reflect", "edge", "wrap") or call.rank() is None:
        return
    for axis, (begin, end) in enumerate(amounts(call) or ()):
        size = call.shape()[axis]
        cut = sum(amount for amount in (begin, end) if isinstance(amount, int) and amount < 0)
        amount = dims.maximum(begin, end)
        if not (isinstance(amount, int) and amount <= 0):
            verdict = dims.at_least(size + cut - 1, amount if mode == "reflect" else 0)
            yield Need(verdict, "E103", partial(_too_wide, call, mode, axis, size + cut, amount))


def _too_wide(call: Call, mode: str, axis: int, size: Dim, amount: Dim) -> Detail:
    message = f"{call.name} pads {amount} by {mode} along axis {axis}, where {call.giver()} gives {size}"
    return Detail(message, f"{amount + 1} or more" if mode == "reflect" else "1 or more", str(size))


def _emptied(call: Call, axis: int, size: Dim, begin: Dim, end: Dim) -> Detail:
    return Detail(
        f"{call.name} cuts {begin} and {end} from the {size} of axis {axis}", f"more than {begin + end}", str(size)
    )


def _windows(call: Call) -> list[Window]:
    """A window of one element on the padded map; none where batch or channels are padded as well, or no map is."""
    padding = amounts(call)
    shape = call.shape()
    if padding is None or len(shape) < 3 or not all(isinstance(n, int) for pair in padding for n in pair):
        return []
    if padding[0] != (0, 0) or padding[call.channel_axis] != (0, 0):
        return []
    inside = [pair for axis, pair in enumerate(padding) if axis not in (0, call.channel_axis)]
    return [Window(1, 1, begin, end) for begin, end in inside]


def _formula(call: Call, outputs: Shapes) -> str:
    """``224 + 3 + 3 = 230`` along each padded axis, once where they agree."""
    texts = [
        f"{n} {_signed(begin)} {_signed(end)} = {n + begin + end}"
        for n, (begin, end) in zip(call.shape(), amounts(call) or (), strict=False)
        if (begin, end) != (0, 0)
    ]
    return " × ".join(dict.fromkeys(texts))


def _signed(amount: Dim) -> str:
    return f"− {-amount}" if isinstance(amount, int) and amount < 0 else f"+ {amount}"


def _moved(call: Call, order: Sequence[int]) -> dict[str, Any]:
    pads = call.attrs["pads"]
    half = len(pads) // 2
    return {**call.attrs, "pads": tuple(pads[axis + end] for end in (0, half) for axis in order)}


def _lower(call: Call, outputs: Shapes) -> Lowered:
    """Plain ONNX takes the amounts as an input (Pad-11); a definition has them as an attribute."""
    pads = call.attrs.get("pads")
    if pads is None:
        return Lowered([call.node])
    name = f"{call.node.name}/pads"
    attrs = {"mode": call.attrs["mode"]} if "mode" in call.attrs else {}
    node = call.node.replace(inputs=(call.node.inputs[0], name), attrs=attrs)
    return Lowered([node], [Param(name, (len(pads),), "int64", contents=tuple(pads), trained=False)])


register(
    Operator(
        "Pad",
        _shapes,
        needs=_needs,
        windows=_windows,
        formula=_formula,
        lower=_lower,
        moved=_moved,
        constants=(1, 2, 3),
        source="ONNX Pad-21",
    )
)
