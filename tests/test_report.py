"""What is printed: numbers as people read them, long lists cut to what differs."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

import shapecalc
from shapecalc.dims import symbol
from shapecalc.report.sizing import _exact
from shapecalc.report.table import filled, grouped, plain, short, trace_cells
from shapecalc.surgery.diff import _text
from shapecalc.surgery.edits import listed
from shapecalc.surgery.exports.regroup import ITEMS, batched
from shapecalc.surgery.exports.retable import SetConstant

BATCH = symbol("N")


@pytest.mark.parametrize(
    ("value", "wide", "narrow"),
    [
        (62_378_344, "62,378,344", "62.4M"),
        (1_479_745_664, "1,479,745,664", "1.5G"),
        (4_096, "4,096", "4,096"),
        (0, "", ""),
        (None, "?", "?"),
        (150_994_944 * BATCH, "150,994,944*N", "151.0M*N"),
        (2_048 * BATCH, "2,048*N", "2,048*N"),
    ],
)
def test_counts(value: Any, wide: str, narrow: str) -> None:
    assert (grouped(value), short(value)) == (wide, narrow)


@pytest.mark.parametrize(
    ("target", "shown"),
    [((ITEMS, 8, 7), ("N", 8, 7)), ((64 * ITEMS, 0, -1), ("64·N", 0, -1)), ((49, 192), (49, 192)), (None, None)],
)
def test_an_open_batch_is_not_shown_as_the_number_it_was_traced_at(target: Any, shown: Any) -> None:
    assert batched(target) == shown


def test_of_many_edits_the_first_of_a_kind_is_told() -> None:
    edits = [SetConstant(f"r{i}", 1, "shape", (1, i), (1, 0)) for i in range(3)]
    edits.append(SetConstant("up", 3, "sizes", (2, 2), (1, 1)))
    assert listed(edits, 4) == [edit.describe() for edit in edits]
    assert listed(edits, 3) == ["r0: shape [1, 0] → [1, 0], and 2 more like it", "up: sizes [1, 1] → [2, 2]"]


def test_no_size_divides_whole_is_said_as_such() -> None:
    layer = (
        'layer {{ name: "{0}" type: "Convolution" bottom: "x" top: "{0}" convolution_param {{ num_output: 1 {1} }} }}'
    )
    head = 'input: "x" input_dim: 1 input_dim: 3 input_dim: 32 input_dim: 32'
    text = "\n".join(
        [head, layer.format("a", "kernel_size: 2 stride: 2"), layer.format("b", "kernel_size: 3 stride: 2")]
    )
    sizes = shapecalc.loads(text, format="caffe").sizes(exact=True)
    assert _exact(sizes) == "none: at every size some division is not whole"


@pytest.mark.parametrize("width", [80, 100, 120, 160, 400])
@pytest.mark.parametrize("name", ["alexnet", "googlenet", "mobilenet_v2"])
def test_plain_lines_are_what_rich_makes_where_nothing_folds(name: str, width: int) -> None:
    cells = trace_cells(shapecalc.load(name).trace(256), width)
    console = Console(file=io.StringIO(), width=width)
    console.print(filled(cells))
    styled = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert (styled == plain(cells).splitlines()) == (cells.width <= width)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ((56, 2**63 - 1), "[56, end]"),
        ((2**31 - 1,), "[end]"),
        ((2**31,), "[2147483648]"),
        (tuple(range(9)), "[0, 1, 2, 3, 4, 5, 6, 7, …]"),
    ],
)
def test_a_slice_to_the_end_is_told_as_such(value: tuple[int, ...], told: str) -> None:
    assert _text(value) == told
