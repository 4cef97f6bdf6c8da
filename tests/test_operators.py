"""The contract of operator rows: each has a worked case and agrees over ints, arrays and symbols.

A case is a node, its input shapes and the shapes its definition gives: the ONNX specification, or a framework's source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
import pytest

from shapecalc import dims
from shapecalc.dialects import get_dialect
from shapecalc.graph import Node, Tensor
from shapecalc.ops import Call, Operator, Scope, all_rows, find
from shapecalc.ops.base import register
from shapecalc.ops.elementwise import COMPARISONS, JOINS, UNARY

IMAGE = (1, 8, 12, 10)


class Case(NamedTuple):
    """One worked example of a row."""

    op: str
    inputs: tuple[Any, ...]  # shapes, or Tensors where contents matter
    attrs: dict[str, Any]
    outputs: tuple[Any, ...]
    domain: str = ""


def ints(*values: int) -> Tensor:
    return Tensor((len(values),), "int64", tuple(values))


def pooled(**attrs: Any) -> dict[str, Any]:
    return {"kernel_shape": (3, 3), "strides": (2, 2), **attrs}


REDUCTIONS = (
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare"
).split()

CASES = [
    *(Case(op, (IMAGE,), {}, (IMAGE,)) for op in [*UNARY, "Identity", "Dropout", "Softmax", "LogSoftmax", "Power"]),
    *(Case(op, (IMAGE, (8, 1, 1)), {}, (IMAGE,)) for op in [*JOINS, *COMPARISONS]),
    *(Case(op, (IMAGE,), {"axes": (2, 3)}, ((1, 8, 1, 1),)) for op in REDUCTIONS),
    Case("Where", (IMAGE, (10,), (8, 1, 1)), {}, (IMAGE,)),
    Case("Conv", (IMAGE, (4, 8, 3, 3), (4,)), {"strides": (2, 2), "pads": (1, 1, 1, 1)}, ((1, 4, 6, 5),)),
    Case("ConvTranspose", (IMAGE, (8, 4, 4, 4)), {"strides": (2, 2), "pads": (1, 1, 1, 1)}, ((1, 4, 24, 20),)),
    Case("MaxPool", (IMAGE,), pooled(), ((1, 8, 5, 4),)),
    Case("MaxPool", (IMAGE,), pooled(ceil_mode=1), ((1, 8, 6, 5),)),
    Case("MaxPool", (IMAGE,), pooled(global_pooling=1), ((1, 8, 1, 1),)),
    Case("AveragePool", (IMAGE,), pooled(pads=(1, 1, 1, 1)), ((1, 8, 6, 5),)),
    Case("LpPool", (IMAGE,), pooled(), ((1, 8, 5, 4),)),
    *(Case(f"Global{kind}Pool", (IMAGE,), {}, ((1, 8, 1, 1),)) for kind in ("Average", "Max", "Lp")),
    Case("Gemm", (IMAGE, (5, 960), (5,)), {"axis": 1, "transB": 1}, ((1, 5),)),
    Case("Gemm", ((3, 7), (7, 5)), {}, ((3, 5),)),
    Case("MatMul", ((2, 1, 3, 7), (4, 7, 5)), {}, ((2, 4, 3, 5),)),
    Case("LRN", (IMAGE,), {"size": 5}, (IMAGE,)),
    Case("BatchNormalization", (IMAGE, (8,), (8,), (8,), (8,)), {}, (IMAGE,)),
    Case("LayerNormalization", (IMAGE, (10,), (10,)), {}, (IMAGE, (1, 8, 12, 1), (1, 8, 12, 1))),
    Case("InstanceNormalization", (IMAGE, (8,), (8,)), {}, (IMAGE,)),
    Case("GroupNormalization", (IMAGE, (8,), (8,)), {"num_groups": 4}, (IMAGE,)),
    Case("Conv", ((1, 12, 10, 8), (3, 3, 8, 6)), {"layout": "NHWC", "weight_order": "HWIO"}, ((1, 10, 8, 6),)),
    Case(
        "Conv",
        ((1, 12, 10, 8), (3, 3, 8, 2)),
        {"layout": "NHWC", "weight_order": "HWIM", "depth_multiplier": 2},
        ((1, 10, 8, 16),),
    ),
    Case("GlobalMaxPool", (IMAGE,), {"keepdims": 0}, ((1, 8),)),
    Case("BatchNormalization", (IMAGE, *[(10,)] * 4), {"axis": -1}, (IMAGE,)),
    Case("Pad", (IMAGE,), {"pads": (0, 0, 1, -2, 0, 0, 1, -3)}, ((1, 8, 14, 5),)),
    Case("Add", (IMAGE, (1, 10)), {"batch_first": 1}, (IMAGE,)),
    Case("Scale", (IMAGE, (8,), (8,)), {}, (IMAGE,)),
    Case("PRelu", (IMAGE, (8,)), {"per_channel": 1}, (IMAGE,)),
    *(Case(op, (IMAGE,), {"axis": 1, "keepdims": 0}, ((1, 12, 10),)) for op in ("ArgMax", "ArgMin")),
    Case("Flatten", (IMAGE,), {}, ((1, 960),)),
    Case("Flatten", (IMAGE,), {"axis": 1, "end_axis": 2}, ((1, 96, 10),)),
    Case("Reshape", (IMAGE, ints(0, -1, 10)), {}, ((1, 96, 10),)),
    Case("Transpose", (IMAGE,), {"perm": (0, 2, 3, 1)}, ((1, 12, 10, 8),)),
    Case("Squeeze", (IMAGE, ints(0)), {}, ((8, 12, 10),)),
    Case("Unsqueeze", (IMAGE, ints(-1)), {}, ((1, 8, 12, 10, 1),)),
    Case("Concat", (IMAGE, (1, 4, 12, 10)), {"axis": 1}, ((1, 12, 12, 10),)),
    Case("Split", (IMAGE, ints(3, 5)), {"axis": 1}, ((1, 3, 12, 10), (1, 5, 12, 10))),
    Case("Slice", (IMAGE, ints(1, -4), ints(8, 1000), ints(1, 3), ints(2, 1)), {}, ((1, 4, 12, 4),)),
    Case("Pad", (IMAGE, ints(0, 0, 1, 2, 0, 0, 3, 0)), {}, ((1, 8, 16, 12),)),
    Case("Shape", (IMAGE,), {}, ((4,),)),
    Case("Gather", (IMAGE, ints(0, 2)), {"axis": 2}, ((1, 8, 2, 10),)),
    Case("Constant", (), {"value": Tensor((2, 3), "float32")}, ((2, 3),)),
    Case("ConstantOfShape", (ints(2, 3),), {}, ((2, 3),)),
    Case("Cast", (IMAGE,), {"to": "int64"}, (IMAGE,)),
    Case("Expand", ((8, 1, 1), ints(2, 1, 4, 5)), {}, ((2, 8, 4, 5),)),
    Case("Tile", (IMAGE, ints(1, 2, 1, 1)), {}, ((1, 16, 12, 10),)),
    Case("SoftmaxCrossEntropyLoss", ((4, 10), (4,)), {}, ((),)),
    Case("Loss", ((4, 10), (4,)), {}, ((),)),
    Case("Accuracy", ((4, 10), (4,)), {}, ((),)),
    Case("Silence", (IMAGE,), {}, ()),
    Case("Input", (IMAGE,), {}, (IMAGE,)),
]


def tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(tuple(value), "float32")


def called(case: Case, inputs: Sequence[Tensor | None], dialect: str = "onnx") -> Call:
    node = Node(
        "n", case.op, [f"i{i}" for i in range(len(inputs))], [f"o{i}" for i in range(len(case.outputs))], case.attrs
    )
    return Call(node, inputs, Scope(get_dialect(dialect), givers=dict.fromkeys(node.inputs, "giver")))


def row_of(case: Case) -> Operator:
    row = find(case.op, case.domain)
    assert row is not None, case.op
    return row


def names(case: Case) -> str:
    return f"{case.op}-{'-'.join(map(str, case.attrs))}"


@pytest.mark.parametrize("case", CASES, ids=names)
def test_shapes_are_those_of_the_case(case: Case) -> None:
    call = called(case, [tensor(value) for value in case.inputs])
    row = row_of(case)
    needs = list(row.needs(call)) if row.needs is not None else []
    assert not any(dims.failed(need.verdict) for need in needs)
    assert tuple(row.shapes(call)) == case.outputs


@pytest.mark.parametrize("case", [case for case in CASES if case.inputs and case.inputs[0] == IMAGE], ids=names)
def test_one_rule_for_a_number_an_array_and_a_symbol(case: Case) -> None:
    row = row_of(case)
    if case.op == "Gemm":
        pytest.skip("its weight fixes the size")
    rest = [tensor(value) for value in case.inputs[1:]]
    heights = numpy.array([12, 14, 20])
    arrays = row.shapes(called(case, [Tensor((1, 8, heights, 10)), *rest]))
    symbolic = row.shapes(called(case, [Tensor((1, 8, dims.symbol("H"), 10)), *rest]))
    for index, height in enumerate(heights.tolist()):
        numbers = row.shapes(called(case, [Tensor((1, 8, height, 10)), *rest]))
        for shape, array, expression in zip(numbers, arrays, symbolic, strict=True):
            assert isinstance(array, tuple)
            assert isinstance(expression, tuple)
            assert tuple(numpy.broadcast_to(d, 3)[index] for d in array) == shape
            assert tuple(dims.substitute(d, {"H": height}) for d in expression) == shape


def test_every_row_has_a_case_or_its_own_test() -> None:
    from test_operators_onnx import CASES as ONNX_CASES

    covered = {(case.domain, case.op) for case in [*CASES, *ONNX_CASES]}
    ours = {key for key, row in all_rows().items() if key[0] not in OWN_TESTS and row.tensors is None}
    assert ours - covered == set()


#: Domains whose cases stand in the tests of the format that brings them. Rows of whole tensors are in test_control.
OWN_TESTS = {"caffe", "chainer", "keras"}


@pytest.mark.parametrize("row", all_rows().values(), ids=lambda row: str(row.name))
def test_every_row_names_its_source(row: Operator) -> None:
    assert row.source


def test_a_row_stands_once() -> None:
    with pytest.raises(ValueError, match="'Conv' is registered twice"):
        register(Operator("Conv", lambda call: []))


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "code", "message"),
    [
        ("Conv", [IMAGE, (4, 3, 3, 3)], {}, "E102", "n expects 3 channels, giver gives 8"),
        ("Conv", [(1, 8, 2, 10), (4, 8, 5, 5)], {}, "E103", "n: kernel 5 is larger than its input of height 2"),
        ("Conv", [IMAGE, (6, 2, 1, 1)], {"group": 4}, "E104", "n: 6 outputs do not divide into 4 groups"),
        ("Gemm", [IMAGE, (5, 900)], {"axis": 1, "transB": 1}, "E101", "n expects 900 inputs, giver gives 960"),
        ("Gemm", [IMAGE, (5, 960)], {"transB": 1}, "E108", "n takes a tensor of 2 dimensions, giver gives 4"),
        (
            "Concat",
            [IMAGE, (1, 8, 11, 10)],
            {"axis": 1},
            "E105",
            "n joins 1×8×12×10 from giver with 1×8×11×10 from giver along axis 1",
        ),
        ("Add", [IMAGE, (1, 8, 11, 10)], {}, "E105", "n joins 1×8×12×10 from giver with 1×8×11×10 from giver"),
        (
            "MatMul",
            [(4, 4, 9, 3), (1, 16, 3, 9)],
            {},
            "E105",
            "n multiplies 4×4 matrices from giver with 1×16 matrices from giver",
        ),
        ("Reshape", [IMAGE, ints(1, 900)], {}, "E106", "n cannot put 1×8×12×10 from giver into [1, 900]"),
        ("BatchNormalization", [IMAGE, *[(4,)] * 4], {}, "E102", "n expects 4 channels, giver gives 8"),
        ("MaxPool", [(1, 8, 2, 2)], pooled(), "E103", "n: kernel 3 is larger than its input of size 2"),
        ("Squeeze", [IMAGE, ints(2)], {}, "E106", "n drops axis 2, which must be of size 1: giver gives 1×8×12×10"),
        ("TopK", [IMAGE, ints(11)], {}, "E109", "n takes the 11 largest of 10 that giver gives"),
        ("TopK", [IMAGE], {"k": 13, "axis": 2}, "E109", "n takes the 13 largest of 12 that giver gives"),
        (
            "Col2Im",
            [(1, 12, 16), ints(8, 10), ints(2, 2)],
            {"strides": [2, 2]},
            "E106",
            "n lays 20 blocks on 8×10, giver gives 16",
        ),
        (
            "Col2Im",
            [(1, 36, 20), ints(8, 10), ints(3, 3)],
            {"strides": [2, 2], "pads": [1, 1, 1, 1], "dilations": [2, 2]},
            "E106",
            "n lays 12 blocks on 8×10, giver gives 20",
        ),
        (
            "LayerNormalization",
            [IMAGE, (12, 10), (12, 9)],
            {"axis": 2},
            "E105",
            "n normalizes 12×10 from giver with weights of 12×9",
        ),
    ],
)
def test_what_does_not_fit_is_said_whole(
    op: str, inputs: list[Any], attrs: dict[str, Any], code: str, message: str
) -> None:
    call = called(Case(op, (), attrs, ((),)), [tensor(value) for value in inputs])
    row = find(op)
    assert row is not None
    assert row.needs is not None
    first = next(need for need in row.needs(call) if dims.failed(need.verdict))
    assert (first.code, first.words().message) == (code, message)
