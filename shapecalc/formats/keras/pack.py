"""An edited definition put back where it came from: into its archive or HDF5 file, the weights with it.

Members of an archive that the edit does not concern are copied as they are. In the HDF5 file of weights the numbers of
a replaced head are exchanged; every other data set stays as it lies. What an optimizer remembered of the old head
belongs to no layer any more and is left out, as Keras does when it is not there.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from ...errors import RefusedError
from .. import Edited, Source
from ..changes import changes
from ..weights import zipped
from ..weights.base import check_inflation, damaged
from .archive import CONFIG, opened
from .shelves import Lost, lost_in, without
from .store import Home

ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
WEIGHTS = "model.weights.h5"
#: What a disk without room for more says.
NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
#: Where files keep what an optimizer remembers.
OPTIMIZERS = ("optimizer", "optimizer_weights")


class Renewed(NamedTuple):
    """A parameter with new numbers: its key in the file, its layer's name before and after, what makes the numbers."""

    key: str
    layer: str
    name: str
    make: Callable[[], Any]


def renewed_in(edited: Edited) -> list[Renewed]:
    """The parameters that an edit made anew, of those the file has."""
    homes: Mapping[str, Home] = edited.old.meta["homes"]
    found: list[Renewed] = []
    for before, after in changes(edited.old, edited.new, shorter=True).replaced:
        for old, new in zip(before.inputs, after.inputs, strict=True):
            if old in homes and new not in homes and old in edited.keys:
                layer = homes[old].layer
                name = after.name.removeprefix(before.name.removesuffix(layer))
                found.append(Renewed(edited.keys[old], layer, name, partial(edited.array, new)))
    return found


def suffixes(source: Source) -> tuple[str, ...]:
    """What a result may be called: what holds weights is written only where there was such a file, JSON always."""
    head = bytes(source.data[:8])
    if head.startswith(ZIP):
        return (".keras", ".json")
    return (".h5", ".hdf5", ".json") if head.startswith(HDF5) else (".json",)


def pack(file: BinaryIO, path: Path, source: Source, edited: Edited) -> None:
    """Writes the edited definition as the suffix of ``path`` says, with the weights of ``source`` beside it.

    Raises RefusedError where those cannot be edited.
    """
    suffix = path.suffix.lower()
    if suffix not in (".keras", ".h5", ".hdf5"):
        file.write(edited.text.encode())
        return
    text, renewed = edited.text, renewed_in(edited)
    lost = lost_in(edited) if changes(edited.old, edited.new, shorter=True).gone else None
    if suffix == ".keras":
        _archive(file, source, text, renewed, lost)
        return
    with opened(source) as original:
        shutil.copyfileobj(original, file)
    file.flush()
    _edit(file.name, source, renewed, text, lost)


def _archive(file: BinaryIO, source: Source, text: str, renewed: Sequence[Renewed], lost: Lost | None) -> None:
    _check_members(source)
    with opened(source) as original, zipfile.ZipFile(original) as old, zipfile.ZipFile(file, "w") as new:
        new.comment = old.comment
        for info in old.infolist():
            with new.open(_like(info), "w", force_zip64=info.file_size > 1 << 30) as target:
                if info.filename == CONFIG:
                    target.write(text.encode())
                elif info.filename == WEIGHTS and (renewed or lost):
                    with tempfile.NamedTemporaryFile(suffix=".h5") as beside:
                        _copy(source, old, info, beside)
                        _edited(beside, target, source, renewed, lost)
                else:
                    _copy(source, old, info, target)


def _check_members(source: Source) -> None:
    """Raises ModelError where a member lies outside the archive, unpacks to gigabytes, or is there twice."""
    names: set[str] = set()
    for info in zipped.members(source.name, source.data):
        found = zipped.located(source.name, source.data, info)
        check_inflation(source.name, info.filename, found.stored, found.size)
        if info.filename in names:
            raise damaged(source.name, f"{info.filename[:80]!r} is in the archive twice")
        names.add(info.filename)


def _copy(source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: IO[bytes]) -> None:
    """A member as it is. Raises ModelError where it does not unpack to what the archive says."""
    try:
        with archive.open(info) as member:
            shutil.copyfileobj(member, target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise damaged(source.name, f"{info.filename[:80]!r} does not unpack ({error})") from None


def _like(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """A member of the same name, date and compression."""
    made = zipfile.ZipInfo(info.filename, info.date_time)
    made.compress_type, made.external_attr, made.comment = info.compress_type, info.external_attr, info.comment
    return made


def _edited(beside: Any, target: IO[bytes], source: Source, renewed: Sequence[Renewed], lost: Lost | None) -> None:
    """The file of weights of an archive, edited on the way: h5py writes to files of the disk."""
    beside.flush()
    _edit(beside.name, source, renewed, None, lost)
    with open(beside.name, "rb") as changed:
        shutil.copyfileobj(changed, target)


def _edit(path: str, source: Source, renewed: Sequence[Renewed], config: str | None, lost: Lost | None) -> None:
    """Exchanges numbers, names and the definition of an HDF5 file in place; of a shorter net it is written anew."""
    import h5py

    try:
        with h5py.File(path, "r+", locking=False) as file:  # the result is locked already
            if config is not None:
                given = file.attrs["model_config"]
                file.attrs["model_config"] = config if isinstance(given, str) else config.encode()
            group = file.get("model_weights", file)
            for row in renewed:
                _exchange(group, row)
            for layer, name in {row.layer: row.name for row in renewed}.items():
                _rename(group, layer, name)
            for name in OPTIMIZERS if renewed or lost else ():
                if name in file:
                    del file[name]
        if lost is not None:
            without(path, lost)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        number = getattr(error, "errno", None)
        if number in NO_ROOM:
            raise OSError(number, os.strerror(number)) from None
        raise RefusedError(
            f"{source.name}: its weights cannot be edited",
            "E303",
            because=str(error) or type(error).__name__,
            hint="write it as ONNX: -o result.onnx",
        ) from None


def _exchange(group: Any, row: Renewed) -> None:
    """New numbers for a data set, in the type it had."""
    path = next((p for p in _spellings(row.key) if p in group), None)
    if path is None:
        raise KeyError(row.key)
    dtype = group[path].dtype
    del group[path]
    group.create_dataset(path, data=row.make(), dtype=dtype)


def _spellings(key: str) -> tuple[str, ...]:
    """A key as `shapecalc.formats.weights.keras_groups` gives it, and as older versions and Windows write it."""
    older = key.replace("layers/", "_layer_checkpoint_dependencies/")
    return key, older, key.replace("/", "\\"), older.replace("/", "\\")


def _rename(group: Any, layer: str, name: str) -> None:
    """The layer's new name, in the groups, the lists of names and the notes that have the old one."""

    def note(path: str, item: Any) -> None:
        if item.attrs.get("name") == layer:
            item.attrs["name"] = name

    group.visititems(note)
    names = {key: [_text(n) for n in group.attrs[key]] for key in group.attrs if key.startswith("layer_names")}
    for key, listed in names.items():
        _relist(group, key, [name if n == layer else n for n in listed])
    if any(layer in listed for listed in names.values()) and layer in group:
        group.move(layer, name)
    for outer in {name if n == layer else n for listed in names.values() for n in listed}:
        if outer in group:
            _rename_weights(group[outer], layer, name)


def _rename_weights(group: Any, layer: str, name: str) -> None:
    """The names of weights inside a layer's group: the data sets lie under them."""
    for key in [key for key in group.attrs if key.startswith("weight_names")]:
        listed = [_text(n) for n in group.attrs[key]]
        renamed = ["/".join(name if part == layer else part for part in n.split("/")) for n in listed]
        for before, after in zip(listed, renamed, strict=True):
            if before != after and before in group:
                group.move(before, after)
        if listed != renamed:
            _relist(group, key, renamed)
    if layer in group and not len(group[layer]):
        del group[layer]


def _relist(group: Any, key: str, names: list[str]) -> None:
    """A list of names in an attribute, written as it was: as bytes, or as texts."""
    import h5py
    import numpy

    if getattr(group.attrs[key], "dtype", None) is not None and group.attrs[key].dtype.kind == "S":
        group.attrs[key] = numpy.array([n.encode() for n in names], dtype="S") if names else group.attrs[key]
    elif names:
        group.attrs.create(key, names, dtype=h5py.string_dtype())


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
