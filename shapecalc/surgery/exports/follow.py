"""What a constant that an export wrote down should be at another size: one rule for each operator that reads such.

A rule sees a layer at both sizes and gives the contents its constant input may have to follow what goes in, the
likeliest first; nothing where it follows already, or where no number comes out whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ...dims import Shape
from ...graph import Graph
from ...trace import Layer
from .regroup import ITEMS, Became, Sizes, regrouped
from .retable import SetConstant

if TYPE_CHECKING:
    from .positions import Seen

Ways = list[Sizes]


class Rule(NamedTuple):
    """The input (or, in old files, the attribute) that holds the constant, and what it may become."""

    place: int
    attribute: str
    ways: Callable[[Layer, Layer, Seen], Ways]


class Held(Protocol):
    """Where an operator has a constant: an input or, in old files, an attribute."""

    @property
    def place(self) -> int:
        """The input."""

    @property
    def attribute(self) -> str:
        """The attribute."""


class Place(NamedTuple):
    """An input, or an attribute, and no rule."""

    place: int
    attribute: str


def constant(layer: Layer, held: Held) -> Shape | None:
    """The contents of the constant as a layer reads it; None where it is not known."""
    tensor = layer.call.inputs[held.place] if layer.call.has(held.place) else None
    found = layer.call.attr(held.attribute) if tensor is None else tensor.contents
    return tuple(found) if found is not None else None


def shape_of(layer: Layer, output: bool = False) -> Sizes | None:
    """The shape of a layer's first input or output where all of it is numbers."""
    tensors = layer.tensors if output else layer.call.inputs
    return tensors[0].sizes if tensors and tensors[0] is not None else None


def _reshape(old: Layer, layer: Layer, seen: Seen) -> Ways:
    """Groups of axes with equal products keep their meaning (`regrouped`); of several ways what was seen before."""
    before, after, now = shape_of(old), shape_of(old, output=True), shape_of(layer)
    if before is None or after is None or now is None:
        return []
    ways = regrouped(before, after, now, seen.became, seen.scale, seen.maps)
    known = seen.shapes.get(after, ())
    if known in ways:
        ways = [known]
    if not layer.problems and (shape_of(layer, output=True) in ways or not _same(old, layer, RULES["Reshape"])):
        return []
    return [_open(way) for way in ways]


def _open(way: Sizes) -> Sizes:
    return tuple(-1 if size % ITEMS == 0 else size for size in way)


def mended(layer: Layer, wanted: Sizes) -> Ways:
    """The target of a reshape that is to give ``wanted``; nothing where it does."""
    return [] if not layer.problems and shape_of(layer, output=True) == wanted else [_open(wanted)]


def _slice(old: Layer, layer: Layer, seen: Seen) -> Ways:
    """An end that was the whole axis stays the whole axis; one that was the side of a map is that map's side."""
    before, now, ends = shape_of(old), shape_of(layer), constant(layer, RULES["Slice"])
    if before is None or now is None or ends is None or not _same(old, layer, RULES["Slice"]):
        return []
    given = layer.call.inputs[3].contents if layer.call.has(3) and layer.call.inputs[3] is not None else None
    axes = given or layer.call.attr("axes") or range(len(ends))
    new = tuple(_end(end, before[axis], now[axis]) for end, axis in zip(ends, axes, strict=True))
    return [new] if new != ends else []


def _end(end: int, before: int, now: int) -> int:
    return now if end == before and before != now else end


def _resize(old: Layer, layer: Layer, seen: Seen) -> Ways:
    """A map is scaled as before: to the side that another map has now, or by the same factor."""
    before, now, sizes = shape_of(old), shape_of(layer), constant(layer, RULES["Resize"])
    if before is None or now is None or sizes is None or len(sizes) != len(now):
        return []
    if not _same(old, layer, RULES["Resize"]):
        return []
    new = _as_a_map(sizes, seen) or tuple(
        _scaled(size, a, b, seen.became) for size, a, b in zip(sizes, before, now, strict=True)
    )
    if any(size and size % ITEMS == 0 for size in new):
        return []  # it is computed with the batch, which is left free: no constant can say it
    return [new] if new != sizes else []


def _as_a_map(sizes: Shape, seen: Seen) -> Sizes | None:
    """Sizes with height and width of the one map that became another; None where none or several had them."""
    found = {new for before, new in seen.maps if len(sizes) == 4 and before == sizes[2:]}
    return (*sizes[:2], *found.pop()) if len(found) == 1 else None


def shown(old: Layer, layer: Layer, seen: Seen) -> Ways:
    """What is scaled to a map that changed, though it itself did not: the size written down is that of the map of now.

    DINOv2 scales the positions of the size it was trained at; the last map of SegFormer is 2×2 for several sizes.
    """
    sizes = constant(layer, RULES["Resize"])
    given = shape_of(layer)
    if not sizes or given is None or shape_of(old) != given or not _same(old, layer, RULES["Resize"]):
        return []
    ways = [
        (*sizes[:at], *now, *sizes[at + 2 :])
        for before, now in seen.maps
        for at in (2, 1)
        if len(sizes) == 4 and (*given[:at], *before, *given[at + 2 :]) == sizes
    ]
    return ways if len(set(ways)) == 1 and ways[0] != sizes else []


def _scaled(size: int, before: int, now: int, became: Became) -> int:
    """What a side is scaled to: of what it became elsewhere the nearest to the same factor, as the axes may differ."""
    if before == now:
        return size
    factored = size * now / before
    return min(became.get(size) or (round(factored),), key=lambda known: abs(known - factored))


def _expand(old: Layer, layer: Layer, seen: Seen) -> Ways:
    """An axis that was kept is kept: 1 says so at every size."""
    before, now, target = shape_of(old), shape_of(layer), constant(layer, RULES["Expand"])
    if before is None or now is None or target is None or not _same(old, layer, RULES["Expand"]):
        return []
    ends = range(-min(len(target), len(before), len(now)), 0)
    kept = {end for end in ends if target[end] == before[end] != now[end]}
    new = tuple(1 if end in kept else size for end, size in zip(range(-len(target), 0), target, strict=True))
    return [new] if kept else []


def _laid(old: Layer, layer: Layer, seen: Seen) -> Ways:
    """Patches are laid on the map that the one written down became (VOLO's outlook attention)."""
    size = constant(layer, RULES["Col2Im"])
    if size is None or not _same(old, layer, RULES["Col2Im"]):
        return []
    return [new for before, new in seen.maps if before == size]


def expanded(layer: Layer, graph: Graph) -> SetConstant | None:
    """The edit of an Expand that a misfitting join reads, where it repeats numbers so often as there were places.

    The axis is left at 1: a join repeats it by itself. None where the join reads none, or other axes do not fit too.
    """
    producers = graph.producers()
    shapes = [tensor.shape if tensor is not None else None for tensor in layer.call.inputs]
    for value, shape, around in zip(layer.node.inputs, shapes, reversed(shapes), strict=True):
        node = producers.get(value)
        if node is None or node.op != "Expand" or len(shapes) != 2 or not isinstance(shape, tuple):
            continue
        held = graph.params.get(node.inputs[1])
        if held is None or held.contents is None or not isinstance(around, tuple) or len(around) != len(shape):
            continue
        target = tuple(held.contents)
        ends = range(-len(target), 0)
        new = tuple(1 if n == shape[end] != around[end] else n for end, n in zip(ends, target, strict=True))
        if new != target and len(target) <= len(shape):
            return SetConstant(node.name, RULES["Expand"].place, RULES["Expand"].attribute, new, target)
    return None


def _same(old: Layer, layer: Layer, rule: Rule) -> bool:
    """Whether the constant did not follow the input by itself."""
    return constant(old, rule) == constant(layer, rule)


RULES = {
    "Reshape": Rule(1, "shape", _reshape),
    "Slice": Rule(2, "ends", _slice),
    "Resize": Rule(3, "sizes", _resize),
    "Expand": Rule(1, "shape", _expand),
    "Col2Im": Rule(1, "image_shape", _laid),
}
