"""Edits of a prototxt: what the graphs have in common stays character by character, comments included.

The graph says what changed: a node that is still the same object is left alone, one of the same origin gets its name,
its number of outputs or its window replaced, one without a span is new and becomes a layer of text. Blobs are renamed
in every phase of the file, so a definition for training and testing stays whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import ModelError, RefusedError
from ...graph import Graph, Node
from .. import Options, Source
from ..changes import WAY_OUT, changes
from .draft import Draft
from .heads import Pair, recount, rename_heads, set_outputs
from .inserting import insert, paired
from .layer import Layer
from .net import build
from .renaming import Rename, rename_blobs
from .resize import resize
from .states import PHASES
from .text import Message, parse

#: The message and field with the outputs of a layer that pools what a head gives.
POOLED = {"PSROIPooling": ("psroi_pooling_param", "output_dim")}
#: What an edit may have changed of a pooling.
_WINDOW = frozenset({"kernel_shape", "strides", "pads", "ceil_mode"})


def patch(source: Source, old: Graph, new: Graph) -> Iterator[str]:
    """The prototxt of ``new``, made of ``source``, which is that of ``old``.

    Raises RefusedError (E303) for what a prototxt cannot say.
    """
    draft = Draft(parse(source.text(), source.name))
    renames: list[Rename] = []
    found = changes(old, new, shorter=True)
    pairs = [_pair(draft, before, after) for before, after in found.replaced]
    rename_heads(draft, old, [row for row in pairs if row.before.name != row.after.name], renames)
    if "classes" in new.meta:
        recount(draft, *new.meta["classes"])
    for layer, before, after in pairs:
        _change(draft, layer, before, after)
    for node in found.added:
        insert(draft, new, node, renames)
    declared = {given.name: given for given in new.inputs}
    for given in old.inputs:
        if declared.get(given.name, given) is not given:
            resize(draft, given, declared[given.name])
    rename_blobs(draft, renames)
    if found.gone:
        _check_held(old, new)
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


# -- layers taken out -------------------------------------------------------------------------------------------------


def _check_held(old: Graph, new: Graph) -> None:
    """Raises RefusedError where a blob would not hold what the net is cut at: a layer that stays works in its place."""
    users = new.users()
    for value in new.outputs:
        if value not in old.meta["held"] and value in users and users[value][0].origin.span is not None:
            raise RefusedError(
                f"{value}: a prototxt cannot give it",
                "E303",
                location=users[value][0].origin.location,
                because=f"{users[value][0].name} works on its blob in place",
                hint=WAY_OUT,
            )


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
        set_outputs(draft, layer, after, None)
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
    names = ("kernel_size",) if sizes[0] == sizes[1] else paired("kernel_size")
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
    high, wide = paired(name)
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


def _rounding(draft: Draft, layer: Layer, up: bool) -> None:
    """In BVLC Caffe's words, or in the fork's where the file has those; up is what Caffe does when nothing is said."""
    view = layer.param("pooling_param")
    if view.has("ceil_mode"):
        draft.set(layer, "pooling_param", ceil_mode="true" if up else "false")
    elif not up or view.has("round_mode"):
        draft.set(layer, "pooling_param", round_mode="CEIL" if up else "FLOOR")
