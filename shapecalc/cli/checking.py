"""The gate: many files, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .commands import ArgOption, ClassOption, JsonOption, LevelOption, PhaseOption, StageOption, _open, _print_json

if TYPE_CHECKING:
    from ..model import Model


def check(
    models: Annotated[list[str], typer.Argument(metavar="FILES…", help="Files, or names that `shapecalc zoo` lists.")],
    sizes: Annotated[
        list[str] | None,
        typer.Option("--sizes", "--input", "-i", metavar="SHAPES", help="224,256,320x224: each is asked of each file."),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu or cuda.")] = "auto",
    trace_only: Annotated[bool, typer.Option("--trace-only", help="Trace; run nothing.")] = False,
    phase: PhaseOption = "TEST",
    stage: StageOption = None,
    level: LevelOption = None,
    class_name: ClassOption = None,
    arg: ArgOption = None,
    json: JsonOption = False,
) -> int:
    """Whether every file fits and runs as predicted at every size; exit 1 if one does not, 3 if one is unreadable."""
    from ..report.console import make_console
    from ..report.words import print_gate
    from ..verify.gate import STATUS, gate

    def opened(name: str) -> Model:
        return _open(name, phase, stage, class_name, arg, level=level)

    asked = [size for text in sizes or [] for size in ([text] if ":" in text or "[" in text else text.split(","))]
    rows = []
    console = make_console()
    for row in gate(models, asked, opened, None if trace_only else device):
        rows.append(row)
        if not json:
            print_gate(console, row)
    worst = max((STATUS[row.verdict] for row in rows), default=0)
    if json:
        _print_json({"schema": "shapecalc.check/1", "ok": worst == 0, "rows": [row.to_dict() for row in rows]})
    return worst
