"""The commands that write a net: retarget, cut and convert. Heavy modules are imported inside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import files
from .commands import (
    SETTINGS,
    ArgOption,
    ClassOption,
    DeviceOption,
    InitOption,
    InputAlias,
    InputOption,
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
    _print_json,
    _spec,
)

if TYPE_CHECKING:
    from ..surgery.training import Training
    from ..verify.plans import Plan


#: Said on stderr, so that a pipe does not swallow it.
UNPROVED = "warning: nothing was proved: the result was traced and written, and never run"

#: onnx.checker and onnx.load say "potential hardlink attack".
LINKED = "warning: onnxruntime loads weights that are hard links, the onnx package does not: not the original's either"

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would change; run and write nothing.")]
SavePlanOption = Annotated[
    Path | None, typer.Option("--save-plan", metavar="FILE", help="Write the plan as JSON, for shapecalc replay.")
]
NoVerifyOption = Annotated[
    bool, typer.Option("--no-verify", help="Write what was only traced: nothing is run, nothing is proved.")
]


ExternalOption = Annotated[
    str | None,
    typer.Option(
        "--external",
        metavar="HOW",
        help="Weights beside an ONNX file: refer to them, link or copy; default: refer where possible, else copy.",
    ),
]


def _labels(path: Path) -> list[str]:
    """The lines of a file of class names."""
    from ..errors import UsageError

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "E002", hint="--names FILE, one class a line") from None
    return [line.strip() for line in lines if line.strip()]


def _numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    from ..errors import UsageError

    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(f"{option} {text} are no numbers", "E002", hint=f"{option} 123.7,116.8,103.9") from None


def retarget(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="A file or a zoo name; alexnet if none.")] = "alexnet",
    classes: Annotated[
        int | None, typer.Option("--classes", metavar="N", help="Another number of classes: a new head.")
    ] = None,
    num_classes: Annotated[int | None, typer.Option("--num-classes", "--num_classes", hidden=True)] = None,
    input: InputOption = None,  # noqa: A002  the contract's word
    alias: InputAlias = None,
    head: Annotated[
        list[str] | None, typer.Option("--head", metavar="LAYER", help="The classifier, where it cannot be told.")
    ] = None,
    head_init: Annotated[
        str, typer.Option("--head-init", metavar="HOW", help="New weights: zeros, normal or framework (its own way).")
    ] = "",
    names: Annotated[
        Path | None, typer.Option("--names", metavar="FILE", help="Names of the classes, one a line, for the metadata.")
    ] = None,
    channels: Annotated[
        int | None, typer.Option("--channels", metavar="N", help="Channels of the image: 1 for gray.")
    ] = None,
    bgr: Annotated[bool, typer.Option("--bgr", help="The image's channels in the other order.")] = False,
    mean: Annotated[
        str, typer.Option("--mean", metavar="X,X,X", help="Taken off the image's pixels inside the net.")
    ] = "",
    std: Annotated[str, typer.Option("--std", metavar="X,X,X", help="Divided by inside the net.")] = "",
    batch: Annotated[str | None, typer.Option("--batch", metavar="N", help="A number, or N for a free batch.")] = None,
    convolutional: Annotated[
        bool, typer.Option("--convolutional", help="Fully connected layers as convolutions: a map for larger images.")
    ] = False,
    freeze_until: Annotated[
        str | None,
        typer.Option("--freeze-until", metavar="LAYER", help="Say how to train on: all up to this layer frozen."),
    ] = None,
    repair: Annotated[
        str | None,
        typer.Option("--repair", metavar="NAME", help="rebake, crop, insert-pool, rounding, window, resize or none."),
    ] = None,
    plan: Annotated[int, typer.Option("--plan", metavar="K", min=1, help="The K-th best repair.")] = 1,
    list_plans: Annotated[
        bool, typer.Option("--list-plans", help="List the repairs with what each keeps and costs; write nothing.")
    ] = False,
    save_plan: SavePlanOption = None,
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
    """Another number of classes or another input size: edited, run in onnxruntime, compared, then written."""
    from ..errors import UsageError

    net = _open(model, phase, stage, class_name, arg, weights, level=level)
    count = classes if classes is not None else num_classes
    labels = _labels(names) if names is not None else ()
    if labels and count not in (None, len(labels)):
        raise UsageError(f"{names} names {len(labels)} classes, --classes says {count}", "E002")
    made = net.retarget(
        classes=count,
        input=_spec(input, alias),
        repair=repair,
        plan=plan,
        head=head or (),
        start=head_init,
        names=labels,
        channels=channels,
        bgr=bgr,
        mean=_numbers(mean, "--mean"),
        std=_numbers(std, "--std"),
        convolutional=convolutional,
        batch=int(batch) if batch is not None and batch.isdecimal() else batch,
    )
    if list_plans:
        return _listed(made, json)
    training = made.training(freeze_until) if freeze_until is not None or json else None
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
        training=training,
        save_plan=save_plan,
    )


def _listed(made: Plan, json: bool) -> int:
    """The repairs there are, with what each is chosen by."""
    if json:
        plan = made.to_dict()
        _print_json({"schema": "shapecalc.plans/1", "model": plan["model"], "repairs": plan["repairs"]})
        return 0
    from ..report.console import make_console
    from ..report.plans import print_plans

    print_plans(make_console(), made)
    return 0


def _carry_out(
    made: Plan,
    output: Path | None,
    *,
    dry_run: bool,
    overwrite: bool,
    init: bool,
    seed: int,
    device: str,
    verify: bool,
    external: str | None,
    json: bool,
    training: Training | None = None,
    save_plan: Path | None = None,
) -> int:
    """Proves and writes a plan, under its own name where none is given, or only says what it would do."""
    target = None if dry_run else output if output is not None else Path(made.file_name)
    if save_plan is not None:
        files.check_writable(save_plan, overwrite=overwrite)
    if target is not None:
        with _copying() as work:
            made.save(
                target,
                overwrite=overwrite,
                init=init,
                seed=seed,
                device=device,
                verify=verify,
                external=external,
                work=work,
            )
        if not verify:
            print(UNPROVED, file=sys.stderr)
        if any(item.how == "link" for item in made.beside):
            print(LINKED, file=sys.stderr)
    if save_plan is not None:
        made.save_plan(save_plan, overwrite=overwrite)
    if json:
        proof = made.report.to_dict() if made.report is not None else None
        _print_json(
            made.to_dict()
            | {
                "proof": proof,
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
        print_written(console, target, made.model, init, made.report, made.copied)
        print_beside(console, target, made.beside)
    if save_plan is not None:
        print_saved(console, save_plan, made)
    return 0


@contextmanager
def _copying() -> Iterator[files.Work]:
    """Tells a terminal of copying that takes over a second."""
    if not sys.stderr.isatty() or SETTINGS.quiet:
        yield files.Work()
        return
    from ..report.progress import Bar

    with Bar() as bar:
        yield files.Work(bar.show)


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
    input: InputOption = None,  # noqa: A002  the contract's word
    alias: InputAlias = None,
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
    """A feature extractor: the net up to some of its layers, equal to the original there, then written."""
    net = _open(model, phase, stage, class_name, arg, weights, level=level)
    made = net.cut(*(at or ()), features=features, pool=pool, flatten=flatten, input=_spec(input, alias))
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
        save_plan=save_plan,
    )


def convert(
    model: ModelArgument,
    input: InputOption = None,  # noqa: A002  the contract's word
    alias: InputAlias = None,
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
    json: JsonOption = False,
) -> int:
    """The definition as runnable ONNX, run once to prove it."""
    net = _open(model, phase, stage, class_name, arg, weights, level=level)
    target = output if output is not None else Path(f"{net.name}.onnx")
    report = net.convert(
        target,
        input=_spec(input, alias),
        overwrite=overwrite,
        init=init,
        seed=seed,
        device=device,
        verify=not no_verify,
    )
    if report is None:
        print(UNPROVED, file=sys.stderr)
    if json:
        proof = report.to_dict() if report is not None else None
        _print_json({"schema": "shapecalc.convert/1", "proof": proof, "path": str(target)})
        return 0
    from ..report.console import make_console
    from ..report.words import print_proof, print_written

    console = make_console()
    if report is not None:
        print_proof(console, report)
    print_written(console, target, net, init, report)
    return 0
