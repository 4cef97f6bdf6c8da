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
    numbers = " and ".join(written_down(call, index, target))
    return f"the input size at export: {numbers} in {shown} is fixed in the file, whatever goes in" if numbers else ""


def written_down(call: Call, index: int, target: Sequence[Dim], places: Sequence[int] = ()) -> dict[str, str]:
    """The numbers of a target, joined of single ones, that are constants of the file: number -> its constant.

    ``places``: only of these; () of all.
    """
    return {
        str(target[i]): name
        for i, name in _fixed_places(call, index, len(target)).items()
        if isinstance(target[i], int) and target[i] not in (-1, 0, 1) and (not places or i in places)
    }


def _fixed_places(call: Call, index: int, count: int) -> dict[int, str]:
    """Places of a target, joined of parts, that no input of the net reaches: place -> the constant it comes from."""
    graph = call.scope.graph
    if graph is None or index >= len(call.node.inputs):
        return {}
    maker = graph.producers().get(call.node.inputs[index])
    if maker is None or maker.op != "Concat":
        return {}
    lengths = [_length(graph, name) for name in maker.inputs]
    if sum(lengths) != count:
        return {}
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    origins = [
        (start, length, _origin(graph, name)) for start, length, name in zip(starts, lengths, maker.inputs, strict=True)
    ]
    return {
        place: name for start, length, name in origins if name is not None for place in range(start, start + length)
    }


def _length(graph: Graph, name: str) -> int:
    """How many numbers a part of a target has: those of a constant, one where it is computed."""
    maker = graph.producers().get(name)
    stored = maker.attrs.get("value") if maker is not None and maker.op == "Constant" else graph.params.get(name)
    shape = getattr(stored, "shape", None)
    listed = maker.attrs.get("value_ints") if maker is not None else None
    return math.prod(shape) if isinstance(shape, tuple) else len(listed) if isinstance(listed, tuple | list) else 1
