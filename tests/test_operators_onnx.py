"""Rows of ONNX's operators beyond those of classification nets: worked cases from the specification's texts."""

from __future__ import annotations

from typing import Any

import pytest
from test_operators import IMAGE, Case, called, ints, names, row_of, tensor

from shapecalc import dims
from shapecalc.graph import Tensor


def floats(*values: float) -> Tensor:
    return Tensor((len(values),), "float32", values)


def scalar(value: int | float) -> Tensor:
    return Tensor((), "int64" if isinstance(value, int) else "float32", (value,))


RESIZED = [
    Case("Resize", (IMAGE, (), floats(1, 1, 2, 2.5)), {}, ((1, 8, 24, 25),)),
    Case("Resize", (IMAGE, floats(1, 1, 0.7, 0.3)), {}, ((1, 8, 8, 3),)),
    Case("Resize", (IMAGE, (), (0,), ints(1, 8, 7, 9)), {}, ((1, 8, 7, 9),)),
    Case("Resize", (IMAGE, (), floats(2), (0,)), {"axes": (-1,)}, ((1, 8, 12, 20),)),
    Case("Upsample", (IMAGE, floats(1, 1, 2, 3)), {}, ((1, 8, 24, 30),)),
    Case("Upsample", (IMAGE,), {"scales": (1.0, 1.0, 2.0, 3.0)}, ((1, 8, 24, 30),)),
    Case("Upsample", (IMAGE,), {"height_scale": 2.0, "width_scale": 1.5}, ((1, 8, 24, 15),)),
    Case("DepthToSpace", (IMAGE,), {"blocksize": 2}, ((1, 2, 24, 20),)),
    Case("SpaceToDepth", (IMAGE,), {"blocksize": 2}, ((1, 32, 6, 5),)),
    Case("CenterCropPad", (IMAGE, ints(20, 6)), {"axes": (2, 3)}, ((1, 8, 20, 6),)),
]
COUNTED = [
    Case("Range", (scalar(10), scalar(4), scalar(-2)), {}, ((3,),)),
    Case("Range", (scalar(0.0), scalar(1.0), scalar(0.3)), {}, ((4,),)),
    *(Case(op, (IMAGE,), {}, (IMAGE,)) for op in ("CumSum", "CumProd", "Trilu", "EyeLike")),
    Case("TopK", (IMAGE, ints(3)), {"axis": 1}, ((1, 3, 12, 10), (1, 3, 12, 10))),
    Case("NonZero", (ints(1, 0, 2),), {}, ((1, 2),)),
    Case("NonZero", ((3, 4),), {}, ((2, "o0[1]"),)),
    Case("Unique", (ints(2, 1, 1),), {}, ((2,), (2,), (3,), (2,))),
    Case("Unique", ((3, 4),), {"axis": 1}, ((3, "o0[1]"), ("o0[1]",), (4,), ("o0[1]",))),
    Case("NonMaxSuppression", ((1, 100, 4), (1, 20, 100), ints(10)), {}, (("o0[0]", 3),)),
    Case("NonMaxSuppression", ((1, 100, 4), (1, 20, 100)), {}, ((0, 3),)),
    Case("Compress", (IMAGE, ints(0, 1, 1)), {"axis": 2}, ((1, 8, 2, 10),)),
    Case("Compress", (IMAGE, (3,)), {}, (("o0[0]",),)),
    Case("OneHot", ((3, 4), scalar(7), (2,)), {}, ((3, 4, 7),)),
    Case("OneHot", ((3, 4), scalar(7), (2,)), {"axis": 0}, ((7, 3, 4),)),
]
INDEXED = [
    Case("GatherElements", (IMAGE, (1, 2, 3, 4)), {"axis": 1}, ((1, 2, 3, 4),)),
    Case("GatherND", ((4, 5, 6, 7), (3, 2)), {}, ((3, 6, 7),)),
    Case("GatherND", ((4, 5, 6, 7), (4, 3, 1)), {"batch_dims": 1}, ((4, 3, 6, 7),)),
    *(Case(op, (IMAGE, (1, 2, 3, 4), (1, 2, 3, 4)), {}, (IMAGE,)) for op in ("Scatter", "ScatterElements")),
    Case("ScatterND", (IMAGE, (2, 1), (2, 8, 12, 10)), {}, (IMAGE,)),
    Case("TensorScatter", ((2, 8, 100, 64), (2, 8, 1, 64), ints(3, 5)), {}, ((2, 8, 100, 64),)),
]
TYPED = [
    *(Case(op, (IMAGE, (2, 2)), {"to": "float32"}, (IMAGE,)) for op in ("CastLike", "BitCast")),
    Case("Size", (IMAGE,), {}, ((),)),
]
CASES = [*RESIZED, *COUNTED, *INDEXED, *TYPED]


def spelled(shape: Any) -> Any:
    """A shape with its symbols as text."""
    return tuple(d if isinstance(d, int) else str(d) for d in shape) if isinstance(shape, tuple) else shape


@pytest.mark.parametrize("case", CASES, ids=names)
def test_shapes_are_those_of_the_case(case: Case) -> None:
    call = called(case, [tensor(value) for value in case.inputs])
    row = row_of(case)
    needs = list(row.needs(call)) if row.needs is not None else []
    assert not any(dims.failed(need.verdict) for need in needs)
    assert tuple(map(spelled, row.shapes(call))) == case.outputs
