"""The inputs, outputs and recorded shapes of a patched file."""

from __future__ import annotations

from ...dims import Shape
from ...graph import Input, Param, Tensor
from . import encode, wire
from .edit import INPUT, OUTPUT, VALUE_INFO, Edit, Row
from .edit_params import is_filler
from .pieces import Pieces, field, merged
from .read import declared_tensor

#: From this IR version on, an initializer need not be an input of the graph too.
INITIALIZERS_ALONE = 4


def inputs(edit: Edit) -> Pieces:
    """Graph inputs in file order, then new ones. Before IR version 4 every initializer is an input too."""
    by_span = {item.origin.span: item for item in edit.new.inputs if item.origin is not None}
    left = {item.name: item for item in edit.new.inputs}
    before = {item.name: item for item in edit.old.inputs}
    listed: set[str] = set()
    pieces: Pieces = []
    for row in edit.rows.get(INPUT, []):
        name = edit.name_of(row)
        item = by_span.get(row.payload) or left.get(name)
        if item is not None:
            left.pop(item.name, None)
            pieces += [row.whole] if before.get(name) is item else _declared(edit, row, item.name, item)
        else:
            listed.add(name)
            pieces += _listed(edit, row, name)
    pieces += [wire.block(INPUT, encode.value_info(item.name, item.dtype, item.declared)) for item in left.values()]
    return [*pieces, *_new_weights(edit, listed)]


def _listed(edit: Edit, row: Row, name: str) -> Pieces:
    """The input that stands for an initializer; nothing where that is gone or has become a node."""
    before, param = edit.old.params.get(name), edit.new.params.get(name)
    if before is None or param is None or name in edit.orphans or is_filler(edit, param):
        return []
    same = (before.shape, before.dtype) == (param.shape, param.dtype)
    return [row.whole] if same else _declared(edit, row, name, param)


def _new_weights(edit: Edit, listed: set[str]) -> Pieces:
    """Inputs for new initializers, where the file's version wants them."""
    if edit.old.meta.get("ir_version", 0) >= INITIALIZERS_ALONE:
        return []
    pieces: Pieces = []
    for param in edit.new.params.values():
        if not edit.renewed(param):
            continue
        if is_filler(edit, param):
            info = encode.value_info(f"{param.name}/sizes", "int64", (len(param.shape or ()),))
            pieces.append(wire.block(INPUT, info))
        elif param.name not in listed:
            pieces.append(wire.block(INPUT, encode.value_info(param.name, param.dtype, param.shape)))
    return pieces


def _declared(edit: Edit, row: Row, name: str, item: Input | Param) -> Pieces:
    """A ValueInfoProto with another name, type or shape; its other fields as they were."""
    shape = item.declared if isinstance(item, Input) else item.shape
    fields = {1: wire.text(1, name), 2: wire.block(2, encode.tensor_type(item.dtype, shape))}
    pieces: Pieces = [fields.pop(part.number, part.whole) for part in edit.fields(row.payload)]
    return field(row.number, merged([*pieces, *fields.values()]))


def outputs(edit: Edit) -> Pieces:
    """Graph outputs in the new order; where shapes may have changed, with the shape of the trace."""
    rows = {edit.name_of(row): row for row in edit.rows.get(OUTPUT, [])}
    infos = {edit.name_of(row): row for row in edit.rows.get(VALUE_INFO, [])}
    pieces: Pieces = []
    for name in edit.new.outputs:
        row, info = rows.get(name), infos.get(name)
        if row is not None and name not in edit.stale:
            pieces.append(row.whole)
        elif row is None and info is not None and name not in edit.stale:
            pieces += field(OUTPUT, [info.payload])
        else:
            pieces += _output(edit, name, row)
    return pieces


def _output(edit: Edit, name: str, row: Row | None) -> Pieces:
    """An output that is new or whose shape may have changed."""
    before = declared_tensor(edit.file, name, row.payload) if row is not None else Tensor((), None)
    now = edit.values.get(name)
    shape = now.shape if now is not None and isinstance(now.shape, tuple) else None
    if row is not None and before.dtype is None and shape is None:
        return [row.whole]  # a sequence or a dictionary: it declares no shape
    if row is not None and isinstance(before.shape, tuple):
        shape = _joined(before.shape, shape)
    dtype = before.dtype or (now.dtype if now is not None else None)
    return [wire.block(OUTPUT, encode.value_info(name, dtype, shape))]


def _joined(before: Shape, now: Shape | None) -> Shape:
    """The new shape, where a dimension that was free stays free; without one, what was fixed is left open."""
    if now is None:
        return tuple(None if isinstance(size, int) else size for size in before)
    if len(now) != len(before):
        return now
    return tuple(new if isinstance(old, int) else old for old, new in zip(before, now, strict=True))


def value_infos(edit: Edit) -> Pieces:
    """Recorded shapes of inner values, without those that are gone or may be wrong now."""
    made = {name for node in edit.new.nodes for name in node.outputs} | set(edit.new.params)
    fresh = made - edit.stale - edit.orphans
    return [row.whole for row in edit.rows.get(VALUE_INFO, []) if edit.name_of(row) in fresh]
