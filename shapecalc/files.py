"""Writing a file whole or not at all, and copying bytes that never pass through here."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO

from .errors import UsageError

try:
    import fcntl
except ImportError:  # Windows does not let an open file be deleted, which serves the same end
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".part"
#: The kernel is asked for so many bytes at a time, so that a progress can be shown.
STEP = 1 << 26
BLOCK, BUFFER = 1 << 12, 1 << 22


class Stopped(Exception):  # noqa: N818  it ends a copy that nobody wants any more
    """Raised inside what copies in another thread."""


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

    def expect(self, count: int) -> None:
        """So many bytes more are to be copied."""
        self.total += count

    def stop(self) -> None:
        """What copies in another thread is to end at its next step."""
        self.stopped = True

    def did(self, count: int) -> None:
        """So many bytes more were copied. Raises Stopped where the work is to stop."""
        if self.stopped:
            raise Stopped
        self.done += count
        self.show(self.done, self.total)


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Raises UsageError where ``path`` cannot become the output, before any work is done."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "E003", hint="name a file: -o result.onnx")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists", "E003", hint="--overwrite replaces it, -o names another file")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "E003", hint="make it first, or name another with -o")


def write_whole(path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool) -> None:
    """Has ``write`` fill a temporary file beside ``path``, then puts it in place in one step.

    A reader sees the old file or the new one, never a part, even when the process is killed; what a killed process left
    is removed by the next one that writes the same path. Where an old file is replaced, the new one is on the disk
    before (docs/decisions/0019-on-the-disk-before-it-replaces.md). Raises UsageError where the file exists or the
    folder cannot be written.
    """
    check_writable(path, overwrite=overwrite)
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}{SUFFIX}")
    try:
        with open(temporary, "xb") as file:
            _lock(file.fileno())
            write(file)
            file.flush()
            _settle(file.fileno(), on_disk=path.exists())
            _place(temporary, path, overwrite)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "E003") from None
    finally:
        temporary.unlink(missing_ok=True)


def _settle(descriptor: int, *, on_disk: bool) -> None:
    """Raises OSError for what the system says of a written file only now: a network's file system, on closing."""
    if on_disk:
        os.fsync(descriptor)
    else:
        os.close(os.dup(descriptor))


def _place(temporary: Path, path: Path, overwrite: bool) -> None:
    """A hard link fails where the name exists, so a file made meanwhile is not lost; some file systems have none."""
    if not overwrite:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise UsageError(f"{path} exists", "E003", hint="--overwrite replaces it, -o names another file") from None
        except OSError:
            pass
        else:
            return
    os.replace(temporary, path)


def _lock(descriptor: int) -> bool:
    """Marks a temporary file as in use for as long as it is open; False where another process has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_abandoned(path: Path) -> None:
    """Temporary files of ``path`` that no living process has open."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{SUFFIX}"):
        try:
            with open(left, "rb") as file:
                if _lock(file.fileno()):
                    left.unlink()
        except OSError:
            continue  # not ours to remove


# -- copying ----------------------------------------------------------------------------------------------------------


def copy_whole(source: Path, path: Path, work: Work) -> None:
    """Copies a file as `write_whole` writes one. Raises UsageError where ``path`` exists or cannot be written."""
    with open(source, "rb") as origin:
        size = os.fstat(origin.fileno()).st_size
        work.expect(size)

        def fill(file: BinaryIO) -> None:
            origin.seek(copy_range(file, origin.fileno(), 0, size, work))
            while chunk := origin.read(STEP):
                file.write(chunk)
                work.did(len(chunk))

        write_whole(path, fill, overwrite=False)


def copy_range(target: IO[bytes], origin: int, start: int, end: int, work: Work) -> int:
    """Copies bytes ``[start, end)`` of an open file to where ``target`` stands, by the kernel where that pays.

    It does where both places lie alike in their blocks, which may then be shared. A copy that is shifted by a few bytes
    takes it twice as long as a buffer does. The buffer is large, so that what else this process does (one thread of
    Python runs at a time) is not waited for too often.

    Gives how far it came: not to ``end`` where ``target`` is no file, or the system cannot. Raises EOFError where the
    file ends before, OSError where ``target`` cannot be written.
    """
    target.flush()
    try:
        descriptor = target.fileno()
    except OSError:
        return start
    alike = (os.lseek(descriptor, 0, os.SEEK_CUR) - start) % BLOCK == 0
    for way in (_copy_file_range, _sendfile, _buffered) if alike else (_buffered,):
        try:
            while start < end:
                copied = way(origin, descriptor, min(STEP, end - start), start)
                if copied == 0:
                    raise EOFError
                start += copied
                work.did(copied)
            break
        except (OSError, AttributeError):  # another file system, or another system
            if way is _buffered and hasattr(os, "preadv"):
                raise
    target.seek(os.lseek(descriptor, 0, os.SEEK_CUR))
    return start


def _buffered(origin: int, target: int, count: int, start: int) -> int:
    """Every write but the first begins where a buffer's length divides the target's: a fifth faster (decision 19)."""
    buffer = memoryview(bytearray(BUFFER))
    done, room = 0, BUFFER - os.lseek(target, 0, os.SEEK_CUR) % BUFFER
    while done < count:
        read = os.preadv(origin, [buffer[: min(room, count - done)]], start + done)
        if read == 0:
            break
        written = os.write(target, buffer[:read])
        done, room = done + written, room - written or BUFFER
    return done


def _copy_file_range(origin: int, target: int, count: int, start: int) -> int:
    function: Any = getattr(os, "copy_file_range")  # noqa: B009  Linux alone has it
    return int(function(origin, target, count, start))


def _sendfile(origin: int, target: int, count: int, start: int) -> int:
    function: Any = getattr(os, "sendfile")  # noqa: B009  not on Windows; macOS sends to sockets only
    return int(function(target, origin, start, count))
