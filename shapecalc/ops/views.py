"""A row that is another operator in other clothes: quantized and fused forms carry scales and extras between inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..dims import Dim
from . import find
from .base import AnyWindow, Call, Need, Operator, Shapes

#: The inputs of a view, or a rule that picks them from how many there are.
Positions = Sequence[int] | Callable[[int], Sequence[int]]


def view(call: Call, op: str, positions: Positions, **attrs: Any) -> Call:
    """The call as ``op`` would meet the inputs at these positions."""
    chosen = positions(len(call.inputs)) if callable(positions) else positions
    names = [call.node.inputs[i] if i < len(call.inputs) else "" for i in chosen]
    inputs = [call.inputs[i] if i < len(call.inputs) else None for i in chosen]
    node = call.node.replace(op=op, domain="", inputs=names)
    return Call(node, inputs, call.scope, {**call.attrs, **attrs} if attrs else call.attrs)


def like(
    name: str,
    op: str,
    positions: Positions,
    *,
    source: str,
    dtype: Callable[[Call], str | None] | None = None,
    weights: Callable[[Call], dict[int, Any]] | None = None,
    attrs: Callable[[Call], dict[str, Any]] | None = None,
) -> Operator:
    """A row with the rules of ``op`` on some of its own inputs."""

    def seen(call: Call) -> tuple[Operator, Call]:
        row = find(op)
        if row is None:
            raise ValueError(f"no row {op}")
        return row, view(call, op, positions, **(attrs(call) if attrs is not None else {}))

    def needs(call: Call) -> Iterator[Need]:
        row, other = seen(call)
        return row.needs(other) if row.needs is not None else iter(())

    def windows(call: Call) -> Sequence[AnyWindow]:
        row, other = seen(call)
        return row.windows(other) if row.windows is not None else []

    def shapes(call: Call) -> Shapes:
        row, other = seen(call)
        return row.shapes(other)

    def macs(call: Call, outputs: Shapes) -> Dim:
        row, other = seen(call)
        return row.macs(other, outputs) if row.macs is not None else 0

    def formula(call: Call, outputs: Shapes) -> str:
        row, other = seen(call)
        return row.formula(other, outputs) if row.formula is not None else ""

    slides = "Conv" in op or "Pool" in op
    return Operator(
        name,
        shapes,
        needs=needs,
        windows=windows if slides else None,
        macs=macs,
        formula=formula,
        dtype=dtype,
        weights=weights,
        source=source,
    )
