"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .errors import UsageError


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

    A reader sees the old file or the new one, never a part, even when the process is killed. Raises UsageError where
    the file exists or the folder cannot be written.
    """
    check_writable(path, overwrite=overwrite)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise UsageError(f"{path.parent} cannot be written: {error.strerror}", "E003") from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        if overwrite:
            os.replace(temporary, path)
        else:
            _place_new(temporary, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "E003") from None
    finally:
        temporary.unlink(missing_ok=True)


def _place_new(temporary: Path, path: Path) -> None:
    """A hard link fails where the name exists, so a file made meanwhile is not lost; some file systems have none."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise UsageError(f"{path} exists", "E003", hint="--overwrite replaces it, -o names another file") from None
    except OSError:
        os.replace(temporary, path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
