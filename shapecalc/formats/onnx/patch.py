"""Edits of an ONNX file as span surgery: what an edit leaves alone is copied byte for byte, unknown fields included.

The graph says what changed: an object that is still the same is its span, one that was replaced is encoded anew field
by field, one without a span is new, one that is gone is left out. Only the lengths around a change differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...graph import Graph, Tensor
from ...source import Span
from . import edit_nodes, edit_params, edit_values, encode, schema
from .edit import INITIALIZER, INPUT, NODE, OUTPUT, SPARSE, VALUE_INFO, Edit
from .pieces import Later, Pieces, merged, wrapped
from .wire import record

GRAPH, METADATA = 7, 14


def segments(
    data: Any,
    old: Graph,
    new: Graph,
    tensors: Mapping[str, bytes | Later] | None = None,
    values: Mapping[str, Tensor] | None = None,
    locations: Mapping[str, str] | None = None,
) -> Pieces:
    """The file of ``new`` as pieces: spans of ``data``, the file of ``old``, and bytes newly made.

    ``tensors`` are the raw little-endian numbers of parameters that are new or have new numbers; a new parameter
    without numbers becomes a placeholder node. ``values`` (a trace's tensors) give outputs their new declared shape.
    ``locations`` are other names for files of weights that lie beside the old file, by their paths. Raises RefusedError
    for what ONNX cannot hold.
    """
    if new is old and not tensors and not locations:
        return [Span(0, len(data))]
    return _model(Edit(data, old, new, tensors or {}, values or {}, locations=locations))


def skeleton(
    data: Any,
    old: Graph,
    new: Graph,
    location: str,
    tensors: Mapping[str, bytes | Later] | None = None,
    values: Mapping[str, Tensor] | None = None,
) -> Pieces:
    """As `segments`, but every initializer of a kilobyte or more that stays is declared as external data.

    ``location`` names the original file relative to the folder the skeleton is loaded from. So onnxruntime loads an
    edited model of any size from a few kilobytes, and its weights are not copied.
    """
    return _model(Edit(data, old, new, tensors or {}, values or {}, location))


def _model(edit: Edit) -> Pieces:
    """ModelProto: the graph and the metadata replaced, everything else where it was."""
    pieces: Pieces = []
    metadata = dict(edit.new.meta.get("metadata", {}))
    for row in edit.fields(Span(0, len(edit.file.data))):
        if row.number == GRAPH:
            pieces += wrapped(GRAPH, _graph(edit, row.payload), row.whole, row.payload)
        elif row.number == METADATA:
            pair = record(edit.file, row.payload, schema.ENTRY)
            if metadata.get(pair.get("key", "")) == pair.get("value", ""):
                metadata.pop(pair.get("key", ""))
                pieces.append(row.whole)
        else:
            pieces.append(row.whole)
    return merged([*pieces, encode.metadata(metadata)])


def _graph(edit: Edit, span: Span) -> Pieces:
    """GraphProto: each repeated part in its new order at the place of its first element, all else where it was."""
    parts = _changed_parts(edit)
    pieces: Pieces = []
    for row in edit.fields(span):
        pieces += parts.get(row.number, [row.whole])
        if row.number in parts:
            parts[row.number] = []
    return [*pieces, *(piece for rest in parts.values() for piece in rest)]


def _changed_parts(edit: Edit) -> dict[int, Pieces]:
    """Number -> the elements of each repeated part of the graph that differs from the old one."""
    weights, fillers = edit_params.weights(edit)
    parts = {
        NODE: edit_nodes.nodes(edit, fillers),
        INITIALIZER: weights,
        SPARSE: edit_params.sparse(edit),
        INPUT: edit_values.inputs(edit),
        OUTPUT: edit_values.outputs(edit),
        VALUE_INFO: edit_values.value_infos(edit),
    }
    before = {number: [row.whole for row in edit.rows.get(number, [])] for number in parts}
    return {number: pieces for number, pieces in parts.items() if pieces != before[number]}
