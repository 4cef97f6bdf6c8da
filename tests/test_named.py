"""Long free sizes under short names: what the names say is what the sizes are."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import shapecalc
from shapecalc import dims
from shapecalc.bounds import lower_bound
from shapecalc.dims import Expr, substitute, symbol
from shapecalc.report.named import LONGEST, Names, factors
from shapecalc.report.table import print_trace_table

H, W = symbol("H"), symbol("W")
RULES: dict[str, Any] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // (b if isinstance(b, int) and b > 0 else 3),
    "min": dims.minimum,
    "max": dims.maximum,
}
#: Trees of dimensions: ("+", left, right), or a leaf.
trees = st.recursive(
    st.one_of(st.sampled_from(["H", "W"]), st.integers(-4, 9)),
    lambda inner: st.tuples(st.sampled_from(sorted(RULES)), inner, inner),
    max_leaves=8,
)


def _size(tree: Any) -> Any:
    if isinstance(tree, tuple):
        rule, left, right = tree
        return RULES[rule](_size(left), _size(right))
    return {"H": H, "W": W}.get(tree, tree)


def _worth(names: Names, numbers: dict[str, int]) -> dict[str, int]:
    """What each name comes to; a definition may only use what stands above it."""
    known: dict[str, Any] = {"min": min, "max": max, "__builtins__": {}, **numbers}
    for name, text in names.definitions:
        assert name not in known
        known[name] = eval(text, known)
    return known


@given(st.lists(trees, min_size=1, max_size=4), st.integers(1, 60), st.integers(1, 60))
def test_names_come_to_what_their_sizes_come_to(many: list[Any], h: int, w: int) -> None:
    sizes = [size for size in map(_size, many) if isinstance(size, Expr)]
    names = Names(sizes)
    known = _worth(names, {"H": h, "W": w})
    for size in sizes:
        assert eval(names.text(size), known) == substitute(size, {"H": h, "W": w})


@given(trees, st.integers(1, 60), st.integers(1, 60))
def test_factors_multiply_to_their_size(tree: Any, h: int, w: int) -> None:
    size = _size(tree)
    if isinstance(size, Expr):
        assert dims.product(factors(size)) == size


@given(trees, st.integers(1, 60), st.integers(1, 60))
def test_no_size_falls_below_its_bound(tree: Any, h: int, w: int) -> None:
    size = _size(tree)
    low = lower_bound(size)
    assert low is None or low <= substitute(size, {"H": h, "W": w})


@pytest.mark.parametrize(
    ("size", "low"),
    [
        (H - dims.minimum(H, 2), 0),
        (dims.maximum(W, 2) - W, 0),
        ((-H // 4) * (-W // 4), 1),
        ((-H // 4) * W, None),
        (-(-H // 4) * W, 1),
        (dims.minimum(H, 2) - H, None),
        ((H - 3) // 8 - (H - 7) // 8, 0),
        (2 * ((H - 9) // 8) - 2 * (H // 8), -4),
        ((H - 3) // 8 - (H - 7) // 4, None),
    ],
)
def test_bounds_of_cuts_and_of_negative_factors(size: Any, low: int | None) -> None:
    assert lower_bound(size) == low


def test_what_occurs_again_is_named_once_and_a_taken_name_is_left_alone() -> None:
    grid = ((H - 1) // 32 + 1) * ((W - 1) // 32 + 1)
    names = Names([grid * symbol("N"), grid, (W - 1) // 32 * symbol("h1")])
    assert names.definitions == [
        ("h2", "(H - 1)//32"),
        ("w1", "(W - 1)//32"),
        ("s1", "N*(h2 + 1)*(w1 + 1)"),
        ("s2", "(h2 + 1)*(w1 + 1)"),
        ("s3", "h1*w1"),
    ]
    assert names.text(grid) == "s2"


CHAIN = """
input: "x" input_dim: 1 input_dim: 3 input_dim: 64 input_dim: 64
layer {{ name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param {{ num_output: 8 kernel_size: 3 stride: 2 pad: 1 }} }}
layer {{ name: "flat" type: "Reshape" bottom: "conv" top: "flat" reshape_param {{ shape {{ dim: 0 dim: {} }} }} }}
"""


def _shown(target: int, width: int) -> tuple[str, str]:
    """The last size in full, and the table."""
    trace = shapecalc.loads(CHAIN.format(target), format="caffe").trace((1, 3, None, None))
    console = Console(file=io.StringIO(), width=width)
    print_trace_table(trace, console)
    full = str(trace.layer("flat").outputs[0].shape[1])  # type: ignore[index]
    assert full in str(trace.to_dict()), "JSON has the full form"
    return full, console.file.getvalue()  # type: ignore[attr-defined]


def test_a_table_shows_no_long_size_and_says_below_what_the_names_are() -> None:
    full, shown = _shown(-1, 160)
    assert len(full) > LONGEST
    assert full not in shown
    assert re.search(r"(?m)^flat .* s1 *", shown), shown
    assert "8×(((H - 1)//2) + 1)×(((W - 1)//2) + 1)" in shown, "what is not long stands where it was"
    assert "where s1 = 8*(((H - 1)//2) + 1)*(((W - 1)//2) + 1)" in shown


def test_a_narrow_table_names_shorter_sizes_before_it_drops_a_column() -> None:
    _, shown = _shown(-1, 60)
    assert re.search(r"(?m)^conv .* 8×h1×w1 +224 ", shown), shown
    assert shown.split()[-15:] == "where h1 = ((H - 1)//2) + 1 w1 = ((W - 1)//2) + 1 s1 = 8*h1*w1".split()[-15:]
    assert max(map(len, shown.splitlines())) <= 60
