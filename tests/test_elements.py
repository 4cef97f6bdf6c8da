"""Elements of small tensors: numpy's float32 is the oracle, for numbers and for what is said of symbols."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecalc import dims
from shapecalc.dims import Unknown, symbol
from shapecalc.ops import numbers

H = symbol("H")
F = numpy.float32
BINARY: dict[str, Any] = {
    "Add": numpy.add,
    "Sub": numpy.subtract,
    "Mul": numpy.multiply,
    "Div": numpy.divide,
    "Min": numpy.minimum,
    "Max": numpy.maximum,
}
UNARY: dict[str, Any] = {"Floor": numpy.floor, "Ceil": numpy.ceil, "Round": numpy.round, "Neg": numpy.negative}

factors = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 7.0, 8.0, 0.25, 0.1, -1.0, 6.0])
steps = st.lists(
    st.one_of(st.tuples(st.sampled_from(sorted(BINARY)), factors), st.tuples(st.sampled_from(sorted(UNARY)))),
    min_size=1,
    max_size=5,
)


def computed(value: Any, recipe: list[tuple[Any, ...]]) -> Any:
    """The steps on an element, then whole numbers as a shape needs them."""
    for name, *operand in recipe:
        dtype = "float32"
        value = numbers.binary(name, value, operand[0], dtype) if operand else numbers.unary(name, value, dtype)
    return numbers.cast(value, "int64")


def executed(value: int, recipe: list[tuple[Any, ...]]) -> int:
    """The same in numpy's float32."""
    number = F(value)
    for name, *operand in recipe:
        number = F(BINARY[name](number, F(operand[0]))) if operand else F(UNARY[name](number))
    return int(number)


@given(steps, st.integers(1, 2000))
def test_numbers_are_rounded_as_float32_is(recipe: list[tuple[Any, ...]], n: int) -> None:
    assert computed(float(n), recipe) == executed(n, recipe)


@given(steps, st.integers(1, 2000))
def test_what_is_said_of_a_symbol_holds_for_every_size(recipe: list[tuple[Any, ...]], n: int) -> None:
    said = computed(H, recipe)
    if not isinstance(said, Unknown):
        size = dims.substitute(said, {"H": n})
        assert size == executed(n, recipe)


@given(steps, st.lists(st.integers(1, 2000), min_size=1, max_size=4))
def test_an_array_of_sizes_is_each_of_them(recipe: list[tuple[Any, ...]], sizes: list[int]) -> None:
    said = computed(numpy.array(sizes), recipe)
    if not isinstance(said, Unknown):
        assert numpy.broadcast_to(said, len(sizes)).tolist() == [executed(n, recipe) for n in sizes]


def test_the_padding_of_same_is_known_in_closed_form() -> None:
    """max((ceil(H / 2) - 1) * 2 + 3 - H, 0), as timm's exports compute it in floats."""
    steps_of_same = [("Div", 2.0), ("Ceil",), ("Sub", 1.0), ("Mul", 2.0), ("Add", 3.0)]
    needed = numbers.binary("Sub", computed_float(H, steps_of_same), H, "float32")
    assert str(numbers.cast(numbers.binary("Max", needed, 0.0, "float32"), "int64")) == "2*((H - 1)//2) - H + 3"


def computed_float(value: Any, recipe: list[tuple[Any, ...]]) -> Any:
    for name, *operand in recipe:
        dtype = "float32"
        value = numbers.binary(name, value, operand[0], dtype) if operand else numbers.unary(name, value, dtype)
    return value


@given(st.integers(1, 3000), st.floats(0.0625, 8, width=32))
def test_a_resize_rounds_its_product_to_float32(n: int, scale: float) -> None:
    expected = int(numpy.floor(F(n) * F(scale)))
    assert numbers.scaled(n, scale) == expected
    assert numbers.scaled(numpy.array([n, n]), scale).tolist() == [expected, expected]
    symbolic = numbers.scaled(H, scale)
    assert isinstance(symbolic, Unknown) or dims.substitute(symbolic, {"H": n}) == expected


@pytest.mark.parametrize(
    ("op", "a", "b", "expected"),
    [
        ("Div", -7, 2, -3),
        ("Div", 7, -2, -3),
        ("Mod", -7, 3, 2),
        ("Pow", 3, 2, 9),
        ("Equal", 3, 3, 1),
        ("Less", 3, 3, 0),
        ("And", 1, 0, 0),
        ("BitwiseXor", 6, 3, 5),
    ],
)
def test_whole_numbers_are_those_of_onnx(op: str, a: int, b: int, expected: int) -> None:
    assert numbers.binary(op, a, b, "int64") == expected


@pytest.mark.parametrize(
    ("op", "a", "b", "reason"),
    [
        ("Div", 1, 0, "a division by 0"),
        ("Mul", 1 << 40, 1 << 40, "wraps around 64 bits"),
        ("Pow", 2, H, "a power of a size"),
    ],
)
def test_what_is_no_number_is_unknown(op: str, a: Any, b: Any, reason: str) -> None:
    found = numbers.binary(op, a, b, "int64")
    assert isinstance(found, Unknown)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (1.9, "int64", 1),
        (-1.9, "int64", -1),
        ((1 << 63) - 1, "int32", -1),
        (300, "uint8", 44),
        (0.1, "float16", 0.0999755859375),
        (1e30, "float16", math.inf),
        (H, "bool", 1),
        (2, "bool", 1),
    ],
)
def test_types_are_changed_as_in_c(value: Any, dtype: str, expected: Any) -> None:
    assert numbers.cast(value, dtype) == expected
