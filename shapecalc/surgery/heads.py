"""The head: the last layer with weights before the scores, whose outputs are the classes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from shlex import quote
from typing import NamedTuple

from ..dims import is_number, show
from ..errors import RefusedError, UsageError
from ..graph import Graph, Node, places
from ..lower import scores
from ..trace import Trace
from .edits import Edit
from .families import SIDES, Family, family
from .names import no_such_layer, unused
from .new_head import PER_CLASS, QUANTIZED, ReplaceHead
from .quantized import FORMS, in_floats, is_scale, plain, settled
from .stored import stored

#: Layers with weights whose outputs can be classes, and the input that holds the weight.
CLASSIFIERS = {
    **dict.fromkeys(("Gemm", "Conv", "MatMul", "FusedGemm", "FusedConv"), 1),
    **{op: form.weight for op, form in FORMS.items()},
}

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
        "Transpose",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "AveragePool",
        "MaxPool",
        "ReduceMean",
        "Cast",
        "ArgMax",
        "Crop",
        "Interp",
        "Resize",
        "Upsample",
        "QLinearSoftmax",
        "QLinearSigmoid",
        "QLinearLeakyRelu",
        "QLinearGlobalAveragePool",
        "QLinearAveragePool",
    ]
)


#: Layers that choose a row, whose scores alone are asked for.
CHOICES = frozenset({"Gather"})
#: Behind these a convolution gives features, unless a Softmax says that they are scores.
RECTIFIERS = frozenset({"Relu", "MaxPool"})


def _normalized(graph: Graph, value: str) -> bool:
    """Whether a Softmax or Sigmoid stands before this score, or a loss behind it."""
    producers = graph.producers()
    node = producers.get(value)
    while node is not None and node.op in BEHIND:
        if plain(node.op) in ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax"):
            return True
        node = producers.get(node.input(0))
    return value in graph.meta.get("scores", ())


class Head(NamedTuple):
    """A classifier, the score it gives, and whether a Softmax, a Sigmoid or a loss says that it is one."""

    node: Node
    score: str
    normalized: bool


def heads(graph: Graph) -> list[Head]:
    """The classifiers of a graph, at least one for each of its scores; empty where the last layers are others."""
    producers = graph.producers()
    found: dict[str, Head] = {}
    for value in scores(graph):
        normalized = _normalized(graph, value)
        for node in _behind(graph, producers, value, normalized):
            found.setdefault(node.name, Head(node, value, normalized))
    return list(found.values())


def told(graph: Graph, trace: Trace) -> list[Head]:
    """The heads that are classifiers without doubt: a convolution that leaves a map of several places may be none."""
    sure = [head for head in heads(graph) if not _picks_a_class(graph, trace, head)]
    return [head for head in sure if plain(head.node.op) != "Conv" or head.normalized or not _is_map(head, trace)]


def _picks_a_class(graph: Graph, trace: Trace, head: Head) -> bool:
    """Whether what comes out is one of the classes, and no row of all of them."""
    producers = graph.producers()
    node = producers.get(head.score)
    while node is not None and (node.op in BEHIND or node.op in QUANTIZED):
        node = producers.get(node.input(0))
    if node is None or node.op not in CHOICES:
        return False
    rank = _rank(trace, node.inputs[0])
    return not rank or int(node.attrs.get("axis", 0)) % rank == rank - 1


def _is_map(head: Head, trace: Trace) -> bool:
    tensor = trace.tensors.get(head.score)
    shape, layout = tensor.shape if tensor is not None else None, trace.layer(head.node.name).call.layout
    return isinstance(shape, tuple) and len(shape) == 4 and any(size != 1 for size in places(shape, layout))


def _behind(graph: Graph, producers: dict[str, Node], value: str, scored: bool) -> list[Node]:
    """The classifiers that a score is made of: one, or those whose scores are joined; none where a part is none."""
    node, chosen = producers.get(value), False
    while node is not None and (node.op in BEHIND or node.op in QUANTIZED or node.op in CHOICES):
        chosen = node.op in CHOICES or (chosen and node.op != "Reshape")
        if node.op in RECTIFIERS and not scored and not _is_matrix(graph, producers, node):
            return []  # a feature map: nothing says that its channels are classes
        node = producers.get(node.input(0))
    if node is None:
        return []
    if node.op in CLASSIFIERS:
        if chosen and plain(node.op) != "MatMul":
            return []  # what was chosen may be a class
        weight = stored(graph, node.input(CLASSIFIERS[node.op]))
        return [node] if weight is not None or node.op != "MatMul" else []
    if plain(node.op) not in PER_CLASS:
        return []
    values = [name for place, name in enumerate(node.inputs) if name and place in _added(node)]
    joined = [name for name in values if not settled(graph, name) and not is_scale(graph, name)]
    parts = [_behind(graph, producers, name, scored) for name in joined]
    return [head for part in parts for head in part] if all(parts) else []


def _added(node: Node) -> tuple[int, ...]:
    """The inputs that an operator puts together place by place: on codes their scales stand between."""
    return (0, 3) if node.op.startswith("QLinear") else (0, 1)


def _is_matrix(graph: Graph, producers: dict[str, Node], node: Node | None) -> bool:
    """Whether what a rectifier works on comes from a matrix product, whose outputs are no map."""
    while node is not None and (node.op in BEHIND or node.op in QUANTIZED or plain(node.op) in PER_CLASS):
        node = producers.get(node.input(0))
    return node is not None and plain(node.op) != "Conv"


def named_heads(graph: Graph, names: Sequence[str]) -> list[Node]:
    """The layers a person names as heads. Raises UsageError for one that is not there or cannot be one."""
    found = []
    for name in names:
        node = next((n for n in graph.nodes if n.name == name or name in n.outputs), None)
        if node is None:
            raise no_such_layer(graph, name, "--head", [node.name for node in graph.nodes if _gives(graph, node)])
        if node.op not in CLASSIFIERS:
            kinds = "a fully connected layer or a convolution"
            raise UsageError(
                f"{name} is {node.origin.op or node.op}, which has no classes", "E002", hint=f"name {kinds}"
            )
        found.append(node)
    return found


def classes_of(node: Node, trace: Trace) -> int | None:
    """How many classes a head has, None where its size is not known."""
    outputs = trace.layer(node.name).outputs
    shape = outputs[0].shape
    if shape is None or len(shape) < 2:
        return None
    count = shape[-1 if plain(node.op) in ("Gemm", "MatMul") or node.attrs.get("layout") == "NHWC" else 1]
    return count if is_number(count) else None


def fresh_name(name: str, classes: int, taken: set[str]) -> str:
    """The head's new name, ``fc8_13``: one no layer has, so that old weights find nothing to be loaded into."""
    return unused(f"{name}_{classes}", taken)


def _multiples(found: Sequence[Head], trace: Trace) -> dict[str, int]:
    """How many numbers each head gives for a class: 1, or 4 where a box is drawn for each class.

    Raises RefusedError where heads are of different sizes and none, or several, hold classes for sure.
    """
    counts = {head.node.name: classes_of(head.node, trace) for head in found}
    if len(set(counts.values())) <= 1:
        return dict.fromkeys(counts, 1)
    sure = {counts[head.node.name] for head in found if head.normalized}
    classes = next(iter(sure)) if len(sure) == 1 else None
    if classes and all(count and count % classes == 0 for count in counts.values()):
        return {name: (count or 0) // classes for name, count in counts.items()}
    likely = sorted(
        found, key=lambda head: (counts[head.node.name] == SIDES, not head.normalized)
    )  # sides are squashed too
    first = likely[0].node.name
    raise RefusedError(
        "it has several heads of different sizes, and which holds the classes cannot be told",
        "E301",
        because=", ".join(f"{name} ({count})" for name, count in counts.items()),
        hint=f"name it: --head {quote(first)}",
    )


def _need_no_sides(graph: Graph, trace: Trace, found: Sequence[Head]) -> None:
    """Raises RefusedError where all that was found gives four numbers for each box, and the scores come from no layer.

    So it is in OWL-ViT, whose scores compare each box with words that are fed.
    """
    told_of = {head.score for head in found}
    others = [name for name in scores(graph) if name not in told_of]
    sides = [head for head in found if classes_of(head.node, trace) == SIDES and _rank(trace, head.score) > 2]
    if not others or len(sides) < len(found) or not all(_rank(trace, name) > 2 for name in others):
        return
    first, maker = sides[0].node.name, graph.producers().get(others[0])
    named = " ".join(f"--head {quote(head.node.name)}" for head in sides)
    raise RefusedError(
        f"{first} gives {SIDES} numbers for each of many boxes, which are sides rather than classes",
        "E301",
        because=f"the other output, {others[0]}, comes from no layer with a weight for each class"
        + (f": {maker.name} ({maker.op}) gives it" if maker is not None else ""),
        hint=f"if they are classes: {named}",
    )


def _rank(trace: Trace, value: str) -> int:
    shape = trace.tensors[value].shape if value in trace.tensors else None
    return len(shape) if isinstance(shape, tuple) else 0


def _need_own_weight(graph: Graph, node: Node) -> None:
    weight = node.inputs[CLASSIFIERS.get(node.op, 1)]
    sharing = [user.name for user in graph.nodes if weight in user.inputs and user is not node]
    if sharing:
        raise RefusedError(
            f"{node.name}: its weight is shared, so it cannot be replaced alone",
            "E301",
            because=f"{', '.join(sharing)} reads {weight} too",
            hint="give each of them a weight of its own, or name another layer: --head LAYER",
        )
    if stored(graph, weight) is None:
        maker = graph.producers().get(weight)
        raise RefusedError(
            f"{node.name}: its weight is not stored, so it cannot be replaced",
            "E301",
            because=f"{weight} is computed by {maker.name}" if maker else f"{weight} is fed from outside",
            hint="fold the constants of the file first, or name another layer: --head LAYER",
        )


def replace_heads(
    graph: Graph, trace: Trace, classes: int, names: Sequence[str] = (), start: str = "", typed: str = "MODEL"
) -> Sequence[Edit]:
    """The edits that give every head ``classes`` outputs, or those that ``names`` names.

    ``start`` is how the new weights start (`new_head.STARTS`), ``typed`` what opens the model again. Raises
    RefusedError where there is no head, or a head whose number of classes is not known.
    """
    if not names and graph.format == "onnx":
        from .detectors import detector, with_classes

        seen = detector(graph, trace)
        if seen is not None:
            return with_classes(graph, trace, seen, classes, start)
    members = None if names else family(graph, trace)
    if members is not None:
        return _together(graph, members, classes, start)
    sure = told(graph, trace)
    chosen = named_heads(graph, names) if names else [head.node for head in sure]
    if not chosen:
        raise _no_head(graph, trace, typed)
    if not names:
        _need_no_sides(graph, trace, sure)
    multiples = {} if names else _multiples(sure, trace)
    taken = {node.name for node in graph.nodes} | set(graph.params)
    edits: list[Edit] = []
    for node in chosen:
        _need_own_weight(graph, node)
        before, after = classes_of(node, trace), classes * multiples.get(node.name, 1)
        if before is None:
            raise RefusedError(
                f"{node.name}: its number of classes is not known",
                "E301",
                because=f"what it gives is {show(trace.layer(node.name).outputs[0].shape)}",
                hint="give the input that the net is made for: --input SHAPE",
            )
        if before != after:
            apart = in_floats(graph, node)
            edits += [apart] if apart is not None else []
            edits.append(ReplaceHead(node.name, fresh_name(node.name, after, taken), before, after, start))
    if graph.format == "onnx" and not names:
        from .left import need_none_left

        for count in {edit.before for edit in edits if isinstance(edit, ReplaceHead)}:
            need_none_left(trace, chosen, count)
    return edits


def _together(graph: Graph, members: Family, classes: int, start: str) -> list[ReplaceHead]:
    """The edits of layers that hold the classes together."""
    if classes == members.classes:
        return []
    taken = {node.name for node in graph.nodes} | set(graph.params)
    edits = []
    for node, times in members.parts:
        _need_own_weight(graph, node)
        name = fresh_name(node.name, classes, taken)
        edits.append(ReplaceHead(node.name, name, members.classes, classes, start, times, members.counted))
    return edits


def _no_head(graph: Graph, trace: Trace, typed: str) -> RefusedError:
    """The error for a net without a layer that gives classes for sure."""
    maps = [head for head in heads(graph) if plain(head.node.op) == "Conv"]
    last = graph.nodes[-1] if graph.nodes else None
    name = graph.name or "the net"
    features = f"; shapecalc cut {typed} --at {quote(last.name)} -o features.onnx writes its features" if last else ""
    if maps:
        layer = maps[0].node
        return RefusedError(
            f"{name} ends in a map, whose channels need not be classes",
            "E301",
            because=f"{layer.name} gives {classes_of(layer, trace)} channels at every place, without a Softmax behind",
            hint=f"if they are: {' '.join(f'--head {quote(each.node.name)}' for each in maps)}" + features,
        )
    if pooled := _pooled(graph, trace):
        layer = pooled[0].node
        return RefusedError(
            f"{name} ends in a rectified convolution, whose channels need not be classes",
            "E301",
            because=f"{layer.name} gives {classes_of(layer, trace)} channels, without a Softmax behind",
            hint=f"if they are: {' '.join(f'--head {quote(each.node.name)}' for each in pooled)}" + features,
        )
    if any(node.domain == BLOCKED for node in graph.nodes):
        return RefusedError(
            f"{name} holds its channels in blocks, so its head cannot be told",
            "E301",
            because="onnxruntime saved it for one machine, with all its optimizations",
            hint="change the file that it was optimized from" + features,
        )
    return RefusedError(
        f"{name} ends in no classifier",
        "E301",
        because=f"its last layer is {last.name} ({last.origin.op or last.op})" if last else "it has no layers",
        hint=_as_detector(graph, typed) + _candidates(graph) + features,
    )


def _pooled(graph: Graph, trace: Trace) -> list[Head]:
    """Convolutions whose rectified channels, one number each, come out: scores as in SqueezeNet, or features."""
    producers = graph.producers()
    found = [Head(node, value, False) for value in scores(graph) for node in _behind(graph, producers, value, True)]
    return [head for head in found if plain(head.node.op) == "Conv" and _is_row(head, trace)]


def _is_row(head: Head, trace: Trace) -> bool:
    """Whether a score has one number for each of the head's channels."""
    tensor = trace.tensors.get(head.score)
    sizes = tensor.shape[1:] if tensor is not None and isinstance(tensor.shape, tuple) else (None,)
    return all(map(is_number, sizes)) and prod(sizes) == classes_of(head.node, trace)


def _as_detector(graph: Graph, typed: str) -> str:
    """The way of what may be a detector and is no ONNX file yet: in one, classes are followed to where they end up."""
    last = graph.nodes[-1].op if graph.nodes else ""
    if graph.format not in ("chainer", "keras") or last != "Concat":
        return ""
    return f"a detector is changed as ONNX: shapecalc convert {typed} -o net.onnx, then --classes of that; "


#: Operators of onnxruntime on channels that lie in blocks.
BLOCKED = "com.microsoft.nchwc"
#: Layers offered where the head cannot be told.
OFFERED = 3


def _candidates(graph: Graph) -> str:
    """The last layers that could be heads, for a person to name."""
    last = [node.name for node in graph.nodes if plain(node.op) != "Conv" and _gives(graph, node)]
    if not last:
        return "a head is a fully connected layer or a convolution before the scores"
    named = " or ".join(f"--head {quote(name)}" for name in reversed(last[-OFFERED:]))
    return f"name the layer that gives the classes: {named}"


def _gives(graph: Graph, node: Node) -> bool:
    """Whether a layer could give classes: it has a weight of its own."""
    return node.op in CLASSIFIERS and stored(graph, node.input(CLASSIFIERS[node.op])) is not None
