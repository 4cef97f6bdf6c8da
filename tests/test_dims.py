"""Dimension arithmetic: symbols agree with numbers, unknowns stay unknown with their reason."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecalc import dims
from shapecalc.dims import Expr, Unknown, substitute, symbol

H, W = symbol("H"), symbol("W")


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (H + 0, "H"),
        (H - H, "0"),
        (2 * H + 3, "2*H + 3"),
        (3 - H, "-H + 3"),
        (32 * H // 32, "H"),
        ((H - 11) // 4 + 1, "((H - 3)//4) - 1"),
        (((H - 11) // 4 + 1 - 3) // 2, "((H - 3)//8) - 2"),
        ((4 * H + 3) // 4, "H"),
        (H * W // H, "W"),
        ((H * 6) % 3, "0"),
        (dims.minimum(H, H + 1), "H"),
        (dims.maximum(H, 1), "H"),
        (dims.minimum(H, 7), "min(7, H)"),
        (dims.maximum(H * W, W), "max(H*W, W)"),
        (dims.minimum((H - 3) // 8, (H - 7) // 8), "((H - 7)//8)"),
        (dims.minimum(H - 7, (1 << 63) - 1), "H - 7"),
        (dims.minimum((1 << 63) - 1, 7 - H), "-H + 7"),
    ],
)
def test_printed_in_normal_form(value: object, printed: str) -> None:
    assert str(value) == printed


numbers = st.integers(-6, 9)
steps = st.lists(
    st.tuples(st.sampled_from(["+", "-", "*", "//", "min", "max", "%"]), st.integers(1, 7)), min_size=1, max_size=6
)


def _apply(value: dims.Dim, recipe: list[tuple[str, int]]) -> dims.Dim:
    rules = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "//": lambda a, b: a // b,
        "%": lambda a, b: a % b,
        "min": dims.minimum,
        "max": dims.maximum,
    }
    for name, number in recipe:
        value = rules[name](value, number)
    return value


@given(steps, st.integers(1, 400))
def test_a_symbol_computes_what_its_number_does(recipe: list[tuple[str, int]], n: int) -> None:
    assert substitute(_apply(H, recipe), {"H": n}) == _apply(n, recipe)


@given(steps, steps, st.integers(1, 50))
def test_verdicts_about_symbols_hold_for_every_number(
    a: list[tuple[str, int]], b: list[tuple[str, int]], n: int
) -> None:
    left, right = _apply(H, a), _apply(H, b)
    numbers_left, numbers_right = _apply(n, a), _apply(n, b)
    assert dims.at_least(left, right) in (None, numbers_left >= numbers_right)
    assert dims.equal(left, right) in (None, numbers_left == numbers_right)


@given(steps)
def test_unknown_stays_unknown_with_its_reason(recipe: list[tuple[str, int]]) -> None:
    result = _apply(Unknown("computed at run time"), recipe)
    assert isinstance(result, Unknown)
    assert result.reason == "computed at run time"


def test_unknown_is_never_judged() -> None:
    assert dims.equal(Unknown("?"), 3) is None
    assert dims.at_least(3, Unknown("?")) is None
    assert not dims.failed(None)


def test_equal_expressions_are_one() -> None:
    assert (H + 1) * 2 == 2 * H + 2
    assert hash((H + 1) * 2) == hash(2 * H + 2)
    assert H != W
    assert isinstance(H + W, Expr)


@pytest.mark.parametrize(("a", "b", "quotient"), [(7, 2, 3), (-7, 2, -3), (-1, 4, 0), (8, 4, 2)])
def test_truncated_division_is_c_plus_plus(a: int, b: int, quotient: int) -> None:
    assert dims.truncated_divide(a, b) == quotient


def test_symbols_are_found_inside() -> None:
    assert dims.symbols((H - 3) // 2 + dims.minimum(W, 9)) == {"H", "W"}


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=6))
def test_sizes_join_in_an_array_as_they_do_one_by_one(pairs: list[tuple[int, int]]) -> None:
    left, right = (numpy.array(side) for side in zip(*pairs, strict=True))
    fit = numpy.array([dims.joins(a, b) for a, b in pairs])
    assert (numpy.asarray(dims.joins(left, right)) == fit).all()
    expected = numpy.array([dims.joined(a, b) for a, b in pairs])
    assert (numpy.asarray(dims.joined(left, right))[fit] == expected[fit]).all()


def test_a_sum_in_a_shape_stands_apart() -> None:
    assert dims.show((96, H + 1, 2 * W)) == "96×(H + 1)×2*W"
    assert dims.show((H + 1,)) == "H + 1"


@given(st.integers(-40, 40), st.integers(1, 40))
def test_a_number_leaves_the_remainder_by_a_symbol_that_it_leaves_by_its_number(number: int, n: int) -> None:
    assert substitute(number % symbol("n"), {"n": n}) == number % n
