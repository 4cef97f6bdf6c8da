"""What a net costs, as a table."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import dims
from ..footprint import Cost
from .aside import left_out, shown
from .named import Texts, texts_of
from .table import folded, grouped, has_batch, print_left_out, print_names, short
from .words import grid

#: Layers named whose size is not known.
MOST_NAMES = 4


def size_text(count: int | None) -> str:
    """``9.6 MB``, in units of 1,000; exact below 10,000 bytes."""
    if count is None:
        return "?"
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size and count >= 10_000:
            return f"{count / size:.1f} {unit}"
    return f"{count:,} B"


def print_cost(console: Console, name: str, cost: Cost, *, every: bool = False) -> None:
    """The whole answer of ``shapecalc cost``; ``every``: with layers that the input does not go through."""
    inputs = ", ".join(f"{v.name} {dims.show(v.tensor.shape)}" for v in cost.trace.inputs)
    console.print(Text.assemble((name, "bold"), f"  input {inputs}  {cost.precision or 'element types of the file'}"))
    console.print()
    layers = cost.trace.layers if every else shown(cost.trace)
    texts = texts_of(layers, has_batch(cost.trace), formulas=False)
    console.print(_table(cost, texts))
    print_names(console, texts.names)
    print_left_out(console, left_out(cost.trace, layers))
    console.print()
    rows = grid()
    for label, text in _totals(cost):
        rows.add_row(Text(label, style="bold"), Text(text))
    console.print(rows)


def _table(cost: Cost, texts: Texts) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Layer", overflow="fold", header_style="bold")
    for heading in ("Output", "Params", "MACs", "Weights", "Written", "Held"):
        table.add_column(heading, justify="right", no_wrap=True, header_style="bold")
    listed = [row for row in cost.rows if row.layer in texts.shapes]
    for name, row in zip(folded(row.layer.name for row in listed), listed, strict=True):
        layer = row.layer
        sizes = [size_text(size) if size != 0 else "" for size in (row.weights, row.written, row.held)]
        cells = [name, texts.shapes[layer], short(layer.params), short(layer.macs), *sizes]
        style = "bold" if layer.name == cost.peak_layer and cost.peak is not None else "" if row.weights else "dim"
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def _some(names: tuple[str, ...]) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _totals(cost: Cost) -> list[tuple[str, str]]:
    least = "at least " if cost.unknown else ""
    peak = f"{least}{size_text(cost.peak)} of activations held at once, at {cost.peak_layer}, in the order of the file"
    rows = [
        ("parameters", f"{grouped(cost.trace.params) or 0}, {size_text(cost.weights)} of weights"),
        ("MACs", f"{grouped(cost.trace.macs) or 0}"),
        ("activations", f"{least}{size_text(cost.activations)} written by all layers together, which training keeps"),
        ("peak", peak),
    ]
    if cost.peak_in_place < cost.peak:
        place = f"{least}{size_text(cost.peak_in_place)}, at {cost.peak_in_place_layer}"
        rows.append(("in place", f"{place}, where layers that work place by place write over what nobody else reads"))
    if cost.unknown:
        rows.append(("not known", f"the size of what {_some(cost.unknown)} writes"))
    rows += [("misfit", problem.message) for problem in cost.trace.problems[:3]]
    return rows
