"""The nodes of a patched file: untouched ones as spans, replaced ones field by field, new ones encoded."""

from __future__ import annotations

from ...graph import Node
from ...source import Span
from . import encode, schema, wire
from .edit import NODE, Edit, Row
from .pieces import Piece, Pieces, field, merged
from .wire import record


def nodes(edit: Edit, fillers: Pieces) -> Pieces:
    """The nodes of the new graph in its order; ``fillers`` are new placeholder nodes, which read nothing.

    Placeholders of the old file stand before the first node that stood after them.
    """
    rows = edit.rows.get(NODE, [])
    waiting = [row for row in rows if row.payload in edit.kept]
    pieces = list(fillers)
    for made in _made(edit, {row.payload: row.whole for row in rows}):
        while waiting and not _stands_before(made[0], waiting[0]):
            pieces.append(waiting.pop(0).whole)
        pieces += made
    return [*pieces, *(row.whole for row in waiting)]


def _stands_before(piece: Piece, filler: Row) -> bool:
    """Whether an untouched node stood before a placeholder; a new one may read any of them."""
    return isinstance(piece, Span) and piece.start < filler.whole.start


def _made(edit: Edit, wholes: dict[Span, Span]) -> list[Pieces]:
    before = {node.origin.span: node for node in edit.old.nodes}
    same = {id(node) for node in edit.old.nodes}
    claimed = {node.origin.span for node in edit.new.nodes if id(node) in same}
    found: list[Pieces] = []
    for node in edit.new.nodes:
        span = node.origin.span
        if id(node) in same and span is not None:
            found.append([wholes[span]])
        elif span in before and span not in claimed and span is not None:
            claimed.add(span)
            found.append(field(NODE, _edited(edit, before[span], node, span)))
        else:
            found.append(field(NODE, encode.node(node)))
    return found


def _edited(edit: Edit, old: Node, new: Node, span: Span) -> Pieces:
    """NodeProto with the fields that differ replaced in place; attributes one by one."""
    fields = {
        1: (old.inputs, new.inputs),
        2: (old.outputs, new.outputs),
        3: ((old.name,), (new.name,)),
        4: ((old.op,), (new.op,)),
        7: ((old.domain,), (new.domain,)),
    }
    changed: dict[int, Pieces] = {
        number: [wire.text(number, text) for text in after]
        for number, (before, after) in fields.items()
        if before != after
    }
    attributes = _changed_attributes(old, new)
    pieces: Pieces = []
    for row in edit.fields(span):
        if row.number in changed:
            pieces += changed[row.number]
            changed[row.number] = []
        elif row.number == 5:
            name = record(edit.file, row.payload, {1: schema.ATTRIBUTE[1]}).get("name", "")
            pieces += attributes.pop(name, [row.whole])
        else:
            pieces.append(row.whole)
    return merged([*pieces, *(piece for part in (*changed.values(), *attributes.values()) for piece in part)])


def _changed_attributes(old: Node, new: Node) -> dict[str, Pieces]:
    """Name -> the new field of every attribute that differs; nothing for one that is gone."""
    names = [name for name in {**old.attrs, **new.attrs} if old.attrs.get(name) != new.attrs.get(name)]
    return {
        name: field(5, encode.attribute(new.op, name, new.attrs[name])) if new.attrs.get(name) is not None else []
        for name in names
    }
