"""Protobuf's text format, the grammar of a prototxt, apart from what its fields mean.

A document is a tree of messages and fields. Every field remembers its line and two spans of the source, its own and its
value's, so that an edit replaces characters and leaves the rest of the file alone. As real files use it: comments, both
quotes, adjacent strings, escapes, ``name { }`` and ``name: { }`` and ``name < >``, ``;`` and ``,`` between fields,
``[a, b]`` for repeated ones, hexadecimal and octal numbers, floats with a trailing ``f``.

Source of the grammar: https://protobuf.dev/reference/protobuf/textformat-spec/ and google/protobuf/text_format.cc.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from ...errors import ModelError
from ...source import Span, apply_patch

#: text_format.cc refuses to go deeper than this as well.
DEEPEST = 100
#: The largest definition read, in characters. The largest published one has 0.2 million.
LARGEST = 32 << 20
#: The longest number read, in characters.
LONGEST_NUMBER = 64

#: What stands for a value that is left open.
HOLE = "?"

Value: TypeAlias = "Message | str | int | float"


class Field(NamedTuple):
    """``name: value``. ``kind`` is "message", "string", "number", "word" (an enum's name, true, false, inf) or "hole".

    A hole is a value left open, ``?``: our own addition to the grammar, filled before the net is read.

    ``span`` covers the field from the name to the end of the value, ``value_span`` the value with its quotes or braces.
    """

    name: str
    value: Value
    kind: str
    line: int
    span: Span
    value_span: Span


class Message(NamedTuple):
    """Fields in the order of the file; ``span`` includes the braces."""

    fields: tuple[Field, ...]
    line: int
    span: Span


class Document(NamedTuple):
    """A parsed file: its name for messages, its text, and the tree."""

    name: str
    text: str
    root: Message

    def write(self, replacements: Iterable[tuple[Span, str]] = ()) -> str:
        """The source with spans replaced; everything else exactly as it was."""
        return apply_patch(self.text, replacements)


class Token(NamedTuple):
    """A piece of the source: its kind ("word", "number", "string", "hole", "sign", "end") and where it lies."""

    kind: str
    text: str
    start: int
    end: int


_SKIPPED = re.compile(r"(?:[ \t\r\n\f\v]++|\#[^\n]*+)*+")
_TOKEN = re.compile(
    r"(?P<word>[A-Za-z_]\w*+)"
    r"|(?P<number>(?:0[xX][0-9a-fA-F]++|(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?+)[fF]?+(?![\w.]))"
    r"|(?P<string>\"(?:[^\"\\\n]|\\[^\n])*+\"|'(?:[^'\\\n]|\\[^\n])*+')"
    r"|(?P<hole>\?)"
    r"|(?P<sign>[-{}<>:;,./\[\]])",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|(.))")
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CLOSING = {"{": "}", "<": ">"}


def parse(text: str, name: str = "<text>") -> Document:
    """The tree of a prototxt; raises ModelError with ``name:line`` and what was expected."""
    if len(text) > LARGEST:
        raise ModelError(
            f"the file has {len(text):,} characters; a definition has no more than {LARGEST:,}", "E202", location=name
        )
    return Document(name, text, _Parser(text, name).document())


def _unescaped(match: re.Match[str]) -> str:
    octal, hexadecimal, code, letter = match.groups()
    if letter is not None:
        return _LETTERS.get(letter, letter)
    return chr(int(octal, 8) if octal else int(hexadecimal or code, 16))


class _Parser:
    """One token ahead; ``token`` is the next one to be read."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.counted = 0  # newlines before this position are in `line`
        self.line = 1
        self.token = self.scan(1 if text.startswith("\ufeff") else 0)

    # -- tokens -------------------------------------------------------------------------------------------------------
    def scan(self, position: int) -> Token:
        """The token at or after a position."""
        skipped = _SKIPPED.match(self.text, position)
        start = skipped.end() if skipped else position
        if start == len(self.text):
            return Token("end", "the end of the file", start, start)
        match = _TOKEN.match(self.text, start)
        if match is None:
            raise self.error(start, self.strange(start))
        return Token(match.lastgroup or "", match.group(), start, match.end())

    def strange(self, start: int) -> str:
        """What is wrong with characters that are no token."""
        if self.text[start] in "\"'":
            return "expected the closing quote before the end of the line"
        piece = re.split(r"\s", self.text[start : start + 20])[0]
        return f"expected a field, a number or a string, found {piece!r}"

    def next(self) -> Token:
        """Reads one token."""
        token = self.token
        self.token = self.scan(token.end)
        return token

    def at(self, signs: str) -> bool:
        """Whether the next token is one of these signs."""
        return self.token.kind == "sign" and self.token.text in signs

    def line_at(self, position: int) -> int:
        """Line, from 1, of a position; cheap for positions that only grow."""
        if position < self.counted:
            return self.text.count("\n", 0, position) + 1
        self.line += self.text.count("\n", self.counted, position)
        self.counted = position
        return self.line

    def error(self, position: int, message: str) -> ModelError:
        """A syntax error at a position."""
        return ModelError(message, "E203", location=f"{self.name}:{self.line_at(position)}")

    def expected(self, what: str) -> ModelError:
        """The next token is not what the grammar wants."""
        found = self.token.text if self.token.kind == "end" else repr(self.token.text[:40])
        return self.error(self.token.start, f"expected {what}, found {found}")

    # -- grammar ------------------------------------------------------------------------------------------------------
    def document(self) -> Message:
        """The whole file."""
        fields: list[Field] = []
        while self.token.kind != "end":
            self.field(fields, 0)
        return Message(tuple(fields), 1, Span(0, len(self.text)))

    def field(self, fields: list[Field], depth: int) -> None:
        """``name: value`` and a separator; one field for each value of a list."""
        start, line = self.token.start, self.line_at(self.token.start)
        name = self.field_name()
        colon = self.at(":")
        if colon:
            self.next()
        if colon and self.at("["):
            values = self.listed(depth)
            end = self.ended
        elif colon or self.at("{<"):
            values = [self.value(depth)]
            end = values[0][2].end
        else:
            raise self.expected(f"':' or '{{' after {name}")
        fields += [Field(name, value, kind, line, Span(start, end), span) for value, kind, span in values]
        if self.at(";,"):
            self.next()

    def field_name(self) -> str:
        """A name, or ``[package.extension]``."""
        if self.token.kind == "word":
            return self.next().text
        if not self.at("["):
            raise self.expected("the name of a field")
        pieces = [self.next().text]
        while self.token.kind == "word" or self.at("./"):
            pieces.append(self.next().text)
        if not self.at("]"):
            raise self.expected("']'")
        return "".join([*pieces, self.next().text])

    def listed(self, depth: int) -> list[tuple[Value, str, Span]]:
        """``[a, b, c]``."""
        self.next()
        values: list[tuple[Value, str, Span]] = []
        while not self.at("]"):
            values.append(self.value(depth))
            if self.at(","):
                self.next()
            elif not self.at("]"):
                raise self.expected("',' or ']'")
        self.ended = self.next().end
        return values

    def value(self, depth: int) -> tuple[Value, str, Span]:
        """A message or a scalar, its kind and its span."""
        if self.at("{<"):
            message = self.message(depth + 1)
            return message, "message", message.span
        start = self.token.start
        if self.token.kind == "string":
            return self.strings(start)
        if self.token.kind == "hole":
            return HOLE, "hole", Span(start, self.next().end)
        negative = self.at("-")
        if negative:
            self.next()
        if self.token.kind == "number":
            number = self.number(self.next())
            return -number if negative else number, "number", Span(start, self.ended)
        if self.token.kind == "word":
            return self.word(start, negative)
        raise self.expected("a value")

    def message(self, depth: int) -> Message:
        """``{ fields }`` or ``< fields >``."""
        opening = self.next()
        line = self.line_at(opening.start)
        if depth > DEEPEST:
            raise self.error(opening.start, f"expected at most {DEEPEST} messages inside one another")
        fields: list[Field] = []
        closing = _CLOSING[opening.text]
        while not self.at(closing):
            if self.token.kind == "end":
                raise self.expected(f"{closing!r} for the {opening.text!r} of line {line}")
            self.field(fields, depth)
        return Message(tuple(fields), line, Span(opening.start, self.next().end))

    def strings(self, start: int) -> tuple[Value, str, Span]:
        """One string, or several side by side that are one."""
        pieces = []
        end = start
        while self.token.kind == "string":
            token = self.next()
            pieces.append(_ESCAPE.sub(_unescaped, token.text[1:-1]))
            end = token.end
        return "".join(pieces), "string", Span(start, end)

    def word(self, start: int, negative: bool) -> tuple[Value, str, Span]:
        """An enum's name, a truth value, or an infinity."""
        token = self.next()
        if not negative:
            return token.text, "word", Span(start, token.end)
        if token.text.lower() not in ("inf", "infinity", "nan"):
            raise self.error(start, f"expected a number after '-', found {token.text!r}")
        return -float(token.text), "number", Span(start, token.end)

    def number(self, token: Token) -> int | float:
        """An int where the text is one (hexadecimal and octal as in C), else a float."""
        text = token.text
        if len(text) > LONGEST_NUMBER:
            raise self.error(token.start, f"expected a number of at most {LONGEST_NUMBER} characters")
        self.ended = token.end
        if text[:2] in ("0x", "0X"):
            return int(text, 16)
        if text.isdigit():
            if len(text) > 1 and text[0] == "0":
                return self.octal(token)
            return int(text)
        return float(text.rstrip("fF"))

    def octal(self, token: Token) -> int:
        """``010`` is 8, as in C."""
        try:
            return int(token.text, 8)
        except ValueError:
            raise self.error(token.start, f"expected octal digits after the 0 of {token.text!r}") from None
