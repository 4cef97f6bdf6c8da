"""A Python source as text: its syntax tree, the exact span of every piece, and errors that name its line."""

from __future__ import annotations

import ast
import re
import warnings

from ...errors import ModelError
from ...source import Span

#: Python's tokenizer ends a line here and nowhere else (str.splitlines knows more).
_LINE_END = re.compile(r"\r\n|\r|\n")
#: A definition of a network is a few hundred lines; more than this is not one, and parsing it takes memory.
LONGEST = 4 << 20
#: Longer quotations make a message unreadable.
QUOTED = 60


class Text:
    """One Python file: ``name`` for people, ``tree`` its parsed module, ``own`` False for shapecalc's own definitions.

    Raises ModelError where it is not Python.
    """

    def __init__(self, name: str, text: str, *, own: bool = True) -> None:
        self.name = name
        self.text = text
        self.own = own
        self.start = 1 if text.startswith("\ufeff") else 0
        self.tree = self._parse(text[self.start :])
        ends = [match.end() for match in _LINE_END.finditer(text, self.start)]
        self._lines = [self.start, *ends]

    def _parse(self, text: str) -> ast.Module:
        if len(text) > LONGEST:
            raise ModelError(f"{len(text)} characters are too many for a definition", "E202", location=self.name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "\d" in somebody's docstring is not our user's business
                return ast.parse(text)
        except SyntaxError as error:
            raise self._misread(str(error.msg), error.lineno) from None
        except (RecursionError, MemoryError):
            raise self._misread("expressions are nested too deeply", None) from None
        except ValueError as error:  # null bytes, surrogates, a number of too many digits
            raise self._misread(str(error), None) from None

    def _misread(self, why: str, line: int | None) -> ModelError:
        hint = "a Python 2 file becomes Python 3 with 2to3" if "print" in why or "exec" in why else None
        location = f"{self.name}:{line}" if line else self.name
        return ModelError(f"this is not Python: {why}", "E203", location=location, hint=hint)

    def span(self, node: ast.AST) -> Span:
        """Characters of a node (`ast` counts columns in bytes of UTF-8)."""
        return Span(
            self._position(getattr(node, "lineno", 1), getattr(node, "col_offset", 0)),
            self._position(getattr(node, "end_lineno", 1), getattr(node, "end_col_offset", 0)),
        )

    def _position(self, line: int, column: int) -> int:
        start = self._lines[line - 1]
        piece = self.text[start : start + column]
        return start + (column if piece.isascii() else len(piece.encode()[:column].decode(errors="ignore")))

    def quote(self, node: ast.AST) -> str:
        """The node as it is written, on one line and shortened."""
        span = self.span(node)
        words = " ".join(self.text[span.start : span.end].split())
        return words if len(words) <= QUOTED else words[: QUOTED - 1] + "…"

    def location(self, node: ast.AST) -> str:
        """``file:line``."""
        return f"{self.name}:{getattr(node, 'lineno', 1)}"


class Site:
    """A place in a source: what an error points to and an edit replaces."""

    __slots__ = ("node", "text")

    def __init__(self, text: Text, node: ast.AST) -> None:
        self.text = text
        self.node = node

    @property
    def line(self) -> int:
        """Line number, from 1."""
        return int(getattr(self.node, "lineno", 1))

    @property
    def span(self) -> Span:
        """Its characters."""
        return self.text.span(self.node)

    def quote(self) -> str:
        """It as it is written."""
        return self.text.quote(self.node)

    def error(self, message: str, code: str = "E205", hint: str | None = None) -> ModelError:
        """An error about this place."""
        return ModelError(message, code, location=self.text.location(self.node) if self.text.own else None, hint=hint)
