"""The repairs there are, with what each is chosen by; and where a plan was saved."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..surgery.criteria import Criteria
from .table import grouped, short
from .words import hanging

if TYPE_CHECKING:
    from ..surgery.repairs import Repair
    from ..verify.plans import Plan


def print_plans(console: Console, plan: Plan) -> None:
    """A row for each repair, best first; the one that would be carried out is marked."""
    if not plan.repairs:
        console.print(hanging(Text(f"{plan.model.name} takes this without a repair: there is one plan, and no other")))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    narrow = console.width < WIDE
    for heading in ("Plan", "Repair", *(() if narrow else ("What",)), "Weights", "Unchanged", "Grid", "MACs"):
        right = heading in ("Weights", "Unchanged", "MACs")
        table.add_column(heading, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for number, (repair, criteria) in enumerate(zip(plan.repairs, plan.criteria(), strict=True), 1):
        mark = "*" if plan.chosen(repair) and not repair.named else " "
        what = [] if narrow else [repair.describe()]
        cells = [f"{mark} {number}", repair.name, *what, *_cells(criteria)]
        table.add_row(*map(Text, cells), style="bold" if mark == "*" else "")
    console.print(table)
    if narrow:
        console.print()
        for number, repair in enumerate(plan.repairs, 1):
            console.print(hanging(Text(f"{number}. {repair.describe()}"), 2))
    console.print()
    console.print(hanging(Text(LEGEND)))
    others = [number for number, repair in enumerate(plan.repairs, 1) if not plan.chosen(repair)]
    console.print(hanging(Text(_how(plan.repairs, others))))


#: Columns that a row with its edits takes; below, they stand under the table.
WIDE = 120
LEGEND = (
    "Best first. Weights: trained numbers kept as they are. Unchanged: layers that compute what they did before. "
    "Grid: where the receptive field of a trained layer, or its step, becomes another."
)


def _cells(row: Criteria) -> list[str]:
    grid = f"from {row.grid}" if row.grid else "kept"
    return [_share(row), f"{row.unchanged} of {row.layers}", grid, short(row.macs)]


def _share(row: Criteria) -> str:
    """``all``, or how many of a hundred; never a rounded 100%."""
    if row.kept == row.trained:
        return "all"
    if not isinstance(row.kept, int) or not isinstance(row.trained, int):
        return f"{grouped(row.kept)} of {grouped(row.trained)}"
    return f"{int(1000 * row.kept / row.trained) / 10}%"


def _how(repairs: list[Repair], others: list[int]) -> str:
    if repairs[0].named:
        return f"None is carried out by itself: --repair {repairs[0].name} names it."
    return f"--plan {others[0]} takes another." if others else f"There is no other than {repairs[0].name}."


def print_saved(console: Console, path: Path, plan: Plan) -> None:
    """Where the plan lies and what does it again."""
    words = f"; shapecalc replay {quote(str(path))} {plan.model.typed} does it again"
    console.print(hanging(Text.assemble("Saved the plan as ", (str(path), "bold"), words)))
