"""One layer of an upgraded net, and the spans of it that an edit may replace."""

from __future__ import annotations

from functools import cached_property

from ...errors import ModelError
from ...source import Origin, Span
from .text import Field, Message
from .view import View


class Layer:
    """A layer as the tables of `kinds` see it.

    ``spatial`` is the number of spatial axes of the net's images, ``phase`` "TRAIN" or "TEST", ``index`` its place.
    ``bottoms`` and ``tops`` are blobs as the file names them, ``inputs`` and ``outputs`` their values (`wiring`).
    """

    def __init__(self, field: Field, view: View, index: int, phase: str = "TEST") -> None:
        self.field = field
        self.view = view
        self.index = index
        self.spatial = 2
        self.phase = phase
        self.type = view.text("type")
        self.name = view.text("name") or f"{self.type}_{index}"
        self.bottoms = tuple(view.texts("bottom"))
        self.tops = tuple(view.texts("top"))
        self.inputs: tuple[str, ...] = ()
        self.outputs: tuple[str, ...] = ()

    @property
    def location(self) -> str:
        """``file:line``."""
        return f"{self.view.file}:{self.field.line}"

    def param(self, name: str) -> View:
        """The message with the layer's own settings, an empty one where it is absent."""
        return self.view.view(name)

    def refuse(self, message: str, code: str = "E109", hint: str | None = None) -> ModelError:
        """What Caffe would not build."""
        return ModelError(f"{self.name}: {message}", code, location=self.location, hint=hint)

    @cached_property
    def origin(self) -> Origin:
        """Where the layer stands, with the spans of its fields (`parts`)."""
        return Origin(
            file=self.view.file, line=self.field.line, op=self.type, span=self.field.span, parts=parts(self.field)
        )


def parts(field: Field) -> dict[str, Span]:
    """Span of every value in a layer that an edit may replace, by name.

    Fields of the layer and of its ``…_param`` messages go by their own name, a second one of a name by ``name[1]``;
    ``lr_mult[1]`` is that of the second parameter. Deeper ones are dotted (``weight_filler.type``). A message's name
    gives its braces, ``message`` the whole layer. What an upgrade made up has no span and is left out.
    """
    found: dict[str, Span] = {}
    if field.span.start != field.span.end:
        found["message"] = field.span
    if isinstance(field.value, Message):
        _collect(found, field.value, "")
    return found


def _collect(found: dict[str, Span], message: Message, prefix: str) -> None:
    counts: dict[str, int] = {}
    for item in message.fields:
        index = counts[item.name] = counts.get(item.name, -1) + 1
        if item.value_span.start != item.value_span.end:
            found.setdefault(_numbered(prefix + item.name, index), item.value_span)
        if isinstance(item.value, Message):
            if item.name == "param":
                _collect_param(found, item.value, index)
            else:
                inside = "" if not prefix and item.name.endswith("_param") else f"{prefix}{item.name}."
                _collect(found, item.value, inside)


def _collect_param(found: dict[str, Span], message: Message, index: int) -> None:
    for item in message.fields:
        name = f"param.{item.name}" if item.name == "name" else item.name
        found.setdefault(_numbered(name, index), item.value_span)


def _numbered(key: str, index: int) -> str:
    return f"{key}[{index}]" if index else key
