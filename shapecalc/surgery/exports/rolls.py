"""Rolled maps at another size: what goes out at one end is put back at the other, by two slices and a join.

A roll by -3 of 56 rows is written down as one by 53 as well: where the halves meet is as far from the end as before.
"""

from __future__ import annotations

from ...graph import Graph, Node
from ...trace import Layer
from .follow import Place, constant, shape_of
from .retable import SetConstant

#: Inputs of a Slice: what is cut, starts, ends, axes.
STARTS, ENDS, AXES = 1, 2, 3


def halves(graph: Graph) -> frozenset[str]:
    """Names of slices that are half of a roll: the one starts where the other ends, and both are joined again."""
    users = graph.users()
    found: set[str] = set()
    for node in graph.nodes:
        if node.op != "Slice" or len(node.inputs) <= AXES:
            continue
        for other in users.get(node.inputs[0], ()):
            if _meet(graph, node, other) and _joins(users, node) & _joins(users, other):
                found |= {node.name, other.name}
    return frozenset(found)


def _meet(graph: Graph, tail: Node, front: Node) -> bool:
    """Whether one slice starts where another of the same axis ends."""
    if front.op != "Slice" or len(front.inputs) <= AXES or front.name == tail.name:
        return False
    if _held(graph, tail, AXES) != _held(graph, front, AXES):
        return False
    start = _held(graph, tail, STARTS)
    return start is not None and start == _held(graph, front, ENDS)


def _held(graph: Graph, node: Node, place: int) -> tuple[object, ...] | None:
    param = graph.params.get(node.inputs[place])
    return param.contents if param is not None else None


def _joins(users: dict[str, list[Node]], node: Node) -> set[str]:
    return {user.name for user in users.get(node.outputs[0], ()) if user.op == "Concat"}


def rolled(old: Layer, layer: Layer) -> SetConstant | None:
    """The edit of half of a roll whose halves met nearer to the end; None where they met nearer to the start."""
    before, now, axes = shape_of(old), shape_of(layer), constant(layer, Place(AXES, "axes"))
    if before is None or now is None or axes is None or len(axes) != 1:
        return None
    size, new = before[axes[0]], now[axes[0]]
    for place, word in ((STARTS, "starts"), (ENDS, "ends")):
        was, given = (constant(each, Place(place, word)) for each in (old, layer))
        if size != new and given is not None and was == given and size / 2 < given[0] < size:
            return SetConstant(layer.name, place, word, (new - (size - given[0]),), was)
    return None
