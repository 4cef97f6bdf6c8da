"""A pooling in front of tokens that attend to each other is offered; in front of other layers it is carried out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc

NODE = helper.make_node
PLACES, CHANNELS = 49, 4


def export(path: Path, *, attending: bool) -> Path:
    """7×7 patches in a row, mixed by attention with a bias that nothing carries over, or by a trained matrix."""
    noise = numpy.random.default_rng(0)
    arrays: dict[str, Any] = {
        "w": noise.standard_normal((CHANNELS, 3, 32, 32), numpy.float32),
        "mix": noise.standard_normal((1, PLACES, PLACES), numpy.float32),
        "flat": numpy.array([1, CHANNELS, PLACES], numpy.int64),
    }
    nodes = [
        NODE("Conv", ["x", "w"], ["map"], "patches", kernel_shape=[32, 32], strides=[32, 32]),
        NODE("Reshape", ["map", "flat"], ["columns"], "flatten"),
        NODE("Transpose", ["columns"], ["rows"], "turn", perm=[0, 2, 1]),
    ]
    if attending:
        nodes += [
            NODE("MatMul", ["rows", "columns"], ["scores"], "score"),
            NODE("Softmax", ["mix"], ["bias"], "gate", axis=-1),
            NODE("Add", ["scores", "bias"], ["placed"], "place"),
            NODE("Softmax", ["placed"], ["shares"], "share", axis=-1),
        ]
    nodes += [
        NODE("MatMul", ["shares" if attending else "mix", "rows"], ["seen"], "see"),
        NODE("ReduceMean", ["seen"], ["y"], "mean", axes=[1], keepdims=0),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 224, 224])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, CHANNELS])
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "net", [given], [output], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_a_pooling_in_front_of_attention_is_offered(tmp_path: Path) -> None:
    model = shapecalc.load(export(tmp_path / "net.onnx", attending=True))
    with pytest.raises(shapecalc.RefusedError) as caught:
        model.retarget(input=288)
    assert "--repair insert-pool: insert average pooling patches_fit" in str(caught.value.hint)
    assert "--repair resize" in str(caught.value.hint)
    plan = model.retarget(input=288, repair="insert-pool")
    assert plan.verify(device="cpu").ok
    assert plan.edits[-1].layer == "patches"


def test_a_pooling_in_front_of_a_trained_matrix_is_carried_out(tmp_path: Path) -> None:
    plan = shapecalc.load(export(tmp_path / "net.onnx", attending=False)).retarget(input=288)
    assert [repair.name for repair in plan.repairs if plan.chosen(repair)] == ["insert-pool"]
