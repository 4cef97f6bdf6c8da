"""Exports that leave height and width free and still hold a reshape for one size are run at a size they take."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc import resampling

NODE = helper.make_node


def seeded(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy.random.default_rng(len(name)).standard_normal(shape, numpy.float32), name)


def export(folder: Path, places: int) -> Path:
    """A map of patches, flattened to as many places as the exporter saw, mixed and classified."""
    nodes = [
        NODE("Conv", ["x", "w"], ["map"], "patches", kernel_shape=[32, 32], strides=[32, 32]),
        NODE("Reshape", ["map", "flat"], ["rows"], "flatten"),
        NODE("ReduceMean", ["rows", "last"], ["mean"], "pool", keepdims=0),
        NODE("Gemm", ["mean", "v"], ["y"], "fc", transB=1),
        NODE("Identity", ["u"], ["aside"], "aside"),
    ]
    weights = [
        seeded("w", 4, 3, 32, 32),
        numpy_helper.from_array(numpy.array([0, 4, places], numpy.int64), "flat"),
        numpy_helper.from_array(numpy.array([2], numpy.int64), "last"),
        seeded("v", 10, 4),
        seeded("u", 2),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])
    outputs = [onnx.ValueInfoProto(name="y"), onnx.ValueInfoProto(name="aside")]
    graph = helper.make_graph(nodes, "net", [given], outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.parametrize(("places", "size"), [(49, 224), (64, 256), (144, 384)])
def test_a_free_image_is_run_at_a_size_that_fits(tmp_path: Path, places: int, size: int) -> None:
    model = shapecalc.load(export(tmp_path, places))
    for plan in (model.retarget(classes=13), model.retarget(channels=1), model.cut("patches")):
        report = plan.verify(device="cpu")
        assert report.ok
        assert report.inputs["x"][2:] == (size, size)
    assert model.retarget(classes=13).trace.ok


def test_a_cut_at_weights_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(shapecalc.UsageError, match="aside is computed from weights alone"):
        shapecalc.load(export(tmp_path, 49)).cut("aside")


LINES = """
<ir_version: 9, opset_import: ["" : 18]>
lines (float[1, 3, 32, 100] x) => (float[1, 4, W] y)
<int64[1] rows = {2}, float[4, 3, 32, 3] w = {WEIGHTS}>
{
  map = Conv <pads = [0, 1, 0, 1]> (x, w)
  y = Squeeze (map, rows)
}
""".replace("WEIGHTS", ", ".join(["0.1"] * 1152))


def test_the_axis_that_could_be_left_free_is_told(tmp_path: Path) -> None:
    """A reader of lines of text takes one height, and every width."""
    model = shapecalc.load(onnx.parser.parse_model(LINES))
    with pytest.raises(shapecalc.RefusedError) as caught:
        model.retarget(input="?x?")
    assert caught.value.hint == "--input 32x? leaves its width free"
    assert model.retarget(input="32x?").verify(device="cpu").ok


def test_a_size_is_left_free_only_where_the_net_follows_it(tmp_path: Path) -> None:
    trained = shapecalc.load("alexnet")
    with pytest.raises(shapecalc.RefusedError) as caught:
        trained.retarget(input="?x?")
    assert str(caught.value.message) == "alexnet cannot be left free: it takes height and width 199 to 230 alone"
    assert "--convolutional" in str(caught.value.hint)
    assert trained.retarget(convolutional=True).trace.graph.node("fc6").op == "Conv"
    plan = shapecalc.load(export(tmp_path, -1)).retarget(input="1x3x?x?")
    assert plan.verify(device="cpu").ok
    written = onnx.load(plan.save(tmp_path / "out.onnx"))
    axes = written.graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_value for axis in axes] == [1, 3, 0, 0]
    assert all(axis.dim_param for axis in axes[2:])


def positions(folder: Path, *, opset: int = 13, table: tuple[int, ...] = (1, 50, 8), mixing: bool = False) -> Path:
    """Patches in a row behind a class token, a position embedding added, back to a map; all for 7×7 patches."""
    nodes = [
        NODE("Conv", ["x", "w"], ["map"], "patches", kernel_shape=[32, 32], strides=[32, 32]),
        NODE("Reshape", ["map", "flat"], ["columns"], "flatten"),
        NODE("Transpose", ["columns"], ["rows"], "turn", perm=[0, 2, 1]),
        NODE("Concat", ["token", "rows"], ["both"], "with_token", axis=1),
        NODE("Add", ["both", "table"], ["placed"], "add"),
        NODE("Slice", ["placed", "one", "all", "one"], ["places"], "drop"),
        NODE("Transpose", ["places"], ["back"], "turn_back", perm=[0, 2, 1]),
        NODE("Reshape", ["back", "square"], ["again"], "unflatten"),
        NODE("Conv", ["again", "u"], ["seen"], "look", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        NODE("GlobalAveragePool", ["seen"], ["mean"], "pool"),
        NODE("Flatten", ["mean"], ["y"], "end"),
    ]
    held = {"flat": [1, 8, 49], "one": [1], "all": [50], "square": [1, 8, 7, 7]}
    weights = [numpy_helper.from_array(numpy.array(numbers, numpy.int64), name) for name, numbers in held.items()]
    weights += [seeded("w", 8, 3, 32, 32), seeded("token", 1, 1, 8), seeded("table", *table), seeded("u", 8, 8, 3, 3)]
    if mixing:
        nodes.insert(8, NODE("Reshape", ["again", "wide"], ["mixed_in"], "widen"))
        nodes.insert(9, NODE("MatMul", ["mixed_in", "m"], ["mixed"], "mix"))
        nodes.insert(10, NODE("Reshape", ["mixed", "square"], ["narrow"], "narrow"))
        nodes[11] = NODE("Conv", ["narrow", "u"], ["seen"], "look", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        weights += [seeded("m", 49, 49), numpy_helper.from_array(numpy.array([1, 8, 49], numpy.int64), "wide")]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 224, 224])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])
    graph = helper.make_graph(nodes, "positions", [given], [output], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path = folder / "positions.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def ran(path: Path, image: numpy.ndarray) -> numpy.ndarray:
    found: numpy.ndarray = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, {"x": image}
    )[0]
    return found


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_what_an_export_wrote_down_is_computed_when_it_runs(tmp_path: Path, opset: int) -> None:
    path = positions(tmp_path, opset=opset)
    plan = shapecalc.load(path).retarget(input="?x?")
    assert [edit.describe() for edit in plan.edits[1:]] == [
        "flatten: shape [1, 8, -1]",
        "table: 7×7 places interpolated (bicubic) when it runs, to the map of map, 1 before them kept",
        "drop: ends [end]",
        "unflatten: shape computed when it runs, [1, 8, -1, map[3]]",
    ]
    free = plan.save(tmp_path / "free.onnx")
    assert plan.report is not None
    assert {check.words.split()[1] for check in plan.report.promises} >= {"224×224", "192×256", "256×160"}
    for size in ((224, 224), (96, 320), (320, 96), (449, 260), (64, 64)):
        image = numpy.random.default_rng(1).standard_normal((1, 3, *size), numpy.float32)
        alone = path
        if size != (224, 224):
            alone = (
                shapecalc.load(path).retarget(input=size, repair="rebake").save(tmp_path / "one.onnx", overwrite=True)
            )
        numpy.testing.assert_allclose(ran(free, image), ran(alone, image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("how", "other"), [("huggingface", "timm"), ("timm", "huggingface"), ("torchvision", "huggingface")]
)
def test_a_table_is_interpolated_the_way_that_is_asked_for(tmp_path: Path, how: str, other: str) -> None:
    path = positions(tmp_path)
    plan = shapecalc.load(path).retarget(input="?x?", interpolate=how)
    free = plan.save(tmp_path / "free.onnx")
    assert any("as HuggingFace does" in edit.describe() for edit in plan.edits) == (how == "huggingface")
    for size in ((96, 320), (449, 260), (64, 64)):
        image = numpy.random.default_rng(1).standard_normal((1, 3, *size), numpy.float32)
        given = ran(free, image)
        alone = {}
        for name in (how, other):
            one = shapecalc.load(path).retarget(input=size, repair="rebake", interpolate=name)
            alone[name] = ran(one.save(tmp_path / f"{name}.onnx", overwrite=True), image)
        numpy.testing.assert_allclose(given, alone[how], rtol=1e-4, atol=1e-4)
        assert numpy.abs(given - alone[other]).max() > 1e-3


def test_the_batch_is_left_free_with_the_size(tmp_path: Path) -> None:
    path = positions(tmp_path)
    plan = shapecalc.load(path).retarget(input="Nx3x?x?")
    free = plan.save(tmp_path / "free.onnx")
    image = numpy.random.default_rng(1).standard_normal((3, 3, 288, 160), numpy.float32)
    alone = shapecalc.load(path).retarget(input=(288, 160), repair="rebake").save(tmp_path / "one.onnx")
    rows = numpy.concatenate([ran(alone, image[i : i + 1]) for i in range(3)])
    numpy.testing.assert_allclose(ran(free, image), rows, rtol=1e-4, atol=1e-4)


def test_one_side_alone_is_left_free(tmp_path: Path) -> None:
    plan = shapecalc.load(positions(tmp_path)).retarget(input="1x3x224x?")
    assert plan.verify(device="cpu").ok
    assert [str(size) for size in plan.trace.inputs[0].shape or ()] == ["1", "3", "224", "W"]


def test_a_table_that_mixes_places_cannot_be_left_free(tmp_path: Path) -> None:
    with pytest.raises(shapecalc.RefusedError) as caught:
        shapecalc.load(positions(tmp_path, mixing=True)).retarget(input="?x?")
    assert "cannot be left free" in caught.value.message
    assert caught.value.because


#: Where the angles of a side of seven places begin.
STARTS = {"zero": 0.0, "one": 1.0, "centre": -3.0}


@pytest.mark.parametrize("start", STARTS)
def test_a_table_of_waves_is_computed_when_it_runs(tmp_path: Path, start: str) -> None:
    places = numpy.arange(7.0) + STARTS[start]
    angles = [numpy.multiply.outer(places, [1.0, 0.3]), numpy.multiply.outer(places, [1.0, 0.3])]
    down, across = angles[0][:, None].repeat(7, 1), angles[1][None].repeat(7, 0)
    waves = numpy.concatenate([kind(side) for side in (down, across) for kind in (numpy.sin, numpy.cos)], axis=-1)
    path = positions(tmp_path)
    proto = onnx.load(path)
    table = next(given for given in proto.graph.initializer if given.name == "table")
    rows = numpy.concatenate([numpy.zeros((1, 8)), waves.reshape(49, 8)])[None].astype(numpy.float32)
    table.CopyFrom(numpy_helper.from_array(rows, "table"))
    onnx.save(proto, path)
    plan = shapecalc.load(path).retarget(input="?x?")
    assert "table: waves of 7×7 places computed when it runs, for map[2]×map[3], 1 before them kept" in [
        edit.describe() for edit in plan.edits
    ]
    follows(path, plan.save(tmp_path / "free.onnx"), tmp_path)
    rows[0, 9, 3] += 0.01  # of a table that is learned nothing is known
    table.CopyFrom(numpy_helper.from_array(rows, "table"))
    onnx.save(proto, path)
    learned = shapecalc.load(path).retarget(input="?x?")
    assert any("interpolated (bicubic)" in edit.describe() for edit in learned.edits)
    assert learned.verify(device="cpu").ok


def follows(path: Path, free: Path, folder: Path, how: str = "timm") -> None:
    """That a net gives at any size what it gives when it is written for that size alone."""
    for size in ((224, 224), (96, 320), (320, 96), (449, 260), (160, 160)):
        image = numpy.random.default_rng(1).standard_normal((1, 3, *size), numpy.float32)
        alone = path
        if size != (224, 224):
            plan = shapecalc.load(path).retarget(input=size, repair="rebake", interpolate=how)
            alone = plan.save(folder / "one.onnx", overwrite=True)
        wanted = ran(alone, image)
        numpy.testing.assert_allclose(ran(free, image), wanted, atol=2e-5 * numpy.abs(wanted).max(), rtol=0)


def attending(folder: Path, tokens: int, bias: str) -> Path:
    """Patches of 7×7 that attend to each other, behind a few tokens, with a bias between every two places."""
    many = 49 + tokens
    nodes = [
        NODE("Conv", ["x", "w"], ["map"], "patches", kernel_shape=[32, 32], strides=[32, 32]),
        NODE("Reshape", ["map", "flat"], ["columns"], "flatten"),
        NODE("Transpose", ["columns"], ["rows"], "turn", perm=[0, 2, 1]),
        NODE("Concat", ["tokens", "rows"], ["all"], "with_tokens", axis=1),
        NODE("Transpose", ["all"], ["keys"], "turn_keys", perm=[0, 2, 1]),
        NODE("MatMul", ["all", "keys"], ["products"], "multiply"),
        NODE("Unsqueeze", ["products", "one"], ["scores"], "heads"),
        *([NODE("Gather", ["table", "places"], ["bias"], "look_up", axis=1)] if bias == "by distance" else []),
        NODE("Add", ["scores", "bias"], ["biased"], "add_bias"),
        NODE("Softmax", ["biased"], ["shares"], "attend", axis=-1),
        NODE("MatMul", ["shares", "all"], ["seen"], "mix"),
        NODE("ReduceMean", ["seen"], ["y"], "mean", axes=[2], keepdims=0),
    ]
    offsets = [resampling._offsets((7, 7)), resampling.distances((7, 7), (7, 7))]
    table = numpy.random.default_rng(3).standard_normal((1, 169 if bias == "by offset" else 49), numpy.float32)
    between = numpy.random.default_rng(4).standard_normal((1, many, many), numpy.float32)
    between[:, :tokens, tokens:] = between[:, :tokens, -1:]
    between[:, tokens:, :tokens] = between[:, -1:, :tokens]
    between[:, tokens:, tokens:] = table[:, offsets[0]] if bias == "by offset" else 0
    held = {"flat": [1, 8, 49], "one": [1]}
    weights = [numpy_helper.from_array(numpy.array(numbers, numpy.int64), name) for name, numbers in held.items()]
    weights += [seeded("w", 8, 3, 32, 32), seeded("tokens", 1, tokens, 8)]
    weights += (
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(offsets[1], "places")]
        if bias == "by distance"
        else [numpy_helper.from_array(between, "bias")]
    )
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 224, 224])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 8])
    graph = helper.make_graph(nodes, "attending", [given], [output], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = folder / "attending.onnx"
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("tokens", "bias", "how", "said"),
    [
        (0, "by offset", "timm", "bias: relative positions of 7×7 interpolated when it runs, to map[2]×map[3]"),
        (
            2,
            "by offset",
            "timm",
            "bias: relative positions of 7×7 interpolated when it runs, to map[2]×map[3], 2 before",
        ),
        (1, "by offset", "huggingface", "to map[2]×map[3], bilinearly, as HuggingFace does, 1 before them kept"),
        (0, "by distance", "timm", "table: biases by distance of 7×7 interpolated (bicubic) when it runs"),
    ],
)
def test_biases_between_places_follow_any_size(tmp_path: Path, tokens: int, bias: str, how: str, said: str) -> None:
    path = attending(tmp_path, tokens, bias)
    plan = shapecalc.load(path).retarget(input="?x?", interpolate=how)
    assert said in " | ".join(edit.describe() for edit in plan.edits)
    follows(path, plan.save(tmp_path / "free.onnx"), tmp_path, how)


def test_a_bias_that_depends_on_more_than_the_offset_is_refused_when_planned(tmp_path: Path) -> None:
    path = attending(tmp_path, 0, "by offset")
    proto = onnx.load(path)
    table = next(given for given in proto.graph.initializer if given.name == "bias")
    numbers = numpy_helper.to_array(table).copy()
    numbers[0, 3, 5] += 1
    table.CopyFrom(numpy_helper.from_array(numbers, "bias"))
    onnx.save(proto, path)
    with pytest.raises(shapecalc.RefusedError) as caught:
        shapecalc.load(path).retarget(input="?x?")
    assert "bias depends on more than how far two places lie apart" in str(caught.value.because)
    assert "--repair resize" in str(caught.value.hint)


def test_a_free_net_is_planned_saved_and_done_again(tmp_path: Path) -> None:
    path = positions(tmp_path)
    plan = shapecalc.load(path).retarget(input="?x?")
    again = shapecalc.load(path).replay(plan.save_plan(tmp_path / "plan.json"))
    assert again.edits == plan.edits
    assert again.save(tmp_path / "a.onnx").read_bytes() == plan.save(tmp_path / "b.onnx").read_bytes()


def test_of_a_square_the_side_changes_that_the_image_changed(tmp_path: Path) -> None:
    """A map of 7×7 under 224×320 is 7×10, not 10×7."""
    for size, sides in (((224, 320), (7, 10)), ((320, 224), (10, 7)), ((240, 330), (7, 10))):
        plan = shapecalc.load(positions(tmp_path)).retarget(input=size, repair="rebake")
        assert (plan.trace.layer("unflatten").outputs[0].shape or ())[2:] == sides
