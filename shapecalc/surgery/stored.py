"""Weights as the file has them: stored, or stored and then turned, copied or dequantized on their way to a layer."""

from __future__ import annotations

from typing import NamedTuple

from ..graph import Graph, Param, Tensor

#: Operators that hand a stored weight on with the same shape.
HANDS_ON = frozenset({"Identity", "Cast", "DequantizeLinear", "QuantizeLinear"})


class Stored(NamedTuple):
    """The weight that a value is: the name it is stored under, and its shape where it is read."""

    name: str
    shape: tuple[int, ...] | None


def stored(graph: Graph, value: str) -> Stored | None:
    """The stored weight that ``value`` is; None for what is computed from the input, or in another way."""
    turns: list[tuple[int, ...] | None] = []
    producers = graph.producers()
    name = value
    while name not in graph.params:
        node = producers.get(name)
        if node is not None and node.op == "Constant" and isinstance(node.attrs.get("value"), Tensor):
            return Stored(name, _turned(node.attrs["value"].shape, turns))
        if node is None or (node.op not in HANDS_ON and node.op != "Transpose"):
            return None
        if node.op == "Transpose":
            turns.append(node.attrs.get("perm"))
        name = node.input(0)
    return Stored(name, _turned(graph.params[name].shape, turns))


def _turned(shape: object, turns: list[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    if not isinstance(shape, tuple):
        return None
    for turn in reversed(turns):
        if turn and sorted(turn) != list(range(len(shape))):
            return None
        shape = tuple(shape[axis] for axis in (turn or range(len(shape) - 1, -1, -1)))
    return shape


def dead(graph: Graph) -> set[str]:
    """Names of nodes and parameters that nothing needs."""
    alive = graph.pruned(graph.outputs)
    read = {name for node in graph.nodes for name in node.reads()}
    names = {node.name for node in graph.nodes} - {node.name for node in alive.nodes}
    return names | (graph.params.keys() - alive.params.keys()) | (graph.params.keys() - read)


def swept(before: Graph, after: Graph) -> Graph:
    """An edited graph without what only the edit left without a reader."""
    left = dead(after) - dead(before)
    sources = {name for param in after.params.values() for name in param.sources}
    return after.replace(
        nodes=tuple(node for node in after.nodes if node.name not in left),
        params={name: param for name, param in after.params.items() if name not in left or name in sources},
    )


def param_of(graph: Graph, found: Stored) -> Param | None:
    """The parameter behind a stored weight, None where it is a Constant node."""
    return graph.params.get(found.name)
