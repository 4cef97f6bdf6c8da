"""Protobuf's wire format, read in place and written: keys, varints, lengths. Knows nothing of ONNX.

Only positions are handed out, so a tensor of 500 MB costs one length prefix. Every length is checked against the
message around it; anything else raises ModelError with the byte offset.

Source: the encoding chapter of the Protocol Buffers documentation.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from ...errors import ModelError
from ...source import Span

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

#: A varint carries 7 bits a byte, so 64 bits take at most 10.
VARINT_LIMIT = 10

#: (number, wire type, value, first byte of the key, end). ``value`` is the number of a varint; for the other types the
#: position of the first byte of the payload, which ends at ``end``.
Field: TypeAlias = tuple[int, int, int, int, int]


class File(NamedTuple):
    """The bytes of a file (or a memory map of it), its name for messages, and whose format it is."""

    data: Any
    name: str
    owner: str = "ONNX"

    def broken(self, at: int, why: str) -> ModelError:
        """The error for a byte that makes no sense."""
        return ModelError(
            f"byte {at}: {why}",
            "E202",
            location=self.name,
            hint=f"check that the file is a whole {self.owner} model: a download may have been cut short",
        )

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """(value, position after it) of the varint at ``at`` in a message that ends at ``end``."""
        value = shift = 0
        data = self.data
        for position in range(at, min(end, at + VARINT_LIMIT)):
            byte = data[position]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + 1
            shift += 7
        why = "a varint of more than 10 bytes" if end - at >= VARINT_LIMIT else "the message ends inside a varint"
        raise self.broken(at, why)

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message in ``[start, end)``, in file order; raises ModelError."""
        data = self.data
        at = start
        while at < end:
            first = at
            key = data[at]
            at += 1
            if key > 0x7F:
                key, at = self.varint(first, end)
            wire = key & 7
            if wire in (BYTES, VARINT):  # the two that matter, without a call where one byte says it
                value = data[at] if at < end else 0x80
                at += 1
                if value > 0x7F:
                    value, at = self.varint(at - 1, end)
                if wire == BYTES:
                    value, at = at, at + value
            elif wire in (FIXED32, FIXED64):
                value, at = at, at + (4 if wire == FIXED32 else 8)
            else:
                raise self.broken(first, f"wire type {wire} is none that {self.owner} uses")
            if at > end:
                raise self.broken(first, f"a field of {at - first} bytes in a message with {end - first} left")
            if key < 8:
                raise self.broken(first, "a field with the number 0")
            yield key >> 3, wire, value, first, at

    def text(self, start: int, end: int) -> str:
        """The UTF-8 string in ``[start, end)``."""
        try:
            return str(self.data[start:end], "utf-8")
        except UnicodeDecodeError as error:
            raise self.broken(start + error.start, "a name that is not UTF-8 text") from None

    def integers(self, field: Field) -> list[int]:
        """The signed numbers of one field of a repeated integer: packed, or a single one."""
        _, wire, at, _, end = field
        if wire == VARINT:
            return [signed(at)]
        found = []
        data = self.data
        while at < end:
            value = data[at]
            at += 1
            if value > 0x7F:
                value, at = self.varint(at - 1, end)
            found.append(signed(value))
        return found

    def reals(self, field: Field) -> list[float]:
        """The numbers of one field of a repeated float (32 bits): packed, or a single one."""
        _, _, start, _, end = field
        if (end - start) % 4:
            raise self.broken(start, f"{end - start} bytes do not hold whole 32-bit floats")
        return list(struct.unpack(f"<{(end - start) // 4}f", self.data[start:end]))


def signed(value: int) -> int:
    """A 64-bit number as protobuf's int64 means it: two's complement."""
    return value - (1 << 64) if value >> 63 else value


# -- records: a message by its table of fields ------------------------------------------------------------------------


class Kind(NamedTuple):
    """What a field holds: its name in a record, the wire types it may have, how it is read, whether it repeats."""

    name: str
    wires: tuple[int, ...]
    reads: str
    repeated: bool = False


def record(file: File, span: Span, table: Mapping[int, Kind]) -> dict[str, Any]:
    """The known fields of a message by name: numbers, texts, and spans of what lies deeper.

    A field that repeats is a list, one that is absent is missing. Unknown fields are skipped: a patch keeps them.
    """
    found: dict[str, Any] = {}
    for field in file.fields(*span):
        kind = table.get(field[0])
        if kind is None:
            continue
        if field[1] not in kind.wires:
            raise file.broken(field[3], f"field {field[0]} ({kind.name}) has wire type {field[1]}")
        value = READ[kind.reads](file, field)
        if not kind.repeated:
            found[kind.name] = value
        elif kind.reads in PACKED:
            found.setdefault(kind.name, []).extend(value)
        else:
            found.setdefault(kind.name, []).append(value)
    return found


READ: dict[str, Callable[[File, Field], Any]] = {
    "int": lambda file, field: signed(field[2]),
    "ints": File.integers,
    "float": lambda file, field: file.reals(field)[0],
    "floats": File.reals,
    "text": lambda file, field: file.text(field[2], field[4]),
    "span": lambda file, field: Span(field[2], field[4]),
    "field": lambda file, field: field,
}
PACKED = ("ints", "floats")


# -- writing ----------------------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """A number as a varint; negative ones in two's complement, ten bytes."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def key(number: int, wire: int) -> bytes:
    """The key in front of a field."""
    return varint(number << 3 | wire)


def integer(number: int, value: int) -> bytes:
    """An integer field."""
    return key(number, VARINT) + varint(value)


def real(number: int, value: float) -> bytes:
    """A 32-bit float field."""
    return key(number, FIXED32) + struct.pack("<f", value)


def prefix(number: int, length: int) -> bytes:
    """The key and length in front of ``length`` bytes."""
    return key(number, BYTES) + varint(length)


def block(number: int, payload: bytes) -> bytes:
    """A length-delimited field: a message, or bytes."""
    return prefix(number, len(payload)) + payload


def text(number: int, value: str) -> bytes:
    """A string field."""
    return block(number, value.encode())


def integers(number: int, values: Iterable[int]) -> bytes:
    """A repeated integer, packed; nothing where there are none."""
    payload = b"".join(map(varint, values))
    return block(number, payload) if payload else b""


def reals(number: int, values: Iterable[float]) -> bytes:
    """A repeated 32-bit float, packed; nothing where there are none."""
    payload = b"".join(struct.pack("<f", value) for value in values)
    return block(number, payload) if payload else b""
