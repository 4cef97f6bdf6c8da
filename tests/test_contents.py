"""Contents of small integer tensors when elements are picked or reordered: numpy is the oracle."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecalc.dialects import get_dialect
from shapecalc.dims import Unknown, symbol
from shapecalc.graph import Node, Tensor
from shapecalc.ops import Call, Scope, find
from shapecalc.ops.contents import cast, of_reduction, picked, transposed

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


@given(shapes, st.data())
def test_picking_is_numpys_take(shape: tuple[int, ...], draw: st.DataObject) -> None:
    axis = draw.draw(st.integers(-len(shape), len(shape) - 1))
    indices = draw.draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), max_size=5))
    array = numpy.arange(math.prod(shape)).reshape(shape)
    expected = array.take(numpy.array(indices, int), axis).ravel().tolist()
    assert picked(tuple(array.ravel().tolist()), shape, axis, indices) == tuple(expected)


@given(shapes, st.data())
def test_transposing_is_numpys(shape: tuple[int, ...], draw: st.DataObject) -> None:
    order = draw.draw(st.permutations(range(len(shape))))
    array = numpy.arange(math.prod(shape)).reshape(shape)
    expected = array.transpose(order).ravel().tolist()
    assert transposed(tuple(array.ravel().tolist()), shape, tuple(order)) == tuple(expected)


def test_what_is_not_known_stays_unknown() -> None:
    assert picked((1, 2), (symbol("N"),), 0, [0]) is None
    assert picked((1, 2), (2,), 0, [2]) is None
    assert transposed((1, 2), (symbol("N"),), (0,)) is None
    (unknown,) = cast((math.inf,), "int64") or ()
    assert isinstance(unknown, Unknown)


def test_a_float_is_cut_toward_zero_and_a_symbol_stays() -> None:
    n = symbol("N")
    assert cast((1.9, -1.9, n), "int32") == (1, -1, n)
    assert cast((1.5,), "float32") == (1.5,)
    assert cast((1.9,), "float32") == (1.899999976158142,)


REDUCTIONS: dict[str, Any] = {
    "ReduceMax": numpy.max,
    "ReduceMin": numpy.min,
    "ReduceSum": numpy.sum,
    "ReduceProd": numpy.prod,
}


@given(st.sampled_from(sorted(REDUCTIONS)), shapes, st.data())
def test_reducing_is_numpys(op: str, shape: tuple[int, ...], draw: st.DataObject) -> None:
    axes = draw.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True).map(sorted))
    values = draw.draw(st.lists(st.integers(-5, 5), min_size=math.prod(shape), max_size=math.prod(shape)))
    expected = REDUCTIONS[op](numpy.array(values).reshape(shape), axis=tuple(axes)).ravel().tolist()
    assert of_reduction(reduced(op, Tensor(shape, "int64", tuple(values))), axes) == tuple(expected)


@pytest.mark.parametrize(
    ("op", "values", "expected"),
    [("ReduceMax", (96.0, 128.0, 64.0), (128.0,)), ("ReduceSum", (0.1, 0.2), (0.30000001192092896,)),
     ("ReduceSum", (0.1, 0.2, 0.3), None), ("ReduceMean", (1.0, 2.0), None)],
)  # fmt: skip
def test_floats_are_reduced_where_no_order_changes_the_sum(op: str, values: tuple[float, ...], expected: Any) -> None:
    assert of_reduction(reduced(op, Tensor((len(values),), "float32", cast(values, "float32"))), [0]) == expected


def reduced(op: str, tensor: Tensor) -> Call:
    return Call(Node("r", op, ("x",), ("y",)), [tensor], Scope(get_dialect("onnx")))


def known(op: str, attrs: dict[str, Any], *tensors: Tensor) -> Call:
    names = tuple(f"x{i}" for i in range(len(tensors)))
    return Call(Node("r", op, names, ("y", "z"), attrs), list(tensors), Scope(get_dialect("onnx")))


def whole(*values: int) -> Tensor:
    return Tensor((len(values),), "int64", values)


@given(shapes, st.data())
def test_slicing_is_numpys(shape: tuple[int, ...], draw: st.DataObject) -> None:
    axes = draw.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    bounds = st.integers(-6, 6)
    starts, ends = (draw.draw(st.lists(bounds, min_size=len(axes), max_size=len(axes))) for _ in "se")
    steps = draw.draw(st.lists(st.sampled_from([-2, -1, 1, 2]), min_size=len(axes), max_size=len(axes)))
    array = numpy.arange(math.prod(shape)).reshape(shape)
    cut: list[slice] = [slice(None)] * len(shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # ONNX clamps what lies before the first place; numpy counts it from the end once more
        last = None if step < 0 and end < -shape[axis] else end
        cut[axis] = slice(max(start, -shape[axis]), last, step)
    data = Tensor(shape, "int64", tuple(array.ravel().tolist()))
    call = known("Slice", {}, data, whole(*starts), whole(*ends), whole(*axes), whole(*steps))
    assert contents_of(call) == tuple(array[tuple(cut)].ravel().tolist())


@given(shapes, st.data())
def test_splitting_is_numpys(shape: tuple[int, ...], draw: st.DataObject) -> None:
    axis = draw.draw(st.integers(0, len(shape) - 1))
    first = draw.draw(st.integers(0, shape[axis]))
    array = numpy.arange(math.prod(shape)).reshape(shape)
    data = Tensor(shape, "int64", tuple(array.ravel().tolist()))
    call = known("Split", {"axis": axis}, data, whole(first, shape[axis] - first))
    assert contents_of(call) == [tuple(part.ravel().tolist()) for part in numpy.split(array, [first], axis)]


@pytest.mark.parametrize("parts", [Tensor((2,), "int64"), Tensor((2,), "int64", (symbol("N"), 1))])
def test_parts_that_are_not_known_have_no_contents(parts: Tensor) -> None:
    assert contents_of(known("Split", {"axis": 0}, whole(1, 2), parts)) is None


def contents_of(call: Call) -> Any:
    row = find(call.node.op)
    assert row is not None
    assert row.contents is not None
    return row.contents(call)
