"""The state of one reading.

Nothing is executed: every statement and expression of the definition is looked at in its syntax tree and given the
meaning it has for the shape of a network; what has none (reporting, printing, initial weights) is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Protocol

from ...errors import ModelError
from ...source import Origin, Span
from .calls import call
from .expressions import evaluate
from .python import truth
from .statements import execute
from .tape import Tape
from .text import Site, Text
from .use import Row, Use, numbers
from .values import Arguments, Link, Opaque, Scope, Value

#: Steps a reading may take: the largest public definition takes about 20,000.
MOST_STEPS = 400_000


class Loader(Protocol):
    """Finds the modules of a definition's imports."""

    def __call__(self, name: str, level: int, site: Site, wanted: str | None = None) -> Scope | None:
        """The scope of a module, the first that has the name ``wanted``; None where there is none."""


class Run:
    """One reading of a definition: the tape it writes, the phase, and where it is."""

    def __init__(
        self,
        *,
        train: bool = False,
        arguments: Mapping[str, Value] | None = None,
        load: Loader | None = None,
    ) -> None:
        self.tape = Tape()
        self.train = train
        self.arguments = dict(arguments or {})  # what the caller gave, also for names the definition leaves open
        self.load = load  # the scope of a module beside the definition
        self.modules: dict[str, Scope] = {}  # those that were read, by their file
        self.text: Text | None = None  # the file that edits are written into
        self.steps = 0
        self.sites: list[Site] = []  # calls of the definition's own text that we are inside of
        self.chains: list[Link] = []  # links whose forward we are inside of
        self.depth = 0
        self.composites: dict[str, Value] = {}  # those of shapecalc's own definitions that were used
        self.model: Link | None = None  # the root of the tree of links
        self.detached = 0  # links that were never registered

    def tick(self, site: Site) -> None:
        """Counts a step; raises ModelError where a definition takes too many."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise site.error(f"more than {MOST_STEPS:,} steps: this loop does not end", "E202")

    def origin(self, site: Site, op: str, parts: dict[str, Span]) -> Origin:
        """Where a layer comes from: in shapecalc's own composites, the call in the definition that led there.

        What is left of ``parts`` then are the places of numbers that the definition passed on.
        """
        if site.text.own:
            return Origin(site.text.name, site.line, op, site.span, parts)
        if self.sites:
            near = self.sites[-1]
            return Origin(near.text.name, near.line, op, near.span, numbers(parts))
        return Origin(op=op)

    @property
    def scope_path(self) -> str:
        """The path of the chain whose methods we are inside of."""
        return self.chains[-1].path if self.chains else ""

    def use(self, row: Row, given: dict[str, Value], site: Site, parts: dict[str, Span] | None = None) -> Use:
        """One use of a function, ready for its rule."""
        origin = self.origin(site, row.name, parts or {})
        return Use(row, given, self.tape, site=site, origin=origin, scope=self.scope_path)

    def apply(self, row: Row, arguments: Arguments, site: Site) -> Value:
        """Calls a function of chainer.functions."""
        given, parts = row.bind(arguments, site)
        return row.rule(self.use(row, given, site, parts))

    def call(self, function: Value, arguments: Arguments, site: Site) -> Value:
        """Calls anything."""
        return call(self, function, arguments, site)

    # -- modules --------------------------------------------------------------------------------------------------
    def module(self, text: Text) -> Scope:
        """A module's names: its definitions, imports and constants. What it does besides is left alone."""
        scope = self.modules[text.name] = Scope(text)
        scope.names["__name__"] = text.name
        self.define(text.tree.body, scope)
        return scope

    def define(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        """Takes the definitions of a module's body; a constant that cannot be known fails when it is used."""
        for statement in body:
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
                execute(self, [statement], scope)
            elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                self._constant(statement, scope)
            elif isinstance(statement, ast.Try):
                self.define(statement.body, scope)
            elif isinstance(statement, ast.If):
                self._branch(statement, scope)

    def _constant(self, statement: ast.Assign | ast.AnnAssign | ast.AugAssign, scope: Scope) -> None:
        try:
            execute(self, [statement], scope)
        except ModelError:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for name in (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)):
                scope.names[name] = self.arguments.get(name, Opaque(name, scope.site(statement)))

    def _branch(self, statement: ast.If, scope: Scope) -> None:
        try:
            taken = statement.body if truth(evaluate(self, statement.test, scope), scope.site(statement)) else None
        except ModelError:
            taken = statement.body
        self.define(statement.orelse if taken is None else taken, scope)
