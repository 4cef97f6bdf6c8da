"""The commands that run a net and write nothing: verify for one, check for many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .changing import _numbers
from .commands import (
    ArgOption,
    ClassOption,
    DeviceOption,
    InputAlias,
    InputOption,
    JsonOption,
    LevelOption,
    ModelArgument,
    PhaseOption,
    SeedOption,
    StageOption,
    WeightsOption,
    _open,
    _print_json,
    _spec,
)

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


def verify(
    model: ModelArgument,
    input: InputOption = None,  # noqa: A002  the contract's word
    alias: InputAlias = None,
    weights: WeightsOption = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="ORIGINAL", help="Another model, on the same inputs.")
    ] = None,
    against_weights: Annotated[
        str | None, typer.Option("--against-weights", metavar="FILE", help="Trained weights of ORIGINAL.")
    ] = None,
    image: Annotated[Path | None, typer.Option("--image", metavar="FILE", help="An image in place of noise.")] = None,
    resize: Annotated[
        int, typer.Option("--resize", metavar="N", min=0, help="The image's shorter side; then the middle is cut out.")
    ] = 0,
    mean: Annotated[str, typer.Option("--mean", metavar="X,X,X", help="Taken off the image's pixels.")] = "",
    std: Annotated[str, typer.Option("--std", metavar="X,X,X", help="What they are divided by then.")] = "",
    bgr: Annotated[bool, typer.Option("--bgr", help="The image's channels in the other order.")] = False,
    white: Annotated[
        float, typer.Option("--white", metavar="X", help="What a white pixel is before --mean: 255 or 1.")
    ] = 255.0,
    device: DeviceOption = "auto",
    rtol: Annotated[
        float, typer.Option("--rtol", metavar="X", min=0.0, help="Allowed difference of the scale.")
    ] = 1e-4,
    seed: SeedOption = 0,
    phase: PhaseOption = "TEST",
    stage: StageOption = None,
    level: LevelOption = None,
    class_name: ClassOption = None,
    arg: ArgOption = None,
    json: JsonOption = False,
) -> int:
    """Predicted against executed, tensor by tensor; against another model; what it says of an image."""
    from ..errors import RefusedError, UsageError

    if image is None and (resize or mean or std or bgr):
        raise UsageError("--resize, --mean, --std and --bgr are about an image", "E002", hint="--image FILE")
    net = _open(model, phase, stage, class_name, arg, weights, level=level)
    other = None if against is None else _open(against, phase, stage, class_name, arg, against_weights, level=level)
    picture = {
        "resize": resize,
        "mean": _numbers(mean, "--mean"),
        "std": _numbers(std, "--std"),
        "bgr": bgr,
        "white": white,
    }
    try:
        report = net.verify(
            _spec(input, alias), device=device, seed=seed, rtol=rtol, against=other, image=image, **picture
        )
    except RefusedError as error:
        error.exit_code = 1  # verify asks, and this is the answer no
        raise
    if json:
        _print_json(report.to_dict())
    else:
        from ..report.console import make_console
        from ..report.words import print_proof

        print_proof(make_console(), report)
    return 0 if report.ok else 1
