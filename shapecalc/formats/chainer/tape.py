"""What the interpreter writes while it follows ``forward``: nodes, parameters, and their names.

Links are called by their path; function calls as Caffe would call them after the link before them: conv5 -> relu5,
norm5, pool5; fc6 -> relu6, drop6; a second one of a kind with ``_2``; after a link without a number, ``relu_<link>``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...dims import symbols
from ...errors import ModelError
from ...graph import Input, Node, Param
from ...source import Origin, Span
from .values import Variable

#: More layers than this come from a loop that does not end, not from a network.
MOST_NODES = 20_000
#: Expressions around one another that one value is known by.
MOST_PLACES = 8
_TRAILING = re.compile(r"(\d+)$")


class RankError(ModelError):
    """An input has another number of axes than it was taken to have: the definition gives each of them a name."""

    def __init__(self, message: str, location: str | None, fed: str, rank: int) -> None:
        super().__init__(message, "E205", location=location)
        self.fed = fed
        self.rank = rank


class Tape:
    """Nodes, parameters and inputs in the order they come up.

    ``scores`` are the values that go into losses and accuracies, ``labels`` the inputs compared with them, ``written``
    the expressions that give each value, ``reserved`` the paths of links: no function call is named like one.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.params: dict[str, Param] = {}
        self.inputs: dict[str, Input] = {}
        self.scores: dict[str, None] = {}
        self.labels: dict[str, None] = {}
        self.warnings: dict[str, None] = {}
        self.written: dict[str, list[Span]] = {}
        self.reserved: frozenset[str] = frozenset()
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def unique(self, name: str, *, link: bool = False) -> str:
        """``name``, or with ``_2``, ``_3``, … where it is taken."""
        chosen = name
        while chosen in self._taken or (chosen in self.reserved and not link):
            self._counts[name] = self._counts.get(name, 1) + 1
            chosen = f"{name}_{self._counts[name]}"
        self._taken.add(chosen)
        return chosen

    def wrote(self, value: str, span: Span) -> None:
        """An expression of the definition that gives a value, inner ones before those around them."""
        spans = self.written.setdefault(value, [])
        if span not in spans[-MOST_PLACES:]:
            spans.append(span)

    def feed(self, given: Input) -> None:
        """Adds an input."""
        self._taken.add(given.name)
        self.inputs[given.name] = given

    def param(self, name: str, shape: Sequence[Any] | None = None, *, trained: bool = True, **fields: Any) -> str:
        """A parameter by its key in an ``.npz``; the same link called twice shares it. Returns the name."""
        if name not in self.params:
            self.params[name] = Param(name, None if shape is None else tuple(shape), trained=trained, **fields)
        return name

    def add(
        self,
        op: str,
        name: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any],
        origin: Origin,
        outputs: int = 1,
        domain: str = "",
        *,
        link: bool = False,
    ) -> tuple[str, ...]:
        """Adds a node under a name that is free (``link``: that of a link); returns the names of its outputs."""
        if len(self.nodes) >= MOST_NODES:
            raise ModelError(f"more than {MOST_NODES} layers", "E202", location=origin.location)
        chosen = self.unique(name, link=link)
        names = tuple(chosen if i == 0 else self.unique(f"{chosen}:{i}") for i in range(outputs))
        kept = {key: value for key, value in attrs.items() if value is not None}
        refers = tuple(dict.fromkeys(name.rpartition("[")[0] for value in kept.values() for name in _free(value)))
        if refers:
            kept["refers"] = refers
        if "ceil_mode" in attrs:
            kept["ceil_mode"] = attrs["ceil_mode"]
        self.nodes.append(Node(chosen, op, inputs, names, kept, domain=domain, origin=origin))
        return names


def _free(value: Any) -> list[str]:
    if isinstance(value, (tuple, list)):
        return [name for item in value for name in _free(item)]
    return sorted(symbols(value))


def label(kind: str, scope: str, after: str, numbered: bool = True) -> str:
    """The name of a function call of ``kind`` (relu, pool, …) in the chain ``scope``, after the link ``after``.

    >>> label("pool", "", "conv5"), label("relu", "res2/0", "res2/0/bn1"), label("relu", "", "out")
    ('pool5', 'res2/0/relu1', 'relu_out')
    """
    prefix = f"{scope}/" if scope else ""
    near = after[len(prefix) :] if after.startswith(prefix) else ""
    if not near or not numbered:
        return prefix + kind
    number = _TRAILING.search(near)
    return f"{prefix}{kind}{number[1]}" if number else f"{prefix}{kind}_{near}"


def joined(variables: Sequence[Variable], scope: str) -> str:
    """The link that a join of several values is named after: that of its first operand that comes from this chain."""
    inside = [variable.after for variable in variables if variable.after.startswith(f"{scope}/" if scope else "")]
    return next((after for after in inside if after), "")
