"""Options that contradict each other, or tell how to do what is not done: the first is refused, the second is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import shapecalc
from shapecalc.surgery.names import no_such_layer
from shapecalc.surgery.plan import Surgery
from shapecalc.surgery.wishes import Wishes

NETWORK = shapecalc.load("alexnet")


def made(wishes: Wishes, **more: Any) -> Surgery:
    return Surgery.make(NETWORK, wishes=wishes, **more)


CONTRADICTIONS = [
    (Wishes(batch=4), "2x3x227x227", "--batch 4 and --input 2x3x227x227 contradict each other: 2 or 4?"),
    (Wishes(channels=4), "1x227x227", "--channels 4 and --input 1x1x227x227 contradict each other: 1 or 4?"),
]


@pytest.mark.parametrize(("wishes", "shape", "words"), CONTRADICTIONS)
def test_a_shape_and_an_option_that_contradict_each_other_are_refused(wishes: Wishes, shape: str, words: str) -> None:
    with pytest.raises(shapecalc.UsageError) as caught:
        made(wishes, input=shape)
    assert caught.value.message == words


@pytest.mark.parametrize("shape", ["1x3x227x227", "4x3x227x227", "227"])
def test_the_shape_of_the_net_and_of_the_result_contradict_nothing(shape: str) -> None:
    assert made(Wishes(batch=4), input=shape).trace.outputs[0].shape == (4, 1000)


DATA = """
layer { name: "data" type: "Data" top: "data" data_param { batch_size: 64 source: "db" } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }
"""


def test_the_shape_of_a_net_that_leaves_it_to_its_data_tells_what_it_is() -> None:
    plan = shapecalc.loads(DATA, format="caffe").retarget(batch=2, input=(1, 3, 8, 8))
    assert plan.trace.outputs[0].shape == (2, 4, 6, 6)


REPLACED = "no head is replaced; another number of classes, --classes N, would"
IDLE = [
    (
        Wishes(interpolate="huggingface"),
        {"input": 256},
        ["--interpolate huggingface changes nothing: no table of positions is interpolated"],
    ),
    (Wishes(start="zeros"), {"input": 200}, [f"--head-init zeros changes nothing: {REPLACED}"]),
    (Wishes(head=("fc8",)), {"classes": 1000}, [f"--head fc8 changes nothing: {REPLACED}"]),
    (Wishes(head=("fc8",), start="zeros"), {"classes": 13}, []),
]


@pytest.mark.parametrize(("wishes", "more", "said"), IDLE)
def test_what_tells_how_to_do_something_that_is_not_done_is_said(
    wishes: Wishes, more: dict[str, Any], said: list[str]
) -> None:
    plan = made(wishes, **more)
    assert plan.remarks() == said
    assert plan.to_dict()["remarks"] == said


def test_a_table_that_is_interpolated_uses_its_way(tmp_path: Path) -> None:
    """Positions of 16 places, added to those of an image of 16 pixels."""
    weights = [
        helper.make_tensor("w", TensorProto.FLOAT, [8, 3, 4, 4], [0.1] * 384),
        helper.make_tensor("table", TensorProto.FLOAT, [1, 16, 8], [0.1] * 128),
        helper.make_tensor("rows", TensorProto.INT64, [3], [0, 8, -1]),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "stem", kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Reshape", ["c", "rows"], ["r"], "flat"),
        helper.make_node("Transpose", ["r"], ["t"], "turn", perm=[0, 2, 1]),
        helper.make_node("Add", ["t", "table"], ["y"], "placed"),
    ]
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])
    graph = helper.make_graph(nodes, "net", [fed], [onnx.ValueInfoProto(name="y")], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "net.onnx")
    plan = Surgery.make(shapecalc.load(tmp_path / "net.onnx"), input=32, wishes=Wishes(interpolate="huggingface"))
    assert not any("changes nothing" in remark for remark in plan.remarks())


def test_names_of_layers_are_proposed_as_they_are_typed() -> None:
    graph = shapecalc.load("alexnet").graph
    odd = graph.replace(nodes=(graph.nodes[0].replace(name="a layer; of two"), *graph.nodes[1:]))
    assert no_such_layer(odd, "a layer; of", "--at").hint == "--at 'a layer; of two'"


def test_heads_that_are_proposed_have_weights() -> None:
    with pytest.raises(shapecalc.UsageError) as caught:
        made(Wishes(head=("fc9",)), classes=13)
    assert caught.value.hint == "--head fc8 or --head fc7 or --head fc6"


KEPT = """
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "r" type: "Reshape" bottom: "c" top: "r" reshape_param { shape { dim: 1 dim: 144 } } }
layer { name: "s" type: "Input" top: "s" input_param { shape { dim: 1 dim: 144 } } }
layer { name: "e" type: "Eltwise" bottom: "r" bottom: "s" top: "e" }
"""


def test_a_definition_that_keeps_its_batch_is_no_export() -> None:
    with pytest.raises(shapecalc.RefusedError, match="keeps the batch of 1") as caught:
        shapecalc.loads(KEPT, format="caffe").retarget(batch=4)
    assert caught.value.hint == "change that layer in the definition, or run it once for each image"
