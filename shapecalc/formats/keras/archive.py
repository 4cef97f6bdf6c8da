"""The definition inside an archive: ``config.json`` of a ``.keras`` file, ``model_config`` of an HDF5 one.

Nothing is unpacked to disk, names in an archive lead nowhere, and how much one may unpack to is bounded.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

from ...errors import ModelError, pip_install
from .. import Source
from .text import Document

#: No definition is longer (a text of this size holds a million layers' settings).
LARGEST = 64 << 20
CONFIG = "config.json"
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def zipped(source: Source) -> Document:
    """The definition of a ``.keras`` archive; raises ModelError."""
    try:
        with opened(source) as file, zipfile.ZipFile(file) as archive:
            info = archive.getinfo(CONFIG)
            if info.compress_type not in COMPRESSIONS:  # others ask for any amount of memory
                raise NotImplementedError(f"compression {info.compress_type}, which Keras never writes")
            with archive.open(info) as member:
                data = member.read(LARGEST + 1)
    except KeyError:
        raise ModelError(
            f"the archive holds no {CONFIG}",
            "E202",
            location=source.name,
            hint="model.save('model.keras') of Keras 3 writes one",
        ) from None
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ModelError(f"the archive cannot be read: {error}", "E202", location=source.name) from None
    if len(data) > LARGEST:
        raise ModelError(f"its {CONFIG} unpacks to more than {LARGEST >> 20} MB", "E202", location=source.name)
    return Document(f"{source.name}/{CONFIG}", _text(data, source))


def hdf5(source: Source) -> Document:
    """The definition of an HDF5 file (Keras' older format); raises ModelError, also where h5py is missing."""
    try:
        import h5py
    except ImportError:
        raise ModelError(
            "this is an HDF5 file, which needs h5py",
            "E202",
            location=source.name,
            hint=pip_install("h5py"),
        ) from None
    try:
        with h5py.File(source.path if source.path is not None else io.BytesIO(bytes(source.data)), "r") as file:
            config: Any = file.attrs.get("model_config")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the HDF5 file cannot be read: {error}", "E202", location=source.name) from None
    if not isinstance(config, (str, bytes)):
        raise ModelError(
            "the file holds weights and no definition: it has no attribute model_config",
            "E202",
            location=source.name,
            hint="open the definition (model.to_json()) and give this file as its weights",
        )
    data = config.encode() if isinstance(config, str) else config
    if len(data) > LARGEST:
        raise ModelError(f"its model_config has more than {LARGEST >> 20} MB", "E202", location=source.name)
    return Document(f"{source.name}/model_config", _text(data, source))


def opened(source: Source) -> Any:
    """The file a definition is in, as it lies on disk or in memory, to be read and closed."""
    return open(source.path, "rb") if source.path is not None else io.BytesIO(bytes(source.data))


def _text(data: bytes, source: Source) -> str:
    return Source(source.name, None, data).text()
