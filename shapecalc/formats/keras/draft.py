"""An edited definition in the making: replaced places of the JSON, and how Keras of each age writes a new layer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...errors import RefusedError
from ...source import Span, apply_patch
from ..changes import WAY_OUT
from .text import Document, Value


class Draft:
    """Replacements in a definition, each place once; everything else stays as it is."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.swaps: dict[Span, str] = {}
        self.inserts: list[tuple[Span, str]] = []
        self.removed: list[Span] = []

    def swap(self, value: Value, to: Any) -> None:
        """Another value in the place of one; one that is equal stays as it is written."""
        if value.plain() != to or type(value.data) is bool:
            self.swaps[value.span] = json.dumps(to)

    def sizes(self, value: Value, sizes: Sequence[int | None]) -> None:
        """Other numbers in the place of those of a list."""
        for item, size in zip(value.items(), sizes, strict=True):
            self.swap(item, size)

    def setting(self, config: Value, name: str, to: Any) -> None:
        """A setting's value; one that is not there is added in front."""
        value = config.get(name)
        if value is None:
            at = config.span.start + 1
            self.inserts.append((Span(at, at), f"{json.dumps(name)}: {json.dumps(to)}, "))
        elif isinstance(to, list) and len(value.items()) == len(to):
            self.sizes(value, to)
        else:
            self.swap(value, to)

    def drop(self, values: Value, gone: Sequence[Value]) -> None:
        """Takes elements out of a list, with the commas and blanks between them."""
        items, lost = values.items(), {id(item) for item in gone}
        kept = [i for i, item in enumerate(items) if id(item) not in lost]
        for i, item in enumerate(items):
            if id(item) in lost and (i == 0 or i - 1 in kept):
                behind = next((j for j in kept if j > i), len(items))
                span = Span(items[i - 1].span.end, items[behind - 1].span.end)
                if i == 0:
                    span = Span(item.span.start, items[behind].span.start if kept else items[-1].span.end)
                self.removed.append(span)

    def dropped(self, value: Value) -> bool:
        """Whether a value is taken out."""
        return any(span.start <= value.span.start and value.span.end <= span.end for span in self.removed)

    def insert(self, at: int, text: str) -> None:
        """Text in front of a character."""
        self.inserts.append((Span(at, at), text))

    def write(self) -> str:
        """The edited text; what would be changed in a part that is taken out goes with it."""
        inside = [span for span in self.swaps if any(r.start <= span.start and span.end <= r.end for r in self.removed)]
        swaps = {span: text for span, text in self.swaps.items() if span not in inside}
        return apply_patch(self.text, [*self.inserts, *swaps.items(), *((span, "") for span in self.removed)])

    def refuse(self, name: str, what: str, at: Value | None = None) -> RefusedError:
        """What the definition cannot say."""
        where = self.document.location(at) if at is not None else self.document.name
        return RefusedError(
            f"{name}: this definition cannot say the edit", "E303", location=where, because=what, hint=WAY_OUT
        )


#: The version of Keras from which on a pooling over all places can keep its axes.
KEEPDIMS_SINCE = (2, 6)
_VERSION = re.compile(r'"keras_version"\s*:\s*"(\d+)\.(\d+)')


class Age(NamedTuple):
    """The version a definition is written in: with modules (Keras 3), and with the settings of Keras 1.

    ``keeps_axes`` tells those whose poolings over all places have ``keepdims``.
    """

    modern: bool
    first: bool
    keeps_axes: bool = True

    @classmethod
    def of(cls, document: Document) -> Age:
        """As the text says it."""
        first = '"dim_ordering"' in document.text
        told = _VERSION.search(document.text)
        keeps = not first and (told is None or (int(told[1]), int(told[2])) >= KEEPDIMS_SINCE)
        return cls(document.root.get("module") is not None, first, keeps)

    def tensor(self, layer: str, shape: Sequence[int | None], node: int = 0, output: int = 0) -> Any:
        """A value, the first of a layer's first call, as another layer names it."""
        if not self.modern:
            return [layer, node, output, {}]
        config = {"shape": list(shape), "dtype": "float32", "keras_history": [layer, node, output]}
        return {"class_name": "__keras_tensor__", "config": config}

    def pooling(self, name: str, kernel: Sequence[int], strides: Sequence[int], layout: str) -> dict[str, Any]:
        """An average pooling without padding, not called on anything yet."""
        config: dict[str, Any] = {"name": name, "trainable": True, "pool_size": list(kernel)}
        if self.first:
            ordering = {"NHWC": "tf", "NCHW": "th"}[layout]
            config |= {"border_mode": "valid", "strides": list(strides), "dim_ordering": ordering}
        else:
            order = {"NHWC": "channels_last", "NCHW": "channels_first"}[layout]
            config |= {"padding": "valid", "strides": list(strides), "data_format": order}
        return self._entry("AveragePooling2D", config)

    def entry(self, kind: str, name: str, **settings: Any) -> dict[str, Any]:
        """A layer, not called on anything yet."""
        return self._entry(kind, {"name": name, "trainable": True, **settings})

    def _entry(self, kind: str, config: dict[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] = {"class_name": kind, "config": config}
        return {"module": "keras.layers", **entry, "registered_name": None} if self.modern else entry

    def called(self, entry: dict[str, Any], tensor: Any) -> dict[str, Any]:
        """A layer of a functional model, called once on one value."""
        node = {"args": [tensor], "kwargs": {}} if self.modern else [tensor]
        return {**entry, "name": entry["config"]["name"], "inbound_nodes": [node]}
