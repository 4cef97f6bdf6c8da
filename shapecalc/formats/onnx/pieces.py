"""A file as pieces: spans copied verbatim from another file, and bytes newly made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from threading import Lock, Thread
from typing import IO, Any, TypeAlias

from ...errors import ModelError, RefusedError
from ...files import Work, copy_range
from ...source import Span
from .. import Source
from .wire import prefix


class Later:
    """Bytes that are made when they are asked for; how many, ``length``, is known before."""

    def __init__(self, length: int, make: Callable[[], bytes]) -> None:
        self.length = length
        self._make = make
        self._made: bytes | None = None
        self._lock = Lock()

    def __len__(self) -> int:
        return self.length

    def __bytes__(self) -> bytes:
        with self._lock:  # whoever asks first makes them, others wait
            if self._made is None:
                self._made = made = self._make()
                if len(made) != self.length:
                    raise RefusedError(
                        "new numbers do not fill their place in the file",
                        "E303",
                        because=f"{self.length} bytes are needed, {len(made)} were made",
                        hint="give numbers of the shape that the trace shows",
                    )
            return self._made


Piece: TypeAlias = Span | bytes | Later
Pieces: TypeAlias = list[Piece]

#: Spans from this size on are copied by the kernel (which may share the blocks on disk) where the source is a file.
KERNEL_COPY_FROM = 1 << 16
CHUNK = 1 << 24
#: From so many bytes on, what else is to be done is done while they are copied.
BESIDE_FROM = 1 << 24
#: Seconds after which one thread gives way to another, so that the one that copies has its next piece at once: with the
#: usual 5 ms it stands still for as long as the other one computes.
SWITCH = 1e-4


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
    """Writes the pieces to an open file; the kernel copies large spans where it can. Raises ModelError, OSError."""
    work = work if work is not None else Work()
    copied = sum(size_of([piece]) for piece in pieces if isinstance(piece, Span))
    work.expect(copied)
    later = [piece for piece in pieces if isinstance(piece, Later)]
    large = any(_large(piece) for piece in pieces)
    with open(source.path, "rb") if large and source.path is not None else nullcontext() as origin:

        def write() -> None:
            for piece in pieces:
                _place(target, source, piece, origin, work)

        _beside(write, later, work) if copied >= BESIDE_FROM else write()


def _place(target: IO[bytes], source: Source, piece: Piece, origin: IO[bytes] | None, work: Work) -> None:
    """Writes one piece; a large span comes from ``origin``, where that is a file."""
    if not isinstance(piece, Span):
        target.write(bytes(piece))
        return
    start = piece.start if origin is None else _copied(target, origin.fileno(), source, piece, work)
    _write(target, source.data, Span(start, piece.end), work)


def _beside(write: Callable[[], None], later: Sequence[Later], work: Work) -> None:
    """Writes in a thread, where mostly the kernel works, while ``later`` is made in this one."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            write()
        except BaseException as error:  # noqa: BLE001  raised again where the caller is
            failed.append(error)

    thread = Thread(target=run)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    thread.start()
    try:
        for piece in later:
            bytes(piece)
        work.meanwhile()
        thread.join()
    except BaseException:
        work.stop()
        thread.join()
        raise
    finally:
        sys.setswitchinterval(interval)
    if failed:
        raise failed[0]


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
