"""The typer application, its errors and its exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer

from ..errors import ShapecalcError, UsageError
from . import changing, checking, commands, costing, replaying
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


#: The commands in the order in which help shows them.
COMMANDS: dict[str, Callable[..., int]] = {
    "trace": commands.trace,
    "sizes": commands.sizes,
    "why": commands.why,
    "cost": costing.cost,
    "retarget": changing.retarget,
    "cut": changing.cut,
    "replay": replaying.replay,
    "convert": changing.convert,
    "match": commands.match,
    "verify": checking.verify,
    "check": checking.check,
    "zoo": commands.zoo,
}


def application(names: Iterable[str]) -> typer.Typer:
    """The typer application with these commands."""
    made = typer.Typer(
        name="shapecalc",
        help=root.__doc__,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(root)
    for name in names:
        made.command(name)(grouped(COMMANDS[name]))
    return made


app = application(COMMANDS)


def _for(arguments: Sequence[str]) -> typer.Typer:
    """The application with the command that is called, or with all: typer reads every option of every command."""
    named = next((word for word in arguments if not word.startswith("-")), "")
    return application([named]) if named in COMMANDS else app


INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and gives the exit status; every expected error is one message on stderr."""
    SETTINGS.reset()
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
        show()
        return int(status)


def _show(error: ShapecalcError) -> None:
    if SETTINGS.verbose:
        import traceback

        traceback.print_exc()
    from ..report.console import make_console
    from ..report.words import print_error

    print_error(make_console(sys.stderr), error)
