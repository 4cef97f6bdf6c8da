"""What a reshape written down for one size means at another: which axes it splits and joins, and how those change.

A reshape is read as groups of axes with equal products: ``(N, 192, 14, 14) → (N, 192, 196)`` keeps two axes and joins
two. At another size a group that did not change keeps its numbers, an axis that stands for a whole group gets the
group's new product, and a group that is split is split into the numbers that its old ones became elsewhere in the net.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from math import log, prod
from typing import Any, NamedTuple

Sizes = tuple[int, ...]

#: Old number -> the numbers it became elsewhere, those of maps first, height before width.
Became = Mapping[int, Sequence[int]]

#: What height and width were multiplied by.
Scale = tuple[float, float]

#: A batch that is left open is traced as this many items: what is a multiple of it belongs to the batch.
ITEMS = 10_007


def batched(target: Sizes | None) -> tuple[Any, ...] | None:
    """Numbers as people read them: what is a multiple of `ITEMS` is one of the batch.

    >>> batched((10007, 49, 20014))
    ('N', 49, '2·N')
    """
    if target is None:
        return None
    return tuple(_of_batch(n // ITEMS) if n and n % ITEMS == 0 else n for n in target)


def _of_batch(items: int) -> str:
    return "N" if items == 1 else f"{items}·N"


#: One number that changed as height and width together comes behind two that changed each as one of them.
JOINED = 1e-3

#: Ways to split one group that are looked at, and choices of numbers that are tried for one.
MOST_WAYS, MOST_CHOICES = 64, 4096


class Group(NamedTuple):
    """Axes of the input, ``[start, end)``, that hold the same elements as axes of the output."""

    inputs: slice
    outputs: slice


def groups(before: Sizes, after: Sizes, *, leading: bool = False) -> list[Group]:
    """The smallest groups of axes with equal products, in order; empty where the products differ.

    Axes of 1 belong to the group before them, or (``leading``) to the one behind: nothing tells which.

    >>> groups((192, 14, 14), (192, 196))[1]
    Group(inputs=slice(1, 3, None), outputs=slice(1, 2, None))
    """
    if prod(before) != prod(after) or 0 in before:
        return []
    found: list[Group] = []
    i = j = 0
    while i < len(before) or j < len(after):
        start, begin, left, right = i, j, 1, 1
        while i < len(before) or j < len(after):
            if left == right and i > start and j > begin and max(left, right) > 1:
                break
            if j == len(after) or (i < len(before) and left <= right):
                left, i = left * before[i], i + 1
            else:
                right, j = right * after[j], j + 1
        if not leading:
            i, j = _ones(before, i), _ones(after, j)
        found.append(Group(slice(start, i), slice(begin, j)))
    return found


def _ones(shape: Sizes, place: int) -> int:
    while place < len(shape) and shape[place] == 1:
        place += 1
    return place


def regrouped(
    before: Sizes,
    after: Sizes,
    now: Sizes,
    became: Became,
    scale: Scale = (1.0, 1.0),
    maps: Sequence[tuple[Sizes, Sizes]] = (),
) -> list[Sizes]:
    """The shapes a reshape of ``before`` into ``after`` may mean for an input of ``now``, the likeliest first.

    ``now`` has as many axes as ``before``, ``scale`` is what height and width were multiplied by, ``maps`` are sides
    that became others elsewhere. Empty where nothing comes out whole.

    >>> regrouped((2, 192, 14, 14), (2, 192, 196), (2, 192, 16, 16), {})
    [(2, 192, 256)]
    >>> regrouped((64, 49, 96), (1, 8, 8, 49, 96), (100, 49, 96), {8: [10]})
    [(1, 10, 10, 49, 96)]
    """
    if len(before) != len(now):
        return []
    found: dict[Sizes, None] = {}
    for leading in (False, True):
        parts = groups(before, after, leading=leading)
        likely = [_Likely(after[g.outputs], scale, maps) for g in parts]
        ways = [
            list(_ways(before[g.inputs], after[g.outputs], now[g.inputs], became, order))
            for g, order in zip(parts, likely, strict=True)
        ]
        for way in itertools.islice(itertools.product(*ways), MOST_WAYS if parts else 0):
            found[tuple(itertools.chain.from_iterable(way))] = None
    return list(found)


class _Likely(NamedTuple):
    """What tells the likeliest way in which the numbers ``after`` changed."""

    after: Sizes
    scale: Scale
    maps: Sequence[tuple[Sizes, Sizes]]

    def rank(self, way: Sizes) -> tuple[Any, ...]:
        """Smaller is likelier."""
        unlike = round(_unlike(self.after, way, self.scale), 6)
        return (unlike, self._no_map(way), _misplaced(self.after, way, self.scale), -_inner(self.after, way))

    def _no_map(self, way: Sizes) -> bool:
        """Whether two numbers that are the sides of maps became what no such map did."""
        pairs = [(self.after[place : place + 2], way[place : place + 2]) for place in range(len(way) - 1)]
        known = {old for old, _ in self.maps}
        return any(old in known and (old, new) not in self.maps for old, new in pairs if old != new)


def _ways(before: Sizes, after: Sizes, now: Sizes, became: Became, likely: _Likely) -> Iterator[Sizes]:
    total = prod(now)
    if before == now:
        yield after
        return
    if min((*after, total), default=1) <= 0:
        return  # an empty map was or becomes one: nothing is scaled
    large = [axis for axis, size in enumerate(after) if size != 1]
    if len(large) <= 1:
        place = large[0] if large else len(after) - 1
        if after:
            yield tuple(total if axis == place else size for axis, size in enumerate(after))
        return
    found = dict.fromkeys((*_replaced(after, total, became), *_one_rest(after, total)))
    yield from sorted(found, key=likely.rank)


def _unlike(after: Sizes, way: Sizes, scale: Scale) -> float:
    """How far the changed numbers are from scaling as height, then width, did; 0 where they do exactly."""
    high, wide = (log(factor) for factor in scale)
    changes = [log(new / old) for old, new in zip(after, way, strict=True) if new != old]
    if len(changes) == 1:
        return min(abs(changes[0] - high), abs(changes[0] - wide), abs(changes[0] - high - wide) + JOINED)
    if len(changes) == 2:
        return abs(changes[0] - high) + abs(changes[1] - wide)
    return sum(min(abs(change - high), abs(change - wide)) for change in changes)


def _misplaced(after: Sizes, way: Sizes, scale: Scale) -> bool:
    """Whether of equal numbers, the sides of a square, the wrong one changed where only height or only width did."""
    changed = [place for place, (old, new) in enumerate(zip(after, way, strict=True)) if old != new]
    if len(changed) != 1 or (scale[0] == 1) == (scale[1] == 1):
        return False
    equal = [place for place, size in enumerate(after) if size == after[changed[0]]]
    return changed[0] != equal[0 if scale[0] != 1 else -1]


def _inner(after: Sizes, way: Sizes) -> int:
    """How many of the last numbers are kept: of a split, the windows keep their side and there are more of them."""
    kept = 0
    while kept < len(after) and way[-1 - kept] == after[-1 - kept]:
        kept += 1
    return kept


def _replaced(after: Sizes, total: int, became: Became) -> Iterator[Sizes]:
    """Each number replaced by one that it became elsewhere, or kept."""
    choices = [[*(became.get(size, ()) if size not in (1, ITEMS) else ()), size] for size in after]
    ways = (way for way in itertools.islice(itertools.product(*choices), MOST_CHOICES) if prod(way) == total)
    yield from ways


def _one_rest(after: Sizes, total: int) -> Iterator[Sizes]:
    """One number takes what the others leave: a window keeps its size, and there are more of them."""
    for place, size in enumerate(after):
        if size in (1, ITEMS):
            continue  # the batch: what is split off is split off every item
        others = prod(size for axis, size in enumerate(after) if axis != place)
        if total % others == 0:
            yield tuple(total // others if axis == place else other for axis, other in enumerate(after))
