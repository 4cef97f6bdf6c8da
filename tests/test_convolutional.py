"""Fully connected layers as convolutions: equal at the native size; cells are crops where nothing pads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.verify.copied import Copied
from shapecalc.verify.definition_file import same_net
from shapecalc.weights import Array

NODE = helper.make_node
GEMM = [NODE("Flatten", ["m"], ["f"], "flat"), NODE("Gemm", ["f", "w6", "b6"], ["g"], "fc6", transB=1)]
TURNED = [NODE("Flatten", ["m"], ["f"], "flat"), NODE("Gemm", ["f", "v6", "b6"], ["g"], "fc6")]
MATMUL = [
    NODE("Reshape", ["m", "to"], ["f"], "flat"),
    NODE("MatMul", ["f", "v6"], ["p"], "fc6"),
    NODE("Add", ["p", "b6"], ["g"], "add6"),
]
LAST = [NODE("Relu", ["g"], ["r"], "relu6"), NODE("Gemm", ["r", "w7", "b7"], ["y"], "fc7", transB=1)]
SCORED = [*LAST[:1], NODE("Gemm", ["r", "w7", "b7"], ["s"], "fc7", transB=1), NODE("Softmax", ["s"], ["y"], "prob")]
FORMS = {
    "gemm": ([*GEMM, *LAST], 18),
    "turned gemm": ([*TURNED, *LAST], 18),
    "matmul and add": ([*MATMUL, *LAST], 18),
    "softmax of old files": ([*GEMM, *SCORED], 11),
    "softmax": ([*GEMM, *SCORED], 13),
}


def net(nodes: list[onnx.NodeProto], opset: int = 18, pad: int = 0, size: int = 10) -> bytes:
    """conv 3×3, pool 2×2/2, then the nodes given, which read ``m`` of 4×4×4 (5×5 where ``pad`` is 1) and give ``y``."""
    side = (size + 2 * pad - 2) // 2
    generator = numpy.random.default_rng(7)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(generator.standard_normal(shape, numpy.float32), name)

    known = [weight("k", 4, 3, 3, 3), weight("w6", 6, 4 * side**2), weight("v6", 4 * side**2, 6), weight("b6", 6)]
    known += [weight("w7", 5, 6), weight("b7", 5), numpy_helper.from_array(numpy.array([-1, 4 * side**2]), "to")]
    first = [
        NODE("Conv", ["x", "k"], ["c"], "conv", pads=[pad] * 4, kernel_shape=[3, 3]),
        NODE("MaxPool", ["c"], ["m"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    read = {name for node in [*first, *nodes] for name in node.input}
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, size, size])
    graph = helper.make_graph(
        [*first, *nodes], "net", [given], [onnx.ValueInfoProto(name="y")], [w for w in known if w.name in read]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(made.SerializeToString())


def run(path: Path, image: Array) -> Array:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return numpy.asarray(session.run(None, {"x": image})[0])


def images(*shape: int) -> Array:
    return numpy.random.default_rng(1).standard_normal(shape, numpy.float32)


@pytest.mark.parametrize("form", FORMS)
def test_equal_at_the_native_size_and_every_cell_is_a_crop(form: str, tmp_path: Path) -> None:
    nodes, opset = FORMS[form]
    original = tmp_path / "net.onnx"
    original.write_bytes(net(nodes, opset))
    plan = shapecalc.load(original).retarget(convolutional=True)
    plan.save(tmp_path / "full.onnx", device="cpu")
    assert plan.report is not None
    assert [p.words for p in plan.report.promises] == [
        "at the size it was made for, the convolutions give what the layers gave"
    ]
    image = images(2, 3, 10, 10)
    row, cell = run(original, image), run(tmp_path / "full.onnx", image)
    assert cell.shape == (2, 5, 1, 1)
    assert numpy.allclose(cell[..., 0, 0], row, atol=1e-4)

    larger = shapecalc.load(original).retarget(convolutional=True, input=(16, 14))
    larger.save(tmp_path / "map.onnx", device="cpu")
    image = images(1, 3, 16, 14)
    scores = run(tmp_path / "map.onnx", image)
    assert scores.shape == (1, 5, 4, 3)
    for i in range(4):
        for j in range(3):
            crop = image[:, :, 2 * i : 2 * i + 10, 2 * j : 2 * j + 10]
            assert numpy.allclose(scores[..., i, j], run(original, crop), atol=1e-4)
    assert "its cells 2 pixels apart, each equal to the net's answer to its window" in larger.edits[0].describe()


def test_where_something_pads_the_warning_is_right(tmp_path: Path) -> None:
    original = tmp_path / "net.onnx"
    original.write_bytes(net([*GEMM, *LAST], pad=1))
    plan = shapecalc.load(original).retarget(convolutional=True, input=14)
    plan.save(tmp_path / "map.onnx", device="cpu")
    assert "a cell is not the net's answer to a crop: conv see padding there" in plan.edits[0].describe()
    image = images(1, 3, 14, 14)
    scores = run(tmp_path / "map.onnx", image)
    assert not numpy.allclose(scores[..., 1, 1], run(original, image[:, :, 2:12, 2:12]), atol=1e-4)


def test_weights_that_lie_in_order_are_copied_as_they_are(tmp_path: Path) -> None:
    original = tmp_path / "net.onnx"
    original.write_bytes(net([*GEMM, *LAST]))
    plan = shapecalc.load(original).retarget(convolutional=True)
    plan.save(tmp_path / "full.onnx", device="cpu")
    assert isinstance(plan.copied, Copied)
    assert (plan.copied.copied.tensors, plan.copied.new.tensors) == (5, 0)
    old, new = ({t.raw_data for t in onnx.load(path).graph.initializer} for path in (original, tmp_path / "full.onnx"))
    assert old == new


def test_a_new_head_is_a_convolution_too(tmp_path: Path) -> None:
    original = tmp_path / "net.onnx"
    original.write_bytes(net([*GEMM, *LAST]))
    plan = shapecalc.load(original).retarget(classes=2, convolutional=True, input=12)
    plan.save(tmp_path / "two.onnx", device="cpu")
    assert run(tmp_path / "two.onnx", images(1, 3, 12, 12)).shape == (1, 2, 2, 2)


@pytest.mark.parametrize(("name", "size", "shape"), [("lenet", 40, (1, 10, 4, 4)), ("caffenet", 259, (1, 1000, 2, 2))])
def test_definitions_become_onnx(name: str, size: int, shape: tuple[int, ...]) -> None:
    plan = shapecalc.load(name).retarget(convolutional=True, input=size)
    assert plan.trace.outputs[0].shape == shape
    assert len(plan.verify(device="cpu").promises) == 1


PROTOTXT = """
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 9 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer {
  name: "fc6"  # the window of the map
  type: "InnerProduct"
  bottom: "conv"
  top: "fc6"
  inner_product_param {
    num_output: 10  # as before
    weight_filler { type: "xavier" }
  }
}
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "fc7" type: 'InnerProduct' bottom: "fc6" top: "fc7" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc7" top: "prob" }
"""
CHANGED = [
    ('  type: "InnerProduct"', '  type: "Convolution"'),
    ("  inner_product_param {", "  convolution_param {"),
    ('    weight_filler { type: "xavier" }', '    weight_filler { type: "xavier" }\n    kernel_h: 6\n    kernel_w: 7'),
    ("type: 'InnerProduct'", "type: 'Convolution'"),
    ("inner_product_param { num_output: 5 }", "convolution_param { num_output: 5 kernel_size: 1 }"),
]


def test_a_prototxt_changes_its_words_and_nothing_else(tmp_path: Path) -> None:
    plan = shapecalc.loads(PROTOTXT, format="caffe", name="n").retarget(convolutional=True)
    plan.save(tmp_path / "n.prototxt", device="cpu")
    expected = PROTOTXT
    for before, after in CHANGED:
        assert expected.count(before) == 1
        expected = expected.replace(before, after)
    assert (tmp_path / "n.prototxt").read_text() == expected
    again = shapecalc.load(tmp_path / "n.prototxt")
    assert again.trace((12, 9)).outputs[0].shape == (1, 5, 5, 1)


def test_a_head_of_a_prototxt_is_renamed_too(tmp_path: Path) -> None:
    plan = shapecalc.loads(PROTOTXT, format="caffe", name="n").retarget(convolutional=True, classes=2)
    plan.save(tmp_path / "n.prototxt", device="cpu")
    assert "name: \"fc7_2\" type: 'Convolution'" in (tmp_path / "n.prototxt").read_text()
    assert shapecalc.load(tmp_path / "n.prototxt").trace().outputs[0].shape == (1, 2, 1, 1)


def test_what_a_prototxt_cannot_say(tmp_path: Path) -> None:
    text = PROTOTXT.replace("num_output: 5", "num_output: 5 axis: 1")
    plan = shapecalc.loads(text, format="caffe", name="n").retarget(convolutional=True)
    with pytest.raises(shapecalc.RefusedError, match="its type cannot be changed") as caught:
        plan.save(tmp_path / "n.prototxt", device="cpu")
    assert caught.value.code == "E303"
    assert list(tmp_path.iterdir()) == []


CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "caffe"


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus/caffe is not here")
def test_caffenet_becomes_caffe_s_own_full_convolution(tmp_path: Path) -> None:
    """BVLC's net_surgery example made the same by hand: bvlc_caffenet_full_conv.prototxt."""
    own = shapecalc.load(CORPUS / "caffenet_full_conv.prototxt")
    plan = shapecalc.load(CORPUS / "caffenet_deploy.prototxt").retarget(convolutional=True, input=451, batch=1)
    assert same_net(plan.trace, own.trace())
    plan.save(tmp_path / "full.prototxt", device="cpu", verify=False)
    assert same_net(shapecalc.load(tmp_path / "full.prototxt").trace(), own.trace())


ROWS: dict[str, tuple[list[onnx.NodeProto], str]] = {
    "joined rows": ([*GEMM, NODE("Concat", ["g", "g"], ["y"], "join", axis=1)], r"join \(Concat\) reads a row"),
    "a scaled product": (
        [GEMM[0], NODE("Gemm", ["f", "w6", "b6"], ["y"], "fc6", transB=1, alpha=0.5)],
        "its product is scaled or turned",
    ),
    "no matrix": ([NODE("GlobalAveragePool", ["m"], ["y"], "mean")], "has no fully connected layer"),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_has_no_form_as_a_convolution(name: str) -> None:
    nodes, words = ROWS[name]
    with pytest.raises(shapecalc.RefusedError, match=words) as caught:
        shapecalc.load(net(nodes)).retarget(convolutional=True)
    assert caught.value.code == "E303"


def test_a_saved_plan_holds_it(tmp_path: Path) -> None:
    original = tmp_path / "net.onnx"
    original.write_bytes(net([*GEMM, *LAST]))
    plan: Any = shapecalc.load(original).retarget(convolutional=True)
    plan.save_plan(tmp_path / "p.json")
    again = shapecalc.load(original).replay(tmp_path / "p.json")
    assert again.edits == plan.edits
    assert again.verify(device="cpu").ok
