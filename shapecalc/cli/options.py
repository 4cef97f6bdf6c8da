"""The options that commands share, alone and in groups; heavy modules are imported inside."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
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
PathOption = Annotated[
    str | None, typer.Option("--path", metavar="DIR", help="Chainer: a folder besides its own with modules it imports.")
]
ArgOption = Annotated[
    list[str] | None,
    typer.Option(
        "--arg", metavar="NAME=VALUE", help="Chainer: an argument of its constructor; Caffe: a field written ?."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EveryOption = Annotated[
    bool, typer.Option("--all", help="ONNX: list layers that only sizes and weights go through as well.")
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu or cuda.")]
OutputOption = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to write.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of made-up weights and images.")]
WeightsOption = Annotated[
    str | None, typer.Option("--weights", metavar="FILE", help="Trained weights: a .caffemodel, .npz, .h5 or .keras.")
]
InitOption = Annotated[bool, typer.Option("--init", help="Write initialised weights, not placeholders.")]
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
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would change; run and write nothing.")]
SavePlanOption = Annotated[
    Path | None, typer.Option("--save-plan", metavar="FILE", help="Write the plan as JSON, for shapecalc replay.")
]


class Group:
    """Options that go together: a command takes one as one parameter, and the command line shows its fields."""


@dataclass(frozen=True, eq=False, repr=False)
class Asked(Group):
    """The input that a command is asked about."""

    input: InputOption = None
    alias: InputAlias = None

    @property
    def spec(self) -> Any:
        """What `literal` reads: a text, several, or None."""
        given = [*(self.input or []), *(self.alias or [])]
        return given if len(given) > 1 else given[0] if given else None


@dataclass(frozen=True, eq=False, repr=False)
class Reading(Group):
    """How a definition is read."""

    phase: PhaseOption = "TEST"
    stage: StageOption = None
    level: LevelOption = None
    class_name: ClassOption = None
    arg: ArgOption = None
    path: PathOption = None

    def open(self, name: str, weights: str | None = None, *, filled: Mapping[str, Any] | None = None) -> Model:
        """The model, and its warnings on stderr unless holes of it are being ``filled`` one after another."""
        from ..model import load

        model = load(
            name,
            phase=self.phase,
            stages=tuple(self.stage or ()),
            level=self.level,
            class_name=self.class_name,
            arguments={**_arguments(self.arg or []), **(filled or {})},
            path=self.path,
            weights=weights,
        )
        if filled is None:
            _warn(model.graph)
        return model


@dataclass(frozen=True, eq=False, repr=False)
class Writing(Group):
    """How a result is proved and where it is written."""

    output: OutputOption = None
    overwrite: OverwriteOption = False
    init: InitOption = False
    seed: SeedOption = 0
    device: DeviceOption = "auto"
    no_verify: NoVerifyOption = False

    def saving(self) -> dict[str, Any]:
        """What `Plan.save` and `Model.convert` take alike."""
        return {"overwrite": self.overwrite, "init": self.init, "seed": self.seed, "device": self.device}


@dataclass(frozen=True, eq=False, repr=False)
class Changing(Writing):
    """How a plan is carried out."""

    external: ExternalOption = None
    dry_run: DryRunOption = False


def grouped(command: Callable[..., int]) -> Callable[..., int]:
    """The command as typer reads it: each parameter that is a `Group` gives way to the options in it."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and issubclass(kind, Group)}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        group = groups.get(parameter.name)
        options += _options(group) if group else [_option(parameter.name, hints[parameter.name], parameter.default)]

    def called(**given: Any) -> int:
        made = {name: kind(**{f.name: given.pop(f.name) for f in _fields(kind)}) for name, kind in groups.items()}
        return command(**given, **made)

    called.__doc__ = command.__doc__
    called.__annotations__ = {option.name: option.annotation for option in options}
    setattr(called, "__signature__", inspect.Signature(options))  # noqa: B010  no attribute that mypy knows
    return called


def _options(group: type[Group]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [_option(field.name, hints[field.name], field.default) for field in _fields(group)]


def _fields(group: type[Any]) -> tuple[Any, ...]:
    return fields(group)


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


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


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    from ..errors import UsageError

    try:
        found = tuple(float(part) for part in text.split(",")) if text else ()
        if not all(map(math.isfinite, found)):
            raise ValueError
        return found
    except ValueError:
        raise UsageError(f"{option} {text}: these are no numbers", "E002", hint=f"{option} 123.7,116.8,103.9") from None


def _warn(graph: Graph) -> None:
    if SETTINGS.quiet or not graph.warnings:
        return
    shown = graph.warnings if SETTINGS.verbose else graph.warnings[:3]
    for text in shown:
        print(f"warning: {text}", file=sys.stderr)
    if len(shown) < len(graph.warnings):
        print(f"warning: {len(graph.warnings) - len(shown)} more; shapecalc -v shows them", file=sys.stderr)


def print_json(value: dict[str, Any]) -> None:
    """An answer as JSON on stdout."""
    import json

    coded = (sys.stdout.encoding or "ascii").lower().replace("-", "").startswith("utf")
    print(json.dumps(value, indent=1, ensure_ascii=not coded, default=str))
