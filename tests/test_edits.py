"""Heads in every form, channels, order, units and batches: promises hold when run, and the written file keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.surgery.batch import _counted
from shapecalc.weights import Array


def seeded(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy.random.default_rng(len(name)).standard_normal(shape, numpy.float32), name)


def model(
    nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], shape: list[int | str], out: str, opset: int = 18
) -> bytes:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    ends = [onnx.ValueInfoProto(name=name) for name in out.split()]
    graph = helper.make_graph(nodes, "net", [given], ends, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return bytes(made.SerializeToString())


def run(data: bytes | Path, image: Array) -> Array:
    source = str(data) if isinstance(data, Path) else data
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return numpy.asarray(session.run(None, {"x": image})[0])


NODE = helper.make_node
TURNED = [NODE("Transpose", ["w"], ["wt"], "turn", perm=[1, 0]), NODE("MatMul", ["x", "wt"], ["m"], "fc")]
SCALE = numpy_helper.from_array(numpy.array(0.1, numpy.float32), "scale")
ZERO = numpy_helper.from_array(numpy.array(0, numpy.int8), "zero")
QW = numpy_helper.from_array(numpy.ones((10, 6), numpy.int8), "q")
HEADS = {
    "gemm": ([NODE("Gemm", ["x", "w", "b"], ["y"], "fc", transB=1)], [seeded("w", 10, 6), seeded("b", 10)], 1),
    "matmul and add": (
        [NODE("MatMul", ["x", "v"], ["m"], "fc"), NODE("Add", ["m", "b"], ["y"], "add")],
        [seeded("v", 6, 10), seeded("b", 10)],
        1,
    ),
    "turned weight": ([*TURNED, NODE("Add", ["b", "m"], ["y"], "add")], [seeded("w", 10, 6), seeded("b", 10)], 1),
    "bias shared by Identity": (
        [NODE("Identity", ["b"], ["c"], "same"), NODE("Gemm", ["x", "w", "c"], ["h"], "fc", transB=1),
         NODE("LogSoftmax", ["h"], ["y"], "log")],
        [seeded("w", 10, 6), seeded("b", 10)],
        1,
    ),
    "two averaged": (
        [NODE("Gemm", ["x", "w", "b"], ["h"], "head", transB=1), NODE("Gemm", ["x", "u", "b"], ["d"], "dist", transB=1),
         NODE("Add", ["h", "d"], ["s"], "sum"), NODE("Div", ["s", "scale"], ["y"], "half")],
        [seeded("w", 10, 6), seeded("u", 10, 6), seeded("b", 10), SCALE],
        2,
    ),
    "quantized": (
        [NODE("DequantizeLinear", ["q", "scale", "zero"], ["w"], "dq"),
         NODE("Gemm", ["x", "w", "b"], ["h"], "fc", transB=1),
         NODE("QuantizeLinear", ["h", "scale", "zero"], ["r"], "qo"),
         NODE("DequantizeLinear", ["r", "scale", "zero"], ["y"], "dqo")],
        [QW, SCALE, ZERO, seeded("b", 10)],
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", HEADS)
def test_a_head_of_every_form_gets_new_classes(form: str, tmp_path: Path) -> None:
    nodes, weights, count = HEADS[form]
    data = model(nodes, weights, ["N", 6], "y")
    plan = shapecalc.load(data).retarget(classes=4)
    assert len(plan.edits) == count
    target = tmp_path / "four.onnx"
    plan.save(target, device="cpu")
    assert run(target, numpy.ones((2, 6), numpy.float32)).shape == (2, 4)
    left = {item.name for item in onnx.load(target).graph.initializer}
    assert not left & {"w", "v", "q", "u"}


@pytest.mark.parametrize("start", ["zeros", "normal", "framework"])
def test_new_weights_start_as_asked(start: str, tmp_path: Path) -> None:
    nodes, weights, _ = HEADS["gemm"]
    target = tmp_path / "h.onnx"
    shapecalc.load(model(nodes, weights, ["N", 6], "y")).retarget(classes=40, start=start).save(target, device="cpu")
    held = {item.name: numpy_helper.to_array(item) for item in onnx.load(target).graph.initializer}
    spread = {"zeros": 0.0, "normal": 0.01, "framework": 1 / 6**0.5 / 3**0.5}[start]
    assert held["w_40"].shape == (40, 6)
    assert held["w_40"].std() == pytest.approx(spread, rel=0.2)


def test_class_names_are_in_the_metadata(tmp_path: Path) -> None:
    nodes, weights, _ = HEADS["gemm"]
    target = tmp_path / "named.onnx"
    plan = shapecalc.load(model(nodes, weights, ["N", 6], "y")).retarget(names=["cat", "dög"])
    plan.save(target, device="cpu")
    props = {item.key: item.value for item in onnx.load(target).metadata_props}
    assert props["shapecalc.class_names"] == '["cat", "dög"]'
    assert plan.trace.outputs[0].shape[-1] == 2  # type: ignore[index]


def test_a_sum_with_something_else_is_no_head_and_the_candidates_are_named() -> None:
    nodes = [
        NODE("Gemm", ["x", "w", "b"], ["h"], "fc", transB=1),
        NODE("Relu", ["h"], ["r"], "relu"),
        NODE("Tanh", ["r"], ["t"], "tanh"),
        NODE("Add", ["h", "t"], ["y"], "add"),
    ]
    net = shapecalc.load(model(nodes, [seeded("w", 10, 6), seeded("b", 10)], ["N", 6], "y"))
    with pytest.raises(shapecalc.RefusedError) as caught:
        net.retarget(classes=4)
    assert caught.value.hint == (
        "name the layer that gives the classes: --head fc; "
        "shapecalc cut net --at add -o features.onnx writes its features"
    )
    assert net.retarget(classes=4, head=["fc"]).trace.outputs[0].shape[-1] == 4  # type: ignore[index]


CONV = ([NODE("Conv", ["x", "k"], ["y"], "conv", pads=[1, 1, 1, 1])], [seeded("k", 4, 3, 3, 3)])
DEPTHWISE = ([NODE("Conv", ["x", "k"], ["y"], "conv", group=3)], [seeded("k", 3, 1, 3, 3)])


@pytest.mark.parametrize("net", [CONV, DEPTHWISE], ids=["conv", "depthwise"])
@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_other_channels_give_what_the_trained_ones_gave(
    net: tuple[list[onnx.NodeProto], list[onnx.TensorProto]], count: int, tmp_path: Path
) -> None:
    data = model(*net, [1, 3, 8, 8], "y")
    target = tmp_path / "c.onnx"
    plan = shapecalc.load(data).retarget(channels=count)
    plan.save(target, device="cpu")
    image = numpy.random.default_rng(0).standard_normal((1, max(count, 3), 8, 8), numpy.float32)
    small = image[:, : min(count, 3)]
    before, after = small[:, [i % small.shape[1] for i in range(3)]], small[:, [i % 3 for i in range(count)]]
    assert numpy.allclose(run(data, before), run(target, after), atol=1e-4)
    assert plan.report is not None
    assert [promise.ok for promise in plan.report.promises] == [True]


def test_pixels_in_the_other_order(tmp_path: Path) -> None:
    data = model(*CONV, [1, 3, 8, 8], "y")
    target = tmp_path / "p.onnx"
    mean, std = (10.0, 20.0, 30.0), (2.0, 3.0, 4.0)
    shapecalc.load(data).retarget(bgr=True, mean=mean, std=std).save(target, device="cpu")
    pixels = numpy.random.default_rng(0).integers(0, 255, (1, 3, 8, 8)).astype(numpy.float32)
    normal = (pixels - numpy.reshape(mean, (1, 3, 1, 1))) / numpy.reshape(std, (1, 3, 1, 1))
    expected = run(data, normal[:, ::-1].astype(numpy.float32).copy())
    assert numpy.allclose(expected, run(target, pixels), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("padded", [0, 1])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("mean", [(10.0, 20.0, 30.0), (0.0,)])
def test_pixels_are_folded_where_padding_allows(
    tmp_path: Path, padded: int, biased: bool, mean: tuple[float, ...]
) -> None:
    inputs = ["x", "k", "b"] if biased else ["x", "k"]
    nodes = [NODE("Conv", inputs, ["y"], "conv", pads=[padded] * 4)]
    data = model(nodes, [seeded("k", 4, 3, 3, 3), seeded("b", 4)], [1, 3, 8, 8], "y")
    target, std = tmp_path / "p.onnx", (2.0, 3.0, 4.0)
    plan = shapecalc.load(data).retarget(mean=mean, std=std)
    plan.save(target, device="cpu")
    written = [node.op_type for node in onnx.load(target).graph.node]
    assert written == (["Sub", "Conv"] if padded and any(mean) else ["Conv"])
    pixels = numpy.random.default_rng(0).integers(0, 255, (1, 3, 8, 8)).astype(numpy.float32)
    normal = (pixels - numpy.reshape(numpy.resize(mean, 3), (1, 3, 1, 1))) / numpy.reshape(std, (1, 3, 1, 1))
    assert numpy.allclose(run(data, normal.astype(numpy.float32)), run(target, pixels), rtol=1e-4, atol=1e-3)


def test_a_baked_batch_is_rewritten_and_its_rows_stay_apart(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(numpy.array([1, 2, 6]), "s")
    flat = numpy_helper.from_array(numpy.array([1, -1]), "f")
    nodes = [
        NODE("Reshape", ["x", "s"], ["a"], "split"),
        NODE("Softmax", ["a"], ["c"], "soft"),
        NODE("Reshape", ["c", "f"], ["y"], "flat"),
    ]
    data = model(nodes, [shape, flat], [1, 3, 2, 2], "y")
    for batch, rows in ((4, 4), ("N", 3)):
        target = tmp_path / f"{batch}.onnx"
        plan = shapecalc.load(data).retarget(batch=batch)
        plan.save(target, device="cpu")
        images = numpy.random.default_rng(1).standard_normal((rows, 3, 2, 2), numpy.float32)
        alone = numpy.concatenate([run(data, image[None]) for image in images])
        assert numpy.allclose(alone, run(target, images), atol=1e-6)


def test_a_target_that_is_computed_from_the_batch_is_left_alone(tmp_path: Path) -> None:
    numbers = {"zero": [0], "three": [3], "four": [4], "two": [2], "flat": [-1, 8], "parts": [1, 1, 1]}
    nodes = [
        NODE("Transpose", ["x"], ["t"], "turn", perm=[1, 0, 2, 3]),
        NODE("Shape", ["x"], ["s"], "shape"),
        NODE("Gather", ["s", "zero"], ["n"], "count"),
        NODE("Mul", ["n", "four"], ["rows"], "rows"),
        NODE("Concat", ["three", "rows", "two"], ["target"], "target", axis=0),
        NODE("Reshape", ["t", "target"], ["r"], "heads"),
        NODE("Split", ["r", "parts"], ["q", "k", "v"], "split", axis=0),
        NODE("Sub", ["q", "k"], ["d"], "sub"),
        NODE("Mul", ["d", "v"], ["m"], "mul"),
        NODE("Reshape", ["m", "flat"], ["y"], "back"),
    ]
    constants = [numpy_helper.from_array(numpy.array(row), name) for name, row in numbers.items()]
    data = model(nodes, constants, [1, 3, 4, 2], "y")
    plan = shapecalc.load(data).retarget(batch=5)
    assert plan.edits[0].to_dict()["targets"] == []
    plan.save(tmp_path / "five.onnx", device="cpu")
    images = numpy.random.default_rng(1).standard_normal((5, 3, 4, 2), numpy.float32)
    alone = numpy.concatenate([run(data, image[None]) for image in images])
    assert numpy.allclose(alone, run(tmp_path / "five.onnx", images), atol=1e-6)


@pytest.mark.parametrize("opset", [13, 18])
def test_a_token_stands_beside_every_image_of_a_batch(tmp_path: Path, opset: int) -> None:
    nodes = [
        NODE("Expand", ["t", "s"], ["token"], "expand"),
        NODE("Concat", ["token", "x", "u"], ["j"], "join", axis=1),
        NODE("Softmax", ["j"], ["y"], "soft", axis=1),
    ]
    shape = numpy_helper.from_array(numpy.array([1, 1, 2]), "s")
    data = model(nodes, [seeded("t", 1, 1, 2), seeded("u", 1, 3, 2), shape], [1, 4, 2], "y", opset)
    for batch, rows in ((4, 4), ("N", 3)):
        target = tmp_path / f"{batch}.onnx"
        plan = shapecalc.load(data).retarget(batch=batch)
        (edit,) = plan.edits
        assert edit.to_dict()["repeated"] == [["join", 0, 3], ["join", 2, 3]]
        plan.save(target, device="cpu")
        images = numpy.random.default_rng(1).standard_normal((rows, 4, 2), numpy.float32)
        alone = numpy.concatenate([run(data, image[None]) for image in images])
        assert numpy.array_equal(alone, run(target, images))


@pytest.mark.parametrize(("batch", "rows"), [(4, 4), ("N", 3)])
def test_a_token_that_stands_there_twice_is_repeated_once(tmp_path: Path, batch: int | str, rows: int) -> None:
    """Class and distillation token of the same numbers, which torch.export writes once; another join reads them too."""
    nodes = [
        NODE("Concat", ["t", "t", "x"], ["a"], "join", axis=1),
        NODE("Concat", ["a", "t"], ["b"], "again", axis=1),
        NODE("Softmax", ["b"], ["y"], "soft", axis=1),
    ]
    data = model(nodes, [seeded("t", 1, 1, 2)], [1, 4, 2], "y")
    plan = shapecalc.load(data).retarget(batch=batch)
    assert plan.edits[0].to_dict()["repeated"] == [["join", 0, 3], ["join", 1, 3], ["again", 1, 3]]
    assert [node.op for node in plan.graph.nodes].count("Expand") == 1
    plan.save(tmp_path / "out.onnx", device="cpu")
    images = numpy.random.default_rng(1).standard_normal((rows, 4, 2), numpy.float32)
    alone = numpy.concatenate([run(data, image[None]) for image in images])
    assert numpy.array_equal(alone, run(tmp_path / "out.onnx", images))


@pytest.mark.parametrize(("batch", "rows"), [(4, 4), ("N", 3)])
@pytest.mark.parametrize("states", [1, 2])
def test_states_that_recurrent_layers_start_from_follow_the_batch(
    tmp_path: Path, states: int, batch: int | str, rows: int
) -> None:
    """PaddlePaddle writes down the zeros a recurrent layer starts from, for one item."""
    nodes = [
        NODE("Transpose", ["x"], ["steps"], "steps", perm=[1, 0, 2]),
        NODE("LSTM", ["steps", "w", "r", "", "", *["h", "c"][:states]], ["", "last"], "cell", hidden_size=3),
        NODE("Transpose", ["last"], ["t"], "back", perm=[1, 0, 2]),
        NODE("Softmax", ["t"], ["y"], "soft", axis=2),
    ]
    weights = [seeded("w", 1, 12, 2), seeded("r", 1, 12, 3), seeded("h", 1, 1, 3), seeded("c", 1, 1, 3)][: 2 + states]
    data = model(nodes, weights, [1, 4, 2], "y")
    plan = shapecalc.load(data).retarget(batch=batch)
    assert plan.edits[0].to_dict()["repeated"] == [["cell", 5, 3], ["cell", 6, 3]][:states]
    plan.save(tmp_path / "out.onnx", device="cpu")
    images = numpy.random.default_rng(1).standard_normal((rows, 4, 2), numpy.float32)
    alone = numpy.concatenate([run(data, image[None]) for image in images])
    assert numpy.allclose(alone, run(tmp_path / "out.onnx", images), atol=1e-6)


def test_an_output_that_holds_for_all_rows_is_what_each_run_gives(tmp_path: Path) -> None:
    """Boxes that follow from the size of an image alone: one row for any batch. A mean over the batch is none."""
    two, axes = numpy_helper.from_array(numpy.array([2]), "two"), numpy_helper.from_array(numpy.array([0]), "axes")
    nodes = [
        NODE("Shape", ["x"], ["s"], "shape"),
        NODE("Gather", ["s", "two"], ["n"], "height", axis=0),
        NODE("Cast", ["n"], ["boxes"], "boxes", to=TensorProto.FLOAT),
        NODE("Softmax", ["x"], ["y"], "soft", axis=1),
    ]
    data = model(nodes, [two], [1, 4, 2], "y boxes")
    plan = shapecalc.load(data).retarget(batch=4)
    plan.save(tmp_path / "out.onnx", device="cpu")
    assert [output.shape for output in plan.trace.outputs] == [(4, 4, 2), (1,)]
    mean = NODE("ReduceMean", ["x", "axes"], ["boxes"], "mean", keepdims=1)
    lost = shapecalc.load(model([mean, nodes[-1]], [axes], [1, 4, 2], "y boxes"))
    with pytest.raises(shapecalc.RefusedError, match="boxes cannot be compared"):
        lost.retarget(batch=4).verify(device="cpu")


def test_a_batch_that_is_lost_on_the_way_is_refused() -> None:
    """torch.export writes down where the numbers of one image lie (as_strided)."""
    flat = numpy_helper.from_array(numpy.array([-1]), "f")
    places = numpy_helper.from_array(numpy.arange(12).reshape(1, 12), "p")
    nodes = [NODE("Reshape", ["x", "f"], ["a"], "flat"), NODE("Gather", ["a", "p"], ["y"], "strided")]
    with pytest.raises(shapecalc.RefusedError, match="strided keeps the batch of 1") as met:
        shapecalc.load(model(nodes, [flat, places], [1, 3, 2, 2], "y")).retarget(batch=4)
    assert met.value.because == "it (Gather) makes 1×12 of 12·N, where N is the new batch"
    nodes = [
        nodes[0],
        NODE("Gather", ["a", "p"], ["s"], "strided"),
        NODE("Flatten", ["x"], ["row"], "row"),
        NODE("Concat", ["s", "row"], ["y"], "join", axis=1),
    ]
    with pytest.raises(shapecalc.RefusedError, match="strided keeps the batch of 1"):  # and not the join behind it
        shapecalc.load(model(nodes, [flat, places], [1, 3, 2, 2], "y")).retarget(batch=4)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((10007, 5), "N×5"), ((2 * 10007,), "2·N"), ((None, 5), "?×5"), ((0, 3), "0×3"), (None, "?")],
)
def test_a_batch_is_counted_where_a_run_decides_the_rest(shape: Any, words: str) -> None:
    """py-faster-rcnn's proposals: as many rows as a run finds."""
    assert _counted(shape) == words


def test_heads_that_stand_with_the_batch_come_apart_again(tmp_path: Path) -> None:
    """Attention by torch.export: batch and heads in one axis, then in two."""
    merged = numpy_helper.from_array(numpy.array([-1, 3, 4]), "m")
    apart = numpy_helper.from_array(numpy.array([1, 2, 3, 4]), "h")
    nodes = [
        NODE("Reshape", ["x", "m"], ["a"], "merged"),
        NODE("Reshape", ["a", "h"], ["b"], "apart"),
        NODE("Transpose", ["x"], ["c"], "turned", perm=[0, 1, 3, 2]),
        NODE("MatMul", ["b", "c"], ["y"], "product"),
    ]
    plan = shapecalc.load(model(nodes, [merged, apart], [1, 2, 3, 4], "y")).retarget(batch=4)
    assert plan.trace.layer("apart").outputs[0].shape == (4, 2, 3, 4)
    assert plan.verify(device="cpu").ok


@pytest.mark.parametrize(
    ("node", "because"),
    [
        (NODE("Squeeze", ["x", "axis"], ["y"], "one"), "one drops axis 0, which must be of size 1"),
        (NODE("Add", ["x", "t"], ["y"], "one"), "one joins N×3×2×2 from x with 2×1×2×2 from t"),
    ],
)
def test_a_batch_that_cannot_follow_is_refused(node: onnx.NodeProto, because: str) -> None:
    axis = numpy_helper.from_array(numpy.array([0]), "axis")
    data = model([node], [seeded("t", 2, 1, 2, 2), axis], [1, 3, 2, 2], "y")
    with pytest.raises(shapecalc.RefusedError, match="one keeps the batch of 1") as met:
        shapecalc.load(data).retarget(batch=4)
    assert because in str(met.value)


def test_a_batch_of_a_net_that_does_not_fit_is_refused_for_that() -> None:
    nodes = [NODE("MatMul", ["x", "w"], ["a"], "narrow"), NODE("Relu", ["a"], ["y"], "relu")]
    with pytest.raises(shapecalc.RefusedError, match="net does not fit, so what holds its batch cannot be told") as met:
        shapecalc.load(model(nodes, [seeded("w", 5, 2)], [1, 3, 2, 4], "y")).retarget(batch=4)
    assert met.value.because == "narrow expects 5 inputs, x gives 4"


def test_weights_in_blocks_are_not_summed() -> None:
    """A Conv of the domain of onnxruntime's optimizer has its weights in blocks of channels."""
    node = NODE("Conv", ["x", "w"], ["y"], "blocked", domain="com.microsoft.nchwc", kernel_shape=[3, 3])
    net = shapecalc.load(model([node], [seeded("w", 16, 3, 3, 3)], [1, 3, 8, 8], "y"))
    plan = net.retarget(channels=1)
    assert [node.op for node in plan.graph.nodes] == ["Conv", "Conv"]
    assert plan.graph.node("blocked").inputs[1] == "w"
