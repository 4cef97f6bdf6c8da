"""The window rule: recorded cases of every rounding, its inverse against brute force, one rule for all kinds."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecalc.dims import substitute, symbol
from shapecalc.intervals import Interval
from shapecalc.window import PADDING_MODES, ROUNDINGS, TransposedWindow, Window, compose, exact_windows

windows = st.builds(
    Window,
    kernel=st.integers(1, 7),
    stride=st.integers(1, 5),
    pad_begin=st.integers(0, 3),
    pad_end=st.integers(0, 3),
    dilation=st.integers(1, 3),
    rounding=st.sampled_from(ROUNDINGS),
    padding_mode=st.sampled_from(PADDING_MODES),
)


@pytest.mark.parametrize(
    ("window", "n", "out"),
    [
        (Window(11, 4), 227, 55),
        (Window(11, 4), 256, 62),
        (Window(3, 2, rounding="ceil"), 62, 31),
        (Window(3, 2, rounding="floor"), 62, 30),
        # Caffe conv_layer.cpp divides toward zero: (3 - 5)/4 = 0, so a kernel of 5 has one place on 3
        (Window(5, 4, rounding="trunc"), 3, 1),
        (Window(5, 4, rounding="floor"), 3, 0),
        # Caffe pooling_layer.cpp clips only where padded: size 6, kernel 2, stride 3
        (Window(2, 3, rounding="ceil"), 6, 3),
        (Window(2, 3, rounding="ceil_clip"), 6, 2),
        (Window(3, 2, 1, 1, rounding="ceil_clip"), 6, 4),
        (Window(3, 2, padding_mode="same_upper"), 224, 112),
    ],
)
def test_sizes_the_frameworks_gave(window: Window, n: int, out: int) -> None:
    assert window.size(n) == out


@given(windows, st.integers(1, 4), st.integers(0, 3))
def test_inverse_is_brute_force(window: Window, low: int, more: int) -> None:
    wanted = Interval(low, low + more)
    found = window.preimage(wanted)
    assert {n for n in range(1, 80) if n in found} == {n for n in range(1, 80) if window.size(n) in wanted}


@given(windows)
def test_the_rule_is_monotone(window: Window) -> None:
    sizes = [window.size(n) for n in range(1, 60)]
    assert sizes == sorted(sizes)


@given(windows)
def test_an_array_is_its_elements(window: Window) -> None:
    sizes = numpy.arange(1, 50)
    assert window.size(sizes).tolist() == [window.size(int(n)) for n in sizes]


@given(windows, st.integers(30, 99))
def test_a_symbol_is_any_size_that_fits(window: Window, n: int) -> None:
    assert substitute(window.size(symbol("H")), {"H": n}) == window.size(n)


@given(windows, st.integers(1, 60))
def test_nothing_is_left_where_the_division_is_whole(window: Window, n: int) -> None:
    if not window.same and window.remainder(n) == 0 and window.size(n) >= 1:
        assert window.quotient(n) == Window(**{**_fields(window), "rounding": "floor"}).size(n)


def _fields(window: Window) -> dict[str, Any]:
    return {name: getattr(window, name) for name in Window.__slots__}


@given(windows, st.integers(1, 40))
def test_same_padding_covers_the_input(window: Window, n: int) -> None:
    begin, end = window.pads(n)
    if window.same:
        last = (int(window.size(n)) - 1) * window.stride + int(window.extent)
        assert last <= n + begin + end
        assert abs(begin - end) <= 1


@given(
    st.builds(
        TransposedWindow,
        kernel=st.integers(1, 5),
        stride=st.integers(1, 4),
        pad_begin=st.integers(0, 2),
        pad_end=st.integers(0, 2),
        dilation=st.integers(1, 2),
        output_padding=st.integers(0, 2),
    ),
    st.integers(1, 20),
    st.integers(0, 9),
)
def test_inverse_of_a_transposed_window(window: TransposedWindow, low: int, more: int) -> None:
    wanted = Interval(low, low + more)
    found = window.preimage(wanted)
    assert {n for n in range(1, 60) if n in found} == {n for n in range(1, 60) if window.size(n) in wanted}


def test_alexnet_composed() -> None:
    convolution = Window(3, 1, 1, 1)
    pool = Window(3, 2)
    chain = [Window(11, 4), pool, Window(5, 1, 2, 2), pool, convolution, convolution, convolution, pool]
    whole = compose(chain)
    assert (whole.kernel, whole.stride) == (195, 32)


@given(
    st.lists(st.builds(Window, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2)), max_size=4)
)
def test_a_composed_chain_has_the_size_of_its_links(chain: list[Window]) -> None:
    n = 200
    for window in chain:
        n = window.size(n)
    assert compose(chain).size(200) == n


@given(st.integers(1, 30), st.integers(1, 30))
def test_exact_windows_are_exact(size: int, out: int) -> None:
    found = exact_windows(size, out)
    assert all(window.size(size) == out and window.remainder(size) == 0 for window in found)
    assert bool(found) == (out <= size)
