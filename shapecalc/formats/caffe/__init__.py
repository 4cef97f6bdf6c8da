"""Caffe: prototxt definitions of every age (V0, V1, V2), as ``caffe::Net`` reads them.

``text`` is the grammar, ``view`` typed access, ``schema`` the known fields, ``upgrade`` and ``states`` what Caffe does
before it builds, ``layers`` and ``inputs`` the layer types, ``wiring`` and ``net`` the graph.
"""

from __future__ import annotations

import re

from ...graph import Graph
from .. import Options, Source
from .net import build
from .text import parse

_LAYER = re.compile(rb"(?:^|[\s}])(?:layers?|input)\s*(?::\s*)?[{\"'<]")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def sniff(head: bytes) -> bool:
    """Whether the first kilobytes look like a prototxt: text with ``layer {``, ``layers {`` or ``input: "…"``."""
    return _BINARY.search(head) is None and _LAYER.search(head) is not None


def read(source: Source, options: Options) -> Graph:
    """The graph of a prototxt for one phase; raises ModelError with file and line."""
    return build(parse(source.text(), source.name), options)
