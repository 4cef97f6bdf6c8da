"""Words about what an exporter wrote down as a number: weights and constants that fit one input size only."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import dims
from ..dims import Dim, Shape
from ..graph import Graph
from .base import Call


def constant(call: Call, index: int) -> str | None:
    """The weight or constant that input ``index`` is or is made from; None where an input of the net reaches it."""
    graph = call.scope.graph
    return None if graph is None or index >= len(call.node.inputs) else _origin(graph, call.node.inputs[index])


def _origin(graph: Graph, name: str) -> str | None:
    """Of several weights a value is made from, the largest is named; the search ends at the first input it meets."""
    made, fed = graph.producers(), {given.name for given in graph.inputs}
    weights, read, waiting = [], {name}, [name]
    last = None
    while waiting:
        value = waiting.pop()
        if value in fed:
            return None
        if value in graph.params:
            weights.append(graph.params[value])
        elif value in made:
            last = last or made[value].name
            waiting += [v for v in reversed(made[value].inputs) if v not in read]
            read.update(made[value].inputs)
    largest = max(weights, key=lambda param: (math.prod(param.shape or ()), param.name), default=None)
    return largest.name if largest is not None else last


def squares(size: Dim, other: Dim) -> tuple[str, str]:
    """Two counts of places as squares where both are, up to two more for tokens: ``("14×14 + 1", "16×16 + 1")``.

    >>> squares(197, 257), squares(64, 48)
    (('14×14 + 1', '16×16 + 1'), ('64', '48'))
    """
    for extra in range(3):
        texts = [_square(count, extra) for count in (size, other)]
        if all(texts):
            return texts[0], texts[1]
    return str(size), str(other)


def _square(count: Dim, extra: int) -> str:
    if not isinstance(count, int) or count <= extra + 3:
        return ""
    side = math.isqrt(count - extra)
    if side * side != count - extra:
        return ""
    return f"{side}×{side}" + (f" + {extra}" if extra else "")


def weight_in_join(call: Call, i: int, first: Shape, j: int, second: Shape) -> tuple[str, str, str] | None:
    """(expected, actual, hint) where one side of a join is a weight; None where both follow the input."""
    for index, shape, other in ((j, second, first), (i, first, second)):
        name = constant(call, index)
        pair = next((p for p in zip(reversed(shape), reversed(other), strict=False) if dims.joins(*p) is False), None)
        if name is None or pair is None or pair[0] is None:
            continue
        made, given = squares(*pair)
        there = (
            "at export" if call.scope.graph is not None and call.scope.graph.format == "onnx" else "for another size"
        )
        return (
            dims.show(shape),
            dims.show(other),
            f"the input size that {name} was made for: it is a weight of {made} places, fixed {there}; "
            f"or {name} interpolated to {given}",
        )
    return None


def target_hint(call: Call, index: int, target: Sequence[Dim]) -> str:
    """The way out where a target shape, or numbers in it, are constants; empty where all of it is computed."""
    shown = "[" + ", ".join(map(str, target)) + "]"
    name = constant(call, index)
    if name is not None:
        return f"the input size at export: {shown} is a constant of the file ({name}), whatever goes in"
    fixed = [str(target[i]) for i in _fixed_places(call, index, len(target)) if isinstance(target[i], int)]
    numbers = " and ".join(dict.fromkeys(number for number in fixed if number not in ("-1", "0", "1")))
    return f"the input size at export: {numbers} in {shown} is fixed in the file, whatever goes in" if numbers else ""


def _fixed_places(call: Call, index: int, count: int) -> list[int]:
    """Places of a target, joined of single numbers, that no input of the net reaches."""
    graph = call.scope.graph
    if graph is None or index >= len(call.node.inputs):
        return []
    maker = graph.producers().get(call.node.inputs[index])
    if maker is None or maker.op != "Concat" or len(maker.inputs) != count:
        return []
    return [place for place, name in enumerate(maker.inputs) if _origin(graph, name) is not None]
