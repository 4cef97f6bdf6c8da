"""How a prototxt is laid out, so that what an edit adds looks like what is there.

Line ends, the indentation of one level, one field a line or several, messages on one line or in a block: all are read
off a layer of the file itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from ...source import Span
from .text import Field, Message

#: A field to be written: its name and its value, or the fields of its message.
Item: TypeAlias = "tuple[str, str | list[Item]]"

#: What may stand behind a field on its line and still leave the line to it: a separator, a comment.
_ALONE = re.compile(r"[;,]?[ \t]*(?:#[^\r\n]*)?")
_BLANK = re.compile(r"[ \t]*")
_SEPARATOR = re.compile(r"[ \t]*[;,]")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\000"}


class Style(NamedTuple):
    """``eol`` ends lines, ``unit`` indents one level, ``gap`` stands between fields on one line, ``quote`` around text.

    ``layers`` is "block" (one field a line), "packed" (the plain fields on one line) or "line" (all on one);
    ``messages`` is "block" or "line".
    """

    eol: str = "\n"
    unit: str = "  "
    gap: str = " "
    quote: str = '"'
    layers: str = "block"
    messages: str = "block"

    def text(self, value: str) -> str:
        """A string in quotes."""
        escaped = "".join(_ESCAPES.get(letter, letter) for letter in value)
        return f"{self.quote}{escaped.replace(self.quote, chr(92) + self.quote)}{self.quote}"

    def field(self, item: Item, indent: str = "") -> str:
        """A field as the file would have it, its first line without indentation."""
        name, value = item
        if isinstance(value, str):
            return f"{name}: {value}"
        if self.messages == "line":
            return self.line(item)
        return self._block(name, [self.field(part, indent + self.unit) for part in value], indent)

    def line(self, item: Item) -> str:
        """A field on one line."""
        name, value = item
        if isinstance(value, str):
            return f"{name}: {value}"
        return f"{name} {{ {self.gap.join(self.line(part) for part in value)} }}"

    def layer(self, name: str, items: Sequence[Item], indent: str = "") -> str:
        """A layer."""
        if self.layers == "line":
            return self.line((name, list(items)))
        if self.layers == "packed":
            plain = self.gap.join(self.line(item) for item in items if isinstance(item[1], str))
            messages = [self.field(item, indent + self.unit) for item in items if not isinstance(item[1], str)]
            return self._block(name, [plain, *messages], indent)
        return self._block(name, [self.field(item, indent + self.unit) for item in items], indent)

    def _block(self, name: str, lines: list[str], indent: str) -> str:
        inside = "".join(f"{indent}{self.unit}{line}{self.eol}" for line in lines)
        return f"{name} {{{self.eol}{inside}{indent}}}"


def style_of(text: str, layer: Field) -> Style:
    """The style of the file, read off one of its layers."""
    message = layer.value
    if not isinstance(message, Message):
        return Style(eol_of(text))
    plain = [field for field in message.fields if not isinstance(field.value, Message)]
    inner = [field for field in message.fields if isinstance(field.value, Message)]
    between = [text[a.span.end : b.span.start] for a, b in pairwise(plain)]
    blanks = [gap for gap in between if gap and not gap.strip(" \t")]
    strings = [field for field in plain if field.kind == "string"]
    layers = "line" if not _breaks(text, message.span) else "packed" if blanks else "block"
    blocks = [_breaks(text, field.value_span) for field in inner] or [layers == "block"]
    return Style(
        eol_of(text),
        _unit(text, layer, message),
        blanks[0] if blanks else " ",
        text[strings[0].value_span.start] if strings else '"',
        layers,
        "block" if blocks[0] else "line",
    )


def eol_of(text: str) -> str:
    """What ends the lines of a file."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def _breaks(text: str, span: Span) -> bool:
    return "\n" in text[span.start : span.end]


def _unit(text: str, layer: Field, message: Message) -> str:
    outer = indent_at(text, layer.span.start)
    for field in message.fields:
        inner = indent_at(text, field.span.start)
        if starts_line(text, field.span.start) and inner.startswith(outer) and len(inner) > len(outer):
            return inner[len(outer) :]
    return "  "


# -- places -----------------------------------------------------------------------------------------------------------


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def indent_at(text: str, position: int) -> str:
    """The blanks at the beginning of the line of a position."""
    blank = _BLANK.match(text, _line_start(text, position))
    return blank.group() if blank else ""


def starts_line(text: str, position: int) -> bool:
    """Whether nothing but blanks stands before a position on its line."""
    return not text[_line_start(text, position) : position].strip(" \t\ufeff")


def end_of_line(text: str, position: int) -> int | None:
    """Where the line of a field that ends here ends, if nothing but a comment follows; None where more follows."""
    rest = _ALONE.match(text, position)
    end = rest.end() if rest else position
    return end if end == len(text) or text.startswith(("\n", "\r\n"), end) else None


def after(text: str, field: Field, message: Message, added: Sequence[Item], style: Style) -> tuple[Span, str]:
    """The insertion of fields behind a field of a message: on lines of their own where the file has lines."""
    end = end_of_line(text, field.span.end)
    if end is None:
        separator = _SEPARATOR.match(text, field.span.end)
        place = separator.end() if separator else field.span.end
        return Span(place, place), "".join(style.gap + style.line(item) for item in added)
    indent = _indent_in(text, message, style)
    return Span(end, end), "".join(f"{style.eol}{indent}{style.field(item, indent)}" for item in added)


def _indent_in(text: str, message: Message, style: Style) -> str:
    for field in message.fields:
        if field.span.start < field.span.end and starts_line(text, field.span.start):
            return indent_at(text, field.span.start)
    return indent_at(text, message.span.start) + style.unit
