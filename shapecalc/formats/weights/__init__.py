"""Files of trained weights: one reader each, which says what the file holds and leaves the numbers where they are.

================== =============== ====================================================
module             files           keys
================== =============== ====================================================
``caffemodel``     .caffemodel     ``<layer>/<index of the blob>``
``npz``            .npz            Chainer's: ``<link>/<parameter>``
``hdf5``           .h5             paths of data sets; Caffe's without ``data/``
``keras``          .keras          those of the HDF5 file inside: ``layers/conv2d/vars/0``
================== =============== ====================================================

`assign` says which of them belongs to which parameter of a definition.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ...errors import ModelError
from .. import Source, contents
from ..foreign import SEEN, refuse_foreign
from .assign import Place, places
from .base import Entry, WeightFile

#: First bytes -> the module that reads such a file; a caffemodel has no such mark.
MAGIC = {b"PK\x03\x04": "npz", b"PK\x05\x06": "npz", b"\x89HDF\r\n\x1a\n": "hdf5"}


def read_weights(path: str | Path) -> WeightFile:
    """What a file of weights holds, by key; no number is read. Raises ModelError."""
    place, shown = Path(path), str(path)
    if not place.is_file():
        what = "this is a folder, not a file of weights" if place.is_dir() else "there is no such file"
        raise ModelError(what, "E202", location=shown)
    data = contents(place, shown)
    if len(data) == 0:
        raise ModelError("the file is empty", "E202", location=shown)
    refuse_foreign(bytes(data[:SEEN]), shown, "weights")
    found = _held(place, shown, data)
    if not found.entries:
        raise ModelError("the file holds no weights", "E202", location=shown)
    return found


def own_weights(source: Source) -> WeightFile | None:
    """The weights that a definition's own file holds beside the definition; None where it holds none.

    Raises ModelError where they cannot be read.
    """
    place = source.path if source.path is not None else Path(source.name)
    found = _held(place, source.name, source.data)
    return found if found.entries else None


def _held(place: Path, shown: str, data: Any) -> WeightFile:
    kind = _kind(shown, data)
    return WeightFile(shown, kind, importlib.import_module(f".{kind}", __name__).read(place, shown, data))


def _kind(shown: str, data: Any) -> str:
    head = bytes(data[:32])
    kind = next((kind for start, kind in MAGIC.items() if head.startswith(start)), "caffemodel")
    if kind == "npz":
        from . import keras, zipped

        return "keras" if keras.is_archive(zipped.members(shown, data)) else kind
    return kind


__all__ = ["Entry", "Place", "WeightFile", "own_weights", "places", "read_weights"]
