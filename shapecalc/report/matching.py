"""Weights beside a definition: a table of parameters, what it comes to, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .. import dims
from ..match import Match, Row

STYLES = {"same": "", "ignored": "dim", "reshape-only": "yellow"}

#: Rows of what the file holds besides that are shown; JSON has them all.
SHOWN = 12


def print_match(console: Console, found: Match, about: list[Row] | None) -> None:
    """The whole answer of ``shapecalc match``; ``about`` are the rows that an error message was recognised in."""
    console.print(Text.assemble((found.definition, "bold"), "  with the weights of ", (found.file.name, "bold")))
    console.print()
    ignored = found.of("ignored")
    shown = [row for row in found.rows if row.verdict != "ignored"] + ignored[:SHOWN]
    console.print(_table(shown))
    if len(ignored) > SHOWN:
        console.print(Text(f"… and {len(ignored) - SHOWN} more that are ignored", style="dim"))
    console.print()
    console.print(Text(_summary(found), style="bold" if found.ok else "bold red"))
    for verdict, hint in found.hints().items():
        console.print(Padding(Text.assemble((f"{verdict}: ", "yellow"), hint), (0, 0, 0, 2), expand=False))
    if about is not None:
        _print_about(console, about)


def _summary(found: Match) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in found.counts.items())
    return f"{'everything loads' if found.ok else 'not everything loads'}: {counts or 'no weights are wanted'}"


def _table(rows: list[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("Layer", "Key in the file", "Wanted", "Given", "Verdict"):
        table.add_column(heading, overflow="fold")
    for row, cells in zip(rows, _cells(rows), strict=True):
        table.add_row(*map(Text, cells), style=STYLES.get(row.verdict, "red"))
    return table


def _cells(rows: list[Row]) -> Iterator[list[str]]:
    """A layer's name stands in the first of its rows."""
    before = None
    for row in rows:
        shapes = ["" if shape is None else dims.show(shape) for shape in (row.wanted, row.given)]
        yield [row.layer if row.layer != before else "", row.key, *shapes, row.verdict]
        before = row.layer


def _print_about(console: Console, about: list[Row]) -> None:
    console.print()
    if not about:
        console.print(Text("the message is none that Caffe or Chainer prints about the weights of this net"))
    for row in about:
        shapes = [dims.show(shape) if shape is not None else "nothing" for shape in (row.wanted, row.given)]
        where = f" ({row.location})" if row.location else ""
        text = f"the message is about {row.key}{where}: {shapes[0]} is wanted, {shapes[1]} is given: {row.verdict}"
        console.print(Padding(Text(text), (0, 0, 0, 0), expand=False))
