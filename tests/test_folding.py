"""Tables that a net computes from where places lie: from distances, and from waves, at another size."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import numpy
import numpy.typing
import pytest

from shapecalc.coordinates import apart, told
from shapecalc.errors import RefusedError
from shapecalc.folding import folded
from shapecalc.resampling import over_offsets

Array = numpy.typing.NDArray[Any]
Size = tuple[int, int]

NOISE = numpy.random.default_rng(7)
HIDDEN, HEADS = NOISE.standard_normal((2, 5)), NOISE.standard_normal((5, 3))


def logarithmic(distance: Array, size: Size) -> Array:
    """As timm's nets take it."""
    return numpy.asarray(numpy.sign(distance) * numpy.log1p(abs(distance)))


def to_the_side(distance: Array, size: Size) -> Array:
    """As Swin V2 takes it: the farthest is 8."""
    far = 8 * distance / (numpy.array(size) - 1)
    return numpy.asarray(numpy.sign(far) * numpy.log2(1 + abs(far)) / log(8, 2))


def to_a_side_of_6(distance: Array, size: Size) -> Array:
    """As Swin V2 takes it, trained on windows of 6."""
    return to_the_side(distance, (6, 6))


def offsets(size: Size) -> Array:
    """(2·height-1, 2·width-1, 2)."""
    rows, columns = (numpy.arange(-side + 1, side) for side in size)
    return numpy.stack(numpy.meshgrid(rows, columns, indexing="ij"), axis=-1)


def bias(law: Callable[[Array, Size], Array], size: Size) -> Array:
    """(heads, places, places) that a small net makes of the distances."""
    hidden = numpy.maximum(law(apart(size), size) @ HIDDEN, 0)
    return numpy.asarray(numpy.moveaxis(hidden @ HEADS, -1, 0))


#: What the export holds for a 4×4 map: the steps behind the table of distances, the weights and the indices.
OF_OFFSETS = (
    ("MatMul", (0, 1), ()), ("Relu", (5,), ()), ("MatMul", (6, 2), ()), ("Reshape", (7, 3), ()),
    ("Gather", (8, 4), ()), ("Transpose", (9,), (("perm", (2, 0, 1)),)),
)  # fmt: skip
OF_PAIRS = (
    ("MatMul", (0, 1), ()), ("Relu", (4,), ()), ("MatMul", (5, 2), ()), ("Reshape", (6, 3), ()),
    ("Transpose", (7,), (("perm", (2, 0, 1)),)),
)  # fmt: skip
ROWS, COLUMNS = (apart((4, 4))[..., axis] + 3 for axis in (0, 1))


@pytest.mark.parametrize("now", [(5, 5), (3, 6), (7, 6)])
@pytest.mark.parametrize("law", [logarithmic, to_the_side, to_a_side_of_6])
def test_a_bias_of_distances_is_computed_and_not_interpolated(law: Callable[..., Array], now: Size) -> None:
    arguments = ((1, 2), (4, 4), now, 0)
    table = law(offsets((4, 4)), (4, 4)).astype(numpy.float32)
    by_offset = folded(
        table, HIDDEN, HEADS, numpy.array([-1, 3]), ROWS * 7 + COLUMNS, OF_OFFSETS, "computed relative", arguments
    )
    pairs = law(apart((4, 4)), (4, 4)).reshape(-1, 2).astype(numpy.float32)
    by_pair = folded(pairs, HIDDEN, HEADS, numpy.array([16, 16, 3]), OF_PAIRS, "computed relative", arguments)
    wanted = bias(law, now)
    assert numpy.abs(by_offset - wanted).max() < 1e-5
    assert numpy.abs(by_pair - wanted).max() < 1e-5
    assert numpy.abs(over_offsets(bias(law, (4, 4)), *arguments) - wanted).max() > 1e-2


def test_what_looks_like_distances_and_is_none_is_not_told() -> None:
    table = logarithmic(offsets((4, 4)), (4, 4))
    assert told(table, (4, 4)) is not None
    assert told(table + 0.01, (4, 4)) is None
    assert told(table[..., :1], (4, 4)) is None
    assert told(table, (3, 3)) is None


def test_a_bias_that_mixes_its_rows_is_refused() -> None:
    """What is summed over the offsets before it is looked up: no row makes its number alone."""
    table = logarithmic(offsets((4, 4)), (4, 4)).reshape(-1, 2)
    mixing = NOISE.standard_normal((49, 49))
    steps = (("MatMul", (1, 0), ()), ("Gather", (3, 2), ()), ("Transpose", (4,), (("perm", (2, 0, 1)),)))
    with pytest.raises(RefusedError, match="row by row"):
        folded(table, mixing, ROWS * 7 + COLUMNS, steps, "computed relative", ((1, 2), (4, 4), (5, 5), 0))


BANDS = numpy.array([1.0, 0.4, 1e-3])


def turned(size: Size) -> Array:
    """(1, channels, height, width): sines and cosines of the places from 1 on, in parts of a 4×4 map, as XCiT's."""
    waves = []
    for axis, side in enumerate(size):
        angle = (numpy.arange(side) + 1)[:, None] * 4 / side * BANDS
        shape = [1, 1, len(BANDS)]
        shape[axis] = side
        spread = [
            numpy.broadcast_to(wave(angle).reshape(shape), (*size, len(BANDS))) for wave in (numpy.sin, numpy.cos)
        ]
        waves += spread
    return numpy.moveaxis(numpy.concatenate(waves, axis=-1), -1, 0)[None].astype(numpy.float32)


def test_a_table_that_is_made_of_waves_behind_weights_is_computed() -> None:
    weight, bias = NOISE.standard_normal((5, 12, 1, 1)), NOISE.standard_normal(5)
    flat = (("Conv", (0, 1, 2), ()), ("Reshape", (4, 3), ()), ("Transpose", (5,), (("perm", (0, 2, 1)),)))
    target = numpy.array([0, 5, -1])
    for now in ((6, 6), (3, 8)):
        made = folded(turned((4, 4)), weight, bias, target, flat, "computed places", (1, (4, 4), now, 0))
        projected = numpy.einsum("nchw,oc->nhwo", turned(now), weight[..., 0, 0]) + bias
        assert numpy.abs(made - projected.reshape(1, -1, 5)).max() < 1e-4
    learned = NOISE.standard_normal((1, 12, 4, 4))
    with pytest.raises(RefusedError, match="no waves"):
        folded(learned, weight, bias, target, flat, "computed places", (1, (4, 4), (6, 6), 0))


@pytest.mark.parametrize(
    ("op", "given", "attrs", "wanted"),
    [
        ("Pad", ([[1, 2]], [0, 1, 0, 0]), {}, [[0, 1, 2]]),
        ("Slice", ([1, 2, 3, 4], [3], [-9], [0], [-2]), {}, [4, 2]),
        ("Slice", ([1, 2, 3, 4], [1], [9223372036854775807], [0]), {}, [2, 3, 4]),
        ("Expand", ([[1], [2]], [1, 2]), {}, [[1, 1], [2, 2]]),
        ("Tile", ([1, 2], [2]), {}, [1, 2, 1, 2]),
        ("CumSum", ([[1, 1], [1, 1]], 0), {}, [[1, 1], [2, 2]]),
        ("Range", (1, 7, 2), {}, [1, 3, 5]),
        ("Concat", ([1], [2]), {"axis": 0}, [1, 2]),
        ("Shape", ([[1, 2]],), {}, [1, 2]),
    ],
)
def test_operators_of_a_chain(op: str, given: tuple[Any, ...], attrs: dict[str, Any], wanted: Any) -> None:
    made = folded(*map(numpy.array, given), ((op, range(len(given)), tuple(attrs.items())),), "", ())
    assert made.tolist() == wanted


SQUARE, WHOLE = numpy.arange(6, dtype="float32").reshape(2, 3), numpy.array([-7, 7, -6], "int64")

#: An operator, its attributes, what it reads: each was computed otherwise than onnxruntime does, in silence.
STEPS: list[tuple[str, dict[str, Any], list[Array]]] = [
    ("ScatterElements", {"axis": 1}, [SQUARE, numpy.array([[0, 2]]), numpy.array([[8, 9]], "float32")]),
    ("ScatterElements", {}, [SQUARE, numpy.array([[1], [0]]), numpy.array([[8], [9]], "float32")]),
    ("ReduceSum", {"noop_with_empty_axes": 1}, [SQUARE]),
    ("ReduceSum", {"keepdims": 0}, [SQUARE.astype("int32"), numpy.array([1])]),
    ("Shape", {"start": 1}, [SQUARE]),
    ("Shape", {"end": -1}, [SQUARE]),
    ("CumSum", {}, [SQUARE.astype("int32"), numpy.array(1)]),
    ("Pow", {}, [SQUARE, numpy.array(2)]),
    ("Pow", {}, [abs(WHOLE), numpy.array(1.5, "float32")]),
    ("Div", {}, [WHOLE, numpy.array([2, -2, 3], "int64")]),
]


@pytest.mark.parametrize(("op", "attrs", "given"), STEPS)
def test_a_step_is_what_onnxruntime_computes(op: str, attrs: dict[str, Any], given: list[Array]) -> None:
    runtime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    names = [f"i{place}" for place in range(len(given))]
    fed = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, given, strict=True)
    ]
    node, end = onnx.helper.make_node(op, names, ["y"], **attrs), onnx.ValueInfoProto(name="y")
    made = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", fed, [end]), opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8
    )
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, dict(zip(names, given, strict=True)))
    found = folded(*given, ((op, tuple(range(len(given))), tuple(attrs.items())),), "", ())
    assert found.dtype == wanted.dtype
    numpy.testing.assert_array_equal(found, wanted)
