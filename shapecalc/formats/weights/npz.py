"""``.npz``: a zip of ``.npy`` arrays, as ``chainer.serializers.save_npz`` and ``numpy.savez`` write them.

Headers are read here, so nothing is ever unpickled: an array of objects is what Chainer saves for a parameter without
a size, and stays without numbers. A stored array is read where it lies, a deflated one when it is asked for, and
never beyond what its header says. Nothing is extracted, so the names of members name nothing.

Source: numpy/lib/format.py (the format), chainer/serializers/npz.py (the keys).
"""

from __future__ import annotations

import ast
import re
import struct
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...graph import Location
from . import zipped
from .base import Entry, Run, check_inflation, count_of, damaged, gathered

#: numpy writes headers of 64 to a few hundred bytes, and refuses to read beyond 10,000.
LONGEST_HEADER = 10_000
MOST_AXES = 64
_TYPE = re.compile(r"([<>|=])([fiub])(1|2|4|8)")
_WORDS = {"f": "float", "i": "int", "u": "uint", "b": "bool"}
#: Python 2 on Windows wrote (96L, 3L).
_LONG = re.compile(r"(?<=\d)L\b")


class Header(NamedTuple):
    """What the header of an ``.npy`` says, and how long it is. ``descr`` is numpy's spelling of the element type."""

    descr: str
    fortran: bool
    shape: tuple[int, ...]
    length: int


def read(path: Path, shown: str, data: Any) -> dict[str, Entry]:
    """The arrays of numbers by key, and those of objects without numbers; texts and other members are left out."""
    found: dict[str, Entry] = {}
    for info in zipped.members(shown, data):
        if info.filename.endswith(".npy"):
            entry = _entry(path, shown, data, info)
            if entry is not None:
                found[entry.key] = entry
    return found


def _entry(path: Path, shown: str, data: Any, info: zipfile.ZipInfo) -> Entry | None:
    key = info.filename.removesuffix(".npy")
    member = zipped.located(shown, data, info)
    header = _header(shown, key, data, member)
    if header is None:
        return None
    if header.descr == "|O":
        return Entry(key, header.shape, "object")
    dtype = _dtype(header.descr)
    if dtype is None:
        return None
    size = count_of(header.shape) * int(header.descr[2:])
    if header.length + size != member.size:
        raise damaged(shown, f"{key} of shape {list(header.shape)} needs {size:,} bytes and has {member.size:,} in all")
    first = member.start + header.length
    plain = not member.deflated and not header.fortran and header.descr[0] != ">"
    where = Location(str(path), first, size) if plain else None
    return Entry(key, header.shape, dtype, where, partial(_load, shown, key, data, member, header))


def _dtype(descr: str) -> str | None:
    match = _TYPE.fullmatch(descr)
    if match is None:
        return None
    return "bool" if match[2] == "b" else f"{_WORDS[match[2]]}{8 * int(match[3])}"


def _header(shown: str, key: str, data: Any, member: zipped.Member) -> Header | None:
    """The header of an ``.npy``; None for a member that is none. Raises ModelError for one that makes no sense."""
    longest = min(member.size, LONGEST_HEADER + 12)
    if member.deflated:
        head = zipped.inflated(shown, key, data, member, longest)
    else:
        head = bytes(data[member.start : member.start + longest])
    if head[:6] != b"\x93NUMPY" or len(head) < 12:
        return None
    start, length = (10, struct.unpack_from("<H", head, 8)[0])
    if head[6] > 1:
        start, length = (12, struct.unpack_from("<I", head, 8)[0])
    text = head[start : start + length].decode("latin-1")
    try:
        fields = ast.literal_eval(_LONG.sub("", text).strip())
        descr, fortran, shape = (fields[name] for name in ("descr", "fortran_order", "shape"))
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise damaged(shown, f"{key} has a header that numpy did not write") from None
    if not _is_shape(shape) or length > LONGEST_HEADER:
        raise damaged(shown, f"{key} has a header that numpy did not write")
    return Header(descr if isinstance(descr, str) else "", bool(fortran), shape, start + length)


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) <= MOST_AXES and all(type(d) is int and d >= 0 for d in shape)


def _load(shown: str, key: str, data: Any, member: zipped.Member, header: Header) -> Any:
    """The numbers of one array, checked against the zip's own sum."""
    import numpy

    if member.deflated:
        check_inflation(shown, key, member.stored, member.size)
        whole: Any = zipped.inflated(shown, key, data, member, member.size + 1)
    else:
        whole = memoryview(data)[member.start : member.start + member.size]
    if len(whole) != member.size or zlib.crc32(whole) != member.crc:
        raise damaged(shown, f"{key} is damaged: its bytes do not add up")
    kind = numpy.dtype(header.descr)
    found = gathered(whole, [Run(header.length, count_of(header.shape), kind.itemsize)], header.descr)
    ordered = found.reshape(header.shape, order="F" if header.fortran else "C")
    return numpy.ascontiguousarray(ordered, kind.newbyteorder("="))
