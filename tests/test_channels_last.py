"""Edits of nets as TensorFlow exports them: the image has its channels last, and each convolution turns it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx_models import model

import shapecalc

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def exported(rescaled: bool) -> shapecalc.Model:
    """Two turned convolutions, the second one the head; the image rescaled in front or not."""
    rng = numpy.random.default_rng(0)
    weights = {
        "scale": numpy.array(0.5, numpy.float32),
        "w": rng.standard_normal((4, 3, 3, 3)).astype(numpy.float32),
        "head": rng.standard_normal((7, 4, 1, 1)).astype(numpy.float32),
        "flat": numpy.array([-1, 7]),
    }
    image = "scaled" if rescaled else "x"
    nodes = [
        *([helper.make_node("Mul", ["x", "scale"], ["scaled"])] if rescaled else []),
        helper.make_node("Transpose", [image], ["t"], perm=FIRST),
        helper.make_node("Conv", ["t", "w"], ["c"], name="stem", strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Conv", ["p", "head"], ["s"], name="logits"),
        helper.make_node("Transpose", ["s"], ["l"], perm=LAST),
        helper.make_node("Reshape", ["l", "flat"], ["f"]),
        helper.make_node("Softmax", ["f"], ["y"]),
    ]
    return shapecalc.load(model(nodes, {"x": ["N", 16, 16, 3]}, {"y": None}, weights))


EDITS: list[tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ({"channels": 1}, (1, 16, 16, 1), (1, 7)),
    ({"channels": 4}, (1, 16, 16, 4), (1, 7)),
    ({"bgr": True}, (1, 16, 16, 3), (1, 7)),
    ({"mean": [100.0], "std": [50.0]}, (1, 16, 16, 3), (1, 7)),
    ({"classes": 13}, (1, 16, 16, 3), (1, 13)),
]


@pytest.mark.parametrize("rescaled", [False, True], ids=["folded", "in front"])
@pytest.mark.parametrize(("edit", "given", "scores"), EDITS, ids=[next(iter(row[0])) for row in EDITS])
def test_an_edit_keeps_its_promise(
    rescaled: bool, edit: dict[str, Any], given: tuple[int, ...], scores: tuple[int, ...]
) -> None:
    plan = exported(rescaled).retarget(**edit, batch=1)
    report = plan.verify(device="cpu")
    assert report.ok
    assert [value.shape for value in plan.trace.inputs] == [given]
    assert plan.trace.values["y"] == scores or plan.trace.outputs[0].shape == scores


@pytest.mark.parametrize(("rescaled", "nodes"), [(False, 7), (True, 11)])
def test_what_one_convolution_reads_is_folded_into_it(rescaled: bool, nodes: int) -> None:
    """Otherwise a convolution stands in front, between two transpositions."""
    assert len(exported(rescaled).retarget(channels=1).graph.nodes) == nodes


def test_a_resize_to_sizes_that_follow_an_open_batch_is_left_alone() -> None:
    """No constant can say them; and a layer that resizes to one size is no trace of the export's image."""
    nodes = [
        helper.make_node("Shape", ["x"], ["all"], end=1),
        helper.make_node("Concat", ["all", "rest"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear"),
    ]
    net = shapecalc.load(model(nodes, {"x": ["N", 3, 16, 16]}, {"y": None}, {"rest": numpy.array([3, 8, 7])}))
    plan = net.retarget(input=32)
    assert [edit.to_dict()["edit"] for edit in plan.edits] == ["set-input"]
    assert plan.verify(device="cpu").ok


def test_new_numbers_behind_a_head_are_of_its_element_type() -> None:
    """Half precision, with the bias in a layer of its own."""
    weights = {"w": numpy.ones((6, 7), numpy.float16), "b": numpy.ones(7, numpy.float16)}
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["h", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node("Softmax", ["a"], ["y"]),
    ]
    plan = shapecalc.load(model(nodes, {"x": [1, 6]}, {"y": None}, weights)).retarget(classes=13)
    assert {param.dtype for name, param in plan.graph.params.items() if name.endswith("_13")} == {"float16"}
    assert plan.verify(device="cpu").ok


def test_a_cut_that_one_of_two_inputs_does_not_reach_is_proved_without_it() -> None:
    nodes = [
        helper.make_node("Relu", ["mask"], ["m"], name="masked"),
        helper.make_node("Neg", ["m"], ["n"]),
        helper.make_node("Add", ["x", "n"], ["y"]),
    ]
    plan = shapecalc.load(model(nodes, {"x": ["N", 6], "mask": ["N", 6]}, {"y": None})).cut("masked")
    assert plan.verify(device="cpu").ok
    assert [given.name for given in plan.trace.inputs] == ["mask"]


def test_indices_are_fed_that_lie_in_a_table_of_two_rows() -> None:
    weights = {"table": numpy.ones((2, 4), numpy.float32), "w": numpy.ones((4, 7), numpy.float32)}
    nodes = [
        helper.make_node("Mul", ["kinds", "kinds"], ["squares"]),
        helper.make_node("Gather", ["table", "squares"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["m"], name="head"),
        helper.make_node("Softmax", ["m"], ["y"]),
    ]
    made = model(nodes, {"kinds": [3, 50]}, {"y": None}, weights)
    made.opset_import[0].version = 17
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    assert shapecalc.load(made).retarget(classes=13).verify(device="cpu").ok


def test_an_output_that_is_a_sequence_of_dictionaries_stays_one(tmp_path: Path) -> None:
    """As converters of scikit-learn end a classifier."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("ZipMap", ["a"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[4, 5, 6]),
    ]
    made = model(nodes, {"x": [2, 3]}, {"y": None})
    made.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    entries = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    made.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(entries))
    shapecalc.load(made).retarget(input=(5, 3)).save(tmp_path / "out.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "out.onnx"))
    (rows,) = session.run(None, {"x": numpy.ones((5, 3), numpy.float32)})
    assert rows == [{4: 1.0, 5: 1.0, 6: 1.0}] * 5
