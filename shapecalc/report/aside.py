"""Layers of an export that its input does not go through: they work out sizes, or make weights ready."""

from __future__ import annotations

from collections.abc import Iterable

from ..graph import PLUMBING, Graph, Node
from ..ops.base import counted
from ..trace import Layer, Trace

#: What such layers begin with, besides weights.
SIZES = PLUMBING | {"Size"}


def shown(trace: Trace) -> list[Layer]:
    """Layers that belong into a table: those the input goes through, and any with a problem or an output of the net.

    A definition of another format than ONNX consists of layers that somebody wrote: all of them belong there.
    """
    aside = still(trace.graph) if trace.graph.format == "onnx" else frozenset[str]()
    outputs = set(trace.graph.outputs)

    def belongs(layer: Layer) -> bool:
        writes = layer.node.outputs
        return bool(layer.problems) or not outputs.isdisjoint(writes) or not any(name in aside for name in writes)

    return [layer for layer in trace.layers if layer.op not in PLUMBING and belongs(layer)]


def still(graph: Graph) -> frozenset[str]:
    """Values that no number of the input changes: weights, sizes, and what is made of those alone."""
    found = set(graph.params)
    for node in graph.nodes:
        if node.op in SIZES or _only(found, node):
            found.update(node.outputs)
    return frozenset(found)


def _only(known: set[str], node: Node) -> bool:
    """Whether a node reads known values alone; one that reads nothing makes its own numbers."""
    reads = node.reads()
    return bool(reads) and reads <= known


def left_out(trace: Trace, layers: Iterable[Layer]) -> str:
    """What a table of ``layers`` leaves out, as a sentence; empty where that is nothing worth a word."""
    kept = set(layers)
    aside = [layer for layer in trace.layers if layer not in kept and layer.op not in PLUMBING]
    if not aside:
        return ""
    params = sum(layer.params for layer in aside if isinstance(layer.params, int))
    weights = f" with {params:,} parameters" if params else ""
    verb, them = ("is", "it") if len(aside) == 1 else ("are", "them")
    told = f"{counted(len(aside), 'layer')}{weights} {verb} left out"
    return f"{told}: sizes and weights alone go through {them}; --all lists {them}"
