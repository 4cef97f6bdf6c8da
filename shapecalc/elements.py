"""Element types: the one table of their names, ONNX's numbers and how many bits an element takes.

Facts of onnx.proto (IR version 13), no code. A ``dtype`` anywhere is a name of this table.
"""

from __future__ import annotations

from typing import NamedTuple


class ElementType(NamedTuple):
    """An element type: ONNX's number, its name as numpy spells it, bits an element, struct's letter if it has one."""

    number: int
    name: str
    bits: int
    letter: str = ""

    def length(self, count: int) -> int:
        """Bytes of ``count`` elements, those of less than a byte packed."""
        return (count * self.bits + 7) // 8


_TYPES = (
    ElementType(1, "float32", 32, "f"),
    ElementType(2, "uint8", 8, "B"),
    ElementType(3, "int8", 8, "b"),
    ElementType(4, "uint16", 16, "H"),
    ElementType(5, "int16", 16, "h"),
    ElementType(6, "int32", 32, "i"),
    ElementType(7, "int64", 64, "q"),
    ElementType(8, "string", 0),
    ElementType(9, "bool", 8, "B"),
    ElementType(10, "float16", 16, "e"),
    ElementType(11, "float64", 64, "d"),
    ElementType(12, "uint32", 32, "I"),
    ElementType(13, "uint64", 64, "Q"),
    ElementType(14, "complex64", 64),
    ElementType(15, "complex128", 128),
    ElementType(16, "bfloat16", 16),
    ElementType(17, "float8e4m3fn", 8),
    ElementType(18, "float8e4m3fnuz", 8),
    ElementType(19, "float8e5m2", 8),
    ElementType(20, "float8e5m2fnuz", 8),
    ElementType(21, "uint4", 4),
    ElementType(22, "int4", 4),
    ElementType(23, "float4e2m1", 4),
    ElementType(24, "float8e8m0", 8),
    ElementType(25, "uint2", 2),
    ElementType(26, "int2", 2),
    ElementType(27, "float6e2m3", 6),
    ElementType(28, "float6e3m2", 6),
)
BY_NUMBER = {row.number: row for row in _TYPES}
BY_NAME = {row.name: row for row in _TYPES}

FLOATS = frozenset({"float32", "float64", "float16", "bfloat16"})
INTEGERS = frozenset(row.name for row in _TYPES if row.letter and row.letter in "BbHhiqIQ")
