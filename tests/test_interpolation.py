"""Tables of positions at another size, as timm and as HuggingFace interpolate them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.resampling import TABLES, bicubic, bilinear, over_blocks, over_map, over_places
from shapecalc.surgery.exports.positions import Seen, _carried

NODE = helper.make_node
ROW = [1.0, -2.0, 4.0, 0.5, 3.0]
#: What torch 2.13 makes of ROW by `interpolate(…, align_corners=False)`, and of "corners" by bicubic with True.
RECORDED: list[tuple[str, list[float]]] = [
    ("bicubic", [1.278503, -0.773926, -1.815887, 2.482513, 3.515533, 0.587372, 1.642853, 3.232086]),
    ("bicubic", [-0.277777, 4.0, 2.018517]),
    ("corners", [1.0, -1.370262, -1.464285, 2.668368, 3.623178, 0.805392, 1.182216, 3.0]),
    ("bilinear", [1.0, -0.3125, -1.625, 2.125, 2.90625, 0.71875, 1.90625, 3.0]),
    ("bilinear", [0.0, 4.0, 2.166666]),
]


@pytest.mark.parametrize(("mode", "wanted"), RECORDED)
def test_rows_are_what_torch_makes_of_them(mode: str, wanted: list[float]) -> None:
    cubic = bicubic(5, len(wanted), antialias=False, corners=mode == "corners")
    matrix = bilinear(5, len(wanted)) if mode == "bilinear" else cubic
    assert numpy.abs(matrix @ ROW - wanted).max() < 2e-6


TABLE = numpy.random.default_rng(3).standard_normal((1, 17, 2)).astype(numpy.float32)


def embedded(folder: Path) -> Path:
    """Patches of an image as rows behind a token, a table of positions added: ViT's first layers."""
    weights = {"row": [1, 2, 16], "token": numpy.zeros((1, 1, 2), numpy.float32), "table": TABLE}
    nodes = [
        NODE("AveragePool", ["x"], ["map"], "patches", kernel_shape=[4, 4], strides=[4, 4]),
        NODE("Reshape", ["map", "row"], ["flat"], "flatten"),
        NODE("Transpose", ["flat"], ["rows"], "turn", perm=[0, 2, 1]),
        NODE("Concat", ["token", "rows"], ["all"], "join", axis=1),
        NODE("Add", ["all", "table"], ["y"], "add"),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 16, 16])
    held = [numpy_helper.from_array(numpy.array(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "net", [given], [onnx.ValueInfoProto(name="y")], held)
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def positions(path: str | Path, size: tuple[int, int]) -> Any:
    zero = numpy.zeros((1, 2, *size), numpy.float32)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": zero})[0]


@pytest.mark.parametrize("size", [(24, 24), (8, 20), (12, 12)])
@pytest.mark.parametrize(("how", "antialias"), [("", True), ("timm", True), ("huggingface", False)])
def test_a_table_is_interpolated_as_it_is_said(
    how: str, antialias: bool, size: tuple[int, int], tmp_path: Path
) -> None:
    plan = shapecalc.load(embedded(tmp_path)).retarget(input=size, interpolate=how)
    now = (size[0] // 4, size[1] // 4)
    wanted = over_places(TABLE, 1, (4, 4), now, 1, antialias=antialias)
    assert numpy.abs(positions(plan.save(tmp_path / "out.onnx", device="cpu"), size) - wanted).max() < 1e-6
    assert numpy.abs(wanted - over_places(TABLE, 1, (4, 4), now, 1, antialias=not antialias)).max() > 1e-2
    assert any("HuggingFace" in edit.describe() for edit in plan.edits) == (not antialias)
    again = shapecalc.load(tmp_path / "net.onnx").replay(plan.saved().to_dict())
    assert [edit.describe() for edit in again.edits] == [edit.describe() for edit in plan.edits]


def test_torchvision_lays_corners_on_corners(tmp_path: Path) -> None:
    plan = shapecalc.load(embedded(tmp_path)).retarget(input=(24, 28), interpolate="torchvision")
    wanted = over_places(TABLE, 1, (4, 4), (6, 7), 1, antialias=False, corners=True)
    assert numpy.abs(positions(plan.save(tmp_path / "out.onnx", device="cpu"), (24, 28)) - wanted).max() < 1e-6
    assert numpy.array_equal(wanted[0, [1, 7, 36, 42]], TABLE[0, [1, 4, 13, 16]])
    assert any("as torchvision does" in edit.describe() for edit in plan.edits)
    assert not any("--interpolate" in line for line in plan.remarks())


def test_offsets_are_spread_bilinearly_or_as_beit_does() -> None:
    offsets = numpy.arange(9.0).reshape(3, 3)  # of a 2×2 map
    pairs = numpy.array(
        [[[offsets[1 + a - c, 1 + b - d] for c in (0, 1) for d in (0, 1)] for a in (0, 1) for b in (0, 1)]]
    )
    made = TABLES["relative huggingface"](pairs, (1, 2), (2, 2), (3, 3), 0)
    spread = bilinear(3, 5) @ offsets @ bilinear(3, 5).T
    assert made[0, 0, 8] == pytest.approx(spread[0, 0])
    assert made[0, 8, 0] == pytest.approx(spread[4, 4])
    assert made[0, 0, 1] == pytest.approx(spread[2, 1])


def test_an_unknown_way_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(shapecalc.ShapecalcError, match="no way of interpolating 'lanczos'") as told:
        shapecalc.load(embedded(tmp_path)).retarget(input=24, interpolate="lanczos")
    assert told.value.hint == "one of timm, huggingface, torchvision"


def test_a_table_in_blocks_is_interpolated_as_the_map_that_it_is() -> None:
    table = numpy.random.default_rng(0).standard_normal((1, 4, 9, 2), numpy.float32)
    whole = numpy.empty((1, 6, 6, 2), numpy.float32)
    for block in range(4):
        row, column = 3 * (block // 2), 3 * (block % 2)
        whole[0, row : row + 3, column : column + 3] = table[0, block].reshape(3, 3, 2)
    wanted = over_map(whole, 1, (6, 6), (8, 10), antialias=False)
    made = over_blocks(table, 1, (6, 6), (8, 10), (3, 3), (4, 5))
    assert made.shape == (1, 4, 20, 2)
    for block in range(4):
        row, column = 4 * (block // 2), 5 * (block % 2)
        part = wanted[0, row : row + 4, column : column + 5]
        assert numpy.array_equal(made[0, block].reshape(4, 5, 2), part)


@pytest.mark.parametrize(
    ("shape", "wanted", "recipe"),
    [
        ((1, 16, 196, 96), (1, 16, 256, 96), "blocks"),
        ((1, 15, 196, 96), (1, 15, 256, 96), "places"),
        ((1, 196, 96), (1, 256, 96), "places"),
    ],
    ids=["as many blocks as the map has", "no map has so many", "no blocks"],
)
def test_a_table_in_blocks_is_told_by_the_map_that_has_them(shape: Any, wanted: Any, recipe: str) -> None:
    seen = Seen({}, [((56, 56), (64, 64)), ((14, 14), (16, 16))], (8 / 7, 8 / 7), {})
    axis = next(place for place, size in enumerate(shape) if size != wanted[place])
    found = _carried(shape, wanted, (axis,), seen)
    assert found is not None
    assert found[0] == recipe
