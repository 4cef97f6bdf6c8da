"""The head: the last layer with weights before the scores, whose outputs are the classes."""

from __future__ import annotations

from ..dims import is_number
from ..errors import RefusedError
from ..graph import Graph, Node
from ..lower import scores
from ..trace import Trace
from .edits import ReplaceHead

#: Layers with weights whose outputs can be classes, and the input that holds the weight.
CLASSIFIERS = {"Gemm": 1, "Conv": 1}

#: Layers that may stand between the head and the scores: they keep the number of classes, or choose among them.
BEHIND = frozenset(
    [
        "Softmax",
        "LogSoftmax",
        "Sigmoid",
        "Relu",
        "Dropout",
        "Identity",
        "Flatten",
        "Reshape",
        "Squeeze",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "AveragePool",
        "MaxPool",
        "ReduceMean",
        "Cast",
        "ArgMax",
        "Crop",
        "Interp",
    ]
)


#: Behind these a convolution gives features, unless a Softmax says that they are scores.
RECTIFIERS = frozenset({"Relu", "MaxPool"})


def _normalized(graph: Graph, value: str) -> bool:
    """Whether a Softmax or Sigmoid stands before this score, or a loss behind it."""
    producers = graph.producers()
    node = producers.get(value)
    while node is not None and node.op in BEHIND:
        if node.op in ("Softmax", "LogSoftmax", "Sigmoid"):
            return True
        node = producers.get(node.inputs[0])
    return value in graph.meta.get("scores", ())


def heads(graph: Graph) -> list[Node]:
    """The classifiers of a graph, one for each of its scores; empty where the last layers are something else."""
    producers = graph.producers()
    found: list[Node] = []
    for value in scores(graph):
        node = producers.get(value)
        rectified = False
        while node is not None and node.op in BEHIND:
            rectified = rectified or node.op in RECTIFIERS
            node = producers.get(node.inputs[0])
        if node is not None and node.op == "Conv" and rectified and not _normalized(graph, value):
            continue  # a feature map: nothing says that its channels are classes
        if node is not None and node.op in CLASSIFIERS and node not in found:
            found.append(node)
    return found


def classes_of(node: Node, trace: Trace) -> int | None:
    """How many classes a head has, None where its size is not known."""
    outputs = trace.layer(node.name).outputs
    shape = outputs[0].shape
    if shape is None or len(shape) < 2:
        return None
    count = shape[-1 if node.op == "Gemm" or node.attrs.get("layout") == "NHWC" else 1]
    return count if is_number(count) else None


def fresh_name(name: str, classes: int, taken: set[str]) -> str:
    """The head's new name, ``fc8_13``: one no layer has, so that old weights find nothing to be loaded into."""
    candidate = f"{name}_{classes}"
    number = 2
    while candidate in taken:
        candidate, number = f"{name}_{classes}_{number}", number + 1
    return candidate


def _need_one_count(found: list[Node], trace: Trace) -> None:
    """Heads with different numbers of outputs are not all classes: which one is meant nobody can tell."""
    counts = {node.name: classes_of(node, trace) for node in found}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} ({count})" for name, count in counts.items())
        raise RefusedError(
            "it has several heads of different sizes, and which holds the classes cannot be told",
            "E301",
            because=listed,
            hint="cut the definition to the head that is meant",
        )


def _need_own_weight(graph: Graph, node: Node) -> None:
    weight = node.inputs[CLASSIFIERS[node.op]]
    sharing = [user.name for user in graph.nodes if weight in user.inputs and user is not node]
    if sharing:
        raise RefusedError(
            f"{node.name}: its weight is shared, so it cannot be replaced alone",
            "E301",
            because=f"{', '.join(sharing)} reads {weight} too",
        )
    if weight not in graph.params:
        maker = graph.producers().get(weight)
        raise RefusedError(
            f"{node.name}: its weight is not stored, so it cannot be replaced",
            "E301",
            because=f"{weight} is computed by {maker.name}" if maker else f"{weight} is fed from outside",
        )


def replace_heads(graph: Graph, trace: Trace, classes: int) -> list[ReplaceHead]:
    """The edits that give every head ``classes`` outputs.

    Raises RefusedError where there is no head, or a head whose number of classes is not known.
    """
    found = heads(graph)
    if not found:
        last = graph.nodes[-1] if graph.nodes else None
        raise RefusedError(
            f"{graph.name} ends in no classifier",
            "E301",
            because=f"its last layer is {last.name} ({last.origin.op or last.op})" if last else "it has no layers",
            hint="a head is a fully connected layer or a convolution before the scores"
            + (f"; shapecalc cut --at {last.name} writes its features" if last else ""),
        )
    _need_one_count(found, trace)
    taken = {node.name for node in graph.nodes} | set(graph.params)
    edits = []
    for node in found:
        _need_own_weight(graph, node)
        before = classes_of(node, trace)
        if before is None:
            raise RefusedError(f"{node.name}: its number of classes is not known", "E301")
        if before != classes:
            edits.append(ReplaceHead(node.name, fresh_name(node.name, classes, taken), before, classes))
    return edits
