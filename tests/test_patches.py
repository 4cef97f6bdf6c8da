"""Nets whose patches attend across a map (MobileViT, both versions), at maps that whole patches do not fill."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import pytest
from grown import Grown, run

import shapecalc
from shapecalc.surgery.coding import decode, encode
from shapecalc.surgery.exports.patches import FillMap

CHANNELS, SIDE = 4, 2


class Net(Grown):
    """Attention across patches of 2×2, as PyTorch's exporter writes it for one size; scaled where they do not fill."""

    def __init__(self, version: int, size: tuple[int, int], opset: int = 17) -> None:
        super().__init__()
        high, wide = (-(-side // SIDE) for side in size)
        whole, odd = (SIDE * high, SIDE * wide), size != (SIDE * high, SIDE * wide)
        value = self.scaled("filled", "x", whole, "align_corners") if odd and version == 2 else "x"
        value = self.convolved("second", self.convolved("first", value, 3), 1)
        value = self.scaled("filled", value, whole, "half_pixel") if odd and version == 1 else value
        value = (self.one, self.two)[version - 1](value, high, wide)
        value = self.scaled("back", value, size, "half_pixel") if odd and version == 1 else value
        self.proto = self.pooled(self.convolved("last", value, 3), (1, CHANNELS, *size), opset)

    def scaled(self, name: str, value: str, size: tuple[int, int], mode: str) -> str:
        self.arrays[f"{name}_sizes"] = numpy.array((1, CHANNELS, *size), numpy.int64)
        return self.add(
            name, "Resize", value, "", "", f"{name}_sizes", mode="linear", coordinate_transformation_mode=mode
        )

    def convolved(self, name: str, value: str, side: int) -> str:
        shape = (CHANNELS, CHANNELS, side, side)
        self.arrays[f"{name}_weight"] = numpy.random.default_rng(len(name)).standard_normal(shape, numpy.float32)
        return self.add(name, "Conv", value, f"{name}_weight", pads=[side // 2] * 4)

    def one(self, value: str, high: int, wide: int) -> str:
        """Rows first: (N·C·high, 2, wide, 2); tokens with their channels last."""
        cut = self.reshape("cut", value, CHANNELS * high, SIDE, wide, SIDE)
        turned = self.add("turned", "Transpose", cut, perm=[0, 2, 1, 3])
        pixels = self.add(
            "pixels", "Transpose", self.reshape("rows", turned, 1, CHANNELS, high * wide, SIDE**2), perm=[0, 3, 2, 1]
        )
        tokens = self.reshape("tokens", pixels, SIDE**2, high * wide, CHANNELS)
        keys = self.add("keys", "Transpose", tokens, perm=[0, 2, 1])
        shares = self.add("shares", "Softmax", self.add("scores", "MatMul", tokens, keys), axis=-1)
        seen = self.reshape("seen", self.add("sums", "MatMul", shares, tokens), 1, SIDE**2, high * wide, CHANNELS)
        back = self.add("swapped", "Transpose", seen, perm=[0, 3, 2, 1])
        straight = self.add(
            "straight", "Transpose", self.reshape("uncut", back, CHANNELS * high, wide, SIDE, SIDE), perm=[0, 2, 1, 3]
        )
        return self.reshape("map", straight, 1, CHANNELS, SIDE * high, SIDE * wide)

    def two(self, value: str, high: int, wide: int) -> str:
        """All at once: (N, C, high, 2, wide, 2); tokens with their channels first."""
        cut = self.reshape("cut", value, 1, CHANNELS, high, SIDE, wide, SIDE)
        turned = self.add("turned", "Transpose", cut, perm=[0, 1, 3, 5, 2, 4])
        tokens = self.reshape("tokens", turned, 1, CHANNELS, SIDE**2, high * wide)
        seen = self.add("seen", "Mul", self.add("shares", "Softmax", tokens, axis=-1), tokens)
        uncut = self.reshape("uncut", seen, 1, CHANNELS, SIDE, SIDE, high, wide)
        straight = self.add("straight", "Transpose", uncut, perm=[0, 1, 4, 2, 5, 3])
        return self.reshape("map", straight, 1, CHANNELS, SIDE * high, SIDE * wide)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("size", [(16, 16), (9, 9), (7, 11), (12, 9), (6, 14)])
def test_a_map_is_scaled_to_whole_patches(tmp_path: Path, version: int, size: tuple[int, int], opset: int) -> None:
    onnx.save(Net(version, (8, 8), opset).proto, tmp_path / "net.onnx")
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(input=size)
    plan.save(tmp_path / "out.onnx", device="cpu")
    wanted, got = run(Net(version, size, opset).proto, size), run(onnx.load(tmp_path / "out.onnx"), size)
    assert numpy.abs(got - wanted).max() < 1e-5 * numpy.abs(wanted).max()
    odd = any(side % SIDE for side in size)
    fills = [edit for edit in plan.edits if isinstance(edit, FillMap)]
    assert len(fills) == odd * (2 if version == 1 else 1)
    assert [decode(encode(edit)) for edit in fills] == fills
    assert bool(plan.remarks()) == odd
