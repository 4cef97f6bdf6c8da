"""AttributeProto: the values of a node's attributes, brought to the one form the operator rows read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ... import elements
from ...graph import Graph, Reference, Tensor
from ...source import Span
from . import schema
from .tensors import read_sparse, read_tensor
from .wire import File, record

#: The value of an attribute whose field is absent because it is protobuf's default.
EMPTY: dict[str, Any] = {"f": 0.0, "i": 0, "s": "", "floats": (), "ints": (), "strings": ()}


def read_attributes(
    file: File, op: str, spans: list[Span], folder: Path | None, subgraph: Callable[[Span], Graph]
) -> dict[str, Any]:
    """Name -> value for the attributes of one node, subgraphs read by ``subgraph``; types stay spans.

    Raises ModelError.
    """
    attrs = dict(_attribute(file, span, folder, subgraph) for span in spans)
    attrs = {**schema.DEFAULTS.get(op, {}), **attrs}
    for name in attrs:
        if (op, name) in schema.TYPE_ATTRIBUTES:
            given = attrs[name]
            attrs[name] = Reference(given.name, _type_name) if isinstance(given, Reference) else _type_name(given)
    return _constant(file, spans, attrs) if op == "Constant" else attrs


def _attribute(file: File, span: Span, folder: Path | None, subgraph: Callable[[Span], Graph]) -> tuple[str, Any]:
    fields = record(file, span, schema.ATTRIBUTE)
    name = fields.get("name")
    if not name:
        raise file.broken(span.start, "an attribute without a name")
    if fields.get("ref_attr_name"):
        return name, Reference(fields["ref_attr_name"])
    kind = schema.ATTRIBUTE_TYPES.get(fields.get("type", 0)) or _present(fields)
    if kind is None:
        return name, None  # a type from the future
    if kind not in fields and kind not in EMPTY:
        raise file.broken(span.start, f"attribute {name!r} lacks its value")
    value: Any = fields.get(kind, EMPTY.get(kind))
    if kind in ("g", "graphs"):
        return name, subgraph(value) if kind == "g" else tuple(map(subgraph, value))
    return name, READ.get(kind, _as_is)(file, value, folder)


def _present(fields: dict[str, Any]) -> str | None:
    """Files of IR version 1 do not say the type: the field that is there tells it."""
    return next((kind for kind in schema.ATTRIBUTE_TYPES.values() if kind in fields), None)


def _as_is(file: File, value: Any, folder: Path | None) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _string(file: File, value: Any, folder: Path | None) -> Any:
    """Bytes as text where they are text, else as bytes."""
    if not isinstance(value, Span):
        return value
    data = bytes(file.data[value.start : value.end])
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _sparse(file: File, span: Span, folder: Path | None) -> Tensor:
    param = read_sparse(file, span, folder)
    return Tensor(param.shape or (), param.dtype)


READ: dict[str, Callable[[File, Any, Path | None], Any]] = {
    "s": _string,
    "strings": lambda file, value, folder: tuple(_string(file, item, folder) for item in value),
    "t": lambda file, value, folder: read_tensor(file, value, folder).tensor(),
    "sparse_tensor": _sparse,
    "tensors": lambda file, value, folder: tuple(read_tensor(file, item, folder).tensor() for item in value),
}


def _type_name(value: Any) -> str | None:
    """An element type by name; opset 1 of Cast spelled it ("FLOAT"), later ones number it."""
    if isinstance(value, int):
        row = elements.BY_NUMBER.get(value)
        return row.name if row else None
    word = str(value).lower()
    return {"float": "float32", "double": "float64"}.get(word, word)


#: Constant's other forms (opset 12): attribute -> (element type, whether it is a list).
CONSTANT_FORMS = {
    "value_int": ("int64", False),
    "value_ints": ("int64", True),
    "value_float": ("float32", False),
    "value_floats": ("float32", True),
    "value_string": ("string", False),
    "value_strings": ("string", True),
}


def _constant(file: File, spans: list[Span], attrs: dict[str, Any]) -> dict[str, Any]:
    """Every form of Constant as a tensor called ``value``."""
    if "sparse_value" in attrs:
        return {"value": attrs["sparse_value"]}
    for name, (dtype, many) in CONSTANT_FORMS.items():
        if name in attrs:
            given = attrs[name]
            if isinstance(given, Reference):
                return {"value": Reference(given.name, partial(_listed, dtype, many))}
            value = _listed(dtype, many, given)
            if value is None:
                raise file.broken(spans[0].start, f"attribute {name!r} is of another type")
            return {"value": value}
    return attrs


def _listed(dtype: str, many: bool, given: Any) -> Tensor | None:
    """A number, or a list of them, as a tensor; None where it is the other one."""
    if many is not isinstance(given, tuple):
        return None
    contents = tuple(given) if many else (given,)
    return Tensor((len(contents),) if many else (), dtype, contents if dtype != "string" else None)
