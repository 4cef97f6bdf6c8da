"""Position tables whose columns are waves over a map: rotary embeddings (EVA-02, DINOv3), XCiT's, at another size.

A wave is the sine or the cosine of b·t, or its negative, t the row or the column. Frameworks compute them; an export
holds their numbers. At another size the angles span what they spanned: the step is b·before/now, from the angle that
the first place has: 0, one step, or as far from 0 as the last (Fang et al. 2023; Siméoni et al. 2025; as timm's
``ref_feat_shape``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
import numpy.typing

Array = numpy.typing.NDArray[Any]
Size = tuple[int, int]

#: Numbers that differ by less are the same: what float32 leaves of an angle of a hundred.
SAME = 2e-5
#: Steps in which a wave's step is made exact.
STEPS = 8


class Axis(NamedTuple):
    """The waves along one side of a map: which channels they are, and what each is: sign · kind(step · angle)."""

    channels: tuple[int, ...]
    waves: tuple[tuple[float, _Kind, float], ...]
    start: str  # of `STARTS`

    def at(self, before: int, now: int) -> Array:
        """(now, channels): the angles span what ``before`` places spanned."""
        angles = (numpy.arange(now) + STARTS[self.start](now)) * before / now
        columns = [sign * kind.of(step * angles) for sign, kind, step in self.waves]
        return numpy.stack(columns, axis=1) if columns else numpy.empty((now, 0))


#: Where the angles of a side of so many places begin, in steps.
STARTS: dict[str, Callable[[int], float]] = {
    "zero": lambda count: 0.0,
    "one": lambda count: 1.0,
    "centre": lambda count: -(count - 1) / 2,
}


def told(table: Array) -> tuple[Axis, Axis] | None:
    """The waves of a table of (height, width, channels), down and across; None where a channel is no wave.

    Waves of a row or a column alone are taken; all of one axis start alike.
    """
    if min(table.shape[:2]) < 4:
        return None
    wide = table.astype(numpy.float64)
    along_rows = (numpy.abs(wide - wide[:, :1]) < SAME).all((0, 1))
    along_columns = (numpy.abs(wide - wide[:1]) < SAME).all((0, 1))
    if not (along_rows | along_columns).all():
        return None
    down = _axis(wide[:, 0], numpy.flatnonzero(along_rows))
    across = _axis(wide[0], numpy.flatnonzero(~along_rows))
    return (down, across) if down is not None and across is not None else None


def spanned(table: Array, now: Size) -> Array | None:
    """(height, width, channels) at another height and width; None where a channel is no wave."""
    found = told(table)
    if found is None:
        return None
    made = numpy.empty((*now, table.shape[2]))
    for side, axis in enumerate(found):
        numbers = axis.at(table.shape[side], now[side])
        made[..., axis.channels] = numbers[:, None] if side == 0 else numbers[None]
    return made.astype(table.dtype)


def _axis(waves: Array, channels: Array) -> Axis | None:
    """What the channels of (places, channels) are, which start alike."""
    for start, first in STARTS.items():
        places = numpy.arange(len(waves)) + first(len(waves))
        found = [_fitted(wave, places) for wave in waves[:, channels].T]
        if None not in found:
            return Axis(tuple(channels.tolist()), tuple(found), start)  # type: ignore[arg-type]
    return None


class _Kind(NamedTuple):
    """A wave of amplitude 1, and how it changes with its angle."""

    of: Callable[[Array], Array]
    slope: Callable[[Array], Array]


KINDS = (_Kind(numpy.sin, numpy.cos), _Kind(numpy.cos, lambda angles: -numpy.sin(angles)))


def _fitted(wave: Array, places: Array) -> tuple[float, _Kind, float] | None:
    """(sign, kind, step) of a wave of angles step·place; None where it is none.

    The step is begun with what three neighbours say of its cosine, and, for one so small that they say nothing, with
    how far the wave goes; then it is made exact.
    """
    inner = wave[1:-1]
    cosine = float((inner * (wave[:-2] + wave[2:])).sum()) / max(2 * float((inner * inner).sum()), SAME)
    begun = (float(numpy.arccos(min(max(cosine, -1.0), 1.0))), abs(float(wave[-1] - wave[0])) / (len(wave) - 1))
    for kind in KINDS:
        for sign in (1.0, -1.0):
            for step in begun:
                exact = _exact(sign * wave, places, kind, step)
                if float(numpy.abs(sign * wave - kind.of(exact * places)).max()) < SAME:
                    return sign, kind, exact
    return None


def _exact(wave: Array, places: Array, kind: _Kind, step: float) -> float:
    """The step near one that fits best (Gauss and Newton)."""
    for _ in range(STEPS):
        change = places * kind.slope(step * places)
        bend = float((change * change).sum())
        if bend < SAME**2:
            break
        step += float((change * (wave - kind.of(step * places))).sum()) / bend
    return step
