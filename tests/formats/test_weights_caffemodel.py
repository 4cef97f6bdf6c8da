"""Caffe's weights: every way of writing them gives the same numbers, and what is broken is refused."""

from __future__ import annotations

import time
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weight_files import WAYS, blob, caffemodel, net_v2, noise

from shapecalc.errors import ModelError, ShapecalcError
from shapecalc.formats.onnx.wire import block, integer, integers, text, varint
from shapecalc.formats.weights import Entry, WeightFile, read_weights
from shapecalc.formats.weights.caffemodel import read_mean

WEIGHTS = {"conv1": [noise(4, 3, 3, 3), noise(4, seed=1)], "a/b": [noise(5, 36, seed=2)]}


def read(path: Path, data: bytes) -> WeightFile:
    path.write_bytes(data)
    return read_weights(path)


@pytest.mark.parametrize("version", ["V2", "V1", "V0"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_writing_gives_the_same_numbers(tmp_path: Path, way: str, version: str) -> None:
    file = read(tmp_path / "w.caffemodel", caffemodel(WEIGHTS, way, version))
    assert (file.kind, sorted(file.entries)) == ("caffemodel", ["a/b/0", "conv1/0", "conv1/1"])
    for key, array in {
        "conv1/0": WEIGHTS["conv1"][0],
        "conv1/1": WEIGHTS["conv1"][1],
        "a/b/0": WEIGHTS["a/b"][0],
    }.items():
        entry = file.entries[key]
        assert entry.seen(array.ndim) == array.shape
        assert entry.dtype == ("float64" if "double" in way else "float32")
        assert (entry.where is None) == ("unpacked" in way)
        numpy.testing.assert_array_equal(entry.array(array.shape), array.astype(entry.dtype), strict=True)


def test_where_are_the_bytes_themselves(tmp_path: Path) -> None:
    data = caffemodel(WEIGHTS)
    where = read(tmp_path / "w.caffemodel", data).entries["a/b/0"].where
    assert where is not None
    assert where.path == str(tmp_path / "w.caffemodel")
    assert data[where.offset : where.offset + where.length] == WEIGHTS["a/b"][0].tobytes()


@pytest.mark.parametrize(
    ("shape", "legacy", "rank", "seen"),
    [
        ((1, 1, 4096, 9216), True, 2, (4096, 9216)),
        ((1, 1, 1, 10), True, 1, (10,)),
        ((1, 1, 1, 1), True, 0, ()),
        ((4, 3, 3, 3), True, 4, (4, 3, 3, 3)),
        ((2, 1, 4, 9), True, 2, (2, 1, 4, 9)),
        ((1, 1, 4, 9), False, 2, (1, 1, 4, 9)),
    ],
)
def test_only_leading_ones_of_four_sizes_are_spare(
    shape: tuple[int, ...], legacy: bool, rank: int, seen: tuple[int, ...]
) -> None:
    assert Entry("x", shape, legacy=legacy).seen(rank) == seen


def test_the_later_of_two_layers_of_one_name_counts(tmp_path: Path) -> None:
    data = net_v2([("a", [blob(noise(2))]), ("a", [blob(noise(2, seed=9))])])
    assert read(tmp_path / "w", data).entries["a/0"].array().tolist() == noise(2, seed=9).tolist()


def test_numbers_in_several_pieces_and_beside_their_gradients(tmp_path: Path) -> None:
    values = noise(6)
    split = block(5, values[:2].tobytes()) + block(6, noise(6).tobytes()) + block(5, values[2:].tobytes())
    data = net_v2([("a", [split + block(7, integers(1, [6]))])])
    entry = read(tmp_path / "w", data).entries["a/0"]
    assert entry.where is None
    assert entry.array().tolist() == values.tolist()


def test_a_long_unpacked_blob_is_stepped_over_at_once(tmp_path: Path) -> None:
    array = noise(700, 1000)
    started = time.perf_counter()
    data = net_v2([("a", [blob(array, "unpacked")])])
    written = time.perf_counter() - started
    path = tmp_path / "w.caffemodel"
    path.write_bytes(data)
    started = time.perf_counter()
    assert numpy.array_equal(read_weights(path).entries["a/0"].array(), array)
    assert time.perf_counter() - started < written


def test_beyond_two_gigabytes_by_offset(tmp_path: Path) -> None:
    """A file with a hole: the first layer's name is long, the second layer's numbers lie behind it."""
    path, hole = tmp_path / "big.caffemodel", (1 << 31) + 4096
    tail = net_v2([("late", [blob(noise(3, 2))])])
    with open(path, "wb") as file:
        file.write(block(99, b"")[:-1])
        file.write(varint(hole))
        file.seek(hole, 1)
        file.write(tail)
    entry = read_weights(path).entries["late/0"]
    assert entry.where is not None
    assert entry.where.offset > 1 << 31
    assert numpy.array_equal(entry.array(), noise(3, 2))


def test_a_mean_image(tmp_path: Path) -> None:
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob(noise(1, 3, 4, 5), "legacy"))
    assert read_mean(path).shape == (1, 3, 4, 5)
    assert numpy.array_equal(read_weights(path).entries["mean"].array(), noise(1, 3, 4, 5))


# -- what is broken ----------------------------------------------------------------------------------------------------

FEW = block(5, b"\0" * 8) + block(7, integers(1, [3]))
HUGE = block(5, noise(4).tobytes()) + block(7, integers(1, [10**18, 10**18]))
BROKEN = {
    "empty": (b"", "the file is empty"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "this is a Git LFS pointer"),
    "a page": (b"<!DOCTYPE html>", "this is a web page"),
    "a prototxt": (b'name: "net"\nlayer { }', "wire type 6 is none that Caffe uses"),
    "no layers": (text(1, "net"), "the file holds no weights"),
    "cut short": (caffemodel(WEIGHTS)[:-9], "a field of"),
    "too long": (b"\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "a field of 9223372036854775818 bytes in a message"),
    "too few numbers": (
        net_v2([("a", [block(5, b"\0" * 8) + block(7, integers(1, [3]))])]),
        "needs 3 numbers and has 2",
    ),
    "huge": (net_v2([("a", [HUGE])]), "needs 1,000,000,000,000,000,000,000,000,000,000,000,000 numbers and has 4"),
    "half a number": (net_v2([("a", [block(5, b"\0" * 7)])]), "7 bytes do not hold whole numbers of 4 bytes"),
    "negative": (net_v2([("a", [block(7, integers(1, [-1]))])]), "a/0 has the shape [-1]"),
    "many axes": (net_v2([("a", [block(7, integers(1, [1] * 33))])]), "a/0 has the shape"),
    "a long shape": (net_v2([("a", [block(7, integers(1, [1] * 9999))])]), "a/0 has more than 32 axes"),
    "wrong wire": (net_v2([("a", [integer(5, 3)])]), "field 5 has wire type 0"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_refused(tmp_path: Path, what: str) -> None:
    data, words = BROKEN[what]
    with pytest.raises(ModelError) as caught:
        read(tmp_path / "w.caffemodel", data)
    assert words in caught.value.message
    assert caught.value.location == str(tmp_path / "w.caffemodel")


def test_no_numbers_in_a_shape_that_no_array_has(tmp_path: Path) -> None:
    """Zero numbers are as many as 32768·0·8·2^62 is, and yet numpy has no such shape."""
    sizes = b"".join(integer(number, size) for number, size in enumerate((32768, 0, 8, 1 << 62), 1))
    entry = read(tmp_path / "mean.binaryproto", sizes + block(5, b"")).entries["mean"]
    with pytest.raises(ModelError, match=r"the file holds 0 numbers for \(32768, 0, 8, 4611686018427387904\)"):
        entry.array()


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        read_weights(tmp_path / "none.caffemodel")
    with pytest.raises(ModelError, match="this is a folder"):
        read_weights(tmp_path)


def test_millions_of_fields_end_soon(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(b"\x18\x00" * 8_000_000)
    started = time.perf_counter()
    with pytest.raises(ModelError, match="fields, which no network has"):
        read_weights(path)
    assert time.perf_counter() - started < 5


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated") / "w.caffemodel"


VALID = [caffemodel({"a": [noise(2, 3), noise(2)]}, way, version) for way in WAYS for version in ("V2", "V1")]


CHANGES = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(VALID),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
    st.integers(0, 99),
)
def test_damaged_files_are_read_or_refused(
    scratch: Path, data: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        file = read(scratch, bytes(damaged[: len(damaged) - cut]))
        arrays = [entry.array() for entry in file.entries.values()]
    except ShapecalcError:
        return
    assert all(array.size <= len(data) for array in arrays)
