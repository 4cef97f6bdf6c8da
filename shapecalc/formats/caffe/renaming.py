"""Blobs of a prototxt under new names, in every phase of the file."""

from __future__ import annotations

from typing import NamedTuple

from .draft import Draft


class Rename(NamedTuple):
    """A blob's new name, for the tops and bottoms of layers at these places of the file."""

    old: str
    new: str
    tops: range
    bottoms: range


def renamed(blob: str, renames: list[Rename], index: int, *, top: bool) -> str:
    """What a blob is called at the layer of an index, as a top or as a bottom."""
    for row in renames:
        if blob == row.old and index in (row.tops if top else row.bottoms):
            blob = row.new
    return blob


def rename_blobs(draft: Draft, renames: list[Rename]) -> None:
    """Writes the new names, in every phase of the file."""
    for layer in draft.layers if renames else ():
        for name, top in (("bottom", False), ("top", True)):
            for field in layer.view.all(name):
                draft.string(field, renamed(str(field.value), renames, layer.index, top=top))
