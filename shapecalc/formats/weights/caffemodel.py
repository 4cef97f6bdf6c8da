"""``.caffemodel`` and ``.binaryproto``: Caffe's messages NetParameter and BlobProto (caffe.proto), read in place.

V2 (``layer``), V1 (``layers``) and V0 (``layers { layer { } }``); blobs with a shape or with the four sizes of old
files; numbers packed or each with its key, of 32 or 64 bits. Positions are taken from a memory map, so files of any
size cost what their layers cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...graph import Location
from ...source import Span
from .. import contents
from ..onnx.wire import BYTES, FIXED32, FIXED64, VARINT, Field, File, Kind, record
from .base import Entry, Run, count_of, gathered

#: Fields of all messages together; ResNet-152 has 60,000. A file of more was made to take time.
MOST_FIELDS = 1_000_000
#: Blob::kMaxBlobAxes (blob.hpp).
MOST_AXES = 32

_NAME, _BLOBS = Kind("name", (BYTES,), "text"), Kind("blobs", (BYTES,), "span", True)
NET = {2: Kind("v1", (BYTES,), "span", True), 100: Kind("v2", (BYTES,), "span", True)}
V2 = {1: _NAME, 7: _BLOBS}
V1 = {1: Kind("v0", (BYTES,), "span"), 4: _NAME, 6: _BLOBS}
V0 = {1: _NAME, 50: _BLOBS}

_SIZE = (VARINT,)
SIZES = {
    1: Kind("num", _SIZE, "int"),
    2: Kind("channels", _SIZE, "int"),
    3: Kind("height", _SIZE, "int"),
    4: Kind("width", _SIZE, "int"),
    7: Kind("shape", (BYTES,), "span"),
}
SHAPE = {1: Kind("dim", (VARINT, BYTES), "ints", True)}
LEGACY = ("num", "channels", "height", "width")


class Numbers(NamedTuple):
    """How a field of numbers is written: its element type, as numpy spells it, and the wire type of a single one."""

    dtype: str
    wire: int
    size: int


#: data, diff, double_data, double_diff.
NUMBERS = {5: Numbers("<f4", FIXED32, 4), 6: Numbers("<f4", FIXED32, 4)} | {
    8: Numbers("<f8", FIXED64, 8),
    9: Numbers("<f8", FIXED64, 8),
}
DTYPES = {5: "float32", 8: "float64"}


class Counted(File):
    """A file whose fields are counted, so that no file takes long."""

    seen: int = 0

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of a message; raises ModelError beyond `MOST_FIELDS` in all."""
        for field in super().fields(start, end):
            self.seen += 1
            if self.seen > MOST_FIELDS:
                raise self.broken(start, f"more than {MOST_FIELDS:,} fields, which no network has")
            yield field


def read(path: Path, shown: str, data: Any) -> dict[str, Entry]:
    """The blobs of a NetParameter by ``<layer>/<index>``; of two layers of one name the later counts, as in Caffe."""
    file = Counted(data, shown, "Caffe")
    if path.suffix.lower() == ".binaryproto":
        return {"mean": read_blob(file, Span(0, len(data)), "mean", path)}
    net = record(file, Span(0, len(data)), NET)
    found: dict[str, Entry] = {}
    for kind, table in (("v1", V1), ("v2", V2)):
        for span in net.get(kind, ()):
            layer = record(file, span, table)
            layer = record(file, layer["v0"], V0) if "v0" in layer else layer
            for index, blob in enumerate(layer.get("blobs", ())):
                key = f"{layer.get('name', '')}/{index}"
                found[key] = read_blob(file, blob, key, path)
    return found


def read_mean(path: str | Path) -> Entry:
    """The mean image of a ``.binaryproto``: one blob, 1×channels×height×width. Raises ModelError."""
    place = Path(path)
    data = contents(place, str(path))
    return read_blob(Counted(data, str(path), "Caffe"), Span(0, len(data)), "mean", place)


def read_blob(file: File, span: Span, key: str, path: Path) -> Entry:
    """The BlobProto in ``span``. Raises ModelError where its numbers are not as many as its shape says."""
    sizes: dict[str, Any] = {}
    runs: dict[int, list[Run]] = {}
    for number, part in _parts(file, span):
        if isinstance(part, Run):
            runs.setdefault(number, []).append(part)
        elif number in SIZES:
            sizes |= record(file, Span(part[3], part[4]), SIZES)
    number = 8 if any(run.total for run in runs.get(8, ())) else 5  # blob.cpp, FromProto: doubles where there are any
    numbers, kept = NUMBERS[number], runs.get(number, [])
    shape = _shape(file, span, sizes, key)
    held = sum(run.total for run in kept)
    needed = count_of(shape)
    if needed != held:
        raise file.broken(span.start, f"{key} of shape {list(shape)} needs {needed:,} numbers and has {held:,}")
    whole = len(kept) == 1 and kept[0].step == numbers.size
    where = Location(str(path), kept[0].offset, held * numbers.size) if whole else None
    load = partial(gathered, file.data, kept, numbers.dtype)
    return Entry(key, shape, DTYPES[number], where, load, any(name in sizes for name in LEGACY))


def _shape(file: File, span: Span, sizes: dict[str, Any], key: str) -> tuple[int, ...]:
    """The four sizes where one of them is given, absent ones 0, else the shape (blob.cpp, ShapeEquals)."""
    if any(name in sizes for name in LEGACY):
        shape = [sizes.get(name, 0) for name in LEGACY]
    else:
        written = sizes.get("shape", Span(0, 0))
        if written.end - written.start > 16 * MOST_AXES:
            raise file.broken(span.start, f"{key} has more than {MOST_AXES} axes")
        shape = record(file, written, SHAPE).get("dim", [])
    if len(shape) > MOST_AXES or any(size < 0 for size in shape):
        raise file.broken(span.start, f"{key} has the shape {shape[:8]}")
    return tuple(shape)


def _parts(file: File, span: Span) -> Iterator[tuple[int, Run | Field]]:
    """The fields of a blob by number, its numbers as runs; numbers that are not packed are stepped over together."""
    at = span.start
    while at < span.end:
        for field in file.fields(at, span.end):
            at = field[4]
            if field[0] not in NUMBERS:
                yield field[0], field
                continue
            run = _run(file, field, span.end)
            yield field[0], run
            if field[1] != BYTES:
                at = run.offset + (run.total - 1) * run.step + NUMBERS[field[0]].size
                break


def _run(file: File, field: Field, end: int) -> Run:
    number, wire, at, first, after = field
    kind = NUMBERS[number]
    if wire == BYTES:
        if (after - at) % kind.size:
            raise file.broken(at, f"{after - at} bytes do not hold whole numbers of {kind.size} bytes")
        return Run(at, (after - at) // kind.size, kind.size)
    if wire != kind.wire:
        raise file.broken(first, f"field {number} has wire type {wire}")
    step = after - first
    return Run(at, 1 if at - first > 1 else _alike(file.data, first, step, (end - first) // step), step)


def _alike(data: Any, first: int, step: int, most: int) -> int:
    """How many fields of ``step`` bytes in a row have the key at ``first``."""
    import numpy

    chunk = 1 << 16
    for start in range(0, most, chunk):
        keys = numpy.ndarray((min(chunk, most - start),), "u1", data, first + start * step, (step,))
        others = numpy.flatnonzero(keys != data[first])
        if others.size:
            return start + int(others[0])
    return most
