"""A parsed prototxt as a graph: upgraded, filtered, wired, one node for each layer."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from ...errors import ModelError
from ...graph import Graph, Input, Node, Param
from .. import Options
from .arity import check
from .holes import fill
from .inputs import INPUTS, is_input, shapes_of
from .layer import Layer
from .layers import LAYERS, is_loss, judges, row_of, scores_of
from .made import Made, Weight
from .schema import unknown_fields
from .states import PHASES, state_of
from .text import Document, Message
from .upgrade import upgrade
from .view import View
from .wiring import unique, wire


def build(document: Document, options: Options) -> Graph:
    """The graph of one phase of a net; raises ModelError with ``file:line`` for what Caffe would refuse."""
    root = fill(upgrade(document), document.name, options.arguments)
    net = View(root, document.name)
    layers = _layers(net, options)
    if not layers:
        raise ModelError(
            f"there is no layer for phase {options.phase}",
            "E202",
            location=document.name,
            hint=_no_net(net),
        )
    wire(layers, _elsewhere(net, options.phase))
    inputs = _inputs(layers)
    rank = max([len(i.declared) for i in inputs if i.declared is not None], default=4)
    builder = _Builder(layers, max(rank - 2, 1) if rank > 2 else 2)
    nodes = [builder.node(layer) for layer in layers]
    return Graph(
        net.text("name"),
        inputs,
        nodes,
        _unread(nodes),
        builder.params,
        dialect="caffe",
        format="caffe",
        meta={
            "text": document.text,
            "tree": document,
            "phase": options.phase,
            "scores": _scores(layers),
            "held": frozenset(name for node in nodes for name in node.outputs if "@" not in name),
        },
        warnings=[*unknown_fields(document, root), *builder.warnings],
    )


#: A field of another kind of prototxt -> what that is.
OTHERS = {
    "net": "a solver: its net is in {}",
    "train_net": "a solver: its net is in {}",
    "base_lr": "a solver",
    "item": "a label map",
}


def _no_net(net: View) -> str:
    field = next((field for name in OTHERS for field in net.all(name)), None)
    if field is None:
        return "a net is written as layer { name: … type: … bottom: … top: … }"
    return f"this is {OTHERS[field.name].format(field.value)}"


def _layers(net: View, options: Options) -> list[Layer]:
    state = state_of(net, options)
    layers: list[Layer] = []
    for field in net.all("layer"):
        if not isinstance(field.value, Message):
            raise net.wrong(field, "a message { … }")
        view = View(field.value, net.file)
        if state.keeps(view):
            layers.append(_typed(Layer(field, view, len(layers), state.phase)))
    return layers


def _elsewhere(net: View, phase: str) -> dict[str, str]:
    """Blob -> the other phase, for what layers with a rule for that one write."""
    found: dict[str, str] = {}
    for view in net.views("layer"):
        for rule in view.views("include"):
            other = rule.choice("phase", PHASES, phase)
            if other != phase:
                found.update(dict.fromkeys(view.texts("top"), other))
    return found


#: How alike two words are, from 0 to 1, where one is taken for a misspelling of the other.
MISSPELLED = 0.85


def _typed(layer: Layer) -> Layer:
    """The layer, if it says its type, and no misspelled one; Caffe: "Unknown layer type" (layer_factory.hpp)."""
    if not layer.type:
        hint = "types are written as in Caffe: Convolution, ReLU, …"
        raise ModelError(f"{layer.name} has no type", "E204", location=layer.location, hint=hint)
    if row_of(layer.type) or layer.type in INPUTS or not _near(layer.type, MISSPELLED):
        return layer
    place = layer.view.one("type") or layer.field
    raise ModelError(
        _not_read_words(layer), "E204", location=f"{layer.view.file}:{place.line}", hint=_meant(layer.type)
    )


def _not_read_words(layer: Layer) -> str:
    return f"{layer.name} is of type {layer.type!r}, which is not read"


def _not_read(layer: Layer) -> Made:
    """A type of a fork is a problem of this layer alone: the rest of the net is seen."""
    return Made("Unread", {"reason": _not_read_words(layer), "hint": _meant(layer.type)}, domain="caffe")


def _near(kind: str, cutoff: float) -> list[str]:
    return get_close_matches(kind, [*LAYERS, *INPUTS], n=3, cutoff=cutoff)


def _meant(kind: str) -> str:
    near = _near(kind, 0.6)
    return f"did you mean {' or '.join(near)}?" if near else "a layer of a fork: cut the net before it, or take it out"


# -- inputs and outputs -----------------------------------------------------------------------------------------------


def _inputs(layers: list[Layer]) -> list[Input]:
    labels, untold = _only_read(layers, _judged), _only_read(layers, _untold)
    pictures = any(layer.type in PICTURES for layer in layers)
    found: list[Input] = []
    for layer in layers:
        if not is_input(layer):
            continue
        for i, (name, shape) in enumerate(zip(layer.outputs, shapes_of(layer), strict=True)):
            image = shape is None or len(shape) > 2
            unread = i > 0 and name not in labels.union(_read(layers))
            role = "label" if name in labels or unread or (shape is None and name in untold) else "image"
            if role == "image" and (not image or (layer.type == "HDF5Data" and not pictures)):
                role = "other"
            found.append(Input(name, shape, role=role, origin=layer.origin))
    return found


def _read(layers: list[Layer]) -> set[str]:
    return {value for layer in layers for value in layer.inputs}


#: Layers that read images: a net that has one is fed images.
PICTURES = frozenset({"Convolution", "Convolution3D", "Deconvolution", "LRN", "Pooling", "Pooling3D"})
#: Layers -> the first of their bottoms that they give nothing of the size of: what they make is known when they run.
UNTOLD = {
    **dict.fromkeys(["BoxAnnotatorOHEM", "Proposal", "Python", "Silence"], 0),
    **dict.fromkeys(["DetectNetTransformation", "DetectionEvaluate", "PSROIPooling", "ROIAlign", "ROIPooling"], 1),
}


def _judged(layer: Layer) -> int | None:
    """Losses and accuracies compare their first bottom with the others; Silence does nothing with any."""
    return 1 if judges(layer.type) else 0 if layer.type == "Silence" else None


def _untold(layer: Layer) -> int | None:
    unread = None if row_of(layer.type) else 0
    return UNTOLD.get(layer.type, unread) if _judged(layer) is None else _judged(layer)


def _only_read(layers: list[Layer], first: Callable[[Layer], int | None]) -> set[str]:
    """Values that are read as bottoms from ``first`` on and nowhere else."""
    starts = [(layer.inputs, first(layer)) for layer in layers]
    behind = {value for values, start in starts if start is not None for value in values[start:]}
    before = {value for values, start in starts for value in values[:start]}
    return behind - before


def _unread(nodes: list[Node]) -> list[str]:
    """Tops nobody reads: what the net gives."""
    read = {name for node in nodes for name in node.inputs}
    return [name for node in nodes for name in node.outputs if name not in read and node.op != "Input"]


def _scores(layers: list[Layer]) -> tuple[str, ...]:
    """Values that go into losses: what is left of a training net when they are taken away; else what is judged."""
    judging = [layer for layer in layers if judges(layer.type) and layer.inputs]
    losses = [layer for layer in judging if is_loss(layer.type)]
    return tuple(dict.fromkeys(name for layer in losses or judging for name in layer.inputs[: scores_of(layer.type)]))


# -- nodes ------------------------------------------------------------------------------------------------------------


class _Builder:
    """Makes the nodes and collects the parameters they share."""

    def __init__(self, layers: list[Layer], spatial: int) -> None:
        self.params: dict[str, Param] = {}
        self.warnings: list[str] = []
        self.names: set[str] = set()
        self.values = {value for layer in layers for value in layer.outputs}
        self.spatial = spatial

    def node(self, layer: Layer) -> Node:
        """The node of a layer."""
        name = unique(layer.name, self.names)
        self.names.add(name)
        if name != layer.name:
            self.warn(layer, f"a second layer is called {layer.name!r}; here it is {name!r}")
        if is_input(layer):
            if layer.type not in INPUTS and layer.type != "Python":
                self.warn(layer, f"{layer.type} is not BVLC Caffe's; read as a data layer ({_meant(layer.type)})")
            return Node(name, "Input", (), layer.outputs, origin=layer.origin)
        row = row_of(layer.type)
        if row is not None:
            check(layer)
        layer.spatial = self.spatial
        made = (row or _not_read)(layer)
        if made.domain == "caffe" and made.op == "Loss":
            self.warn(layer, f"{layer.type} is not BVLC Caffe's; read as a layer that judges scores")
        inputs = (*layer.inputs, *self.weights(layer, name, made))
        return Node(name, made.op, inputs, layer.outputs, made.attrs, origin=layer.origin, domain=made.domain)

    def warn(self, layer: Layer, words: str) -> None:
        """A warning with the place of a layer."""
        self.warnings.append(f"{layer.location}: {words}")

    def weights(self, layer: Layer, name: str, made: Made) -> list[str]:
        """Names of the parameters, those shared by ``param { name }`` under their common name."""
        specs = layer.view.views("param")
        count = sum(weight is not None for weight in made.weights)
        if len(specs) > count and made.op != "BatchNormalization" and made.domain == "":
            self.warn(layer, f"{name} has {count} parameters, {len(specs)} param are given")
        names: list[str] = []
        for weight in made.weights:
            spec = specs.pop(0) if weight is not None and specs else None
            names.append("" if weight is None else self.name(layer, weight, f"{name}/{weight.name}", spec))
        return names

    def name(self, layer: Layer, weight: Weight, own: str, spec: View | None) -> str:
        """The name of a parameter: the one it shares, or its own."""
        shared = spec.text("name") if spec is not None else ""
        if not shared:
            key = unique(own, self.values.union(self.params))
        else:
            key = shared if shared not in self.values else f"{shared}@param"
        self.params.setdefault(key, _param(key, layer, weight))
        return key


def _param(name: str, layer: Layer, weight: Weight) -> Param:
    shape = () if weight.contents is not None else None
    return Param(name, shape, contents=weight.contents, trained=weight.trained, origin=layer.origin)
