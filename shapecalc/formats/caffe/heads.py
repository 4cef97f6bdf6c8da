"""Heads of a prototxt: new names, numbers of outputs and classes, learning rates, in every phase of the file."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...graph import Graph, Node
from ...source import Span
from .draft import Draft
from .layer import Layer
from .rates import base_rate, speed_up, trains
from .renaming import Rename

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
#: The number of classes among the settings of a Python layer, which are text.
_IN_PYTHON = re.compile(r"""(?P<name>\bnum_classes['"]?\s*[:=]\s*)(?P<count>\d+)\b""")


class Pair(NamedTuple):
    """A layer whose node was replaced: the node before and after."""

    layer: Layer
    before: Node
    after: Node


def rename_heads(draft: Draft, old: Graph, pairs: list[Pair], renames: list[Rename]) -> None:
    """New names, numbers of outputs and learning rates, for the variants of a head in other phases as well."""
    read = {node.origin.span for node in old.nodes}
    rows = [(pair, head) for pair in pairs for head in _variants(draft, pair.layer, read)]
    base = base_rate(draft, [head for _, head in rows]) if trains(draft) else None
    for (layer, before, after), head in rows:
        name = after.name if head.name == layer.name else head.name + after.name.removeprefix(before.name)
        _name(draft, head, name)
        set_outputs(draft, head, after, base)
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


def set_outputs(draft: Draft, layer: Layer, node: Node, base: float | None) -> None:
    """Another number of outputs, and the learning rates of new weights where ``base`` is the file's own."""
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


def recount(draft: Draft, before: int, after: int) -> None:
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
