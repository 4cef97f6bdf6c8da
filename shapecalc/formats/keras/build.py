"""From a definition to a graph: models, the layers in them, their calls in the order in which they can be made."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ...errors import ModelError
from ...graph import Graph, Input, Node, Param
from . import layers, operations
from .history import Called, Ref, Site, refs_in, sites
from .inputs import batch_shape, first_layout, made_input, told_shape
from .layer import Layer, Made, Weight
from .masks import Masks, is_true
from .order import keras_order
from .sequences import started
from .store import Home, Scope, Shelf
from .text import Document, Value
from .view import plain_text

#: More calls, or models inside models, than this come from no network.
MOST_NODES, DEEPEST = 10_000, 20


#: What helps, by what the JSON is instead.
_HINTS = {str: "it is text in quotes: json.loads() of it, written to a file, is what model.to_json() gave"}


def build(document: Document) -> Graph:
    """The graph of a model; raises ModelError with ``file:line`` for what Keras would not build."""
    root = _topology(document.root)
    kind, config = root.get("class_name"), root.get("config")
    if kind is None or config is None or not isinstance(config.data, (dict, list)):
        raise ModelError(
            "this JSON is no Keras model: it has no class_name and config",
            "E202",
            location=document.name,
            hint=_HINTS.get(type(document.root.data), "model.to_json() writes one"),
        )
    builder = _Builder(document, _modern(document, root))
    outputs = builder.model(root, Scope(), None, 0)
    builder.written.append(Called(root, root, (), (), [*(given.name for given in builder.inputs), *outputs]))
    return Graph(
        builder.title(root),
        builder.inputs,
        builder.nodes,
        list(dict.fromkeys(outputs)),
        builder.params,
        dialect="keras",
        format="keras",
        meta={
            "text": document.text,
            "tree": document,
            "frozen": tuple(dict.fromkeys(builder.frozen)),
            "homes": builder.homes,
            "calls": builder.written,
            "stores": builder.stores,
            "shards": document.root.get("weightsManifest") is not None,
        },
        warnings=builder.warnings,
    )


def _modern(document: Document, root: Value) -> bool:
    """Whether Keras 3 wrote it. Keras 2.13 and later names modules too; only Keras 3 says ``batch_shape``."""
    if '"batch_shape"' in document.text or '"__keras_tensor__"' in document.text:
        return True
    return "module" in root.data and '"batch_input_shape"' not in document.text


def _topology(root: Value) -> Value:
    """The model inside what others wrap it in: a file of TensorFlow.js, of frugally-deep."""
    for key in ("modelTopology", "model_config", "architecture"):
        inner = root.get(key)
        root = inner if inner is not None and isinstance(inner.data, dict) else root
    return root


class Call(NamedTuple):
    """One call of a layer: which layer of the model, which of its calls."""

    layer: int
    number: int


class _Model(NamedTuple):
    """A functional model: its layers by place and by name, and their calls."""

    layers: list[Layer]
    places: dict[str, int]
    sites: list[list[Site]]
    first: list[int]  # the number of a layer's first call in this model: a model inside counts its own making as one
    highest: list[int]  # the highest output of a layer that anything reads
    ends: list[int]  # ``first`` as the outputs of this model count: Keras 3 counts a making there alone

    def ended(self, place: int, modern: bool) -> int:
        """The number of a layer's first call as the outputs of this model would count it."""
        functional = is_model(self.layers[place].entry) and self.layers[place].config.has("input_layers")
        return int(modern and functional) or self.ends[place]

    def call(self, ref: Ref) -> Call | None:
        """The call a reference means; None for one that is not there."""
        place = self.places.get(ref.layer)
        if place is None:
            return None
        number = ref.node - self.first[place]
        return Call(place, number) if 0 <= number < max(len(self.sites[place]), 1) else None


def is_model(entry: Value) -> bool:
    """Whether a layer is a model of its own."""
    config = entry.get("config")
    inner = config.get("layers") if config is not None else None
    return inner is not None and isinstance(inner.data, list)


class _Builder:
    """Nodes, parameters and inputs in the order they come up."""

    def __init__(self, document: Document, modern: bool) -> None:
        self.document = document
        self.modern = modern
        self.nodes: list[Node] = []
        self.params: dict[str, Param] = {}
        self.homes: dict[str, Home] = {}
        self.stores: dict[str, str] = {}
        self.written: list[Called] = []
        self.shelved: Counter[tuple[str, str]] = Counter()
        self.inputs: list[Input] = []
        self.frozen: list[str] = []
        self.warnings: list[str] = []
        self.layouts: dict[str, str] = {}
        self.masks = Masks()
        self.taken: set[str] = set()
        self.counts: dict[str, int] = {}
        self.layout = first_layout(document.root)

    def title(self, root: Value) -> str:
        """The model's name."""
        config = root.get("config")
        return plain_text(config.get("name") if config is not None else None) or plain_text(root.get("name"))

    def error(self, message: str, at: Value, code: str = "E202", hint: str | None = None) -> ModelError:
        """An error at a value of the definition."""
        return ModelError(message, code, location=self.document.location(at), hint=hint)

    # -- models -------------------------------------------------------------------------------------------------------

    def model(self, entry: Value, scope: Scope, fed: Sequence[str] | None, depth: int) -> list[str]:
        """Adds a model's layers; returns the values it gives. ``fed`` are those it is called on, None for its own."""
        if depth > DEEPEST:
            raise self.error(f"models in models, more than {DEEPEST} deep", entry)
        config = entry.get("config")
        assert config is not None
        if isinstance(config.data, list) or config.get("input_layers") is None:
            return self.sequence(entry, scope, fed, depth)
        return self.functional(config, scope, fed, depth)

    def sequence(self, entry: Value, scope: Scope, fed: Sequence[str] | None, depth: int) -> list[str]:
        """Layers one after the other (models/sequential.py); before Keras 2.2 the config is the list itself."""
        config = entry.get("config")
        listed = config.get("layers") if config is not None and isinstance(config.data, dict) else config
        members = listed.items() if listed is not None else []
        if listed is None or not members:
            raise self.error(f"{plain_text(entry.get('class_name'))}: a model without layers", entry)
        begins = plain_text(members[0].get("class_name")) == "InputLayer"
        made = self.layers(members, scope)
        if fed is None:
            first = made[0]
            values = [self.input(first, members[0]) if begins else self.unsaid(entry, members[0], first)]
        else:
            values = list(fed)
        if begins:
            self.written.append(Called(members[0], listed, (), (), values))
        for layer in made[1:] if begins else made:
            read, values = values, self.apply(layer, layer.entry, Site([], {}), values, depth)
            self.written.append(Called(layer.entry, listed, (), read, values))
        return values

    def functional(self, config: Value, scope: Scope, fed: Sequence[str] | None, depth: int) -> list[str]:
        """Layers called on each other's values (models/functional.py)."""
        model = self.members(config, scope)
        self.shelve(model, config, scope)
        given = refs_in(self.document, config.get("input_layers"))
        if fed is not None and len(fed) != len(given):
            raise self.error(f"a model of {len(given)} inputs is called on {len(fed)}", config)
        values: dict[Call, list[str]] = {}
        for i, ref in enumerate(given):
            call = model.call(ref)
            if call is None:
                raise self.error(f"there is no layer {ref.layer!r}", ref.at, "E205")
            layer = model.layers[call.layer]
            values[call] = [fed[i]] if fed is not None else [self.input(layer, layer.entry)]
            self.written.append(Called(layer.entry, config, (), (), values[call]))
        for call in self.order(model, set(values)):
            layer, site = model.layers[call.layer], model.sites[call.layer][call.number]
            refs = site.refs()
            read = [self.value(model, values, ref) for ref in refs]
            values[call] = self.apply(layer, layer.entry, site, read, depth, model.highest[call.layer])
            first, ended = model.first[call.layer], model.ended(call.layer, self.modern)
            numbers = (first + call.number, ended + call.number, call.number)
            self.written.append(Called(layer.entry, config, refs, read, values[call], *numbers))
        ends = model._replace(first=model.ends)
        return [self.value(ends, values, ref) for ref in refs_in(self.document, config.get("output_layers"))]

    def members(self, config: Value, scope: Scope) -> _Model:
        """The layers of a functional model, their calls, and how those are counted."""
        listed = config.get("layers")
        entries = listed.items() if listed is not None else []
        made = [self.layer(entry, scope) for entry in entries]
        places: dict[str, int] = {}
        for number, layer in enumerate(made):
            if layer.name in places:
                raise layer.refuse(f"a second layer is called {layer.name!r}", "E206")
            places[layer.name] = number
        calls = [sites(self.document, entry) for entry in entries]
        last, highest = [0] * len(made), [0] * len(made)
        ends = refs_in(self.document, config.get("output_layers"))
        inside = [ref for row in calls for site in row for ref in site.refs()]
        for ref in [*ends, *inside]:
            place = places.get(ref.layer)
            if place is not None:
                last[place], highest[place] = max(last[place], ref.node), max(highest[place], ref.output)
        inner = [is_model(entry) for entry in entries]
        counted = [int(model and n >= len(row)) for model, n, row in zip(inner, last, calls, strict=True)]
        begun = {ref.layer for ref in inside if ref.node == 0}
        first = [0 if layer.name in begun else number for layer, number in zip(made, counted, strict=True)]
        return _Model(made, places, calls, first, highest, counted)

    def layers(self, entries: Sequence[Value], scope: Scope) -> list[Layer]:
        """The entries of a sequence's layers as the tables see them."""
        shelf = Shelf(scope)
        made = [self.layer(entry, scope) for entry in entries]
        for layer in made:
            self.store(layer, shelf)
        return made

    def layer(self, entry: Value, scope: Scope) -> Layer:
        """A layer's entry."""
        if not isinstance(entry.data, dict):
            raise self.error(f"{str(entry.plain())[:60]!r} is no layer", entry)
        layer = Layer(self.document, entry, scope, self.modern)
        if not layer.trainable:
            self.frozen.append(layer.path)
        return layer

    def store(self, layer: Layer, shelf: Shelf) -> None:
        """Gives a layer its place in a file of weights; functions in the graph have none."""
        if not layer.operation:
            kind = plain_text(layer.entry.get("class_name"))
            layer.store = self.stores[layer.path] = shelf.place(kind)

    def shelve(self, model: _Model, config: Value, scope: Scope) -> None:
        """The places of the layers of a functional model, in Keras' order; what leads to no output comes last."""
        ends = model._replace(first=model.ends)
        outputs = [call for ref in refs_in(self.document, config.get("output_layers")) if (call := ends.call(ref))]

        def parents(call: Call) -> list[Call]:
            row = model.sites[call.layer]
            refs = row[call.number].refs() if call.number < len(row) else []
            return [found for ref in refs if (found := model.call(ref))]

        shelf = Shelf(scope)
        places = keras_order(outputs, parents, lambda call: call.layer)
        for place in dict.fromkeys([*places, *range(len(model.layers))]):
            self.store(model.layers[place], shelf)

    def order(self, model: _Model, done: set[Call]) -> Iterator[Call]:
        """Calls in an order in which each finds its values made, as near to the file's as that allows."""
        waiting: dict[Call, int] = {}
        users: dict[Call, list[Call]] = {}
        for place, row in enumerate(model.sites):
            for number, site in enumerate(row):
                call = Call(place, number)
                needed = {self.found(model, ref) for ref in site.refs()} - done
                waiting[call] = len(needed)
                for other in needed:
                    users.setdefault(other, []).append(call)
        ready = [call for call, count in waiting.items() if not count and call not in done]
        heapq.heapify(ready)
        while ready:
            call = heapq.heappop(ready)
            yield call
            del waiting[call]
            for user in users.get(call, ()):
                waiting[user] -= 1
                if not waiting[user]:
                    heapq.heappush(ready, user)
        if waiting:
            layer = model.layers[min(waiting).layer]
            raise layer.refuse("it waits for a value of its own, or for one that nothing makes", "E205")

    def found(self, model: _Model, ref: Ref) -> Call:
        """The call a reference means."""
        call = model.call(ref)
        if call is None:
            raise self.error(f"there is no call {ref.node} of a layer {ref.layer!r}", ref.at, "E205")
        return call

    def value(self, model: _Model, values: dict[Call, list[str]], ref: Ref) -> str:
        """The name of a value that was made."""
        outputs = values.get(self.found(model, ref), [])
        if ref.output >= len(outputs):
            message = f"{ref.layer} gives {len(outputs)} values, number {ref.output} is asked for"
            raise self.error(message, ref.at, "E205")
        return outputs[ref.output]

    # -- inputs -------------------------------------------------------------------------------------------------------

    def input(self, layer: Layer, at: Value) -> str:
        """An InputLayer as an input, and a layer that gives it."""
        if layer.kind != "InputLayer":
            raise self.error(f"{layer.path} is an input of the model but no InputLayer", at)
        return self.feed(layer.path, batch_shape(layer.config), layer)

    def unsaid(self, entry: Value, member: Value, first: Layer) -> str:
        """The input of a sequence that begins without an InputLayer."""
        return self.feed(f"{first.path}_input", told_shape(self.document, entry, member), first)

    def feed(self, name: str, sizes: list[int | None] | None, layer: Layer) -> str:
        """Adds an input, and a layer that gives it."""
        name = self.unique(name)
        self.inputs.append(made_input(name, sizes, layer, self.layout))
        self.nodes.append(Node(name, "Input", (), (name,), origin=layer.origin))
        self.layouts[name] = self.layout
        return name

    # -- nodes --------------------------------------------------------------------------------------------------------

    def unique(self, name: str) -> str:
        """The name, or with ``_2``, ``_3``, … where it is taken: a layer may be called twice."""
        chosen = name
        while chosen in self.taken:
            self.counts[name] = self.counts.get(name, 1) + 1
            chosen = f"{name}_{self.counts[name]}"
        self.taken.add(chosen)
        return chosen

    def apply(
        self, layer: Layer, entry: Value, site: Site, read: Sequence[str], depth: int, last: int = 0
    ) -> list[str]:
        """Adds a layer called on values; returns what it gives."""
        if is_model(entry):
            return self.model(entry, layer.within, read, depth + 1)
        if len(self.nodes) >= MOST_NODES:
            raise self.error(f"more than {MOST_NODES} layers", entry)
        if not read:
            raise layer.refuse("it is called on nothing")
        inner = layers.distributed(layer)
        if inner is not None:
            return self.distributed(layer, inner, read, depth)
        function = layer.operation or operations.stands_for(layer)
        made = operations.make(layer, site) if function else layers.make(layer)
        made = called_with(made, site, len(read))
        reason = self.masks.reason(made, site, read)
        if reason is not None:
            made = made._replace(attrs={**made.attrs, "no_form": reason})
        given = self.node(layer, made, read, last)
        self.masks.follow(layer, made, read, given)
        return given

    def distributed(self, layer: Layer, inner: Layer, read: Sequence[str], depth: int) -> list[str]:
        """A layer, or a model, that is called on every step: on steps that are rows of the batch."""
        if self.masks.masked.intersection(read):
            raise layer.refuse("its steps are masked (mask_zero, Masking), which has no rule yet", "E204")
        folded = self.node(layer, Made("FoldSteps", domain="keras"), read, 0, f"{layer.path}/fold")
        if is_model(inner.entry):
            within = layer.within._replace(store=f"{layer.store}/layer/")
            given = self.model(inner.entry, within, folded, depth + 1)
        else:
            given = self.node(layer, layers.filed_inside(layers.make(inner)), folded, 0, f"{layer.path}/{inner.own}")
        return self.node(layer, Made("UnfoldSteps", domain="keras", takes=2), [given[0], read[0]], 0)

    def node(self, layer: Layer, made: Made, read: Sequence[str], last: int, name: str = "") -> list[str]:
        """Adds the node of a layer, or of a part of one; its first output has the node's name."""
        values = list(read if made.takes is None else read[: made.takes])
        if made.takes is not None and made.takes > len(values):
            values += values[-1:] * (made.takes - len(values))  # attention takes its values for keys
        name = self.unique(name or layer.path or layer.kind.lower())
        count = max(made.outputs, last + 1) if made.op == "Unread" else made.outputs
        if count > MOST_NODES:
            raise layer.refuse(f"it has {count} outputs")
        outputs = [name, *(self.unique(f"{name}:{i}") for i in range(1, count))]
        layout = made.layout or self.layouts.get(values[0], "NHWC")
        attrs: dict[str, Any] = {key: value for key, value in made.attrs.items() if value is not None}
        if layout != "NCHW":
            attrs["layout"] = layout
        if made.activation is not None:
            attrs["activation"] = made.activation
        inputs = [*values, *(self.param(layer, weight) for weight in made.weights)]
        op = _binary(made.op, len(values))
        self.nodes.append(Node(name, op, inputs, outputs, attrs, origin=layer.origin, domain=made.domain))
        self.layouts |= dict.fromkeys(outputs, layout)
        return outputs

    def param(self, layer: Layer, weight: Weight | None) -> str:
        """The name of a parameter, shared by every call of its layer."""
        if weight is None:
            return ""
        name = f"{layer.path}/{weight.name}"
        if name not in self.params:
            self.params[name] = Param(
                name, weight.shape, contents=weight.contents, trained=weight.trained, origin=layer.origin
            )
            if weight.contents is None:
                self.homes[name] = layer.home(weight, self.shelved[layer.store, weight.at])
                self.shelved[layer.store, weight.at] += 1
        return name


def called_with(made: Made, site: Site, count: int) -> Made:
    """What a call adds to its layer: states that a recurrent one starts from, attention to earlier steps alone."""
    if made.op == "Recurrent" and count > 1:
        return started(made, count - 1) or made
    causal = made.op in ("MultiHeadAttention", "DotAttention") and is_true(site.kwargs.get("use_causal_mask"))
    return made._replace(attrs={**made.attrs, "causal": True}) if causal else made


def _binary(op: str, count: int) -> str:
    """Keras' merging layers take any number; of one there is nothing to merge."""
    return "Identity" if count == 1 and op in ("Add", "Mul", "Sub", "Mean", "Max", "Min") else op
