"""Windows whose biases are looked up by distance (TinyViT, EfficientViT), some as large as their map."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import pytest
from grown import Grown, run

import shapecalc
from shapecalc.resampling import distances, over_map
from shapecalc.surgery.coding import decode, encode
from shapecalc.surgery.exports.whole import AttendInWindows

CHANNELS, NATIVE = 6, 16
#: Windows of the maps that an image of 16×16 gives: the first is cut, the others are as large as their map.
PADS, SHRINKS = {16: 4, 8: 8, 4: 4}, {16: 4, 8: 8, 4: 4, 2: 4}
Size = tuple[int, int]


class Net(Grown):
    """Attention within windows of ever smaller maps, as PyTorch's exporter writes it for one size."""

    def __init__(self, size: Size, windows: dict[int, int], *, first: bool = False) -> None:
        super().__init__()
        self.first = first
        value = "x"
        for native, side in windows.items():
            high, wide = (n * native // NATIVE for n in size)
            if native < NATIVE:
                value = self.add(f"pool{native}", "AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
            made = min(side, native)
            now = min(side, high, wide) if windows is SHRINKS else side
            value = self.residual(f"block{native}", value, (high, wide), made, now)
        self.proto = self.pooled(value, (1, CHANNELS, *size), 17)

    def numbers(self, name: str, *row: int) -> str:
        return self.held(name, numpy.array(row, numpy.int64))

    def residual(self, name: str, value: str, size: Size, made: int, now: int) -> str:
        """A map and what attends to it: the sum has its channels ``first``, or last."""
        last = self.add(f"{name}_last", "Transpose", value, perm=[0, 2, 3, 1])
        seen = self.within(name, last, size, made, now)
        if self.first:
            return self.add(f"{name}_sum", "Add", value, self.add(f"{name}_f", "Transpose", seen, perm=[0, 3, 1, 2]))
        return self.add(f"{name}_f", "Transpose", self.add(f"{name}_sum", "Add", last, seen), perm=[0, 3, 1, 2])

    def within(self, name: str, value: str, size: Size, made: int, now: int) -> str:
        high, wide = size
        if size == (now, now):
            tokens = self.reshape(f"{name}_flat", value, 1, high * wide, CHANNELS)
            return self.reshape(f"{name}_map", self.attended(name, tokens, made, now), 1, high, wide, CHANNELS)
        rows, columns = -(-high // now), -(-wide // now)
        more = (rows * now - high, columns * now - wide)
        if any(more):
            value = self.add(f"{name}_padded", "Pad", value, self.numbers(f"{name}_pads", 0, 0, 0, 0, 0, *more, 0))
        cut = self.reshape(f"{name}_cut", value, 1, rows, now, columns, now, CHANNELS)
        turned = self.add(f"{name}_turned", "Transpose", cut, perm=[0, 1, 3, 2, 4, 5])
        tokens = self.reshape(f"{name}_windows", turned, rows * columns, now * now, CHANNELS)
        seen = self.reshape(
            f"{name}_uncut", self.attended(name, tokens, made, now), 1, rows, columns, now, now, CHANNELS
        )
        straight = self.add(f"{name}_straight", "Transpose", seen, perm=[0, 1, 3, 2, 4, 5])
        joined = self.reshape(f"{name}_map", straight, 1, rows * now, columns * now, CHANNELS)
        if not any(more):
            return joined
        ends = [self.numbers(f"{name}_{word}", *row) for word, row in (("s", (0, 0)), ("e", size), ("a", (1, 2)))]
        return self.add(f"{name}_trimmed", "Slice", joined, *ends)

    def attended(self, name: str, tokens: str, made: int, now: int) -> str:
        table = numpy.random.default_rng(made).standard_normal((1, made, made), numpy.float32)
        grown = over_map(table, 1, (made, made), (now, now)).reshape(1, -1)
        apart = self.held(f"{name}_apart", distances((now, now), (now, now)))
        bias = self.add(f"{name}_bias", "Gather", self.held(f"{name}_table", grown), apart, axis=1)
        scores = self.add(
            f"{name}_scores", "MatMul", tokens, self.add(f"{name}_k", "Transpose", tokens, perm=[0, 2, 1])
        )
        shares = self.add(f"{name}_shares", "Softmax", self.add(f"{name}_placed", "Add", scores, bias), axis=-1)
        return self.add(f"{name}_seen", "MatMul", shares, tokens)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    ("size", "windows"),
    [((8, 8), PADS), *((s, w) for s in ((16, 16), (20, 20), (32, 32), (16, 24), (40, 24)) for w in (PADS, SHRINKS))],
)
def test_a_window_as_large_as_its_map_is_a_window(
    tmp_path: Path, size: Size, windows: dict[int, int], first: bool
) -> None:
    onnx.save(Net((NATIVE, NATIVE), windows, first=first).proto, tmp_path / "net.onnx")
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(input=size)
    plan.save(tmp_path / "out.onnx", device="cpu")
    wanted = run(Net(size, windows, first=first).proto, size)
    got = run(onnx.load(tmp_path / "out.onnx"), size)
    assert numpy.abs(got - wanted).max() < 1e-5 * numpy.abs(wanted).max()
    assert [decode(encode(edit)) for edit in plan.edits] == plan.edits
    cut = [edit for edit in plan.edits if isinstance(edit, AttendInWindows)]
    assert any("looked up by distance" in line for line in plan.remarks()) == bool(cut)
