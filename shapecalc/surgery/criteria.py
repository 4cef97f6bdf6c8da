"""What a repair is chosen by: trained weights kept, features unchanged, the grid of the receptive fields, the cost.

All four are measured on the two traces, with the repair and without it, at the same input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from .. import cost
from ..dims import product
from ..graph import PLUMBING, Graph, Node
from ..trace import Layer, Trace

#: Layers that compute nothing, so that none of them is one that "computes what it did".
IDLE = PLUMBING | {"Input"}
#: Axes of what a fully connected layer gives.
MATRIX = 2


class Criteria(NamedTuple):
    """Numbers of trained weights kept of all; layers that compute what they did of all; where the grid changes; MACs.

    ``grid`` is the first layer whose receptive field, or the step to the next one, is another; "" where all are kept.
    """

    kept: Any
    trained: Any
    unchanged: int
    layers: int
    grid: str
    macs: Any

    def to_dict(self) -> dict[str, Any]:
        """The criteria as JSON prints them."""
        counts = {key: value if value is None or isinstance(value, int) else str(value) for key, value in self._cells()}
        return {**counts, "grid_changes_at": self.grid or None}

    def _cells(self) -> Iterator[tuple[str, Any]]:
        yield "weights_kept", self.kept
        yield "weights", self.trained
        yield "layers_unchanged", self.unchanged
        yield "layers", self.layers
        yield "macs", self.macs


def untouched(original: Graph, edited: Graph) -> list[Node]:
    """The nodes of the original that no edit can have changed: those that both share, and all they depend on."""
    same = {id(node) for node in edited.nodes}
    reached = {given.name for given in original.inputs} | set(original.params) | {""}
    nodes: list[Node] = []
    for node in original.nodes:
        if id(node) in same and reached.issuperset(node.inputs):
            nodes.append(node)
            reached.update(node.outputs)
    return nodes


def judged(without: Trace, repaired: Trace) -> Criteria:
    """The criteria of a repair: the traces of the net without it and with it, at one input."""
    params = without.graph.params
    names = {name for node in without.graph.nodes for name in cost.trained(node, params)}
    read = {name for node in repaired.graph.nodes for name in node.inputs}
    kept = {name for name in names & read if repaired.graph.params.get(name) is params[name]}
    seeing = _seeing(without.graph)
    shown = [node for node in untouched(without.graph, repaired.graph) if node.op not in IDLE and node.name in seeing]
    layers = [layer for layer in without.layers if layer.op not in IDLE and layer.name in seeing]
    return Criteria(
        _elements(without, kept),
        _elements(without, names),
        len(shown),
        len(layers),
        _grid_change(layers, repaired),
        repaired.macs,
    )


def _seeing(graph: Graph) -> set[str]:
    """Names of the nodes that an input reaches: what else there is turns weights."""
    reached = {given.name for given in graph.inputs}
    names: set[str] = set()
    for node in graph.nodes:
        if node.op == "Input" or not reached.isdisjoint(node.reads()):
            reached.update(node.outputs)
            names.add(node.name)
    return names


def _elements(traced: Trace, names: set[str]) -> Any:
    shapes = [traced.tensors[name].shape for name in sorted(names) if name in traced.tensors]
    return sum((product(shape) for shape in shapes if isinstance(shape, tuple)), 0)


def _grid_change(layers: list[Layer], repaired: Trace) -> str:
    """The first layer with weights on a map that sees it through another grid; a matrix sees all of it anyway.

    What a layer sees is not known where places lie in a row (patches of a transformer): there the grid is another
    behind whatever pools or scales a map that nothing did before.
    """
    now = {layer.name: layer for layer in repaired.layers}
    behind = _behind(repaired.graph, now.keys() - {layer.name for layer in layers})
    trained = [x for x in layers if x.weights and x.name in now and len(x.outputs[0].shape or ()) > MATRIX]
    changed = (x for x in trained if (now[x.name].fields != x.fields if x.fields else x.name in behind))
    return next((x.name for x in changed), "")


#: What changes the steps of a map's places.
SCALING = frozenset({"AveragePool", "Resize"})


def _behind(graph: Graph, new: Collection[str]) -> set[str]:
    """Names of nodes that read, directly or not, what a new pooling or scaling gives."""
    reached: set[str] = set()
    names: set[str] = set()
    for node in graph.nodes:
        if (node.name in new and node.op in SCALING) or not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
            names.add(node.name)
    return names
