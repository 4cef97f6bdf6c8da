"""Nets whose classes several layers hold together: detectors and nets that give a score at every pixel.

A detector's layers have a number of outputs for each class and box; what is changed is the number of classes, with the
background where the file counts it. Each family is a rule that finds its layers, or says why it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..dims import is_number, product
from ..errors import RefusedError
from ..graph import Graph, Node
from ..lower import scores
from ..trace import Trace


class Part(NamedTuple):
    """A layer of a family, and how many outputs it has for each class."""

    layer: Node
    times: int


class Family(NamedTuple):
    """What holds the classes: their number now, the layers, and a word on how they are counted."""

    classes: int
    parts: tuple[Part, ...]
    counted: str = ""


#: What a detector's number of classes includes.
BACKGROUND = "the background is one of them"
#: Layers with weights, and those that rearrange scores without mixing classes.
_WITH_WEIGHTS = frozenset({"Conv", "Gemm", "ConvTranspose"})
_REARRANGE = frozenset(
    "Permute Transpose Flatten Reshape Concat Softmax LogSoftmax Sigmoid Identity Dropout Copies".split()
)
#: Between a score at every pixel and its layers: sums of scores from several depths, cuts to one size.
_PER_PIXEL = frozenset(
    "Sum Add Crop Softmax LogSoftmax Sigmoid Identity Dropout Copies Scale Power Interp ArgMax".split()
)


def family(graph: Graph, trace: Trace) -> Family | None:
    """The family a net belongs to; None for one with a plain head. Raises RefusedError (E301) with the reason."""
    if graph.format != "caffe":
        return None
    found = (rule(graph, trace) for rule in RULES)
    return next((each for each in found if each is not None), None)


def _channels(node: Node, trace: Trace) -> int | None:
    shape = trace.layer(node.name).outputs[0].shape
    count = shape[1] if shape is not None and len(shape) > 1 else None
    return count if is_number(count) else None


def _refuse(graph: Graph, message: str, because: str) -> RefusedError:
    return RefusedError(
        f"{graph.name or 'the net'}: {message}",
        "E301",
        because=because,
        hint="--head LAYER names the layer that gives the classes, and each one that follows them",
    )


# -- SSD --------------------------------------------------------------------------------------------------------------


def _boxes(graph: Graph, trace: Trace) -> Family | None:
    """SSD: what is behind the confidences of DetectionOutput or MultiBoxLoss, boxes · classes each."""
    ends = [node for node in graph.nodes if node.attrs.get("num_classes") and len(node.inputs) > 2]
    counts = {int(node.attrs["num_classes"]) for node in ends}
    if not counts:
        return None
    if len(counts) > 1:
        listed = ", ".join(f"{node.name} ({node.attrs['num_classes']})" for node in ends)
        raise _refuse(graph, "its detections count different classes", listed)
    (classes,) = counts
    producers = graph.producers()
    layers = {node.name: node for end in ends for node in _sources(graph, producers, end.inputs[1], _REARRANGE)}
    parts = [Part(n, (_channels(n, trace) or 0) // classes) for n in graph.nodes if n.name in layers]
    odd = [part.layer.name for part in parts if part.times * classes != _channels(part.layer, trace) or not part.times]
    if odd or not parts:
        raise _refuse(
            graph, f"its confidences are not boxes of {classes} classes", f"{', '.join(odd) or 'no layer'} gives them"
        )
    return Family(classes, tuple(parts), BACKGROUND)


def _sources(graph: Graph, producers: dict[str, Node], value: str, between: frozenset[str]) -> Iterator[Node]:
    """The layers with weights that a value is rearranged from. Raises RefusedError where another layer is between."""
    waiting, seen = [value], set[str]()
    while waiting:
        node = producers.get(waiting.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.op in _WITH_WEIGHTS:
            yield node
        elif node.op in between:
            waiting += reversed([name for name in node.inputs if name in producers])
        else:
            raise _refuse(graph, "which layers hold its classes cannot be told", f"{node.name} mixes them")


# -- Faster R-CNN -----------------------------------------------------------------------------------------------------

#: What tells scores from boxes.
_JUDGES = frozenset({"Softmax", "LogSoftmax", "SoftmaxCrossEntropyLoss"})
#: Numbers that say where a box is.
SIDES = 4


def _regions(graph: Graph, trace: Trace) -> Family | None:
    """Faster R-CNN: scores, and four numbers for each class beside them, of the same features."""
    matrices = [node for node in graph.nodes if node.op == "Gemm"]
    judged = {node.inputs[0] for node in graph.nodes if node.op in _JUDGES}
    pairs = [
        (scored, boxed)
        for scored in matrices
        for boxed in matrices
        if scored.outputs[0] in judged and boxed.outputs[0] not in judged
        if _features(graph, scored) == _features(graph, boxed)
        if _channels(boxed, trace) == SIDES * (_channels(scored, trace) or 0)
    ]
    if not pairs:
        return None
    if len(pairs) > 1:
        raise _refuse(graph, "it scores regions twice", ", ".join(f"{a.name} and {b.name}" for a, b in pairs))
    ((scored, boxed),) = pairs
    return Family(_channels(scored, trace) or 0, (Part(scored, 1), Part(boxed, SIDES)), BACKGROUND)


def _features(graph: Graph, node: Node) -> str:
    """What a layer reads, seen through copies and dropouts."""
    producers = graph.producers()
    name = node.inputs[0]
    while name in producers and producers[name].op in ("Dropout", "Identity", "Copies"):
        name = producers[name].inputs[0]
    return name


# -- FCN --------------------------------------------------------------------------------------------------------------


def _pixels(graph: Graph, trace: Trace) -> Family | None:
    """FCN: scores of several depths, enlarged by deconvolutions that have as many inputs as outputs, and added."""
    producers = graph.producers()
    found: dict[str, Node] = {}
    counts: set[int | None] = set()
    for value in scores(graph):
        layers = _enlarged(producers, trace, value)
        if not any(node.op == "ConvTranspose" for node in layers):
            return None
        found.update((node.name, node) for node in layers)
        counts.update(_channels(node, trace) for node in layers)
    classes = counts.pop() if len(counts) == 1 else None
    return None if classes is None else Family(classes, tuple(Part(n, 1) for n in graph.nodes if n.name in found))


def _enlarged(producers: dict[str, Node], trace: Trace, value: str) -> list[Node]:
    """The layers that hold the classes of a score; empty where some other layer stands between."""
    waiting, found = [value], dict[str, Node]()
    while waiting:
        node = producers.get(waiting.pop())
        if node is None:
            return []
        if node.op in _WITH_WEIGHTS:
            found[node.name] = node
            if node.op == "ConvTranspose" and _keeps(node, trace):
                waiting.append(node.inputs[0])
        elif node.op in _PER_PIXEL:
            waiting += [
                name for name in node.inputs[: 1 if node.op in ("Crop", "Interp") else None] if name in producers
            ]
        else:
            return []
    return list(found.values())


def _keeps(node: Node, trace: Trace) -> bool:
    """Whether a deconvolution has as many inputs as outputs: it enlarges scores."""
    given = trace.layer(node.name).inputs[0].shape
    return given is not None and len(given) > 1 and given[1] == _channels(node, trace)


# -- R-FCN ------------------------------------------------------------------------------------------------------------


def _positions(graph: Graph, trace: Trace) -> Family | None:
    """R-FCN: for each cell of a grid a map of each class, pooled to scores; boxes likewise, of each class or of all."""
    maps = [node for node in graph.nodes if node.op == "RegionMaps" and node.attrs.get("channels")]
    if not maps:
        return None
    scored = {node.name for node in maps if _judged(graph, node)}
    counts = {int(node.attrs["channels"]) for node in maps if node.name in scored}
    if len(counts) != 1:
        named = ", ".join(node.name for node in maps)
        raise _refuse(graph, "which of its maps of positions hold the classes cannot be told", f"R-FCN: {named}")
    (classes,) = counts
    wanted = [node for node in maps if node.name in scored or node.attrs["channels"] == SIDES * classes]
    parts = [_positional(graph, trace, node, classes) for node in wanted]
    return Family(classes, tuple(parts), BACKGROUND)


def _judged(graph: Graph, node: Node) -> bool:
    """Whether what is pooled of a layer's maps ends in a softmax or its loss."""
    reached = set(node.outputs)
    for reader in graph.nodes:
        if reached.intersection(reader.inputs[:1]):
            if reader.op in _JUDGES:
                return True
            if reader.op in _REARRANGE or reader.op.endswith("AveragePool"):
                reached.update(reader.outputs)
    return False


def _positional(graph: Graph, trace: Trace, node: Node, classes: int) -> Part:
    """The convolution whose channels are the cells of the grid, for each output of a pooling of positions."""
    layer = graph.producers().get(node.inputs[0])
    cells = int(product(node.attrs["pooled"]))
    each = int(node.attrs["channels"]) // classes * cells
    if layer is None or layer.op != "Conv" or _channels(layer, trace) != each * classes:
        raise _refuse(
            graph, f"{node.name} does not pool {cells} cells of a convolution", "R-FCN has one for each class"
        )
    return Part(layer, each)


#: Tried in this order.
RULES: Sequence[Callable[[Graph, Trace], Family | None]] = (_boxes, _positions, _regions, _pixels)
