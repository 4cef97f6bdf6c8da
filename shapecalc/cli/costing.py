"""What a net costs."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Asked, EveryOption, JsonOption, ModelArgument, Reading, print_json


def cost(
    model: ModelArgument,
    *,
    asked: Asked,
    batch: Annotated[int | None, typer.Option("--batch", metavar="N", min=1, help="Items at once.")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="NAME", help="fp64, fp32, fp16, bf16 or int8.")
    ] = None,
    every: EveryOption = False,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """Parameters, multiply-accumulates and memory by layer, and the most memory that is held at once."""
    net = reading.open(model)
    found = net.cost(asked.spec, batch=batch, precision=precision)
    if json:
        print_json(found.to_dict() | {"model": net.name})
    else:
        from ..report.console import make_console
        from ..report.costing import print_cost

        print_cost(make_console(), net.name, found, every=every)
    return 0
