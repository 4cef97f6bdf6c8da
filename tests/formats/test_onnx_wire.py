"""Protobuf's wire format: what is written is read back, and what is broken says where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecalc.errors import ModelError
from shapecalc.formats.onnx import wire
from shapecalc.formats.onnx.pieces import assemble, merged, size_of
from shapecalc.formats.onnx.wire import BYTES, FIXED32, VARINT, File, Kind, record
from shapecalc.source import Span

TABLE = {
    1: Kind("number", (VARINT,), "int"),
    2: Kind("text", (BYTES,), "text"),
    3: Kind("many", (VARINT, BYTES), "ints", True),
    4: Kind("real", (FIXED32,), "float"),
    5: Kind("deeper", (BYTES,), "span", True),
}
int64 = st.integers(-(2**63), 2**63 - 1)


def read(data: bytes) -> dict[str, object]:
    return record(File(data, "file"), Span(0, len(data)), TABLE)


@given(int64)
def test_integers_come_back(value: int) -> None:
    assert read(wire.integer(1, value)) == {"number": value}


@given(st.lists(int64, min_size=1), st.booleans())
def test_repeated_integers_come_back_packed_or_not(values: list[int], packed: bool) -> None:
    data = wire.integers(3, values) if packed else b"".join(wire.integer(3, value) for value in values)
    assert read(data) == {"many": values}


@given(st.text(), st.floats(width=32, allow_nan=False), st.lists(st.binary()))
def test_a_record_comes_back(text: str, real: float, deeper: list[bytes]) -> None:
    data = wire.text(2, text) + wire.real(4, real) + b"".join(wire.block(5, part) for part in deeper)
    found = read(data)
    spans = found.pop("deeper", [])
    assert found == {"text": text, "real": real}
    assert isinstance(spans, list)
    assert [data[span.start : span.end] for span in spans] == deeper


def test_unknown_fields_are_skipped() -> None:
    assert read(wire.integer(9, 1) + wire.text(2, "kept") + wire.block(10, b"\xff\xff")) == {"text": "kept"}


def test_numbers_of_more_than_one_byte_need_no_more_than_their_length() -> None:
    assert wire.varint(300) == b"\xac\x02"
    assert wire.varint(-1) == b"\xff" * 9 + b"\x01"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x12\x05abc", "byte 0: a field of 7 bytes in a message with 5 left"),
        (b"\x08" + b"\xff" * 12, "byte 1: a varint of more than 10 bytes"),
        (b"\x08\xff", "byte 1: the message ends inside a varint"),
        (b"\x08", "byte 1: the message ends inside a varint"),
        (b"\x0b\x00", "byte 0: wire type 3 is none that ONNX uses"),
        (b"\x02\x00", "byte 0: a field with the number 0"),
        (b"\x25\x00\x00", "byte 0: a field of 5 bytes in a message with 3 left"),
        (b"\x12\x02\xff\xfe", "byte 2: a name that is not UTF-8 text"),
        (b"\x0a\x01a", "byte 0: field 1 (number) has wire type 2"),
    ],
)
def test_broken_bytes_say_where(data: bytes, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        read(data)
    assert caught.value.message == words
    assert caught.value.location == "file"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read(data)
    except ModelError:
        return
    fields = list(File(data, "").fields(0, len(data)))
    assert [f[3] for f in fields] == [0, *(f[4] for f in fields[:-1])] if fields else data == b""


@given(st.lists(st.one_of(st.binary(max_size=5), st.tuples(st.integers(0, 20), st.integers(0, 20)))))
def test_merging_pieces_keeps_their_bytes(parts: list[bytes | tuple[int, int]]) -> None:
    data = bytes(range(40))
    pieces = [p if isinstance(p, bytes) else Span(p[0], p[0] + p[1]) for p in parts]
    joined = merged(pieces)
    assert assemble(data, joined) == assemble(data, pieces)
    assert size_of(joined) == size_of(pieces)
    assert len(joined) <= len(pieces)
