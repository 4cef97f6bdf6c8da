"""Exports that leave height and width free and still hold a reshape for one size are run at a size they take."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc

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


def test_a_size_is_left_free_only_where_the_net_follows_it(tmp_path: Path) -> None:
    baked = shapecalc.load(export(tmp_path, 49))
    with pytest.raises(shapecalc.RefusedError) as caught:
        baked.retarget(input="?x?")
    assert str(caught.value.message) == "net cannot be left free: it takes height and width 224 to 255 alone"
    assert caught.value.because == "flatten forbids larger ones"
    plan = shapecalc.load(export(tmp_path, -1)).retarget(input="1x3x?x?")
    assert plan.verify(device="cpu").ok
    written = onnx.load(plan.save(tmp_path / "out.onnx"))
    axes = written.graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_value for axis in axes] == [1, 3, 0, 0]
    assert all(axis.dim_param for axis in axes[2:])
