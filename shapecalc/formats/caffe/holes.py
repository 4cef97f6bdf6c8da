"""Values that a prototxt leaves open, ``num_output: ?``: filled with what the caller says, each by layer and field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ModelError
from .text import Field, Message


def fill(root: Message, file: str, values: Mapping[str, Any]) -> Message:
    """The tree with each ``?`` replaced by what ``values`` has for it: ``conv1.num_output``, or ``input.dim``.

    Fields keep their spans. Raises ModelError (E205) with ``file:line`` for a hole without a value.
    """
    return Message(tuple(_filled(field, "", file, values) for field in root.fields), root.line, root.span)


def _filled(field: Field, layer: str, file: str, values: Mapping[str, Any]) -> Field:
    if isinstance(field.value, Message):
        inside = layer or (_name(field.value) if field.name == "layer" else "")
        fields = field.value.fields
        changed = tuple(_filled(each, inside, file, values) for each in fields)
        same = all(new is old for new, old in zip(changed, fields, strict=True))
        return field if same else field._replace(value=field.value._replace(fields=changed))
    if field.kind != "hole":
        return field
    hole = f"{layer}.{field.name}" if layer else field.name
    value = values.get(hole)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return field._replace(value=value, kind="number")
    if isinstance(value, (str, bool)):
        return field._replace(value=str(value), kind="word")
    raise ModelError(
        f"{field.name} of {layer} is left open" if layer else f"{field.name} is left open",
        "E205",
        location=f"{file}:{field.line}",
        hint=f"--arg {hole}=… says it; shapecalc sizes {file} --solve {hole} says what would fit",
    )


def _name(layer: Message) -> str:
    found = next((field.value for field in layer.fields if field.name == "name"), "")
    return found if isinstance(found, str) else ""
