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


def spanned(table: Array, now: Size) -> Array | None:
    """(height, width, channels) at another height and width; None where a channel is no wave.

    Waves of a row or a column alone are taken; all of one axis start alike.
    """
    before = table.shape[:2]
    if min(before) < 4:
        return None
    wide = table.astype(numpy.float64)
    along_rows = (numpy.abs(wide - wide[:, :1]) < SAME).all((0, 1))
    along_columns = (numpy.abs(wide - wide[:1]) < SAME).all((0, 1))
    if not (along_rows | along_columns).all():
        return None
    high = _axis(wide[:, 0][:, along_rows], now[0])
    across = _axis(wide[0][:, ~along_rows], now[1])
    if high is None or across is None:
        return None
    made = numpy.empty((*now, table.shape[2]))
    made[..., along_rows] = high[:, None]
    made[..., ~along_rows] = across[None]
    return made.astype(table.dtype)


def _axis(waves: Array, now: int) -> Array | None:
    """(places, channels) at so many places."""
    count = len(waves)
    for first, new_first in ((0.0, 0.0), (1.0, 1.0), (-(count - 1) / 2, -(now - 1) / 2)):
        places = numpy.arange(count) + first
        found = [_fitted(wave, places) for wave in waves.T]
        if None not in found:
            angles = (numpy.arange(now) + new_first) * count / now
            columns = [sign * kind.of(step * angles) for sign, kind, step in found]  # type: ignore[misc]
            return numpy.stack(columns, axis=1) if columns else numpy.empty((now, 0))
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
