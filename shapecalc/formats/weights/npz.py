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
from .base import Entry, Run, check_inflation, count_of, damaged, gathered

#: A network has thousands of parameters; the list of a zip beyond this many bytes names hundreds of thousands.
LONGEST_LIST = 1 << 22
#: numpy writes headers of 64 to a few hundred bytes, and refuses to read beyond 10,000.
LONGEST_HEADER = 10_000
MOST_AXES = 64
_TYPE = re.compile(r"([<>|=])([fiub])(1|2|4|8)")
_WORDS = {"f": "float", "i": "int", "u": "uint", "b": "bool"}
#: Python 2 on Windows wrote (96L, 3L).
_LONG = re.compile(r"(?<=\d)L\b")
_LOCAL = struct.Struct("<4s22xHH")
_END, _LOCATOR, _END64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"


class Header(NamedTuple):
    """What the header of an ``.npy`` says, and how long it is. ``descr`` is numpy's spelling of the element type."""

    descr: str
    fortran: bool
    shape: tuple[int, ...]
    length: int


class Member(NamedTuple):
    """One member of the zip: where its bytes start, how many, compressed or not."""

    start: int
    stored: int
    size: int
    deflated: bool
    crc: int


def read(path: Path, shown: str, data: Any) -> dict[str, Entry]:
    """The arrays of numbers by key, and those of objects without numbers; texts and other members are left out."""
    _check_list(shown, data)
    found: dict[str, Entry] = {}
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        raise damaged(shown, f"this is no npz, or it is damaged ({error})") from None
    for info in members:
        if info.filename.endswith(".npy"):
            entry = _entry(path, shown, data, info)
            if entry is not None:
                found[entry.key] = entry
    return found


def _check_list(shown: str, data: Any) -> None:
    """Refuses a list of members that is too long, before `zipfile` reads it (4.3.16 of the zip specification)."""
    end = data.rfind(_END, max(0, len(data) - 65557))
    if end < 0 or end + 22 > len(data):
        raise damaged(shown, "this is no npz, or it is cut short: it has no list of members")
    longest = struct.unpack_from("<I", data, end + 12)[0]
    if end >= 76 and data[end - 20 : end - 16] == _LOCATOR and data[end - 76 : end - 72] == _END64:
        longest = struct.unpack_from("<Q", data, end - 76 + 40)[0]
    if longest > LONGEST_LIST:
        raise damaged(shown, f"a list of members of {longest:,} bytes, which no network has")


def _entry(path: Path, shown: str, data: Any, info: zipfile.ZipInfo) -> Entry | None:
    key = info.filename.removesuffix(".npy")
    member = _member(shown, data, info)
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


def _member(shown: str, data: Any, info: zipfile.ZipInfo) -> Member:
    """Where the bytes of a member start: behind its own header, whose names may be longer than the list's."""
    at = info.header_offset
    if not 0 <= at <= len(data) - _LOCAL.size:
        raise damaged(shown, f"{info.filename[:80]!r} starts outside the file")
    mark, name, extra = _LOCAL.unpack_from(data, at)
    start = at + _LOCAL.size + name + extra
    if mark != b"PK\x03\x04" or start + info.compress_size > len(data):
        raise damaged(shown, f"{info.filename[:80]!r} is cut short")
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise damaged(shown, f"{info.filename[:80]!r} is encrypted, or compressed as numpy never does")
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    if not deflated and info.compress_size != info.file_size:
        raise damaged(shown, f"{info.filename[:80]!r} is stored and has two sizes")
    return Member(start, info.compress_size, info.file_size, deflated, info.CRC)


def _inflated(shown: str, key: str, data: Any, member: Member, most: int) -> bytes:
    """At most ``most`` bytes of what a deflated member unpacks to."""
    try:
        unpack = zlib.decompressobj(-zlib.MAX_WBITS)
        parts, made, at = [], 0, member.start
        while made < most and not unpack.eof:
            chunk = unpack.unconsumed_tail or data[at : min(at + (1 << 20), member.start + member.stored)]
            at += 0 if unpack.unconsumed_tail else len(chunk)
            if not chunk:
                break
            parts.append(unpack.decompress(chunk, most - made))
            made += len(parts[-1])
    except zlib.error as error:
        raise damaged(shown, f"{key} does not unpack ({error})") from None
    return b"".join(parts)


def _header(shown: str, key: str, data: Any, member: Member) -> Header | None:
    """The header of an ``.npy``; None for a member that is none. Raises ModelError for one that makes no sense."""
    longest = min(member.size, LONGEST_HEADER + 12)
    if member.deflated:
        head = _inflated(shown, key, data, member, longest)
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


def _load(shown: str, key: str, data: Any, member: Member, header: Header) -> Any:
    """The numbers of one array, checked against the zip's own sum."""
    import numpy

    if member.deflated:
        check_inflation(shown, key, member.stored, member.size)
        whole: Any = _inflated(shown, key, data, member, member.size + 1)
    else:
        whole = memoryview(data)[member.start : member.start + member.size]
    if len(whole) != member.size or zlib.crc32(whole) != member.crc:
        raise damaged(shown, f"{key} is damaged: its bytes do not add up")
    kind = numpy.dtype(header.descr)
    found = gathered(whole, [Run(header.length, count_of(header.shape), kind.itemsize)], header.descr)
    ordered = found.reshape(header.shape, order="F" if header.fortran else "C")
    return numpy.ascontiguousarray(ordered, kind.newbyteorder("="))
