"""Nets that cut maps with their channels first into windows and into a grid (torchvision's MaxViT), at other sizes."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import pytest
from grown import Grown, run

import shapecalc
from shapecalc.surgery.exports.attended import kept

CHANNELS, SIDE = 4, 2


class Net(Grown):
    """Attention in windows of 2×2, then in a grid of 2×2 places, as PyTorch's exporter writes them for one size."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        high, wide = size
        value = self.attention("windows", "x", size, (high // SIDE, SIDE, wide // SIDE, SIDE), False)
        value = self.attention("grid", value, size, (SIDE, high // SIDE, SIDE, wide // SIDE), True)
        self.proto = self.pooled(value, (1, CHANNELS, *size), 17)

    def attention(self, name: str, value: str, size: tuple[int, int], cut: tuple[int, ...], apart: bool) -> str:
        down, high, across, wide = cut
        cut_map = self.reshape(f"{name}_cut", value, 1, CHANNELS, *cut)
        turned = self.add(f"{name}_turned", "Transpose", cut_map, perm=[0, 2, 4, 3, 5, 1])
        rows = self.reshape(f"{name}_rows", turned, 1, down * across, high * wide, CHANNELS)
        if apart:
            rows = self.add(f"{name}_swapped", "Transpose", rows, perm=[0, 2, 1, 3])
        keys = self.add(f"{name}_keys", "Transpose", rows, perm=[0, 1, 3, 2])
        table = numpy.random.default_rng(len(name)).standard_normal((1, 1, SIDE**2, SIDE**2), numpy.float32)
        self.arrays[f"{name}_table"] = table
        scores = self.add(f"{name}_placed", "Add", self.add(f"{name}_scores", "MatMul", rows, keys), f"{name}_table")
        seen = self.add(f"{name}_seen", "MatMul", self.add(f"{name}_shares", "Softmax", scores, axis=-1), rows)
        if apart:
            seen = self.add(f"{name}_back", "Transpose", seen, perm=[0, 2, 1, 3])
        uncut = self.reshape(f"{name}_uncut", seen, 1, down, across, high, wide, CHANNELS)
        straight = self.add(f"{name}_straight", "Transpose", uncut, perm=[0, 5, 1, 3, 2, 4])
        return self.reshape(f"{name}_map", straight, 1, CHANNELS, *size)


@pytest.mark.parametrize("size", [(16, 16), (4, 4), (12, 12), (8, 16), (12, 20), (32, 8)])
def test_windows_and_grid_attend_to_as_many_places_as_before(tmp_path: Path, size: tuple[int, int]) -> None:
    onnx.save(Net((8, 8)).proto, tmp_path / "net.onnx")
    shapecalc.load(tmp_path / "net.onnx").retarget(input=size).save(tmp_path / "out.onnx", device="cpu")
    wanted, got = run(Net(size).proto, size), run(onnx.load(tmp_path / "out.onnx"), size)
    assert numpy.abs(got - wanted).max() < 1e-5 * numpy.abs(wanted).max()


def test_of_several_ways_those_that_keep_the_pair_are_taken() -> None:
    model = shapecalc.load(Net((8, 8)).proto)
    cut = model.trace().layer("grid_cut")
    ways = [(1, 4, 4, 4, 4, 4), (1, 4, 2, 8, 2, 8), (1, 4, 8, 2, 8, 2)]
    assert kept(ways, cut, (2, 4)) == [(1, 4, 2, 8, 2, 8)]
    assert kept(ways[:1], cut, (2, 4)) == ways[:1]
