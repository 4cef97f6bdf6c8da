"""Patches that an export takes by places it wrote down: ``Gather`` with the indices of an im2col, for another axis.

The dynamo exporter writes an unfold as one ``Gather`` an axis, whose indices are ``i·dilation + j·stride`` for place
``i`` of window ``j``. At another size the net still runs, and looks at the old places alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from ...trace import Layer
from .follow import shape_of
from .regroup import Sizes
from .retable import SetConstant

INDICES = 1


class _Run(NamedTuple):
    """One axis of the indices: so many, each a step further."""

    length: int
    step: int


def unfolded(old: Layer, layer: Layer) -> SetConstant | None:
    """The edit of a gather that took every window of its axis; None where the axis stayed, or it took others."""
    before, now, indices = shape_of(old), shape_of(layer), layer.call.inputs[INDICES]
    if before is None or now is None or indices is None or not isinstance(indices.shape, tuple):
        return None
    axis = layer.call.attr("axis") or 0
    found, was = indices.contents, old.call.inputs[INDICES]
    if found is None or was is None or was.contents != found or before[axis] == now[axis]:
        return None
    runs = _runs(tuple(found), indices.shape)
    windows = _windows(runs, before[axis])
    if windows is None or now[axis] < _extent(runs, windows):
        return None
    more = (now[axis] - _extent(runs, windows)) // runs[windows].step + 1
    made = [run._replace(length=more) if place == windows else run for place, run in enumerate(runs)]
    shape = tuple(run.length for run in made)
    return SetConstant(layer.name, INDICES, "indices", _listed(made), tuple(found), shape) if made != runs else None


def _runs(indices: Sizes, shape: Sizes) -> list[_Run]:
    """Steps along each axis of indices that begin at 0 and grow evenly; none where they do not."""
    inner, runs = 1, list[_Run]()
    for length in reversed(shape):
        runs.insert(0, _Run(length, indices[inner] if length > 1 else 1))
        inner *= length
    return runs if all(run.step > 0 for run in runs) and indices == _listed(runs) else []


def _listed(runs: Sequence[_Run]) -> Sizes:
    """The indices, the last axis first."""
    return tuple(sum(places) for places in product(*(range(0, run.length * run.step, run.step) for run in runs)))


def _windows(runs: list[_Run], size: int) -> int | None:
    """The axis that counts windows: as many as there is room for, and of two that could the one of smaller windows."""
    full = [
        place
        for place, run in enumerate(runs)
        if run.length > 1 and run.length == (size - _extent(runs, place)) // run.step + 1
    ]
    return min(full, key=lambda place: _extent(runs, place), default=None)


def _extent(runs: list[_Run], windows: int) -> int:
    """Places from a window's first to its last, both counted."""
    return sum((run.length - 1) * run.step for place, run in enumerate(runs) if place != windows) + 1
