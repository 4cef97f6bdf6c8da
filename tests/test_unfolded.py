"""Patches taken by places that an export wrote down, at other sizes: as an unfold computes them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc

NODE = helper.make_node
SIDE = 24


def places(size: int, window: int, stride: int, dilation: int) -> Any:
    """Indices of (place in the window, window), for an axis of ``size``."""
    windows = (size - (window - 1) * dilation - 1) // stride + 1
    return numpy.arange(window)[:, None] * dilation + numpy.arange(windows)[None] * stride


def taken(window: int, stride: int, dilation: int, turned: bool) -> bytes:
    """The patches of an image as one row a patch, summed up."""
    which = places(SIDE, window, stride, dilation)
    windows = which.shape[1]
    perm = [0, 2, 4, 1, 3, 5] if turned else [0, 3, 5, 1, 2, 4]
    nodes = [
        NODE("Gather", ["x", "which"], ["rows"], "down", axis=2),
        NODE("Gather", ["rows", "which"], ["patches"], "across", axis=4),
        NODE("Transpose", ["patches"], ["turned"], "turn", perm=perm),
        NODE("Reshape", ["turned", "flat"], ["y"], "flatten"),
    ]
    weights = [
        numpy_helper.from_array(numpy.ascontiguousarray(which.T if turned else which), "which"),
        numpy_helper.from_array(numpy.array([1, windows * windows, 3 * window * window], numpy.int64), "flat"),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "net", [given], [onnx.ValueInfoProto(name="y")], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(made.SerializeToString())


def patches(image: Any, window: int, stride: int, dilation: int) -> Any:
    """The same by loops over windows."""
    down, across = (places(size, window, stride, dilation).T for size in image.shape[2:])
    found = [image[0][:, rows][:, :, columns].ravel() for rows in down for columns in across]
    return numpy.stack(found)[None]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (16, 40), (27, 23)])
@pytest.mark.parametrize(("window", "stride", "dilation"), [(4, 4, 1), (5, 2, 1), (3, 1, 2), (2, 3, 1), (6, 4, 1)])
def test_the_patches_of_another_size_are_taken(
    tmp_path: Path, window: int, stride: int, dilation: int, size: tuple[int, int], turned: bool
) -> None:
    plan = shapecalc.load(taken(window, stride, dilation, turned), format="onnx").retarget(input=size)
    target = plan.save(tmp_path / "out.onnx", device="cpu")
    image = numpy.random.default_rng(1).standard_normal((1, 3, *size), numpy.float32)
    got = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"]).run(None, {"x": image})[0]
    numpy.testing.assert_array_equal(got, patches(image, window, stride, dilation))


def test_indices_that_are_no_windows_stay() -> None:
    """Two rows that a net looks at are the same two of a larger image."""
    model = onnx.load_model_from_string(taken(4, 4, 1, False))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(numpy.array([[0, 5], [9, 2]]), "which"))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(numpy.array([1, 3, 16]), "flat"))
    plan = shapecalc.load(model).retarget(input=32)
    assert [edit.to_dict()["edit"] for edit in plan.edits] == ["set-input"]


def test_a_long_list_is_shown_by_its_ends_and_saved_whole(tmp_path: Path) -> None:
    model = shapecalc.load(taken(4, 4, 1, False), format="onnx")
    plan = model.retarget(input=32)
    assert plan.edits[1].describe() == (
        "down: indices [0, 4, 8, 12, 16, 20, 1, 5, …, 23] → [0, 4, 8, 12, 16, 20, 24, 28, …, 31]"
    )
    assert plan.edits[1].to_dict()["shape"] == [4, 8]
    plan.save_plan(tmp_path / "plan.json")
    assert model.replay(tmp_path / "plan.json").edits == plan.edits
