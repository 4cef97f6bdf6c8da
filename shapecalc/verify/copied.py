"""What of the original is in a written file, counted from the pieces it was written of, not from what was meant.

A tensor is copied where its numbers lie inside a span that was written verbatim: the bytes were never decoded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from ..dims import product
from ..formats.onnx.encode import element_type
from ..formats.onnx.pieces import Pieces
from ..graph import Graph, Param
from ..source import Span
from .onnx_file import is_placeholder


class Count(NamedTuple):
    """So many tensors of so many bytes together."""

    tensors: int = 0
    bytes: int = 0


class Copied(NamedTuple):
    """Tensors of a written ONNX file by where their numbers come from.

    ``copied`` verbatim from the original; ``beside`` left in the files beside it; ``encoded``: the original's, in
    another form; ``new``: made by an edit; ``placeholders``: without numbers.
    """

    copied: Count
    beside: Count
    encoded: Count
    new: Count
    placeholders: Count

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON prints them."""
        return {name: count._asdict() for name, count in self._asdict().items()}

    def describe(self) -> list[str]:
        """A line for each kind that there is; copied ones even where there are none."""
        shown = [(words, count) for words, count in zip(WORDS, self, strict=True) if count.tensors or words is WORDS[0]]
        return [words.format(f"{count.tensors:,} tensors ({count.bytes:,} bytes)") for words, count in shown]


WORDS = (
    "{} lie inside spans that were copied verbatim",
    "{} stay in the files beside it",
    "{} of the original were written in another form",
    "{} are new",
    "{} are placeholders",
)


class Lines(NamedTuple):
    """Lines of a written text that are the original's, in its order, and those that are not."""

    kept: int
    changed: int

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON prints them."""
        return {"lines_kept": self.kept, "lines_changed": self.changed}

    def describe(self) -> list[str]:
        """One line; none where the text is a single line, as JSON may be."""
        if not self.kept:
            return []
        are = "line is" if self.changed == 1 else "lines are"
        return [f"{self.changed:,} {are} new or changed, {self.kept:,} are the original's"]


def lines_of(before: str, after: str) -> Lines:
    """How many lines of ``after`` a comparison with ``before`` finds there."""
    import difflib

    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    kept = sum(block.size for block in difflib.SequenceMatcher(None, old, new).get_matching_blocks())
    return Lines(kept, len(new) - kept)


def copied(old: Graph, written: Graph, pieces: Pieces, given: Collection[str]) -> Copied:
    """Counts the tensors of ``written``, whose file is ``pieces`` of that of ``old``; ``given`` are new numbers."""
    spans = _Spans(piece for piece in pieces if isinstance(piece, Span))
    found = {name: [0, 0] for name in Copied._fields}
    for param in written.params.values():
        row = found[_kind(old, param, spans, given)]
        row[0] += 1
        row[1] += _bytes(param)
    return Copied(**{name: Count(*row) for name, row in found.items()})


class _Spans:
    """Half-open ranges, sorted and joined where they touch, to ask whether one lies inside."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        for start, end in sorted(spans):
            if self.ends and start <= self.ends[-1]:
                self.ends[-1] = max(self.ends[-1], end)
            else:
                self.starts.append(start)
                self.ends.append(end)

    def hold(self, start: int, end: int) -> bool:
        place = bisect_right(self.starts, start) - 1
        return place >= 0 and end <= self.ends[place]


def _kind(old: Graph, param: Param, spans: _Spans, given: Collection[str]) -> str:
    where, origin = param.where, param.origin
    if param.name in given:
        return "new"
    if where is not None and where.path != old.meta.get("path"):
        return "beside"
    if is_placeholder(param):
        return "placeholders"
    if where is not None:
        return "copied" if spans.hold(where.offset, where.offset + where.length) else "encoded"
    if old.params.get(param.name) is param and origin is not None and origin.span is not None:
        return "copied" if spans.hold(*origin.span) else "encoded"
    return "placeholders" if param.contents is None else "new"


def _bytes(param: Param) -> int:
    if param.where is not None:
        return param.where.length
    count = product(param.shape or ())
    return element_type(param.dtype).length(count) if isinstance(count, int) else 0
