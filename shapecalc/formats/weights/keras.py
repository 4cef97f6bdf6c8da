"""Keras' weights: ``model.weights.h5`` inside a ``.keras`` archive."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from ...errors import ModelError
from . import zipped
from .base import Entry, check_inflation, damaged
from .hdf5 import Store, entries

ARCHIVED = "model.weights.h5"
#: More of a compressed archive is not unpacked into memory.
LARGEST = 1 << 32


def is_archive(members: list[zipfile.ZipInfo]) -> bool:
    """Whether a zip is a saved model of Keras and no npz."""
    return any(info.filename in (ARCHIVED, "config.json") for info in members)


def read(path: Path, shown: str, data: Any) -> dict[str, Entry]:
    """The weights of a ``.keras`` archive, where they lie in it. Raises ModelError."""
    info = next((info for info in zipped.members(shown, data) if info.filename == ARCHIVED), None)
    if info is None:
        raise ModelError(
            f"the archive holds no {ARCHIVED}",
            "E202",
            location=shown,
            hint="weights of other kinds (sharded, npz) are not read: model.save('model.keras') writes one file",
        )
    member = zipped.located(shown, data, info)
    if not member.deflated:
        return entries(Store(path, shown, data, member.start, member.size))
    check_inflation(shown, ARCHIVED, member.stored, member.size)
    if member.size > LARGEST:
        raise damaged(shown, f"{ARCHIVED} unpacks to {member.size:,} bytes, more than is held in memory")
    whole = zipped.inflated(shown, ARCHIVED, data, member, member.size + 1)
    if len(whole) != member.size:
        raise damaged(shown, f"{ARCHIVED} unpacks to another size than the archive says")
    return entries(Store(path, shown, whole, 0, len(whole), placed=False))
