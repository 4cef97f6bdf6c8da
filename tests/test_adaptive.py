"""An adaptive pooling that met a map of its own grid is exported as windows of one place; at another size it pools."""

from __future__ import annotations

from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import shapecalc

CHANNELS, GRID = 4, (6, 5)


def net() -> onnx.ModelProto:
    rng = numpy.random.default_rng(3)
    arrays = {
        "w": rng.standard_normal((CHANNELS, 3, 1, 1), numpy.float32),
        "fc_w": rng.standard_normal((7, CHANNELS * GRID[0] * GRID[1]), numpy.float32),
        "fc_b": rng.standard_normal(7, numpy.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("AveragePool", ["c"], ["p"], "pool", kernel_shape=[1, 1], strides=[1, 1]),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "fc_w", "fc_b"], ["y"], "fc", transB=1),
    ]
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, *GRID])
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "net", [given], [onnx.ValueInfoProto(name="y")], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def averages(size: int, grid: int) -> Any:
    """Row i has the weights of window i, from floor(i·size/grid) to ceil((i + 1)·size/grid), as PyTorch has it."""
    table = numpy.zeros((grid, size), numpy.float64)
    for i in range(grid):
        start, end = floor(i * size / grid), ceil((i + 1) * size / grid)
        table[i, start:end] = 1 / (end - start)
    return table


@pytest.mark.parametrize("size", [(6, 5), (7, 6), (9, 7), (12, 10), (4, 3), (3, 10), (13, 5)])
def test_the_grid_stays_at_every_size(tmp_path: Path, size: tuple[int, int]) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(input=size)
    written = onnx.load(plan.save(tmp_path / "out.onnx", device="cpu"))
    image = numpy.random.default_rng(0).standard_normal((1, 3, *size), numpy.float32)
    session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    w, fc, bias = (numpy_helper.to_array(tensor).astype(float) for tensor in net().graph.initializer)
    maps = numpy.einsum("oc,chw->ohw", w[:, :, 0, 0], image[0].astype(float))
    pooled = averages(size[0], GRID[0]) @ maps @ averages(size[1], GRID[1]).T
    wanted = fc @ pooled.reshape(-1) + bias
    assert numpy.abs(session.run(None, {"x": image})[0] - wanted).max() < 1e-5 * numpy.abs(wanted).max()


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((9, 7), "pool: 9×7 pooled to 6×5, windows that overlap, as two products"),
        ((12, 10), "change pool: 1×1 → 2×2, so that 12×10 gives 6×5"),
        ((7, 6), "change pool: 1×1 → 2×2, stride 1×1, so that 7×6 gives 6×5"),
    ],
)
def test_what_an_adaptive_pooling_becomes_is_said(tmp_path: Path, size: tuple[int, int], told: str) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    said = [edit.describe() for edit in shapecalc.load(tmp_path / "net.onnx").retarget(input=size).edits]
    assert told in said
