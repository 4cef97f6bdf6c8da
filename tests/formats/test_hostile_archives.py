"""Damaged ``.keras`` archives whose definition is whole: what cannot be copied is not written (tests.tools.fuzz)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from test_weights_keras import KEYS, NET, archive, by_class

import shapecalc
from shapecalc import ModelError
from shapecalc.verify.definition_file import patched, write_own

pytest.importorskip("h5py", reason="needs the extra keras")


def member(data: bytes, name: bytes) -> tuple[int, int]:
    """Where a member's own header starts, and its entry in the list."""
    first, entry = data.index(name), data.rindex(name)
    return first - 30, entry - 46


def replaced(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def listed(offset: int, new: bytes) -> Callable[[bytes], bytes]:
    """Some bytes of the entry of metadata.json in the list (4.3.12 of the zip specification)."""
    return lambda data: replaced(data, member(data, b"metadata.json")[1] + offset, new)


def own_header(offset: int, new: bytes) -> Callable[[bytes], bytes]:
    """Some bytes of metadata.json's own header, or behind it."""
    return lambda data: replaced(data, member(data, b"metadata.json")[0] + offset, new)


def twice(data: bytes) -> bytes:
    buffer = io.BytesIO(data)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as file:
        file.writestr("metadata.json", "[]")
    return buffer.getvalue()


#: Damage -> (what does it, compression, what the refusal says).
DAMAGE: dict[str, tuple[Callable[[bytes], bytes], int, str]] = {
    "a wrong sum": (listed(16, bytes(4)), zipfile.ZIP_STORED, "'metadata.json' does not unpack .Bad CRC-32"),
    "another name in front": (own_header(30, b"M"), zipfile.ZIP_STORED, "'metadata.json' does not unpack .File name"),
    "no deflated stream": (own_header(43, b"\xff\xff"), zipfile.ZIP_DEFLATED, "'metadata.json' does not unpack .Error"),
    "a stream cut short": (listed(20, b"\1"), zipfile.ZIP_DEFLATED, "'metadata.json' does not unpack"),
    "beyond the file": (listed(42, b"\xff\xff\xff\x7f"), zipfile.ZIP_STORED, "'metadata.json' starts outside the file"),
    "gigabytes": (listed(24, b"\0\0\0\xf0"), zipfile.ZIP_DEFLATED, "claim to unpack to 4,026,531,840"),
    "two sizes": (listed(24, b"\x09"), zipfile.ZIP_STORED, "'metadata.json' is stored and has two sizes"),
    "encrypted": (listed(8, b"\1"), zipfile.ZIP_STORED, "'metadata.json' is encrypted"),
    "twice": (twice, zipfile.ZIP_STORED, "'metadata.json' is in the archive twice"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_cannot_be_copied_is_not_written(name: str, tmp_path: Path) -> None:
    damage, how, message = DAMAGE[name]
    path, target = tmp_path / "m.keras", tmp_path / "out.keras"
    path.write_bytes(damage(archive(NET, by_class(KEYS), how)))
    plan = shapecalc.load(path).retarget(classes=7, head=["d"])
    with open(target, "w+b") as file, pytest.raises(ModelError, match=message):
        write_own(plan, file, target, patched(plan), 0)


def test_a_refused_result_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(listed(16, bytes(4))(archive(NET, by_class(KEYS))))
    with pytest.raises(ModelError, match="does not unpack"):
        shapecalc.load(path).retarget(classes=7, head=["d"]).save(tmp_path / "out.keras", device="cpu")
    assert list(tmp_path.iterdir()) == [path]
