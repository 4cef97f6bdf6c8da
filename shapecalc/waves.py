"""Position tables whose columns are waves over a map: rotary embeddings (EVA-02, DINOv3), at another size.

A wave is A·cos(b·t) + B·sin(b·t) of the row or of the column t. Frameworks compute them; an export holds their numbers.
At another size the angles span what they spanned: the step is b·before/now, from the angle that the first place has: 0,
one step, or as far from 0 as the last (Fang et al. 2023; Siméoni et al. 2025; as timm's ``ref_feat_shape``).
"""

from __future__ import annotations

from typing import Any

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
    fitted = [_fitted(wave) for wave in waves.T]
    if any(found is None for found in fitted):
        return None
    known = numpy.array(fitted, dtype=numpy.float64).reshape(-1, 3)
    for first, new_first in ((0.0, 0.0), (1.0, 1.0), (-(count - 1) / 2, -(now - 1) / 2)):
        if all(_starts(a, b, step, first) for a, b, step in known):
            places = (numpy.arange(now) + new_first) * count / now - first
            angles = places[:, None] * known[:, 2]
            return numpy.asarray(known[:, 0] * numpy.cos(angles) + known[:, 1] * numpy.sin(angles))
    return None


def _starts(a: float, b: float, step: float, first: float) -> bool:
    """Whether a wave is a sine or a cosine of step·(t + first)."""
    sine, cosine = numpy.sin(step * first), numpy.cos(step * first)
    near = min(abs(a - sine) + abs(b - cosine), abs(a - cosine) + abs(b + sine))
    return bool(near < SAME * 100) or (abs(step) < SAME and abs(b) < SAME)


def _fitted(wave: Array) -> tuple[float, float, float] | None:
    """(A, B, step) of a wave of places 0, 1, 2 …; None where it is none."""
    inner = wave[1:-1]
    energy = float((inner * inner).sum())
    if energy < SAME**2:
        return (0.0, 0.0, 0.0) if float(numpy.abs(wave).max()) < SAME else None
    cosine = float((inner * (wave[:-2] + wave[2:])).sum()) / (2 * energy)
    step, t = float(numpy.arccos(min(max(cosine, -1.0), 1.0))), numpy.arange(len(wave))
    a = b = 0.0
    for _ in range(STEPS):
        base = numpy.stack([numpy.cos(step * t), numpy.sin(step * t)], axis=1)
        (a, b), *_rest = numpy.linalg.lstsq(base, wave, rcond=None)
        slope = t * (b * base[:, 0] - a * base[:, 1])
        bend = float((slope * slope).sum())
        if bend < SAME**2:
            break
        step += float((slope * (wave - base @ (a, b))).sum()) / bend
    left = wave - a * numpy.cos(step * t) - b * numpy.sin(step * t)
    return (float(a), float(b), step) if float(numpy.abs(left).max()) < SAME else None
