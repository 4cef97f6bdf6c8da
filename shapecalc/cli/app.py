"""The typer application, its errors and its exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer

from ..errors import ShapecalcError, UsageError
from .options import SETTINGS, grouped


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(f"shapecalc {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("-V", "--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more: warnings, tracebacks of errors.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but the answer.")] = False,
) -> None:
    """Open any network definition, see every shape and why, change it, and prove the change by running it."""
    SETTINGS.verbose = verbose
    SETTINGS.quiet = quiet


class Command(NamedTuple):
    """Where a command is, and what the list of all says of it: in 80 columns, where typer would cut the docstring."""

    module: str
    about: str

    def run(self, name: str) -> Callable[..., int]:
        """The function called ``name``; the modules of the other commands are not loaded."""
        function: Callable[..., int] = getattr(import_module(f".{self.module}", __package__), name)
        return function


#: The commands in the order in which help shows them.
COMMANDS: dict[str, Command] = {
    "trace": Command("commands", "Every layer's shape with its formula; what does not fit, and why."),
    "sizes": Command("commands", "Every input size that fits, and which layer forbids the rest."),
    "why": Command("commands", "Why an input does not fit, or what a framework's error means."),
    "cost": Command("costing", "Parameters, multiply-accumulates and memory by layer."),
    "retarget": Command("changing", "Other classes, another input size: edited, run, then written."),
    "cut": Command("changing", "A feature extractor, equal to the original's tensor there."),
    "replay": Command("replaying", "A saved plan, done on a model of the same layers."),
    "convert": Command("changing", "The definition as runnable ONNX."),
    "match": Command("commands", "Which trained weights load into which layer, and why not."),
    "verify": Command("checking", "Predicted against executed, tensor by tensor."),
    "check": Command("checking", "Whether many files fit and run at many sizes, for CI."),
    "zoo": Command("commands", "The definitions that ship."),
}

#: Under the list of commands.
STARTS = """To begin:

\b
  shapecalc trace alexnet --input 256
  shapecalc retarget alexnet --classes 13 --input 256

Exit status: 0 answered; 1 the answer is no; 2 usage; 3 unreadable model; 4 refused, nothing written; 5 no such device.
"""


def application(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The typer application with these commands, or all."""
    made = typer.Typer(
        name="shapecalc",
        help=root.__doc__,
        epilog=STARTS,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(root)
    for name in names:
        made.command(name, short_help=COMMANDS[name].about)(grouped(COMMANDS[name].run(name)))
    return made


def _for(arguments: Sequence[str]) -> typer.Typer:
    """The application with the command that is called, or with all: typer reads every option of every command."""
    return application([named]) if (named := _named(arguments)) else application()


def _named(arguments: Sequence[str]) -> str:
    """The command that is called, empty where none is."""
    first = next((word for word in arguments if not word.startswith("-")), "")
    return first if first in COMMANDS else ""


INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and gives the exit status; every expected error is one message on stderr."""
    SETTINGS.reset()
    _need_streams()
    try:
        result: Any = _for(arguments)(list(arguments), standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except ShapecalcError as error:
        _show(error)
        return error.exit_code
    except BrokenPipeError:
        # the reader (head, less) has seen enough; nothing more can be flushed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except (OSError, MemoryError) as error:
        words = getattr(error, "strerror", None) or "there is not enough memory for this"
        print(f"error: {words}: {getattr(error, 'filename', None) or 'shapecalc'}", file=sys.stderr)
        return UsageError.exit_code
    except Exception as error:
        show, status = getattr(error, "show", None), getattr(error, "exit_code", None)
        if show is None or status is None:
            raise  # a defect of shapecalc: the traceback is what a report needs
        if not arguments:
            show()  # the help
        else:
            from .usage import refused

            _show(refused(error, f"shapecalc {_named(arguments)}".strip(), arguments))
        return int(status)


def _need_streams() -> None:
    """Python leaves None where a caller closed stdout or stderr (``>&-``): what is written there is for nobody."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  until the process ends


def _show(error: ShapecalcError) -> None:
    if SETTINGS.verbose:
        import traceback

        traceback.print_exc()
    from ..report.console import make_console
    from ..report.words import print_error

    print_error(make_console(sys.stderr), error)
