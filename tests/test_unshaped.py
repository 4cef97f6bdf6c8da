"""Inputs that are no tensors: sequences, dictionaries, optional values; and sizes that come at run time."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx.helper
import onnx.parser
import pytest

import shapecalc
from shapecalc.trace import Trace


def traced(text: str, opset: int = 18) -> Trace:
    found = shapecalc.load(
        onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}, "ai.onnx.ml" : 3]>\n{text}')
    ).trace()
    assert found.ok, found.problems[0]
    return found


def outputs(text: str, opset: int = 18) -> list[str]:
    return [str(value).partition(": ")[2] for value in traced(text, opset).outputs]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g (seq(float[2, 3]) q) => (float y) { i = Constant <value_int = 1> () y = SequenceAt (q, i) }", "2×3"),
        ("g (seq(float[N, 3]) q) => (float y) { i = Constant <value_int = 1> () y = SequenceAt (q, i) }", "?×3"),
        ("g (seq(float[N, 3]) q) => (float y) { y = ConcatFromSequence <axis = 0> (q) }", "y[0]×3"),
        ("g (seq(float[2, 3]) q) => (float y) { y = ConcatFromSequence <axis = 0, new_axis = 1> (q) }", "y[0]×2×3"),
        ("g (seq(float[2, 3]) q) => (int64 y) { y = SequenceLength (q) }", "scalar"),
        ("g (optional(float[4, N]) o) => (float y) { y = OptionalGetElement (o) }", "4×N"),
        ("g (optional(float[4, N]) o) => (bool y) { y = OptionalHasElement (o) }", "scalar"),
        (
            "g (optional(float[4]) o, float[2] x) => (float y) {"
            "h = OptionalHasElement (o) y = If (h) <then_branch = a () => (float p) { p = OptionalGetElement (o) },"
            "else_branch = b () => (float r) { r = Identity (x) }> }",
            "y[0]",
        ),
        (
            "g (optional(seq(float[2, 3])) o) => (float y) {"
            "s = OptionalGetElement (o) i = Constant <value_int = 0> () y = SequenceAt (s, i) }",
            "2×3",
        ),
    ],
)
def test_what_an_input_that_is_no_tensor_declares_is_followed(text: str, expected: str) -> None:
    assert outputs(text) == [expected]


def dictionary() -> onnx.ModelProto:
    """A dictionary of words as one row, scaled: what scikit-learn's DictVectorizer becomes."""
    make, domain = onnx.helper.make_node, {"domain": "ai.onnx.ml"}
    nodes = [
        make("DictVectorizer", ["x"], ["row"], string_vocabulary=["a", "b", "c"], **domain),
        make("Scaler", ["row"], ["y"], offset=[0.0] * 3, scale=[2.0] * 3, **domain),
    ]
    given = onnx.ValueInfoProto(name="x")
    given.type.map_type.key_type = onnx.TensorProto.STRING
    given.type.map_type.value_type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph(nodes, "g", [given], [result])
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_a_dictionary_becomes_a_row() -> None:
    runtime = pytest.importorskip("onnxruntime")
    found = shapecalc.load(dictionary()).trace()
    assert found.ok
    assert found.layer("DictVectorizer_0").inputs[0].unknown == "x is a dictionary, no tensor"
    session = runtime.InferenceSession(dictionary().SerializeToString(), providers=["CPUExecutionProvider"])
    (came,) = session.run(None, {"x": {"a": 1.0, "c": 2.0}})
    assert found.outputs[0].shape == came.shape == (1, 3)


def test_what_has_no_shape_takes_none_and_runs_with_nothing_made_up(tmp_path: Path) -> None:
    model = shapecalc.load(dictionary())
    with pytest.raises(shapecalc.UsageError, match="input 'x' has no shape") as met:
        model.trace(224)
    assert met.value.because == "x is a dictionary, no tensor"
    assert met.value.hint == "leave --input out, or name another input: it is traced from what the file says of it"
    with pytest.raises(shapecalc.ShapecalcError, match="input x is no tensor"):
        model.verify(device="cpu")


def test_a_shape_of_a_net_that_takes_no_image_is_refused_with_what_to_type() -> None:
    node = onnx.helper.make_node("Relu", ["rows"], ["y"])
    given = onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, ["n", "steps", 8])
    ends = [onnx.ValueInfoProto(name="y")]
    made = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [given], ends), ir_version=8)
    model = shapecalc.load(made)
    with pytest.raises(shapecalc.UsageError, match="224 does not fit input 'rows'") as met:
        model.trace(224)
    assert met.value.because == "rows has 3 axes, so it is no image that a height and a width alone tell"
    assert met.value.hint == "tell every axis: --input 'rows:?x?x8', a number for each ?"
    assert model.trace("rows:?x?x8").ok
    assert model.trace("rows:2x5x8").outputs[0].shape == (2, 5, 8)


def test_a_cut_at_a_dictionary_names_the_tensor_before_it() -> None:
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["row"]),
        onnx.helper.make_node("ZipMap", ["row"], ["z"], name="zip", domain="ai.onnx.ml", classlabels_int64s=[1, 2, 3]),
    ]
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3])
    graph = onnx.helper.make_graph(nodes, "g", [given], [onnx.ValueInfoProto(name="z")])
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    model = shapecalc.load(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8))
    with pytest.raises(shapecalc.RefusedError, match="the shape of z is not known") as met:
        model.cut("zip")
    assert (met.value.because, met.value.hint) == (
        "zip gives dictionaries, no tensor",
        "--at row, which it is made from",
    )
    assert model.cut("row").trace.outputs[0].shape == (1, 3)


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def test_types_in_types_without_end_are_not_followed() -> None:
    """3,000 sequences in sequences, which protobuf itself would not write."""
    kind = _field(1, b"\x08\x01")
    for _ in range(3000):
        kind = _field(4, _field(1, kind))
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"SequenceLength")
    graph = _field(1, node) + _field(11, _field(1, b"x") + _field(2, kind)) + _field(12, _field(1, b"y"))
    model = b"\x08\x08" + _field(7, graph) + _field(8, b"\x10\x11")
    assert [value.shape for value in shapecalc.load(model, format="onnx").trace().outputs] == [()]


# -- sizes that come at run time --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g (int64[3] s) => (float y) { y = ConstantOfShape (s) }", "y[0]×y[1]×y[2]"),
        ("g (int64[k] s) => (float y) { y = ConstantOfShape (s) }", "?"),
        ("g (float[2, 2, 3] t, int64[4] s) => (float y) { y = AffineGrid (t, s) }", "?×?×?×2"),
        ("g (float[1, 5, 5] x, int64[2] s) => (float y) { b = Constant <value_ints = [1, 5]> () y = Col2Im (x, s, b) }",
         "1×1×?×?"),
        ("g (float[1, 8, 1] x, int64 a) => (float y) { y = DFT (x, , a) }", "1×8×2"),
        ("g (float[1, 8, 1] x, int64 a) => (float y) { y = DFT <onesided = 1> (x, , a) }", "?×?×2"),
        ("g (float[6, 2] x, int64[2] s) => (float y) {"
         "q = SplitToSequence (x, s) i = Constant <value_int = 1> () y = SequenceAt (q, i) }", "?×2"),
        ("g (float[2, 3] x, int64 i) => (float y) {"
         "q = SequenceConstruct (x, x) r = SequenceInsert (q, x, i) y = ConcatFromSequence <axis = 0> (r) }", "6×3"),
        ("g (float[2, 3] x, int64 i) => (float y) {"
         "q = SequenceConstruct (x, x) r = SequenceErase (q, i) y = ConcatFromSequence <axis = 0> (r) }", "2×3"),
    ],
)  # fmt: skip
def test_what_is_known_is_said_where_a_size_is_not(text: str, expected: str) -> None:
    assert outputs(text, 20) == [expected]


def test_a_mask_of_a_size_from_outside_has_bounds() -> None:
    (value,) = traced("g (int64[2] s) => (float y) { y = ConstantOfShape (s) }").outputs
    assert value.unknown is None
    assert [str(size) for size in value.shape or ()] == ["y[0]", "y[1]"]


def test_scan_of_opset_8_has_batches() -> None:
    text = """g (float[2, 4] start, float[2, 7, 4] x) => (float last, float rows) {
        last, rows = Scan <num_scan_inputs = 1, body = turn (float[4] s, float[4] a) => (float[4] t, float[1] r) {
            t = Add (s, a)
            r = ReduceSum <axes = [0]> (t)
        }> (, start, x)
    }"""
    assert outputs(text, 8) == ["2×4", "2×7×1"]
    runtime = pytest.importorskip("onnxruntime")
    made = onnx.parser.parse_model(f'<ir_version: 3, opset_import: ["" : 8]>\n{text}')
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"start": numpy.zeros((2, 4), numpy.float32), "x": numpy.ones((2, 7, 4), numpy.float32)}
    assert [value.shape for value in session.run(None, feeds)] == [(2, 4), (2, 7, 1)]


def test_why_of_a_net_that_takes_sequences_has_the_misfit_and_no_other_size() -> None:
    text = "g (seq(float[2, 3]) q, float[5] b) => (float y) {"
    text += "i = Constant <value_int = 0> () a = SequenceAt (q, i) y = Add (a, b) }"
    net = shapecalc.load(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}'))
    answer = net.why(run=False)
    assert [problem.layer for problem in answer.trace.problems] == ["Add_2"]
    assert answer.repairs == []
