"""Members of a zip where they lie: stored ones are read in place, deflated ones up to a bound, nothing is extracted."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any, NamedTuple

from .base import damaged

#: A network has thousands of parameters; the list of a zip beyond this many bytes names hundreds of thousands.
LONGEST_LIST = 1 << 22
_LOCAL = struct.Struct("<4s22xHH")
_END, _LOCATOR, _END64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"


class Member(NamedTuple):
    """One member of the zip: where its bytes start, how many, compressed or not."""

    start: int
    stored: int
    size: int
    deflated: bool
    crc: int


class Part(io.RawIOBase):
    """Some bytes of a buffer as a file that can only be read."""

    def __init__(self, data: Any, start: int, length: int) -> None:
        self.data = memoryview(data)[start : start + length]
        self.at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """To a byte, counted from the start, from here or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: len(self.data)}[whence]
        self.at = max(0, base + offset)
        return self.at

    def tell(self) -> int:
        """Where it stands."""
        return self.at

    def readinto(self, target: Any) -> int:
        """As many bytes as there are, and as fit."""
        found = self.data[self.at : self.at + len(target)]
        target[: len(found)] = found
        self.at += len(found)
        return len(found)


def members(shown: str, data: Any) -> list[zipfile.ZipInfo]:
    """The list of a zip's members. Raises ModelError where it cannot be read or is longer than any network's."""
    check_list(shown, data)
    try:
        with zipfile.ZipFile(io.BufferedReader(Part(data, 0, len(data)))) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        raise damaged(shown, f"this is no zip, or it is damaged ({error})") from None


def check_list(shown: str, data: Any) -> None:
    """Refuses a list of members that is too long, before `zipfile` reads it (4.3.16 of the zip specification)."""
    end = data.rfind(_END, max(0, len(data) - 65557))
    if end < 0 or end + 22 > len(data):
        raise damaged(shown, "this is no zip, or it is cut short: it has no list of members")
    longest = struct.unpack_from("<I", data, end + 12)[0]
    if end >= 76 and data[end - 20 : end - 16] == _LOCATOR and data[end - 76 : end - 72] == _END64:
        longest = struct.unpack_from("<Q", data, end - 76 + 40)[0]
    if longest > LONGEST_LIST:
        raise damaged(shown, f"a list of members of {longest:,} bytes, which no network has")


def located(shown: str, data: Any, info: zipfile.ZipInfo) -> Member:
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


def inflated(shown: str, key: str, data: Any, member: Member, most: int) -> bytes:
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
