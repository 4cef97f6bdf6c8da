"""Writing a file whole or not at all."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .copying import Work, copy_file
from .errors import UsageError

try:
    import fcntl
except ImportError:  # Windows does not let an open file be deleted, which serves the same end
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".part"


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Raises UsageError where ``path`` cannot become the output, before any work is done."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "E003", hint="name a file: -o result.onnx")
    if path.exists() and not path.is_file():  # a pipe or a device: it would be put away and nobody who reads it served
        raise UsageError(f"{path} is no file that can be replaced", "E003", hint="name a file: -o result.onnx")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists", "E003", hint="--overwrite replaces it, -o names another file")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "E003", hint="make it first, or name another with -o")


def write_whole(path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool) -> None:
    """Has ``write`` fill a temporary file beside ``path``, then puts it in place in one step.

    A reader sees the old file or the new one, never a part, even when the process is killed; what a killed process left
    is removed by the next one that writes the same path. Where an old file is replaced, the new one is on the disk
    before (docs/decisions/0019-on-the-disk-before-it-replaces.md). A link is replaced itself, and what it points to
    stays: in HuggingFace's cache that is called by its checksum. Raises UsageError where the file exists or the
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


def copy_whole(source: Path, path: Path, work: Work) -> None:
    """Copies a file as `write_whole` writes one. Raises UsageError where ``path`` exists or cannot be written."""
    with open(source, "rb") as origin:
        write_whole(path, lambda file: copy_file(origin, file, work), overwrite=False)
