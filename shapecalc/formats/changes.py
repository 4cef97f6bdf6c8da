"""What an edit changed: the difference of two graphs, by the identity of their nodes."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import RefusedError
from ..graph import Graph, Node

#: What every refused patch of a definition offers.
WAY_OUT = "write it as ONNX: -o result.onnx"


class Changes(NamedTuple):
    """``replaced`` nodes before and after, in order, and nodes ``added``, which no file has a span of."""

    replaced: list[tuple[Node, Node]]
    added: list[Node]

    @property
    def location(self) -> str | None:
        """``file:line`` of the first layer that is not as it was."""
        return next((before.origin.location for before, _ in self.replaced), None)


def changes(old: Graph, new: Graph) -> Changes:
    """What ``new`` is besides ``old``; raises RefusedError where a layer of ``old`` is gone."""
    added = [node for node in new.nodes if node.origin.span is None]
    kept = [node for node in new.nodes if node.origin.span is not None]
    if len(kept) != len(old.nodes) or any(a.origin is not b.origin for a, b in zip(old.nodes, kept, strict=True)):
        first = next((n for n in old.nodes if all(n.origin is not k.origin for k in kept)), old.nodes[0])
        raise RefusedError(
            f"{first.name}: layers cannot be taken out of a {old.format} definition",
            "E303",
            location=first.origin.location,
            hint=WAY_OUT,
        )
    return Changes([(a, b) for a, b in zip(old.nodes, kept, strict=True) if a is not b], added)
