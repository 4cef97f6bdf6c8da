"""The help of the program and of each command, from the declarations of what they take."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence

from .declared import Argument, Command, Parameter

#: Lines longer than this are hard to read, however wide the terminal is.
WIDEST = 80
#: A name longer than this has its text on the lines below it.
NAME = 24


def of_program(itself: Command, commands: Mapping[str, Callable[..., int]]) -> str:
    """The help of ``shapecalc``: what it is for, its options, its commands."""
    rows = [(name, (function.__doc__ or "").partition("\n")[0]) for name, function in commands.items()]
    return _page(
        "[OPTIONS] COMMAND ...", itself.function.__doc__, [("Options", _options(itself.takes)), ("Commands", rows)]
    )


def of_command(name: str, command: Command) -> str:
    """The help of one command: its docstring, its arguments and its options."""
    arguments = [p for p in command.takes if isinstance(p.said, Argument)]
    usage = " ".join([name, "[OPTIONS]", *(p.said.metavar for p in arguments)])
    rows = [(p.said.metavar, p.said.help) for p in arguments]
    return _page(usage, command.function.__doc__, [("Arguments", rows), ("Options", _options(command.takes))])


def _options(takes: Sequence[Parameter]) -> list[tuple[str, str]]:
    """Name and text of every option that is shown."""
    shown = [p for p in takes if p.said.names and not p.said.hidden]
    return [(_named(parameter), parameter.said.help + _default(parameter)) for parameter in shown]


def _named(parameter: Parameter) -> str:
    names = ", ".join(sorted(parameter.said.names, key=len))
    return names if parameter.is_switch else f"{names} {parameter.said.metavar or 'VALUE'}"


def _default(parameter: Parameter) -> str:
    silent = parameter.default is None or parameter.default is False or parameter.default == ""
    return "" if silent else f" [default: {parameter.default}]"


def _page(usage: str, text: str | None, tables: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    lines = [f"Usage: shapecalc {usage}", "", *_wrapped(text or "", width, "  ")]
    for title, rows in tables:
        if rows:
            lines += ["", f"{title}:", *_table(rows, width)]
    return "\n".join(lines)


def _table(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    column = max((len(name) for name, _ in rows if len(name) <= NAME), default=NAME) + 2
    lines = []
    for name, text in rows:
        inside = _wrapped(text, width, " " * (column + 2))
        if len(name) + 2 <= column and inside:
            inside[0] = f"  {name:<{column}}{inside[0].lstrip()}"
            lines += inside
        else:
            lines += [f"  {name}", *inside]
    return lines


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent)
