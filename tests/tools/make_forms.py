"""Writes shapecalc/ops/forms.txt: every form of the operators that onnxruntime knows, by the opset it came with.

    python -m tests.tools.make_forms

From onnxruntime's own schemas, and from the onnx package's for the forms that are younger than onnxruntime. What its
CPU computes comes from its list of kernels; the package for GPUs lists them only where CUDA is installed, so this is
run in an environment with the package `onnxruntime` itself.
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
#: Operators that onnxruntime handles without a kernel, some as functions of others.
NO_KERNEL_NEEDED = frozenset({"Constant", "FastGelu", "QuickGelu"})
#: How the names end of what TensorRT alone has.
GPU_ONLY = "_TRT"
#: The last opset of a kernel that has none.
NO_LAST = 2**31 - 1
Types = tuple[str, ...]


def schemas() -> list[Any]:
    """The schemas of the domains, those of onnxruntime before those that it does not have."""
    rows = [*onnx.defs.get_all_schemas_with_history(), *runtime.get_all_operator_schema()]
    found = {(row.domain, row.name, row.since_version): row for row in rows if row.domain in forms.DOMAINS}
    return [found[key] for key in sorted(found)]


def element_types(texts: Iterable[str]) -> Types:
    """Element types by their names; empty where something else than a tensor is among them."""
    listed = list(texts)
    if not all(text.startswith("tensor(") for text in listed):
        return ()
    names = (text.removeprefix("tensor(").removesuffix(")") for text in listed)
    return tuple(sorted(NAMES.get(name, name) for name in names))


def parameters(schema: Any) -> dict[str, list[str]]:
    """The types that each type parameter of a schema stands for."""
    return {row.type_param_str: list(row.allowed_type_strs) for row in schema.type_constraints}


def type_of(given: Any) -> str:
    """The type parameter of an input, or its type."""
    return str(given.typeStr if hasattr(given, "typeStr") else given.type_str)  # onnxruntime's word, and onnx's


def holds(kernel: Any, since: int) -> bool:
    """Whether a kernel is for the form of an opset; one without a last opset is for its first form alone."""
    first, last = kernel.version_range
    return bool(first == since or first < since <= last < NO_LAST)


class Kernels:
    """What onnxruntime's CPU computes."""

    def __init__(self) -> None:
        self.rows = [row for row in runtime.get_all_opkernel_def() if row.provider == "CPUExecutionProvider"]
        self.known = {(row.domain, row.name, row.since_version) for row in runtime.get_all_operator_schema()}
        self.functions = {
            (row.domain, row.name)
            for row in onnx.defs.get_all_schemas_with_history()
            if row.has_function or row.has_context_dependent_function  # type: ignore[attr-defined]
        }

    def of(self, schema: Any) -> list[Any] | None:
        """The kernels of a form; None where onnxruntime needs none, or its schemas are not of that form."""
        name = (schema.domain, schema.name)
        if name in self.functions or schema.name in NO_KERNEL_NEEDED:
            return None
        if (*name, schema.since_version) not in self.known:
            return None
        return [row for row in self.rows if (row.domain, row.op_name) == name and holds(row, schema.since_version)]

    def types(self, schema: Any, parameter: str) -> Types | None:
        """The element types that some kernel takes; None where that is not known.

        Where only float32 is computed, onnxruntime casts float16 to it and back.
        """
        kernels = self.of(schema)
        if not kernels or not all(parameter in row.type_constraints for row in kernels):
            return None
        found = {name for row in kernels for name in element_types(row.type_constraints[parameter])}
        return tuple(sorted(found | ({"float16"} if "float32" in found else set()))) or None


class Sets:
    """Sets of element types by number."""

    def __init__(self) -> None:
        self.numbers: dict[Types, int] = {}

    def number(self, types: Types) -> int:
        """The number of a set, a new one where it is new."""
        return self.numbers.setdefault(types, len(self.numbers))


def is_single(given: Any) -> bool:
    """Whether an input or output must be there."""
    return not str(given.option).endswith(("Optional", "Variadic"))


def slot(schema: Any, given: Any, kernels: Kernels, sets: Sets) -> str:
    """An input: the number of its types, its type parameter if others share it, how many it may be, the CPU's types."""
    listed, name = parameters(schema), type_of(given)
    types = element_types(listed.get(name, [name]))
    many = str(given.option).endswith("Variadic")
    alike = given.isHomogeneous if hasattr(given, "isHomogeneous") else given.is_homogeneous
    shared = name in listed and (sum(type_of(other) == name for other in schema.inputs) > 1 or (many and alike))
    mark = "?" if str(given.option).endswith("Optional") else "*" if many else ""
    computed = kernels.types(schema, name) if types and name in listed else None
    if computed is not None and not set(types) - set(computed):
        computed = None
    kept = "" if computed is None else f"/{sets.number(tuple(sorted(set(computed) & set(types))))}"
    return f"{sets.number(types)}{name if shared else ''}{mark}{kept}"


def lines(found: Iterable[Any], kernels: Kernels) -> list[str]:
    """A line for every form: name, opset, how many inputs ("gone", "!": not computed) > outputs, attributes, inputs."""
    sets = Sets()
    rows = []
    for row in found:
        name = f"{row.domain}:{row.name}" if row.domain else row.name
        results = next((at for at, given in enumerate(row.outputs) if not is_single(given)), len(row.outputs))
        counts = f"{row.min_input}-{min(row.max_input, forms.ANY)}" + f">{results}" * (results != 1)
        unable = not row.domain and not row.name.endswith(GPU_ONLY) and kernels.of(row) == []
        counts = "gone" if row.deprecated else f"{counts}!" if unable else counts
        attributes = ",".join(a + "*" * row.attributes[a].required for a in sorted(row.attributes))
        inputs = ",".join(slot(row, given, kernels, sets) for given in row.inputs)
        rows.append(" ".join(word or "-" for word in (name, str(row.since_version), counts, attributes, inputs)))
    return [*(f"{number} {','.join(names) or '-'}" for names, number in sets.numbers.items()), "", *rows]


def main() -> None:
    """Writes the file."""
    TARGET.write_text("\n".join(lines(schemas(), Kernels())) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
