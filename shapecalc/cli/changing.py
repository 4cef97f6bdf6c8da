"""The commands that write a net: retarget, cut and convert. Heavy modules are imported inside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import copying, files
from .options import (
    SETTINGS,
    Asked,
    Changing,
    Group,
    JsonOption,
    ModelArgument,
    Reading,
    SavePlanOption,
    WeightsOption,
    Writing,
    numbers,
    print_json,
)

if TYPE_CHECKING:
    from ..surgery.training import Training
    from ..verify.plans import Plan


#: Said on stderr, so that a pipe does not swallow it.
UNPROVED = "warning: nothing was proved: the result was traced and written, and never run"

#: onnx.checker and onnx.load say "potential hardlink attack".
LINKED = "warning: onnxruntime loads weights that are hard links, the onnx package does not: not the original's either"


@dataclass(frozen=True)
class Wished(Group):
    """What is to be different, except the input size."""

    classes: Annotated[
        int | None, typer.Option("--classes", metavar="N", help="Another number of classes: a new head.")
    ] = None
    num_classes: Annotated[int | None, typer.Option("--num-classes", "--num_classes", hidden=True)] = None
    head: Annotated[
        list[str] | None, typer.Option("--head", metavar="LAYER", help="The classifier, where it cannot be told.")
    ] = None
    head_init: Annotated[
        str, typer.Option("--head-init", metavar="HOW", help="New weights: zeros, normal or framework (its own way).")
    ] = ""
    names: Annotated[
        Path | None, typer.Option("--names", metavar="FILE", help="Names of the classes, one a line, for the metadata.")
    ] = None
    channels: Annotated[
        int | None, typer.Option("--channels", metavar="N", help="Channels of the image: 1 for gray.")
    ] = None
    bgr: Annotated[bool, typer.Option("--bgr", help="The image's channels in the other order.")] = False
    mean: Annotated[
        str, typer.Option("--mean", metavar="X,X,X", help="Taken off the image's pixels inside the net.")
    ] = ""
    std: Annotated[str, typer.Option("--std", metavar="X,X,X", help="Divided by inside the net.")] = ""
    batch: Annotated[str | None, typer.Option("--batch", metavar="N", help="A number, or N for a free batch.")] = None
    convolutional: Annotated[
        bool, typer.Option("--convolutional", help="Fully connected layers as convolutions: a map for larger images.")
    ] = False

    interpolate: Annotated[
        str,
        typer.Option(
            "--interpolate",
            metavar="HOW",
            help="Tables of positions: as timm (antialiased), huggingface or torchvision.",
        ),
    ] = ""

    def arguments(self) -> dict[str, Any]:
        """What `Model.retarget` takes."""
        count = self.classes if self.classes is not None else self.num_classes
        return {
            "classes": count,
            "head": self.head or (),
            "start": self.head_init,
            "names": _labels(self.names, count) if self.names is not None else (),
            "channels": self.channels,
            "bgr": self.bgr,
            "mean": numbers(self.mean, "--mean"),
            "std": numbers(self.std, "--std"),
            "batch": int(self.batch) if self.batch is not None and self.batch.isdecimal() else self.batch,
            "convolutional": self.convolutional,
            "interpolate": self.interpolate,
        }


def _labels(path: Path, count: int | None) -> list[str]:
    """The lines of a file of class names, of which there must be ``count`` if that was said."""
    from ..errors import UsageError

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "E002", hint="--names FILE, one class a line") from None
    labels = [line.strip() for line in lines if line.strip()]
    if not labels:
        raise UsageError(f"{path} names no class", "E002", hint="--names FILE, one class a line")
    if count not in (None, len(labels)):
        raise UsageError(f"{path} names {len(labels)} classes, --classes says {count}", "E002")
    return labels


def retarget(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A file or a zoo name.")] = "alexnet",
    *,
    asked: Asked,
    wished: Wished,
    freeze_until: Annotated[
        str | None,
        typer.Option("--freeze-until", metavar="LAYER", help="Say how to train on: all up to this layer frozen."),
    ] = None,
    repair: Annotated[
        str | None,
        typer.Option(
            "--repair", metavar="NAME", help="rebake, crop, pad, scale, insert-pool, rounding, window, resize or none."
        ),
    ] = None,
    plan: Annotated[int | None, typer.Option("--plan", metavar="K", min=1, help="The K-th best repair.")] = None,
    list_plans: Annotated[
        bool, typer.Option("--list-plans", help="List the repairs with what each keeps and costs; write nothing.")
    ] = False,
    save_plan: SavePlanOption = None,
    weights: WeightsOption = None,
    how: Changing,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """Another number of classes or another input size: edited, run in onnxruntime, compared, then written."""
    net = reading.open(model, weights)
    listed = 1 if list_plans else None
    made = net.retarget(input=asked.spec, repair=repair, plan=plan or listed, **wished.arguments())
    if list_plans:
        return _listed(made, json)
    training = made.training(freeze_until) if freeze_until is not None or json else None
    return carry_out(made, how, json, training=training, save_plan=save_plan)


def _listed(made: Plan, json: bool) -> int:
    """The repairs there are, with what each is chosen by."""
    if json:
        plan = made.to_dict()
        print_json({"schema": "shapecalc.plans/1", "model": plan["model"], "repairs": plan["repairs"]})
        return 0
    from ..report.console import make_console
    from ..report.plans import print_plans

    print_plans(make_console(), made)
    return 0


def carry_out(
    made: Plan, how: Changing, json: bool, *, training: Training | None = None, save_plan: Path | None = None
) -> int:
    """Proves and writes a plan, under its own name where none is given, or only says what it would do."""
    target = None if how.dry_run else how.output if how.output is not None else Path(made.file_name)
    if save_plan is not None:
        files.check_writable(save_plan, overwrite=how.overwrite)
    if target is not None:
        _save(made, target, how)
    if save_plan is not None:
        made.save_plan(save_plan, overwrite=how.overwrite)
    if training is not None and target is not None and target.suffix.lower() == ".onnx":
        from ..lower import lower

        training = training.as_onnx(lower(made.graph, made.trace))
    if json:
        print_json(
            made.to_dict()
            | {
                "proof": made.report.to_dict() if made.report is not None else None,
                "path": None if target is None else str(target),
                "external": [item.to_dict() for item in made.beside],
                "training": training.to_dict() if training is not None else None,
                "copied": made.copied.to_dict() if made.copied is not None else None,
                "saved_plan": None if save_plan is None else str(save_plan),
            }
        )
        return 0
    from ..report.console import make_console
    from ..report.plans import print_saved
    from ..report.words import print_beside, print_plan, print_proof, print_training, print_written

    console = make_console()
    print_plan(console, made)
    if training is not None:
        print_training(console, training)
    if made.report is not None and target is not None:
        print_proof(console, made.report)
    if target is not None:
        print_written(console, target, made.model, how.init, made.report, made.copied)
        print_beside(console, target, made.beside)
    if save_plan is not None:
        print_saved(console, save_plan, made)
    return 0


def _save(made: Plan, target: Path, how: Changing) -> None:
    """Writes a plan's result, and says on stderr what is not as a user expects."""
    with _copying(made) as work:
        made.save(target, verify=not how.no_verify, external=how.external, work=work, **how.saving())
    if how.no_verify:
        print(UNPROVED, file=sys.stderr)
    if any(item.how == "link" for item in made.beside):
        print(LINKED, file=sys.stderr)


@contextmanager
def _copying(made: Plan) -> Iterator[copying.Work]:
    """Tells a terminal of copying that takes over a second; meanwhile, what will be printed is found out."""

    def meanwhile() -> None:
        from ..report import words  # noqa: F401  so that it is there

        made.diff()

    if not sys.stderr.isatty() or SETTINGS.quiet:
        yield copying.Work(meanwhile=meanwhile)
        return
    from ..report.progress import Bar

    with Bar() as bar:
        yield copying.Work(bar.show, meanwhile)


def cut(
    model: ModelArgument,
    at: Annotated[
        list[str] | None, typer.Option("--at", metavar="LAYER", help="A layer or value to end at; may be repeated.")
    ] = None,
    features: Annotated[bool, typer.Option("--features", help="End just before the head.")] = False,
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="KIND", help="avg or max, over all places of an output.")
    ] = None,
    flatten: Annotated[bool, typer.Option("--flatten", help="Make each output a row of numbers.")] = False,
    save_plan: SavePlanOption = None,
    *,
    asked: Asked,
    weights: WeightsOption = None,
    how: Changing,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """A feature extractor: the net up to some of its layers, equal to the original there, then written."""
    net = reading.open(model, weights)
    made = net.cut(*(at or ()), features=features, pool=pool, flatten=flatten, input=asked.spec)
    return carry_out(made, how, json, save_plan=save_plan)


def convert(
    model: ModelArgument,
    *,
    asked: Asked,
    weights: WeightsOption = None,
    how: Writing,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """The definition as runnable ONNX, run once to prove it."""
    net = reading.open(model, weights)
    target = how.output if how.output is not None else Path(f"{net.name}.onnx")
    report = net.convert(target, input=asked.spec, verify=not how.no_verify, **how.saving())
    if report is None:
        print(UNPROVED, file=sys.stderr)
    if json:
        proof = report.to_dict() if report is not None else None
        print_json({"schema": "shapecalc.convert/1", "proof": proof, "path": str(target)})
        return 0
    from ..report.console import make_console
    from ..report.words import print_proof, print_written

    console = make_console()
    if report is not None:
        print_proof(console, report)
    print_written(console, target, net, how.init, report)
    return 0
