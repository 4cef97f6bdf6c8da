"""The program: its commands, its errors and its exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

from ..errors import ShapecalcError, UsageError
from . import changing, checking, commands, costing, replaying
from .declared import Command, Option
from .options import SETTINGS
from .reading import near, take_apart, values


def program(
    version: Annotated[bool, Option("-V", "--version", help="Print the version.")] = False,
    verbose: Annotated[bool, Option("-v", "--verbose", help="Say more: warnings, tracebacks of errors.")] = False,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Say nothing but the answer.")] = False,
) -> int:
    """Open any network definition, see every shape and why, change it, and prove the change by running it."""
    if version:
        from .. import __version__

        print(f"shapecalc {__version__}")
    SETTINGS.verbose = verbose
    SETTINGS.quiet = quiet
    return 0


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


def _called(arguments: Sequence[str]) -> int:
    """Reads the words and runs what they call. Raises UsageError for words that make no sense."""
    itself = Command(program)
    words = take_apart(arguments, itself.takes, to_command=True)
    if "help" in words.options or not arguments:
        from .helping import of_program

        print(of_program(itself, COMMANDS), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else UsageError.exit_code
    itself.call(values(words._replace(loose=[]), itself.takes))
    if "version" in words.options:
        return 0
    if not words.loose:
        raise UsageError("no command is named", "E002", hint="shapecalc --help lists them")
    return _command(words.loose[0], words.rest)


def _command(name: str, arguments: Sequence[str]) -> int:
    if name not in COMMANDS:
        hint = near(name, COMMANDS) or "shapecalc --help lists them"
        raise UsageError(f"there is no command {name!r}", "E002", hint=hint)
    command = Command(COMMANDS[name])
    words = take_apart(arguments, command.takes)
    if "help" in words.options:
        from .helping import of_command

        print(of_command(name, command))
        return 0
    return command.call(values(words, command.takes))


INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and gives the exit status; every expected error is one message on stderr."""
    SETTINGS.reset()
    try:
        status = _called(arguments)
        sys.stdout.flush()
        return status
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


def _show(error: ShapecalcError) -> None:
    if SETTINGS.verbose:
        import traceback

        traceback.print_exc()
    from ..report.console import make_console
    from ..report.words import print_error

    print_error(make_console(sys.stderr), error)
