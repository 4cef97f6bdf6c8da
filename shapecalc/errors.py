"""Everything that can go wrong, as one tree.

ShapecalcError
├── UsageError         exit 2: a shape literal, an option, an output that exists
├── ModelError         exit 3: a definition that cannot be found, read or understood
├── RefusedError       exit 4: surgery that cannot be done, or a proof that failed; nothing was written
└── DeviceError        exit 5: the device that was asked for does not run

What is wrong *in* a net (a fan-in that does not fit) is not an error: `trace` records it as a `Problem`, a value, and
goes on. Both are written in one form: ``file:line: error[E101 fan-in]: the rule, then the numbers``, then expected,
actual, because, try.
"""

from __future__ import annotations

import sys

#: code -> title. E0 usage, E1 problems of a net, E2 reading, E3 surgery, E4 verification, E5 devices.
TITLES = {
    "E001": "shape literal",
    "E002": "option",
    "E003": "output",
    "E101": "fan-in",
    "E102": "channels",
    "E103": "kernel too large",
    "E104": "groups",
    "E105": "join",
    "E106": "reshape",
    "E107": "element type",
    "E108": "rank",
    "E109": "attribute",
    "E110": "runtime",
    "E111": "operator",
    "E112": "opset",
    "E201": "unknown model",
    "E202": "unreadable",
    "E203": "syntax",
    "E204": "unsupported layer",
    "E205": "unknown value",
    "E206": "duplicate value",
    "E207": "unknown size",
    "E208": "missing weights",
    "E209": "weight shape",
    "E301": "no head",
    "E302": "no repair",
    "E303": "edit",
    "E304": "saved plan",
    "E401": "shape differs",
    "E402": "numbers differ",
    "E403": "refused by onnxruntime",
    "E404": "memory",
    "E501": "device",
}


def headline(code: str, message: str, location: str | None, severity: str = "error") -> str:
    """The first line of every error: where, which kind, what."""
    where = f"{location}: " if location else ""
    return f"{where}{severity}[{code} {TITLES[code]}]: {message}"


def details(expected: str | None, actual: str | None, because: str | None, hint: str | None) -> list[str]:
    """The lines under a headline, in their fixed order; absent ones are left out."""
    rows = (("expected", expected), ("actual", actual), ("because", because), ("try", hint))
    return [f"  {label:<9}{text}" for label, text in rows if text]


def pip_install(package: str) -> str:
    """The command that installs a package where shapecalc runs, pasted into any shell."""
    import shlex

    return f"{shlex.quote(sys.executable)} -m pip install {shlex.quote(package)}"


class ShapecalcError(Exception):
    """Base of every error shapecalc raises on purpose.

    ``message`` states the rule and the numbers; ``location`` is ``file:line`` or a layer; ``hint`` is the way out.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        code: str = "E202",
        *,
        location: str | None = None,
        expected: str | None = None,
        actual: str | None = None,
        because: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.location = location
        self.expected = expected
        self.actual = actual
        self.because = because
        self.hint = hint

    def __str__(self) -> str:
        first = headline(self.code, self.message, self.location)
        return "\n".join([first, *details(self.expected, self.actual, self.because, self.hint)])


class UsageError(ShapecalcError):
    """The question itself makes no sense: a shape literal, an option, an output path."""

    exit_code = 2


class ModelError(ShapecalcError):
    """A definition that cannot be found, read or understood."""

    exit_code = 3


class RefusedError(ShapecalcError):
    """An edit that cannot be carried out, or whose proof failed; nothing was written.

    It cannot be made without its cause (``because``, with the numbers) and the way out (``hint``); blank ones raise
    ValueError.
    """

    exit_code = 4

    def __init__(
        self,
        message: str,
        code: str,
        *,
        because: str,
        hint: str,
        location: str | None = None,
        expected: str | None = None,
        actual: str | None = None,
    ) -> None:
        for word, text in (("cause", because), ("way out", hint)):
            if not text.strip():
                raise ValueError(f"a refusal needs its {word}: {message}")
        super().__init__(message, code, location=location, expected=expected, actual=actual, because=because, hint=hint)


class DeviceError(ShapecalcError):
    """The device that was asked for is not available; there is no silent fallback."""

    exit_code = 5
