"""TensorProto: shape and type always, contents where they are small, and otherwise only where the bytes lie."""

from __future__ import annotations

import struct
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ... import elements
from ...dims import product
from ...graph import Location, Param, Tensor
from ...source import Origin, Span
from . import schema
from .wire import File, record

#: Integer tensors up to this many elements carry their contents (a Reshape's target, indices, slices).
SMALL_INTEGERS = 4096
#: Float tensors up to this many do: scales, bounds, fill values.
SMALL_FLOATS = 16
#: onnxruntime and onnx.checker know no tensor of more axes than this; a hostile file may claim millions.
MOST_AXES = 64
#: The typed fields whose packed payload is byte for byte that of raw_data.
FLOAT_FIELDS = {"float32": "float_data", "float64": "double_data"}


class Stored(NamedTuple):
    """A tensor as the file holds it: ``payload`` is the span of its little-endian bytes where they lie in one piece."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    contents: tuple[Any, ...] | None
    payload: Span | None
    external: Location | None

    def tensor(self) -> Tensor:
        """As an attribute's value."""
        return Tensor(self.shape, self.dtype, self.contents)


def read_tensor(file: File, span: Span, folder: Path | None) -> Stored:
    """The TensorProto in ``span``; ``folder`` is the model's, for external data. Raises ModelError."""
    fields = record(file, span, schema.TENSOR)
    kind = elements.BY_NUMBER.get(fields.get("data_type", 0))
    if kind is None:
        raise file.broken(
            span.start, f"a tensor of element type {fields.get('data_type', 0)}, which ONNX does not know"
        )
    shape = checked_shape(file, span, fields.get("dims", []))
    external = None
    payload = None
    if fields.get("data_location") == schema.EXTERNAL:
        external = _external(file, span, fields.get("external_data", []), folder, kind.length(int(product(shape))))
    else:
        payload = _payload(file, span, fields, kind, shape)
    contents = None if external else _contents(file, span, fields, kind, shape, payload)
    return Stored(fields.get("name", ""), shape, kind.name, contents, payload, external)


def checked_shape(file: File, span: Span, dims: list[int]) -> tuple[int, ...]:
    """The shape a tensor claims; raises ModelError where it cannot be one."""
    if any(d < 0 for d in dims) or len(dims) > MOST_AXES:
        raise file.broken(span.start, f"a tensor of shape {dims[:8]}{' …' if len(dims) > 8 else ''}")
    return tuple(dims)


def _payload(
    file: File, span: Span, fields: dict[str, Any], kind: elements.ElementType, shape: tuple[int, ...]
) -> Span | None:
    payload = fields.get("raw_data")
    if payload is None:
        packed = fields.get(FLOAT_FIELDS.get(kind.name, ""), [])
        if len(packed) != 1:
            return None
        _, _, start, _, end = packed[0]
        payload = Span(start, end)
    wanted = kind.length(int(product(shape)))
    if kind.bits and payload.end - payload.start != wanted:
        raise file.broken(
            span.start,
            f"tensor {fields.get('name', '')!r} of {kind.name} {list(shape)} needs {wanted} bytes "
            f"and holds {payload.end - payload.start}",
        )
    return Span(*payload)


# -- contents ---------------------------------------------------------------------------------------------------------


def _contents(
    file: File,
    span: Span,
    fields: dict[str, Any],
    kind: elements.ElementType,
    shape: tuple[int, ...],
    payload: Span | None,
) -> tuple[Any, ...] | None:
    count = int(product(shape))
    whole = kind.name in elements.INTEGERS
    if not kind.letter or count > (SMALL_INTEGERS if whole else SMALL_FLOATS):
        return None
    if payload is not None:
        found = struct.unpack(f"<{count}{kind.letter}", file.data[payload.start : payload.end])
    else:
        found = tuple(_typed(file, fields, kind))
    if len(found) != count:
        raise file.broken(
            span.start, f"tensor {fields.get('name', '')!r} of shape {list(shape)} holds {len(found)} numbers"
        )
    return found


def _typed(file: File, fields: dict[str, Any], kind: elements.ElementType) -> list[Any]:
    """Numbers in one of the typed fields; float16 is kept there as the integer of its bits."""
    if kind.name in FLOAT_FIELDS:
        return [
            n for _, _, start, _, end in fields.get(FLOAT_FIELDS[kind.name], []) for n in _reals(file, kind, start, end)
        ]
    runs = fields.get({"int64": "int64_data", "uint64": "uint64_data", "uint32": "uint64_data"}.get(kind.name, ""))
    numbers = [n for field in runs or fields.get("int32_data", []) for n in file.integers(field)]
    if kind.name == "uint64":
        return [n & 0xFFFF_FFFF_FFFF_FFFF for n in numbers]
    if kind.name == "float16":
        return [struct.unpack("<e", struct.pack("<H", n & 0xFFFF))[0] for n in numbers]
    return numbers


def _reals(file: File, kind: elements.ElementType, start: int, end: int) -> tuple[float, ...]:
    count, rest = divmod(end - start, kind.bits // 8)
    if rest:
        raise file.broken(start, f"{end - start} bytes do not hold whole numbers of {kind.name}")
    return struct.unpack(f"<{count}{kind.letter}", file.data[start:end])


# -- external data ----------------------------------------------------------------------------------------------------


def _external(file: File, span: Span, entries: list[Span], folder: Path | None, length: int) -> Location:
    """Where the numbers lie outside the file. Nothing is opened; the place must be inside the model's folder."""
    pairs = [record(file, entry, schema.ENTRY) for entry in entries]
    values = {pair.get("key", ""): pair.get("value", "") for pair in pairs}
    name = values.get("location", "")
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or "\\" in name or ":" in name or "\0" in name:
        raise file.broken(span.start, f"external data at {name!r}, which is not inside the model's folder")
    where = str(folder / name) if folder is not None else name
    return Location(where, _count(file, span, values, "offset", 0), _count(file, span, values, "length", length))


def _count(file: File, span: Span, values: dict[str, str], key: str, default: int) -> int:
    text = values.get(key, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise file.broken(span.start, f"external data with {key} {text[:20]!r}")
    return int(text)


# -- parameters -------------------------------------------------------------------------------------------------------


def as_param(file: File, stored: Stored, span: Span, path: str) -> Param:
    """A stored tensor as a parameter; ``path`` is the model file's own. Whether it is learned, its users tell."""
    where = stored.external
    if where is None and stored.payload is not None:
        where = Location(path, stored.payload.start, stored.payload.end - stored.payload.start)
    return Param(
        stored.name,
        stored.shape,
        stored.dtype,
        contents=stored.contents,
        where=where,
        trained=stored.dtype in elements.FLOATS,
        origin=Origin(file.name, op="initializer", span=span),
    )


def read_sparse(file: File, span: Span, folder: Path | None) -> Param:
    """A SparseTensorProto as a parameter without a place: its numbers are not one run of bytes."""
    fields = record(file, span, schema.SPARSE_TENSOR)
    if "values" not in fields:
        raise file.broken(span.start, "a sparse tensor without values")
    values = read_tensor(file, fields["values"], folder)
    shape = checked_shape(file, span, fields.get("dims", []))
    origin = Origin(file.name, op="sparse_initializer", span=span)
    return Param(values.name, shape, values.dtype, trained=values.dtype in elements.FLOATS, origin=origin)
