"""Edits of a prototxt: what the graphs have in common stays character by character, comments included.

The graph says what changed: a node that is still the same object is left alone, one of the same origin gets its name,
its number of outputs or its window replaced, one without a span is new and becomes a layer of text. Blobs are renamed
in every phase of the file, so a definition for training and testing stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from ...errors import ModelError, RefusedError
from ...graph import Graph, Node
from ...source import Span
from .. import Options, Source
from ..changes import WAY_OUT, changes
from .draft import Draft
from .layer import Layer
from .net import build
from .rates import base_rate, speed_up, trains
from .resize import resize
from .states import PHASES
from .style import Item, Style, indent_at
from .text import Message, parse
from .wiring import unique

#: The message with the number of outputs of each layer type that can be a head.
HEADS = {
    "Convolution": "convolution_param",
    "ConvolutionDepthwise": "convolution_param",
    "Deconvolution": "convolution_param",
    "DepthwiseConvolution": "convolution_param",
    "InnerProduct": "inner_product_param",
}
#: The message with the number of classes of each layer type that counts them besides.
COUNTS = {
    "DetectionEvaluate": "detection_evaluate_param",
    "DetectionOutput": "detection_output_param",
    "MultiBoxLoss": "multibox_loss_param",
}
#: The message and field with the outputs of a layer that pools what a head gives.
POOLED = {"PSROIPooling": ("psroi_pooling_param", "output_dim")}
#: The number of classes among the settings of a Python layer, which are text.
_IN_PYTHON = re.compile(r"""(?P<name>\bnum_classes['"]?\s*[:=]\s*)(?P<count>\d+)\b""")
#: What an edit may have changed of a pooling.
_WINDOW = frozenset({"kernel_shape", "strides", "pads", "ceil_mode"})
#: The word a layer begins with, and its fields.
Words: TypeAlias = tuple[str, list[Item]]


class Pair(NamedTuple):
    """A layer whose node was replaced: the node before and after."""

    layer: Layer
    before: Node
    after: Node


#: The age of files that know the Crop layer: it came after V1.
CROP_SINCE = 2


class Rename(NamedTuple):
    """A blob's new name, for the tops and bottoms of layers at these places of the file."""

    old: str
    new: str
    tops: range
    bottoms: range


def patch(source: Source, old: Graph, new: Graph) -> Iterator[str]:
    """The prototxt of ``new``, made of ``source``, which is that of ``old``.

    Raises RefusedError (E303) for what a prototxt cannot say.
    """
    draft = Draft(parse(source.text(), source.name))
    renames: list[Rename] = []
    found = changes(old, new, shorter=True)
    pairs = [_pair(draft, before, after) for before, after in found.replaced]
    _rename_heads(draft, old, [row for row in pairs if row.before.name != row.after.name], renames)
    if "classes" in new.meta:
        _recount(draft, *new.meta["classes"])
    for layer, before, after in pairs:
        _change(draft, layer, before, after)
    for node in found.added:
        _insert(draft, new, node, renames)
    declared = {given.name: given for given in new.inputs}
    for given in old.inputs:
        if declared.get(given.name, given) is not given:
            resize(draft, given, declared[given.name])
    _rename_blobs(draft, renames)
    if found.gone:
        _take_out(draft, old, found.gone)
    text = draft.write()
    _check_phases(draft, text, old.meta.get("options", Options()))
    yield text


def _check_phases(draft: Draft, text: str, options: Options) -> None:
    """A phase that was whole stays whole, whichever was read; raises RefusedError otherwise."""
    edited = parse(text, draft.document.name)
    for phase in PHASES:
        chosen = options._replace(phase=phase)
        try:
            build(draft.document, chosen)
        except ModelError:
            continue
        try:
            build(edited, chosen)
        except ModelError as error:
            raise RefusedError(
                f"for phase {phase} the file would not be whole",
                "E303",
                location=draft.document.name,
                because=error.message,
                hint=WAY_OUT,
            ) from None


def _pair(draft: Draft, before: Node, after: Node) -> Pair:
    layer = draft.at(before.origin.span)
    assert layer is not None  # the graph was read from this text
    return Pair(layer, before, after)


# -- heads ------------------------------------------------------------------------------------------------------------


def _rename_heads(draft: Draft, old: Graph, pairs: list[Pair], renames: list[Rename]) -> None:
    """New names, numbers of outputs and learning rates, for the variants of a head in other phases as well."""
    read = {node.origin.span for node in old.nodes}
    rows = [(pair, head) for pair in pairs for head in _variants(draft, pair.layer, read)]
    base = base_rate(draft, [head for _, head in rows]) if trains(draft) else None
    for (layer, before, after), head in rows:
        name = after.name if head.name == layer.name else head.name + after.name.removeprefix(before.name)
        _name(draft, head, name)
        _head(draft, head, after, base)
    for layer, before, after in pairs:
        if layer.tops[:1] == (before.name,) and after.name not in draft.blobs():
            in_place = before.name in layer.bottoms
            index = layer.index if in_place else 0
            end = len(draft.layers)
            renames.append(Rename(before.name, after.name, range(index, end), range(index + in_place, end)))


def _variants(draft: Draft, layer: Layer, read: set[Span | None]) -> list[Layer]:
    """The layer, and those of phases that were not read that are called like it or write the same blob."""
    others = [other for other in draft.layers if other.type == layer.type and other.field.span not in read]
    return [layer, *(other for other in others if other.name == layer.name or other.tops == layer.tops)]


def _name(draft: Draft, layer: Layer, name: str) -> None:
    field = layer.view.one("name")
    if field is not None:
        draft.string(field, name)
    else:
        draft.add(layer, [("name", draft.style(layer).text(name))], inside=True)


def _head(draft: Draft, layer: Layer, node: Node, base: float | None) -> None:
    message = HEADS.get(layer.type)
    channels = node.attrs.get("channels")
    if message is None or not isinstance(channels, int):
        raise draft.refuse(layer, f"the outputs of {layer.type} cannot be changed here")
    draft.set(layer, message, num_output=str(channels))
    group = layer.param(message).one("group") if layer.type == "Deconvolution" else None
    if group is not None:
        draft.number(group, node.attrs.get("group", 1))
    if base is not None and not _fixed(layer):
        speed_up(draft, layer, 2 if layer.param(message).flag("bias_term", True) else 1, base)


def _fixed(layer: Layer) -> bool:
    """Whether a deconvolution does not learn: FCN's enlarge by a kernel that is made."""
    rates = [spec.real("lr_mult", 1.0) for spec in layer.view.views("param")]
    return layer.type == "Deconvolution" and bool(rates) and not any(rates)


def _recount(draft: Draft, before: int, after: int) -> None:
    """Layers of any phase that hold the number of classes among their settings."""
    for layer in draft.layers:
        if layer.type in COUNTS:
            count = layer.param(COUNTS[layer.type]).one("num_classes")
            if count is not None and count.value == before:
                draft.number(count, after)
        elif layer.type == "Python":
            _recount_python(draft, layer, before, after)


def _recount_python(draft: Draft, layer: Layer, before: int, after: int) -> None:
    settings = layer.param("python_param").one("param_str")
    if settings is None:
        return

    def told(found: re.Match[str]) -> str:
        return f"{found['name']}{after}" if int(found["count"]) == before else found[0]

    draft.string(settings, _IN_PYTHON.sub(told, str(settings.value)))


# -- layers taken out -------------------------------------------------------------------------------------------------


def _take_out(draft: Draft, old: Graph, gone: list[Node]) -> None:
    """Takes layers out, and with them those of other phases that read what is no longer written."""
    spans = {node.origin.span for node in gone}
    read = {node.origin.span for node in old.nodes}
    written: set[str] = set()
    for layer in draft.layers:
        orphan = layer.field.span not in read and not written.issuperset(layer.bottoms)
        if orphan or layer.field.span in spans:
            draft.remove(layer)
        else:
            written.update(layer.tops)


# -- other changes ----------------------------------------------------------------------------------------------------


def _change(draft: Draft, layer: Layer, before: Node, after: Node) -> None:
    """Attributes that an edit replaced; the wiring follows from renamed blobs."""
    if (before.op, after.op) == ("Gemm", "Conv"):
        _convolution(draft, layer, after)
        return
    changed = {k for k in {*before.attrs, *after.attrs} if before.attrs.get(k) != after.attrs.get(k)}
    if "channels" in changed and layer.type in POOLED:
        message, name = POOLED[layer.type]
        field = layer.param(message).one(name)
        if field is not None:
            draft.number(field, after.attrs["channels"])
    elif before.name == after.name and "channels" in changed:
        _head(draft, layer, after, None)
    changed -= {"channels", "num_classes"} | ({"group"} if "channels" in changed else set())
    if changed and changed <= _WINDOW and layer.type == "Pooling":
        _window(draft, layer, after.attrs, changed)
    elif changed == {"shape"} and layer.type == "Reshape":
        dims = layer.param("reshape_param").view("shape").all("dim")
        for field, size in zip(dims, after.attrs["shape"], strict=True):
            draft.number(field, size)
    elif changed or after.op != before.op:
        raise draft.refuse(layer, f"its {', '.join(sorted(changed)) or 'type'} cannot be changed in a prototxt")


def _convolution(draft: Draft, layer: Layer, node: Node) -> None:
    """A fully connected layer as a convolution without padding or stride: its type, its message, its window."""
    view, kind = layer.param("inner_product_param"), layer.view.one("type")
    message = layer.view.one("inner_product_param")
    held = message.value if message is not None else None
    if (
        draft.age == 0
        or kind is None
        or message is None
        or view.has("axis", "transpose")
        or not isinstance(held, Message)
    ):
        raise draft.refuse(layer, "its type cannot be changed in this prototxt")
    if draft.age == 1:
        draft.replace(kind, "CONVOLUTION")
    else:
        draft.string(kind, "Convolution")
    draft.rename(message, "convolution_param")
    sizes = node.attrs["kernel_shape"]
    names = ("kernel_size",) if sizes[0] == sizes[1] else _paired("kernel_size")
    draft.extend(layer, held, [(key, str(size)) for key, size in zip(names, sizes, strict=False)])


def _window(draft: Draft, layer: Layer, attrs: Mapping[str, Any], changed: set[str]) -> None:
    pads = attrs.get("pads", (0, 0, 0, 0))
    if pads[:2] != pads[2:]:
        raise draft.refuse(layer, "Caffe pads both sides alike")
    for key, field, sizes, default in (
        ("kernel_shape", "kernel_size", attrs["kernel_shape"], 0),
        ("strides", "stride", attrs["strides"], 1),
        ("pads", "pad", pads[:2], 0),
    ):
        if key in changed:
            _sizes(draft, layer, field, sizes, default)
    if "ceil_mode" in changed:
        _rounding(draft, layer, bool(attrs["ceil_mode"]))


def _sizes(draft: Draft, layer: Layer, name: str, sizes: tuple[int, int], default: int) -> None:
    """One number, or the ``_h`` and ``_w`` spelling where the file has it or the numbers differ."""
    view = layer.param("pooling_param")
    high, wide = _paired(name)
    if view.has(high, wide):
        draft.set(layer, "pooling_param", **{high: str(sizes[0]), wide: str(sizes[1])})
        return
    field = view.one(name)
    if sizes[0] == sizes[1]:
        if field is not None or sizes[0] != default:
            draft.set(layer, "pooling_param", **{name: str(sizes[0])})
    elif field is None:
        draft.set(layer, "pooling_param", **{high: str(sizes[0]), wide: str(sizes[1])})
    else:
        draft.spelled(layer, high)
        style = draft.style(layer)
        draft.swap(field, f"{high}: {sizes[0]}{style.gap}{wide}: {sizes[1]}")


def _paired(name: str) -> tuple[str, str]:
    stem = name.removesuffix("_size")
    return f"{stem}_h", f"{stem}_w"


def _rounding(draft: Draft, layer: Layer, up: bool) -> None:
    """In BVLC Caffe's words, or in the fork's where the file has those; up is what Caffe does when nothing is said."""
    view = layer.param("pooling_param")
    if view.has("ceil_mode"):
        draft.set(layer, "pooling_param", ceil_mode="true" if up else "false")
    elif not up or view.has("round_mode"):
        draft.set(layer, "pooling_param", round_mode="CEIL" if up else "FLOOR")


# -- new layers -------------------------------------------------------------------------------------------------------


def _insert(draft: Draft, graph: Graph, node: Node, renames: list[Rename]) -> None:
    """A pooling behind the layer that writes what it reads; from there on the blob goes by the pooling's name.

    Layers that work in place on the blob do so on the pooled one then.
    """
    if node.op == "Crop":
        _insert_crop(draft, graph, node, renames)
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
    read = _renamed(layer.tops[producer.outputs.index(value)], renames, layer.index, top=True)
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
    read, wanted = (
        _renamed(blobs[name], renames, layer.index, top=False) for name in (node.outputs[0], node.inputs[1])
    )
    name = unique(node.name, draft.blobs())
    renames.append(Rename(blobs[node.outputs[0]], name, range(0), range(layer.index, layer.index + 1)))
    style, field = draft.style(layer), place.field
    pairs = (("name", name), ("type", "Crop"), ("bottom", read), ("bottom", wanted), ("top", name))
    items: list[Item] = [(key, style.text(value)) for key, value in pairs]
    indent = indent_at(draft.text, field.span.start)
    draft.insert(field.span.start, style.layer("layer", items, indent) + draft.between(field) + indent)


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
        names = (name,) if sizes[0] == sizes[1] else _paired(name)
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


# -- blobs ------------------------------------------------------------------------------------------------------------


def _renamed(blob: str, renames: list[Rename], index: int, *, top: bool) -> str:
    for row in renames:
        if blob == row.old and index in (row.tops if top else row.bottoms):
            blob = row.new
    return blob


def _rename_blobs(draft: Draft, renames: list[Rename]) -> None:
    for layer in draft.layers if renames else ():
        for name, top in (("bottom", False), ("top", True)):
            for field in layer.view.all(name):
                draft.string(field, _renamed(str(field.value), renames, layer.index, top=top))
