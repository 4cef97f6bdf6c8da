"""Where things come from: a span of a source file, and patches made of such spans.

Every node of a graph remembers the exact span of its source, so an edit is a set of span replacements and everything
else is copied as it was (docs/decisions/0006-patch-not-rebuild.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import AnyStr, NamedTuple


class Span(NamedTuple):
    """Half-open range ``[start, end)`` of a source: characters of a text file, bytes of a binary one."""

    start: int
    end: int


class Origin:
    """What a node was in its own file, so that messages speak the user's language.

    ``file`` is the path as the user gave it, ``line`` counts from 1 (None in binary files), ``op`` is the framework's
    own type, ``span`` covers the whole definition, and ``parts`` names spans inside it that an edit may replace
    (``{"num_output": Span(…)}``).
    """

    __slots__ = ("file", "line", "op", "parts", "span")

    def __init__(
        self,
        file: str | None = None,
        line: int | None = None,
        op: str = "",
        span: Span | None = None,
        parts: Mapping[str, Span] | None = None,
    ) -> None:
        self.file = file
        self.line = line
        self.op = op
        self.span = span
        self.parts = dict(parts or {})

    @property
    def location(self) -> str | None:
        """``file:line`` where both are known, else ``file``, else None."""
        if self.file and self.line:
            return f"{self.file}:{self.line}"
        return self.file

    def __repr__(self) -> str:
        return f"Origin({self.location!r}, op={self.op!r})"


def apply_patch(source: AnyStr, replacements: Iterable[tuple[Span, AnyStr]]) -> AnyStr:
    """``source`` with every span replaced; all other characters exactly as they were.

    Raises ValueError for spans that overlap or lie outside the source: such a patch has no single meaning.
    """
    pieces: list[AnyStr] = []
    position = 0
    for span, text in sorted(replacements, key=lambda row: row[0]):
        if span.start < position or span.end < span.start or span.end > len(source):
            raise ValueError(f"span {span.start}..{span.end} overlaps or leaves the source of {len(source)}")
        pieces += [source[position : span.start], text]
        position = span.end
    pieces.append(source[position:])
    return source[:0].join(pieces)


def line_of(text: str, position: int) -> int:
    """Line number, from 1, of a character position."""
    return text.count("\n", 0, position) + 1
