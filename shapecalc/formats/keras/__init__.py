"""Keras: models as ``to_json()`` writes them (Keras 2 and 3), ``.keras`` archives, and HDF5 files.

``text`` is the grammar (JSON with places), ``view`` typed access, ``layer`` a layer's entry, ``layers`` and its
neighbours the layer types, ``operations`` functions in the graph, ``history`` who is called on what, ``inputs`` what a
model is fed, ``build`` the graph, ``archive`` the definition inside another file.
"""

from __future__ import annotations

import re

from ...errors import ModelError
from ...graph import Graph
from .. import Options, Source
from .archive import LARGEST, hdf5, zipped
from .build import build
from .text import Document

ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_MODEL = re.compile(rb'^\s*\{.*"(?:class_name|keras_version)"\s*:', re.DOTALL)


def sniff(head: bytes) -> bool:
    """Whether the first kilobytes look like a Keras definition."""
    if head.startswith(ZIP):
        return b"config.json" in head or b"metadata.json" in head
    return head.startswith(HDF5) or _MODEL.match(head[:4096]) is not None


def read(source: Source, options: Options) -> Graph:
    """The graph of a model; raises ModelError with file and line."""
    head = bytes(source.data[:8])
    try:
        graph = build(_document(source, head))
    except RecursionError:
        raise ModelError("nested deeper than a model is", "E202", location=source.name) from None
    return graph.replace(meta={**graph.meta, "weights_inside": head.startswith((ZIP, HDF5))})


def _document(source: Source, head: bytes) -> Document:
    if head.startswith(ZIP):
        return zipped(source)
    if head.startswith(HDF5):
        return hdf5(source)
    if len(source.data) > LARGEST:
        raise ModelError(f"a definition of more than {LARGEST >> 20} MB", "E202", location=source.name)
    return Document(source.name, source.text())
