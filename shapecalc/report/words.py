"""Everything printed around the table: totals, notes, problems with their way out, plans, proofs, the zoo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .. import dims
from ..errors import ShapecalcError
from ..explain import count, last_map, misaligned, notes
from ..surgery.edits import listed
from ..trace import Problem, Trace
from .compared import against, difference, seen
from .table import HIDDEN, field_text, grouped, print_trace_table

if TYPE_CHECKING:
    from ..definition import Definition
    from ..model import Advice, Model
    from ..surgery.training import Training
    from ..verify.beside import Beside
    from ..verify.copied import Copied, Lines
    from ..verify.gate import Row
    from ..verify.plans import Plan
    from ..verify.proof import NumberCheck, Report

#: Repairs shown under a problem.
SHOWN = 3
#: Edits of a plan told one by one; of more, the first of each kind.
MOST_EDITS = 12


def print_trace(console: Console, model: Model, trace: Trace, advice: Advice | None, *, every: bool = False) -> None:
    """The whole answer of ``shapecalc trace``; ``every``: with layers that the input does not go through."""
    inputs = ", ".join(f"{v.name} {dims.show(v.tensor.shape)}" for v in trace.inputs)
    console.print(Text.assemble((model.name, "bold"), f"  input {inputs}  {trace.dialect} rules"))
    console.print()
    print_trace_table(trace, console, every=every)
    console.print()
    print_totals(console, trace)
    _print_notes(console, trace)
    for problem, others in alike(trace.problems):
        console.print()
        _print_problem(console, problem, others)
    if advice is not None and trace.problems:
        _print_advice(console, model, trace, advice)


def print_totals(console: Console, trace: Trace) -> None:
    """Parameters, MACs, receptive field and jump of the whole net."""
    macs = grouped(trace.macs) or "0"
    counted = "MACs as the input's size makes them (JSON has the formula)" if macs == HIDDEN else f"{macs} MACs"
    parts = [f"{grouped(trace.params) or 0} parameters, {counted}"]
    last = last_map(trace)
    if last is not None:
        field, jump = field_text(last.receptive_field), field_text(last.jump)
        same = f"every place of {last.name} sees the same {field} pixels"  # behind a squeeze and excitation, say
        parts.append(same if last.jump == 0 else f"receptive field {field}, jump {jump} at {last.name}")
    joined = "; ".join(parts)
    console.print(Text(joined if len(joined) <= console.width else "\n".join(parts), style="bold"))


def _print_notes(console: Console, trace: Trace) -> None:
    for note in [*notes(trace), *misaligned(trace)]:
        console.print(hanging(Text.assemble((f"{note.layer}: ", "yellow"), note.text)))


def hanging(text: Text, indent: int = 0) -> Padding:
    """Text that breaks at the console's width, indented."""
    return Padding(text, (0, 0, 0, indent), expand=False)


def alike(problems: Sequence[Problem]) -> list[tuple[Problem, list[Problem]]]:
    """Each kind of problem once, in order, with those that read the same but for names and numbers."""
    found: dict[str, tuple[Problem, list[Problem]]] = {}
    for problem in problems:
        first, others = found.setdefault(_kind(problem), (problem, []))
        if problem is not first:
            others.append(problem)
    return list(found.values())


def _kind(problem: Problem) -> str:
    """What a problem says, without the names of layers and without numbers."""
    cause = problem.cause
    names = {problem.layer, *problem.also}
    if cause is not None:
        names |= {cause.constant, *cause.chain, *re.findall(r" of (\S+), ", cause.numbers)}
    text = f"{problem.code} {problem.message}\n{cause or ''}"
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = text.replace(name, "·")
    return re.sub(r"\d+(\*[A-Za-z]\w*)?", "#", text)


def _print_problem(console: Console, problem: Problem, others: Sequence[Problem] = ()) -> None:
    console.print(Text(problem.headline, style="bold red"))
    rows = grid()
    because = str(problem.cause) if problem.cause is not None else ""
    named = (("expected", problem.expected), ("actual", problem.actual), ("because", because), ("try", problem.hint))
    for label, text in named:
        if text:
            rows.add_row(f"  {label:<8}", Text(text))
    if others:
        names = ", ".join(other.layer for other in others[:SHOWN])
        many = f"the same in {len(others)} more layer{'s' if len(others) > 1 else ''}"
        rows.add_row("", Text(f"{many}: {names}{', …' if len(others) > SHOWN else ''}", style="dim"))
    console.print(rows)


def _print_advice(console: Console, model: Model, trace: Trace, advice: Advice) -> None:
    if advice.sizes is None and not advice.repairs:
        return
    rows = grid()
    label = "  try     "
    if advice.sizes is not None and not advice.sizes.empty:
        rows.add_row(label, Text(f"{advice.sizes} fit as they are (square inputs)"))
        label = ""
    for number, repair in enumerate(advice.repairs[:SHOWN], 1):
        rows.add_row(label, Text(f"{number}. {repair.describe()}"))
        label = ""
    if advice.repairs:
        others = "; --plan 2 the next" if len(advice.repairs) > 1 else ""
        command = f"shapecalc retarget {model.typed} {model.asked(trace)}"
        rows.add_row("", Text(f"{command} carries out 1{others}"))
    console.print(rows)


def grid() -> Table:
    """Rows of a label and a text."""
    rows = Table.grid(padding=(0, 1))
    rows.add_column(min_width=10, no_wrap=True)
    return rows


def print_plan(console: Console, plan: Plan) -> None:
    """What a plan changes, and what it costs before and after."""
    console.print(Text("Changed" if plan.edits else "Nothing to change", style="bold"))
    for line in listed(plan.edits, MOST_EDITS):
        console.print(hanging(Text(line), 2))
    for remark in plan.remarks():
        console.print(hanging(Text.assemble(("note: ", "yellow"), remark), 2))
    others = [(number, repair) for number, repair in enumerate(plan.repairs, 1) if not plan.chosen(repair)]
    for number, repair in others[:SHOWN]:
        console.print(hanging(Text(f"instead, with --plan {number}: {repair.describe()}", style="dim"), 2))
    from .differing import print_diff  # a trace does without it

    print_diff(console, plan.diff())


#: Verdict of the gate -> how it looks.
VERDICTS = {"ok": ("ok", "green"), "no": ("NO", "bold red"), "unreadable": ("unreadable", "bold red")}


def print_gate(console: Console, row: Row) -> None:
    """One file at one size."""
    word, style = VERDICTS[row.verdict]
    many = f", {row.tensors} tensors as predicted" if row.tensors else ""
    about = f" {row.model} {row.size}".rstrip() + f": {row.words}{many}"
    console.print(hanging(Text.assemble((f"{word:<3}", style), about), 0))


def print_training(console: Console, plan: Training) -> None:
    """What to freeze and how fast the rest learns."""
    console.print()
    console.print(Text("To train on (multiples of the base learning rate, a tenth of the original's)", style="bold"))
    for line in plan.describe():
        console.print(hanging(Text(line), 2))


def print_proof(console: Console, report: Report) -> None:
    """What was proved, on which device, how fast."""
    run = report.run
    shapes = ", ".join(f"{name} {dims.show(shape)}" for name, shape in report.inputs.items())
    console.print()
    title, style = ("Proved by running", "bold green") if report.ok else ("Not proved", "bold red")
    console.print(Text(title, style=style))
    right = sum(check.ok for check in report.shapes)
    lines = [
        f"onnxruntime on {run.device_name}: {shapes}, loaded in {run.load_seconds * 1e3:.0f} ms, "
        f"run in {run.run_seconds * 1e3:.1f} ms",
        f"{right} of {len(report.shapes)} tensors have the predicted shape",
    ]
    if report.before_edit is not None:
        lines.append(f"before the first edit, {_numbers(report.before_edit)} as in the original")
    lines += [f"{promise.words}: largest difference {difference(promise.worst)}" for promise in report.promises]
    if report.cpu is not None and report.cpu_run is not None:
        lines.append(f"on CUDA, {_numbers(report.cpu)} as on the CPU ({report.cpu_run.run_seconds * 1e3:.1f} ms)")
    if report.drawn:
        drawn = f"{count(len(report.drawn), 'value')} {'is' if len(report.drawn) == 1 else 'are'} drawn at random"
        lines.append(f"{drawn}: in the proof with seeds, not in the file")
    lines += against(report) + _made_up(report) + seen(report)
    if report.not_cuda is not None:
        lines.append(f"not on CUDA: {report.not_cuda}")
    for line in lines:
        console.print(hanging(Text(line), 2))
    for failure in report.failures[:SHOWN]:
        console.print(hanging(Text(str(failure), style="red"), 2))


def _made_up(report: Report) -> list[str]:
    """Which weights ran, and what was noise."""
    noise = f"seeded noise (seed {report.seed})"
    images = f"the image was {report.seen.image}" if report.seen is not None else f"images were {noise}"
    if report.weights is not None:
        named = f"{', '.join(report.seeded[:SHOWN])}{' …' if len(report.seeded) > SHOWN else ''}"
        new = f"new {named} and " if named else ""
        return [f"weights are those of {report.weights}; {new}{images}"]
    if not report.seeded:
        return []
    together = f"weights and images were {noise}" if report.seen is None else f"weights were {noise}"
    return [f"{together}: the definition has none"]


def _numbers(checks: list[NumberCheck]) -> str:
    worst = max((c.difference / c.scale if c.scale else c.difference for c in checks), default=0.0)
    right = sum(check.ok for check in checks)
    within = "the same numbers" if worst == 0 else f"numbers within {worst:.1e} of their scale"
    return f"{right} of {len(checks)} tensors hold {within}"


def print_error(console: Console, error: ShapecalcError) -> None:
    """An error as it reads everywhere: the headline, then what belongs to it."""
    first, *rest = str(error).splitlines()
    console.print(Text(first, style="bold red"))
    for line in rest:
        label, _, text = line.strip().partition(" ")
        rows = grid()
        rows.add_row(f"  {label:<8}", Text(text.strip()))
        console.print(rows)


def print_written(
    console: Console,
    path: Path,
    model: Definition,
    init: bool,
    report: Report | None,
    copied: Copied | Lines | None = None,
) -> None:
    """Where the result lies, what its weights are, and what was counted of the original in it."""
    if model.graph.format == "onnx":
        kind = "everything but the edit is copied byte for byte"
    elif path.suffix.lower() != ".onnx":
        kind = f"everything but the edit is as it was, character by character{_held(path, model)}"
    elif model.weights is not None:
        seeded = report.seeded if report is not None else ()
        new = f"; {len(seeded)} new ones are initialised" if seeded else ""
        new = "; new ones, if any, are initialised" if report is None else new
        kind = f"weights are those of {model.weights.name}, bit for bit{new}"
    elif init:
        kind = "weights are initialised, not trained"
    else:
        kind = "weights are placeholders: load trained ones, or write initialised ones with --init"
    console.print()
    console.print(Text.assemble("Wrote ", (str(path), "bold"), f" ({path.stat().st_size:,} bytes); {kind}"))
    for line in copied.describe() if copied is not None else ():
        console.print(hanging(Text(line), 2))


def _held(path: Path, model: Definition) -> str:
    """Where the weights of a definition's own format are: in the result too, or where they were."""
    from ..verify.definition_file import holds_weights

    if holds_weights(model, path):
        return "; weights are in it, bit for bit, new ones initialised"
    return f"; weights stay in {model.weights.name}" if model.weights is not None else ""


#: How a result shares a file of weights -> the words for it.
SHARED = {
    "refer": "weights stay in {0}",
    "link": "weights in {0}, a hard link to {1}",
    "copy": "weights in {0}, copied from {1}",
}


def print_beside(console: Console, path: Path, found: Iterable[Beside]) -> None:
    """The files of weights that a written file names."""
    for item in found:
        why = f" (a link cannot be made: {item.why})" if item.why else ""
        there = path.parent / item.location
        words = SHARED[item.how].format(there, item.path)
        if not there.exists():
            words, why = f"its weights belong in {there}, which is missing here: nothing loads the file without", ""
        console.print(hanging(Text(words + why), 2))


def print_zoo(console: Console, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """The definitions that ship, one a row."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Name", "Format", "Input", "Parameters", "Architecture"):
        table.add_column(heading, justify="right" if heading == "Parameters" else "left", overflow="fold")
    for name, row in rows.items():
        table.add_row(
            name, row["format"], "×".join(map(str, row["input"])), grouped(row["params"]), Text(str(row["title"]))
        )
    console.print(table)
