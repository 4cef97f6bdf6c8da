"""What the parts of a patch share: the old file's fields, the two graphs, and which values an edit may have changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from ...graph import Graph, Param, Tensor
from ...source import Span
from . import schema, wire
from .pieces import Later
from .wire import File, record

NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO, SPARSE = 1, 5, 11, 12, 13, 15


class Row(NamedTuple):
    """One field of the old file: the whole of it, key included, and its payload."""

    number: int
    whole: Span
    payload: Span


class Edit:
    """One edit of one file. ``rows`` are the fields of its graph by number."""

    def __init__(
        self,
        data: Any,
        old: Graph,
        new: Graph,
        tensors: Mapping[str, bytes | Later],
        values: Mapping[str, Tensor],
        skeleton_of: str | None = None,
        locations: Mapping[str, str] | None = None,
    ) -> None:
        self.file = File(data, old.name)
        self.old = old
        self.new = new
        self.tensors = tensors
        self.values = values
        self.skeleton_of = skeleton_of
        self.locations = locations or {}  # file of weights beside the old one -> what the new file calls it
        self.stale = stale_values(old, new)

    def fields(self, span: Span) -> list[Row]:
        """The fields of the message in ``span``."""
        return [
            Row(number, Span(first, end), Span(value if kind == wire.BYTES else first, end))
            for number, kind, value, first, end in self.file.fields(*span)
        ]

    @cached_property
    def rows(self) -> dict[int, list[Row]]:
        """The elements of the old graph, by field number."""
        graph = next(row for row in self.fields(Span(0, len(self.file.data))) if row.number == 7)
        found: dict[int, list[Row]] = {}
        for row in self.fields(graph.payload):
            found.setdefault(row.number, []).append(row)
        return found

    def name_of(self, row: Row) -> str:
        """The name in a ValueInfoProto."""
        return str(record(self.file, row.payload, {1: schema.VALUE_INFO[1]}).get("name", ""))

    def renewed(self, param: Param) -> bool:
        """Whether a parameter is new, or another one than the old graph's of that name, or has new numbers."""
        return self.old.params.get(param.name) is not param or param.name in self.tensors

    @cached_property
    def kept(self) -> dict[Span, Param]:
        """The parameters that stay, by their place in the old file."""
        return {
            param.origin.span: param
            for param in self.new.params.values()
            if param.origin is not None and param.origin.span is not None and not self.renewed(param)
        }

    @cached_property
    def orphans(self) -> set[str]:
        """Names of stored sizes that only placeholder nodes read which are no longer there."""
        fillers = {p.origin.span for p in self.old.params.values() if p.origin is not None}
        read = {name for node in self.new.nodes for name in node.inputs} | set(self.new.outputs)
        gone: set[str] = set()
        for row in self.rows.get(NODE, []):
            if row.payload in fillers:
                names = record(self.file, row.payload, schema.NODE).get("input", [])
                (read if row.payload in self.kept else gone).update(names)
        return gone - read


def stale_values(old: Graph, new: Graph) -> set[str]:
    """Names of values whose recorded shape may no longer hold: everything after a change."""
    same = {id(item) for item in (*old.inputs, *old.nodes)}
    stale = {item.name for item in new.inputs if id(item) not in same}
    stale |= {name for name, param in new.params.items() if old.params.get(name) is not param}
    for node in new.nodes:
        if id(node) not in same or not stale.isdisjoint(node.inputs):
            stale.update(node.outputs)
    return stale
