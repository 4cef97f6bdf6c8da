"""Heads that an edit would leave with the old classes, so that the net went on choosing among those in silence."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from ..errors import RefusedError
from ..graph import Graph, Node
from ..trace import Trace
from .following import CHOOSE, Block, concrete, followed_past
from .stored import stored

#: Layers whose channels may be classes: the input that holds the weight, the axis of its outputs, that of the result.
LAYERS = {"Conv": (1, 0, 1), "Gemm": (1, 1, -1), "MatMul": (1, -1, -1)}


def weighted(graph: Graph, node: Node) -> bool:
    """Whether the channels of a layer may be classes: it has a weight of its own for each."""
    if node.op not in LAYERS or node.domain not in ("", "ai.onnx"):
        return False
    if int(node.attrs.get("group", 1) or 1) != 1:
        return False
    return stored(graph, node.input(LAYERS[node.op][0])) is not None


def need_none_left(trace: Trace, changed: Sequence[Node], classes: int) -> None:
    """Raises RefusedError where a layer that is not changed would go on choosing among the old classes."""
    left = [node for node in trace.graph.nodes if node not in changed and weighted(trace.graph, node)]
    wide = [node for node in left if _channels(trace, node) == classes]
    numbered = concrete(trace) if wide else trace
    for node in wide:
        _need_no_head(numbered, changed, node, classes)


def _channels(trace: Trace, node: Node) -> object:
    tensor, axis = trace.tensors.get(node.outputs[0]), LAYERS[node.op][2]
    shape = tensor.shape if tensor is not None else None
    return next(iter(shape[axis:][:1]), None) if isinstance(shape, tuple) else None  # a scalar has no channels


def _need_no_head(trace: Trace, changed: Sequence[Node], node: Node, classes: int) -> None:
    tensor = trace.tensors.get(node.outputs[0])
    shape = tensor.sizes if tensor is not None else None
    if not shape:
        return
    axis = LAYERS[node.op][2] % len(shape)
    found = followed_past(trace, node.outputs[0], Block(axis, 1, classes, 1, 0, classes))
    chosen = [each for each in found.ends if each.op in CHOOSE]
    if chosen:
        why = f"{chosen[0].name} ({chosen[0].op}) chooses the best of them, and something else reads them too"
    elif found.picks and not any(weighted(trace.graph, each) for each in found.mixes):
        why = f"{found.picks[0].name} ({found.picks[0].op}) takes one of them"
    else:
        return
    named = " ".join(f"--head {quote(each.name)}" for each in (*changed, node))
    raise RefusedError(
        f"{node.name} scores {classes} classes too, and they cannot be followed to their end",
        "E301",
        because=why,
        hint=f"{named} changes the channels of these layers alone",
    )
