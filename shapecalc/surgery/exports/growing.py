"""Windows that are padded for and yet follow the image: those whose biases are computed from distances alone.

Swin keeps the side of its windows, for it has learned a bias for each offset in one. A net that computes its biases by
a small MLP over logarithms of distances has one for every offset there is; timm's SwinV2-CR takes an eighth of its map
as a window, at every size. Where the distances are told in shares of the window (Swin V2), the side is part of what was
learned, and stays.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...graph import Graph
from .regroup import Scale, Sizes

Sides = tuple[int, int]
#: A side times what the image was multiplied by is whole where it is so near to a whole number.
WHOLE = 1e-6


def computed(graph: Graph, sides: Iterable[Sides]) -> frozenset[Sides]:
    """Those sides of windows for which the net holds a table of distances that knows no side."""
    from ...coordinates import told  # numpy, which a trace does without
    from ...folding import numbers

    rows = {count: side for side in sides for count in _rows(side)}
    found = set[Sides]()
    for param in graph.params.values():
        side = rows.get((param.shape or (0,))[0])
        if side is None or side in found or len(param.shape or ()) != 2 or (param.shape or ())[1] != 2:
            continue
        held = numbers(param)
        table = told(held, side) if held is not None else None
        if table is not None and not table.bounded:
            found.add(side)
    return frozenset(found)


def unread(graph: Graph, sides: Iterable[Sides]) -> str | None:
    """A parameter that may be such a table and whose numbers are not to be had, as of a model read from bytes."""
    from ...folding import numbers  # numpy, which a trace does without

    rows = {count for side in sides for count in _rows(side)}
    shaped = (param for param in graph.params.values() if len(param.shape or ()) == 2 and (param.shape or ())[1] == 2)
    return next((param.name for param in shaped if (param.shape or ())[0] in rows and numbers(param) is None), None)


def _rows(side: Sides) -> tuple[int, int]:
    """Rows of a table with one for each pair of places, and of one with one for each offset."""
    return (side[0] * side[1]) ** 2, (2 * side[0] - 1) * (2 * side[1] - 1)


def followed(side: Sides, scale: Scale) -> Sides | None:
    """The sides multiplied as height and width were; None where they do not come out whole."""
    grown = [one * factor for one, factor in zip(side, scale, strict=True)]
    whole = [round(one) for one in grown]
    near = all(abs(one - number) < WHOLE and number > 0 for one, number in zip(grown, whole, strict=True))
    return (whole[0], whole[1]) if near else None


def places(table: Sizes, wanted: Sizes) -> bool:
    """Whether it is the places of windows alone, the last two axes, that a table does not fit."""
    changed = [axis for axis, (a, b) in enumerate(zip(table, wanted, strict=True)) if a != b]
    return len(table) > 2 and changed == [len(table) - 2, len(table) - 1] and table[-1] == table[-2]
