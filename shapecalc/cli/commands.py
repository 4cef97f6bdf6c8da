"""The commands: parse, ask the model, hand the answer to the report. Heavy modules are imported inside."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Asked, EveryOption, JsonOption, ModelArgument, Reading, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model import Model


def trace(
    model: ModelArgument,
    *,
    asked: Asked,
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
    receptive: Annotated[
        bool, typer.Option("--receptive", help="What each layer sees: field, jump, start, share that sees padding.")
    ] = False,
    every: EveryOption = False,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """Every layer's shape with its formula and cost; then what does not fit, why, and what would."""
    from ..errors import UsageError

    net = reading.open(model)
    if dialect is not None and "," in dialect:
        if receptive:
            raise UsageError("--receptive looks at one dialect", "E002", hint="--dialect caffe")
        return _compared(net, asked.spec, dialect, fresh, strict, every, json)
    found = net.trace(asked.spec, fresh=fresh, dialect=dialect)
    advice = net.advice(found) if found.problems else None
    if json:
        print_json(found.to_dict() | {"model": net.name, "advice": advice.to_dict() if advice is not None else None})
    elif receptive:
        from ..report.console import make_console
        from ..report.fields import print_fields

        print_fields(make_console(), net, found)
    else:
        from ..report.console import make_console
        from ..report.words import print_trace

        print_trace(make_console(), net, found, advice, every=every)
    return 1 if strict and not found.ok else 0


def _compared(net: Model, spec: Any, dialects: str, fresh: bool, strict: bool, every: bool, json: bool) -> int:
    """Several dialects side by side."""
    found = net.compare(spec, dialects=dialects.split(","), fresh=fresh)
    if json:
        print_json(found.to_dict())
    else:
        from ..report.comparing import print_comparison
        from ..report.console import make_console

        print_comparison(make_console(), found, every=every)
    return 1 if strict and not found.ok else 0


def sizes(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A file or a zoo name.")] = "alexnet",
    *,
    asked: Asked,
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
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """Every input size that fits, in closed form, and which layer forbids the rest."""
    from ..report import sizing

    spec = asked.spec

    def opened(filled: Mapping[str, Any] | None) -> Model:
        return reading.open(model, filled=filled)

    if solve is not None:
        from ..sizes.holes import Ends, answered

        answer = answered(solve, opened, spec, dialect, Ends(before, after))
        print_json(answer.to_dict()) if json else sizing.print_solved(answer)
        return 0
    net = opened(None)
    question = sizing.Question(net, spec, limit, exact, [*dialect.split(",")] if dialect else [None])
    if emit is not None:
        options, note = question.emitted(emit)
        print(options)
        if note:
            print(f"note: {note}", file=sys.stderr)
    elif json:
        print_json(question.to_dict(near))
    else:
        question.show(near)
    return 0


def why(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A file or a zoo name; without one, --error alone.")
    ] = None,
    *,
    asked: Asked,
    error: Annotated[
        str | None, typer.Option("--error", metavar="TEXT", help="What a framework said; - reads it from stdin.")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option("--dialect", metavar="NAME", help="Another framework's rounding.")
    ] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Only trace what would help, do not execute it.")] = False,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """Why an input does not fit or a framework complains, and what would help, each tried."""
    from ..errors import UsageError

    text = _typed(error)
    if model is None:
        if text is None:
            raise UsageError("nothing was asked", "E002", hint="name a model, or --error 'what the framework said'")
        return _said(text, json)
    answer = reading.open(model).why(asked.spec, error=text, dialect=dialect, run=not no_run)
    if json:
        print_json(answer.to_dict())
    else:
        from ..report.console import make_console
        from ..report.why import print_why

        print_why(make_console(), answer)
    return 0


def _typed(error: str | None) -> str | None:
    """What ``--error`` says, from stdin where it says ``-``. Raises UsageError where that is nothing."""
    from ..errors import UsageError

    text = error
    if error == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "replace") if sys.stdin is not None else ""
    if text is not None and not text.strip():
        raise UsageError(
            "--error is empty", "E002", hint="--error 'what the framework said', or - and the text on stdin"
        )
    return text


def _said(text: str, json: bool) -> int:
    """A text without its model."""
    from ..said import recognise
    from ..said.meaning import tell
    from ..why import said_dict

    said = recognise(text)
    told = tell(said) if said is not None else None
    if json:
        print_json({"schema": "shapecalc.why/1", "model": None, "error": said_dict(text, said, told)})
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
    *,
    asked: Asked,
    error: Annotated[
        str | None, typer.Option("--error", metavar="TEXT", help="What Caffe or Chainer said: which weights it means.")
    ] = None,
    reading: Reading,
    json: JsonOption = False,
) -> int:
    """Which weights of a file load into which layer, and why not; exit 1 if not all do."""
    from ..match import recognised

    found = reading.open(definition).match(weights, input=asked.spec)
    about = recognised(found, error) if error is not None else None
    if json:
        named = None if about is None else [row.to_dict() for row in about]
        print_json(found.to_dict() | {"about_error": named})
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
        print_json({"schema": "shapecalc.zoo/1", "models": rows})
    else:
        from ..report.console import make_console
        from ..report.words import print_zoo

        print_zoo(make_console(), rows)
    return 0
