"""Why something does not fit, as text: the chain, the numbers, the fork, the ways out."""

from __future__ import annotations

import re

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import dims
from ..said import FRAMEWORKS, KINDS, Said
from ..said.told import Told
from ..why import SIZES, Cause, Tried, Why, amount
from ..why.chain import Fork, Step
from .words import grid, hanging

#: Steps of a chain shown at most; the middle of a longer one is left out.
LONGEST = 14
#: Characters of a layer's name in a table.
LONGEST_NAME = 30


def print_why(console: Console, answer: Why) -> None:
    """The whole answer of ``shapecalc why`` with a model."""
    trace = answer.trace
    inputs = ", ".join(f"{v.name} {dims.show(v.tensor.shape)}" for v in trace.inputs)
    console.print(Text.assemble((answer.model, "bold"), f"  input {inputs}  {trace.dialect} rules"))
    if answer.text is not None:
        console.print()
        print_said(console, answer.said, answer.told, model=answer.typed, steps=answer.ok or not answer.repairs)
        if answer.tie is not None:
            about = f"{answer.tie.layer}: " if answer.tie.layer else ""
            if about or answer.tie.note:
                console.print(hanging(Text(f"in this model, {about}{answer.tie.note}".rstrip(": ")), 2))
    console.print()
    if answer.cause is None:
        _print_fits(console, answer)
    else:
        _print_cause(console, answer.cause)
        if answer.others:
            few = f"{len(answer.others)} more, which may follow from it" if len(answer.others) > 1 else "1 more"
            console.print(
                hanging(Text(f"{few}: shapecalc trace {answer.typed} {answer.asked} lists them", style="dim"), 2)
            )
        _print_repairs(console, answer)


def print_said(
    console: Console, said: Said | None, told: Told | None, *, model: str = "MODEL", steps: bool = True
) -> None:
    """A text and its meaning, with what to do next."""
    if said is None or told is None:
        console.print(hanging(Text("This text is not recognised.", style="bold red")))
        console.print(hanging(Text(f"Texts of {', '.join(FRAMEWORKS)} are, where they say:"), 2))
        for what in KINDS.values():
            console.print(hanging(Text(what), 4))
        console.print(hanging(Text("docs/errors-seen.md lists them with an example each."), 2))
        return
    where = f" in {said.layer}" if said.layer else ""
    console.print(hanging(Text(f"{said.framework} says: {KINDS[said.kind]}{where}", style="bold red")))
    rows = grid()
    for label, text in (("wanted", told.wanted), ("offered", told.given)):
        if text:
            rows.add_row(f"  {label:<8}", Text(text))
    for index, text in enumerate(told.causes):
        rows.add_row("  likely  " if index == 0 else "", Text(text))
    if steps:
        for index, text in enumerate(told.next_steps):
            rows.add_row("  try     " if index == 0 else "", Text(re.sub(r"\bMODEL\b", lambda _: model, text)))
    if said.more:
        rows.add_row("", Text(f"the same is said of {said.more} more", style="dim"))
    console.print(rows)


def _print_fits(console: Console, answer: Why) -> None:
    console.print(Text("Everything fits.", style="bold green"))
    if not answer.notes:
        console.print(hanging(Text("No pixel is lost: every window reaches the last row and column."), 2))
    for note in answer.notes:
        console.print(hanging(Text.assemble((f"{note.layer}: ", "yellow"), note.text), 2))


def _print_cause(console: Console, cause: Cause) -> None:
    console.print(hanging(Text(cause.problem.headline, style="bold red")))
    rows = grid()
    for label, text in (("wanted", cause.wanted), ("offered", cause.offered)):
        if text:
            rows.add_row(f"  {label:<8}", Text(text))
    console.print(rows)
    console.print()
    if cause.fork is not None:
        _print_fork(console, cause.fork)
    else:
        console.print(_table(cause.chain, cause.problem.layer))
    if cause.problem.code in SIZES:
        _print_uneven(console, cause)
    if cause.baked is not None:
        console.print(hanging(Text(str(cause.baked)), 2))


def _table(chain: list[Step], last: str, indent: int = 2) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", min_width=8)
    table.add_column(overflow="fold", min_width=8)
    table.add_column(overflow="fold", min_width=8)
    half = LONGEST // 2
    shown = chain if len(chain) <= LONGEST else [*chain[:half], None, *chain[-half:]]
    for step in shown:
        if step is None:
            table.add_row("  …", f"{len(chain) - 2 * half} layers", "")
            continue
        style = "red" if step.layer == last else "yellow" if step.uneven is not None else ""
        table.add_row(
            *(Text(cell) for cell in (" " * indent + _short(step.layer), step.text, _given(step))), style=style
        )
    return table


def _short(name: str) -> str:
    """The end of a long name: its last parts tell layers apart."""
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def _given(step: Step) -> str:
    return dims.show(step.output[1:] if step.output[:1] == (1,) and len(step.output) > 1 else step.output)


def _print_fork(console: Console, fork: Fork) -> None:
    console.print(hanging(Text(f"both branches come from {fork.at}, {dims.show(fork.size)}"), 2))
    for name, steps in zip(fork.names, fork.branches, strict=True):
        if steps:
            console.print(hanging(Text(f"to {name}:"), 2))
            console.print(_table(steps, "", indent=4))
        else:
            console.print(hanging(Text(f"to {name}: no layer changes the size"), 2))


def _print_uneven(console: Console, cause: Cause) -> None:
    """Where the first division is not whole; where the first pixel is lost, if that is further on."""
    uneven, lost = cause.first_uneven, cause.first_lost
    if uneven is None:
        console.print(hanging(Text("every division on the way is whole"), 2))
        return
    console.print(hanging(Text(f"first uneven division: {uneven.layer}, {amount(uneven)}"), 2))
    if lost is not None and lost.layer != uneven.layer:
        console.print(hanging(Text(f"first pixel lost: {lost.layer}, {amount(lost)}"), 2))


def _print_repairs(console: Console, answer: Why) -> None:
    console.print()
    if not answer.repairs:
        hint = answer.cause.problem.hint if answer.cause is not None else ""
        text = (
            f"try {hint}" if hint else "No way out was found: no input size near it fits, and no weightless edit does."
        )
        console.print(hanging(Text(text)))
        return
    console.print(Text("What would help, each tried", style="bold"))
    rows = Table.grid(padding=(0, 1))
    rows.add_column(min_width=4, no_wrap=True)
    rows.add_column()
    for number, tried in enumerate(answer.repairs, 1):
        rows.add_row(f"  {number}.", _tried(tried))
    console.print(rows)
    if answer.sizes:
        near = ", ".join(f"{row.low} and up" if row.high == answer.open else str(row) for row in answer.sizes)
        console.print(hanging(Text(f"square inputs that fit near it: {near}", style="dim"), 2))


def _tried(tried: Tried) -> Text:
    text = Text.assemble(tried.text, (f" ({tried.verdict})", "green" if tried.ran else "yellow"))
    if tried.command:
        text.append(f"\n{tried.command}", style="dim")
    return text
