"""What typer refuses, said as every other error is: what was typed, what is wanted instead, and where help is.

typer's own words differ between its versions, and some do not name the value ("Input should be greater than or equal
to 1"). Its exceptions are told by their attributes: older versions take them from click, newer bring their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from ..errors import UsageError

#: What typer says of a value -> what is wanted.
WANTED = (
    (re.compile(r"(?:greater than or equal to |x>=)(\d+)"), "at least {} is wanted"),
    (re.compile(r"(?:less than or equal to |x<=)(\d+)"), "at most {} is wanted"),
    (re.compile(r"valid (int)"), "a whole number is wanted"),
    (re.compile(r"valid (number|float)"), "a number is wanted"),
)

EXTRA = re.compile(r"unexpected extra arguments?(?:\(s\))? \((.*)\)")
SHAPE = re.compile(r"\d+(?:[x×,]\d+)*")


def refused(error: Any, command: str, arguments: Sequence[str]) -> UsageError:
    """The error for one of typer's about these words; ``command`` is how the command is called."""
    text, help_ = str(error.format_message()), f"{command} --help lists what there is"
    param = getattr(error, "param", None)
    if param is not None and text.startswith("Missing"):
        name = str(param.metavar or param.name)
        return UsageError(f"{name} is missing", "E002", hint=f"{_lower(param.help)}; {help_}")
    if param is not None:
        return UsageError(_value(param.opts, text, arguments), "E002", hint=f"{command} --help says what it takes")
    option = getattr(error, "option_name", None)
    if option is not None and "such option" in text:
        near = get_close_matches(option, _shown(error), n=1)
        return UsageError(f"no option {option}", "E002", hint=f"did you mean {near[0]}?" if near else help_)
    if (extra := EXTRA.search(text)) is not None:
        hint = f"--input {extra[1]}" if SHAPE.fullmatch(extra[1]) else help_
        return UsageError(f"too many words: {extra[1]}", "E002", hint=hint)
    first, _, suggestion = text.partition(". ")
    return UsageError(_lower(first).rstrip("."), "E002", hint=_lower(suggestion) or help_)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _value(options: Sequence[str], text: str, arguments: Sequence[str]) -> str:
    """``--plan 0: at least 1 is wanted``."""
    typed = next((option for option in options if option in arguments), None)
    if typed is not None:
        at = arguments.index(typed)
        said = " ".join([typed, *arguments[at + 1 : at + 2]])
    else:
        said = next((word for word in arguments if word.partition("=")[0] in options), options[0])
    found = ((pattern.search(text), words) for pattern, words in WANTED)
    reason = next((words.format(hit[1]) for hit, words in found if hit), text.rpartition(": ")[2])
    return f"{said}: {reason}"


def _shown(error: Any) -> list[str]:
    """The options that help shows."""
    context = getattr(error, "ctx", None)
    params = context.command.get_params(context) if context is not None else []
    return [option for param in params if not getattr(param, "hidden", False) for option in param.opts]
