"""Decoders as exports write them down: a map scaled to the sizes of another, for one image of one size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

import shapecalc

DECODER = """
<ir_version: 9, opset_import: ["" : 18]>
decoder (float[1, 3, HEIGHT, WIDTH] x) => (float[1, 5, HEIGHT, WIDTH] y)
<int64[4] middle = {1, 8, MIDDLES}, int64[4] whole = {1, 12, SIDES}>
{
  fine = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, fine_w)
  coarse = Conv <strides = [4, 4], pads = [1, 1, 1, 1]> (fine, coarse_w)
  wide = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric"> (coarse, , , middle)
  joined = Concat <axis = 1> (wide, fine)
  large = Resize <mode = "linear"> (joined, , , whole)
  y = Conv <pads = [1, 1, 1, 1]> (large, head_w)
}
"""
WEIGHTS = {"fine_w": (4, 3, 3, 3), "coarse_w": (8, 4, 3, 3), "head_w": (5, 12, 3, 3)}


def decoder(height: int, width: int) -> onnx.ModelProto:
    """A U-Net of one join, made for one size."""
    half = [(side - 1) // 2 + 1 for side in (height, width)]
    text = DECODER.replace("MIDDLES", f"{half[0]}, {half[1]}").replace("SIDES", f"{height}, {width}")
    proto = onnx.parser.parse_model(text.replace("HEIGHT", str(height)).replace("WIDTH", str(width)))
    for name, shape in WEIGHTS.items():
        array = numpy.random.default_rng(len(name)).standard_normal(shape, dtype=numpy.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto


def ran(model: Any, x: numpy.ndarray[Any, Any]) -> Any:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def image(*shape: int) -> numpy.ndarray[Any, Any]:
    return numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)


@pytest.mark.parametrize("size", [(48, 32), (24, 64), (37, 58)])
def test_each_axis_is_scaled_to_its_own_side(tmp_path: Path, size: tuple[int, int]) -> None:
    """Height and width were one number: what 16 became is told by the factor of each."""
    plan = shapecalc.load(decoder(32, 32)).retarget(input=size)
    plan.save(tmp_path / "out.onnx", device="cpu")
    x = image(1, 3, *size)
    assert numpy.array_equal(ran(tmp_path / "out.onnx", x), ran(decoder(*size).SerializeToString(), x))


def test_a_height_and_width_left_free_are_each_computed(tmp_path: Path) -> None:
    shapecalc.load(decoder(32, 32)).retarget(input="?x?").save(tmp_path / "out.onnx", device="cpu")
    x = image(1, 3, 42, 70)
    assert numpy.array_equal(ran(tmp_path / "out.onnx", x), ran(decoder(42, 70).SerializeToString(), x))


@pytest.mark.parametrize(("batch", "rows"), [(4, 4), ("N", 3)])
def test_the_batch_that_a_scaling_holds_follows(tmp_path: Path, batch: int | str, rows: int) -> None:
    plan = shapecalc.load(decoder(32, 32)).retarget(batch=batch)
    assert plan.edits[0].describe().endswith("; 2 baked shapes rewritten")
    plan.save(tmp_path / "out.onnx", device="cpu")
    x, single = image(rows, 3, 32, 32), decoder(32, 32).SerializeToString()
    wanted = numpy.concatenate([ran(single, x[row : row + 1]) for row in range(rows)])
    assert numpy.allclose(ran(tmp_path / "out.onnx", x), wanted, atol=1e-4)
