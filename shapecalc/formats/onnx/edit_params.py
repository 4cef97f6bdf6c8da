"""The parameters of a patched file: kept ones as spans, new ones with their numbers, or as placeholder nodes."""

from __future__ import annotations

from pathlib import PurePath

from ...errors import RefusedError
from ...graph import Location, Param
from ...source import Span
from . import encode, schema, wire
from .edit import INITIALIZER, NODE, SPARSE, Edit, Row
from .pieces import Piece, Pieces, field, size_of, wrapped
from .wire import record

#: The field of a TensorProto that says where its numbers lie.
EXTERNAL_DATA = 13

#: Tensors from this many bytes on are left in the original file by a skeleton.
SKELETON_FROM = 1024
#: ConstantOfShape came with this opset.
PLACEHOLDERS_FROM = 9


def weights(edit: Edit) -> tuple[Pieces, Pieces]:
    """(initializers: kept ones in file order, then new ones; the nodes of new placeholders)."""
    pieces: Pieces = []
    fillers: Pieces = []
    for row in edit.rows.get(INITIALIZER, []):
        param = edit.kept.get(row.payload)
        if param is not None and param.name not in edit.orphans:
            pieces += _kept(edit, param, row)
    for param in edit.new.params.values():
        if edit.renewed(param):
            initializer, filler = _made(edit, param)
            pieces += field(INITIALIZER, initializer)
            fillers += field(NODE, filler) if filler else []
    return pieces, fillers


def sparse(edit: Edit) -> Pieces:
    """The sparse initializers that stay; they have no other form."""
    return [row.whole for row in edit.rows.get(SPARSE, []) if row.payload in edit.kept]


def is_filler(edit: Edit, param: Param) -> bool:
    """Whether a parameter is written as a node in the new file."""
    if edit.renewed(param):
        return numbers(edit, param) is None and param.where is None
    return param.origin is not None and param.origin.op in ("ConstantOfShape", "Constant")


def numbers(edit: Edit, param: Param) -> Piece | None:
    """The bytes of a parameter: given, its contents, or a span of the old file; None for none of them."""
    if param.name in edit.tensors:
        raw = edit.tensors[param.name]
        wanted = encode.length(param)
        if len(raw) != wanted:
            raise RefusedError(
                f"{param.name} cannot be written",
                "E303",
                because=f"its shape needs {wanted} bytes, {len(raw)} were given",
                hint="give numbers of its shape and element type",
            )
        return raw
    if param.contents is not None:
        return encode.packed(param.dtype, param.contents)
    if param.where is not None and not _outside(edit, param.where):
        return Span(param.where.offset, param.where.offset + param.where.length)
    return None


def _outside(edit: Edit, where: Location) -> bool:
    return where.path != edit.old.meta.get("path")


def _kept(edit: Edit, param: Param, row: Row) -> Pieces:
    """An initializer as it was; in a skeleton, declared where it lies."""
    where = param.where
    if where is not None and where.path in edit.locations:
        return _relocated(edit, row, edit.locations[where.path])
    if edit.skeleton_of is None or where is None or where.length < SKELETON_FROM or _outside(edit, where):
        return [row.whole]
    place = where._replace(path=edit.skeleton_of)
    return field(INITIALIZER, encode.external(param.name, param.shape or (), param.dtype, place))


def _relocated(edit: Edit, row: Row, location: str) -> Pieces:
    """An initializer that names its file by another name; every other byte of it is as it was."""
    pieces: Pieces = []
    for part in edit.fields(row.payload):
        is_place = (
            part.number == EXTERNAL_DATA and record(edit.file, part.payload, schema.ENTRY).get("key") == "location"
        )
        pieces.append(wire.block(EXTERNAL_DATA, encode.entry("location", location)) if is_place else part.whole)
    return wrapped(INITIALIZER, pieces, row.whole, row.payload)


def _made(edit: Edit, param: Param) -> tuple[Pieces, Pieces]:
    """(TensorProto, filler node or nothing) of a parameter that is not in the old file as it is now."""
    shape = param.shape
    if shape is None:
        raise RefusedError(
            f"{param.name} cannot be written",
            "E303",
            because="its shape is not known: no input that it meets has a known size",
            hint="give the size: --input 224, or --input 224x320",
        )
    raw = numbers(edit, param)
    if isinstance(raw, Span) and edit.skeleton_of is not None and size_of([raw]) >= SKELETON_FROM:
        place = Location(edit.skeleton_of, int(raw.start), size_of([raw]))
        return encode.external(param.name, shape, param.dtype, place), []
    if raw is not None:
        return encode.tensor(param.name, shape, param.dtype, raw), []
    if param.where is not None:
        return encode.external(param.name, shape, param.dtype, _relative(edit, param.where)), []
    _check_placeholder(edit, param)
    return encode.filled(param.name, shape, param.dtype)


def _relative(edit: Edit, where: Location) -> Location:
    if where.path in edit.locations:
        return where._replace(path=edit.locations[where.path])
    folder = PurePath(str(edit.old.meta.get("path", ""))).parent
    path = PurePath(where.path)
    return where._replace(path=(path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix())


def _check_placeholder(edit: Edit, param: Param) -> None:
    before = edit.old.params.get(param.name)
    stored = before is not None and before.origin is not None and before.origin.op != "ConstantOfShape"
    if stored and before is not None and before.shape == param.shape:
        raise RefusedError(
            f"the numbers of {param.name} cannot be moved",
            "E303",
            because="they are stored element by element, or are no numbers of a fixed width",
            hint="save the file once with onnx.save, its tensors as raw data",
        )
    if edit.old.opset < PLACEHOLDERS_FROM:
        raise RefusedError(
            f"{param.name} has no numbers, and opset {edit.old.opset} has no placeholder for them",
            "E303",
            because=f"ConstantOfShape came with opset {PLACEHOLDERS_FROM}",
            hint="give weights, or a model of opset 9 or later",
        )
