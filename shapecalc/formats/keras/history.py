"""Where a layer is called, and on what: ``inbound_nodes`` of every version.

=========== ===========================================================================================================
Keras 3     ``{"args": [tensor, 2.0, [tensor, tensor]], "kwargs": {…}}``, a tensor being
            ``{"class_name": "__keras_tensor__", "config": {"keras_history": [layer, node, output]}}``
Keras 2, 1  ``[[layer, node, output, {…kwargs}], …]``, one for each tensor; of functions in the graph also
            ``[layer, node, output, {…}]``, and constants as ``["_CONSTANT_VALUE", -1, value, {…}]``
=========== ===========================================================================================================

``node`` counts the calls of the layer, ``output`` what they give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ...errors import ModelError
from .text import Document, Value

#: What a call is told besides its values.
NOT_VALUES = frozenset({"mask", "attention_mask", "training", "query_mask", "value_mask", "key_mask", "name"})


class Ref(NamedTuple):
    """A value by the layer that gives it: which call of the layer, which of its outputs, and where that is written."""

    layer: str
    node: int
    output: int
    at: Value


class Site(NamedTuple):
    """One call: ``args`` and ``kwargs`` as they are written, with a `Ref` for every value."""

    args: list[Any]
    kwargs: dict[str, Any]

    def refs(self) -> list[Ref]:
        """The values it is called on, in order."""
        named = [value for key, value in self.kwargs.items() if key not in NOT_VALUES]
        return [*leaves(self.args), *leaves(named)]


class Called(NamedTuple):
    """One call of a layer: its entry, the model around it, what it reads (and how that is written), what it gives.

    ``within`` is the ``config`` of a functional model, the list of layers of a sequence. The inputs of a model are
    calls that read nothing. ``node`` is what the layers and ``end`` what the outputs of a functional model call it by,
    ``number`` its place among the layer's own.
    """

    entry: Value
    within: Value
    refs: Sequence[Ref]
    read: Sequence[str]
    given: Sequence[str]
    node: int = 0
    end: int = 0
    number: int = 0

    @property
    def functional(self) -> bool:
        """Whether it says itself what it reads."""
        return isinstance(self.within.data, dict)


def leaves(value: Any) -> Iterator[Ref]:
    """Every `Ref` in lists and dicts of them."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Ref):
            yield item
        elif isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            waiting.extend(reversed(item.values()))


def ref_of(value: Value) -> Ref | None:
    """A tensor written as ``[layer, node, output]`` (and maybe more); None where this is something else."""
    parts = value.items()
    if len(parts) < 3:
        return None
    name, node, output = (part.data for part in parts[:3])
    if not isinstance(name, str) or type(node) is not int or type(output) is not int or node < 0 or output < 0:
        return None
    return Ref(name, node, output, value)


def refs_in(document: Document, value: Value | None) -> list[Ref]:
    """The tensors of ``input_layers`` or ``output_layers``: one, a list or a dict of them."""
    if value is None:
        return []
    found = ref_of(value)
    if found is not None:
        return [found]
    inner = list(value.data.values()) if isinstance(value.data, dict) else value.items()
    if not inner and value.data not in ([], {}, None):
        raise ModelError(f"{value.plain()!r} names no tensor", "E205", location=document.location(value))
    return [ref for item in inner for ref in refs_in(document, item)]


def sites(document: Document, entry: Value) -> list[Site]:
    """The calls of a layer of a functional model."""
    nodes = entry.get("inbound_nodes")
    found = []
    for node in nodes.items() if nodes is not None else []:
        if isinstance(node.data, dict):
            args, kwargs = node.get("args"), node.get("kwargs")
            named = kwargs.data if kwargs is not None and isinstance(kwargs.data, dict) else {}
            positional = args.items() if args is not None else []
            found.append(Site([_modern(a) for a in positional], {k: _modern(v) for k, v in named.items()}))
        elif isinstance(node.data, list) and node.data:
            found.append(_older(document, node))
        else:
            where = document.location(node)
            raise ModelError(f"inbound_nodes holds {node.plain()!r}, which is no call", "E202", location=where)
    return found


def _modern(value: Value) -> Any:
    kind = value.get("class_name")
    if kind is not None and kind.data == "__keras_tensor__":
        config = value.get("config")
        history = config.get("keras_history") if config is not None else None
        return (ref_of(history) if history is not None else None) or value
    if isinstance(value.data, list):
        return [_modern(item) for item in value.data]
    if isinstance(value.data, dict) and kind is None:
        return {key: _modern(item) for key, item in value.data.items()}
    return value


def _older(document: Document, node: Value) -> Site:
    lone = isinstance(node.data[0].data, str)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for item in [node] if lone else node.data:
        parts = item.items()
        ref = ref_of(item)
        if ref is None and not (len(parts) > 2 and parts[0].data == "_CONSTANT_VALUE"):
            shown = repr(item.plain())[:60]
            raise ModelError(f"{shown} names no call of a layer", "E205", location=document.location(item))
        args.append(ref if ref is not None else parts[2])
        if len(parts) > 3 and isinstance(parts[3].data, dict):
            kwargs |= {key: _deeper(value) for key, value in parts[3].data.items()}
    return Site(args, kwargs)


def _deeper(value: Value) -> Any:
    """A keyword argument of older versions: tensors in it are ``[layer, node, output]`` too."""
    found = ref_of(value)
    if found is not None:
        return found
    return [_deeper(item) for item in value.data] if isinstance(value.data, list) else value
