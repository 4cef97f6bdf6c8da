"""A net under several frameworks' rules, side by side."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import dims
from ..compare import Comparison, Row
from ..trace import Layer
from .aside import left_out, shown
from .table import print_left_out
from .words import grid, hanging

#: Lines of what changes; further layers of the same kind are counted.
SHOWN = 8


def print_comparison(console: Console, found: Comparison, *, every: bool = False) -> None:
    """The table, what changes, which sizes fit where; ``every``: with layers that the input does not go through."""
    first = next(iter(found.traces.values()))
    inputs = ", ".join(f"{v.name} {dims.show(v.tensor.shape)}" for v in first.inputs)
    console.print(Text.assemble((found.model.name, "bold"), f"  input {inputs}  ≠ rows differ, ! does not fit"))
    console.print()
    layers = first.layers if every else shown(first)
    console.print(_table(found, layers))
    print_left_out(console, left_out(first, layers))
    console.print()
    _print_changes(console, found)
    _print_verdicts(console, found)
    _print_sizes(console, found)


def _table(found: Comparison, layers: list[Layer]) -> Table:
    listed = set(layers)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", width=1, no_wrap=True)
    for heading in ("Layer", *found.dialects):
        table.add_column(heading, overflow="fold", header_style="bold")
    for row in found.rows:
        if row.layers[0] not in listed and not row.differs:
            continue
        cells = [_cell(row, index) for index in range(len(found.dialects))]
        mark = "≠" if row.differs else ""
        table.add_row(mark, row.name, *map(Text, cells), style="yellow" if row.differs else "dim")
    return table


def _cell(row: Row, index: int) -> str:
    """The shape without a batch of one, with a sign where the dialect objects."""
    layer = row.layers[index]
    shape = layer.tensors[0].shape if layer.tensors else ()
    text = dims.show(shape[1:] if isinstance(shape, tuple) and len(shape) > 1 and shape[0] == 1 else shape)
    return f"{text} !" if layer.problems else text


def _print_changes(console: Console, found: Comparison) -> None:
    changes = found.changes
    if not changes:
        console.print(Text("Every layer gives the same under each of these rules.", style="bold green"))
        return
    console.print(Text("Where they part", style="bold"))
    for change in changes[:SHOWN]:
        console.print(hanging(Text(f"{change['layer']}:", style="yellow"), 2))
        rows = grid()
        for way in change["ways"]:
            rows.add_row(f"    {', '.join(way['dialects'])}", Text(_way(way)))
        console.print(rows)
    if len(changes) > SHOWN:
        console.print(hanging(Text(f"and at {len(changes) - SHOWN} more layers", style="dim"), 2))


def _way(way: dict[str, Any]) -> str:
    text = str(way["formula"])
    if any(begin != end for begin, end in way["padding"]):
        text += f", padding {' and '.join(f'{begin}+{end}' for begin, end in way['padding'])}"
    return f"{text}: refused, {way['objection']}" if way["objection"] else text


def _print_verdicts(console: Console, found: Comparison) -> None:
    console.print()
    rows = grid()
    for dialect, trace in found.traces.items():
        verdict = Text("fits", style="green") if trace.ok else Text(trace.problems[0].message, style="red")
        rows.add_row(f"  {dialect:<11}", verdict)
    console.print(rows)


def _print_sizes(console: Console, found: Comparison) -> None:
    common = found.common
    if common is None:
        return
    console.print()
    console.print(Text("Square inputs that fit", style="bold"))
    groups: dict[str, list[str]] = {}
    for dialect, sizes in found.sizes.items():
        groups.setdefault(_sizes(sizes), []).append(dialect)
    rows = grid()
    for text, dialects in groups.items():
        rows.add_row(f"  {', '.join(dialects)}", Text(text))
    if len(groups) > 1:
        rows.add_row("  all of them", Text(_sizes(common), style="bold"))
    console.print(rows)


#: Intervals of sizes shown of one dialect.
FIRST = 4


def _sizes(sizes: Any) -> str:
    intervals = list(sizes.intervals)
    shown = ", ".join(map(str, intervals[:FIRST])) or "none"
    return f"{shown}, and {len(intervals) - FIRST} more ranges" if len(intervals) > FIRST else shown
