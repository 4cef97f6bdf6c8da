"""New layers in a prototxt: poolings and crops, written like those the file has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ...errors import RefusedError
from ...graph import Graph, Node
from ..changes import WAY_OUT
from .draft import Draft
from .layer import Layer
from .renaming import Rename, renamed
from .style import Item, Style, indent_at
from .wiring import unique

#: The word a layer begins with, and its fields.
Words: TypeAlias = tuple[str, list[Item]]
#: Operator of an ending -> the layer type, and which pooling it is.
ENDS = {"GlobalAveragePool": ("Pooling", "AVE"), "GlobalMaxPool": ("Pooling", "MAX"), "Flatten": ("Flatten", "")}
#: The age of files that know the Crop layer: it came after V1.
CROP_SINCE = 2


def insert(draft: Draft, graph: Graph, node: Node, renames: list[Rename]) -> None:
    """A pooling behind the layer that writes what it reads; from there on the blob goes by the pooling's name.

    Layers that work in place on the blob do so on the pooled one then.
    """
    if node.op == "Crop":
        _insert_crop(draft, graph, node, renames)
        return
    if node.op in ENDS:
        _insert_end(draft, graph, node, renames)
        return
    value = node.inputs[0]
    producer = next((n for n in graph.nodes if value in n.outputs), None)
    layer = draft.at(producer.origin.span) if producer is not None else None
    if node.op != "AveragePool" or layer is None or producer is None:
        raise RefusedError(
            f"{node.name}: {node.op} cannot be added to a prototxt here",
            "E303",
            because=f"no layer of the file gives {value}"
            if layer is None
            else "only average poolings and crops have a text here",
            hint=WAY_OUT,
        )
    read = renamed(layer.tops[producer.outputs.index(value)], renames, layer.index, top=True)
    last = _last_writer(draft, layer, layer.tops[producer.outputs.index(value)])
    name = unique(node.name, draft.blobs())
    renames += [Rename(read, name, *places) for places in _readers(draft, graph, node, read, last)]
    _write_layer(draft, last, name, read, node)


def _insert_crop(draft: Draft, graph: Graph, node: Node, renames: list[Rename]) -> None:
    """Caffe's Crop right before the layer that joins what it crops with the blob it is cropped to."""
    join = next(other for other in graph.nodes if node.outputs[0] in other.inputs)
    layer = draft.at(join.origin.span)
    place = draft.place(layer) if layer is not None else None
    if layer is None or place is None or draft.age < CROP_SINCE:
        raise RefusedError(
            f"{node.name}: a Crop cannot be added to this prototxt",
            "E303",
            location=join.origin.location,
            because="the file is older than Caffe's Crop, which came after V1 layers",
            hint=WAY_OUT,
        )
    blobs = dict(zip(join.inputs, layer.bottoms, strict=False))
    read, wanted = (renamed(blobs[name], renames, layer.index, top=False) for name in (node.outputs[0], node.inputs[1]))
    name = unique(node.name, draft.blobs())
    renames.append(Rename(blobs[node.outputs[0]], name, range(0), range(layer.index, layer.index + 1)))
    style, field = draft.style(layer), place.field
    pairs = (("name", name), ("type", "Crop"), ("bottom", read), ("bottom", wanted), ("top", name))
    items: list[Item] = [(key, style.text(value)) for key, value in pairs]
    indent = indent_at(draft.text, field.span.start)
    draft.insert(field.span.start, style.layer("layer", items, indent) + draft.between(field) + indent)


def _insert_end(draft: Draft, graph: Graph, node: Node, renames: list[Rename]) -> None:
    """A pooling over all places and a flattening right behind the layer that gives the value: its blob may change."""
    makers = graph.producers()
    chain = [node]
    while chain[0].inputs[0] in makers and makers[chain[0].inputs[0]].origin.span is None:
        chain.insert(0, makers[chain[0].inputs[0]])
    if graph.users().get(node.outputs[0]):
        return  # the last of them writes them all
    producer = makers[chain[0].inputs[0]]
    layer = draft.at(producer.origin.span)
    place = draft.place(layer) if layer is not None else None
    if layer is None or place is None or draft.age == 0:
        raise RefusedError(
            f"{node.name}: a {node.op} cannot be added to this prototxt",
            "E303",
            location=producer.origin.location,
            because="the file is older than global_pooling"
            if draft.age == 0
            else "no layer of the file gives its input",
            hint=WAY_OUT,
        )
    blob = renamed(layer.tops[producer.outputs.index(chain[0].inputs[0])], renames, layer.index, top=True)
    style, indent, text = draft.style(layer), indent_at(draft.text, place.field.span.start), ""
    for each in chain:
        name = unique(each.name.rpartition("@")[2], draft.blobs())
        word, items = _ending(draft, style, each, name, blob)
        text += draft.between(place.field) + indent + style.layer(word, items, indent)
        blob = name
    draft.insert(draft.end(place.field), text)


def _ending(draft: Draft, style: Style, node: Node, name: str, bottom: str) -> Words:
    kind, pool = ENDS[node.op]
    shown = style.text(kind) if draft.age == CROP_SINCE else kind.upper()
    items: list[Item] = [("name", style.text(name)), ("type", shown), ("bottom", style.text(bottom))]
    items.append(("top", style.text(name)))
    if pool:
        items.append(("pooling_param", [("pool", pool), ("global_pooling", "true")]))
    return "layer" if draft.age == CROP_SINCE else "layers", items


def _readers(draft: Draft, graph: Graph, pool: Node, blob: str, behind: Layer) -> list[tuple[range, range]]:
    """Tops and bottoms that go by the pooling's name: all behind it, or where some layers keep the map, the others'."""
    end = len(draft.layers)
    if not any(pool.inputs[0] in node.inputs for node in graph.nodes if node is not pool):
        return [(range(behind.index + 1, end),) * 2]
    places: list[tuple[range, range]] = []
    for node in graph.nodes:
        layer = draft.at(node.origin.span) if pool.outputs[0] in node.inputs else None
        if layer is not None and blob in layer.tops:  # in place: what follows it follows the pooling
            places.append((range(layer.index, end),) * 2)
        elif layer is not None:
            places.append((range(0), range(layer.index, layer.index + 1)))
    return places


def _last_writer(draft: Draft, layer: Layer, blob: str) -> Layer:
    """The layer, or the last one of another phase that writes the blob before anything reads it."""
    for other in draft.layers[layer.index + 1 :]:
        if blob in other.bottoms:
            break
        if blob in other.tops:
            layer = other
    return layer


def _write_layer(draft: Draft, behind: Layer, name: str, bottom: str, node: Node) -> None:
    place = draft.place(behind)
    style = draft.style(_model(draft, behind))
    word, items = _pooling(draft, behind, style, name, bottom, node.attrs)
    if place is None:  # the input is no layer of the file: the pooling comes before the first one
        first = next(iter(draft.places.values())).field
        indent = indent_at(draft.text, first.span.start)
        draft.insert(first.span.start, style.layer(word, items, indent) + draft.between(first) + indent)
    else:
        indent = indent_at(draft.text, place.field.span.start)
        text = style.layer(word, items, indent)
        draft.insert(draft.end(place.field), draft.between(place.field) + indent + text)


def _model(draft: Draft, near: Layer) -> Layer:
    """The layer a new pooling is written like: the nearest pooling before it."""
    poolings = [layer for layer in draft.layers[: near.index + 1] if layer.type == "Pooling"]
    return poolings[-1] if poolings else near


def _geometry(attrs: Mapping[str, Any]) -> list[Item]:
    items: list[Item] = []
    for name, sizes in (("kernel_size", attrs["kernel_shape"]), ("stride", attrs["strides"])):
        names = (name,) if sizes[0] == sizes[1] else paired(name)
        items += [(key, str(size)) for key, size in zip(names, sizes, strict=False)]
    return items


def _pooling(draft: Draft, layer: Layer, style: Style, name: str, bottom: str, attrs: Mapping[str, Any]) -> Words:
    """The word and the fields of a new pooling, as the age of the file has them.

    Its window is made to measure, so its rounding is not written: Caffe before 2018 does not know round_mode.
    """
    name, bottom = style.text(name), style.text(bottom)
    pool: list[Item] = [("pool", "AVE"), *_geometry(attrs)]
    if draft.age == 0:
        settings = [(draft.spelled(layer, key), value) for key, value in pool]
        return "layers", [
            ("layer", [("name", name), ("type", style.text("pool")), *settings]),
            ("bottom", bottom),
            ("top", name),
        ]
    word, kind = ("layer", style.text("Pooling")) if draft.age == 2 else ("layers", "POOLING")
    return word, [("name", name), ("type", kind), ("bottom", bottom), ("top", name), ("pooling_param", pool)]


def paired(name: str) -> tuple[str, str]:
    """How a field is called of which each axis has its own."""
    stem = name.removesuffix("_size")
    return f"{stem}_h", f"{stem}_w"
