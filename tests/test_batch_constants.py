"""Another batch of exports that hold a constant for one image, where rows of all images are picked or laid out."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc

NODE = helper.make_node
Nodes = list[onnx.NodeProto]

#: The batch that comes in, as a number and as an array of one.
BATCH = [
    NODE("Shape", ["x"], ["sizes"], "sizes"),
    NODE("Gather", ["sizes", "first"], ["b"], "b"),
    NODE("Unsqueeze", ["b", "front"], ["row"], "row"),
]
#: The mask of an image's places, looked up at image · 16 + place as DETR does.
PICKED = [
    *BATCH,
    NODE("Range", ["first", "b", "one"], ["images"], "images"),
    NODE("Unsqueeze", ["images", "column"], ["rows"], "rows"),
    NODE("Mul", ["rows", "many"], ["starts"], "starts"),
    NODE("Add", ["starts", "places"], ["indices"], "indices"),
    NODE("Cast", ["table"], ["mask"], "mask", to=TensorProto.BOOL),
    NODE("Flatten", ["mask"], ["flat"], "flat", axis=2),
    NODE("Cast", ["flat"], ["whole"], "whole", to=TensorProto.FLOAT),
    NODE("Gather", ["whole", "indices"], ["picked"], "picked", axis=0),
    NODE("Flatten", ["picked"], ["masked"], "masked", axis=1),
]
#: Positions of an image's places, laid out for as many images as come in (conditional DETR).
LAID_OUT = [
    *BATCH,
    NODE("Exp", ["table"], ["waves"], "waves"),
    NODE("Concat", ["row", "sides"], ["target"], "target", axis=0),
    NODE("Reshape", ["waves", "target"], ["map"], "map"),
    NODE("Flatten", ["map"], ["masked"], "masked", axis=1),
]
WAYS = {"picked": PICKED, "laid out": LAID_OUT}


def net(path: Path, nodes: Nodes) -> Path:
    whole = {
        "first": 0, "one": 1, "front": [0], "column": [1], "many": 16, "places": range(16), "sides": [4, 4],
        "channels": [1],
    }  # fmt: skip
    weights = [
        numpy_helper.from_array(numpy.array(list(v) if isinstance(v, range) else v), k) for k, v in whole.items()
    ]
    table = numpy.arange(16, dtype=numpy.float32).reshape(1, 16) % 3
    end = [
        NODE("ReduceMean", ["x"], ["mean"], "mean", axes=[1], keepdims=0),
        NODE("Flatten", ["mean"], ["features"], "features"),
        NODE("Mul", ["features", "masked"], ["y"], "y"),
    ]
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    made = [onnx.ValueInfoProto(name="y")]
    used = {name for node in nodes for name in node.input}
    weights = [weight for weight in [*weights, numpy_helper.from_array(table, "table")] if weight.name in used]
    graph = helper.make_graph([*nodes, *end], "net", [fed], made, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("batch", [4, "N"])
@pytest.mark.parametrize("way", WAYS)
def test_a_constant_of_one_image_stands_there_for_each(way: str, batch: int | str, tmp_path: Path) -> None:
    plan = shapecalc.load(net(tmp_path / "net.onnx", WAYS[way])).retarget(batch=batch)
    assert plan.edits[0].describe().endswith("; 1 weights repeated")
    report = plan.verify(device="cpu")
    assert [promise.ok for promise in report.promises] == [True]
    assert report.promises[0].worst.scale > 0
    plan.save(tmp_path / "out.onnx", device="cpu")


def test_rows_that_images_look_up_by_their_own_numbers_stay_the_same(tmp_path: Path) -> None:
    """A flattened table for all images, which is no mask: that it stands there for each does no harm."""
    nodes = [
        NODE("Flatten", ["table"], ["flat"], "flat", axis=2),
        NODE("ReduceMax", ["x"], ["largest"], "largest", axes=[1, 2, 3], keepdims=0),
        NODE("Clip", ["largest", "low", "high"], ["near"], "near"),
        NODE("Cast", ["near"], ["index"], "index", to=TensorProto.INT64),
        NODE("Gather", ["flat", "index"], ["y"], "picked", axis=0),
    ]
    table = numpy.arange(16, dtype=numpy.float32).reshape(1, 16)
    ends = [numpy_helper.from_array(numpy.array(n, numpy.float32), name) for name, n in (("low", 0), ("high", 15))]
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    graph = helper.make_graph(
        nodes, "net", [fed], [onnx.ValueInfoProto(name="y")], [numpy_helper.from_array(table, "table"), *ends]
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "net.onnx"
    )
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(batch=4)
    assert all(promise.ok for promise in plan.verify(device="cpu").promises)
