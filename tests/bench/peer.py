"""A typer and rich program that prints a table of the size `shapecalc trace alexnet` prints, and knows nothing."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

app = typer.Typer(add_completion=False, rich_markup_mode=None)

HEADINGS = ("Layer", "Type", "Kernel", "Formula", "Output", "Params", "MACs", "RF", "Jump")
ROW = (
    "conv1",
    "Convolution2D",
    "11x11/4",
    "(227 + 2*0 - 11)/4 + 1 = 55",
    "96x55x55",
    "34,944",
    "105,415,200",
    "11",
    "4",
)


@app.command()
def show(
    model: Annotated[str, typer.Argument()] = "alexnet",
    size: Annotated[int, typer.Option("--input")] = 256,
    rows: int = 22,
) -> None:
    """Prints the table."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for heading in HEADINGS:
        table.add_column(heading)
    for _ in range(rows):
        table.add_row(*ROW)
    Console(width=160).print(table)
    print(model, size)


if __name__ == "__main__":
    app()
