"""What an edit changed: the difference of two graphs, by the identity of their nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import RefusedError
from ..graph import Graph, Node

#: What every refused patch of a definition offers.
WAY_OUT = "write it as ONNX: -o result.onnx"


class Changes(NamedTuple):
    """``replaced`` nodes before and after, in order, ``added`` ones, which no file has a span of, and ``gone`` ones."""

    replaced: list[tuple[Node, Node]]
    added: list[Node]
    gone: list[Node]

    @property
    def location(self) -> str | None:
        """``file:line`` of the first layer that is not as it was."""
        return next((before.origin.location for before, _ in self.replaced), None)


def changes(old: Graph, new: Graph, *, shorter: bool = False) -> Changes:
    """What ``new`` is besides ``old``; raises RefusedError where a layer is gone, unless it may be ``shorter``."""
    added = [node for node in new.nodes if node.origin.span is None]
    kept = [node for node in new.nodes if node.origin.span is not None]
    same = {id(node) for node in kept}
    before = {id(node) for node in old.nodes}
    replaced = {id(node.origin) for node in kept if id(node) not in before}
    stays = [node for node in old.nodes if id(node) in same or id(node.origin) in replaced]
    there = {id(node) for node in stays}
    gone = [node for node in old.nodes if id(node) not in there]
    moved = len(kept) != len(stays) or any(a.origin is not b.origin for a, b in zip(stays, kept, strict=True))
    if moved or (gone and not shorter):
        first = next(iter(gone or old.nodes))
        raise RefusedError(
            f"{first.name}: layers cannot be taken out of a {old.format} definition",
            "E303",
            location=first.origin.location,
            because=f"{len(gone) or len(old.nodes)} of its {len(old.nodes)} layers would be gone or in another order",
            hint=WAY_OUT,
        )
    return Changes([(a, b) for a, b in zip(stays, kept, strict=True) if a is not b], added, gone)


class End(NamedTuple):
    """What a net is to end with: a value of its definition, and new layers behind it."""

    value: str
    added: tuple[Node, ...]


def ends_of(graph: Graph, added: Sequence[Node]) -> list[End]:
    """The outputs of a cut net."""
    makers = {node.outputs[0]: node for node in added}
    found: list[End] = []
    for value in graph.outputs:
        chain: list[Node] = []
        while value in makers:
            chain.insert(0, makers[value])
            value = makers[value].inputs[0]
        found.append(End(value, tuple(chain)))
    return found
