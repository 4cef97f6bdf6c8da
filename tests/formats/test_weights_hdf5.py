"""Weights in HDF5: what lies in the file itself is read, links to other files are not followed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
from weight_files import noise

from shapecalc.errors import ModelError
from shapecalc.formats.weights import read_weights

h5py: Any = pytest.importorskip("h5py", reason="needs the extra hdf5")


def test_caffes_own(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel.h5"
    with h5py.File(path, "w") as file:
        file["data/conv1/0"], file["data/conv1/1"], file["diff/conv1/0"] = noise(4, 3, 3, 3), noise(4), noise(4)
    read = read_weights(path)
    assert (read.kind, sorted(read.entries)) == ("hdf5", ["conv1/0", "conv1/1"])
    where = read.entries["conv1/0"].where
    assert where is not None
    assert path.read_bytes()[where.offset : where.offset + where.length] == noise(4, 3, 3, 3).tobytes()
    assert numpy.array_equal(read.entries["conv1/0"].array(), noise(4, 3, 3, 3))


def test_paths_are_keys_and_packed_numbers_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("l/0/W", data=noise(40, 50), compression="gzip")
        file.create_dataset("empty", shape=(2, 3), dtype="f4")
        file["text"] = "no number"
        file["round"] = file["l"]
        file["l/back"] = file["/"]
    entries = read_weights(tmp_path / "w.h5").entries
    assert sorted(entries) == ["empty", "l/0/W"]
    assert entries["l/0/W"].where is None
    assert numpy.array_equal(entries["l/0/W"].array(), noise(40, 50))
    assert entries["empty"].load is None


def test_other_files_are_not_opened(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["W"] = noise(3)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["W"] = h5py.ExternalLink("other.h5", "/W")
        file["V"] = h5py.SoftLink("/W")
        file["own"] = noise(2)
    assert list(read_weights(tmp_path / "w.h5").entries) == ["own"]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("W", (3,), "f4", external=[(str(tmp_path / "other.h5"), 0, 12)])
    with pytest.raises(ModelError, match="keeps its numbers in another file"):
        read_weights(tmp_path / "x.h5")


def test_a_bomb_and_a_damaged_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("W", (1 << 25,), "f4", chunks=(1 << 20,), compression="gzip")[:] = 0
    with pytest.raises(ModelError, match="claim to unpack to"):
        read_weights(tmp_path / "w.h5").entries["W"].array()
    (tmp_path / "cut.h5").write_bytes((tmp_path / "w.h5").read_bytes()[:200])
    with pytest.raises(ModelError, match="this HDF5 file is damaged"):
        read_weights(tmp_path / "cut.h5")


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModelError) as caught:
        read_weights(tmp_path / "w.h5")
    assert caught.value.hint == f"{shlex.quote(sys.executable)} -m pip install h5py"
