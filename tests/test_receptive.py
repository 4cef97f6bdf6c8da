"""Receptive field, jump and start, by hand and by perturbing pixels of small nets."""

from __future__ import annotations

import pytest

import shapecalc
from shapecalc.receptive import PIXEL, Field, join
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


def test_published_fields() -> None:
    """Araujo et al., Distill 2019: AlexNet 195 and VGG-16 212 at pool5."""
    assert shapecalc.load("alexnet").trace().layer("pool5").receptive_field == 195
    assert shapecalc.load("vgg16").trace().layer("pool5").receptive_field == 212
