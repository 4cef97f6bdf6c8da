"""What a net costs."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import (
    ArgOption,
    ClassOption,
    InputAlias,
    InputOption,
    JsonOption,
    LevelOption,
    ModelArgument,
    PhaseOption,
    StageOption,
    _open,
    _print_json,
    _spec,
)


def cost(
    model: ModelArgument,
    input: InputOption = None,  # noqa: A002  the contract's word
    alias: InputAlias = None,
    batch: Annotated[int | None, typer.Option("--batch", metavar="N", min=1, help="Items at once.")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="NAME", help="fp64, fp32, fp16, bf16 or int8.")
    ] = None,
    phase: PhaseOption = "TEST",
    stage: StageOption = None,
    level: LevelOption = None,
    class_name: ClassOption = None,
    arg: ArgOption = None,
    json: JsonOption = False,
) -> int:
    """Parameters, multiply-accumulates and memory by layer, and the most memory that is held at once."""
    net = _open(model, phase, stage, class_name, arg, level=level)
    found = net.cost(_spec(input, alias), batch=batch, precision=precision)
    if json:
        _print_json(found.to_dict() | {"model": net.name})
    else:
        from ..report.console import make_console
        from ..report.costing import print_cost

        print_cost(make_console(), net.name, found)
    return 0
