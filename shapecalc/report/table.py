"""The trace as a table that reads well at 80 columns and says more at 140."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import dims
from ..trace import Layer, Trace
from .aside import left_out, shown
from .named import NARROW, Texts, texts_of

#: An expression of free dimensions longer than this is not shown in a cell; JSON has it.
LONGEST = 16


#: What stands for it.
HIDDEN = "…"

#: As SI has them, largest first.
UNITS = tuple((unit, 1000**power) for power, unit in reversed([*enumerate("kMGTPEZY", 1)]))


def grouped(value: Any) -> str:
    """``62,378,344``; empty for none of it, ``?`` where it is not known."""
    if value is None:
        return "?"
    if isinstance(value, int):
        return f"{value:,}" if value else ""
    text = re.sub(r"\d{4,}", lambda number: f"{int(number[0]):,}", str(value))
    return text if len(str(value)) <= LONGEST else HIDDEN


def short(value: Any) -> str:
    """``134.0M``: three digits or four, for narrow tables; ``134.0M*N`` of a batch that is left open."""
    if value is not None and not isinstance(value, int):
        text = re.sub(r"\d{4,}", lambda number: short(int(number[0])), str(value))
        return text if len(text) <= LONGEST else HIDDEN
    if not isinstance(value, int) or value < 100_000:
        return grouped(value)
    unit, size = next(row for row in UNITS if value >= row[1])
    return f"{value / size:.1f}{unit}"


def tight(formula: str) -> str:
    """A formula without padding that is zero, with blanks only around signs between numbers: there a line may break."""
    parts = re.split(r"( [=≠→×] )", re.sub(r" \+ 2·0(?= −)", "", formula))
    return "".join(part if part[0] == part[-1] == " " else part.replace(" ", "") for part in parts if part)


def kernel_text(layer: Layer) -> str:
    """Kernel and stride, ``11×11/4``."""
    kernel = layer.call.attrs.get("kernel_shape")
    if not kernel:
        return ""
    strides = layer.call.attrs.get("strides") or (1,) * len(kernel)
    stride = dims.show(tuple(dict.fromkeys(strides)))
    return f"{dims.show(tuple(kernel))}/{stride}"


def field_text(value: Any) -> str:
    """A receptive field or jump; ``11×15`` where the axes differ."""
    if value is None:
        return ""
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


#: A name up to so many characters is not shortened.
SHORT_NAME = 16


def folded(names: Iterable[str]) -> list[str]:
    """``…/attn/MatMul`` for what lies in the folder of the last name that stands in full."""
    result: list[str] = []
    folder = ""
    for name in names:
        if folder and name.startswith(folder) and len(name) > SHORT_NAME:
            result.append("…" + name[len(folder) - 1 :])
        else:
            result.append(name)
            folder = name[: name.rfind("/") + 1]
    return result


class Column(NamedTuple):
    """A column: heading, cell text, alignment, and whether only wide tables have it."""

    heading: str
    cell: Callable[[Layer], str]
    right: bool = False
    wide: bool = False


def _columns(layers: list[Layer], texts: Texts, wide: bool, compact: bool) -> list[Column]:
    count = grouped if wide else short
    names = dict(zip(layers, folded(layer.name for layer in layers), strict=True)) if compact else {}
    formulas = texts.formulas
    columns = [
        Column("Layer", lambda layer: names.get(layer, layer.name)),
        Column("Type", lambda layer: layer.source_op, wide=True),
        Column("Kernel", kernel_text, wide=True),
        Column("Formula", lambda layer: tight(formulas[layer]) if compact else formulas[layer]),
        Column("Output", texts.shapes.__getitem__),
        Column("Params", lambda layer: count(layer.params), right=True),
        Column("MACs", lambda layer: count(layer.macs), right=True),
        Column("RF", lambda layer: field_text(layer.receptive_field), right=True),
        Column("Jump", lambda layer: field_text(layer.jump), right=True),
    ]
    return [column for column in columns if wide or not column.wide]


#: Columns that fold, down to so many characters; the others hold numbers, which are not torn.
FOLDING, FOLDED = ("Layer", "Type", "Formula"), 8
#: Columns that a narrow terminal does without, in this order; JSON has them.
LEAST_ASKED = ("Jump", "RF", "MACs", "Params")


def _least(column: Column, widest: int) -> int:
    return min(widest, FOLDED) if column.heading in FOLDING else widest


class Cells(NamedTuple):
    """The table as texts: columns, the layers that are its rows, their cells; ``compact`` where it had to be.

    ``names``: those that stand for long sizes in the cells, with their definitions.
    """

    columns: list[Column]
    layers: list[Layer]
    rows: list[list[str]]
    compact: bool
    names: list[tuple[str, str]]

    @property
    def widths(self) -> list[int]:
        """Characters of each column, heading included."""
        return [max([len(c.heading), *(len(row[i]) for row in self.rows)]) for i, c in enumerate(self.columns)]

    @property
    def least(self) -> int:
        """Characters of the whole table with names and formulas folded as far as can be, and no number torn."""
        widths = (_least(column, width) for column, width in zip(self.columns, self.widths, strict=True))
        return sum(widths) + (self.padding + 1) * (len(self.columns) - 1)

    @property
    def padding(self) -> int:
        """Blanks behind each cell; between two columns stands one more."""
        return 1 if self.compact else 2

    @property
    def width(self) -> int:
        """Of the whole table."""
        return sum(self.widths) + (self.padding + 1) * (len(self.columns) - 1)


def print_trace_table(trace: Trace, console: Console, *, every: bool = False) -> None:
    """The table for this console; ``every``: with layers that the input does not go through."""
    layers = trace.layers if every else shown(trace)
    print_cells(trace_cells(trace, console.width, layers), console)
    print_left_out(console, left_out(trace, layers))


def print_left_out(console: Console, sentence: str) -> None:
    """What a table does not list."""
    if sentence:
        console.print()
        console.print(Text(sentence, style="dim"))


def print_cells(cells: Cells, console: Console) -> None:
    """A table: in a pipe, where nothing folds, as plain lines, which rich takes 20 ms longer for."""
    if (
        console.is_terminal
        or cells.width > console.width
        or not all(_plain(cell) for row in cells.rows for cell in row)
    ):
        console.print(filled(cells))
    else:
        console.out(plain(cells), highlight=False)
    print_names(console, cells.names)


def print_names(console: Console, names: list[tuple[str, str]]) -> None:
    """What the names in a table stand for."""
    if not names:
        return
    longest = max(len(name) for name, _ in names)
    rows = Table.grid(padding=(0, 1))
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for number, (name, text) in enumerate(names):
        rows.add_row("" if number else "where", f"{name:<{longest}} =", Text(text))
    console.print()
    console.print(rows)


def _plain(cell: str) -> bool:
    return cell.isprintable() and cell_len(cell) == len(cell)


def has_batch(trace: Trace) -> bool:
    """Whether the batch belongs into the shapes shown: it is not one image."""
    return any(v.shape and v.shape[0] != 1 for v in trace.inputs)


def trace_cells(trace: Trace, width: int, layers: list[Layer] | None = None) -> Cells:
    """Wide with exact counts where it fits, else tighter step by step; by default layers the input goes through."""
    layers = shown(trace) if layers is None else layers
    texts = texts_of(layers, has_batch(trace))
    for wide, compact in ((True, False), (False, False), (False, True)):
        cells = _cells(layers, texts, wide, compact)
        if sum(cells.widths) + 2 * (len(cells.columns) - 1) <= width:
            return cells
    if cells.least > width:
        texts = texts_of(layers, has_batch(trace), longest=NARROW)
        cells = _cells(layers, texts, wide=False, compact=True)
    left = (heading for heading in LEAST_ASKED if cells.least > width)
    for heading in left:
        kept = [i for i, column in enumerate(cells.columns) if column.heading != heading]
        rows = [[row[i] for i in kept] for row in cells.rows]
        cells = cells._replace(columns=[cells.columns[i] for i in kept], rows=rows)
    return cells


def _cells(layers: list[Layer], texts: Texts, wide: bool, compact: bool) -> Cells:
    columns = _columns(layers, texts, wide, compact)
    return Cells(
        columns, layers, [[column.cell(layer) for column in columns] for layer in layers], compact, texts.names
    )


def plain(cells: Cells) -> str:
    """Lines of text, as rich makes them where no cell is folded."""
    widths = cells.widths
    justify = [str.rjust if column.right else str.ljust for column in cells.columns]

    def line(row: list[str]) -> str:
        return (
            (" " * (cells.padding + 1))
            .join(put(cell, w) for put, cell, w in zip(justify, row, widths, strict=True))
            .rstrip()
        )

    rule = "─" * cells.width
    return "\n".join([line([column.heading for column in cells.columns]), rule, *map(line, cells.rows)])


def filled(cells: Cells) -> Table:
    """The table for people: styles, and cells that fold where it is too wide."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, cells.padding, 0, 0))
    for column, widest in zip(cells.columns, cells.widths, strict=True):
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=column.right,
            min_width=_least(column, widest),
            header_style="bold",
        )
    for layer, row in zip(cells.layers, cells.rows, strict=True):
        style = "red" if layer.problems else "" if layer.formula or layer.params else "dim"
        table.add_row(*(Text(cell) for cell in row), style=style)
    return table
