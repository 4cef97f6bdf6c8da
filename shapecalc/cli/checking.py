"""The commands that run a net and write nothing: verify for one, check for many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import (
    Asked,
    DeviceOption,
    Group,
    JsonOption,
    ModelArgument,
    Reading,
    SeedOption,
    WeightsOption,
    numbers,
    print_json,
)


def check(
    models: Annotated[list[str], typer.Argument(metavar="FILES", help="Files, or names that `shapecalc zoo` lists.")],
    sizes: Annotated[
        list[str] | None,
        typer.Option("--sizes", "--input", "-i", metavar="SHAPES", help="224,256,320x224: each is asked of each file."),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu or cuda.")] = "auto",
    trace_only: Annotated[bool, typer.Option("--trace-only", help="Trace; run nothing.")] = False,
    *,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """Whether every file fits and runs as predicted at every size; exit 1 if one does not, 3 if one is unreadable."""
    from ..report.console import make_console
    from ..report.words import print_gate
    from ..verify.gate import STATUS, gate

    wanted = [size for text in sizes or [] for size in ([text] if ":" in text or "[" in text else text.split(","))]
    rows = []
    console = make_console()
    for row in gate(models, wanted, reading.open, None if trace_only else device):
        rows.append(row)
        if not json:
            print_gate(console, row)
    worst = max((STATUS[row.verdict] for row in rows), default=0)
    if json:
        print_json({"schema": "shapecalc.check/1", "ok": worst == 0, "rows": [row.to_dict() for row in rows]})
    return worst


@dataclass(frozen=True)
class Picture(Group):
    """An image in place of noise, and what is done to its pixels first."""

    image: Annotated[Path | None, typer.Option("--image", metavar="FILE", help="An image in place of noise.")] = None
    resize: Annotated[
        int, typer.Option("--resize", metavar="N", min=0, help="The image's shorter side; then the middle is cut out.")
    ] = 0
    mean: Annotated[str, typer.Option("--mean", metavar="X,X,X", help="Taken off the image's pixels.")] = ""
    std: Annotated[str, typer.Option("--std", metavar="X,X,X", help="What they are divided by then.")] = ""
    bgr: Annotated[bool, typer.Option("--bgr", help="The image's channels in the other order.")] = False
    white: Annotated[
        float, typer.Option("--white", metavar="X", help="What a white pixel is before --mean: 255 or 1.")
    ] = 255.0

    def arguments(self) -> dict[str, Any]:
        """What `Model.verify` takes."""
        from ..errors import UsageError

        if self.image is None and (self.resize or self.mean or self.std or self.bgr):
            raise UsageError("--resize, --mean, --std and --bgr are about an image", "E002", hint="--image FILE")
        return {
            "image": self.image,
            "resize": self.resize,
            "mean": numbers(self.mean, "--mean"),
            "std": numbers(self.std, "--std"),
            "bgr": self.bgr,
            "white": self.white,
        }


def verify(
    model: ModelArgument,
    *,
    asked: Asked,
    weights: WeightsOption = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="ORIGINAL", help="Another model, on the same inputs.")
    ] = None,
    against_weights: Annotated[
        str | None, typer.Option("--against-weights", metavar="FILE", help="Trained weights of ORIGINAL.")
    ] = None,
    picture: Picture,
    device: DeviceOption = "auto",
    rtol: Annotated[
        float, typer.Option("--rtol", metavar="X", min=0.0, help="Allowed difference of the scale.")
    ] = 1e-4,
    seed: SeedOption = 0,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """Predicted against executed, tensor by tensor; against another model; what it says of an image."""
    from ..errors import RefusedError

    net = reading.open(model, weights)
    other = None if against is None else reading.open(against, against_weights)
    try:
        report = net.verify(asked.spec, device=device, seed=seed, rtol=rtol, against=other, **picture.arguments())
    except RefusedError as error:
        error.exit_code = 1  # verify asks, and this is the answer no
        raise
    if json:
        print_json(report.to_dict())
    else:
        from ..report.console import make_console
        from ..report.words import print_proof

        print_proof(make_console(), report)
    return 0 if report.ok else 1
