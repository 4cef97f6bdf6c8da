"""Damage done to files, seeded: to bytes, to the messages of a protobuf, to the members of a zip.

Every mutation is a function of the random generator, the file and another file of the same format (to splice from), so
a finding is told by its seed alone.
"""

from __future__ import annotations

import io
import lzma
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

Chance: TypeAlias = random.Random
Mutation: TypeAlias = Callable[[Chance, bytes, bytes], bytes]

#: Numbers at the edges of what a field, a size or a length can be.
NUMBERS = (0, 1, 2, 3, 7, 127, 128, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 10**9, 10**18, 2**62, 2**63 - 1)
NEGATIVE = (-1, -2, -7, -(2**31), -(2**63))
#: No file becomes longer: what is tried is what a file of its size can do.
LONGEST = 1 << 20


def some(chance: Chance, data: bytes) -> tuple[int, int]:
    """A place in the file, and a length that is mostly short."""
    at = chance.randrange(len(data) + 1)
    return at, min(len(data) - at, int(2 ** chance.uniform(0, 12)))


# -- bytes ------------------------------------------------------------------------------------------------------------


def flip(chance: Chance, data: bytes, other: bytes) -> bytes:
    """A few bits the other way round."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def truncate(chance: Chance, data: bytes, other: bytes) -> bytes:
    return data[: chance.randrange(len(data))]


def cut(chance: Chance, data: bytes, other: bytes) -> bytes:
    at, length = some(chance, data)
    return data[:at] + data[at + length :]


def repeat(chance: Chance, data: bytes, other: bytes) -> bytes:
    at, length = some(chance, data)
    times = chance.choice((2, 2, 3, 50))
    return data[:at] + data[at : at + length] * times + data[at + length :]


def splice(chance: Chance, data: bytes, other: bytes) -> bytes:
    at, length = some(chance, data)
    start, taken = some(chance, other)
    return data[:at] + other[start : start + taken] + data[at + length :]


def overwrite(chance: Chance, data: bytes, other: bytes) -> bytes:
    """A number of 1 to 8 bytes in place of what stood there."""
    at = chance.randrange(len(data))
    width = chance.choice((1, 2, 4, 8))
    number = chance.choice(NUMBERS + NEGATIVE) & (1 << 8 * width) - 1
    return data[:at] + number.to_bytes(width, chance.choice(("little", "big"))) + data[at + width :]


BYTES: tuple[Mutation, ...] = (flip, flip, truncate, cut, repeat, splice, overwrite)

# -- protobuf ---------------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """One field of a message: its number, wire type, and a number, bytes, or the parts of a message."""

    number: int
    wire: int
    value: int | bytes | list[Part]


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError


def parsed(data: bytes, depth: int = 0) -> list[Part] | None:
    """The fields of a message, as deep as bytes read as messages; None where they do not."""
    parts: list[Part] = []
    at = 0
    try:
        while at < len(data):
            key, at = _varint(data, at)
            number, wire = key >> 3, key & 7
            value: int | bytes | list[Part]
            if wire == 0:
                value, at = _varint(data, at)
            elif wire in (1, 5):
                width = 8 if wire == 1 else 4
                value, at = data[at : at + width], at + width
            elif wire == 2:
                length, at = _varint(data, at)
                value, at = data[at : at + length], at + length
                if 1 < length < 1 << 16 and depth < 12 and (number in (1, 5, 7) or not value.isascii()):
                    value = parsed(value, depth + 1) or value
            else:
                return None
            if at > len(data) or number == 0:
                return None
            parts.append(Part(number, wire, value))
    except (IndexError, ValueError):
        return None
    return parts


def encoded(parts: Sequence[Part]) -> bytes:
    made = bytearray()
    for number, wire, value in parts:
        made += varint(number << 3 | wire)
        body = encoded(value) if isinstance(value, list) else value
        if isinstance(body, int):
            made += varint(body)
        else:
            made += (varint(len(body)) if wire == 2 else b"") + body
    return bytes(made)


def messages(parts: list[Part]) -> list[list[Part]]:
    """Every message in a message, itself the first."""
    found = [parts]
    for part in parts:
        if isinstance(part.value, list):
            found += messages(part.value)
    return found


def wired(change: Callable[[Chance, list[list[Part]]], None]) -> Mutation:
    """A mutation of messages; lengths around them stay right, so what is read goes on to what it means."""

    def mutation(chance: Chance, data: bytes, other: bytes) -> bytes:
        parts = parsed(data)
        if not parts:
            return flip(chance, data, other)
        for _ in range(chance.choice((1, 1, 1, 2))):
            change(chance, [found for found in messages(parts) if found])
        return encoded(parts)

    return mutation


def _pick(chance: Chance, found: list[list[Part]]) -> tuple[list[Part], int]:
    message = chance.choice(found)
    return message, chance.randrange(len(message))


def _number(chance: Chance, found: list[list[Part]]) -> None:
    """A number becomes another."""
    holders = [message for message in found if any(part.wire == 0 for part in message)]
    message = chance.choice(holders or found)
    index = chance.choice([i for i, part in enumerate(message) if part.wire == 0] or [0])
    message[index] = Part(message[index].number, 0, chance.choice(NUMBERS + NEGATIVE))


def _text(chance: Chance, found: list[list[Part]]) -> None:
    """A text becomes another of the file: names that are there twice, cycles, operators that get another's inputs."""
    texts = [(message, i) for message in found for i, part in enumerate(message) if isinstance(part.value, bytes)]
    if texts:
        (message, index), (source, place) = chance.choice(texts), chance.choice(texts)
        value = source[place].value
        if chance.random() < 0.15:
            value = chance.choice((b"", b"../../x", b"/etc/passwd", b"a/../../b", b"\xff\xfe", b"\0", b"x" * 5000))
        message[index] = Part(message[index].number, 2, value)


def _remove(chance: Chance, found: list[list[Part]]) -> None:
    message, index = _pick(chance, found)
    if len(message) > 1:
        del message[index]


def _twice(chance: Chance, found: list[list[Part]]) -> None:
    message, index = _pick(chance, found)
    message[index:index] = [message[index]] * chance.choice((1, 1, 2, 30))


def _move(chance: Chance, found: list[list[Part]]) -> None:
    """A field of one message into another."""
    source, index = _pick(chance, found)
    if len(encoded([source[index]])) < 1 << 14:
        target, place = _pick(chance, found)
        target[place : place + chance.randrange(2)] = [_copied(source[index])]


def _copied(part: Part) -> Part:
    value = [_copied(inner) for inner in part.value] if isinstance(part.value, list) else part.value
    return Part(part.number, part.wire, value)


def _renumber(chance: Chance, found: list[list[Part]]) -> None:
    message, index = _pick(chance, found)
    part = message[index]
    number = part.number + chance.choice((-1, 1, 2)) if chance.random() < 0.7 else chance.choice((1, 15, 20, 536870911))
    message[index] = Part(max(1, number), part.wire, part.value)


def _deeper(chance: Chance, found: list[list[Part]]) -> None:
    """A field inside itself, many times."""
    message, index = _pick(chance, found)
    part = message[index]
    if part.wire != 2 or len(encoded([part])) > 2000:
        return
    body = encoded(part.value) if isinstance(part.value, list) else part.value
    assert isinstance(body, bytes)
    for _ in range(chance.choice((3, 20, 300))):
        body = varint(part.number << 3 | 2) + varint(len(body)) + body
    message[index] = Part(part.number, 2, body)


def _length(chance: Chance, data: bytes, other: bytes) -> bytes:
    """A length prefix alone, which then says too much or too little."""
    spots = [i for i in range(1, min(len(data), 1 << 15)) if data[i - 1] & 7 == 2]
    if not spots:
        return flip(chance, data, other)
    at = chance.choice(spots)
    by = chance.choice((-2, -1, 1, 2, 5))
    new = varint(chance.choice(NUMBERS)) if chance.random() < 0.3 else bytes([data[at] + by & 0xFF])
    return data[:at] + new + data[at + 1 :]


def _endless(chance: Chance, data: bytes, other: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + b"\xff" * chance.choice((1, 9, 10, 11, 500)) + data[at:]


PROTOBUF: tuple[Mutation, ...] = (
    *map(wired, (_number, _number, _number, _text, _text, _text, _remove, _twice, _move, _renumber, _deeper)),
    *(_length, _endless),
)

# -- zip archives -----------------------------------------------------------------------------------------------------

PICKLE = b"cos\nsystem\n(S'false'\ntR."
NPY = re.compile(rb"\{'descr'.*\}")


def _npy(descr: str, shape: str, data: bytes) -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def _bomb() -> bytes:
    """A deflated stream of a megabyte that unpacks to a gigabyte."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)
    return block * 1024 + pack.flush()


def member(chance: Chance, name: str, data: bytes, inner: Sequence[Mutation]) -> tuple[str, bytes]:
    """One member changed: its name, its bytes, its header, or all of it."""
    what = chance.random()
    if what < 0.15:
        names = ("../../x", "/etc/x.npy", "a" * 3000, "", name.upper(), "\\\\x\\y.npy", "config.json", "x.npy")
        return chance.choice(names), data
    if what < 0.35 and NPY.search(data):
        descr = chance.choice(("|O", "<f8", ">f4", "<U9", "|V8", "<c16", "<f4, <f4", "<f3", "O", "|S1", "<M8[s]"))
        sizes = tuple(chance.choice(NUMBERS + NEGATIVE[:1]) for _ in range(chance.choice((0, 1, 2, 4, 70))))
        shape = str(sizes) if chance.random() < 0.8 else chance.choice(("(" * 200, "3", "(1.5,)", "('a',)", "(True,)"))
        return name, _npy(descr, shape, PICKLE if descr == "|O" else data[-256:])
    if not data:
        return name, b"\x93NUMPY"
    return name, chance.choice(tuple(inner))(chance, data, data)


def _beginning(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """What a member unpacks to, and of a bomb no more than matters: unpacking it was most of the time of all tries."""
    with archive.open(info) as file:
        return file.read(LONGEST)


def zipped(inner: Sequence[Mutation]) -> Mutation:
    """A zip written again with one member changed by one of ``inner``; its sums are right."""

    def mutation(chance: Chance, data: bytes, other: bytes) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                files = [(info.filename, _beginning(archive, info)) for info in archive.infolist()]
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            MemoryError,
            OSError,
            RuntimeError,
            ValueError,
            EOFError,
        ):
            return flip(chance, data, other)
        if not files:
            return flip(chance, data, other)
        index = chance.randrange(len(files))
        files[index] = member(chance, *files[index], inner)
        if chance.random() < 0.1:
            files.append(chance.choice(files))
        buffer = io.BytesIO()
        how = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
        with zipfile.ZipFile(buffer, "w", how) as archive:
            for name, body in files:
                archive.writestr(zipfile.ZipInfo(name.replace("\0", "")), body, how)
        return buffer.getvalue()

    return mutation


def list_of_members(chance: Chance, data: bytes, other: bytes) -> bytes:
    """Numbers in the headers of a zip: sizes, sums, offsets, flags."""
    marks = [found.start() for found in re.finditer(rb"PK[\x01\x03\x05]", data)]
    if not marks:
        return flip(chance, data, other)
    at = chance.choice(marks) + chance.randrange(4, 46)
    width = chance.choice((1, 2, 4))
    number = chance.choice(NUMBERS) & (1 << 8 * width) - 1
    return data[:at] + number.to_bytes(width, "little") + data[at + width :]


def bomb(chance: Chance, data: bytes, other: bytes) -> bytes:
    """An archive whose one member unpacks to a gigabyte, under a name that is looked for."""
    made = _bomb()
    name = chance.choice((b"config.json", b"model.weights.h5", b"conv1/W.npy", b"metadata.json"))
    size = chance.choice((1 << 30, 100, 1 << 20, 0))
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(made), size, len(name), 0)
    entry = struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 8, 0, 0, 0, len(made), size, len(name), *(0,) * 6)
    body = b"PK\x03\x04" + head + name + made
    listed = b"PK\x01\x02" + entry + name
    return body + listed + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(listed), len(body), 0)


ZIP: tuple[Mutation, ...] = (list_of_members, list_of_members, *BYTES)
