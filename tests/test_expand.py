"""Arrays spread over a larger shape: what onnxruntime refuses is a misfit, and a kept axis is kept at another size."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import onnxruntime
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import shapecalc

NODE = helper.make_node
CPU = ["CPUExecutionProvider"]


def net(nodes: list[onnx.NodeProto], shape: list[int | str], target: list[int]) -> bytes:
    weights = [numpy_helper.from_array(numpy.array(target, numpy.int64), "target")]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "net", [x], [onnx.ValueInfoProto(name="y")], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(made.SerializeToString())


SPREAD = [NODE("Expand", ["x", "target"], ["y"], "spread")]
SIDES = st.lists(st.integers(1, 3), min_size=1, max_size=3)


@given(shape=SIDES, target=SIDES)
def test_what_spreads_is_what_onnxruntime_spreads(shape: list[int], target: list[int]) -> None:
    data = net(SPREAD, [*shape], target)
    trace = shapecalc.load(data, format="onnx").trace()
    try:
        session = onnxruntime.InferenceSession(data, providers=CPU)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
        assert [problem.code for problem in trace.problems] == ["E105"]
        return
    assert trace.ok
    ran = session.run(None, {"x": numpy.zeros(shape, numpy.float32)})[0]
    assert trace.layer("spread").outputs[0].shape == ran.shape


def test_the_misfit_names_both_and_the_constant() -> None:
    (problem,) = shapecalc.load(net(SPREAD, [1, 5], [1, 4]), format="onnx").trace().problems
    assert problem.message == "spread spreads 1×5 from x over 1×4"
    assert (problem.expected, problem.actual) == ("sizes of 1×4, or 1", "1×5")
    assert "is a constant of the file (target)" in (problem.hint or "")


def test_an_axis_that_was_kept_is_kept_at_another_size(tmp_path: Path) -> None:
    nodes = [
        NODE("ReduceMax", ["x"], ["rows"], "most", keepdims=1),
        NODE("Expand", ["rows", "target"], ["y"], "spread"),
    ]
    nodes[0].input.append("axes")
    model = onnx.load_model_from_string(net(nodes, [1, 3, 8, 8], [1, 3, 8, 6]))
    model.graph.initializer.append(numpy_helper.from_array(numpy.array([3], numpy.int64), "axes"))
    plan = shapecalc.load(model).retarget(input=(12, 9))
    assert [edit.describe() for edit in plan.edits][1:] == ["spread: shape [1, 3, 8, 6] → [1, 3, 1, 6]"]
    target = plan.save(tmp_path / "out.onnx", device="cpu")
    image = numpy.random.default_rng(1).standard_normal((1, 3, 12, 9), numpy.float32)
    got = onnxruntime.InferenceSession(target, providers=CPU).run(None, {"x": image})[0]
    numpy.testing.assert_array_equal(got, numpy.broadcast_to(image.max(3, keepdims=True), (1, 3, 12, 6)))
