"""Receptive field, jump and start, by hand and by perturbing pixels of small nets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shapecalc
from shapecalc.graph import Graph, Input, Node, Param
from shapecalc.receptive import PIXEL, Field, LostError, join
from shapecalc.window import TransposedWindow, Window


@pytest.mark.parametrize(
    ("windows", "n", "size", "jump", "start"),
    [
        ([Window(3)], 9, 3, 1, 1.0),
        ([Window(3, 1, 1, 1)], 9, 3, 1, 0.0),
        ([Window(2, 2)], 8, 2, 2, 0.5),
        ([Window(3, 2, 1, 1), Window(3, 2, 1, 1)], 16, 7, 4, 0.0),
        ([Window(3, 1, 2, 2, 2)], 9, 5, 1, 0.0),
        ([Window(3, 2, padding_mode="same_upper")], 8, 3, 2, 1.0),
        ([Window(3, 2, padding_mode="same_lower")], 8, 3, 2, 0.0),
        # a transposed 4/2 pad 1 reads two elements and halves the jump: 2x upsampling, first centre a quarter early
        ([Window(2, 2), TransposedWindow(4, 2, 1, 1)], 8, 4, 1, 0.0),
    ],
)
def test_fields_by_hand(windows: list[Window], n: int, size: int, jump: int, start: float) -> None:
    field = PIXEL
    for window in windows:
        field, n = field.through(window, n), window.size(n)
    assert (field.size, field.jump, field.start) == (size, jump, start)


def test_branches_that_disagree_are_not_aligned() -> None:
    (same,) = join([(Field(3, 2, 2),), (Field(7, 2, 2),)])
    (other,) = join([(Field(3, 2, 2),), (Field(7, 2, 4),)])
    assert (same.size, same.aligned) == (7, True)
    assert (other.size, other.aligned) == (7, False)


def test_a_fully_connected_layer_sees_the_whole_map() -> None:
    trace = shapecalc.load("alexnet").trace()
    assert trace.layer("fc6").receptive_field == 195 + 5 * 32


PUBLISHED = json.loads((Path(__file__).parent / "data" / "receptive_fields.json").read_text())["nets"]


@pytest.mark.parametrize("net", PUBLISHED)
def test_published_fields(net: str) -> None:
    layer, *published = PUBLISHED[net]
    for field in shapecalc.load(net).trace().layer(layer).fields:
        assert [field.size, field.jump, (field.size - 1) / 2 - field.start] == published
        assert field.aligned


def test_shifted_branches_see_their_hull() -> None:
    """Pixels 0 to 2 and 2 to 4: together 0 to 4."""
    (field,) = join([(Field(3, 2, 2),), (Field(3, 2, 6),)])
    assert (field.size, field.start, field.aligned) == (5, 2.0, False)


def _convolved(op: str, attrs: dict[str, object]) -> shapecalc.Trace:
    """A 3/1 convolution of 8x8 pixels, then ``op``, then a sum with itself."""
    kernel = Param("w", (4, 3, 3, 3))
    nodes = [
        Node("conv", "Conv", ["x", "w"], ["a"], {"pads": [1, 1, 1, 1]}),
        Node("op", op, ["a"], ["b"], attrs),
        Node("sum", "Add", ["b", "b"], ["c"]),
    ]
    graph = Graph("g", [Input("x", (1, 3, 8, 8))], nodes, ["c"], [kernel])
    return shapecalc.Model(graph, "g").trace()


@pytest.mark.parametrize(
    ("op", "attrs", "kept"),
    [
        ("Relu", {}, True),
        ("DepthToSpace", {"blocksize": 2}, False),
        ("SpaceToDepth", {"blocksize": 2}, False),
        ("ReduceMean", {"axes": [2, 3]}, False),
        ("ReduceMean", {"axes": [1]}, True),
    ],
)
def test_what_moves_places_loses_the_field_of_all_behind_it(op: str, attrs: dict[str, object], kept: bool) -> None:
    trace = _convolved(op, attrs)
    assert trace.layer("conv").receptive_field == 3
    assert [trace.layer(name).receptive_field for name in ("op", "sum")] == ([3, 3] if kept else [None, None])


def test_nothing_slides_over_uneven_fields() -> None:
    """Behind a transposed 3/2 neighbours see two and one elements: no one field holds for what reads several."""
    uneven = PIXEL.through(TransposedWindow(3, 2), 8)
    assert (uneven.size, uneven.even) == (2, False)
    assert uneven.through(Window(1), 17) == uneven
    for window in (Window(3), Window(1, 2), TransposedWindow(2, 2)):
        with pytest.raises(LostError):
            uneven.through(window, 17)


def _sees(windows: list[Window], n: int) -> list[set[int]]:
    """The pixels that each element depends on, by following every tap."""
    places = [{pixel} for pixel in range(n)]
    for window in windows:
        begin, _ = window.pads(len(places))
        taps = range(0, window.extent, window.dilation)
        starts = [o * window.stride - begin for o in range(window.size(len(places)))]
        places = [set().union(*(places[s + t] for t in taps if 0 <= s + t < len(places))) for s in starts]
    return places


@given(st.lists(st.builds(Window, st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=3))
def test_fields_equal_those_followed_tap_by_tap(windows: list[Window]) -> None:
    field, n = PIXEL, 120
    for window in windows:
        field, n = field.through(window, n), window.size(n)
    for element, pixels in enumerate(_sees(windows, 120)):
        low = field.start - (field.size - 1) / 2 + element * field.jump
        assert (min(pixels), max(pixels)) == (low, low + field.size - 1)
