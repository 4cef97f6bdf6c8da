"""Blobs become values: each is written once, so a layer that works in place writes a new one.

The last version of a blob keeps the blob's name and earlier ones are called ``<blob>@<layer that wrote it>``; a blob
that is fed from outside keeps its name for what is fed. Source of the rules: Caffe net.cpp, AppendTop and AppendBottom,
and insert_splits.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from ...errors import ModelError
from .inputs import is_input
from .layer import Layer
from .layers import is_loss


def unique(name: str, taken: Iterable[str]) -> str:
    """``name``, or with the first number behind it that makes it new."""
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


class _Version:
    """One writing of a blob."""

    __slots__ = ("blob", "layer", "name")

    def __init__(self, blob: str, layer: Layer) -> None:
        self.blob = blob
        self.layer = layer
        self.name = ""


def wire(layers: Sequence[Layer], elsewhere: Mapping[str, str] = {}) -> None:
    """Gives every layer its ``inputs`` and ``outputs``; raises ModelError as Caffe does for blobs that do not meet.

    ``elsewhere`` names the phase of blobs that another one has.
    """
    written: dict[str, list[_Version]] = {}
    read: list[list[_Version]] = []
    made: list[list[_Version]] = []
    for layer in layers:
        read.append([_latest(written, layer, i, blob, elsewhere) for i, blob in enumerate(layer.bottoms)])
        made.append([_new(written, layer, i, blob) for i, blob in enumerate(layer.tops)])
    names = set(written)
    for versions in written.values():
        _name(versions, names)
    for layer, bottoms, tops in zip(layers, read, made, strict=True):
        layer.inputs = tuple(version.name for version in bottoms)
        layer.outputs = tuple(version.name for version in tops) or _automatic(layer, names)


def _latest(
    written: dict[str, list[_Version]], layer: Layer, index: int, blob: str, elsewhere: Mapping[str, str]
) -> _Version:
    if blob in written:
        return written[blob][-1]
    field = layer.view.all("bottom")[index]
    near = get_close_matches(blob, list(written), n=3, cutoff=0.6)
    last = f"the blobs before it end in {', '.join(list(written)[-5:])}" if written else "no layer before it has a top"
    if blob in elsewhere:
        last, near = f"it is written for phase {elsewhere[blob]}: --phase {elsewhere[blob]}", []
    raise ModelError(
        f"{layer.name} reads {blob!r}, which no layer before it writes (its bottom {index})",
        "E205",
        location=f"{layer.view.file}:{field.line}",
        because=f"layers are built in the order of the file for phase {layer.phase}",
        hint=f"did you mean {' or '.join(near)}?" if near else last,
    )


def _new(written: dict[str, list[_Version]], layer: Layer, index: int, blob: str) -> _Version:
    before = written.setdefault(blob, [])
    in_place = index < len(layer.bottoms) and layer.bottoms[index] == blob
    if before and not in_place:
        field = layer.view.all("top")[index]
        raise ModelError(
            f"{layer.name} writes {blob!r}, which {before[0].layer.name} writes too",
            "E206",
            location=f"{layer.view.file}:{field.line}",
            because="a blob has one source; a layer may write in place where top and bottom of the same number agree",
            hint="give the top another name",
        )
    before.append(_Version(blob, layer))
    return before[-1]


def _name(versions: list[_Version], names: set[str]) -> None:
    keeper = versions[0] if is_input(versions[0].layer) else versions[-1]
    for version in versions:
        version.name = version.blob
        if version is not keeper:
            version.name = unique(f"{version.blob}@{version.layer.name}", names)
            names.add(version.name)


def _automatic(layer: Layer, names: set[str]) -> tuple[str, ...]:
    """A loss without a top gets one (layer.hpp, AutoTopBlobs); nobody can read it."""
    if not is_loss(layer.type):
        return ()
    name = unique(layer.name, names)
    names.add(name)
    return (name,)
