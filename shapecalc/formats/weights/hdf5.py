"""HDF5: Caffe's ``.caffemodel.h5``, Chainer's ``save_hdf5`` and Keras's ``.h5``, through h5py (an extra).

Only what lies in the file itself is read: links to other files and data sets whose numbers are elsewhere are not
followed. A file may lie inside another one: `Store` says where.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ModelError, pip_install
from ...graph import Location
from .base import Entry, check_inflation, damaged
from .keras_groups import arranged
from .zipped import Part

#: Groups in groups, and data sets, of a file that was made to take time.
DEEPEST, MOST_SETS = 32, 100_000
#: Caffe keeps everything in one group (net.cpp, ToHDF5); what else it writes are copies for training.
CAFFE = "data/"
#: h5py raises what it finds fitting for damaged files.
BROKEN = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError)


class Store(NamedTuple):
    """An HDF5 file: one on disk, or (with ``data``) bytes ``start`` to ``start + length`` of a buffer.

    ``placed`` tells bytes that lie so in the file ``path``, from ``start`` on, from those unpacked out of it.
    """

    path: Path
    shown: str
    data: Any = None
    start: int = 0
    length: int = 0
    placed: bool = True

    def opened(self) -> Any:
        """The file for h5py, to be closed; raises ModelError where h5py is not installed."""
        h5py = library(self.shown)
        if self.data is None:
            return h5py.File(self.path, "r")
        return h5py.File(io.BufferedReader(Part(self.data, self.start, self.length)), "r")


def library(shown: str) -> Any:
    """The module h5py; raises ModelError where it is not installed."""
    try:
        import h5py
    except ImportError:
        raise ModelError(
            "this is an HDF5 file, and h5py is not installed",
            "E202",
            location=shown,
            hint=pip_install("h5py"),
        ) from None
    return h5py


def read(path: Path, shown: str, data: Any) -> dict[str, Entry]:
    """The data sets of numbers by path; Caffe's without the group they are in, Keras' as `keras_groups` says."""
    return entries(Store(path, shown) if path.is_file() else Store(path, shown, data, 0, len(data), placed=False))


def entries(store: Store) -> dict[str, Entry]:
    """The data sets of numbers of a file on disk, or of one inside another. Raises ModelError."""
    h5py = library(store.shown)
    try:
        with store.opened() as file:
            found = {key: _entry(store, key, item) for key, item in _sets(h5py, file, "", 0, set(), store.shown)}
            return arranged(file, _of_caffe(found), store.shown)
    except BROKEN as error:
        raise damaged(store.shown, f"this HDF5 file is damaged ({error})") from None


def _of_caffe(found: dict[str, Entry]) -> dict[str, Entry]:
    if not any(key.startswith(CAFFE) for key in found):
        return found
    return {
        key.removeprefix(CAFFE): entry._replace(key=key.removeprefix(CAFFE))
        for key, entry in found.items()
        if key.startswith(CAFFE)
    }


def _sets(h5py: Any, group: Any, prefix: str, depth: int, met: set[Any], shown: str) -> Iterator[tuple[str, Any]]:
    """Path and data set of everything in a group that lies in this file; a group is entered once."""
    address = h5py.h5o.get_info(group.id).addr
    if address in met:
        return
    met.add(address)
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            if depth >= DEEPEST:
                raise damaged(shown, f"groups nested more than {DEEPEST} deep")
            yield from _sets(h5py, item, f"{prefix}{name}/", depth + 1, met, shown)
        elif isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub" and item.shape is not None:
            met.add((prefix, name))
            if len(met) > MOST_SETS:
                raise damaged(shown, f"more than {MOST_SETS:,} data sets")
            yield prefix + name, item


def _entry(store: Store, key: str, item: Any) -> Entry:
    if item.external or item.is_virtual:
        raise ModelError(f"{key} keeps its numbers in another file, which is not opened", "E202", location=store.shown)
    stored = item.id.get_storage_size()
    offset = item.id.get_offset() if not item.chunks and item.dtype.byteorder in "=<|" and store.placed else None
    where = Location(str(store.path), store.start + offset, stored) if offset is not None else None
    load = partial(_load, store, key, item.name) if stored or not item.size else None
    return Entry(key, tuple(map(int, item.shape)), item.dtype.name, where, load)


def _load(store: Store, key: str, name: str) -> Any:
    import numpy

    try:
        with store.opened() as file:
            item = file[name]
            check_inflation(store.shown, key, item.id.get_storage_size(), item.size * item.dtype.itemsize)
            found = numpy.asarray(item[()])
    except BROKEN as error:
        raise damaged(store.shown, f"{key} cannot be read ({error})") from None
    return numpy.ascontiguousarray(found, found.dtype.newbyteorder("="))
