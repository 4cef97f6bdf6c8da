"""A file as pieces: spans copied verbatim from another file, and bytes newly made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import IO, Any, TypeAlias

from ...errors import ModelError
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


def copy_to(target: IO[bytes], source: Source, pieces: Sequence[Piece]) -> None:
    """Writes the pieces to an open file; the kernel copies large spans where it can. Raises ModelError, OSError."""
    origin = _open(source) if any(_large(piece) for piece in pieces) else None
    try:
        for piece in pieces:
            if origin is None or not _large(piece):
                _write(target, source.data, piece)
            else:
                _copy(target, origin, source, piece)
    finally:
        if origin is not None:
            os.close(origin)


def _large(piece: Piece) -> bool:
    return isinstance(piece, Span) and piece.end - piece.start >= KERNEL_COPY_FROM


def _open(source: Source) -> int | None:
    if source.path is None or not hasattr(os, "copy_file_range"):
        return None
    return os.open(source.path, os.O_RDONLY)


def _write(target: IO[bytes], data: Any, piece: Piece) -> None:
    if not isinstance(piece, Span):
        target.write(piece)
        return
    with memoryview(data) as view:
        for start in range(piece.start, piece.end, CHUNK):
            target.write(view[start : min(start + CHUNK, piece.end)])


def _copy(target: IO[bytes], origin: int, source: Source, piece: Piece) -> None:
    start, end = piece
    try:
        target.flush()
        descriptor = target.fileno()
        while start < end:
            copied = os.copy_file_range(origin, descriptor, int(end) - int(start), int(start))
            if copied == 0:
                raise ModelError("the file became shorter while it was read", "E202", location=source.name)
            start = int(start) + copied
        target.seek(os.lseek(descriptor, 0, os.SEEK_CUR))
    except OSError:  # another file system, or no file at all: copy what is left by hand
        _write(target, source.data, Span(int(start), int(end)))
