"""The command that does a saved plan again. Heavy modules are imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .changing import carry_out
from .options import Changing, JsonOption, ModelArgument, Reading, WeightsOption


def replay(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="What retarget or cut --save-plan wrote.")],
    model: ModelArgument,
    weights: WeightsOption = None,
    *,
    how: Changing,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """A saved plan done on a model of the same layers: edited, run in onnxruntime, compared, then written."""
    made = reading.open(model, weights).replay(plan)
    return carry_out(made, how, json)
