"""Tables of positions at another size: the numbers behind the recipes that resizing a net needs.

Each function takes the old table and gives the new one. Position embeddings are interpolated as timm does when it
loads weights at another size (bicubic, with antialiasing); the size is given, never a scale. The kernel is Keys'
(1981); a = -0.5 with antialiasing and -0.75 without are PyTorch's choices, which its `interpolate` documents by its
results. Tables of relative positions are spread as BEiT does (Bao et al. 2022) and timm after it: the old offsets
stand at distances that grow geometrically until the last is the new map's last, and new ones are read between them.
HuggingFace's transformers leave antialiasing out, and spread offsets bilinearly (``interpolate_pos_encoding``);
torchvision leaves it out and lays corners on corners (``interpolate_embeddings``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy
import numpy.typing

from .errors import RefusedError
from .waves import spanned

Array = numpy.typing.NDArray[Any]
Size = tuple[int, int]


def _keys(distance: Array, a: float) -> Array:
    """Keys' cubic convolution kernel: 1 at 0, 0 at every other whole number, no support beyond 2."""
    x = numpy.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return numpy.where(x <= 1, near, numpy.where(x < 2, far, 0.0))


def bicubic(before: int, now: int, *, antialias: bool, corners: bool = False) -> Array:
    """The (now, before) matrix that interpolates ``before`` numbers at ``now`` places, pixel centres aligned by area.

    With antialiasing the kernel widens by the factor of shrinking and what reaches beyond the ends is left out;
    without, the numbers at the ends stand for those beyond. With ``corners`` first lies on first and last on last.
    """
    scale = before / now
    centres = (numpy.arange(now) + 0.5) * scale - 0.5
    if corners:
        centres = numpy.arange(now) * ((before - 1) / max(now - 1, 1))
    if antialias:
        width = max(scale, 1.0)
        weights = _keys((numpy.arange(before)[None, :] - centres[:, None]) / width, -0.5)
        return numpy.asarray(weights / weights.sum(axis=1, keepdims=True))
    matrix = numpy.zeros((now, before))
    first = numpy.floor(centres).astype(int)
    for step in range(-1, 3):
        places = first + step
        numpy.add.at(matrix, (numpy.arange(now), places.clip(0, before - 1)), _keys(places - centres, -0.75))
    return matrix


def _interpolated(table: Array, axis: int, before: Size, now: Size, *, antialias: bool, corners: bool = False) -> Array:
    """A table whose ``axis`` and the next one are height and width, at another height and width."""
    found = table.astype(numpy.float64)
    for place, (old, new) in enumerate(zip(before, now, strict=True)):
        moved = numpy.moveaxis(found, axis + place, -1) @ bicubic(old, new, antialias=antialias, corners=corners).T
        found = numpy.moveaxis(moved, -1, axis + place)
    return found.astype(table.dtype)


#: Between these lies the ratio by which distances of old offsets grow, found by halving to this precision: BEiT's
#: choice, down to the last digit, so that the numbers are the same.
RATIO, PRECISE = (1.01, 1.5), 1e-6


def _ratio(many: int, last: int) -> float:
    """The ratio by which ``many`` distances grow until the last is about ``last``."""
    low, high = RATIO
    ratio = low
    while high - low > PRECISE:
        ratio = (low + high) / 2
        low, high = (low, ratio) if (1 - ratio**many) / (1 - ratio) > last else (ratio, high)
    return ratio


def ratios(many: int, most: int) -> Array:
    """(most,) of float32: the ratio for every last distance from 0 on."""
    return numpy.array([_ratio(many, last) for last in range(most)], numpy.float32)


def farthest(many: int) -> int:
    """The last distance that ``many`` can be spread to; any beyond has the same ratio."""
    return int((RATIO[1] ** many - 1) / (RATIO[1] - 1)) + 2


def _places(before: int, now: int) -> Array:
    """Where ``before`` offsets (-n … n) stand on the scale of ``now`` offsets."""
    many = before // 2
    far = numpy.cumsum(_ratio(many, now // 2) ** numpy.arange(many))
    return numpy.concatenate([-far[::-1], [0.0], far])


def geometric(before: int, now: int) -> Array:
    """The (now, before) matrix that reads ``now`` offsets between ``before`` old ones, both odd; the ends go on."""
    wanted = numpy.arange(now) - now // 2
    return numpy.stack([numpy.interp(wanted, _places(before, now), row) for row in numpy.eye(before)], axis=1)


def bilinear(before: int, now: int) -> Array:
    """The (now, before) matrix that reads ``now`` numbers on the lines between ``before``, the ends standing beyond."""
    centres = ((numpy.arange(now) + 0.5) * before / now - 0.5).clip(0, before - 1)
    return numpy.stack([numpy.interp(centres, numpy.arange(before), row) for row in numpy.eye(before)], axis=1)


#: What is left where a table fits one size only.
IN_FRONT = "--repair resize scales the image in front to the size it was made for"


def over_map(
    table: Array, axis: int, before: Size, now: Size, *, antialias: bool = True, corners: bool = False
) -> Array:
    """An embedding laid out as a map, (…, height, width, …)."""
    return _interpolated(table, axis, before, now, antialias=antialias, corners=corners)


def over_blocks(
    table: Array, axis: int, before: Size, now: Size, block: Size, grown: Size, *, antialias: bool = False
) -> Array:
    """A map's table that lies in blocks (Zhang et al. 2022), (…, blocks, places, …) from ``axis`` on, at another map.

    ``block`` became ``grown``, and there are as many. The whole map is interpolated, as timm does for NesT.
    """
    front, back = table.shape[:axis], table.shape[axis + 2 :]
    rows, columns = before[0] // block[0], before[1] // block[1]
    spread = table.reshape(*front, rows, columns, *block, *back).swapaxes(axis + 1, axis + 2)
    whole = over_map(spread.reshape(*front, *before, *back), axis, before, now, antialias=antialias)
    cut = whole.reshape(*front, rows, grown[0], columns, grown[1], *back).swapaxes(axis + 1, axis + 2)
    return numpy.ascontiguousarray(cut.reshape(*front, rows * columns, grown[0] * grown[1], *back))


def as_map(table: Array, axis: int, before: Size, tokens: int) -> Array | None:
    """(height, width, channels) of a table with a row for each place; None where other axes lie before the places."""
    rows = numpy.split(table, [tokens], axis=axis)[1]
    alone = axis == rows.ndim - 2 and rows.shape[:axis] == (1,) * axis
    return rows.reshape(*before, -1) if alone else None


def over_places(
    table: Array,
    axis: int,
    before: Size,
    now: Size,
    tokens: int,
    *,
    antialias: bool = True,
    corners: bool = False,
) -> Array:
    """An embedding with a row for each place, row by row, behind ``tokens`` rows that are kept.

    One that is made of waves (`shapecalc.waves`) is computed; any other is interpolated.
    """
    kept, rows = numpy.split(table, [tokens], axis=axis)
    map_of = as_map(table, axis, before, tokens)
    found = spanned(map_of, now) if map_of is not None else None
    if found is not None:
        return numpy.concatenate([kept, found.reshape(*rows.shape[:axis], -1, rows.shape[-1])], axis=axis)
    spread = rows.reshape(*rows.shape[:axis], *before, *rows.shape[axis + 1 :])
    grown = over_map(spread, axis, before, now, antialias=antialias, corners=corners)
    return numpy.concatenate([kept, grown.reshape(*rows.shape[:axis], -1, *rows.shape[axis + 1 :])], axis=axis)


def _offsets(size: Size) -> Array:
    """(places, places): which of the (2·height-1)·(2·width-1) offsets lies between two places."""
    height, width = size
    rows, columns = (axis.reshape(-1) for axis in numpy.meshgrid(range(height), range(width), indexing="ij"))
    down = rows[:, None] - rows[None, :] + height - 1
    across = columns[:, None] - columns[None, :] + width - 1
    return numpy.asarray(down * (2 * width - 1) + across)


def of_offsets(table: Array, axes: Size, before: Size, tokens: int) -> Array:
    """(…, 2·height-1, 2·width-1): the bias of each offset, of one between every two places, (…, places, places).

    Raises RefusedError where it depends on more than the offset: then it is no table of relative positions.
    """
    pairs = numpy.moveaxis(table, axes, (-2, -1))[..., tokens:, tokens:]
    index = _offsets(before)
    flat = numpy.zeros((*pairs.shape[:-2], (2 * before[0] - 1) * (2 * before[1] - 1)), table.dtype)
    flat[..., index.reshape(-1)] = pairs.reshape(*pairs.shape[:-2], -1)
    if not numpy.array_equal(flat[..., index], pairs):
        raise RefusedError(
            "a table between places depends on more than their offset, so it fits one size only",
            "E302",
            because="its numbers differ between pairs of places that are equally far apart",
            hint=IN_FRONT,
        )
    return flat.reshape(*flat.shape[:-1], 2 * before[0] - 1, 2 * before[1] - 1)


def over_offsets(
    table: Array, axes: Size, before: Size, now: Size, tokens: int, *, spread: Callable[[int, int], Array] = geometric
) -> Array:
    """A bias between every two places that depends on their offset alone, at another map.

    Raises RefusedError where it depends on more than the offset (`of_offsets`).
    """
    offsets = of_offsets(table, axes, before, tokens)
    if before == now:
        return table
    down, across = (spread(2 * b - 1, 2 * n - 1) for b, n in zip(before, now, strict=True))
    grown = (down @ offsets @ across.T).astype(table.dtype).reshape(*offsets.shape[:-2], -1)[..., _offsets(now)]
    return between_places(table, grown, axes, tokens)


def offset_rows(table: Array, axes: Size, before: Size, tokens: int) -> Array:
    """(rows, 2·height-1, 2·width-1): `of_offsets`, the heads in one axis."""
    found = of_offsets(table, axes, before, tokens)
    return numpy.ascontiguousarray(found.reshape(-1, *found.shape[-2:]))


def token_rows(table: Array, axes: Size, before: Size, tokens: int) -> Array:
    """(rows, tokens·(tokens + 2)): biases between tokens, of tokens for places, of places for tokens.

    Raises RefusedError where a token's bias is not one number for all places.
    """
    moved = numpy.moveaxis(table, axes, (-2, -1))
    found = _with_tokens(moved, moved[..., tokens : tokens + 1, tokens : tokens + 1], tokens)
    parts = (found[..., :tokens, :tokens], found[..., :tokens, tokens:], found[..., tokens:, :tokens])
    return numpy.concatenate([part.reshape(-1, part.shape[-2] * part.shape[-1]) for part in parts], axis=-1)


def between_places(old: Array, grown: Array, axes: Size, tokens: int) -> Array:
    """(…, places, places) of a new map with the biases of the tokens before its places, laid out as the old table.

    Raises RefusedError where a token's bias is not one number for all places.
    """
    if tokens:
        grown = _with_tokens(numpy.moveaxis(old, axes, (-2, -1)), grown, tokens)
    return numpy.ascontiguousarray(numpy.moveaxis(grown, (-2, -1), axes), old.dtype)


def _with_tokens(old: Array, grown: Array, tokens: int) -> Array:
    before, after = old[..., :tokens, tokens:], old[..., tokens:, :tokens]
    if not (before == before[..., :1]).all() or not (after == after[..., :1, :]).all():
        raise RefusedError(
            "a bias between a token and the places fits one size only",
            "E302",
            because="it differs from place to place, and what it would be at new places nothing says",
            hint=IN_FRONT,
        )
    places = grown.shape[-1]
    top = numpy.concatenate([old[..., :tokens, :tokens], before[..., :1].repeat(places, -1)], -1)
    rest = numpy.concatenate([after[..., :1, :].repeat(places, -2), grown], -1)
    return numpy.concatenate([top, rest], -2)


def _shifted(size: Size, window: Size, shift: Size) -> Array:
    """(windows, places, places) of booleans: which places of a shifted window were no neighbours before the shift."""
    regions = numpy.zeros(size, int)
    for place, (side, step) in enumerate(zip(size, shift, strict=True)):
        part = numpy.where(
            numpy.arange(side) < side - window[place], 0, numpy.where(numpy.arange(side) < side - step, 1, 2)
        )
        regions += 3**place * (part[:, None] if place == 0 else part[None, :])
    rows, columns = size[0] // window[0], size[1] // window[1]
    windows = regions.reshape(rows, window[0], columns, window[1]).swapaxes(1, 2).reshape(rows * columns, -1)
    return numpy.asarray(windows[:, :, None] != windows[:, None, :])


def over_windows(table: Array, axis: int, before: Size, now: Size, window: Size, grown: Size | None = None) -> Array:
    """The mask of shifted windows (Liu et al. 2021), (…, windows, places, places) from ``axis`` on, at another map.

    The shift is the one that gives the old mask; raises RefusedError where none does. ``grown``: what the windows
    became; a shift by half of their side is one by half of what it is now.
    """
    shift = window_shift(table, axis, before, window)
    if shift is None:
        raise RefusedError(
            "a mask over windows is not that of shifted windows, so it fits one size only",
            "E302",
            because=f"no shift of {window[0]}×{window[1]} windows gives its numbers",
            hint=IN_FRONT,
        )
    turns = zip(shift, window, grown or window, strict=True)
    new = tuple(wide // 2 if step == side // 2 else step for step, side, wide in turns)
    mask = numpy.where(_shifted(now, grown or window, (new[0], new[1])), table.min(), 0).astype(table.dtype)
    spread = mask.reshape(-1, *(1,) * (table.ndim - axis - 3), *mask.shape[1:])
    return numpy.ascontiguousarray(numpy.broadcast_to(spread, (*table.shape[:axis], *spread.shape)))


def window_shift(table: Array, axis: int, size: Size, window: Size) -> Size | None:
    """The shift of windows whose mask a table is, (…, windows, …, places, places) from ``axis`` on; None if none is."""
    masked = table.min()
    kept = table.reshape(-1, *table.shape[axis : axis + 1], *table.shape[-2:])
    for shift in ((a, b) for a in range(1, window[0]) for b in range(1, window[1])):
        if all(numpy.array_equal(rows, numpy.where(_shifted(size, window, shift), masked, 0)) for rows in kept):
            return shift
    return None


def shifted_windows(size: Size, window: Size, shift: Size, masked: float, between: int) -> Array:
    """(windows, places, places): ``masked`` where two places of a shifted window were no neighbours before.

    ``between``: axes of 1 behind the windows, for heads.
    """
    mask = numpy.where(_shifted(size, window, shift), masked, 0.0).astype(numpy.float32)
    return mask.reshape(len(mask), *(1,) * between, *mask.shape[1:])


def distances(queries: Size, keys: Size) -> Array:
    """(places that ask, places asked): how far apart they are, as row·width + column; which row of a table to read.

    Where fewer ask than are asked they stand a stride apart (LeViT, Graham et al. 2021; EfficientFormerV2).
    """
    stride = [-(-key // query) for query, key in zip(queries, keys, strict=True)]
    asking = numpy.meshgrid(*(numpy.arange(n) * s for n, s in zip(queries, stride, strict=True)), indexing="ij")
    asked = numpy.meshgrid(*map(numpy.arange, keys), indexing="ij")
    down, across = (abs(a.reshape(-1, 1) - b.reshape(1, -1)) for a, b in zip(asking, asked, strict=True))
    return numpy.asarray(down * keys[1] + across, numpy.int64)


def offsets(shape: tuple[int, ...], size: Size) -> Array:
    """(…, places, places, 3) of a map: columns apart, rows apart, and the sum of both squared (ConViT)."""
    rows, columns = (axis.reshape(-1) for axis in numpy.meshgrid(*map(numpy.arange, size), indexing="ij"))
    down, across = (axis[None, :] - axis[:, None] for axis in (rows, columns))
    table = numpy.stack([across, down, across**2 + down**2], axis=-1).astype(numpy.float32)
    return numpy.ascontiguousarray(numpy.broadcast_to(table, shape))


def over_distances(table: Array, axes: Size, before: Size, now: Size, tokens: int) -> Array:
    """A bias between every two places that depends on how far they lie apart alone, as (…, places, places).

    What the first place is told of all others is the table of distances, which is interpolated as a map (timm for
    TinyViT and EfficientViT). Raises RefusedError where it depends on more than the distance.
    """
    pairs = numpy.moveaxis(table, axes, (-2, -1))
    told = pairs[..., tokens, tokens:]
    if tokens or not numpy.array_equal(told[..., distances(before, before)], pairs):
        raise RefusedError(
            "a table between places depends on more than how far they lie apart, so it fits one size only",
            "E302",
            because="its numbers differ between pairs of places that lie equally far apart",
            hint=IN_FRONT,
        )
    grown = over_map(told.reshape(*told.shape[:-1], *before), told.ndim - 1, before, now)
    looked = grown.reshape(*told.shape[:-1], -1)[..., distances(now, now)]
    return numpy.ascontiguousarray(numpy.moveaxis(looked, (-2, -1), axes), table.dtype)


def averages(shape: Size, turned: bool) -> Array:
    """(grid, places) that averages a line over a grid (``turned``: the other way round).

    Window i goes from floor(i·places/grid) to ceil((i + 1)·places/grid), as PyTorch's adaptive pooling.
    """
    places, grid = shape if turned else shape[::-1]
    cells = numpy.arange(grid)
    starts, ends = cells * places // grid, -(-(cells + 1) * places // grid)
    inside = (numpy.arange(places) >= starts[:, None]) & (numpy.arange(places) < ends[:, None])
    matrix = (inside / inside.sum(axis=1, keepdims=True)).astype(numpy.float32)
    return numpy.ascontiguousarray(matrix.T if turned else matrix)


#: Recipe -> how the new table is made: (the old table, *arguments).
TABLES: dict[str, Callable[..., Array]] = {
    "map": over_map,
    "places": over_places,
    "blocks": over_blocks,
    "relative": over_offsets,
    "windows": over_windows,
    "distances": distances,
    "apart": over_distances,
    "offsets": offsets,
    "shifted_windows": shifted_windows,
    "averages": averages,
    "ratios": ratios,
    "offset rows": offset_rows,
    "token rows": token_rows,
    "map huggingface": partial(over_map, antialias=False),
    "places huggingface": partial(over_places, antialias=False),
    "places torchvision": partial(over_places, antialias=False, corners=True),
    "relative huggingface": partial(over_offsets, spread=bilinear),
}
