"""A plan as a diff: layers that came, went and changed, then sizes and costs before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..surgery.diff import ADDED, CHANGED, REMOVED, REPLACED, Diff, LayerChange, State
from .table import field_text, grouped

#: What is done with a layer -> its sign and colour.
SIGNS = {ADDED: ("+", "green"), REMOVED: ("-", "red"), REPLACED: ("~", "yellow"), CHANGED: ("~", "yellow")}
#: Layers told one by one; more of a kind that follow each other are counted.
MOST = 4


def print_diff(console: Console, found: Diff) -> None:
    """The layers that differ, and a table of before and after."""
    counts = {kind: sum(row.kind == kind for row in found.layers) for kind in SIGNS}
    words = [f"{count} {kind}" for kind, count in counts.items() if count]
    console.print()
    console.print(Text(f"Layers: {', '.join([*words, f'{found.same} as they were'])}", style="bold"))
    rows = Table.grid(padding=(0, 1))
    for width in (1, None, None):
        rows.add_column(min_width=width, overflow="fold")
    for row in _shown(found.layers):
        sign, style = SIGNS[row.kind]
        rows.add_row(Text(f"  {sign}", style=style), Text(row.name), Text(f"{row.op} {row.what}".strip()))
    console.print(rows)
    console.print()
    console.print(_states(found.before, found.after))


def _shown(layers: tuple[LayerChange, ...]) -> Iterator[LayerChange]:
    """Of many alike the first ones, and how many more there are."""
    for kind, group in groupby(sorted(layers, key=lambda row: list(SIGNS).index(row.kind)), key=lambda row: row.kind):
        alike = list(group)
        yield from alike[:MOST]
        if len(alike) > MOST:
            yield LayerChange(kind, f"and {len(alike) - MOST} more", "", "", "")


def _states(before: State | None, after: State) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in ("Before", "After") if before is not None else ("After",):
        table.add_column(heading, overflow="fold")
    sides = [dict(_cells(state)) for state in (before, after) if state is not None]
    for label in sides[-1]:
        cells = [side.get(label, "") for side in sides]
        table.add_row(Text(f"  {label}"), *map(Text, cells))
    return table


def _cells(state: State) -> Iterator[tuple[str, str]]:
    yield "input", _values(state.inputs)
    yield "output", _values(state.outputs)
    yield "fits", state.sizes if state.sizes is not None else "?"
    yield "parameters", grouped(state.params) or "0"
    yield "MACs", grouped(state.macs) or "0"
    nothing = "?" if state.unseen else "none"
    yield "receptive field", field_text(state.receptive_field) or nothing
    yield "jump", field_text(state.jump) or nothing


def _values(values: Mapping[str, Any]) -> str:
    """Shapes of values, a name where there are several; of many the first."""
    if len(values) == 1:
        return str(*values.values())
    shown = [f"{name} {shape}" for name, shape in list(values.items())[:MOST]]
    return ", ".join(shown) + (f" and {len(values) - MOST} more" if len(values) > MOST else "")
