"""Poolings to a grid that an export wrote down for one size, and maps with as many places as another."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.resampling import averages

NODE = helper.make_node
GRID = 4


def net(*nodes: Any, side: int, **shapes: Any) -> bytes:
    weights = [numpy_helper.from_array(numpy.array(shape, numpy.int64), name) for name, shape in shapes.items()]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, side, side])
    graph = helper.make_graph(list(nodes), "net", [given], [onnx.ValueInfoProto(name="y")], weights)
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    )


def pool(given: str, made: str, side: int) -> Any:
    return NODE("AveragePool", [given], [made], made, kernel_shape=[side, side], strides=[side, side])


def ran(model: bytes, size: tuple[int, int], folder: Path) -> tuple[Any, Any]:
    """An image and what the retargeted net makes of it."""
    target = shapecalc.load(model, format="onnx").retarget(input=size).save(folder / "out.onnx", device="cpu")
    image = numpy.random.default_rng(1).standard_normal((1, 2, *size), numpy.float32)
    return image, onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"]).run(None, {"x": image})[0]


def adaptive(image: Any) -> Any:
    """PyTorch's adaptive average pooling to the grid, by loops."""
    high, wide = image.shape[2:]
    rows = [slice(i * high // GRID, -(-(i + 1) * high // GRID)) for i in range(GRID)]
    columns = [slice(i * wide // GRID, -(-(i + 1) * wide // GRID)) for i in range(GRID)]
    return numpy.array([[image[:, :, r, c].mean((2, 3)) for c in columns] for r in rows]).transpose(2, 3, 0, 1)


@pytest.mark.parametrize("size", [(16, 16), (48, 48), (64, 16), (40, 36), (24, 20), (8, 8)])
def test_poolings_of_several_maps_to_one_grid_keep_the_grid(size: tuple[int, int], tmp_path: Path) -> None:
    twice = net(
        pool("x", "first", 8), pool("x", "half", 2), pool("half", "second", 4),
        NODE("Add", ["first", "second"], ["sum"]), NODE("Reshape", ["sum", "to"], ["y"]),
        side=32, to=[1, 2, GRID * GRID],
    )  # fmt: skip
    image, made = ran(twice, size, tmp_path)
    half = image.reshape(1, 2, size[0] // 2, 2, size[1] // 2, 2).mean((3, 5))
    wanted = adaptive(image) + adaptive(half)
    assert numpy.abs(made - wanted.reshape(made.shape)).max() < 1e-5


def test_one_pooling_alone_keeps_its_window(tmp_path: Path) -> None:
    image, made = ran(net(pool("x", "y", 8), side=32), (64, 48), tmp_path)
    assert numpy.abs(made - image.reshape(1, 2, 8, 8, 6, 8).mean((3, 5))).max() < 1e-5


@pytest.mark.parametrize("size", [(28, 32), (32, 28), (24, 36), (36, 24)])
def test_places_become_the_map_that_they_were(size: tuple[int, int], tmp_path: Path) -> None:
    """7×8 has as many places as 8×7, and 6×9 as 9×6."""
    flat = net(
        pool("x", "map", 4), NODE("Reshape", ["map", "row"], ["places"]), NODE("Reshape", ["places", "back"], ["y"]),
        side=28, row=[1, 2, 49], back=[1, 2, 7, 7],
    )  # fmt: skip
    image, made = ran(flat, size, tmp_path)
    assert made.shape == (1, 2, size[0] // 4, size[1] // 4)
    assert numpy.abs(made - image.reshape(1, 2, size[0] // 4, 4, size[1] // 4, 4).mean((3, 5))).max() < 1e-5


def test_averages_over_a_grid_are_windows_from_floor_to_ceil() -> None:
    matrix = averages((3, 7), False)
    assert [row.nonzero()[0].tolist() for row in matrix] == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert numpy.allclose(matrix.sum(axis=1), 1)
    assert numpy.array_equal(averages((7, 3), True), matrix.T)
    assert all(a < b for a, b in pairwise((matrix > 0).argmax(axis=1)))
