"""The commands: parse, ask the model, hand the answer to the report. Heavy modules are imported inside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..graph import Graph
    from ..model import Model


class Settings:
    """The switches that stand before the command."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As at the start of a process."""
        self.verbose = False
        self.quiet = False


SETTINGS = Settings()

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A file, or a name that `shapecalc zoo` lists.")]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="SHAPE",
        help="256, 224x320 (height x width), 3x224x224, 1x3x224x224 or name:1x3x224x224; N or ? is a free dimension.",
    ),
]
InputAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        "--input-shapes",
        "--inputs",
        "--shapes",
        "--overwrite-input-shape",
        "--override-input-shapes",
        "--input_shape",
        hidden=True,
    ),
]
PhaseOption = Annotated[str, typer.Option("--phase", metavar="PHASE", help="Caffe: TEST or TRAIN.")]
LevelOption = Annotated[int | None, typer.Option("--level", metavar="N", help="Caffe: the level to be at.")]
StageOption = Annotated[list[str] | None, typer.Option("--stage", metavar="STAGE", help="Caffe: a stage to be in.")]
ClassOption = Annotated[str | None, typer.Option("--class-name", metavar="CLASS", help="Chainer: which class.")]
ArgOption = Annotated[
    list[str] | None, typer.Option("--arg", metavar="NAME=VALUE", help="Chainer: an argument of its constructor.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu or cuda.")]
OutputOption = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to write.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of made-up weights and images.")]
WeightsOption = Annotated[
    str | None, typer.Option("--weights", metavar="FILE", help="Trained weights: a .caffemodel, .npz, .h5 or .keras.")
]
InitOption = Annotated[bool, typer.Option("--init", help="Write initialised weights, not placeholders.")]


def _open(
    name: str,
    phase: str,
    stages: list[str] | None,
    class_name: str | None,
    args: list[str] | None,
    weights: str | None = None,
    *,
    level: int | None = None,
    filled: Mapping[str, Any] | None = None,
) -> Model:
    from ..errors import UsageError
    from ..model import load

    if phase.upper() not in ("TEST", "TRAIN"):
        raise UsageError(f"no phase {phase!r}", "E002", hint="TEST or TRAIN")
    model = load(
        name,
        phase=phase,
        stages=tuple(stages or ()),
        level=level,
        class_name=class_name,
        arguments={**_arguments(args or []), **(filled or {})},
        weights=weights,
    )
    if filled is None:
        _warn(model.graph)
    return model


def _arguments(pairs: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value is a Python literal where it reads as one, else text."""
    import ast

    from ..errors import UsageError

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name or name.split() != [name]:
            raise UsageError(f"{pair!r} is no argument", "E002", hint="write --arg n_class=13")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[name] = text
    return found


def _warn(graph: Graph) -> None:
    if SETTINGS.quiet or not graph.warnings:
        return
    shown = graph.warnings if SETTINGS.verbose else graph.warnings[:3]
    for text in shown:
        print(f"warning: {text}", file=sys.stderr)
    if len(shown) < len(graph.warnings):
        print(f"warning: {len(graph.warnings) - len(shown)} more; shapecalc -v shows them", file=sys.stderr)


def _spec(first: list[str] | None, alias: list[str] | None) -> Any:
    given = [*(first or []), *(alias or [])]
    return given if len(given) > 1 else given[0] if given else None


def _print_json(value: dict[str, Any]) -> None:
    import json

    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def trace(
    model: ModelArgument,
    input: InputOption = None,  # noqa: A002  the contract's word
    alias: InputAlias = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Weights not sized yet: fan-ins follow the input.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if something does not fit.")] = False,
    dialect: Annotated[
        str | None,
        typer.Option(
            "--dialect",
            metavar="NAME",
            help="Another framework's rounding; several, comma between, stand side by side.",
        ),
    ] = None,
    phase: PhaseOption = "TEST",
    stage: StageOption = None,
    level: LevelOption = None,
    class_name: ClassOption = None,
    arg: ArgOption = None,
    json: JsonOption = False,
) -> int:
    """Every layer's shape with its formula and cost; then what does not fit, why, and what would."""
    net = _open(model, phase, stage, class_name, arg, level=level)
    if dialect is not None and "," in dialect:
        return _compared(net, _spec(input, alias), dialect, fresh, strict, json)
    found = net.trace(_spec(input, alias), fresh=fresh, dialect=dialect)
    advice = net.advice(found) if found.problems else None
    if json:
        _print_json(found.to_dict() | {"model": net.name, "advice": advice.to_dict() if advice is not None else None})
    else:
        from ..report.console import make_console
        from ..report.words import print_trace

        print_trace(make_console(), net, found, advice)
    return 1 if strict and not found.ok else 0


def _compared(net: Model, spec: Any, dialects: str, fresh: bool, strict: bool, json: bool) -> int:
    """Several dialects side by side."""
    found = net.compare(spec, dialects=dialects.split(","), fresh=fresh)
    if json:
        _print_json(found.to_dict())
    else:
        from ..report.comparing import print_comparison
        from ..report.console import make_console

        print_comparison(make_console(), found)
    return 1 if strict and not found.ok else 0


def sizes(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="A file or a zoo name; alexnet if none.")] = "alexnet",
    input: InputOption = None,  # noqa: A002  the contract's word
    alias: InputAlias = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="Largest size among JSON's intervals.")
    ] = 4096,
    near: Annotated[
        str | None, typer.Option("--near", metavar="SIZE", help="Also the nearest that fit: 256, 1080x1920.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Only sizes at which every division is whole.")] = False,
    dialect: Annotated[
        str | None, typer.Option("--dialect", metavar="NAMES", help="Other frameworks' rounding: caffe,onnx,torch.")
    ] = None,
    emit: Annotated[
        str | None, typer.Option("--emit", metavar="FORM", help="trtexec: shapes of an optimisation profile.")
    ] = None,
    solve: Annotated[
        str | None,
        typer.Option(
            "--solve", metavar="HOLE", help="fc6.fan_in, pool5=6x6, conv1.num_output (written ?), or kernel,stride."
        ),
    ] = None,
    before: Annotated[
        int | None, typer.Option("--from", metavar="N", min=1, help="With --solve kernel,stride.")
    ] = None,
    after: Annotated[
        int | None, typer.Option("--to", metavar="N", min=1, help="With --solve: the map behind the window or layer.")
    ] = None,
    phase: PhaseOption = "TEST",
    stage: StageOption = None,
    level: LevelOption = None,
    class_name: ClassOption = None,
    arg: ArgOption = None,
    json: JsonOption = False,
) -> int:
    """Every input size that fits, in closed form, and which layer forbids the rest."""
    from ..report import sizing

    spec = _spec(input, alias)

    def opened(filled: Mapping[str, Any] | None) -> Model:
        return _open(model, phase, stage, class_name, arg, level=level, filled=filled)

    if solve is not None:
        from ..sizes.holes import Ends, answered

        answer = answered(solve, opened, spec, dialect, Ends(before, after))
        _print_json(answer.to_dict()) if json else sizing.print_solved(answer)
        return 0
    net = opened(None)
    asked = sizing.Question(net, spec, limit, exact, [*dialect.split(",")] if dialect else [None])
    if emit is not None:
        print(asked.emitted(emit))
    elif json:
        _print_json(asked.to_dict(near))
    else:
        asked.show(near)
    return 0


def why(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A file or a zoo name; none: the text.")
    ] = None,
    input: InputOption = None,  # noqa: A002  the contract's word
    alias: InputAlias = None,
    error: Annotated[
        str | None, typer.Option("--error", metavar="TEXT", help="What a framework said; - reads it from stdin.")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option("--dialect", metavar="NAME", help="Another framework's rounding.")
    ] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Only trace what would help, do not execute it.")] = False,
    phase: PhaseOption = "TEST",
    stage: StageOption = None,
    level: LevelOption = None,
    class_name: ClassOption = None,
    arg: ArgOption = None,
    json: JsonOption = False,
) -> int:
    """Why an input does not fit or a framework complains, and what would help, each tried."""
    from ..errors import UsageError

    text = sys.stdin.read() if error == "-" else error
    if model is None:
        if text is None:
            raise UsageError("nothing was asked", "E002", hint="name a model, or --error 'what the framework said'")
        return _said(text, json)
    answer = _open(model, phase, stage, class_name, arg, level=level).why(
        _spec(input, alias), error=text, dialect=dialect, run=not no_run
    )
    if json:
        _print_json(answer.to_dict())
    else:
        from ..report.console import make_console
        from ..report.why import print_why

        print_why(make_console(), answer)
    return 0


def _said(text: str, json: bool) -> int:
    """A text without its model."""
    from ..said import recognise
    from ..said.meaning import tell
    from ..why import said_dict

    said = recognise(text)
    told = tell(said) if said is not None else None
    if json:
        _print_json({"schema": "shapecalc.why/1", "model": None, "error": said_dict(text, said, told)})
    else:
        from ..report.console import make_console
        from ..report.why import print_said

        print_said(make_console(), said, told)
    return 0


def match(
    definition: Annotated[
        str, typer.Argument(metavar="DEFINITION", help="A Caffe, Chainer or Keras file, or a zoo name.")
    ],
    weights: Annotated[str, typer.Argument(metavar="WEIGHTS", help="A .caffemodel, .npz, .h5 or .keras.")],
    input: InputOption = None,  # noqa: A002  the contract's word
    alias: InputAlias = None,
    error: Annotated[
        str | None, typer.Option("--error", metavar="TEXT", help="What Caffe or Chainer said: which weights it means.")
    ] = None,
    phase: PhaseOption = "TEST",
    stage: StageOption = None,
    level: LevelOption = None,
    class_name: ClassOption = None,
    arg: ArgOption = None,
    json: JsonOption = False,
) -> int:
    """Which weights of a file load into which layer, and why not; exit 1 if not all do."""
    from ..match import recognised

    found = _open(definition, phase, stage, class_name, arg, level=level).match(weights, input=_spec(input, alias))
    about = recognised(found, error) if error is not None else None
    if json:
        named = None if about is None else [row.to_dict() for row in about]
        _print_json(found.to_dict() | {"about_error": named})
    else:
        from ..report.console import make_console
        from ..report.matching import print_match

        print_match(make_console(), found, about)
    return 0 if found.ok else 1


def zoo(json: JsonOption = False) -> int:
    """The definitions that ship."""
    from .. import zoo as catalogue

    rows = {name: entry.row for name, entry in catalogue.entries().items()}
    if json:
        _print_json({"schema": "shapecalc.zoo/1", "models": rows})
    else:
        from ..report.console import make_console
        from ..report.words import print_zoo

        print_zoo(make_console(), rows)
    return 0
