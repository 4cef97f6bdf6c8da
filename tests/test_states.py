"""Constants that follow the map: first states of recurrent layers, how far places lie apart, sides of a map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy
import onnx
import pytest
from grown import Grown, run
from onnx import numpy_helper

import shapecalc
from shapecalc.surgery.coding import decode, encode

CHANNELS, HIDDEN, NATIVE = 5, 3, (6, 6)
Size = tuple[int, int]


class Net(Grown):
    """A 1×1 convolution and what is put behind it, as PyTorch's exporter writes it for one size."""

    def __init__(self, size: Size, behind: Callable[[Net, str, Size], str]) -> None:
        super().__init__()
        value = self.add("conv", "Conv", "x", self.weight("conv_w", CHANNELS, CHANNELS, 1, 1))
        self.proto = self.pooled(behind(self, value, size), (1, CHANNELS, *size), 18)

    def weight(self, name: str, *shape: int) -> str:
        return self.held(name, numpy.random.default_rng(len(name)).standard_normal(shape, numpy.float32))


def recurrent(net: Net, value: str, size: Size) -> str:
    """Along each row, then down each column; the first states are zeros of so many sequences."""
    high, wide = size
    rows = net.reshape("rows", net.add("last", "Transpose", value, perm=[0, 2, 3, 1]), high, wide, CHANNELS)
    across = net.add("across", "Transpose", rows, perm=[1, 0, 2])
    weights = [net.weight("w", 1, 4 * HIDDEN, CHANNELS), net.weight("rr", 1, 4 * HIDDEN, HIDDEN)]
    states = [net.held(f"state{place}", numpy.zeros((1, high, HIDDEN), numpy.float32)) for place in (0, 1)]
    net.add("lstm", "LSTM", across, *weights, "", "", *states, hidden_size=HIDDEN)
    net.held("one", numpy.array([1], numpy.int64))
    columns = net.add("down", "Transpose", net.add("seen", "Squeeze", "lstm", "one"), perm=[1, 0, 2])
    zeros = net.held("zeros", numpy.zeros((1, wide, HIDDEN), numpy.float32))
    shape = net.add(
        "shape", "Concat", "one", net.add("n", "Gather", net.add("s", "Shape", columns), "one"), "h", axis=0
    )
    net.held("h", numpy.array([HIDDEN], numpy.int64))
    state = net.add("spread", "Expand", zeros, shape)
    net.add("gru", "GRU", columns, net.weight("gw", 1, 9, HIDDEN), net.weight("gr", 1, 9, HIDDEN), "", "", state,
            hidden_size=HIDDEN)  # fmt: skip
    squeezed = net.add("told", "Squeeze", "gru", "one")
    return net.add("first", "Transpose", net.reshape("map", squeezed, 1, high, wide, HIDDEN), perm=[0, 3, 1, 2])


def positional(net: Net, value: str, size: Size) -> str:
    """Each place sees the others by how far they lie apart (ConViT)."""
    high, wide = size
    places = high * wide
    tokens = net.add("tokens", "Transpose", net.reshape("flat", value, 1, CHANNELS, places), perm=[0, 2, 1])
    at = numpy.array([(row, column) for row in range(high) for column in range(wide)])
    down, across = ((at[None, :, axis] - at[:, None, axis]).astype(numpy.float32) for axis in (0, 1))
    table = net.held("apart", numpy.stack([across, down, across**2 + down**2], -1)[None])
    told = net.add("told", "MatMul", table, net.held("w", numpy.array([[0.1], [-0.2], [-0.05]], numpy.float32)))
    shares = net.add("shares", "Softmax", net.add("heads", "Transpose", told, perm=[0, 3, 1, 2]), axis=-1)
    keys = net.add("keys", "Transpose", tokens, perm=[0, 2, 1])
    scores = net.reshape("scores", net.add("alike", "MatMul", tokens, keys), 1, 1, places, places)
    both = net.add("both", "Add", net.add("own", "Softmax", scores, axis=-1), shares)
    seen = net.add("seen", "MatMul", net.reshape("one_head", both, 1, places, places), tokens)
    return net.reshape("map", net.add("back", "Transpose", seen, perm=[0, 2, 1]), 1, CHANNELS, high, wide)


def laid(net: Net, value: str, size: Size) -> str:
    """Patches of 3×3 laid on the map (VOLO)."""
    wide = net.add("wide", "Conv", value, net.weight("wide_w", 9 * CHANNELS, CHANNELS, 1, 1))
    columns = net.reshape("columns", wide, 1, 9 * CHANNELS, size[0] * size[1])
    sides = [net.held(f"s{at}", numpy.array(row, numpy.int64)) for at, row in enumerate((size, (3, 3)))]
    return net.add("laid", "Col2Im", columns, *sides, pads=[1, 1, 1, 1])


def placed(net: Net, value: str, size: Size) -> str:
    """A table of one number for each place and channel, constant along each line: what interpolates to itself."""
    table = numpy.arange(CHANNELS, dtype=numpy.float32).reshape(1, CHANNELS, 1, 1)
    return net.add("sum", "Mul", value, net.held("table", numpy.tile(table, (1, 1, *size))))


def unmasked(net: Net, value: str, size: Size) -> str:
    """A mask that hides nothing, of as many places as there are."""
    flat = net.reshape("flat", value, 1, CHANNELS, size[0] * size[1])
    alike = net.add("alike", "MatMul", net.add("turned", "Transpose", flat, perm=[0, 2, 1]), flat)
    mask = net.held("mask", numpy.zeros((1, size[0] * size[1], size[0] * size[1]), numpy.float32))
    shares = net.add("shares", "Softmax", net.add("masked", "Add", alike, mask), axis=-1)
    return net.reshape("map", net.add("seen", "MatMul", flat, shares), 1, CHANNELS, *size)


def scaled_up(net: Net, value: str, size: Size) -> str:
    """A pooled map scaled to the map it comes from: 5 rows and 6 are both pooled to 2."""
    low = net.add("low", "AveragePool", value, kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1)
    sizes = net.held("sizes", numpy.array((1, CHANNELS, *size), numpy.int64))
    return net.add("sum", "Mul", value, net.add("up", "Resize", low, "", "", sizes, mode="linear"))


@pytest.mark.parametrize("behind", [recurrent, positional, laid, placed, unmasked, scaled_up])
@pytest.mark.parametrize("size", [(8, 8), (4, 4), (5, 9), (12, 7), (6, 9), (9, 6)])
def test_constants_follow_the_map(tmp_path: Path, behind: Callable[[Net, str, Size], str], size: Size) -> None:
    onnx.save(Net(NATIVE, behind).proto, tmp_path / "net.onnx")
    plan = shapecalc.load(tmp_path / "net.onnx").retarget(input=size)
    plan.save(tmp_path / "out.onnx", device="cpu")
    wanted, got = run(Net(size, behind).proto, size), run(onnx.load(tmp_path / "out.onnx"), size)
    assert numpy.abs(got - wanted).max() < 1e-5 * numpy.abs(wanted).max()
    assert [decode(encode(edit)) for edit in plan.edits] == plan.edits


@pytest.mark.parametrize(("behind", "held", "number"), [(recurrent, "state0", 0.5), (positional, "apart", 7.0)])
def test_other_numbers_do_not_follow(
    tmp_path: Path, behind: Callable[[Net, str, Size], str], held: str, number: float
) -> None:
    proto = Net(NATIVE, behind).proto
    array = next(array for array in proto.graph.initializer if array.name == held)
    changed = numpy_helper.to_array(array).copy()
    changed.reshape(-1)[1] = number
    array.CopyFrom(numpy_helper.from_array(changed, held))
    onnx.save(proto, tmp_path / "net.onnx")
    with pytest.raises(shapecalc.RefusedError):
        shapecalc.load(tmp_path / "net.onnx").retarget(input=8).save(tmp_path / "out.onnx", device="cpu")
