"""An edited definition in the making: replaced places of the JSON, and how Keras of each age writes a new layer."""

from __future__ import annotations

import json
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

    def insert(self, at: int, text: str) -> None:
        """Text in front of a character."""
        self.inserts.append((Span(at, at), text))

    def write(self) -> str:
        """The edited text."""
        return apply_patch(self.text, [*self.inserts, *self.swaps.items()])

    def refuse(self, name: str, what: str, at: Value | None = None) -> RefusedError:
        """What the definition cannot say."""
        where = self.document.location(at) if at is not None else self.document.name
        return RefusedError(
            f"{name}: this definition cannot say the edit", "E303", location=where, because=what, hint=WAY_OUT
        )


class Age(NamedTuple):
    """The version a definition is written in: with modules (Keras 3), and with the settings of Keras 1."""

    modern: bool
    first: bool

    @classmethod
    def of(cls, document: Document) -> Age:
        """As the text says it."""
        return cls(document.root.get("module") is not None, '"dim_ordering"' in document.text)

    def tensor(self, layer: str, shape: Sequence[int | None]) -> Any:
        """The first value of a layer's first call, as another one names it."""
        if not self.modern:
            return [layer, 0, 0, {}]
        config = {"shape": list(shape), "dtype": "float32", "keras_history": [layer, 0, 0]}
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
        entry: dict[str, Any] = {"class_name": "AveragePooling2D", "config": config}
        return {"module": "keras.layers", **entry, "registered_name": None} if self.modern else entry

    def called(self, entry: dict[str, Any], tensor: Any) -> dict[str, Any]:
        """A layer of a functional model, called once on one value."""
        node = {"args": [tensor], "kwargs": {}} if self.modern else [tensor]
        return {**entry, "name": entry["config"]["name"], "inbound_nodes": [node]}
