"""A parsed prototxt as a graph: upgraded, filtered, wired, one node for each layer."""

from __future__ import annotations

from difflib import get_close_matches

from ...errors import ModelError
from ...graph import Graph, Input, Node, Param
from .. import Options
from .arity import check
from .inputs import INPUTS, is_input, shapes_of
from .layer import Layer
from .layers import LAYERS, LOSSES
from .made import Made, Weight
from .schema import unknown_fields
from .states import state_of
from .text import Document, Message
from .upgrade import upgrade
from .view import View
from .wiring import unique, wire

#: Layers that compare scores with labels: what they read after the first bottom are labels and weights.
JUDGES = frozenset({*LOSSES, "Accuracy"})


def build(document: Document, options: Options) -> Graph:
    """The graph of one phase of a net; raises ModelError with ``file:line`` for what Caffe would refuse."""
    root = upgrade(document)
    net = View(root, document.name)
    layers = _layers(net, options)
    if not layers:
        raise ModelError(
            f"there is no layer for phase {options.phase}",
            "E202",
            location=document.name,
            hint="a net is written as layer { name: … type: … bottom: … top: … }",
        )
    wire(layers)
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
        meta={"text": document.text, "tree": document, "phase": options.phase, "scores": _scores(layers)},
        warnings=[*unknown_fields(document, root), *builder.warnings],
    )


def _layers(net: View, options: Options) -> list[Layer]:
    state = state_of(net, options.phase, options.stages)
    layers: list[Layer] = []
    for field in net.all("layer"):
        if not isinstance(field.value, Message):
            raise net.wrong(field, "a message { … }")
        view = View(field.value, net.file)
        if state.keeps(view):
            layers.append(_known(Layer(field, view, len(layers), state.phase)))
    return layers


def _known(layer: Layer) -> Layer:
    """The layer, if its type is read; Caffe: "Unknown layer type" (layer_factory.hpp)."""
    known = [*LAYERS, *INPUTS]
    if layer.type in known:
        return layer
    place = layer.view.one("type") or layer.field
    near = get_close_matches(layer.type, known, n=3, cutoff=0.5)
    raise ModelError(
        f"{layer.name} is of type {layer.type!r}, which is not read" if layer.type else f"{layer.name} has no type",
        "E204",
        location=f"{layer.view.file}:{place.line}",
        hint=f"did you mean {' or '.join(near)}?" if near else "types are written as in Caffe: Convolution, ReLU, …",
    )


# -- inputs and outputs -----------------------------------------------------------------------------------------------


def _inputs(layers: list[Layer]) -> list[Input]:
    labels = _labels(layers)
    found: list[Input] = []
    for layer in layers:
        if not is_input(layer):
            continue
        for i, (name, shape) in enumerate(zip(layer.outputs, shapes_of(layer), strict=True)):
            image = shape is None or len(shape) > 2
            role = "label" if name in labels or (i and name not in labels.union(_read(layers))) else "image"
            if role == "image" and (not image or layer.type == "HDF5Data"):
                role = "other"
            found.append(Input(name, shape, role=role, origin=layer.origin))
    return found


def _read(layers: list[Layer]) -> set[str]:
    return {value for layer in layers for value in layer.inputs}


def _labels(layers: list[Layer]) -> set[str]:
    """Values that are only compared with: never a first bottom, always read by losses and accuracies."""
    judged = {value for layer in layers if layer.type in JUDGES for value in layer.inputs[1:]}
    computed = {
        value
        for layer in layers
        for value in (layer.inputs[:1] if layer.type in JUDGES else layer.inputs if layer.type != "Silence" else ())
    }
    return judged - computed


def _unread(nodes: list[Node]) -> list[str]:
    """Tops nobody reads: what the net gives."""
    read = {name for node in nodes for name in node.inputs}
    return [name for node in nodes for name in node.outputs if name not in read and node.op != "Input"]


def _scores(layers: list[Layer]) -> tuple[str, ...]:
    """Values that go into losses: what is left of a training net when the losses are taken away."""
    return tuple(dict.fromkeys(layer.inputs[0] for layer in layers if layer.type in LOSSES and layer.inputs))


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
            self.warnings.append(f"{layer.location}: a second layer is called {layer.name!r}; here it is {name!r}")
        if is_input(layer):
            return Node(name, "Input", (), layer.outputs, origin=layer.origin)
        check(layer)
        layer.spatial = self.spatial
        made = LAYERS[layer.type](layer)
        inputs = (*layer.inputs, *self.weights(layer, name, made))
        return Node(name, made.op, inputs, layer.outputs, made.attrs, origin=layer.origin, domain=made.domain)

    def weights(self, layer: Layer, name: str, made: Made) -> list[str]:
        """Names of the parameters, those shared by ``param { name }`` under their common name."""
        specs = layer.view.views("param")
        count = sum(weight is not None for weight in made.weights)
        if len(specs) > count and made.op != "BatchNormalization" and made.domain == "":
            self.warnings.append(f"{layer.location}: {name} has {count} parameters, {len(specs)} param are given")
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
