"""The console: colours for people, plain text for pipes, a width that is never guessed too small."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, TextIO

from rich.console import Console

#: Without a terminal nothing wraps: a table is as wide as it needs to be, up to this.
PIPE_WIDTH = 160

#: For terminals that cannot show them.
PLAIN = str.maketrans(dict(zip("×·−⌊⌋⌈⌉…✓✗≡─", "x*-[][]~vx=-", strict=True)))

#: Signs that one letter alone would turn into another meaning; the gap behind them gives the place where it can.
WIDE = {"≠": "!=", "≤": "<=", "→": "->"}
_WIDE_AND_GAP = re.compile(f"([{''.join(WIDE)}])((?:(?!  ).)*)(?: (?= {{2}}))?")


def plain(text: str) -> str:
    """A text in ASCII's nearest signs, its columns where they were as far as the gaps allow."""
    while _WIDE_AND_GAP.search(text):
        text = _WIDE_AND_GAP.sub(lambda found: WIDE[found[1]] + found[2], text, count=1)
    return text.translate(PLAIN)


class Tidy:
    """A text stream without blanks at line ends, in the nearest signs its encoding has."""

    def __init__(self, stream: TextIO, plain: bool) -> None:
        self._stream = stream
        self._plain = plain

    def write(self, text: str) -> int:
        """Writes whole lines, tidied."""
        text = re.sub(r" +(?=\n|$)", "", text)
        if self._plain:
            encoding = self._stream.encoding or "ascii"
            text = plain(text).encode(encoding, errors="replace").decode(encoding)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def speaks_unicode(stream: TextIO) -> bool:
    """Whether a stream has the signs that reports are written with."""
    try:
        "×⌈→✓─".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class Output(Console):
    """A console that lets its caller know when the reader has left; rich would end the process with status 1."""

    def on_broken_pipe(self) -> None:
        """Called by rich where a pipe is closed."""
        raise BrokenPipeError


def make_console(stream: TextIO | None = None) -> Console:
    """A console on ``stream`` (stdout): honours NO_COLOR, COLUMNS and pipes."""
    out = stream if stream is not None else sys.stdout
    width = None if out.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    ascii_only = not speaks_unicode(out)
    file: Any = out if out.isatty() and not ascii_only else Tidy(out, ascii_only)
    return Output(file=file, width=width, highlight=False, soft_wrap=False, emoji=False)
