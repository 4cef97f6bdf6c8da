"""Functions of a model: what they are called with reaches types, constants and loops inside, as in onnxruntime."""

from __future__ import annotations

import numpy
import onnx
import onnx.parser
import pytest

import shapecalc

#: (body of the graph, functions, the shape and element type of y).
ROWS = {
    "an axis": ("y = f.cat <ax=3> (x, x)",
        "cat <ax> (a, b) => (w) { w = Concat <axis: int = @ax> (a, b) }", "2×3×8×16"),
    "a default": ("y = f.cat (x, x)",
        "cat <ax: int = 2> (a, b) => (w) { w = Concat <axis: int = @ax> (a, b) }", "2×3×16×8"),
    "handed on": (
        "y = f.outer <k=1> (x)",
        'outer <k> (v) => (w) { w = f.inner <j: int = @k> (v) }\n<domain: "f", opset_import: ["" : 18]>\n'
        "inner <j> (v) => (w) { w = Concat <axis: int = @j> (v, v) }",
        "2×6×8×8",
    ),
    "a type": ("y = f.as <k=7> (x)", "as <k> (v) => (w) { w = Cast <to: int = @k> (v) }", "2×3×8×8 int64"),
    "a constant": (
        "y = f.rows <n=6> (x)",
        "rows <n> (v) => (w) { c = Constant <value_int: int = @n> ()\n r = Constant <value_ints=[-1]> ()\n"
        " o = Constant <value_ints=[0]> ()\n d = Unsqueeze (c, o)\n t = Concat <axis=0> (d, r)\n w = Reshape (v, t) }",
        "6×64",
    ),
    "constants": (
        "y = f.into <t=[4, -1]> (x)",
        "into <t> (v) => (w) { c = Constant <value_ints: ints = @t> ()\n w = Reshape (v, c) }",
        "4×96",
    ),
    "turns": (
        "y = f.rep <n=3> (x)",
        "rep <n> (v) => (w) { c = Constant <value_int: int = @n> ()\n one = Constant <value_int=1> ()\n"
        " go = Cast <to=9> (one)\n w = Loop (c, go, v) <body = q (int64 i, bool ci, float[A,B,C,D] s) => "
        "(bool co, float[E,F,G,H] so) { co = Identity (ci)\n so = Concat <axis=1> (s, v) }> }",
        "2×12×8×8",
    ),
    "no optional input": ("y = f.clipped (x)", "clipped (v, low) => (w) { w = Clip (v, low) }", "2×3×8×8"),
    "its place left empty": ("y = f.clipped (x, )", "clipped (v, low) => (w) { w = Clip (v, low) }", "2×3×8×8"),
}  # fmt: skip


def model(body: str, functions: str) -> onnx.ModelProto:
    made = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : 18, "f" : 1]>\ng (float[2,3,8,8] x) => (float y) {{ {body} }}\n'
        f'<domain: "f", opset_import: ["" : 18, "f" : 1]>\n{functions}'
    )
    made.graph.output[0].ClearField("type")
    return made


@pytest.mark.parametrize(("body", "functions", "expected"), ROWS.values(), ids=ROWS)
def test_what_a_function_is_called_with_reaches_what_is_inside(body: str, functions: str, expected: str) -> None:
    made = model(body, functions)
    found = shapecalc.load(made).trace()
    assert found.ok, found.problems
    sizes, _, kind = expected.partition(" ")
    tensor = found.tensors["y"]
    assert (shapecalc.dims.show(tensor.shape), tensor.dtype) == (sizes, kind or "float32")
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (came,) = session.run(None, {"x": numpy.zeros((2, 3, 8, 8), numpy.float32)})
    assert ("×".join(map(str, came.shape)), str(came.dtype)) == (sizes, kind or "float32")


def test_a_list_in_the_place_of_a_number_is_a_problem_of_the_layer() -> None:
    made = model("y = f.rows <n=[6]> (x)", "rows <n> (v) => (w) { w = Constant <value_int: int = @n> () }")
    assert [problem.code for problem in shapecalc.load(made).trace().problems] == ["E109"]
