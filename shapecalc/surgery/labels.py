"""Names of the classes, as an edit: they go into the metadata of an ONNX file."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..graph import Graph

#: The key of an ONNX file's metadata under which class names stand, as a JSON list.
NAMES = "shapecalc.class_names"
#: Names told one by one.
SHOWN = 3


class NameClasses(NamedTuple):
    """The names of the classes, in the order of the outputs."""

    names: tuple[str, ...]

    @property
    def layer(self) -> str:
        """No layer: the whole file."""
        return ""

    def apply(self, graph: Graph) -> Graph:
        """The graph with the names in its metadata."""
        metadata = {**graph.meta.get("metadata", {}), NAMES: json.dumps(list(self.names), ensure_ascii=False)}
        return graph.replace(meta={**graph.meta, "metadata": metadata})

    def describe(self) -> str:
        """One line for people."""
        first = ", ".join(self.names[:SHOWN]) + (", …" if len(self.names) > SHOWN else "")
        return f"names of {len(self.names)} classes, for the metadata of an ONNX file: {first}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "name-classes", "layer": self.layer, "names": list(self.names)}


def names_of(graph: Graph) -> list[str]:
    """The names of the classes that the file's metadata holds; empty where it holds none that read as a list."""
    try:
        found = json.loads(str(graph.meta.get("metadata", {}).get(NAMES, "[]")))
    except ValueError:
        return []
    return [str(name) for name in found] if isinstance(found, list) else []
