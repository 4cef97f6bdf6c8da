"""The end of a forward taken off: the statements behind the cut go, and what it returns is what it is cut at.

A value is returned where an expression gives it and nothing else; where none does, as behind a loop, by a name that
holds it after a statement. Which name that is is not computed but tried: the caller reads each text again. Links that
are not called any more stay in ``__init__``, so that a snapshot of the whole net still loads.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from ...errors import RefusedError
from ...graph import Graph, Node
from ...source import Span, apply_patch
from ..changes import WAY_OUT, ends_of
from .calling import Calls
from .text import Text

#: A comment behind a statement, which stays with it.
_COMMENT = re.compile(r"[ \t]*#[^\r\n]*")
#: Operator of an ending -> the function of Chainer.
ENDS = {"GlobalAveragePool": "average_pooling_2d", "GlobalMaxPool": "max_pooling_2d", "Flatten": "reshape"}
#: Statements whose body runs once.
_ONCE = (ast.With,)
#: Boundaries of statements that are tried where no expression gives the value alone.
MOST_TRIES = 24


class Tap(NamedTuple):
    """A value that is returned: its name in the graph, the layer that gives it, and what is made of it at the end."""

    value: str
    node: Node
    added: tuple[Node, ...]


class Place(NamedTuple):
    """An expression and the statement of the forward that it stands in."""

    span: Span
    statement: ast.stmt
    whole: bool  # the statement assigns the expression to one name


def taps_of(graph: Graph, added: Sequence[Node]) -> list[Tap]:
    """What a cut net returns."""
    producers = graph.producers()
    ends = (end for end in ends_of(graph, added) if end.value in producers)
    return [Tap(end.value, producers[end.value], end.added) for end in ends]


class Forward:
    """The forward of a definition, which is cut."""

    def __init__(self, text: Text, span: Span | None) -> None:
        self.text = text
        self.calls = Calls(text)
        nodes = (node for node in ast.walk(text.tree) if isinstance(node, ast.FunctionDef))
        self.node = next((node for node in nodes if text.span(node) == span), None)

    def shortened(self, taps: Sequence[Tap], written: dict[str, list[Span]]) -> Iterator[dict[Span, str]]:
        """Replacements that end the forward at the taps, best first; raises RefusedError (E303) where none does."""
        if self.node is None or not self.node.body:
            raise _refused(taps[0].node, "the forward of its class is not written in this file")
        places = [self.place(tap, written) for tap in taps]
        if None not in places:
            yield self.at([place for place in places if place is not None], taps)
        elif len(taps) == 1:
            yield from self.behind(taps[0])
        if None in places and (len(taps) > 1 or not self.near(taps[0])):
            raise self.refused(taps[places.index(None)])

    # -- values that an expression gives ------------------------------------------------------------------------------

    def place(self, tap: Tap, written: dict[str, list[Span]]) -> Place | None:
        """The innermost expression of the forward that gives a value, outside of what may run twice or never."""
        for span in written.get(tap.value, ()):
            path = self.path(span)
            if path and all(isinstance(outer, _ONCE) for outer in path[:-1]) and not _blocks(path[-1]):
                value = getattr(path[-1], "value", None)
                exact = value is not None and self.text.span(value) == span
                return Place(span, path[-1], exact and bool(_target(path[-1])))
        return None

    def path(self, span: Span) -> list[ast.stmt]:
        """The statements of the forward around a span, the outermost first; none where it is outside."""
        found: list[ast.stmt] = []
        body: Sequence[ast.stmt] = self.node.body if self.node is not None else ()
        while body:
            inside = (each for each in body if _covers(self.text.span(each), span))
            statement = next(inside, None)
            if statement is None:
                break
            found.append(statement)
            body = [each for block in _blocks(statement) for each in block]
        return found

    def at(self, places: Sequence[Place], taps: Sequence[Tap]) -> dict[Span, str]:
        """The forward ends with the statement of the last value; the others have names by then, or get one."""
        order = sorted(range(len(places)), key=lambda i: (places[i].statement.lineno, _length(places[i].span)))
        *earlier, final = order
        last = places[final]
        edit: dict[Span, str] = {}
        inner: dict[Span, str] = {}  # expressions that were given a name
        said: dict[int, str] = {}
        for i in earlier:
            said[i] = self.held(places[i], last.statement) or self.hoisted(places[i], taps[i], edit, inner)
        if last.whole:
            said[final] = _target(last.statement)
        elif taps[final].added:
            said[final] = self.hoisted(last, taps[final], edit, inner)
        else:
            said[final] = self.patched(last.span, inner)
        returned = ", ".join(self.ended(said[i], tap.added, edit) for i, tap in enumerate(taps))
        start = self.text.span(last.statement).start
        edit |= {span: name for span, name in inner.items() if last.whole or span.end <= start}
        return edit | (self.rest if last.whole else self.instead)(last.statement, returned)

    def hoisted(self, place: Place, tap: Tap, edit: dict[Span, str], inner: dict[Span, str]) -> str:
        """A new name for an expression, in a line in front of its statement; what it is made of is named already."""
        name = self.free(tap.node.name, [*inner.values()])
        start = self.text.span(place.statement).start
        here = Span(start, start)
        line = f"{name} = {self.patched(place.span, inner)}{self.eol}{self.indent(place.statement)}"
        edit[here] = edit.get(here, "") + line
        for span in [span for span in inner if _covers(place.span, span)]:
            del inner[span]
        inner[place.span] = name
        return name

    def held(self, place: Place, last: ast.stmt) -> str | None:
        """The name that a statement gives a value, if it still has it where the forward ends."""
        if not place.whole:
            return None
        name = _target(place.statement)
        end, stop = self.text.span(place.statement).end, self.text.span(last).end
        nodes = (node for node in ast.walk(self.node) if isinstance(node, ast.Name)) if self.node is not None else ()
        later = (node for node in nodes if node.id == name and isinstance(node.ctx, ast.Store))
        return None if any(end <= self.text.span(node).start < stop for node in later) else name

    def patched(self, span: Span, inner: dict[Span, str]) -> str:
        """The text of an expression with names in the place of parts; on several lines it gets brackets."""
        inside = [(s, t) for s, t in inner.items() if _covers(span, s)]
        moved = [(Span(s.start - span.start, s.end - span.start), t) for s, t in inside]
        text = apply_patch(self.text.text[span.start : span.end], moved)
        return f"({text})" if "\n" in text else text

    # -- values that a name holds -------------------------------------------------------------------------------------

    def behind(self, tap: Tap) -> Iterator[dict[Span, str]]:
        """The forward ends behind a statement and returns a name that it sets, where the layer stands first."""
        pairs = [(statement, name) for statement in self.near(tap) for name in _assigned(statement)]
        for statement, name in islice(pairs, MOST_TRIES):
            edit: dict[Span, str] = {}
            returned = self.ended(name, tap.added, edit)
            yield edit | self.rest(statement, returned)

    def near(self, tap: Tap) -> list[ast.stmt]:
        """Statements of the forward, those around the layer and behind it first."""
        assert self.node is not None
        body = [each for each in self.node.body if not isinstance(each, ast.Return) and _assigned(each)]
        line = tap.node.origin.line if tap.node.origin.file == self.text.name else None
        around = [each for each in body if line is not None and each.lineno <= line <= (each.end_lineno or line)]
        return [*around, *(each for each in body if each not in around)]

    # -- texts --------------------------------------------------------------------------------------------------------

    def rest(self, statement: ast.stmt, returned: str) -> dict[Span, str]:
        """A return behind a statement, in the place of all that follows."""
        end = self.text.span(statement).end
        comment = _COMMENT.match(self.text.text, end)
        end = comment.end() if comment else end
        return {Span(end, max(end, self.end)): f"{self.eol}{self.indent(statement)}return {returned}"}

    def instead(self, statement: ast.stmt, returned: str) -> dict[Span, str]:
        """A return in the place of a statement and of all that follows."""
        return {Span(self.text.span(statement).start, self.end): f"return {returned}"}

    def ended(self, name: str, added: Sequence[Node], edit: dict[Span, str]) -> str:
        """A value that has a name, pooled over its places and flattened."""
        said = name
        for node in added:
            function, imported = self.calls.function(ENDS[node.op])
            edit |= imported
            said = f"{function}({said}, {f'({name}.shape[0], -1)' if node.op == 'Flatten' else f'{name}.shape[2:]'})"
        return said

    @property
    def end(self) -> int:
        """Where the last statement of the forward ends."""
        assert self.node is not None
        return self.text.span(self.node.body[-1]).end

    @property
    def eol(self) -> str:
        """How lines end."""
        return "\r\n" if "\r\n" in self.text.text else "\n"

    def indent(self, statement: ast.stmt) -> str:
        """What stands in front of a statement on its line."""
        start = self.text.span(statement).start
        line = self.text.text[
            max(self.text.text.rfind("\n", 0, start), self.text.text.rfind("\r", 0, start)) + 1 : start
        ]
        return line[: len(line) - len(line.lstrip())]

    def free(self, name: str, taken: Sequence[str]) -> str:
        """A name that nothing of the file has."""
        stem = re.sub(r"\W+", "_", name).strip("_") or "tap"
        stem = f"_{stem}" if stem[0].isdigit() else stem
        used = {node.id for node in ast.walk(self.text.tree) if isinstance(node, ast.Name)} | {*taken}
        used |= {node.arg for node in ast.walk(self.text.tree) if isinstance(node, ast.arg)}
        return next(each for each in _numbered(stem) if each not in used)

    def refused(self, tap: Tap) -> RefusedError:
        """Why no statement ends with a value."""
        return _refused(tap.node, "the text that gives it serves several layers, or runs more than once")


def _refused(node: Node, why: str) -> RefusedError:
    return RefusedError(
        f"{node.name}: this source cannot be cut there",
        "E303",
        location=node.origin.location,
        because=why,
        hint=WAY_OUT,
    )


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}_{i}" for i in range(2, 1 << 16))


def _target(statement: ast.stmt) -> str:
    """The one name that a statement gives a value, an empty text for none or several."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else ""


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The bodies of a statement."""
    fields = (getattr(statement, key, None) for key in ("body", "orelse", "finalbody"))
    return [block for block in fields if isinstance(block, list) and block]


def _assigned(statement: ast.stmt) -> list[str]:
    """The names that a statement gives values, the last first."""
    nodes = [node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return list(dict.fromkeys(node.id for node in sorted(nodes, key=lambda n: (n.lineno, n.col_offset), reverse=True)))


def _covers(outer: Span, inner: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _length(span: Span) -> int:
    return span.end - span.start
