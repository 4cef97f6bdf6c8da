"""What the table of forms refuses against what onnxruntime refuses to load, over every form of every operator.

    python -m tests.tools.ask_forms

A model of one node for each question: an operator one opset before it came; each form at its last opset; with one input
more than it takes; with each attribute of another form; with each element type of another form.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator
from typing import Any

import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

import shapecalc
from shapecalc.dims import Unknown
from shapecalc.trace import trace

#: The opsets that are asked about: the oldest that onnxruntime promises, and its newest.
OLDEST, NEWEST = 7, 26
TYPES = {
    "float": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
    "float16": TensorProto.FLOAT16,
    "double": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "string": TensorProto.STRING,
    "bfloat16": TensorProto.BFLOAT16,
}
VALUES = {"INT": 1, "FLOAT": 1.0, "INTS": [1, 1], "FLOATS": [1.0], "STRING": "a"}
#: What onnxruntime says of a form that an opset does not have; what else it says is no concern here.
WORDS = re.compile(
    r"No Op registered|not a registered|deprecated|Unrecognized attribute|has more inputs|not in range|Type Error"
)
Question = tuple[str, str, "onnx.ModelProto | None"]


def types(schema: Any, index: int) -> list[str]:
    """The types an input may have, as the schema writes them."""
    listed = {row.type_param_str: row.allowed_type_strs for row in schema.type_constraints}
    given = schema.inputs[min(index, len(schema.inputs) - 1)]
    return [re.sub(r"tensor\((.*)\)", r"\1", text) for text in listed.get(given.typeStr, [given.typeStr])]


def value(attribute: Any) -> Any:
    """A value of an attribute's kind; None where none is made here."""
    return 1 if attribute.name == "to" else VALUES.get(str(attribute.type).split(".")[-1])


def model(schema: Any, opset: int, *, inputs: int = 0, stray: Any = None, dtype: str = "") -> onnx.ModelProto | None:
    """One node of a form in a file of an opset; None where its inputs or attributes cannot be made."""
    given = []
    for index in range(max(schema.min_input, int(bool(schema.inputs)), inputs)):
        kinds = [dtype] if dtype and index == 0 else [kind for kind in TYPES if kind in types(schema, index)]
        if not kinds:
            return None
        given.append(helper.make_tensor_value_info(f"i{index}", TYPES[kinds[0]], None))
    results = [onnx.ValueInfoProto(name=f"o{index}") for index in range(max(1, schema.min_output))]
    node = helper.make_node(schema.name, [v.name for v in given], [v.name for v in results])
    wanted = [a for a in schema.attributes.values() if a.required] + ([stray] if stray is not None else [])
    if any(value(attribute) is None for attribute in wanted):
        return None
    node.attribute.extend(helper.make_attribute(a.name, value(a)) for a in wanted)
    graph = helper.make_graph([node], "g", given, results)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def questions() -> Iterator[Question]:
    """(kind, about, model) of everything that is asked."""
    forms: dict[str, dict[int, Any]] = collections.defaultdict(dict)
    for row in runtime.get_all_operator_schema():
        if not row.domain:
            forms[row.name][row.since_version] = row
    for name, rows in sorted(forms.items()):
        since = sorted(rows)
        if since[0] > OLDEST:
            yield "young", f"{name} at {since[0] - 1}", model(rows[since[0]], since[0] - 1)
        for first, after in zip(since, [*since[1:], NEWEST + 1], strict=True):
            if after > OLDEST:
                others = [row for row in rows.values() if row.since_version != first and not row.deprecated]
                yield from of_form(rows[first], others, after - 1)


def of_form(form: Any, others: list[Any], opset: int) -> Iterator[Question]:
    """What is asked of one form at its last opset, where other forms differ from it."""
    about = f"{form.name} of {form.since_version} at {opset}"
    yield "plain", about, model(form, opset)
    for other in others:
        if other.max_input > form.max_input:
            yield "inputs", about, model(other, opset, inputs=form.max_input + 1)
        for attribute in other.attributes.values():
            if attribute.name not in form.attributes:
                yield "attribute", f"{about}, {attribute.name}", model(form, opset, stray=attribute)
        if form.inputs and other.inputs:
            for dtype in sorted({*types(other, 0)} & {*TYPES} - {*types(form, 0)}):
                yield "type", f"{about}, {dtype}", model(form, opset, dtype=dtype)


def verdict(made: onnx.ModelProto) -> tuple[str, str]:
    """(equal, missed or false alarm, what onnxruntime said)."""
    graph = shapecalc.load(made).graph
    found = trace(graph, {given.name: Unknown("not asked") for given in graph.inputs}, dialect="onnxruntime")
    said = any(problem.code == "E112" for problem in found.problems)
    words = ""
    try:
        onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  onnxruntime raises a class of its own for every status
        words = " ".join(str(error).split())
    refused = bool(WORDS.search(words))
    return "equal" if said == refused else "missed" if refused else "false alarm", words


def main() -> None:
    """Prints what differs, and the counts."""
    onnxruntime.set_default_logger_severity(4)
    counts = collections.Counter[tuple[str, str]]()
    for kind, about, made in questions():
        found, words = verdict(made) if made is not None else ("not asked", "")
        counts[kind, found] += 1
        if found in ("missed", "false alarm"):
            print(f"{kind} {found}: {about} | {words[:160]}")
    for (kind, found), count in sorted(counts.items()):
        print(f"{kind:10} {found:12} {count}")


if __name__ == "__main__":
    main()
