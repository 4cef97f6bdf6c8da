"""Graphs inside graphs: branches, loops, functions of the model, sequences and optional values.

Each model is ONNX's own text; the shapes are those that onnx's reference evaluator gives, or what can be known.
"""

from __future__ import annotations

from typing import Any

import onnx.parser
import pytest

import shapecalc
from shapecalc.errors import ModelError
from shapecalc.ops import all_rows
from shapecalc.ops.lists import Listed
from shapecalc.trace import Trace

HEAD = '<ir_version: 8, opset_import: ["" : 18, "own" : 1]>\n'


def traced(text: str, shape: Any = None) -> Trace:
    return shapecalc.load(onnx.parser.parse_model(HEAD + text)).trace(shape)


def shapes(text: str, shape: Any = None) -> list[str]:
    found = traced(text, shape)
    assert found.ok, found.problems[0]
    return [str(value).partition(": ")[2] for value in found.outputs]


IF = """g (float[2, 3] x, bool c) => (float y) {{
    size = Shape <start = 1> (x)
    small = Constant <value_ints = [{limit}]> ()
    known = Greater (size, small)
    y = If ({condition}) <
        then_branch = yes () => (float a) {{ a = Transpose (x) }},
        else_branch = no () => (float b) {{ b = {other} (x) }}
    >
}}"""


@pytest.mark.parametrize(
    ("limit", "condition", "other", "expected"),
    [
        (2, "known", "Relu", "3×2"),
        (3, "known", "Relu", "2×3"),
        (0, "c", "Relu", "y[0]×y[1]"),
        (0, "c", "Transpose", "3×2"),
        (0, "c", "ReduceMax <keepdims = 0>", "?"),
    ],
)
def test_a_branch_is_chosen_where_its_condition_is_known(limit: int, condition: str, other: str, expected: str) -> None:
    assert shapes(IF.format(limit=limit, condition=condition, other=other)) == [expected]


def test_a_size_that_branches_do_not_share_lies_between_theirs() -> None:
    """As torchvision's non-maximum suppression: nothing where there are no boxes."""
    body = IF.format(limit=0, condition="c", other="Relu")
    (y,) = shapecalc.load(onnx.parser.parse_model(HEAD + body)).trace().outputs
    assert y.bounds == {"y[0]": (2, 3), "y[1]": (2, 3)}


LOOP = """g (float[2, 3] x, int64 n, bool c) => (float last, float rows) {{
    true = Constant <value = bool {{1}}> ()
    turns = Constant <value_int = 3> ()
    many = Constant <value_int = 1000000> ()
    end = Constant <value_int = 3> ()
    last, rows = Loop ({turns}, {condition}, x) <
        body = b (int64 i, bool go, float state) => (bool again, float next, float row) {{
            again = {again}
            next = {step}
            row = Shape (x)
        }}
    >
}}"""


@pytest.mark.parametrize(
    ("turns", "condition", "again", "step", "expected"),
    [
        ("turns", "", "Identity (go)", "Relu (state)", ["2×3", "3×2"]),
        ("turns", "true", "Identity (go)", "Concat <axis = 0> (state, x)", ["8×3", "3×2"]),
        ("turns", "true", "Not (go)", "Concat <axis = 0> (state, x)", ["4×3", "1×2"]),
        ("turns", "c", "Identity (go)", "Concat <axis = 0> (state, x)", ["last[0]×3", "rows[0]×2"]),
        ("n", "true", "Identity (go)", "Relu (state)", ["2×3", "rows[0]×2"]),
        ("n", "true", "Identity (go)", "Transpose (state)", ["last[0]×last[1]", "rows[0]×2"]),
        ("", "c", "Identity (go)", "Relu (state)", ["2×3", "rows[0]×2"]),
        ("", "true", "Less (i, end)", "Concat <axis = 0> (state, x)", ["10×3", "4×2"]),
        ("many", "true", "Less (i, end)", "Concat <axis = 0> (state, x)", ["10×3", "4×2"]),
        ("many", "true", "Identity (go)", "Concat <axis = 0> (state, x)", ["last[0]×3", "1000000×2"]),
    ],
)
def test_a_loop_is_walked_as_often_as_it_turns(
    turns: str, condition: str, again: str, step: str, expected: list[str]
) -> None:
    inner = {"turns": turns, "condition": condition, "again": again, "step": step}
    assert shapes(LOOP.format(**inner)) == expected


SCAN = """g (float[2] s, float[5, 2] x) => (float last, float rows) {
    last, rows = Scan <num_scan_inputs = 1, scan_output_axes = [1], body = b (float[2] a, float[2] e) => (c, d) {
        c = Add (a, e)
        d = Identity (c)
    }> (s, x)
}"""


def test_a_scan_has_a_row_for_each_place() -> None:
    assert shapes(SCAN) == ["2", "2×5"]


FUNCTION = """g (float[2, 3] x) => (float y, float z) {
    y = own.turned <order = [1, 0]> (x)
    z = own.turned (y)
}
<opset_import: ["" : 18], domain: "own">
turned <order: ints = [0, 1]> (v) => (w) {
    u = Relu (v)
    w = Transpose <perm = @order> (u)
}"""


def test_a_function_of_the_model_is_walked_with_its_attributes() -> None:
    assert shapes(FUNCTION) == ["3×2", "3×2"]


ENDLESS = """g (float[2, 3] x) => (float y) {
    y = own.again (x)
}
<opset_import: ["" : 18, "own" : 1], domain: "own">
again (v) => (w) {
    a = own.again (v)
    w = own.again (a)
}"""


def test_a_function_that_calls_itself_ends() -> None:
    (value,) = traced(ENDLESS).outputs
    assert value.unknown is not None
    assert "too deep or too many" in value.unknown


def test_what_does_not_fit_inside_names_both_layers() -> None:
    text = IF.format(limit=2, condition="known", other="Relu").replace("Transpose (x)", "Reshape (x, small)")
    (problem,) = traced(text).problems
    assert (problem.layer, problem.also[-1]) == ("Reshape_0", "If_3")


def test_what_may_never_run_is_no_problem() -> None:
    text = IF.format(limit=2, condition="c", other="Relu").replace("Transpose (x)", "Reshape (x, small)")
    assert traced(text).ok


SEQUENCES = """g (float[2, 6] x, int64 k) => (float a, float b, float c, int64 d, float e, float f, bool h) {
    one = Constant <value_int = 1> ()
    four = Constant <value_int = 4> ()
    parts = SplitToSequence <axis = 1> (x, four)
    a = SequenceAt (parts, one)
    b = ConcatFromSequence <axis = 1> (parts)
    none = SequenceEmpty ()
    first = SequenceInsert (none, x)
    both = SequenceInsert (first, a)
    c = SequenceAt (both, k)
    fewer = SequenceErase (both, one)
    d = SequenceLength (fewer)
    pair = SequenceConstruct (x, x)
    e = ConcatFromSequence <axis = 0, new_axis = 1> (pair)
    turned = SequenceMap (pair) <body = m (v) => (w) { w = Transpose (v) }>
    maybe = Optional (turned)
    sure = OptionalGetElement (maybe)
    f = SequenceAt (sure, k)
    h = OptionalHasElement (maybe)
}"""


def test_the_items_of_sequences_are_followed() -> None:
    assert shapes(SEQUENCES) == ["2×2", "2×6", "2×?", "scalar", "2×2×6", "6×2", "scalar"]


def test_a_sequence_is_no_tensor_and_says_so() -> None:
    text = "g (float[2, 6] x) => (float y) {\n s = SequenceConstruct (x)\n y = Relu (s)\n}"
    (value,) = traced(text).outputs
    assert value.unknown == "a 1-item sequence of tensors, no tensor"


GROWING = """g (float[2, 6] x, int64 n, bool c) => (int64 d, float a) {
    none = SequenceEmpty ()
    grown = Loop (n, c, none) <body = b (int64 i, bool go, seq(float) s) => (bool again, seq(float) t) {
        again = Identity (go)
        t = SequenceInsert (s, x)
    }>
    d = SequenceLength (grown)
    zero = Constant <value_int = 0> ()
    a = SequenceAt (grown, zero)
}"""


def test_a_sequence_that_grows_keeps_what_its_items_share() -> None:
    assert shapes(GROWING) == ["scalar", "2×6"]


def test_rows_of_whole_tensors_are_all_here() -> None:
    texts = "".join((IF, LOOP, SCAN, SEQUENCES, GROWING))
    rows = {name for (_, name), row in all_rows().items() if row.tensors is not None}
    assert {name for name in rows if f"= {name} " not in texts} == set()


def test_sequences_of_open_length_know_what_is_common() -> None:
    a, b = (shapecalc.load(onnx.parser.parse_model(HEAD + SEQUENCES)).trace().tensors[name] for name in ("x", "a"))
    common = Listed([a, b]).common
    assert common is not None
    assert str(common) == "Tensor((2, Unknown('the items of a sequence differ')), float32)"


def test_a_body_that_is_missing_is_a_problem_of_the_layer() -> None:
    made = onnx.parser.parse_model(HEAD + IF.format(limit=0, condition="c", other="Relu"))
    del made.graph.node[-1].attribute[:]
    (problem,) = shapecalc.load(made).trace().problems
    assert problem.code == "E109"


def test_a_damaged_subgraph_is_refused_when_it_is_read() -> None:
    made = onnx.parser.parse_model(HEAD + IF.format(limit=0, condition="c", other="Relu"))
    made.graph.node[-1].attribute[0].g.node[0].op_type = ""
    with pytest.raises(ModelError, match="has no operator"):
        shapecalc.load(made)


def test_counts_that_only_running_tells_have_bounds() -> None:
    text = "g (float[2, 6] x) => (int64 y) { y = NonZero (x) }"
    (value,) = traced(text).outputs
    assert str(value) == "y: 2×y[1]"
    assert value.bounds == {"y[1]": (0, 12)}
    assert value.to_dict()["bounds"] == {"y[1]": [0, 12]}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("b = Shape (x)", "its branches give float32 and int64"),
        ("b = Relu (x)\n d = Relu (x)", "its branches give 1 and 2 values"),
    ],
)
def test_branches_that_onnxruntime_does_not_join_are_said(other: str, words: str) -> None:
    more = ", float d" if "d =" in other else ""
    kind = "int64" if "Shape" in other else "float"
    text = (
        "g (float[2, 3] x, bool c) => (float y) {\n    y = If (c) <then_branch = yes () => (float a) { a = Relu (x) },"
        f" else_branch = no () => ({kind} b{more}) {{ {other} }}>\n}}"
    )
    made = onnx.parser.parse_model(HEAD + text)
    (problem,) = shapecalc.load(made).trace().problems
    assert words in problem.message
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    with pytest.raises(Exception, match=r"Mismatched tensor element type|different number of outputs"):
        runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
