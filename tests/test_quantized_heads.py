"""Another number of classes where the head is of whole numbers or packed bits: it is computed in floats first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

import shapecalc

NODE = helper.make_node
OLD, NEW = 6, 9
LEVELS = onnxruntime.GraphOptimizationLevel
Nodes = list[onnx.NodeProto]


def numbers(name: str, *shape: int, scale: float = 0.3) -> onnx.TensorProto:
    generator = numpy.random.default_rng(sum(map(ord, name)))
    return numpy_helper.from_array(generator.standard_normal(shape, numpy.float32) * numpy.float32(scale), name)


def written(path: Path, nodes: Nodes, weights: list[onnx.TensorProto], domains: bool = False) -> Path:
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid("com.microsoft", 1)] if domains else [])]
    graph = helper.make_graph(nodes, "net", [fed], [made], weights)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


STEM = [
    NODE("Conv", ["x", "stem.w", "stem.b"], ["c"], "stem", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    NODE("Relu", ["c"], ["r"], "relu"),
]
STEM_WEIGHTS = [numbers("stem.w", 8, 3, 3, 3), numbers("stem.b", 8)]


def dense(path: Path) -> Path:
    """A fully connected head behind a mean, a softmax behind it."""
    nodes = [
        *STEM,
        NODE("GlobalAveragePool", ["r"], ["p"], "mean"),
        NODE("Flatten", ["p"], ["f"], "flat"),
        NODE("Gemm", ["f", "w", "b"], ["g"], "head", transB=1),
        NODE("Softmax", ["g"], ["y"], "soft"),
    ]
    return written(path, nodes, [*STEM_WEIGHTS, numbers("w", OLD, 8), numbers("b", OLD)])


def mapped(path: Path) -> Path:
    """A convolution gives the scores, which are averaged (SqueezeNet)."""
    nodes = [
        *STEM,
        NODE("Conv", ["r", "w", "b"], ["s"], "head", kernel_shape=[1, 1]),
        NODE("Relu", ["s"], ["t"], "rectified"),
        NODE("GlobalAveragePool", ["t"], ["p"], "mean"),
        NODE("Flatten", ["p"], ["f"], "flat"),
        NODE("Softmax", ["f"], ["y"], "soft"),
    ]
    return written(path, nodes, [*STEM_WEIGHTS, numbers("w", OLD, 8, 1, 1), numbers("b", OLD)])


def rows(path: Path) -> Path:
    """Scores of every place, a bias apart, of which the first place's are taken."""
    nodes = [
        *STEM,
        NODE("Reshape", ["r", "target"], ["n"], "apart"),
        NODE("Transpose", ["n"], ["t"], "turn", perm=[0, 2, 1]),
        NODE("MatMul", ["t", "w"], ["m"], "head"),
        NODE("Add", ["m", "b"], ["a"], "bias"),
        NODE("Gather", ["a", "first"], ["g"], "choose", axis=1),
        NODE("Softmax", ["g"], ["y"], "soft"),
    ]
    target = numpy_helper.from_array(numpy.array([1, 8, 16], numpy.int64), "target")
    first = numpy_helper.from_array(numpy.array(0, numpy.int64), "first")
    return written(path, nodes, [*STEM_WEIGHTS, numbers("w", 8, OLD), numbers("b", OLD), target, first])


def test_one_class_that_is_taken_is_no_row_of_classes(tmp_path: Path) -> None:
    nodes = [
        *STEM,
        NODE("GlobalAveragePool", ["r"], ["p"], "mean"),
        NODE("Flatten", ["p"], ["f"], "flat"),
        NODE("MatMul", ["f", "w"], ["m"], "scores"),
        NODE("Gather", ["m", "first"], ["y"], "choose", axis=1),
    ]
    first = numpy_helper.from_array(numpy.array(0, numpy.int64), "first")
    source = written(tmp_path / "net.onnx", nodes, [*STEM_WEIGHTS, numbers("w", 8, OLD), first])
    with pytest.raises(shapecalc.RefusedError, match="ends in no classifier"):
        shapecalc.load(source).retarget(classes=NEW)


class Images(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Two images of noise to measure ranges with."""

    def __init__(self) -> None:
        generator = numpy.random.default_rng(0)
        self.left = iter([{"x": generator.standard_normal((1, 3, 8, 8), numpy.float32)} for _ in range(2)])

    def get_next(self) -> Any:
        return next(self.left, None)


def static(form: quantization.QuantFormat, **more: Any) -> Callable[[Path, Path], None]:
    return lambda source, target: quantization.quantize_static(source, target, Images(), quant_format=form, **more)


def dynamic(source: Path, target: Path) -> None:
    quantization.quantize_dynamic(source, target)


def as_it_is(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "float": as_it_is,
    "QOperator": static(quantization.QuantFormat.QOperator),
    "QOperator, a scale a channel": static(quantization.QuantFormat.QOperator, per_channel=True),
    "QDQ": static(quantization.QuantFormat.QDQ),
    "dynamic": dynamic,
}
OPTIMIZED = {"": None, "basic": LEVELS.ORT_ENABLE_BASIC, "extended": LEVELS.ORT_ENABLE_EXTENDED}
NETS = {"dense": dense, "map": mapped, "rows": rows}


def optimized(source: Path, target: Path, level: Any) -> Path:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.optimized_model_filepath = level, str(target)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return target


def cases() -> Iterator[Any]:
    for net in NETS:
        for way in WAYS:
            for level in OPTIMIZED:
                yield pytest.param(net, way, level, id=f"{net}, {way} {level}".rstrip())


@pytest.mark.parametrize(("net", "way", "level"), [*cases()])
def test_a_quantized_head_gets_other_classes_and_runs(net: str, way: str, level: str, tmp_path: Path) -> None:
    source = tmp_path / "net.onnx"
    WAYS[way](NETS[net](tmp_path / "float.onnx"), source)
    if OPTIMIZED[level] is not None:
        source = optimized(source, tmp_path / "optimized.onnx", OPTIMIZED[level])
    check(source, tmp_path)


def check(source: Path, folder: Path) -> shapecalc.Model:
    """Another number of classes, proved, written, done again from the saved plan; the scores are no codes."""
    model = shapecalc.load(source)
    plan = model.retarget(classes=NEW)
    assert plan.verify(device="cpu").ok
    target = plan.save(folder / "out.onnx", device="cpu")
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    image = numpy.random.default_rng(1).standard_normal((1, 3, 8, 8), numpy.float32)
    (scores,) = session.run(None, {"x": image})
    assert scores.shape == (1, NEW)
    assert len(numpy.unique(scores)) == NEW
    again = model.replay(plan.save_plan(folder / "plan.json")).save(folder / "again.onnx", device="cpu")
    assert again.read_bytes() == target.read_bytes()
    return model


@pytest.mark.parametrize(("way", "head"), [("float", "head"), ("dynamic", "head_quant")])
def test_averaged_channels_without_a_softmax_may_be_features_and_are_named(way: str, head: str, tmp_path: Path) -> None:
    net = onnx.load(mapped(tmp_path / "net.onnx"))
    del net.graph.node[-1]
    net.graph.node[-1].output[0] = "y"
    onnx.save(net, tmp_path / "bare.onnx")
    source = tmp_path / "coded.onnx"
    WAYS[way](tmp_path / "bare.onnx", source)
    with pytest.raises(shapecalc.RefusedError, match="ends in a rectified convolution, whose channels need") as caught:
        shapecalc.load(source).retarget(classes=NEW)
    assert str(caught.value.because) == f"{head} gives {OLD} channels, without a Softmax behind"
    assert str(caught.value.hint).startswith(f"if they are: --head {head}; shapecalc cut ")
    assert shapecalc.load(source).retarget(classes=NEW, head=head).trace.outputs[0].shape == (1, NEW)


def whole(*shape: int) -> numpy.ndarray[Any, Any]:
    return numpy.random.default_rng(3).integers(-99, 99, shape).astype(numpy.int8)


def constant(name: str, value: Any, kind: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy.asarray(value, kind), name)


#: Heads that only onnxruntime's own tools make: the nodes from the features "f" [1, 8] to "y", and their constants.
FUSED: dict[str, tuple[Nodes, list[onnx.TensorProto]]] = {
    "MatMulNBits": (
        [
            NODE(
                "MatMulNBits", ["f", "w", "s"], ["y"], "head", domain="com.microsoft", K=8, N=OLD, bits=4, block_size=16
            )
        ],
        [constant("w", numpy.full((OLD, 1, 8), 0x5A), numpy.uint8), numbers("s", OLD)],
    ),
    "MatMulIntegerToFloat": (
        [
            NODE("DynamicQuantizeLinear", ["f"], ["q", "qs", "qz"], "codes"),
            NODE(
                "MatMulIntegerToFloat",
                ["q", "w", "qs", "ws", "qz", "", "b"],
                ["y"],
                "head",
                domain="com.microsoft",
            ),
        ],
        [constant("w", whole(8, OLD), numpy.int8), constant("ws", 0.01, numpy.float32), numbers("b", OLD)],
    ),
    "MatMulInteger of stored scales": (
        [
            NODE("DynamicQuantizeLinear", ["f"], ["q", "qs", "qz"], "codes"),
            NODE("MatMulInteger", ["q", "w", "qz"], ["i"], "head"),
            NODE("Cast", ["i"], ["d"], "cast", to=TensorProto.FLOAT),
            NODE("Mul", ["d", "ws"], ["m"], "scaled"),
            NODE("Mul", ["m", "qs"], ["n"], "scaled_again"),
            NODE("Mul", ["n", "sharp"], ["y"], "temperature"),
        ],
        [constant("w", whole(8, OLD), numpy.int8), numbers("ws", OLD), constant("sharp", 3, numpy.float32)],
    ),
    "QGemm to floats": (
        [
            NODE("QuantizeLinear", ["f", "qs", "qz"], ["q"], "codes"),
            NODE("QGemm", ["q", "qs", "qz", "w", "ws", "wz", ""], ["y"], "head", domain="com.microsoft", transB=1),
        ],
        [
            *(constant(name, 0.02, numpy.float32) for name in ("qs", "ws")),
            *(constant(name, 0, numpy.int8) for name in ("qz", "wz")),
            constant("w", whole(OLD, 8), numpy.int8),
        ],
    ),
}


@pytest.mark.parametrize("name", FUSED)
def test_heads_of_contributed_operators(name: str, tmp_path: Path) -> None:
    nodes, weights = FUSED[name]
    front = [*STEM, NODE("GlobalAveragePool", ["r"], ["p"], "mean"), NODE("Flatten", ["p"], ["f"], "flat")]
    source = written(tmp_path / "net.onnx", [*front, *nodes], [*STEM_WEIGHTS, *weights], domains=True)
    model = check(source, tmp_path)
    first = model.retarget(classes=NEW).edits[0]
    assert first.describe().startswith(f"head: {nodes[-1].op_type if len(nodes) < 3 else 'MatMulInteger'} → ")
    left = {node.op_type for node in onnx.load(tmp_path / "out.onnx").graph.node}
    assert left.isdisjoint({"MatMulNBits", "MatMulIntegerToFloat", "MatMulInteger", "QGemm"})
    assert ("temperature" in {node.name for node in onnx.load(tmp_path / "out.onnx").graph.node}) == (len(nodes) > 2)


def test_features_before_a_quantized_head_are_floats_or_are_refused(tmp_path: Path) -> None:
    dynamic(dense(tmp_path / "float.onnx"), tmp_path / "dynamic.onnx")
    plan = shapecalc.load(tmp_path / "dynamic.onnx").cut(features=True)
    session = onnxruntime.InferenceSession(
        plan.save(tmp_path / "out.onnx", device="cpu"), providers=["CPUExecutionProvider"]
    )
    assert [(out.shape, out.type) for out in session.get_outputs()] == [([1, 8], "tensor(float)")]
    WAYS["QOperator"](dense(tmp_path / "float.onnx"), tmp_path / "static.onnx")
    with pytest.raises(shapecalc.RefusedError, match="reads are codes of a quantization") as caught:
        shapecalc.load(tmp_path / "static.onnx").cut(features=True)
    assert caught.value.because == "flat (Flatten) gives them"
    assert caught.value.hint == "--at flat writes the codes"


def test_a_product_that_nothing_scales_is_refused(tmp_path: Path) -> None:
    nodes = [
        *STEM,
        NODE("Flatten", ["r"], ["f"], "flat"),
        NODE("Cast", ["f"], ["q"], "whole", to=TensorProto.UINT8),
        NODE("MatMulInteger", ["q", "w"], ["i"], "head"),
        NODE("Cast", ["i"], ["y"], "cast", to=TensorProto.FLOAT),
    ]
    source = written(tmp_path / "net.onnx", nodes, [*STEM_WEIGHTS, constant("w", whole(128, OLD), numpy.int8)])
    with pytest.raises(shapecalc.RefusedError, match="head: its scores are codes") as caught:
        shapecalc.load(source).retarget(classes=NEW)
    assert caught.value.because == "the scale of q is not known"


def test_scores_that_come_out_as_codes_are_refused(tmp_path: Path) -> None:
    nodes, weights = FUSED["QGemm to floats"]
    codes = NODE(
        "QGemm", ["q", "qs", "qz", "w", "ws", "wz", "", "qs", "qz"], ["y"], "head", domain="com.microsoft", transB=1
    )
    front = [*STEM, NODE("GlobalAveragePool", ["r"], ["p"], "mean"), NODE("Flatten", ["p"], ["f"], "flat")]
    source = written(tmp_path / "net.onnx", [*front, nodes[0], codes], [*STEM_WEIGHTS, *weights], domains=True)
    with pytest.raises(shapecalc.RefusedError, match=r"^.*head: its scores are codes of a scale") as caught:
        shapecalc.load(source).retarget(classes=NEW)
    assert caught.value.because == "the output y holds them"


def test_a_file_that_was_saved_for_one_machine_says_so(tmp_path: Path) -> None:
    source = optimized(mapped(tmp_path / "float.onnx"), tmp_path / "all.onnx", LEVELS.ORT_ENABLE_ALL)
    if not any(node.domain for node in onnx.load(source).graph.node):
        pytest.skip("this machine has no channels in blocks")
    with pytest.raises(shapecalc.RefusedError) as caught:
        shapecalc.load(source).retarget(classes=NEW)
    assert caught.value.because == "onnxruntime saved it for one machine, with all its optimizations"
