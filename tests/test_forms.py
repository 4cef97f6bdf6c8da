"""What an opset does not have, by the table of forms: the same that onnxruntime refuses to load."""

from __future__ import annotations

import onnx.defs
import onnx.parser
import pytest

import shapecalc
from shapecalc.ops.forms import ANY, form, forms

ROWS = [
    (9, "float[4] x", "y = Relu (x)", ""),
    (
        8,
        "bool[4] c, float[4] x",
        "y = Where (c, x, x)",
        "Where_0: Where is an operator since opset 9, the file is of 8",
    ),
    (13, "float[4] x", "y = HardSwish (x)", "HardSwish_0: HardSwish is an operator since opset 14, the file is of 13"),
    (14, "float[4] x", "y = HardSwish (x)", ""),
    (9, "float[1, 1, 4, 4] x, float[4] s", "y = Upsample (x, s)", ""),
    (
        10,
        "float[1, 1, 4, 4] x, float[4] s",
        "y = Upsample (x, s)",
        "Upsample_0: Upsample is no operator since opset 10, the file is of 10",
    ),
    (10, "float[4] x, float lo", "y = Clip (x, lo)", "Clip_0 has 2 inputs, Clip of opset 10 takes 1"),
    (11, "float[4] x, float lo", "y = Clip (x, lo)", ""),
    (
        11,
        "float[4] x",
        "y = Clip <min = 0.0> (x)",
        "Clip_0 has an attribute min, which Clip of opset 11 has not",
    ),
    (
        13,
        "float[4, 1] x",
        "y = Squeeze <axes = [1]> (x)",
        "Squeeze_0 has an attribute axes, which Squeeze of opset 13 has not",
    ),
    (12, "float[4, 1] x", "y = Squeeze <axes = [1]> (x)", ""),
    (12, "bfloat16[4] x", "y = Relu (x)", "Relu_0: Relu of opset 12 takes no bfloat16, which x gives"),
    (13, "bfloat16[4] x", "y = Neg (x)", ""),
    (
        17,
        "int32[4] x",
        "y = BitwiseNot (x)",
        "BitwiseNot_0: BitwiseNot is an operator since opset 18, the file is of 17",
    ),
]


def model(opset: int, inputs: str, body: str) -> onnx.ModelProto:
    kind = inputs.split("[")[0] if "bool" not in inputs else "float"
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]>\ng ({inputs}) => ({kind} y) {{{body}}}'
    )


@pytest.mark.parametrize(("opset", "inputs", "body", "message"), ROWS)
def test_what_an_opset_does_not_have_is_said(opset: int, inputs: str, body: str, message: str) -> None:
    found = shapecalc.load(model(opset, inputs, body)).trace().problems
    assert [problem.message for problem in found] == ([message] if message else [])
    assert all(problem.code == "E112" and problem.hint for problem in found)


@pytest.mark.parametrize(("opset", "inputs", "body", "message"), ROWS)
def test_onnxruntime_says_the_same(opset: int, inputs: str, body: str, message: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    made = model(opset, inputs, body)
    made.graph.output[0].ClearField("type")
    words = ""
    try:
        runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  onnxruntime raises a class of its own for every status
        words = str(error)
    assert bool(words and "NOT_IMPLEMENTED" not in words) is bool(message), words


def test_nothing_is_run_and_another_input_is_not_proposed_for_what_no_input_changes() -> None:
    with pytest.raises(shapecalc.RefusedError) as caught:
        shapecalc.load(model(13, "float[4] x", "y = HardSwish (x)")).verify(device="cpu")
    assert caught.value.because == "HardSwish_0 alone does not fit"
    assert caught.value.hint == "export again for opset 14 or later"


def test_the_specification_s_dialect_does_not_ask_who_runs_it() -> None:
    made = shapecalc.load(model(8, "bool[4] c, float[4] x", "y = Where (c, x, x)"))
    assert made.trace(dialect="onnx").ok


def test_a_function_of_a_model_speaks_its_own_opset() -> None:
    made = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13, "local" : 1]>\n'
        "g (float[4] x) => (float[4] y) { y = local.f (x) }\n"
        '<domain: "local", opset_import: ["" : 14]>\n'
        "f (x) => (y) { y = HardSwish (x) }"
    )
    assert shapecalc.load(made).trace().ok
    made.functions[0].opset_import[0].version = 13
    assert [problem.code for problem in shapecalc.load(made).trace().problems] == ["E112"]


def test_the_table_holds_what_the_installed_schemas_say() -> None:
    """Of the opsets that every supported release of the onnx package has."""
    schemas = [row for row in onnx.defs.get_all_schemas_with_history() if not row.domain and row.since_version <= 22]
    assert len(schemas) > 500
    for schema in schemas:
        found = form(schema.name, schema.since_version)
        assert found is not None
        runs = schema.name == "GroupNormalization"  # deprecated in 18, and run all the same
        assert found.gone == (schema.deprecated and not runs), schema.name
        if found.since == schema.since_version and not found.gone:
            assert found.most == min(schema.max_input, ANY), schema.name
            assert found.attributes == set(schema.attributes), schema.name


def test_what_onnx_does_not_have_has_no_forms() -> None:
    assert forms("NoSuchOperator") == ()
    assert form("HardSwish", 13) is None


def test_a_type_that_does_not_exist_is_no_type_that_an_opset_lacks() -> None:
    """Damaged bytes: an attribute `to` that says it is a text."""
    damaged = model(17, "float[4] x", "a = Cast <to = 1> (x)\n y = Add (x, a)")
    damaged.graph.node[0].attribute[0].type = onnx.AttributeProto.STRING
    found = shapecalc.load(damaged).trace()
    assert [problem.layer for problem in found.problems if problem.code == "E112"] == []
