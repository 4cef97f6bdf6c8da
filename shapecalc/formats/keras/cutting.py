"""The end of a Keras definition taken off: layers behind the cut go, what is left gives the values it is cut at.

A functional model lists what it gives (``output_layers``), so it may end at several values; a sequence ends where its
list does. A cut inside a model that is a layer is that model's own end, and the models around it end with it. A layer
that is called several times may lose some of its calls: those that stay are counted anew where others name them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from ...errors import RefusedError
from ...graph import Graph, Node
from ..changes import WAY_OUT, End
from .draft import Age, Draft
from .history import Called, Ref, leaves, refs_in, sites
from .text import Value
from .view import own_name, plain_text

#: Operator of a pooling over all places -> the class of Keras.
WHOLE = {"GlobalAveragePool": "GlobalAveragePooling2D", "GlobalMaxPool": "GlobalMaxPooling2D"}
ORDERS = {"NHWC": "channels_last", "NCHW": "channels_first"}

#: Layer, call and output, as a definition names a value.
Named: TypeAlias = tuple[str, int, int]
#: The shape of a value as Keras writes it.
Shaped: TypeAlias = Callable[[str], Sequence[int | None]]


def shorten(draft: Draft, old: Graph, new: Graph, ends: Sequence[End], shaped: Shaped) -> None:
    """Takes off all that ``new`` has not and lets the model end with ``ends``; raises RefusedError (E303)."""
    _Shears(draft, old, new, shaped).top(ends)


class _Shears:
    """What is kept, and the calls of every model by the ``config`` or the list they stand in."""

    def __init__(self, draft: Draft, old: Graph, new: Graph, shaped: Shaped) -> None:
        self.draft, self.shaped = draft, shaped
        self.kept = {value for node in new.nodes for value in node.outputs}
        self.calls: dict[int, list[Called]] = {}
        *inside, root = old.meta["calls"]
        for call in inside:
            self.calls.setdefault(id(call.within), []).append(call)
        self.root: Value = root.entry

    # -- models -------------------------------------------------------------------------------------------------------

    def top(self, ends: Sequence[End]) -> None:
        """The outermost model."""
        within = _members(self.root)
        made = {value for calls in self.calls.values() for call in calls for value in call.given}
        for end in ends:
            if end.value not in made:
                raise self.draft.refuse(end.value, "it is made inside a layer that is called on every step")
        names = self.model(self.root, [end.value for end in ends], outermost=True)
        if isinstance(within.data, list):
            self.append(within, ends[0].added)
        else:
            named = [self.extend(within, name, end) for name, end in zip(names, ends, strict=True)]
            self.outputs(within, named)

    def model(self, entry: Value, wanted: Sequence[str], *, outermost: bool = False) -> list[Named]:
        """Shortens a model to what gives the ``wanted`` values; how its outputs name them, none of a sequence."""
        within = _members(entry)
        if isinstance(within.data, list):
            self.sequence(entry, within, wanted)
            return []
        kept = [call for call in self.calls.get(id(within), ()) if self.stays(call)]
        inner = self.inside(kept, wanted)
        self.remove(within, kept)
        self.recount(within, kept, inner)
        self.inputs(within, outermost=outermost)
        names = [self.named(kept, inner, value) for value in wanted]
        if not outermost:
            self.outputs(within, names)
        return names

    def sequence(self, entry: Value, within: Value, wanted: Sequence[str]) -> None:
        """Layers one after the other: the list ends with the one that gives the value."""
        kept = [call for call in self.calls.get(id(within), ()) if self.stays(call)]
        self.inside(kept, wanted)
        given = kept[-1].given if kept else ()
        if len(wanted) != 1 or (_inner(kept[-1].entry) is None and list(given) != list(wanted)):
            raise self.draft.refuse(
                plain_text(entry.get("class_name")) or "the model",
                f"a sequence of layers gives one value, and {', '.join(wanted)} are wanted",
                entry,
            )
        entries = {id(call.entry) for call in kept}
        self.draft.drop(within, [item for item in within.items() if id(item) not in entries])

    def stays(self, call: Called) -> bool:
        """Whether anything of a call is kept: a model that is a layer may keep a part."""
        if self.kept.intersection(call.given):
            return True
        inner = _inner(call.entry)
        return inner is not None and any(self.stays(each) for each in self.calls.get(id(inner), ()) if each.read)

    def inside(self, kept: Sequence[Called], wanted: Sequence[str]) -> dict[int, list[str]]:
        """Shortens the models that are layers of a model; what each gives from now on, by its call."""
        read = {value for call in kept for value in call.read} | {*wanted}
        found: dict[int, list[str]] = {}
        for call in kept:
            if _inner(call.entry) is None:
                continue
            values = [value for value in call.given if value in read]
            values += [value for value in wanted if value not in values and self.within(value, call)]
            found[id(call)] = values
            if values != list(call.given) or not self.whole(call):
                if sum(each.entry is call.entry for each in kept) > 1:
                    raise self.draft.refuse(call.given[0], "it is cut inside a model that is called twice", call.entry)
                self.model(call.entry, values)
        return found

    def within(self, value: str, call: Called) -> bool:
        """Whether a value is made inside a model that is a layer."""
        inner = _inner(call.entry)
        return inner is not None and any(
            value in each.given or self.within(value, each) for each in self.calls.get(id(inner), ()) if each.read
        )

    def whole(self, call: Called) -> bool:
        """Whether each layer of a model inside keeps a call; one that is called twice may keep those of one."""
        inner = _inner(call.entry)
        groups: dict[int, bool] = {}
        for each in self.calls.get(id(inner), ()):
            groups[id(each.entry)] = groups.get(id(each.entry), False) or self.stays(each)
        return all(groups.values())

    # -- a functional model -------------------------------------------------------------------------------------------

    def remove(self, within: Value, kept: Sequence[Called]) -> None:
        """Takes out layers, and calls of layers that have others."""
        numbers: dict[int, set[int]] = {}
        for call in kept:
            numbers.setdefault(id(call.entry), set()).add(call.number)
        layers = within.get("layers")
        assert layers is not None
        self.draft.drop(layers, [entry for entry in layers.items() if id(entry) not in numbers])
        for entry in layers.items():
            nodes = entry.get("inbound_nodes")
            if id(entry) in numbers and nodes is not None and len(nodes.items()) > 1:
                gone = [node for i, node in enumerate(nodes.items()) if i not in numbers[id(entry)]]
                self.draft.drop(nodes, gone)

    def recount(self, within: Value, kept: Sequence[Called], inner: dict[int, list[str]]) -> None:
        """Calls and outputs that others name by a number which is another one now."""
        entries = {id(call.entry) for call in kept}
        layers = within.get("layers")
        for entry in layers.items() if layers is not None else ():
            if id(entry) not in entries:
                continue
            numbers = {call.number for call in kept if call.entry is entry}
            for number, site in enumerate(sites(self.draft.document, entry)):
                if number in numbers:
                    self.renumber(leaves([site.args, site.kwargs]), kept, inner)

    def renumber(self, refs: Iterable[Ref], kept: Sequence[Called], inner: dict[int, list[str]]) -> None:
        """Other numbers where a definition names values that stay."""
        for ref in refs:
            maker = next((c for c in kept if _called(c) == ref.layer and c.read and c.node == ref.node), None)
            if maker is None or ref.output >= len(maker.given):
                continue
            _, node, output = self.named(kept, inner, maker.given[ref.output], maker.node)
            items = ref.at.items()
            self.draft.swap(items[1], node)
            self.draft.swap(items[2], output)

    def named(self, kept: Sequence[Called], inner: dict[int, list[str]], value: str, first: int | None = None) -> Named:
        """A value as the outputs of a model name it; as its layers do where ``first`` is how they named the call."""
        call = next(c for c in kept if value in inner.get(id(c), c.given) or value in c.given)
        before = sum(c.entry is call.entry and c.number < call.number for c in kept)
        begin = (call.end if first is None else first) - call.number
        values = inner.get(id(call), call.given)
        return _called(call), begin + before, list(values).index(value) if value in values else 0

    def inputs(self, within: Value, *, outermost: bool) -> None:
        """Inputs that nothing reads any more."""
        listed = within.get("input_layers")
        gone = [ref for ref in refs_in(self.draft.document, listed) if not self.fed(within, ref)]
        if gone and (listed is None or not outermost or any(ref.at not in listed.items() for ref in gone)):
            raise self.draft.refuse(gone[0].layer, "a model that is a layer would be fed less than before", gone[0].at)
        if gone and listed is not None:
            self.draft.drop(listed, [ref.at for ref in gone])

    def fed(self, within: Value, ref: Ref) -> bool:
        """Whether an input of a model is still read."""
        call = next((c for c in self.calls.get(id(within), ()) if _called(c) == ref.layer and not c.read), None)
        return call is None or bool(self.kept.intersection(call.given))

    def outputs(self, within: Value, names: Sequence[Named]) -> None:
        """What a model gives; a list of one stays written as it was."""
        listed = within.get("output_layers")
        if listed is None:
            return
        lone = len(names) == 1 and len(listed.items()) == 3 and isinstance(listed.items()[0].data, str)
        self.draft.swap(listed, list(names[0]) if lone else [list(name) for name in names])

    # -- new layers ---------------------------------------------------------------------------------------------------

    def extend(self, within: Value, name: Named, end: End) -> Named:
        """New layers of a functional model, behind the one that they begin with."""
        layers = within.get("layers")
        assert layers is not None
        at = next(entry for entry in layers.items() if own_name(entry) == name[0])
        age = Age.of(self.draft.document)
        for node in end.added:
            entry = age.called(self.written(node, age), age.tensor(name[0], self.shaped(node.inputs[0]), *name[1:]))
            self.draft.insert(at.span.end, f", {json.dumps(entry)}")
            name = (entry["config"]["name"], 0, 0)
        return name

    def append(self, within: Value, added: Sequence[Node]) -> None:
        """New layers at the end of a sequence."""
        age = Age.of(self.draft.document)
        last = next(item for item in reversed(within.items()) if not self.draft.dropped(item))
        for node in added:
            self.draft.insert(last.span.end, f", {json.dumps(self.written(node, age))}")

    def written(self, node: Node, age: Age) -> dict[str, Any]:
        """The entry of a new layer, not called on anything yet."""
        order = ORDERS[node.attrs.get("layout", "NCHW")]
        name = node.name.replace("/", "_").replace(":", "_")
        if node.op in WHOLE and age.keeps_axes:
            return age.entry(WHOLE[node.op], name, data_format=order, keepdims=True)
        if node.op == "Flatten" and order == "channels_last":
            return age.entry("Flatten", name, data_format=order)
        raise RefusedError(
            f"{node.name}: {node.op} cannot be added to this Keras definition",
            "E303",
            location=self.draft.document.name,
            because="a pooling over all places that keeps its axes came with Keras 2.6"
            if node.op in WHOLE
            else "layers that pool and flatten maps with channels last have a text here",
            hint=WAY_OUT,
        )


def _members(entry: Value) -> Value:
    """The ``config`` of a functional model, the list of layers of a sequence."""
    config = entry.get("config")
    assert config is not None
    if isinstance(config.data, list):
        return config
    layers = config.get("layers")
    return config if config.get("input_layers") is not None or layers is None else layers


def _inner(entry: Value) -> Value | None:
    """As `_members`, None for what is no model."""
    config = entry.get("config")
    layers = config.get("layers") if config is not None else None
    return _members(entry) if layers is not None and isinstance(layers.data, list) else None


def _called(call: Called) -> str:
    return own_name(call.entry)
