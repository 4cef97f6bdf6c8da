"""Chainer's snapshots: read where they lie, never unpickled, never unpacked beyond what they say."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weight_files import noise, npy

from shapecalc.errors import ModelError, ShapecalcError
from shapecalc.formats.weights import WeightFile, read_weights

ARRAYS = {
    "conv1/W": noise(4, 3, 3, 3),
    "l/0/b": noise(7, seed=1).astype(numpy.float64),
    "half": noise(3, seed=2).astype(numpy.float16),
    "N": numpy.array(12),
    "none": numpy.empty((0, 3), numpy.float32),
    "turned": numpy.asfortranarray(noise(3, 5, seed=3)),
    "big": noise(4, seed=4).astype(">f4"),
    "mask": numpy.array([True, False]),
}


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> WeightFile:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return read_weights(path)


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_what_numpy_wrote_is_read(tmp_path: Path, save: object) -> None:
    save(tmp_path / "w.npz", **ARRAYS)  # type: ignore[operator]
    file = read_weights(tmp_path / "w.npz")
    assert (file.kind, list(file.entries)) == ("npz", list(ARRAYS))
    for key, array in ARRAYS.items():
        found = file.entries[key].array()
        assert (file.entries[key].shape, file.entries[key].dtype) == (array.shape, array.dtype.name)
        numpy.testing.assert_array_equal(found, array.astype(array.dtype.newbyteorder("=")), strict=True)


def test_stored_arrays_have_a_place(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    numpy.savez(path, **ARRAYS)  # type: ignore[arg-type]
    entries = read_weights(path).entries
    where = entries["conv1/W"].where
    assert where is not None
    assert path.read_bytes()[where.offset : where.offset + where.length] == ARRAYS["conv1/W"].tobytes()
    assert (entries["turned"].where, entries["big"].where) == (None, None)
    numpy.savez_compressed(path, **ARRAYS)  # type: ignore[arg-type]
    assert read_weights(path).entries["conv1/W"].where is None


class Fork:
    """Unpickling it runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo unpickled > owned",)


def test_objects_are_lazy_and_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    numpy.savez("w.npz", W=numpy.array(None), X=numpy.array([Fork()], dtype=object), text=numpy.array("log"))
    entries = read_weights("w.npz").entries
    assert {key: entry.load for key, entry in entries.items()} == {"W": None, "X": None}
    with pytest.raises(ModelError, match="the file holds no numbers for it"):
        entries["X"].array()
    assert not Path("owned").exists()


def test_names_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    data = npy("'<f4'", "(2,)", b"\0" * 8)
    file = zipped(tmp_path / "inside" / "w.npz", {"../../x.npy": data, "/etc/y.npy": data, "readme.txt": b"hello"})
    assert list(file.entries) == ["../../x", "/etc/y"]
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "w.npz"]


def test_headers_of_python_2_are_read(tmp_path: Path) -> None:
    file = zipped(tmp_path / "w.npz", {"W.npy": npy("'<f4'", "(2L, 1L)", noise(2).tobytes())})
    assert file.entries["W"].array().tolist() == noise(2, 1).tolist()


BROKEN = {
    "too short": (npy("'<f4'", "(3,)", b"\0" * 8), "W of shape [3] needs 12 bytes"),
    "too long": (npy("'<f4'", "(1,)", b"\0" * 8), "W of shape [1] needs 4 bytes"),
    "huge": (npy("'<f4'", "(10**9, 10**9)", b""), "a header that numpy did not write"),
    "enormous": (npy("'<f8'", "(1000000000, 1000000000)", b""), "needs 8,000,000,000,000,000,000 bytes"),
    "negative": (npy("'<f4'", "(-1,)", b""), "a header that numpy did not write"),
    "no tuple": (npy("'<f4'", "[2]", b""), "a header that numpy did not write"),
    "code": (npy("__import__('os').system('echo')", "(1,)", b""), "a header that numpy did not write"),
    "deep": (npy("'<f4'", "(" * 3000 + ")" * 3000, b""), "a header that numpy did not write"),
    "not a dict": (b"\x93NUMPY\x01\x00" + struct.pack("<H", 8) + b"[1, 2] \n", "a header that numpy did not write"),
}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_refused(tmp_path: Path, what: str, method: int) -> None:
    data, words = BROKEN[what]
    with pytest.raises(ModelError) as caught:
        zipped(tmp_path / "w.npz", {"W.npy": data}, method)
    assert words in caught.value.message


@pytest.mark.parametrize("what", ["texts", "structs", "dates"])
def test_what_is_no_number_is_left_out(tmp_path: Path, what: str) -> None:
    descr = {"texts": "'<U3'", "structs": "[('a', '<f4')]", "dates": "'<M8[s]'"}[what]
    with pytest.raises(ModelError, match="the file holds no weights"):
        zipped(tmp_path / "w.npz", {"W.npy": npy(descr, "(1,)", b"\0" * 12)})


def test_a_cut_file_and_a_changed_number(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    numpy.savez(path, W=noise(100))
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[:-30])
    with pytest.raises(ModelError, match="this is no zip, or it is"):
        read_weights(path)
    whole[300] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ModelError, match="its bytes do not add up"):
        read_weights(path).entries["W"].array()


def test_a_bomb_is_told_by_its_size(tmp_path: Path) -> None:
    data = npy("'<f4'", f"({40 << 20},)", bytes(160 << 20))
    entry = zipped(tmp_path / "w.npz", {"W.npy": data}, zipfile.ZIP_DEFLATED).entries["W"]
    tracemalloc.start()
    with pytest.raises(ModelError, match="claim to unpack to"):
        entry.array()
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_a_bomb_that_lies_about_its_size_stops_there(tmp_path: Path) -> None:
    """The list of members says 1,128 bytes; what is there would unpack to 160 MB."""
    path = tmp_path / "w.npz"
    head = npy("'<f4'", "(250,)", b"")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W.npy", head + bytes(160 << 20))
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, len(head) + 1000)
    path.write_bytes(data)
    entry = read_weights(path).entries["W"]
    tracemalloc.start()
    with pytest.raises(ModelError, match="its bytes do not add up"):
        entry.array()
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


@pytest.mark.parametrize("sixty_four", [False, True])
def test_a_list_of_members_that_is_too_long_is_not_read(tmp_path: Path, sixty_four: bool) -> None:
    path = tmp_path / "w.npz"
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, 0 if sixty_four else 1 << 29, 0, 0)
    if sixty_four:
        record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 1 << 29, 0)
        end = record + struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1) + end
    path.write_bytes(b"PK\x03\x04" + bytes(100) + end)
    with pytest.raises(ModelError, match="a list of members of 536,870,912 bytes"):
        read_weights(path)


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    path = tmp_path_factory.mktemp("mutated") / "w.npz"
    files = []
    for save in (numpy.savez, numpy.savez_compressed):
        save(path, W=noise(2, 3), b=noise(2), lazy=numpy.array(None))
        files.append(path.read_bytes())
    return path, files


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4), st.integers(0, 3))
def test_damaged_files_are_read_or_refused(
    valid: tuple[Path, list[bytes]], which: int, changes: list[tuple[int, int]], cut: int
) -> None:
    path, files = valid
    damaged = bytearray(files[which])
    for place, value in changes:
        damaged[place % len(damaged)] = value
    path.write_bytes(damaged[: len(damaged) - cut])
    try:
        arrays = [entry.array() for entry in read_weights(path).entries.values()]
    except ShapecalcError:
        return
    assert all(array.size <= 6 for array in arrays)
