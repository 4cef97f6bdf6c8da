"""Nets that draw random numbers are proved with seeds of the proof; the written file keeps its own, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.verify.draws import give_seeds

NODE = helper.make_node


def net(draw: list[onnx.NodeProto]) -> bytes:
    """An image, a convolution of it called h, and y made of h by nodes that draw."""
    weight = numpy.random.default_rng(0).standard_normal((4, 3, 3, 3), numpy.float32)
    stored = {"w": weight, "half": numpy.float32(0.5), "yes": numpy.array(True), "flat": numpy.array([1, -1])}
    nodes = [NODE("Conv", ["x", "w"], ["h"], "conv", kernel_shape=[3, 3]), *draw]
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    given = [numpy_helper.from_array(numpy.asarray(value), name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "net", [fed], [onnx.ValueInfoProto(name="y")], given)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(made.SerializeToString())


def added(op: str, inputs: list[str], **attrs: Any) -> list[onnx.NodeProto]:
    return [NODE(op, inputs, ["r"], "draw", **attrs), NODE("Add", ["h", "r"], ["y"], "sum")]


DRAWS = {
    "RandomNormal": added("RandomNormal", [], shape=[1, 4, 6, 6]),
    "RandomNormalLike": added("RandomNormalLike", ["h"]),
    "RandomUniform": added("RandomUniform", [], shape=[1, 4, 1, 1]),
    "RandomUniformLike": added("RandomUniformLike", ["h"], seed=3.0),
    "Dropout": added("Dropout", ["h", "half", "yes"]),
    "Bernoulli": [NODE("Sigmoid", ["h"], ["p"], "p"), *added("Bernoulli", ["p"])],
    "Multinomial": [
        NODE("Reshape", ["h", "flat"], ["rows"], "rows"),
        NODE("Multinomial", ["rows"], ["y"], "draw", sample_size=5),
    ],
}


@pytest.mark.parametrize("op", DRAWS)
def test_a_net_that_draws_is_proved_and_the_file_keeps_its_seed(op: str, tmp_path: Path) -> None:
    data = net(DRAWS[op])
    plan = shapecalc.load(data, format="onnx").retarget(channels=1)
    report = plan.verify(device="cpu")
    assert report.ok
    assert report.promises[0].ok
    assert report.to_dict()["drawn"] == list(report.drawn)
    assert report.drawn == (("y",) if op == "Multinomial" else ("r",))
    written = onnx.load(plan.save(tmp_path / "out.onnx"))
    before = next(node for node in onnx.ModelProto.FromString(data).graph.node if node.name == "draw")
    assert next(node for node in written.graph.node if node.name == "draw") == before


def test_every_draw_has_a_seed_of_its_own_and_dropout_in_use_has_none() -> None:
    nodes = [
        NODE("RandomUniform", [], ["a"], shape=[1]),
        NODE("RandomUniform", [], ["b"], shape=[1]),
        NODE("Dropout", ["x"], ["c"]),
    ]
    graph = helper.make_graph(nodes, "net", [], [])
    assert give_seeds(graph, 0) == ["a", "b"]
    seeds = [[a.f for a in node.attribute if a.name == "seed"] for node in graph.node]
    assert seeds[0] != seeds[1]
    assert seeds[2] == []
