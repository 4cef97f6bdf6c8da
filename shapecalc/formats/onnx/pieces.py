"""A file as pieces: spans copied verbatim from another file, and bytes newly made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import IO, Any, TypeAlias

from ...errors import ModelError
from ...files import Work, copy_range
from ...source import Span
from .. import Source
from .wire import prefix

Piece: TypeAlias = Span | bytes
Pieces: TypeAlias = list[Piece]

#: Spans from this size on are copied by the kernel (which may share the blocks on disk) where the source is a file.
KERNEL_COPY_FROM = 1 << 16
CHUNK = 1 << 24


def size_of(pieces: Iterable[Piece]) -> int:
    """Bytes of all pieces together."""
    return sum(piece.end - piece.start if isinstance(piece, Span) else len(piece) for piece in pieces)


def merged(pieces: Iterable[Piece]) -> Pieces:
    """The same bytes in as few pieces as possible: neighbouring spans and neighbouring bytes become one."""
    result: Pieces = []
    small: list[bytes] = []
    for piece in pieces:
        last = result[-1] if result else None
        if size_of([piece]) == 0:
            continue
        if not isinstance(piece, Span):
            small.append(piece)
        elif not small and isinstance(last, Span) and last.end == piece.start:
            result[-1] = Span(last.start, piece.end)
        else:
            result += [b"".join(small)] if small else []
            small = []
            result.append(piece)
    return [*result, b"".join(small)] if small else result


def field(number: int, body: Pieces) -> Pieces:
    """The message made of ``body`` as field ``number``."""
    return [prefix(number, size_of(body)), *body]


def wrapped(number: int, pieces: Iterable[Piece], whole: Span, payload: Span) -> Pieces:
    """The message made of ``pieces`` as field ``number``; verbatim where that is all of ``payload`` in ``whole``."""
    inside = merged(pieces)
    if inside == [payload]:
        return [whole]
    return field(number, inside)


def assemble(data: Any, pieces: Iterable[Piece]) -> bytes:
    """The bytes the pieces stand for; ``data`` is the source's."""
    return b"".join(bytes(data[p.start : p.end]) if isinstance(p, Span) else p for p in pieces)


def copy_to(target: IO[bytes], source: Source, pieces: Sequence[Piece], work: Work | None = None) -> None:
    """Writes the pieces to an open file; the kernel copies large spans where it can. Raises ModelError, OSError."""
    work = work if work is not None else Work()
    work.expect(sum(size_of([piece]) for piece in pieces if isinstance(piece, Span)))
    large = any(_large(piece) for piece in pieces)
    with open(source.path, "rb") if large and source.path is not None else nullcontext() as origin:
        for piece in pieces:
            if not isinstance(piece, Span):
                target.write(piece)
            else:
                start = piece.start if origin is None else _copied(target, origin.fileno(), source, piece, work)
                _write(target, source.data, Span(start, piece.end), work)


def _large(piece: Piece) -> bool:
    return isinstance(piece, Span) and piece.end - piece.start >= KERNEL_COPY_FROM


def _copied(target: IO[bytes], origin: int, source: Source, span: Span, work: Work) -> int:
    """How far the kernel copied a large span."""
    if not _large(span):
        return span.start
    try:
        return copy_range(target, origin, span.start, span.end, work)
    except EOFError:
        raise ModelError("the file became shorter while it was read", "E202", location=source.name) from None


def _write(target: IO[bytes], data: Any, span: Span, work: Work) -> None:
    with memoryview(data) as view:
        for start in range(span.start, span.end, CHUNK):
            work.did(target.write(view[start : min(start + CHUNK, span.end)]))
