"""Which layers are heads: several of them, boxes for each class, maps that need not be classes, pairs of branches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.graph import Graph, Node, Param
from shapecalc.weights import role, slots

NODE = helper.make_node


def seeded(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy.random.default_rng(len(name)).standard_normal(shape, numpy.float32), name)


def written(folder: Path, nodes: list[onnx.NodeProto], outputs: list[str], weights: list[onnx.TensorProto]) -> Path:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])
    graph = helper.make_graph(nodes, "net", [given], [onnx.ValueInfoProto(name=name) for name in outputs], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return path


STEM = [NODE("Conv", ["x", "w"], ["h"], "conv", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])]


@pytest.mark.parametrize("kept", [["y"], ["y", "aux1"], ["y", "aux1", "aux2"]])
def test_auxiliary_heads_follow_in_an_onnx_file(tmp_path: Path, kept: list[str]) -> None:
    """GoogLeNet gives three scores, Inception two, from layers of other widths."""
    nodes, weights = list(STEM), [seeded("w", 4, 3, 3, 3)]
    for index, name in enumerate(kept):
        width = 2 + index
        nodes += [
            NODE("Conv", ["h", f"{name}.c"], [f"{name}.m"], f"{name}/conv", kernel_shape=[1, 1]),
            NODE("GlobalAveragePool", [f"{name}.m"], [f"{name}.p"], f"{name}/pool"),
            NODE("Flatten", [f"{name}.p"], [f"{name}.f"], f"{name}/flat"),
            NODE("Gemm", [f"{name}.f", f"{name}.w", f"{name}.b"], [name], f"{name}/fc", transB=1),
        ]
        weights += [seeded(f"{name}.c", width, 4, 1, 1), seeded(f"{name}.w", 10, width), seeded(f"{name}.b", 10)]
    plan = shapecalc.load(written(tmp_path, nodes, kept, weights)).retarget(classes=13)
    assert [edit.to_dict()["layer"] for edit in plan.edits] == [f"{name}/fc" for name in kept]
    assert [(output.shape or ())[1:] for output in plan.trace.outputs] == [(13,)] * len(kept)
    assert plan.verify(device="cpu").ok
    session = onnx.load(plan.save(tmp_path / "out.onnx"))
    assert {i.name for i in session.graph.initializer} >= {f"{name}.w_13" for name in kept}


REGIONS = """
name: "net"
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 1 dim: 3 dim: 8 dim: 8 }} }} }}
layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param {{ num_output: {a} }} }}
layer {{ name: "b" type: "InnerProduct" bottom: "x" top: "b" inner_product_param {{ num_output: {b} }} }}
layer {{ name: "prob" type: "Softmax" bottom: "a" top: "prob" }}
{rest}
"""
BOTH = 'layer { name: "other" type: "Softmax" bottom: "b" top: "other" }'


def test_boxes_for_each_class_follow_the_classes() -> None:
    """Fast R-CNN: 21 classes, and four numbers for each."""
    plan = shapecalc.loads(REGIONS.format(a=21, b=84, rest=""), format="caffe").retarget(classes=13)
    assert [output.shape for output in plan.trace.outputs] == [(1, 52), (1, 13)]
    assert plan.verify(device="cpu").ok


@pytest.mark.parametrize(("a", "b", "rest"), [(21, 80, ""), (21, 84, BOTH)])
def test_heads_that_are_no_multiples_are_asked_for(a: int, b: int, rest: str) -> None:
    net = shapecalc.loads(REGIONS.format(a=a, b=b, rest=rest), format="caffe")
    with pytest.raises(shapecalc.RefusedError, match="cannot be told") as caught:
        net.retarget(classes=13)
    assert caught.value.hint == "name it: --head a"
    assert caught.value.because is not None
    assert f"b ({b})" in caught.value.because
    assert net.retarget(classes=13, head="a").trace.layer("a_13").outputs[0].shape == (1, 13)


def test_a_map_is_no_head_unless_it_is_named(tmp_path: Path) -> None:
    """The three channels of an image that comes out are no classes."""
    nodes = [*STEM, NODE("Conv", ["h", "v"], ["y"], "last", kernel_shape=[3, 3])]
    path = written(tmp_path, nodes, ["y"], [seeded("w", 4, 3, 3, 3), seeded("v", 3, 4, 3, 3)])
    model = shapecalc.load(path)
    with pytest.raises(shapecalc.RefusedError) as caught:
        model.retarget(classes=13)
    assert caught.value.code == "E301"
    assert caught.value.because == "last gives 3 channels at every place, without a Softmax behind"
    assert str(caught.value.hint).startswith("if they are: --head last; ")
    assert (model.retarget(classes=13, head=["last"]).trace.outputs[0].shape or ())[1:] == (13, 6, 6)
    scored = [*nodes, NODE("Softmax", ["y"], ["z"], "soft", axis=1)]
    path = written(tmp_path, scored, ["z"], [seeded("w", 4, 3, 3, 3), seeded("v", 3, 4, 3, 3)])
    assert (shapecalc.load(path).retarget(classes=13).trace.outputs[0].shape or ())[1:] == (13, 6, 6)


PAIR = """
name: "pair"
layer { name: "both" type: "Input" top: "both" input_param { shape { dim: 2 dim: 2 dim: 8 dim: 8 } } }
layer { name: "slice" type: "Slice" bottom: "both" top: "one" top: "two" slice_param { slice_dim: 1 slice_point: 1 } }
layer {
  name: "conv" type: "Convolution" bottom: "one" top: "conv" param { name: "w" } param { name: "b" }
  convolution_param { num_output: 3 kernel_size: 3 }
}
layer {
  name: "conv_p" type: "Convolution" bottom: "two" top: "conv_p" param { name: "w" } param { name: "b" }
  convolution_param { num_output: 3 kernel_size: 3 }
}
layer { name: "sim" type: "Input" top: "sim" input_param { shape { dim: 2 } } }
layer { name: "loss" type: "ContrastiveLoss" bottom: "conv" bottom: "conv_p" bottom: "sim" top: "loss" }
"""


def test_both_branches_of_a_pair_are_there() -> None:
    """Siamese nets: the loss compares two features, and both are what the net is for."""
    net = shapecalc.loads(PAIR, format="caffe")
    assert net.cut("conv_p").verify(device="cpu").ok
    plan = net.retarget(channels=4)
    assert plan.verify(device="cpu").ok
    assert plan.trace.layer("slice").outputs[0].shape == (2, 1, 8, 8)
    with pytest.raises(shapecalc.RefusedError, match="its weight is shared") as caught:
        net.retarget(classes=13)
    assert caught.value.because == "conv_p reads w too"


def test_ones_that_are_a_gain_here_and_a_variance_there_stay_positive() -> None:
    """Exports keep equal tensors once, handed on by an Identity."""
    nodes = [
        Node("same", "Identity", ["g"], ["v"]),
        Node("first", "BatchNormalization", ["x", "g", "b", "m", "u"], ["h"]),
        Node("second", "BatchNormalization", ["h", "b", "b", "m", "v"], ["y"]),
    ]
    graph = Graph("net", [], nodes, ["y"], [Param(name, (4,)) for name in "gbmu"])
    uses = slots(graph)
    assert [role(name, uses) for name in "gbmu"] == ["variance", "shift", "shift", "variance"]
    assert slots(Graph("part", [], nodes[:1], ["v"], [Param("g", (4,))])).keys() == {"g"}


@pytest.mark.parametrize(("units", "activation", "remarks"), [(1, "sigmoid", 1), (1, "linear", 0), (4, "sigmoid", 0)])
def test_a_yes_or_no_that_becomes_a_choice_is_remarked(units: int, activation: str, remarks: int) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8], "name": "x"}},
        {"class_name": "Dense", "config": {"name": "answer", "units": units, "activation": activation}},
    ]
    text = json.dumps({"class_name": "Sequential", "config": {"name": "net", "layers": layers}})
    plan = shapecalc.loads(text, format="keras").retarget(classes=13)
    assert len(plan.remarks()) == remarks == len(plan.to_dict()["remarks"])
    assert all("answer_13" in remark for remark in plan.remarks())
