"""Calls, imports and assignments of a Python source, for edits: where a keyword goes, what ``F`` is called."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Sequence

from ...source import Span
from .text import Text

_BLANK = frozenset({tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.ENDMARKER})


def written_sizes(sizes: Sequence[int]) -> str:
    """One number for all axes, or a tuple."""
    return str(sizes[0]) if len(set(sizes)) == 1 else f"({', '.join(map(str, sizes))})"


class Calls:
    """The syntax tree of a source, asked by spans."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def _at(self, span: Span | None) -> list[ast.expr]:
        nodes = (node for node in ast.walk(self.text.tree) if isinstance(node, ast.expr))
        return [node for node in nodes if self.text.span(node) == span]

    def _inside(self, span: Span | None) -> list[ast.AST]:
        arguments = [part for call in self._at(span) if isinstance(call, ast.Call) for part in call.args]
        return [node for part in arguments for node in ast.walk(part)]

    def constants(self, span: Span | None, value: int) -> list[Span]:
        """Places of a number inside the arguments of a call."""
        found = [node for node in self._inside(span) if isinstance(node, ast.Constant)]
        return [self.text.span(node) for node in found if type(node.value) is int and node.value == value]

    def names(self, span: Span | None) -> list[Span]:
        """Places of names inside the arguments of a call, the last first."""
        return [self.text.span(node) for node in self._inside(span) if isinstance(node, ast.Name)][::-1]

    def operands(self, span: Span | None) -> list[Span]:
        """The arguments of a call, the elements of those that are lists, and both sides of an operator."""
        parts: list[ast.expr] = []
        for node in self._at(span):
            if isinstance(node, ast.Call):
                parts += [*node.args, *(keyword.value for keyword in node.keywords)]
            elif isinstance(node, ast.BinOp):
                parts += [node.left, node.right]
        parts += [item for part in parts if isinstance(part, (ast.List, ast.Tuple)) for item in part.elts]
        return [self.text.span(part) for part in parts if not isinstance(part, (ast.Starred, ast.Constant))]

    def with_keywords(self, span: Span | None, new: Sequence[str]) -> dict[Span, str]:
        """The insertion of keyword arguments at the end of a call, before the comma or the comment that ends it."""
        assert span is not None
        source = self.text.text[span.start : span.end]
        last = _last_token(source)
        place = span.start + last[1]
        comma = "" if last[0] in "(," else ","
        blank = " " if last[0] != "(" else ""
        return {Span(place, place): f"{comma}{blank}{', '.join(new)}"}

    def function(self, name: str) -> tuple[str, dict[Span, str]]:
        """How the file calls a function of chainer.functions, and the import that is added where it cannot yet."""
        imports = [node for node in ast.walk(self.text.tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
        ways = [way for node in imports for alias in node.names for way in [_way(node, alias, name)] if way]
        if ways:
            return min(ways)[1], {}
        last = max((self.text.span(node).end for node in self.text.tree.body if node in imports), default=0)
        eol = "\r\n" if "\r\n" in self.text.text else "\n"
        return name, {Span(last, last): f"{eol}from chainer.functions import {name}"}

    def assigned(self, kind: str, name: str) -> list[Span]:
        """What a class assigns to an attribute, in its body or to ``self``."""
        bodies = [node for node in self.text.tree.body if isinstance(node, ast.ClassDef) and node.name == kind]
        statements = [node for body in bodies for node in ast.walk(body) if isinstance(node, ast.Assign)]
        return [
            self.text.span(node.value) for node in statements if any(_named(target, name) for target in node.targets)
        ]


def _named(target: ast.expr, name: str) -> bool:
    if isinstance(target, ast.Attribute):
        return target.attr == name and isinstance(target.value, ast.Name) and target.value.id == "self"
    return isinstance(target, ast.Name) and target.id == name


def _way(node: ast.Import | ast.ImportFrom, alias: ast.alias, name: str) -> tuple[int, str] | None:
    """What an import lets a function be called by, and how well that reads (0 best)."""
    known = alias.asname or alias.name
    module = node.module if isinstance(node, ast.ImportFrom) else None
    if isinstance(node, ast.ImportFrom):
        ways = {
            ("chainer.functions", name): (0, known),
            ("chainer", "functions"): (1, f"{known}.{name}"),
            ("chainer.functions", "*"): (2, name),
        }
        return ways.get((module or "", alias.name))
    if alias.name == "chainer.functions":
        return (1 if alias.asname else 3), f"{known}.{name}"
    return (4, f"{known}.functions.{name}") if alias.name == "chainer" else None


def _last_token(call: str) -> tuple[str, int]:
    """The last token before a call's closing parenthesis and the position behind it."""
    lines = [0]
    for line in call.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(call, newline="").readline) if t.type not in _BLANK]
    last = tokens[-2] if len(tokens) > 1 else tokens[-1]
    return last.string, lines[last.end[0] - 1] + last.end[1]
