"""Writes shapecalc/ops/forms.txt: every form of ONNX's operators that onnxruntime knows, by the opset it came with.

    python -m tests.tools.make_forms

From onnxruntime's own schemas, and from the onnx package's for the forms that are younger than onnxruntime.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx.defs
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from shapecalc.ops import forms

TARGET = Path(forms.__file__).with_name("forms.txt")
#: What a schema calls a type, where an element type has another name.
NAMES = {"float": "float32", "double": "float64"}


def schemas() -> list[Any]:
    """The schemas of ONNX's own domain, those of onnxruntime before those that it does not have."""
    found = {(row.name, row.since_version): row for row in onnx.defs.get_all_schemas_with_history() if not row.domain}
    found |= {(row.name, row.since_version): row for row in runtime.get_all_operator_schema() if not row.domain}
    return [found[key] for key in sorted(found)]


def types_of(schema: Any, given: Any) -> tuple[str, ...]:
    """The element types that an input may have; empty where it may be something else than a tensor."""
    listed = {row.type_param_str: row.allowed_type_strs for row in schema.type_constraints}
    name = given.typeStr if hasattr(given, "typeStr") else given.type_str  # onnxruntime's word, and onnx's
    texts = listed.get(name, [name])
    if not all(text.startswith("tensor(") for text in texts):
        return ()
    names = (text.removeprefix("tensor(").removesuffix(")") for text in texts)
    return tuple(sorted(NAMES.get(name, name) for name in names))


def lines(found: Iterable[Any]) -> list[str]:
    """A line for every form: name, opset, "gone" or how many inputs it takes, attributes, the types of its inputs."""
    sets: dict[tuple[str, ...], int] = {}
    rows = []
    for row in found:
        most = "gone" if row.deprecated else str(min(row.max_input, forms.ANY))
        kinds = [str(sets.setdefault(types_of(row, given), len(sets))) for given in row.inputs]
        words = [row.name, str(row.since_version), most, ",".join(sorted(row.attributes)), ",".join(kinds)]
        rows.append(" ".join(word or "-" for word in words))
    return [*(f"{number} {','.join(names) or '-'}" for names, number in sets.items()), "", *rows]


def main() -> None:
    """Writes the file."""
    TARGET.write_text("\n".join(lines(schemas())) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
