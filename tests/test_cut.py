"""Cut nets: equal to the original at the taps, smaller, loadable; what cannot be cut is refused with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest

import shapecalc
from shapecalc.errors import RefusedError
from shapecalc.graph import Graph, Input, Node
from shapecalc.weights import Array

TRAIN = """name: "n"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { crop_size: 8 } data_param { batch_size: 4 } }
layer { name: "data" type: "Input" top: "data" include { phase: TEST }
  input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
# the only convolution
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 5 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" include { phase: TRAIN } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" include { phase: TEST } }
"""


def run(path: Path, image: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: image}))


def test_several_taps_of_an_onnx_file_are_the_tensors_of_the_original(tmp_path: Path) -> None:
    whole = tmp_path / "whole.onnx"
    shapecalc.load("squeezenet").convert(whole, init=True, device="cpu")
    model = onnx.load(whole)
    taps = ["fire5/concat", "fire9/concat"]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in taps)
    shown = tmp_path / "shown.onnx"
    onnx.save(model, shown)
    part = tmp_path / "part.onnx"
    plan = shapecalc.load(whole).cut(*taps, pool="avg", flatten=True)
    plan.save(part, device="cpu")
    image = numpy.random.default_rng(1).standard_normal((1, 3, 227, 227), numpy.float32)
    expected = dict(zip(["prob", *taps], run(shown, image), strict=False))
    for name, got in zip(taps, run(part, image), strict=True):
        assert got.shape == (1, expected[name].shape[1])
        assert numpy.allclose(expected[name].mean(axis=(2, 3)), got, rtol=1e-4, atol=1e-5)
    assert part.stat().st_size < whole.stat().st_size
    assert plan.report is not None
    (promise,) = plan.report.promises
    assert promise.words == "fire5/concat, fire9/concat: the original's tensor, averaged over its places, flattened"
    assert promise.ok


def test_a_prototxt_loses_the_layers_behind_the_cut_in_every_phase() -> None:
    from shapecalc.verify.definition_file import patched

    plan = shapecalc.loads(TRAIN, format="caffe", name="n.prototxt").cut("relu")
    assert patched(plan) == TRAIN[: TRAIN.index('layer { name: "fc"')]


def test_features_of_a_channels_last_net_come_as_it_has_them(tmp_path: Path) -> None:
    text = (
        '{"class_name": "Sequential", "config": {"name": "s", "layers": ['
        '{"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [null, 9, 9, 3]}},'
        '{"class_name": "Conv2D", "config": {"name": "c", "filters": 4, "kernel_size": [3, 3], "activation": "relu"}},'
        '{"class_name": "GlobalAveragePooling2D", "config": {"name": "g"}},'
        '{"class_name": "Dense", "config": {"name": "d", "units": 7, "activation": "softmax"}}]}}'
    )
    model = shapecalc.loads(text, format="keras")
    assert model.cut("c").trace.outputs[0].shape == (1, 7, 7, 4)
    plan = model.cut("c", features=True, pool="avg")
    assert [value.shape for value in plan.trace.outputs] == [(1, 1, 1, 4), (1, 4)]
    plan.save(tmp_path / "f.onnx", device="cpu")
    assert [tuple(part.shape) for part in run(tmp_path / "f.onnx", numpy.ones((1, 9, 9, 3), numpy.float32))] == [
        (1, 1, 1, 4),
        (1, 4),
    ]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ({"at": ("pol5",)}, "there is no layer or value 'pol5'", "--at pool5 or --at pool2 or --at pool1"),
        ({"at": ()}, "where to cut was not said", "--at LAYER, or --features for all but the head"),
        ({"at": ("conv5",), "pool": "sum"}, "no pooling 'sum'", "one of avg, max"),
    ],
)
def test_what_makes_no_sense_is_told(arguments: dict[str, Any], message: str, hint: str) -> None:
    options = {key: value for key, value in arguments.items() if key != "at"}
    with pytest.raises(shapecalc.UsageError) as caught:
        shapecalc.load("alexnet").cut(*arguments["at"], **options)
    assert caught.value.message == message
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(hint)


def test_what_a_graph_inside_a_node_reads_is_kept() -> None:
    inner = Graph("then", [], [Node("add", "Add", ("outer", "w"), ("s",))], ["s"], meta={})
    nodes = [
        Node("a", "Relu", ("x",), ("outer",)),
        Node("if", "If", ("c",), ("y",), {"then_branch": inner}),
        Node("b", "Relu", ("x",), ("z",)),
    ]
    graph = Graph("g", [Input("x"), Input("c")], nodes, ["y", "z"])
    assert inner.captured() == {"outer", "w"}
    assert [node.name for node in graph.pruned(["y"]).nodes] == ["a", "if"]


@pytest.mark.parametrize(
    ("at", "hint"),
    [
        ("q", "--at dq, which gives the numbers that they stand for; or no --pool"),
        ("above", "--at another layer; or no --pool"),
    ],
)
def test_codes_of_a_quantization_are_not_pooled(at: str, hint: str) -> None:
    make = onnx.helper.make_node
    nodes = [
        make("QuantizeLinear", ["x", "scale", "zero"], ["codes"], "q"),
        make("DequantizeLinear", ["codes", "scale", "zero"], ["numbers"], "dq"),
        make("Greater", ["numbers", "scale"], ["y"], "above"),
    ]
    held = [
        onnx.helper.make_tensor("scale", onnx.TensorProto.FLOAT, [], [0.1]),
        onnx.helper.make_tensor("zero", onnx.TensorProto.UINT8, [], [3]),
    ]
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 4, 4])
    graph = onnx.helper.make_graph(nodes, "g", [given], [onnx.ValueInfoProto(name="y")], held)
    model = shapecalc.load(
        onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)])
    )
    with pytest.raises(shapecalc.RefusedError, match="which no pooling takes") as met:
        model.cut(at, pool="avg", flatten=True)
    assert met.value.hint == hint
    assert model.cut(at, flatten=True).verify(device="cpu").ok
    assert model.cut("dq", pool="avg", flatten=True).verify(device="cpu").ok


def test_a_prototxt_ends_in_a_new_pooling_and_flattening() -> None:
    """Behind the layer that gives the value, before another works on the blob in its place."""
    from shapecalc.verify.definition_file import patched

    plan = shapecalc.loads(TRAIN, format="caffe", name="n.prototxt").cut("conv", pool="avg", flatten=True)
    before, behind = TRAIN[: TRAIN.index('layer { name: "relu"')], TRAIN[TRAIN.index('layer { name: "loss"') :]
    assert behind.count("phase") == 2
    assert patched(plan) == before + (
        'layer { name: "conv_avg" type: "Pooling" bottom: "conv" top: "conv_avg"'
        " pooling_param { pool: AVE global_pooling: true } }\n"
        'layer { name: "conv_flat" type: "Flatten" bottom: "conv_avg" top: "conv_flat" }\n'
    )


def test_a_blob_that_a_layer_works_on_in_place_is_not_given() -> None:
    from shapecalc.verify.definition_file import patched

    with pytest.raises(RefusedError, match="a prototxt cannot give it") as caught:
        patched(shapecalc.loads(TRAIN, format="caffe", name="n.prototxt").cut("conv", "relu"))
    assert caught.value.because == "relu works on its blob in place"


def test_what_a_prototxt_gives_besides_does_no_harm() -> None:
    """A blob that nothing reads any more is given by Caffe as well; one that a layer reads can be asked for by name."""
    from shapecalc.verify.definition_file import patched

    text = TRAIN.replace('bottom: "conv" top: "conv" }', 'bottom: "conv" top: "two" }').replace(
        'bottom: "conv" top: "fc"', 'bottom: "two" top: "fc"'
    )
    plan = shapecalc.loads(text, format="caffe", name="n.prototxt").cut("conv", "relu")
    assert patched(plan) == text[: text.index('layer { name: "fc"')]
