"""Copying large ranges of files: by the kernel where that pays, by several threads at once where that is wanted."""

from __future__ import annotations

import errno
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Lock, Thread
from typing import IO, Any, NamedTuple

#: Bytes that are copied in one go: few enough that threads share them evenly and a progress can be shown.
STEP = 1 << 22
BLOCK = 1 << 12
#: Seconds after which one thread gives way to another, so that the one that copies has its next step at once: with the
#: usual 5 ms it stands still for as long as the other one computes.
SWITCH = 1e-4


class Stopped(Exception):  # noqa: N818  it ends a copy that nobody wants any more
    """Raised inside what copies, in whichever thread."""


class Work:
    """Bytes that are copied, told to whoever shows it as (done, all).

    ``meanwhile`` is done where the copying leaves time for it: something wanted after it, which is kept then.
    """

    def __init__(
        self,
        show: Callable[[int, int], object] = lambda done, total: None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self.show = show
        self.meanwhile = meanwhile
        self.done = self.total = 0
        self.stopped = False
        self._lock = Lock()

    def expect(self, count: int) -> None:
        """So many bytes more are to be copied."""
        self.total += count

    def stop(self) -> None:
        """Whatever copies is to end at its next step."""
        self.stopped = True

    def did(self, count: int) -> None:
        """So many bytes more were copied. Raises Stopped where the work is to stop."""
        if self.stopped:
            raise Stopped
        with self._lock:
            self.done += count
            self.show(self.done, self.total)


class Range(NamedTuple):
    """Bytes ``[start, end)`` of one file that go to ``place`` in another."""

    start: int
    end: int
    place: int


class Copy:
    """Ranges of an open file, copied to their places in another one, a step at a time.

    Whoever calls the copy takes steps until none is left: several threads share them. ``origin`` and ``target`` are
    descriptors; where the files stand is neither asked nor changed.
    """

    def __init__(self, origin: int, target: int, ranges: Iterable[Range], work: Work) -> None:
        self._origin, self._target, self._work = origin, target, work
        self._steps = deque(step for part in ranges for step in steps(part))

    def __call__(self) -> None:
        """Raises EOFError where the origin ends too soon, OSError for what the system says, Stopped."""
        buffer = memoryview(bytearray(STEP))
        while self._steps:
            try:
                step = self._steps.popleft()
            except IndexError:  # another thread was faster
                return
            _copy(self._origin, self._target, step, buffer)
            self._work.did(step.end - step.start)


def copies() -> bool:
    """Whether this system reads and writes at places of a file: Windows does not."""
    return hasattr(os, "preadv") and hasattr(os, "pwrite")


def steps(whole: Range) -> Iterator[Range]:
    """A range in steps, each but the first beginning where a step divides the target's place: a fifth faster."""
    start, end, place = whole
    while start < end:
        count = min(STEP - place % STEP, end - start)
        yield Range(start, start + count, place)
        start, place = start + count, place + count


def together(copy: Copy, other: Callable[[], object], work: Work) -> None:
    """Copies in a thread, where mostly the kernel works, while ``other`` is done in this one, which helps after it.

    Raises what either of them raises, once both have ended.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            copy()
        except BaseException as error:  # noqa: BLE001  raised again where the caller is
            failed.append(error)
            work.stop()

    thread = Thread(target=run)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        other()
        copy()
    except Stopped:  # the thread's error is the cause
        pass
    except BaseException:
        work.stop()
        raise
    finally:
        thread.join()
        sys.setswitchinterval(interval)
    if failed:
        raise failed[0]


def copy_file(source: IO[bytes], target: IO[bytes], work: Work) -> None:
    """Copies an open file from its beginning to where ``target`` stands. Raises OSError, also where it gets shorter."""
    size = os.fstat(source.fileno()).st_size
    work.expect(size)
    if copies():
        target.flush()
        place = target.tell()
        try:
            Copy(source.fileno(), target.fileno(), [Range(0, size, place)], work)()
        except EOFError:
            raise OSError(errno.EIO, f"{source.name} became shorter while it was copied") from None
        source.seek(size)
        target.seek(place + size)
    while chunk := source.read(STEP):
        target.write(chunk)
        work.did(len(chunk))


def _copy(origin: int, target: int, step: Range, buffer: memoryview) -> None:
    """The kernel copies where both places lie alike in their blocks, which may then be shared.

    A copy that is shifted by a few bytes takes it twice as long as a buffer does.
    """
    start, end, place = step
    alike = (place - start) % BLOCK == 0
    for way in (_by_kernel, _by_buffer) if alike else (_by_buffer,):
        try:
            while start < end:
                copied = way(origin, target, Range(start, end, place), buffer)
                if copied == 0:
                    raise EOFError
                start, place = start + copied, place + copied
        except (
            OSError,
            AttributeError,
            EOFError,
        ):  # another file system, an older kernel, another system
            if way is _by_buffer:
                raise
        else:
            return


def _by_buffer(origin: int, target: int, step: Range, buffer: memoryview) -> int:
    read = os.preadv(origin, [buffer[: step.end - step.start]], step.start)
    return os.pwrite(target, buffer[:read], step.place) if read else 0


def _by_kernel(origin: int, target: int, step: Range, _buffer: memoryview) -> int:
    function: Any = getattr(os, "copy_file_range")  # noqa: B009  Linux alone has it
    return int(function(origin, target, step.end - step.start, step.start, step.place))
