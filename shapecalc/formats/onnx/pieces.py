"""A file as pieces: spans copied verbatim from another file, and bytes newly made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, TypeAlias

from ...copying import STEP, Copy, Range, Work, copies, together
from ...errors import ModelError, RefusedError
from ...source import Span
from .. import Source
from .wire import prefix


class Later:
    """Bytes that are made when they are asked for; how many, ``length``, is known before."""

    def __init__(self, length: int, make: Callable[[], bytes]) -> None:
        self.length = length
        self._make = make
        self._made: bytes | None = None

    def __len__(self) -> int:
        return self.length

    def __bytes__(self) -> bytes:
        if self._made is None:
            made = self._make()
            if len(made) != self.length:
                raise RefusedError(
                    "new numbers do not fill their place in the file",
                    "E303",
                    because=f"{self.length} bytes are needed, {len(made)} were made",
                    hint="give numbers of the shape that the trace shows",
                )
            self._made = made
        return self._made


Piece: TypeAlias = Span | bytes | Later
Pieces: TypeAlias = list[Piece]

#: Spans from this size on are copied from file to file.
COPY_FROM = 1 << 16
#: From so many bytes on, what else is to be done is done while they are copied.
BESIDE_FROM = 1 << 24


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
        if isinstance(piece, bytes):
            small.append(piece)
        elif isinstance(piece, Span) and not small and isinstance(last, Span) and last.end == piece.start:
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
    return b"".join(bytes(data[p.start : p.end] if isinstance(p, Span) else p) for p in pieces)


def copy_to(target: IO[bytes], source: Source, pieces: Sequence[Piece], work: Work | None = None) -> None:
    """Writes the pieces where an open file stands. Raises ModelError, RefusedError, OSError.

    Large spans are copied from file to file, many of them in a second thread, while the rest is made here.
    """
    work = work if work is not None else Work()
    work.expect(sum(size_of([piece]) for piece in pieces if isinstance(piece, Span)))
    if source.path is None or not _is_file(target) or not any(map(_large, pieces)):
        _write(target, source.data, pieces, work)
        return
    place = target.tell()
    end = place + size_of(pieces)
    ranges, rest = _laid(pieces, place)
    with open(source.path, "rb") as origin:
        copy = Copy(origin.fileno(), target.fileno(), ranges, work)

        def write() -> None:
            for start, run in rest:
                target.seek(start)
                _write(target, source.data, run, work)
            target.flush()

        def write_and_more() -> None:
            write()
            work.meanwhile()

        try:
            if sum(part.end - part.start for part in ranges) >= BESIDE_FROM:
                together(copy, write_and_more, work)
            else:
                write()
                copy()
        except EOFError:
            raise ModelError("the file became shorter while it was read", "E202", location=source.name) from None
    target.seek(end)


def _is_file(target: IO[bytes]) -> bool:
    """Whether ``target`` is a file of the system that can be written at any place; what was written before is then."""
    try:
        target.fileno()
    except OSError:
        return False
    target.flush()
    return copies()


def _large(piece: Piece) -> bool:
    return isinstance(piece, Span) and piece.end - piece.start >= COPY_FROM


def _laid(pieces: Iterable[Piece], place: int) -> tuple[list[Range], list[tuple[int, Pieces]]]:
    """Large spans with their places, and runs of what stands between them with theirs."""
    ranges: list[Range] = []
    rest: list[tuple[int, Pieces]] = []
    follows = False
    for piece in pieces:
        if isinstance(piece, Span) and _large(piece):
            ranges.append(Range(piece.start, piece.end, place))
        elif follows:
            rest[-1][1].append(piece)
        else:
            rest.append((place, [piece]))
        follows = not _large(piece)
        place += size_of([piece])
    return ranges, rest


def _write(target: IO[bytes], data: Any, pieces: Iterable[Piece], work: Work) -> None:
    """Writes pieces one after the other, spans from memory."""
    for piece in pieces:
        if not isinstance(piece, Span):
            target.write(bytes(piece))
            continue
        with memoryview(data) as view:
            for start in range(piece.start, piece.end, STEP):
                work.did(target.write(view[start : min(start + STEP, piece.end)]))
