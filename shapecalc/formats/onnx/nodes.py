"""Nodes as a file holds them, with the graphs inside their attributes, and the functions a model defines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...graph import Graph, Input, Node, Param
from ...source import Origin, Span
from . import schema
from .attributes import read_attributes
from .order import unique_names
from .tensors import as_param, read_sparse, read_tensor
from .wire import File, record

#: Subgraphs in subgraphs are read so deep. Exporters write two or three.
DEEPEST = 16


class Reader(NamedTuple):
    """A file being read: ``folder`` is where external data lies, ``place`` the path that tensors' locations name."""

    file: File
    folder: Path | None
    place: str
    depth: int = 0

    def params(self, fields: Mapping[str, Any]) -> dict[str, Param]:
        """The initializers of a GraphProto by name."""
        file = self.file
        found = [
            as_param(file, read_tensor(file, s, self.folder), s, self.place) for s in fields.get("initializer", [])
        ]
        found += [read_sparse(file, span, self.folder) for span in fields.get("sparse_initializer", [])]
        for param in found:
            if not param.name and param.origin is not None and param.origin.span is not None:
                raise file.broken(param.origin.span.start, "an initializer without a name")
        return {param.name: param for param in found}

    def nodes(self, spans: Iterable[tuple[int, int]]) -> list[Node]:
        """The nodes in these spans, each with a name of its own."""
        places = [Span(*span) for span in spans]
        raw = [record(self.file, span, schema.NODE) for span in places]
        names = unique_names([(row.get("name", ""), row.get("op_type", "")) for row in raw])
        return [self._node(row, name, span) for row, name, span in zip(raw, names, places, strict=True)]

    def _node(self, fields: Mapping[str, Any], name: str, span: Span) -> Node:
        op = fields.get("op_type", "")
        if not op:
            raise self.file.broken(span.start, f"node {name!r} has no operator")
        return Node(
            name,
            op,
            fields.get("input", ()),
            fields.get("output", ()),
            read_attributes(self.file, op, fields.get("attribute", []), self.folder, self.subgraph),
            origin=Origin(self.file.name, None, op, span),
            domain=fields.get("domain", ""),
        )

    # -- graphs inside ------------------------------------------------------------------------------------------------
    def subgraph(self, span: Span) -> Graph:
        """The GraphProto in an attribute: If's branches, a loop's body. Raises ModelError."""
        if self.depth >= DEEPEST:
            raise self.file.broken(span.start, f"subgraphs more than {DEEPEST} deep in each other")
        inner = self._replace(depth=self.depth + 1)
        fields = record(self.file, span, schema.GRAPH)
        return Graph(
            fields.get("name", ""),
            [Input(name, role="other") for name in self.value_names(fields.get("input", []))],
            inner.nodes(fields.get("node", [])),
            self.value_names(fields.get("output", [])),
            inner.params(fields),
            meta={"span": span},
        )

    def value_names(self, spans: Iterable[tuple[int, int]]) -> list[str]:
        """The names in ValueInfoProtos."""
        return [record(self.file, Span(*span), schema.VALUE_INFO).get("name", "") for span in spans]

    def functions(self, spans: Iterable[Span]) -> dict[tuple[str, str], Graph]:
        """(domain, name) -> body of the functions a model defines; overloaded ones are left out."""
        found: dict[tuple[str, str], Graph] = {}
        for span in spans:
            fields = record(self.file, span, schema.FUNCTION)
            if not fields.get("overload"):
                found[fields.get("domain", ""), fields.get("name", "")] = self._function(fields, span)
        return found

    def _function(self, fields: Mapping[str, Any], span: Span) -> Graph:
        defaults = read_attributes(self.file, "", fields.get("attribute_proto", []), self.folder, self.subgraph)
        opsets = opset_versions(self.file, fields)
        return Graph(
            fields.get("name", ""),
            [Input(name, role="other") for name in fields.get("input", ())],
            self.nodes(fields.get("node", [])),
            fields.get("output", ()),
            opset=opsets.get("", 1),
            meta={"span": span},
            parameters=defaults,
        )


def opset_versions(file: File, fields: Mapping[str, Any]) -> dict[str, int]:
    """Domain -> version of the operators a model or function uses; ONNX's own domain is the empty one."""
    rows = [record(file, span, schema.OPSET) for span in fields.get("opset_import", [])]
    return {("" if (name := row.get("domain", "")) == "ai.onnx" else name): row.get("version", 1) for row in rows}
