"""JSON with places: every value knows the characters it stands on, so that an error has a line and an edit a span.

The grammar is JSON's (RFC 8259) with the NaN and Infinity that Python writes. Nothing is evaluated; nesting and size
are bounded.
"""

from __future__ import annotations

import bisect
import json
import math
import re
from typing import Any

from ...errors import ModelError
from ...source import Span

#: More levels, values or digits than this come from no model.
DEEPEST, MOST_VALUES, LONGEST_NUMBER = 150, 500_000, 400

_BLANK = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_WORD = re.compile(r"-?[A-Za-z]+")
_WORDS = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}


class Value:
    """A JSON value: ``data`` is None, a bool, a number, a text, a list or dict of values; ``span`` is its place."""

    __slots__ = ("data", "span")

    def __init__(self, data: Any, span: Span) -> None:
        self.data = data
        self.span = span

    def get(self, key: str) -> Value | None:
        """A member of an object; None where it is absent, or where this is no object."""
        return self.data.get(key) if isinstance(self.data, dict) else None

    def items(self) -> list[Value]:
        """The elements of an array; none where this is no array."""
        return self.data if isinstance(self.data, list) else []

    def plain(self) -> Any:
        """The value without places, as `json.loads` gives it."""
        if isinstance(self.data, dict):
            return {key: value.plain() for key, value in self.data.items()}
        if isinstance(self.data, list):
            return [value.plain() for value in self.data]
        return self.data

    def __repr__(self) -> str:
        return f"Value({self.plain()!r})"


class Document:
    """A JSON text: ``name`` for people, ``text`` as it was read, ``root`` its value."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._lines = [match.end() for match in re.finditer("\n", text)]
        self.root = _Parser(self).whole()

    def line(self, position: int) -> int:
        """Line number, from 1, of a character position."""
        return bisect.bisect_right(self._lines, position) + 1

    def location(self, value: Value) -> str:
        """``file:line`` of a value."""
        return f"{self.name}:{self.line(value.span.start)}"


class _Parser:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.count = 0

    def whole(self) -> Value:
        value = self.value(self.blank(0), 0)
        if self.blank(value.span.end) != len(self.text):
            raise self.error("text after the end of the JSON", self.blank(value.span.end))
        return value

    def error(self, message: str, at: int) -> ModelError:
        found = self.text[at : at + 20].split("\n")[0]
        where = f"{self.document.name}:{self.document.line(at)}"
        return ModelError(f"{message}, at {found!r}" if found else f"{message}, at the end", "E203", location=where)

    def blank(self, at: int) -> int:
        match = _BLANK.match(self.text, at)
        return match.end() if match else at

    def value(self, at: int, depth: int) -> Value:
        self.count += 1
        if depth > DEEPEST or self.count > MOST_VALUES:
            raise self.error("more values or deeper nesting than a model has", at)
        first = self.text[at : at + 1]
        if first == "{":
            return self.object(at, depth)
        if first == "[":
            return self.array(at, depth)
        if first == '"':
            text, end = self.string(at)
            return Value(text, Span(at, end))
        return self.scalar(at)

    def object(self, at: int, depth: int) -> Value:
        """Of a key that stands twice the last counts, as in Python."""
        members: dict[str, Value] = {}
        place = self.blank(at + 1)
        while self.text[place : place + 1] != "}" or members:
            key, place = self.string(place)
            place = self.mark(place, ":")
            members[key] = self.value(place, depth + 1)
            place, more = self.next(members[key].span.end, "}")
            if not more:
                return Value(members, Span(at, place))
        return Value(members, Span(at, place + 1))

    def array(self, at: int, depth: int) -> Value:
        elements: list[Value] = []
        place = self.blank(at + 1)
        while self.text[place : place + 1] != "]" or elements:
            elements.append(self.value(place, depth + 1))
            place, more = self.next(elements[-1].span.end, "]")
            if not more:
                return Value(elements, Span(at, place))
        return Value(elements, Span(at, place + 1))

    def next(self, at: int, closing: str) -> tuple[int, bool]:
        """The place behind a comma (and True), or behind the closing bracket."""
        place = self.blank(at)
        found = self.text[place : place + 1]
        if found == closing:
            return place + 1, False
        if found != ",":
            raise self.error(f"',' or {closing!r} expected", place)
        return self.blank(place + 1), True

    def mark(self, at: int, wanted: str) -> int:
        place = self.blank(at)
        if self.text[place : place + 1] != wanted:
            raise self.error(f"{wanted!r} expected", place)
        return self.blank(place + 1)

    def string(self, at: int) -> tuple[str, int]:
        match = _STRING.match(self.text, at)
        if match is None:
            raise self.error("a text in double quotes expected", at)
        body = match.group()[1:-1]
        if "\\" not in body:
            return body, match.end()
        try:
            return str(json.loads(match.group(), strict=False)), match.end()
        except ValueError:
            raise self.error("an escape that JSON does not have", at) from None

    def scalar(self, at: int) -> Value:
        word = _WORD.match(self.text, at)
        if word is not None and word.group() in _WORDS:
            return Value(_WORDS[word.group()], Span(at, word.end()))
        number = _NUMBER.match(self.text, at)
        if number is None or number.end() - at > LONGEST_NUMBER:
            raise self.error("a JSON value expected", at)
        real = number[1] is not None or number[2] is not None
        return Value(float(number.group()) if real else int(number.group()), Span(at, number.end()))
