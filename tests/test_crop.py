"""Sizes that branches round differently: the join crops, the rest stays; and an image scaled in front instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.weights import Array

NODE = helper.make_node


def seeded(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy.random.default_rng(len(name)).standard_normal(shape, numpy.float32), name)


def proto(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], shape: list[int | str], opset: int) -> bytes:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "net", [given], [onnx.ValueInfoProto(name="y")], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(made.SerializeToString())


def run(path: Path, image: Array) -> Array:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return numpy.asarray(session.run(None, {"x": image})[0])


#: A skip over a stage that is halved and enlarged again, as U-Net joins them.
UNET = [
    NODE("Conv", ["x", "w1"], ["skip"], "in", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    NODE("Conv", ["skip", "w22"], ["down"], "down", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    NODE("Resize", ["down", "", "scales"], ["up"], "up", mode="nearest"),
    NODE("Concat", ["up", "skip"], ["y"], "join", axis=1),
]
SCALES = numpy_helper.from_array(numpy.array([1, 1, 2, 2], numpy.float32), "scales")
UNET_WEIGHTS = [seeded("w1", 2, 3, 3, 3), seeded("w22", 4, 2, 3, 3), SCALES]


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("size", [(33, 32), (32, 35), (33, 35)])
def test_what_a_stage_enlarges_too_far_is_cropped(tmp_path: Path, batch: int | str, size: tuple[int, int]) -> None:
    source = tmp_path / "unet.onnx"
    source.write_bytes(proto(UNET, UNET_WEIGHTS, [batch, 3, 32, 32], 17))
    plan = shapecalc.load(source).retarget(input=size)
    plan.verify(device="cpu")
    target = plan.save(tmp_path / "out.onnx")
    image = numpy.random.default_rng(0).standard_normal((1, 3, *size)).astype(numpy.float32)
    padded = numpy.pad(image, [(0, 0), (0, 0), (0, size[0] % 2), (0, size[1] % 2)])  # the same maps, one row more
    before = tmp_path / "even.onnx"
    before.write_bytes(proto(UNET, UNET_WEIGHTS, [1, 3, *padded.shape[2:]], 17))
    expected = run(before, padded)[:, 4:, : size[0], : size[1]]
    got = run(target, image)
    assert got.shape == (1, 6, *size)
    # the last row of the skip sees the padding of the convolution in one and the image's zeros in the other: the same
    numpy.testing.assert_allclose(got[:, 4:], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("size", [(33, 32), (33, 35)])
@pytest.mark.parametrize(
    ("repair", "made", "sides"), [("crop", "up_crop", 0), ("pad", "skip_pad", 1), ("scale", "up_scaled", 0)]
)
def test_a_join_off_by_a_row_has_three_ways(
    tmp_path: Path, repair: str, made: str, sides: int, size: tuple[int, int], batch: int | str, opset: int
) -> None:
    """Crop and scale keep the size of the skip, which is the image's; a padded skip has that of the branch."""
    source = tmp_path / "unet.onnx"
    source.write_bytes(proto(UNET, UNET_WEIGHTS, [batch, 3, 32, 32], opset))
    plan = shapecalc.load(source).retarget(input=size, repair=repair)
    assert [found.name for found in plan.repairs[:3]] == ["crop", "pad", "scale"]
    assert plan.graph.node("join").inputs.count(made) == 1
    assert plan.verify(device="cpu").ok
    image = numpy.random.default_rng(0).standard_normal((1, 3, *size)).astype(numpy.float32)
    got = run(plan.save(tmp_path / "out.onnx"), image)
    assert got.shape == (1, 6, *(side + sides * (side % 2) for side in size))
    if repair == "pad":
        assert not got[:, 4:, size[0] :].any()
        assert not got[:, 4:, :, size[1] :].any()


def test_a_branch_that_is_scaled_to_its_own_size_keeps_its_numbers(tmp_path: Path) -> None:
    """One colour stays one colour, whatever the size: scaling is a mean of neighbours."""
    flat = [NODE("Conv", ["x", "w1"], ["skip"], "in", kernel_shape=[1, 1]), *UNET[1:]]
    flat[1] = NODE("Conv", ["skip", "w22"], ["down"], "down", kernel_shape=[1, 1], strides=[2, 2])
    weights = [seeded("w1", 2, 3, 1, 1), seeded("w22", 4, 2, 1, 1), SCALES]
    source = tmp_path / "unet.onnx"
    source.write_bytes(proto(flat, weights, [1, 3, 32, 32], 18))
    plan = shapecalc.load(source).retarget(input=33, repair="scale")
    got = run(plan.save(tmp_path / "out.onnx"), numpy.ones((1, 3, 33, 33), numpy.float32))
    expected = run(source, numpy.ones((1, 3, 32, 32), numpy.float32))
    numpy.testing.assert_allclose(got, numpy.broadcast_to(expected[:, :, :1, :1], got.shape), rtol=1e-5, atol=1e-6)


CAFFE = """
name: "net"
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 1 dim: 3 dim: 34 dim: 34 }} }} }}
layer {{
  name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param {{ num_output: 3 kernel_size: 1 stride: 2 }}
}}
layer {{
  name: "pool" type: "Pooling" bottom: "x" top: "pool" pooling_param {{ pool: MAX kernel_size: 3 stride: {stride} }}
}}
layer {{ name: "join" type: "Eltwise" bottom: "conv" bottom: "pool" top: "join" }}
layer {{ name: "all" type: "Pooling" bottom: "join" top: "all" pooling_param {{ pool: AVE global_pooling: true }} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "all" top: "fc" inner_product_param {{ num_output: 5 }} }}
"""


def test_a_definition_is_cropped_too() -> None:
    net = shapecalc.loads(CAFFE.format(stride=2), format="caffe")
    plan = net.retarget(input=35)
    assert [edit.describe() for edit in plan.edits] == [
        "input x: 1×3×34×34 → 1×3×35×35",
        "crop conv to what join joins it with: 18×18 → 17×17",
    ]
    assert plan.verify(device="cpu").ok
    assert plan.edits[1].to_dict() == {
        "edit": "crop",
        "layer": "join",
        "name": "conv_crop",
        "sizes": [[18, 18], [17, 17]],
    }


def test_a_prototxt_says_the_crop_as_a_layer_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "net.prototxt"
    source.write_text(CAFFE.format(stride=2))
    plan = shapecalc.load(source).retarget(input=35)
    written = plan.save(tmp_path / "out.prototxt")
    added = set(written.read_text().splitlines()) - set(source.read_text().splitlines())
    assert added == {
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 35 dim: 35 } } }',
        'layer { name: "conv_crop" type: "Crop" bottom: "conv" bottom: "pool" top: "conv_crop" }',
        'layer { name: "join" type: "Eltwise" bottom: "conv_crop" bottom: "pool" top: "join" }',
    }
    again = shapecalc.load(written).trace()
    assert again.ok
    assert {layer.name: layer.outputs[0].shape for layer in again.layers} == {
        layer.name: layer.outputs[0].shape for layer in plan.trace.layers
    }


def test_branches_that_are_far_apart_are_not_cropped() -> None:
    """A stride of 3 beside one of 2 fits at one size alone; what rounding sets apart is a row."""
    net = shapecalc.loads(CAFFE.format(stride=3).replace("dim: 34 dim: 34", "dim: 3 dim: 3"), format="caffe")
    with pytest.raises(shapecalc.RefusedError) as caught:
        net.retarget(input=64, repair="crop")
    assert caught.value.code == "E302"


def test_the_hint_names_the_nearest_size_that_fits() -> None:
    net = shapecalc.loads(CAFFE.format(stride=2), format="caffe")
    with pytest.raises(shapecalc.RefusedError) as caught:
        net.retarget(input=35, repair="window")
    assert caught.value.hint is not None
    nearest = int(caught.value.hint.partition("nearest ")[2].partition(";")[0])
    assert net.trace(nearest).ok
    assert nearest in (34, 36)


# -- an image scaled in front -----------------------------------------------------------------------------------------

FLAT = [
    NODE("Conv", ["x", "w1"], ["h"], "conv", kernel_shape=[3, 3]),
    NODE("Flatten", ["h"], ["f"], "flat", axis=1),
    NODE("Gemm", ["f", "w"], ["y"], "fc", transB=1),
]
KERAS = {
    "class_name": "Sequential",
    "config": {
        "name": "net",
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 8, 8, 3], "dtype": "float32"}},
            {"class_name": "Flatten", "config": {"name": "flat"}},
            {"class_name": "Dense", "config": {"name": "fc", "units": 5, "activation": "linear", "use_bias": True}},
        ],
    },
}


@pytest.mark.parametrize("opset", [11, 17, 18, 22])
@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("size", [(16, 16), (5, 7), (8, 24)])
def test_the_net_behind_the_scaling_is_the_original(
    tmp_path: Path, opset: int, batch: int | str, size: tuple[int, int]
) -> None:
    """An image of one colour is the same at every size."""
    source = tmp_path / "flat.onnx"
    weights = [seeded("w1", 2, 3, 3, 3), seeded("w", 4, 72)]
    source.write_bytes(proto(FLAT, weights, [batch, 3, 8, 8], opset))
    model = shapecalc.load(source)
    with pytest.raises(shapecalc.RefusedError, match="the repair crop does not make it fit"):
        model.retarget(input=size, repair="crop")
    plan = model.retarget(input=size, repair="resize")
    assert plan.verify(device="cpu").ok
    target = plan.save(tmp_path / "out.onnx")
    colour = numpy.array([0.5, -1.0, 2.0], numpy.float32).reshape(1, 3, 1, 1)
    expected = run(source, numpy.broadcast_to(colour, (1, 3, 8, 8)))
    got = run(target, numpy.broadcast_to(colour, (1, 3, *size)))
    numpy.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("text", [CAFFE.format(stride=2).replace("global_pooling: true", "kernel_size: 17"), KERAS])
def test_definitions_are_scaled_in_front(text: str | dict[str, object]) -> None:
    net = shapecalc.loads(
        text if isinstance(text, str) else json.dumps(text), format="caffe" if text != KERAS else "keras"
    )
    plan = net.retarget(input=(51, 40), repair="resize")
    assert plan.edits[-1].describe().startswith("resize x in front, bilinearly: 51×40 → ")
    assert plan.verify(device="cpu").ok


def test_scaling_is_never_chosen_unasked() -> None:
    plan = shapecalc.load("lenet").retarget(input=40)
    assert [repair.name for repair in plan.repairs].index("resize") == len(plan.repairs) - 1
    assert [plan.chosen(repair) for repair in plan.repairs].index(True) == 0
    with pytest.raises(shapecalc.RefusedError) as caught:
        shapecalc.load("lenet").retarget(input=9)
    assert "--repair resize" in str(caught.value.hint)
    assert shapecalc.load("lenet").retarget(input=9, plan=1).edits == [
        *shapecalc.load("lenet").retarget(input=9, repair="resize").edits
    ]


#: Two joins of a pooling that rounds up with a convolution that rounds down: 14 of 15 kept make the second one misfit.
JOINED = """
input: "x" input_dim: 1 input_dim: 2 input_dim: 30 input_dim: 30
layer { name: "p1" type: "Pooling" bottom: "x" top: "p1" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "c1" type: "Convolution" bottom: "x" top: "c1"
        convolution_param { num_output: 2 kernel_size: 2 stride: 2 } }
layer { name: "j1" type: "Eltwise" bottom: "p1" bottom: "c1" top: "j1" }
layer { name: "p2" type: "Pooling" bottom: "j1" top: "p2" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "c2" type: "Convolution" bottom: "j1" top: "c2"
        convolution_param { num_output: 2 kernel_size: 3 stride: 2 } }
layer { name: "j2" type: "Eltwise" bottom: "p2" bottom: "c2" top: "j2" }
"""


def test_a_text_gets_the_repair_that_it_can_say(tmp_path: Path) -> None:
    """One padding would do where two crops are needed, and a prototxt has no layer that pads; an ONNX file has."""
    text = tmp_path / "net.prototxt"
    text.write_text(JOINED)
    plan = shapecalc.load(text).retarget(input=29)
    assert [(found.name, len(found.edits)) for found in plan.repairs[:2]] == [("crop", 2), ("pad", 1)]
    written = shapecalc.load(plan.save(tmp_path / "29.prototxt"))
    assert written.trace().layer("j2").outputs[0].shape == (1, 2, 6, 6)
    shapecalc.load(text).convert(tmp_path / "net.onnx")
    converted = shapecalc.load(tmp_path / "net.onnx").retarget(input=29)
    assert converted.repairs[0].name == "pad"
