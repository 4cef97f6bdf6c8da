"""Caffe's binary files written by hand, in every way they have been written."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy

from shapecalc.formats.onnx.wire import FIXED32, FIXED64, block, integer, integers, key, text
from shapecalc.weights import Array

#: (field of the values, packed) -> how one blob is written.
WAYS = {
    "packed": (5, True, False),
    "unpacked": (5, False, False),
    "double": (8, True, False),
    "double unpacked": (8, False, False),
    "legacy": (5, True, True),
    "legacy unpacked": (5, False, True),
}


def blob(array: Array, way: str = "packed") -> bytes:
    """A BlobProto; legacy ones have four sizes, filled up with ones in front."""
    number, packed, legacy = WAYS[way]
    values = array.astype("<f4" if number == 5 else "<f8")
    wire = FIXED32 if number == 5 else FIXED64
    numbers = block(number, values.tobytes())
    if not packed:
        numbers = b"".join(key(number, wire) + value.tobytes() for value in values.reshape(-1))
    if legacy:
        sizes = (1,) * (4 - array.ndim) + array.shape
        return b"".join(integer(i, size) for i, size in enumerate(sizes, 1)) + numbers
    return numbers + block(7, integers(1, array.shape))


def net_v2(layers: Iterable[tuple[str, Sequence[bytes]]]) -> bytes:
    parts = [text(1, name) + text(2, "Any") + b"".join(block(7, b) for b in blobs) for name, blobs in layers]
    return text(1, "net") + b"".join(block(100, part) for part in parts)


def net_v1(layers: Iterable[tuple[str, Sequence[bytes]]]) -> bytes:
    parts = [text(4, name) + integer(5, 4) + b"".join(block(6, b) for b in blobs) for name, blobs in layers]
    return b"".join(block(2, part) for part in parts)


def net_v0(layers: Iterable[tuple[str, Sequence[bytes]]]) -> bytes:
    parts = [text(1, name) + text(2, "conv") + b"".join(block(50, b) for b in blobs) for name, blobs in layers]
    return b"".join(block(2, block(1, part)) for part in parts)


NETS = {"V2": net_v2, "V1": net_v1, "V0": net_v0}


def noise(*shape: int, seed: int = 0) -> Array:
    return numpy.random.default_rng(seed).standard_normal(shape, dtype=numpy.float32)


def caffemodel(weights: Mapping[str, Sequence[Array]], way: str = "packed", version: str = "V2") -> bytes:
    return NETS[version]((name, [blob(array, way) for array in arrays]) for name, arrays in weights.items())


def npy(descr: str, shape: str, data: bytes, order: bool = False) -> bytes:
    """An ``.npy`` with a header of our choice."""
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data
