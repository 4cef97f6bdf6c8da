"""A prototxt while it is edited: its layers of every phase, and the replacements collected so far.

Layers are looked at upgraded, so one rule serves V0, V1 and V2; what is written goes where the file itself has the
field, under the name its age gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ...errors import RefusedError
from ...source import Span
from ..changes import WAY_OUT
from .layer import Layer
from .style import Item, Style, after, end_of_line, eol_of, indent_at, starts_line, style_of
from .text import Document, Field, Message
from .upgrade import upgrade
from .view import View

#: Today's name of a field that an edit may add -> its name in V0 (V0LayerParameter in caffe.proto).
V0_NAMES = {
    "batch_size": "batchsize",
    "crop_size": "cropsize",
    "kernel_size": "kernelsize",
    "lr_mult": "blobs_lr",
    "decay_mult": "weight_decay",
    "name": "name",
    "pad": "pad",
    "pool": "pool",
    "stride": "stride",
}


class Place(NamedTuple):
    """Where a layer's own fields stand in the file: the field of the layer, and the message with its settings.

    In V0 the settings are in a ``layer { }`` inside ``layers { }``; else both are the same.
    """

    field: Field
    outer: Message
    inner: Message


class Draft:
    """``layers`` of every phase in the order of the file, ``age`` 0, 1 or 2 for V0, V1 and V2."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.root = View(upgrade(document), document.name)
        self.layers = [
            Layer(field, View(field.value, document.name), index)
            for index, field in enumerate(self.root.all("layer"))
            if isinstance(field.value, Message)
        ]
        self.places = {field.span: _place(field) for field in document.root.fields if _is_layer(field)}
        old = any(field.name == "layers" for field in document.root.fields)
        nested = any(place.outer is not place.inner for place in self.places.values())
        self.age = 2 if not old else 0 if nested else 1
        self._values: dict[Span, str] = {}
        self._inserted: list[tuple[Span, str]] = []

    # -- layers -------------------------------------------------------------------------------------------------------
    def at(self, span: Span | None) -> Layer | None:
        """The layer of a span, None where the file has none there."""
        return next((layer for layer in self.layers if layer.field.span == span), None)

    def place(self, layer: Layer) -> Place | None:
        """Where a layer stands; None for one that was made of ``input`` fields."""
        return self.places.get(layer.field.span)

    def style(self, layer: Layer | None) -> Style:
        """The style of a layer, of the first one where it has no text of its own."""
        place = self.place(layer) if layer is not None else None
        if place is None:
            place = next(iter(self.places.values()), None)
        return Style() if place is None else style_of(self.text, place.field)

    def blobs(self) -> set[str]:
        """Every blob and layer name of the file, in any phase."""
        return {name for layer in self.layers for name in (layer.name, *layer.bottoms, *layer.tops)}

    def refuse(self, layer: Layer, message: str, hint: str = WAY_OUT) -> RefusedError:
        """An edit that this file cannot say."""
        return RefusedError(
            f"{layer.name}: this prototxt cannot say the edit",
            "E303",
            location=layer.location,
            because=message,
            hint=hint,
        )

    # -- edits --------------------------------------------------------------------------------------------------------
    def replace(self, field: Field, text: str) -> None:
        """Another value for a field."""
        if self.text[field.value_span.start : field.value_span.end] != text:
            self._values[field.value_span] = text

    def number(self, field: Field, value: float) -> None:
        """Another number for a field, unless it says that number already."""
        if field.value != value:
            self.replace(field, plain(value))

    def string(self, field: Field, value: str) -> None:
        """Another string for a field, in the quotes it has."""
        if field.value != value:
            quote = self.text[field.value_span.start]
            self.replace(field, Style(quote=quote).text(value))

    def set(self, layer: Layer, message: str, **values: str) -> None:
        """Values of fields of a layer's message (``pooling_param``), which are added where the file has none."""
        view = layer.param(message)
        missing: list[Item] = []
        for name, text in values.items():
            field = view.one(name)
            if field is not None and not _empty(field.value_span):
                self.replace(field, text)
            else:
                missing.append((name, text))
        if missing:
            self._add(layer, message, missing)

    def _add(self, layer: Layer, message: str, items: list[Item]) -> None:
        field = layer.view.one(message)
        if self.age == 0:
            self.add(layer, [(self.spelled(layer, name), value) for name, value in items], inside=True)
        elif field is None or not isinstance(field.value, Message):
            self.add(layer, [(message, items)])
        else:
            self.extend(layer, field.value, items)

    def spelled(self, layer: Layer, name: str) -> str:
        """A field's name as the age of the file spells it."""
        if self.age == 0 and name not in V0_NAMES:
            raise self.refuse(layer, f"a V0 layer cannot say {name}")
        return V0_NAMES[name] if self.age == 0 else name

    def extend(self, layer: Layer, message: Message, items: Sequence[Item]) -> None:
        """Adds fields at the end of a message."""
        style = self.style(layer)
        if message.fields:
            last = max(message.fields, key=lambda field: field.span.end)
            self._inserted.append(after(self.text, last, message, items, style))
        else:
            self._values[message.span] = "{ " + style.gap.join(style.line(item) for item in items) + " }"

    def add(self, layer: Layer, items: Sequence[Item], behind: Field | None = None, *, inside: bool = False) -> None:
        """Adds fields to a layer, behind a field or behind its name, type, bottoms and tops.

        ``inside``: to the ``layer { }`` inside a V0 layer.
        """
        place = self.place(layer)
        if place is None:
            raise self.refuse(layer, "the file has no layer for its input")
        message = place.inner if inside else place.outer
        if behind is None:
            first = [f for f in message.fields if not isinstance(f.value, Message)] or message.fields
            heads = [f for f in first if f.name in ("name", "type", "bottom", "top")]
            behind = (first if inside or not heads else heads)[-1]
        self._inserted.append(after(self.text, behind, message, items, self.style(layer)))

    def insert(self, position: int, text: str) -> None:
        """Text at a position."""
        self._inserted.append((Span(position, position), text))

    def rename(self, field: Field, name: str) -> None:
        """Another name for a field, whatever it holds."""
        self._values[Span(field.span.start, field.span.start + len(field.name))] = name

    def swap(self, field: Field, text: str) -> None:
        """Other text for a whole field, its name included."""
        self._values[field.span] = text

    def remove(self, layer: Layer) -> None:
        """Takes a layer out, with the lines it fills."""
        place = self.place(layer)
        if place is None:
            raise self.refuse(layer, "an input field of the file cannot be taken out")
        start, end = place.field.span
        whole = end_of_line(self.text, end)
        if starts_line(self.text, start) and whole is not None:
            start -= len(indent_at(self.text, start))
            end = min(self.text.find("\n", whole) + 1 or len(self.text), len(self.text))
        self._values[Span(start, end)] = ""

    def end(self, field: Field) -> int:
        """Where a layer ends, with the comment behind it on its line."""
        return end_of_line(self.text, field.span.end) or field.span.end

    def between(self, field: Field) -> str:
        """The line ends between the layer of a field and the one behind it, or the one before it."""
        spans = sorted(self.places)
        pairs = [(a, b) for a, b in pairwise(spans) if field.span in (a, b)]
        eol = eol_of(self.text)
        for before, behind in reversed(pairs):
            gap = self.text[before.end : behind.start]
            if not gap.strip():
                return eol * max(gap.count("\n"), 1)
        return eol

    def write(self) -> str:
        """The file with every edit; everything else exactly as it was."""
        return self.document.write([*self._values.items(), *self._inserted])


def plain(value: float) -> str:
    """A number as a prototxt has it: 10, 0.1."""
    return f"{value:.10g}"


def _empty(span: Span) -> bool:
    return span.start == span.end


def _is_layer(field: Field) -> bool:
    return field.name in ("layer", "layers") and isinstance(field.value, Message)


def _place(field: Field) -> Place:
    assert isinstance(field.value, Message)
    inner = [part.value for part in field.value.fields if part.name == "layer" and isinstance(part.value, Message)]
    return Place(field, field.value, inner[0] if inner else field.value)
