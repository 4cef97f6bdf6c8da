"""Parts of a graph as ONNX messages, in protobuf's wire format: the writing half of `tensors` and `attributes`."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from ... import elements
from ...dims import Expr, Shape, product
from ...errors import RefusedError
from ...graph import Graph, Location, Node, Param, Tensor
from . import schema, wire
from .pieces import Piece, Pieces, field, size_of


def attribute(op: str, name: str, value: Any) -> Pieces:
    """AttributeProto; subgraphs are copied from the source. Raises RefusedError for what ONNX cannot hold."""
    if (op, name) in schema.TYPE_ATTRIBUTES and isinstance(value, str):
        value = elements.BY_NAME[value].number
    head = wire.text(1, name)
    kind, body = _value(name, value)
    return [head, *body, wire.integer(20, kind)]


def _value(name: str, value: Any) -> tuple[int, Pieces]:
    """(AttributeProto.type, the field that holds the value)."""
    if isinstance(value, Graph):
        span = value.meta["span"]
        return 5, [wire.prefix(6, span.end - span.start), span]
    if isinstance(value, Tensor):
        return 4, [wire.block(5, _constant(name, value))]
    if isinstance(value, (tuple, list)):
        return _list(name, value)
    if isinstance(value, int):
        return 2, [wire.integer(3, int(value))]
    if isinstance(value, float):
        return 1, [wire.real(2, value)]
    if isinstance(value, (str, bytes)):
        return 3, [wire.block(4, value.encode() if isinstance(value, str) else value)]
    raise _formless(name, f"it is of type {type(value).__name__}")


def _formless(name: str, because: str) -> RefusedError:
    return RefusedError(
        f"attribute {name!r} has no ONNX form", "E303", because=because, hint="leave the layer that holds it as it is"
    )


def _constant(name: str, value: Tensor) -> bytes:
    if not isinstance(value.shape, tuple) or value.contents is None:
        raise _formless(name, "it is a tensor whose numbers are not known here")
    return tensor_head(value.shape, value.dtype, "") + wire.block(9, packed(value.dtype, value.contents))


def _list(name: str, values: Sequence[Any]) -> tuple[int, Pieces]:
    if all(isinstance(value, int) for value in values):
        return 7, [b"".join(wire.integer(8, value) for value in values)]
    if all(isinstance(value, (int, float)) for value in values):
        return 6, [b"".join(wire.real(7, value) for value in values)]
    if all(isinstance(value, (str, bytes)) for value in values):
        return 8, [b"".join(wire.block(9, v.encode() if isinstance(v, str) else v) for v in values)]
    raise _formless(name, f"it holds {list(values)[:4]}, which are not of one type")


def written(node: Node) -> dict[str, Any]:
    """The attributes a new node needs: those that say more than the specification's default."""
    default = schema.DEFAULTS.get(node.op, {})
    return {k: v for k, v in node.attrs.items() if v is not None and (k not in default or default[k] != v)}


def node(given: Node) -> Pieces:
    """A whole NodeProto."""
    pieces: Pieces = [wire.text(1, name) for name in given.inputs]
    pieces += [wire.text(2, name) for name in given.outputs]
    pieces += [wire.text(3, given.name), wire.text(4, given.op)]
    for name, value in written(given).items():
        pieces += field(5, attribute(given.op, name, value))
    return [*pieces, wire.text(7, given.domain)] if given.domain else pieces


# -- tensors ----------------------------------------------------------------------------------------------------------


def element_type(dtype: str | None) -> elements.ElementType:
    """The element type called ``dtype``; None is float32."""
    return elements.BY_NAME[dtype or "float32"]


def length(param: Param) -> int:
    """Bytes of a sized parameter's numbers."""
    return element_type(param.dtype).length(int(product(param.shape or ())))


def packed(dtype: str | None, contents: Sequence[Any]) -> bytes:
    """Numbers as raw_data holds them: little-endian, row-major."""
    kind = element_type(dtype)
    if not kind.letter:
        raise RefusedError(
            f"numbers of {kind.name} cannot be written",
            "E303",
            because="the type has no form of whole bytes here",
            hint="convert the file to float32 first",
        )
    return struct.pack(f"<{len(contents)}{kind.letter}", *contents)


def tensor_head(shape: Shape, dtype: str | None, name: str) -> bytes:
    """The fields of a TensorProto in front of its numbers."""
    dims = b"".join(wire.integer(1, d) for d in shape)
    return dims + wire.integer(2, element_type(dtype).number) + (wire.text(8, name) if name else b"")


def tensor(name: str, shape: Shape, dtype: str | None, numbers: Piece) -> Pieces:
    """A whole TensorProto; its numbers are bytes, made now or later, or a span of the source."""
    return [tensor_head(shape, dtype, name), wire.prefix(9, size_of([numbers])), numbers]


def external(name: str, shape: Shape, dtype: str | None, where: Location) -> Pieces:
    """A TensorProto whose numbers lie in another file, named relative to the model's folder."""
    entries = {"location": where.path, "offset": str(where.offset), "length": str(where.length)}
    body = b"".join(wire.block(13, entry(key, value)) for key, value in entries.items())
    return [tensor_head(shape, dtype, name) + body + wire.integer(14, schema.EXTERNAL)]


def filled(name: str, shape: Shape, dtype: str | None) -> tuple[Pieces, Pieces]:
    """A placeholder of zeros, a few bytes whatever its size: (the initializer of its sizes, the node)."""
    sizes = f"{name}/sizes"
    initializer = tensor(sizes, (len(shape),), "int64", packed("int64", shape))
    value = Tensor((1,), dtype, (0.0,))
    return initializer, node(Node(f"{name}/placeholder", "ConstantOfShape", (sizes,), (name,), {"value": value}))


# -- values -----------------------------------------------------------------------------------------------------------


def entry(key: str, value: str) -> bytes:
    """A StringStringEntryProto."""
    return wire.text(1, key) + wire.text(2, value)


def dimension(size: Any) -> bytes:
    """One dimension: a number, a name, or nothing where it is free."""
    if isinstance(size, int):
        return wire.integer(1, size)
    word = str(size) if isinstance(size, Expr) else ""
    return wire.text(2, word) if word.isidentifier() else b""


def tensor_type(dtype: str | None, shape: Shape | None) -> bytes:
    """A TypeProto of a tensor; ``shape`` None leaves the rank open."""
    body = wire.integer(1, element_type(dtype).number)
    if shape is not None:
        body += wire.block(2, b"".join(wire.block(1, dimension(size)) for size in shape))
    return wire.block(1, body)


def value_info(name: str, dtype: str | None, shape: Shape | None) -> bytes:
    """A ValueInfoProto."""
    return wire.text(1, name) + wire.block(2, tensor_type(dtype, shape))


def metadata(entries: Mapping[str, str]) -> bytes:
    """Metadata fields of a ModelProto."""
    return b"".join(wire.block(14, entry(key, value)) for key, value in entries.items())
