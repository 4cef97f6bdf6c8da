"""Words of a command line as the values of a command's parameters.

As POSIX and GNU have it: options and arguments in any order, ``--name value``, ``--name=value``, ``-i224``, ``-vq``,
everything after ``--`` an argument. An option takes the next word whatever it looks like: ``-i -1x3x224x224`` has a
shape.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..errors import UsageError
from .declared import Argument, Option, Parameter

#: Types whose text can be wrong -> what it should have been.
NUMBERS = {int: "a whole number", float: "a number"}


class Words(NamedTuple):
    """A command line taken apart: by parameter what it was called and given, the arguments, what was not looked at."""

    options: dict[str, list[tuple[str, str]]]
    loose: list[str]
    rest: list[str]


def take_apart(words: Iterable[str], takes: Sequence[Parameter], *, to_command: bool = False) -> Words:
    """Which word is an option, its value or an argument; ``to_command`` stops at the first argument.

    Raises UsageError for an option there is not, and for one without the value it wants or with one it does not want.
    """
    known = {name: parameter for parameter in takes for name in parameter.said.names}
    found = Words({}, [], [])
    left = deque(words)
    while left:
        word = left.popleft()
        if word == "--":
            break
        if word == "-" or not word.startswith("-"):
            found.loose.append(word)
            if to_command:
                break
        elif word.startswith("--"):
            name, equals, text = word.partition("=")
            _take(found, known, name, text if equals else None, left)
        else:
            _take_short(found, known, word, left)
    found.loose.extend([] if to_command else left)
    found.rest.extend(left if to_command else [])
    return found


def _take_short(found: Words, known: dict[str, Parameter], word: str, left: deque[str]) -> None:
    """``-i``, ``-i224`` or several switches, ``-vq``."""
    for place in range(1, len(word)):
        name = f"-{word[place]}"
        parameter = known.get(name)
        if parameter is not None and not parameter.is_switch:
            _take(found, known, name, word[place + 1 :] or None, left)
            return
        _take(found, known, name, None, left)


def _take(found: Words, known: dict[str, Parameter], name: str, text: str | None, left: deque[str]) -> None:
    parameter = known.get(name)
    if parameter is None:
        shown = [other for other, p in known.items() if not p.said.hidden]
        raise UsageError(f"there is no option {name}", "E002", hint=near(name, shown) or "--help shows them")
    if parameter.is_switch and text is not None:
        raise UsageError(f"{name} takes no value, not {text!r}", "E002", hint=f"write {name} alone")
    if not parameter.is_switch and text is None:
        if not left:
            wanted = parameter.said.metavar or "VALUE"
            raise UsageError(f"{name} wants a value", "E002", hint=f"write {name} {wanted}")
        text = left.popleft()
    found.options.setdefault(parameter.name, []).append((name, text or ""))


def near(word: str, others: Iterable[str]) -> str | None:
    """The names that look like a word, as a hint."""
    import difflib

    found = difflib.get_close_matches(word, list(others), 3)
    return f"near: {', '.join(found)}" if found else None


def values(found: Words, takes: Sequence[Parameter]) -> dict[str, Any]:
    """The value of every parameter by name. Raises UsageError for what is missing, too much, or of another type."""
    given = dict(found.options)
    left = deque(found.loose)
    for parameter in takes:
        if isinstance(parameter.said, Argument) and left:
            count = len(left) if parameter.many else 1
            given[parameter.name] = [(parameter.said.metavar, left.popleft()) for _ in range(count)]
    if left:
        raise UsageError(f"{left[0]!r} is one argument too many", "E002", hint="--help shows what it takes")
    return {parameter.name: _value(parameter, given.get(parameter.name)) for parameter in takes}


def _value(parameter: Parameter, given: list[tuple[str, str]] | None) -> Any:
    if given is None:
        if parameter.required:
            raise UsageError(f"{parameter.said.metavar} is missing", "E002", hint=f"name it. {parameter.said.help}")
        return parameter.default
    if parameter.is_switch:
        return True
    read = [_read(parameter, name, text) for name, text in given]
    return read if parameter.many else read[-1]


def _read(parameter: Parameter, name: str, text: str) -> Any:
    """One value. Raises UsageError where it is not of its type or out of bounds."""
    try:
        value = parameter.kind(text)
    except ValueError:
        raise UsageError(f"{name} {text} is not {NUMBERS[parameter.kind]}", "E002") from None
    if parameter.kind in NUMBERS and isinstance(parameter.said, Option):
        low, high = parameter.said.min, parameter.said.max
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            bounds = [f"{low} or more"] * (low is not None) + [f"{high} or less"] * (high is not None)
            raise UsageError(f"{name} {text} is out of bounds", "E002", expected=", ".join(bounds))
    return value
