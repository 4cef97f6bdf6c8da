"""The command that does a saved plan again. Heavy modules are imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .changing import DryRunOption, ExternalOption, NoVerifyOption, _carry_out
from .commands import (
    ArgOption,
    ClassOption,
    DeviceOption,
    InitOption,
    JsonOption,
    LevelOption,
    ModelArgument,
    OutputOption,
    OverwriteOption,
    PhaseOption,
    SeedOption,
    StageOption,
    WeightsOption,
    _open,
)


def replay(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="What retarget or cut --save-plan wrote.")],
    model: ModelArgument,
    weights: WeightsOption = None,
    output: OutputOption = None,
    overwrite: OverwriteOption = False,
    init: InitOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    phase: PhaseOption = "TEST",
    stage: StageOption = None,
    level: LevelOption = None,
    class_name: ClassOption = None,
    arg: ArgOption = None,
    no_verify: NoVerifyOption = False,
    external: ExternalOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> int:
    """A saved plan done on a model of the same layers: edited, run in onnxruntime, compared, then written."""
    made = _open(model, phase, stage, class_name, arg, weights, level=level).replay(plan)
    return _carry_out(
        made,
        output,
        dry_run=dry_run,
        overwrite=overwrite,
        init=init,
        seed=seed,
        device=device,
        verify=not no_verify,
        external=external,
        json=json,
    )
