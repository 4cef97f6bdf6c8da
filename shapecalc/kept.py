"""Which number of a layer stayed while what comes in changed: one rule for each operator that reads such numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import NamedTuple

from .surgery.exports.follow import Place
from .surgery.exports.regroup import Group, Sizes, batched, groups
from .traced import Layer


class Places(NamedTuple):
    """What two counts of places are: ``14·14 + 1`` and ``20·20 + 1`` of the map that ``layer`` gives, "" if unknown."""

    then: str
    now: str
    layer: str

    @property
    def whose(self) -> str:
        """`` of conv5``."""
        return f" of {self.layer}" if self.layer else ""


#: Says what a count was and is; None where no map has so many places.
Counted = Callable[[int, int], Places | None]


class Seen(NamedTuple):
    """A layer at one size: the contents of its constant, the shape of its input and of its output, all numbers."""

    constant: Sizes
    given: Sizes
    output: Sizes
    layer: Layer


class Rule(NamedTuple):
    """The input (or, in old files, the attribute) that may hold a number of one size, and how to tell that it does.

    ``kept`` sees the layer where everything fits and where something does not, and whether it is itself what fails; it
    says which number did not follow what came in, or nothing.
    """

    place: int
    attribute: str
    kept: Callable[[Seen, Seen, bool, Counted], str]


def equal(*sides: Iterable[int]) -> str:
    """``49 = 7·7``: sides as products, one where they read alike."""
    texts = ["·".join(str(n) for n in batched(tuple(n for n in side if n != 1)) or (1,)) for side in sides]
    return " = ".join(dict.fromkeys(texts))


# -- reshapes ---------------------------------------------------------------------------------------------------------


def _reshape(old: Seen, new: Seen, fails: bool, counted: Counted) -> str:
    """Axes that became one, or were split, into numbers that stayed while their product changed.

    An axis is named where another one is split into the same numbers: a map's height and width into windows.
    """
    found = _stuck(old, new, fails, counted)
    if not found:
        return ""
    into = [_windows(old, group) for group in groups(old.given, old.output)]
    axes = [_axis(old, group) for group, _ in found]
    if None in axes or any(into.count(_windows(old, group)) < 2 for group, _ in found):
        return found[0][1]
    along = {
        said: [str(axis) for axis, (_, other) in zip(axes, found, strict=True) if other == said] for _, said in found
    }
    return "; ".join(f"ax{'e' if len(a) > 1 else 'i'}s {' and '.join(a)}: {said}" for said, a in along.items())


def _axis(old: Seen, group: Group) -> int | None:
    """The one axis of a group, besides axes of 1."""
    start, stop, _ = group.inputs.indices(len(old.given))
    axes = [axis for axis in range(start, stop) if old.given[axis] != 1]
    return axes[0] if len(axes) == 1 else None


def _windows(old: Seen, group: Group) -> Sizes:
    """The numbers into which a group is split, besides 1; of an axis that is not split, the axis as well."""
    numbers = tuple(n for n in old.output[group.outputs] if n != 1)
    return numbers if len(numbers) > 1 else (group.inputs.start, *numbers)


def _stuck(old: Seen, new: Seen, fails: bool, counted: Counted) -> list[tuple[Group, str]]:
    """The groups of axes whose numbers stayed, and what is said of each."""
    if len(new.given) != len(old.given) or len(new.constant) != len(old.constant):
        return []
    for leading in (False, True):
        found = [
            (group, _group(old.given[group.inputs], new.given[group.inputs], _targets(old, new, group), fails, counted))
            for group in groups(old.given, old.output, leading=leading)
        ]
        if any(said for _, said in found):
            return [(group, said) for group, said in found if said]
    return []


def stuck_places(old: Seen, new: Seen, fails: bool, counted: Counted) -> Sizes:
    """Where in the target of a reshape the numbers stand of which `_reshape` speaks first."""
    found = _stuck(old, new, fails, counted)
    return tuple(range(*found[0][0].outputs.indices(len(old.output)))) if found else ()


def _targets(old: Seen, new: Seen, group: Group) -> tuple[Sizes, Sizes, Sizes]:
    return old.output[group.outputs], old.constant[group.outputs], new.constant[group.outputs]


def _group(before: Sizes, now: Sizes, targets: tuple[Sizes, Sizes, Sizes], fails: bool, counted: Counted) -> str:
    """One group of axes: ``before`` became ``after`` by the targets ``old``; now ``now`` comes in, ``new`` is asked."""
    after, old, new = targets
    if prod(before) == prod(now) or not any(a == b > 1 for a, b in zip(old, new, strict=True)):
        return ""
    fixed = [n for n, target in zip(after, old, strict=True) if target > 0]
    rest = [n for n, target in zip(after, old, strict=True) if target <= 0 and n != 1]
    if old == new and not rest:
        return _places(fixed, before, now, counted)
    if fails and rest and old == new and prod(now) % prod(fixed):
        return f"{equal(before)} split by {equal(fixed)}, {equal(now)} now"
    if fails and old != new and not rest and prod(now) != prod(new):
        return f"{equal(fixed, before)}, {equal(new)} of {equal(now)} now"
    return ""


def _places(fixed: Iterable[int], before: Sizes, now: Sizes, counted: Counted) -> str:
    """``197 = 14·14 + 1 of conv, 20·20 + 1 now``; the numbers alone where they are no places of a map."""
    places = counted(prod(before), prod(now))
    if places is None:
        return f"{equal(fixed, before)}, {equal(now)} now"
    sides = dict.fromkeys([*equal(fixed, before).split(" = "), places.then])
    return f"{' = '.join(sides)}{places.whose}, {places.now} now"


# -- slices, resizes, splits, expansions ------------------------------------------------------------------------------


def _slice(old: Seen, new: Seen, fails: bool, counted: Counted) -> str:
    """An end that was the whole axis, and is less than it now."""
    axes = new.layer.call.contents(3) or new.layer.call.attr("axes") or range(len(new.constant))
    for end, same, axis in zip(old.constant, new.constant, axes, strict=False):
        if end == same == old.given[axis] < new.given[axis]:
            return f"{end} was all of the axis, which has {new.given[axis]} now"
    return ""


def _resize(old: Seen, new: Seen, fails: bool, counted: Counted) -> str:
    """Sizes that stayed while the map that is resized changed."""
    kept = old.constant == new.constant and len(old.given) == len(new.given) == len(new.constant)
    pairs = zip(new.constant, old.given, new.given, strict=True) if kept else ()
    changed = [(size, a, b) for size, a, b in pairs if a != b]
    if not changed:
        return ""
    sizes, before, now = ("×".join(map(str, side)) for side in zip(*changed, strict=True))
    return f"{sizes} from {before}, {now} now"


def _split(old: Seen, new: Seen, fails: bool, counted: Counted) -> str:
    """Parts that add up to what the axis was."""
    axis = int(new.layer.call.attr("axis", 0))
    if old.constant == new.constant and sum(old.constant) == old.given[axis] != new.given[axis]:
        return f"{' + '.join(map(str, new.constant))} = {old.given[axis]}, {new.given[axis]} now"
    return ""


def _expand(old: Seen, new: Seen, fails: bool, counted: Counted) -> str:
    """A size that was that of the axis itself, which is another one now."""
    if not fails or old.constant != new.constant:
        return ""
    sides = zip(reversed(new.constant), reversed(old.given), reversed(new.given), strict=False)
    changed = [(size, now) for size, a, now in sides if size == a != now and size > 1]
    if not changed:
        return ""
    sizes, comes = ("×".join(map(str, reversed(side))) for side in zip(*changed, strict=True))
    return f"{sizes} was what came in, {comes} now"


def _gather(old: Seen, new: Seen, fails: bool, counted: Counted) -> str:
    """Written-down places from the first to the last of an axis, which has more now; or one that is no more."""
    axis = int(new.layer.call.attr("axis", 0))
    places, before, now = old.constant, old.given[axis], new.given[axis]
    if not places or places != new.constant or before == now or before < 2:
        return ""
    if fails and max(places) >= now:
        return f"place {max(places)} was one of {before}, there are {now} now"
    if (min(places), max(places)) != (0, before - 1):
        return ""
    return f"places 0 to {before - 1} were all of the axis, which has {now} now"


RULES = {
    "Gather": Rule(1, "", _gather),
    "Reshape": Rule(1, "shape", _reshape),
    "Slice": Rule(2, "ends", _slice),
    "Resize": Rule(3, "sizes", _resize),
    "Split": Rule(1, "split", _split),
    "Expand": Rule(1, "shape", _expand),
}


# -- what is made as large as a map was, whatever comes in -------------------------------------------------------------

#: Operators that make a tensor as large as numbers say, and the input (or attribute) that holds the numbers.
MAKERS = {
    "ConstantOfShape": Place(0, ""),
    "Expand": Place(1, "shape"),
    "Resize": Place(3, "sizes"),
    "Tile": Place(1, "repeats"),
}


def made(seen: Seen, missed: Mapping[int, int]) -> str:
    """``28×28 places, 40×40 now``: the sizes a layer makes from its constant that are ``missed`` further on.

    ``missed`` has what is wanted now, by the size that came instead.
    """
    given = (1,) * (len(seen.output) - len(seen.given)) + seen.given
    grown = [size for size, a in zip(seen.output, given, strict=False) if size in missed and size != a]
    if not grown or not {size for size in grown if size in seen.constant or seen.layer.op == "Tile"}:
        return ""
    return f"{'×'.join(map(str, grown))} places, {'×'.join(str(missed[size]) for size in grown)} now"


def padded(old: Seen, new: Seen, missed: Mapping[int, int]) -> str:
    """``14 + 1 = 15, 16 + 1 now``: places that were put beside a map so that it fitted, and are too many now."""
    rank = len(new.given)
    if old.constant != new.constant or len(new.constant) != 2 * rank or len(old.given) != rank:
        return ""
    for axis, (a, b) in enumerate(zip(old.given, new.given, strict=True)):
        more = new.constant[axis] + new.constant[axis + rank]
        if a != b and more and b + more in missed:
            return f"{a} + {more} = {a + more}, {b} + {more} now"
    return ""
