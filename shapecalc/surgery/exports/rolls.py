"""Rolled maps at another size: what goes out at one end is put back at the other, by two slices and a join.

A roll by -3 of 56 rows is written down as one by 53 as well: where the halves meet is as far from the end as before.
Windows that follow the map (`growing`) are shifted by half of what their side is now.
"""

from __future__ import annotations

from typing import Any

from ...dims import is_number
from ...graph import Graph, Node, Tensor
from ...trace import Layer
from .follow import Place, constant, shape_of
from .retable import SetConstant

#: Inputs of a Slice: what is cut, starts, ends, axes.
STARTS, ENDS, AXES = 1, 2, 3

Contents = tuple[Any, ...] | None


def halves(graph: Graph) -> frozenset[str]:
    """Names of slices that are half of a roll: the one starts where the other ends, and both are joined again."""
    users, numbers = graph.users(), _numbers(graph)
    found: set[str] = set()
    for node in graph.nodes:
        if node.op != "Slice" or len(node.inputs) <= AXES:
            continue
        for other in users.get(node.inputs[0], ()):
            if _meet(numbers, node, other) and _joins(users, node) & _joins(users, other):
                found |= {node.name, other.name}
    return frozenset(found)


def _numbers(graph: Graph) -> dict[str, Contents]:
    """What is known of values that are no more than a few numbers: parameters, and constants among the nodes."""
    held = {name: param.contents for name, param in graph.params.items()}
    for node in graph.nodes:
        value = node.attrs.get("value") if node.op == "Constant" else None
        if isinstance(value, Tensor):
            held[node.outputs[0]] = value.contents
    return held


def _meet(held: dict[str, Contents], tail: Node, front: Node) -> bool:
    """Whether one slice starts where another of the same axis ends."""
    if front.op != "Slice" or len(front.inputs) <= AXES or front.name == tail.name:
        return False
    if held.get(tail.inputs[AXES]) != held.get(front.inputs[AXES]):
        return False
    start = held.get(tail.inputs[STARTS])
    return start is not None and start == held.get(front.inputs[ENDS])


def _joins(users: dict[str, list[Node]], node: Node) -> set[str]:
    return {user.name for user in users.get(node.outputs[0], ()) if user.op == "Concat"}


def rolled(old: Layer, layer: Layer, turns: tuple[tuple[int, int], ...] = ()) -> SetConstant | None:
    """The edit of half of a roll that is to meet elsewhere; None where it meets where it should.

    ``turns``: (side, side now) of the windows that are shifted, where those follow the map: half of it is the shift.
    """
    before, now, axes = shape_of(old), shape_of(layer), constant(layer, Place(AXES, "axes"))
    if before is None or now is None or axes is None or len(axes) != 1:
        return None
    size, new = before[axes[0]], now[axes[0]]
    turn = turns[axes[0] - 1] if turns and axes[0] in (1, 2) else None
    for place, word in ((STARTS, "starts"), (ENDS, "ends")):
        was, given = (constant(each, Place(place, word)) for each in (old, layer))
        if (
            given is not None
            and was == given
            and is_number(given[0])
            and given[0] != (met := _met(given[0], size, new, turn))
        ):
            return SetConstant(layer.name, place, word, (met,), was)
    return None


def _met(at: int, size: int, new: int, turn: tuple[int, int] | None) -> int:
    """Where the halves of a roll of ``size`` rows that met ``at`` meet where there are ``new`` ones."""
    if not 0 < abs(at) < size:
        return at  # the other end of the half
    from_end = at > size / 2
    shift = size - at if from_end else abs(at)
    if turn is not None and shift == turn[0] // 2:
        shift = turn[1] // 2
    return -shift if at < 0 else new - shift if from_end else shift
