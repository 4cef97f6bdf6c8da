"""Reading ONNX: structure, names, order, weights in every form, old opsets, and what is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_models import LIGHT_MODELS, light, model, small

import shapecalc
from shapecalc.dims import symbol
from shapecalc.errors import ModelError, ShapecalcError
from shapecalc.formats.onnx import sniff
from shapecalc.graph import Graph

# Trained parameters as published for each net; resnet50 and vgg19 are torchvision's to the digit, the normalizations of
# densenet121 and inception_v2 stand twice in their files (BatchNormalization, then a scale and a shift).
PARAMS = {
    "light_bvlc_alexnet": 60965224,
    "light_densenet121": 8062504,
    "light_inception_v1": 6998552,
    "light_resnet50": 25557032,
    "light_squeezenet": 1235496,
    "light_vgg19": 143667240,
}


def graph_of(made: onnx.ModelProto) -> Graph:
    return shapecalc.load(made).graph


def refused(made: onnx.ModelProto | bytes) -> ModelError:
    with pytest.raises(ModelError) as caught:
        shapecalc.load(made, format="onnx")
    return caught.value


# -- onnx's own light models ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), PARAMS.items())
def test_trained_parameters_are_those_of_the_paper(name: str, count: int) -> None:
    assert shapecalc.load(light(name)).trace().params == count


@pytest.mark.parametrize("name", LIGHT_MODELS)
def test_every_tensor_of_a_light_model_has_the_shape_onnxruntime_gives_it(name: str) -> None:
    made = onnx.load(light(name))
    trace = shapecalc.load(light(name)).trace()
    assert trace.ok
    names = [output for node in made.graph.node for output in node.output]
    del made.graph.output[:]
    made.graph.output.extend(onnx.ValueInfoProto(name=output) for output in names)
    feed = trace.inputs[0]
    # the input of zeros is enough: shapes do not depend on numbers here
    found = run(made, {feed.name: numpy.zeros(feed.shape, numpy.float32)})
    assert {output: trace.values[output] for output in names} == dict(zip(names, found, strict=True))


def run(made: onnx.ModelProto, feeds: dict[str, Any]) -> list[tuple[int, ...]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [array.shape for array in session.run(None, feeds)]


@pytest.mark.parametrize(
    ("name", "size", "layer", "code"),
    [
        ("light_bvlc_alexnet", 256, "n15", "E106"),
        ("light_inception_v1", 64, "n138", "E103"),
        ("light_inception_v2", 299, "n161", "E105"),
        ("light_resnet50", 256, "n173", "E106"),
        ("light_shufflenet", 227, "n15", "E105"),
        ("light_zfnet512", 32, "n8", "E103"),
    ],
)
def test_the_node_at_which_onnxruntime_stops_is_among_the_problems(name: str, size: int, layer: str, code: str) -> None:
    problems = shapecalc.load(light(name)).trace(size).problems
    assert (layer, code) in [(problem.layer, problem.code) for problem in problems]


def test_placeholder_nodes_are_parameters() -> None:
    graph = shapecalc.load(light("light_bvlc_alexnet")).graph
    weight = graph.params["fc6_w_0"]
    assert (weight.shape, weight.dtype, weight.trained) == ((4096, 9216), "float32", True)
    assert weight.origin is not None
    assert weight.origin.op == "ConstantOfShape"
    assert not any(node.op == "ConstantOfShape" for node in graph.nodes)
    assert [given.name for given in graph.inputs] == ["data_0"]


# -- structure --------------------------------------------------------------------------------------------------------


def test_structure_of_a_small_model() -> None:
    graph = graph_of(small())
    assert [(node.name, node.op) for node in graph.nodes] == [
        ("conv", "Conv"),
        ("relu", "Relu"),
        ("pool", "MaxPool"),
        ("Flatten_3", "Flatten"),
        ("fc", "Gemm"),
    ]
    assert graph.inputs[0].declared == (1, 3, 32, 32)
    assert graph.inputs[0].role == "image"
    assert graph.outputs == ("y",)
    assert (graph.opset, graph.dialect, graph.meta["ir_version"]) == (17, "onnxruntime", 8)
    assert (graph.meta["producer"], graph.meta["metadata"]) == ("test", {"author": "nobody"})


def test_numbers_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    onnx.save(small(), path)
    where = shapecalc.load(path).graph.params["fc.w"].where
    assert where is not None
    data = path.read_bytes()[where.offset : where.offset + where.length]
    expected = numpy_helper.to_array(small().graph.initializer[2])
    assert where.path == str(path)
    assert numpy.frombuffer(data, "<f4").reshape(10, 1800).tolist() == expected.tolist()


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (TensorProto.INT64, [-1, 0, 2**40]),
        (TensorProto.INT32, [-1, 7]),
        (TensorProto.UINT8, [0, 255]),
        (TensorProto.UINT64, [2**63]),
        (TensorProto.BOOL, [1, 0]),
        (TensorProto.FLOAT, [0.5, -2.0]),
        (TensorProto.DOUBLE, [0.5, -2.0]),
        (TensorProto.FLOAT16, [0.5, -2.0]),
    ],
)
def test_small_tensors_carry_their_contents(raw: bool, dtype: int, values: list[Any]) -> None:
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    given = numpy.array(values, kind)
    tensor = helper.make_tensor("t", dtype, given.shape, given.tobytes() if raw else given.tolist(), raw=raw)
    made = model([helper.make_node("Identity", ["x"], ["y"])], {"x": [1]}, {"y": [1]})
    made.graph.initializer.append(tensor)
    param = graph_of(made).params["t"]
    assert (param.shape, list(param.contents or ()), param.dtype) == (given.shape, values, kind.name)


def test_free_dimensions_are_symbols() -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", 3, None, "?"]}, {"y": None})
    assert graph_of(made).inputs[0].declared == (symbol("batch"), 3, symbol("x[2]"), symbol("x[3]"))


@pytest.mark.parametrize(
    ("shape", "layout", "role"),
    [
        ([1, 224, 224, 3], "NHWC", "image"),
        ([1, 3, 224, 224], "NCHW", "image"),
        ([1, 256, 1, 1], "NCHW", "image"),
        ([1, 77], "NCHW", "other"),
    ],
)
def test_the_role_of_an_input(shape: list[int], layout: str, role: str) -> None:
    given = graph_of(model([helper.make_node("Relu", ["x"], ["y"])], {"x": shape}, {"y": None})).inputs[0]
    assert (given.layout, given.role) == (layout, role)


def test_names_are_unique_and_those_of_the_file_come_first() -> None:
    chain = [("a", "Relu"), ("", "Relu"), ("a", "Abs"), ("Relu_1", "Relu"), ("a_2", "Abs")]
    nodes = [helper.make_node(op, [f"v{i}"], [f"v{i + 1}"], name=name) for i, (name, op) in enumerate(chain)]
    graph = graph_of(model(nodes, {"v0": [1]}, {"v5": [1]}))
    assert [node.name for node in graph.nodes] == ["a", "Relu_1_2", "a_3", "Relu_1", "a_2"]


def test_nodes_out_of_order_are_sorted() -> None:
    nodes = [helper.make_node("Relu", [a], [b], name=b) for a, b in (("b", "c"), ("x", "a"), ("a", "b"))]
    made = model(nodes, {"x": [1, 2]}, {"c": [1, 2]})
    assert [node.name for node in graph_of(made).nodes] == ["a", "b", "c"]
    assert shapecalc.load(made).trace().outputs[0].shape == (1, 2)


def test_running_statistics_and_bounds_are_not_trained() -> None:
    ones = numpy.ones(3, numpy.float32)
    weights = dict.fromkeys(("scale", "bias", "mean", "var"), ones) | {
        "low": numpy.array(0, numpy.float32),
        "slope": ones,
    }
    nodes = [
        helper.make_node("BatchNormalization", ["x", "scale", "bias", "mean", "var"], ["b"]),
        helper.make_node("Clip", ["b", "low"], ["y"]),
    ]
    graph = graph_of(model(nodes, {"x": [1, 3, 2, 2]}, {"y": None}, weights))
    assert {name for name, param in graph.params.items() if param.trained} == {"scale", "bias", "slope"}


def test_a_constant_that_is_a_weight_is_a_parameter_and_any_other_is_a_node() -> None:
    weight = numpy_helper.from_array(numpy.ones((4, 3, 1, 1), numpy.float32), "")
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weight),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Mul", ["c", "half"], ["y"], name="mul"),
    ]
    loaded = shapecalc.load(model(nodes, {"x": [1, 3, 8, 8]}, {"y": None}))
    assert [node.name for node in loaded.graph.nodes] == ["Constant_1", "conv", "mul"]
    assert loaded.graph.params["w"].where is not None
    assert loaded.trace().params == 12


def test_external_data_is_located_and_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(small(), path, save_as_external_data=True, location="weights.bin", size_threshold=100)
    (tmp_path / "weights.bin").unlink()
    loaded = shapecalc.load(path)
    where = loaded.graph.params["fc.w"].where
    assert where is not None
    assert (where.path, where.length) == (str(tmp_path / "weights.bin"), 72000)
    assert loaded.trace().ok


def test_subgraphs_are_graphs_and_keep_their_span() -> None:
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["z"])], "b", [], [helper.make_empty_tensor_value_info("z")]
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    made = model([node], {"x": [1]}, {"y": [1]}, {"c": numpy.array(True)})
    inner = graph_of(made).nodes[0].attrs["then_branch"]
    assert [n.op for n in inner.nodes] == ["Relu"]
    assert made.SerializeToString()[slice(*inner.meta["span"])] == branch.SerializeToString()


def test_subgraphs_without_end_are_refused() -> None:
    body = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "b", [], [])
    for _ in range(20):
        body = helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=body)], "b", [], [])
    made = model(list(body.node), {"x": [1]}, {"y": [1]}, {"c": numpy.array(True)})
    with pytest.raises(ModelError, match="subgraphs more than 16 deep"):
        graph_of(made)


# -- old opsets: what is an input today was an attribute --------------------------------------------------------------

OLD = [
    (1, "Reshape", {"shape": [2, -1]}, [2, 3, 4], (2, 12)),
    (1, "Squeeze", {"axes": [0]}, [1, 3, 4], (3, 4)),
    (1, "Unsqueeze", {"axes": [0, 3]}, [3, 4], (1, 3, 4, 1)),
    (1, "Slice", {"starts": [1], "ends": [3], "axes": [1]}, [2, 5], (2, 2)),
    (1, "Pad", {"paddings": [0, 1, 0, 2]}, [2, 3], (2, 6)),
    (2, "Pad", {"pads": [0, 1, 0, 2]}, [2, 3], (2, 6)),
    (1, "Cast", {"to": "FLOAT16"}, [2, 3], (2, 3)),
    (6, "Clip", {"min": 0.0, "max": 6.0}, [2, 3], (2, 3)),
    (6, "Dropout", {"ratio": 0.5, "is_test": 1}, [2, 3], (2, 3)),
    (1, "Softmax", {}, [2, 3], (2, 3)),
    (1, "Flatten", {}, [2, 3, 4], (2, 12)),
    (1, "LpPool", {"kernel_shape": [2, 2], "p": 2.0}, [1, 2, 4, 4], (1, 2, 3, 3)),
    (1, "GlobalLpPool", {}, [1, 2, 4, 4], (1, 2, 1, 1)),
    (11, "ReduceMean", {"axes": [2, 3], "keepdims": 0}, [1, 2, 4, 4], (1, 2)),
]


@pytest.mark.parametrize(("opset", "op", "attributes", "given", "out"), OLD, ids=[f"{r[1]}-{r[0]}" for r in OLD])
def test_old_forms(opset: int, op: str, attributes: dict[str, Any], given: list[int], out: tuple[int, ...]) -> None:
    made = model([helper.make_node(op, ["x"], ["y"], **attributes)], {"x": given}, {"y": None}, opset=opset)
    trace = shapecalc.load(made).trace()
    assert trace.ok
    assert trace.outputs[0].shape == out


def test_split_gives_the_sizes_of_its_attribute() -> None:
    node = helper.make_node("Split", ["x"], ["a", "b"], axis=1, split=[1, 4])
    trace = shapecalc.load(model([node], {"x": [2, 5]}, {"a": None, "b": None}, opset=2)).trace()
    assert [value.shape for value in trace.outputs] == [(2, 1), (2, 4)]


@pytest.mark.parametrize(("axis", "ok"), [(1, True), (2, False)])
def test_a_broadcast_axis_lines_the_second_operand_up(axis: int, ok: bool) -> None:
    node = helper.make_node("Add", ["x", "b"], ["y"], broadcast=1, axis=axis)
    made = model([node], {"x": [1, 3, 4, 5]}, {"y": None}, {"b": numpy.ones(3, numpy.float32)}, opset=6)
    trace = shapecalc.load(made).trace()
    assert trace.ok is ok
    assert not ok or trace.outputs[0].shape == (1, 3, 4, 5)


def test_an_absent_ceil_mode_means_floor_under_every_dialect() -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2], strides=[2])
    loaded = shapecalc.load(model([node], {"x": [1, 1, 5]}, {"y": None}))
    assert [loaded.trace(dialect=d).outputs[0].shape for d in ("onnx", "caffe", "chainer")] == [(1, 1, 2)] * 3


# -- what is refused --------------------------------------------------------------------------------------------------


def relu(a: str, b: str) -> onnx.NodeProto:
    return helper.make_node("Relu", [a], [b], name=f"{a}{b}")


@pytest.mark.parametrize(
    ("nodes", "output", "code", "words"),
    [
        ([relu("x", "a"), relu("x", "a")], "a", "E206", "xa_2 writes 'a', which xa gives already"),
        ([relu("x", "x")], "x", "E206", "xx writes 'x', which an input or initializer gives already"),
        ([relu("nowhere", "a")], "a", "E205", "nowherea reads 'nowhere', which no node, input or initializer gives"),
        ([relu("x", "a")], "b", "E205", "output 'b' is given by no node, input or initializer"),
        ([relu("b", "a"), relu("a", "b")], "a", "E202", "the graph has a cycle through ab"),
    ],
)
def test_impossible_graphs(nodes: list[onnx.NodeProto], output: str, code: str, words: str) -> None:
    error = refused(model(nodes, {"x": [1]}, {output: [1]}))
    assert (error.code, error.message) == (code, words)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../b", "C:\\weights", "", "a\0b"])
def test_external_data_must_stay_in_the_folder(location: str) -> None:
    made = small()
    tensor = made.graph.initializer[2]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    assert f"external data at {location!r}, which is not inside the model's folder" in refused(made).message


def test_a_tensor_must_hold_what_its_shape_says() -> None:
    made = small()
    made.graph.initializer[0].dims[0] = 9
    assert refused(made).message.endswith("tensor 'conv.w' of float32 [9, 3, 3, 3] needs 972 bytes and holds 864")


@pytest.mark.parametrize("data", [b"hello", b"\x08\x08", b"\x3a\x00\x3a\x00", b"\x0a\x02ab"])
def test_files_that_are_no_models(data: bytes) -> None:
    assert refused(data).code == "E202"


def test_sniffing() -> None:
    data = small().SerializeToString()
    assert sniff(data)
    assert sniff(data[:200])
    for other in (b"name: 'net'\nlayer {", b"import chainer\n", b'{"class_name"', b"", b"\x89PNG", b"PK\x03\x04"):
        assert not sniff(other)


WHOLE = small().SerializeToString()
LIGHT_BYTES = light("light_bvlc_alexnet").read_bytes()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([WHOLE[:2000], LIGHT_BYTES]), st.data())
def test_mutated_and_truncated_files_raise_nothing_else(data: bytes, draw: st.DataObject) -> None:
    broken = bytearray(data[: draw.draw(st.integers(0, len(data)))] if draw.draw(st.booleans()) else data)
    for _ in range(draw.draw(st.integers(0, 3)) if broken else 0):
        broken[draw.draw(st.integers(0, len(broken) - 1))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(ShapecalcError):
        shapecalc.load(bytes(broken), format="onnx").trace()


def test_a_mutation_can_reach_a_trace() -> None:
    data = bytearray(LIGHT_BYTES)
    place = data.index(b"fc6_w_0")
    data[place : place + 7] = b"fc6_w_9"
    assert refused(bytes(data)).code in ("E205", "E206")


def test_what_an_exporter_left_of_another_framework_is_a_problem_and_can_be_cut_off() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("StridedSlice", ["a"], ["y"], name="slice")]
    net = shapecalc.load(model(nodes, {"x": [2, 3]}, {"y": None}))
    (problem,) = net.trace().problems
    assert (problem.code, problem.layer, problem.message) == (
        "E111",
        "slice",
        "slice: ONNX has no operator StridedSlice",
    )
    assert net.cut("Relu_0").trace.ok
