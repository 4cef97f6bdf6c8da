"""Edits of a Keras definition: what the graphs have in common stays character by character.

A layer whose node was replaced gets its name, its number of outputs or its window replaced, and every layer that names
it follows; a new pooling becomes an entry. The sizes that Keras repeats beside the layers (``build_config``, the shapes
of the tensors they are called on) are those of the edited net.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...dims import Shape
from ...graph import Graph, Node
from ...trace import Trace, trace
from .. import Source
from ..changes import changes, ends_of
from .cutting import shorten
from .draft import Age, Draft
from .history import Called, Ref, leaves, refs_in, sites
from .pack import pack, suffixes
from .text import Value
from .view import plain_text

__all__ = ["pack", "patch", "suffixes"]

#: Settings that hold the number of outputs, as every version calls them.
OUTPUTS = ("units", "filters", "output_dim", "nb_filter")
#: Settings of a pooling, as every version calls them, by attribute.
WINDOW = {"kernel_shape": ("pool_size", "pool_length"), "strides": ("strides", "stride")}
#: Settings that hold a target of a reshape.
TARGETS = ("target_shape", "newshape", "shape")
#: Settings that hold the shape of a model's input.
FED = ("batch_shape", "batch_input_shape", "build_input_shape")
FED_WITHOUT_BATCH = ("input_shape", "shape")


class Pair(NamedTuple):
    """A layer whose node was replaced: its call, the node before and after."""

    call: Called
    before: Node
    after: Node


def patch(source: Source, old: Graph, new: Graph) -> Iterator[str]:
    """The JSON of ``new``, made of that of ``old``, which ``source`` holds.

    Raises RefusedError (E303) for what a definition of Keras cannot say.
    """
    draft = Draft(old.meta["tree"])
    calls: list[Called] = old.meta["calls"]
    makers: dict[str, Called] = {}
    for call in calls:  # a model gives what a layer in it gives; the layer comes first
        if call.read:
            makers.setdefault(call.given[0], call)
    found = changes(old, new, shorter=True)
    for before, _ in found.replaced:
        if before.outputs[0] not in makers:
            raise draft.refuse(before.name, "it is a part of a layer that is called on every step")
    pairs = [Pair(makers[before.outputs[0]], before, after) for before, after in found.replaced]
    if old.meta.get("shards") and any(pair.before.name != pair.after.name for pair in pairs):
        raise draft.refuse(pairs[0].before.name, "its weights are listed in this file and lie in others")
    shapes = _Shapes(old, new, found.replaced)
    for pair in pairs:
        _change(draft, pair)
    ends = ends_of(new, found.added)
    ending = {node.name for end in ends for node in end.added}
    for node in (node for node in found.added if node.name not in ending):
        _insert(draft, node, [p for p in pairs if node.outputs[0] in p.after.inputs], shapes)
    for call in calls:
        _resize(draft, call, shapes)
    _fix_batches(draft, old, new)
    if found.gone or ending or [end.value for end in ends] != [shapes.name(value) for value in old.outputs]:
        shorten(draft, old, new, ends, shapes.written)
    yield draft.write()


# -- layers -----------------------------------------------------------------------------------------------------------


def _change(draft: Draft, pair: Pair) -> None:
    before, after = pair.before, pair.after
    if before.name != after.name:
        _rename(draft, pair)
    changed = {k for k in {*before.attrs, *after.attrs} if before.attrs.get(k) != after.attrs.get(k)} - {"ceil_mode"}
    config = pair.call.entry.get("config")
    assert config is not None
    if "channels" in changed:
        name = next((name for name in OUTPUTS if config.get(name) is not None), None)
        if name is None:
            raise draft.refuse(before.name, f"the outputs of {before.origin.op} cannot be changed here", config)
        draft.setting(config, name, after.attrs["channels"])
    changed -= {"channels"}
    if changed == {"shape"}:
        _retarget(draft, pair, config)
    elif changed and changed <= {"kernel_shape", "strides", "pads"}:
        _window(draft, pair, config, changed)
    elif changed or after.op != before.op or before.attrs.get("ceil_mode") != after.attrs.get("ceil_mode"):
        words = ", ".join(sorted(changed)) or "rounding"
        raise draft.refuse(before.name, f"its {words} cannot be changed in a Keras definition", config)


def _rename(draft: Draft, pair: Pair) -> None:
    """The layer's name, and every place of its model that names it."""
    entry, within = pair.call.entry, pair.call.within
    config = entry.get("config")
    listed = entry.get("name")
    local = plain_text(listed) or plain_text(config.get("name") if config is not None else None)
    if not local or not pair.before.name.endswith(local) or config is None:
        raise draft.refuse(pair.before.name, "a layer called twice cannot be renamed", entry)
    name = pair.after.name.removeprefix(pair.before.name.removesuffix(local))
    for value in (listed, config.get("name")):
        if value is not None:
            draft.swap(value, name)
    if pair.call.functional:
        for ref in _all_refs(draft, within):
            if ref.layer == local:
                draft.swap(ref.at.items()[0], name)


def _all_refs(draft: Draft, config: Value) -> Iterator[Ref]:
    """Every place of a functional model that names a layer."""
    layers = config.get("layers")
    for entry in layers.items() if layers is not None else ():
        for site in sites(draft.document, entry):
            yield from leaves([site.args, site.kwargs])
    for key in ("input_layers", "output_layers"):
        yield from refs_in(draft.document, config.get(key))


def _retarget(draft: Draft, pair: Pair, config: Value) -> None:
    value = next((v for v in map(config.get, TARGETS) if v is not None and v.items()), None)
    target = pair.after.attrs["shape"]
    if value is None or len(value.items()) not in (len(target), len(target) - 1):
        raise draft.refuse(pair.before.name, "its target cannot be changed here", config)
    draft.sizes(value, target[len(target) - len(value.items()) :])


def _window(draft: Draft, pair: Pair, config: Value, changed: set[str]) -> None:
    """Keras' poolings have no padding of their own, and move by their window where no stride is given."""
    attrs = pair.after.attrs
    if any(attrs.get("pads", ())) or pair.before.op not in ("MaxPool", "AveragePool"):
        raise draft.refuse(pair.before.name, "padding of a pooling cannot be said in a Keras definition", config)
    for key, names in WINDOW.items():
        name = next((name for name in names if config.get(name) is not None), names[0])
        draft.setting(config, name, list(attrs[key]))


# -- a new pooling ----------------------------------------------------------------------------------------------------


def _insert(draft: Draft, node: Node, readers: Sequence[Pair], shapes: _Shapes) -> None:
    """A pooling in front of the layers that are to read it."""
    if node.op != "AveragePool" or not readers or len(node.attrs["kernel_shape"]) != 2:
        raise draft.refuse(node.name, f"{node.op} cannot be added to a Keras definition here")
    age = Age.of(draft.document)
    name = node.name.rpartition("/")[2]
    layout = node.attrs.get("layout", "NCHW")
    made = age.pooling(name, node.attrs["kernel_shape"], node.attrs["strides"], layout)
    for reader in _one_a_model(draft, node, readers):
        if reader.call.functional:
            refs = [ref for ref, value in zip(reader.call.refs, reader.call.read, strict=False)
                    if value == node.inputs[0]]  # fmt: skip
            given = age.tensor(refs[0].layer, shapes.written(node.inputs[0]), refs[0].node, refs[0].output)
            entry = age.called(made, given)
            draft.insert(_entry_of(reader.call.within, refs[0].layer).span.end, f", {json.dumps(entry)}")
        else:
            draft.insert(reader.call.entry.span.start, f"{json.dumps(made)}, ")
    for reader in readers:
        for ref, value in zip(reader.call.refs, reader.call.read, strict=False):
            if value == node.inputs[0]:
                for item, to in zip(ref.at.items(), (name, 0, 0), strict=False):
                    draft.swap(item, to)


def _one_a_model(draft: Draft, node: Node, readers: Sequence[Pair]) -> list[Pair]:
    """The first reader; all must stand in one model, for the pooling stands there."""
    if any(reader.call.within is not readers[0].call.within for reader in readers):
        raise draft.refuse(node.name, "what is to read it stands in several models")
    return [readers[0]]


def _entry_of(config: Value, name: str) -> Value:
    layers = config.get("layers")
    assert layers is not None
    return next(e for e in layers.items() if name in (plain_text(e.get("name")), _config_name(e)))


def _config_name(entry: Value) -> str:
    config = entry.get("config")
    return plain_text(config.get("name") if config is not None else None)


# -- sizes that are repeated ------------------------------------------------------------------------------------------


class _Shapes:
    """Shapes of values before and after the edit."""

    def __init__(self, old: Graph, new: Graph, replaced: Sequence[tuple[Node, Node]]) -> None:
        self.before, self.after = _traced(old), _traced(new)
        self.names = {a: b for node, made in replaced for a, b in zip(node.outputs, made.outputs, strict=True)}
        #: What a layer reads in the place of something else.
        self.others = {
            node.outputs[0]: {a: b for a, b in zip(node.inputs, made.inputs, strict=True) if b != self.name(a)}
            for node, made in replaced
        }

    def name(self, value: str) -> str:
        """What a value is called after the edit."""
        return self.names.get(value, value)

    def pairs(self, call: Called) -> list[tuple[Shape, Shape]]:
        """(before, after) of every value a call reads or gives."""
        others = self.others.get(call.given[0], {}) if call.read else {}
        rows = [(name, others.get(name, self.name(name))) for name in [*call.read, *call.given]]
        found = [(_shape(self.before, name), _shape(self.after, to)) for name, to in rows]
        return [(a, b) for a, b in found if a is not None and b is not None and len(a) == len(b)]

    def written(self, name: str) -> list[int | None]:
        """The shape of a value as Keras writes it, the batch left open."""
        shape = _shape(self.after, self.name(name)) or ()
        return [None, *(d if isinstance(d, int) else None for d in shape[1:])]


def _traced(graph: Graph) -> Trace:
    return trace(graph, {given.name: given.native for given in graph.inputs if given.native is not None})


def _shape(found: Trace, name: str) -> Shape | None:
    tensor = found.tensors.get(name)
    return tensor.shape if tensor is not None and isinstance(tensor.shape, tuple) else None


def _resize(draft: Draft, call: Called, shapes: _Shapes) -> None:
    pairs = shapes.pairs(call)
    if any(a != b for a, b in pairs):
        for value in _repeated(call):
            _swap_sizes(draft, value, pairs)


def _fix_batches(draft: Draft, old: Graph, new: Graph) -> None:
    """The batch of an input that left it open; one is what is taken where nobody says another."""
    *calls, root = old.meta["calls"]
    config = root.entry.get("config")
    own = {id(config), id(config.get("layers") if isinstance(config.data, dict) else config)}
    declared = {given.name: given.declared for given in new.inputs}
    for call in calls:
        for name in [*call.read, *call.given] if id(call.within) in own else ():
            shape = declared.get(name)
            if shape and isinstance(shape[0], int) and shape[0] != 1:
                _fix_batch(draft, call.entry.get("config"), len(shape), shape[0])


def _fix_batch(draft: Draft, config: Value | None, rank: int, batch: int) -> None:
    for value in (config.get(key) for key in FED if config is not None):
        items = value.items() if value is not None else []
        if len(items) == rank and items[0].data is None:
            draft.swap(items[0], batch)


def _swap_sizes(draft: Draft, value: Value, pairs: Sequence[tuple[Shape, Shape]]) -> None:
    items = [item.data for item in value.items()]
    for before, after in pairs:
        for start in (0, 1):
            if len(items) == len(before) - start and _fits(items, before[start:]):
                kept = [b if d is not None and isinstance(b, int) else d
                        for d, b in zip(items, after[start:], strict=True)]  # fmt: skip
                draft.sizes(value, kept)
                return


def _fits(items: Sequence[Any], shape: Shape) -> bool:
    """Whether a written shape is this one; what it leaves open is anything."""
    return any(d is not None for d in items) and all(
        d is None or d == size for d, size in zip(items, shape, strict=True)
    )


def _repeated(call: Called) -> Iterator[Value]:
    """Every list of an entry that repeats a shape."""
    entry = call.entry
    config = entry.get("config")
    if config is not None and isinstance(config.data, dict):
        names = FED if call.read else (*FED, *FED_WITHOUT_BATCH)
        yield from (value for value in map(config.get, names) if value is not None)
    yield from _lists(entry.get("build_config"), "shape")
    yield from _lists(entry.get("inbound_nodes"), "", "shape")


def _lists(value: Value | None, part: str, key: str = "", shaped: bool = False) -> Iterator[Value]:
    """Lists of sizes under a key called so, or with this part in it."""
    data = value.data if value is not None else None
    if isinstance(data, Mapping):
        for name, item in data.items():
            yield from _lists(item, part, key, name == key or bool(part and part in name))
    elif isinstance(data, list) and value is not None:
        if shaped and data and all(item.data is None or type(item.data) is int for item in data):
            yield value
        else:
            for item in data:
                yield from _lists(item, part, key, shaped)
