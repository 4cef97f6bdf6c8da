"""What is said of weights and constants that an exporter wrote down for one input size."""

from __future__ import annotations

from typing import Any

import numpy
import onnx.parser
import pytest
from onnx import numpy_helper

import shapecalc
from shapecalc.ops.baked import squares
from shapecalc.problem import Baked
from shapecalc.report.words import alike

HEAD = '<ir_version: 8, opset_import: ["" : 18]>\n'


def problem(body: str, shape: str = "n, 3, 256") -> tuple[str, str, str, str]:
    """(message, expected, actual, hint) of the one problem of a model with input x."""
    made = onnx.parser.parse_model(f"{HEAD}g (float[{shape}] x) => (float y) {{{body}}}")
    for name, weight in (("pos", (1, 3, 196)), ("mix", (196, 196))):
        made.graph.initializer.append(numpy_helper.from_array(numpy.zeros(weight, numpy.float32), name))
    (found,) = shapecalc.load(made).trace().problems
    return found.message, found.expected, found.actual, found.hint


def test_a_join_with_a_weight_names_the_weight_and_its_places() -> None:
    assert problem("y = Add (x, pos)") == (
        "Add_0 joins n×3×256 from x with 1×3×196 from pos",
        "1×3×196",
        "n×3×256",
        "the input size that pos was made for: it is a weight of 14×14 places, fixed at export; "
        "or pos interpolated to 16×16",
    )


def test_a_weight_behind_other_layers_is_found() -> None:
    assert "pos was made for" in problem("p = Relu (pos) y = Add (p, x)")[3]


def test_two_branches_of_the_input_are_no_weights() -> None:
    body = "t = Transpose <perm = [0, 2, 1]> (x) y = Add (t, x)"
    assert problem(body)[3] == "sizes at which both branches round alike"


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (
            "t = Constant <value_ints = [-1, 3, 14, 14]> () y = Reshape (x, t)",
            "the input size at export: [-1, 3, 14, 14] is a constant of the file (Constant_0), whatever goes in",
        ),
        (
            "n = Shape <end = 1> (x) c = Constant <value_ints = [3]> () p = Constant <value_ints = [196]> () "
            "t = Concat <axis = 0> (n, c, p) y = Reshape (x, t)",
            "the input size at export: 3 and 196 in [n, 3, 196] is fixed in the file, whatever goes in",
        ),
    ],
)
def test_a_target_that_was_written_down_is_named(body: str, hint: str) -> None:
    assert problem(body)[3] == hint


def test_a_target_that_follows_the_input_is_no_constant() -> None:
    body = "m = Shape <start = 2> (x) s = Concat <axis = 0> (m, m) y = Reshape (x, s)"
    assert problem(body, "1, 3, 256")[3] == ""


def test_a_matrix_that_mixes_places_says_how_many() -> None:
    assert (
        problem("y = MatMul (x, mix)")[3] == "the input size that mix was made for: it mixes 14×14 places, 16×16 come"
    )


def test_a_free_batch_cannot_take_what_does_not_divide() -> None:
    """[-1, 3, 14, 14] of n·768 elements works for no single item, though it does for 49."""
    message, expected, actual, _ = problem("t = Constant <value_ints = [-1, 3, 14, 14]> () y = Reshape (x, t)")
    assert message == "Reshape_1 cannot put n×3×256 from x into [-1, 3, 14, 14]"
    assert (expected, actual) == ("a multiple of 588", "768*n = n·3·256")


@pytest.mark.parametrize(
    ("size", "other", "expected"),
    [
        (196, 256, ("14×14", "16×16")),
        (197, 257, ("14×14 + 1", "16×16 + 1")),
        (198, 146, ("14×14 + 2", "12×12 + 2")),
        (196, 257, ("196", "257")),
        (3, 4, ("3", "4")),
    ],
)
def test_places_are_squares_where_both_counts_are(size: int, other: int, expected: tuple[str, str]) -> None:
    assert squares(size, other) == expected


# -- causes -----------------------------------------------------------------------------------------------------------

TOKENS = "t = Constant <value_ints = [-1, 8, 49]> () r = Reshape (c, t)"
_PADDED = ("Pad_4", "Relu_5", "Add_6")
_MIXED = ("Reshape_4", "Conv_5")
_TAKEN = "places 0 to 6 were all of the axis, which has 8 now"
CAUSES = [
    (
        "the layer that fails",
        f"{TOKENS} y = Relu (r)",
        256,
        ("Constant_1", "Reshape_2", "[-1, 8, 49]", "49 = 7·7 of Conv_0, 8·8 now", "224×224", ("Reshape_2",)),
    ),
    (
        "a layer before the one that fails",
        f"{TOKENS} a = Relu (r) b = GlobalAveragePool (c) s = Squeeze (b, last) y = Concat <axis = 2> (s, a)",
        448,
        (
            "Constant_1",
            "Reshape_2",
            "[-1, 8, 49]",
            "49 = 7·7 of Conv_0, 14·14 now",
            "224×224",
            ("Reshape_2", "Relu_3", "Concat_6"),
        ),
    ),
    (
        "windows that split a map",
        "t = Constant <value_ints = [0, 8, 1, 7, 1, 7]> () y = Reshape (c, t)",
        448,
        ("Constant_1", "Reshape_2", "[0, 8, 1, 7, 1, 7]", "7, 14 now", "224×224", ("Reshape_2",)),
    ),
    (
        "the sizes of a resize",
        "z = Constant <value_ints = [1, 8, 14, 14]> () u = Resize (c, , , z) "
        "d = ConvTranspose <strides = [2, 2], kernel_shape = [2, 2]> (c, up) y = Add (u, d)",
        256,
        ("Constant_1", "Resize_2", "[1, 8, 14, 14]", "14×14 from 7×7, 8×8 now", "224×224", ("Resize_2", "Add_4")),
    ),
    (
        "the end of a slice",
        "e = Constant <value_ints = [7]> () a = Slice (c, zero, e, last) y = Add (a, c)",
        256,
        ("Constant_1", "Slice_2", "[7]", "7 was all of the axis, which has 8 now", "224×224", ("Slice_2", "Add_3")),
    ),
    (
        "the parts of a split",
        "p = Constant <value_ints = [3, 4]> () a, b = Split <axis = 3> (c, p) y = Relu (b)",
        256,
        ("Constant_1", "Split_2", "[3, 4]", "3 + 4 = 7, 8 now", "224×224", ("Split_2",)),
    ),
    (
        "a weight behind a map",
        "f = Flatten (c) y = Gemm (f, fc)",
        256,
        ("fc", "Gemm_2", "392×10", "392 = 8·7·7, 8·8·8 now", "224×224", ("Gemm_2",)),
    ),
    (
        "a weight behind a map and what changes no place",
        "f = Flatten (c) d = Mul (f, half) r = Relu (d) y = MatMul (r, fc)",
        256,
        ("fc", "MatMul_4", "392×10", "392 = 8·7·7, 8·8·8 now", "224×224", ("MatMul_4",)),
    ),
    (
        "a weight of places",
        "m = Constant <value_ints = [0, 8, -1]> () r = Reshape (c, m) y = Add (r, places)",
        256,
        ("places", "Add_3", "1×8×49", "7×7 places of Conv_0, 8×8 now", "224×224", ("Add_3",)),
    ),
    (
        "places that are taken one by one",
        "i = Constant <value_ints = [6, 5, 4, 3, 2, 1, 0]> () g = Gather <axis = 3> (c, i) y = Add (g, c)",
        256,
        ("Constant_1", "Gather_2", "[6, 5, 4, 3, 2, 1, 0]", _TAKEN, "224×224", ("Gather_2", "Add_3")),
    ),
    (
        "places that there are no more",
        "i = Constant <value_ints = [0, 2, 4, 5]> () y = Gather <axis = 3> (c, i)",
        160,
        ("Constant_1", "Gather_2", "[0, 2, 4, 5]", "place 5 was one of 7, there are 5 now", "224×224", ("Gather_2",)),
    ),
    (
        "an expansion over what the map was",
        "t = Constant <value_ints = [1, 8, 7, 7]> () y = Expand (c, t)",
        256,
        ("Constant_1", "Expand_2", "[1, 8, 7, 7]", "7×7 was what came in, 8×8 now", "224×224", ("Expand_2",)),
    ),
    (
        "one place expanded to what the map was",
        "g = GlobalAveragePool (c) t = Constant <value_ints = [1, 8, 7, 7]> () e = Expand (g, t) "
        "y = Concat <axis = 1> (e, c)",
        256,
        ("Constant_2", "Expand_3", "[1, 8, 7, 7]", "7×7 places, 8×8 now", "224×224", ("Expand_3", "Concat_4")),
    ),
    (
        "one place tiled to what the map was",
        "g = GlobalAveragePool (c) t = Constant <value_ints = [1, 1, 7, 7]> () e = Tile (g, t) a = Relu (e) "
        "y = Add (c, a)",
        256,
        ("Constant_2", "Tile_3", "[1, 1, 7, 7]", "7×7 places, 8×8 now", "224×224", ("Tile_3", "Relu_4", "Add_5")),
    ),
    (
        "one place resized to what the map was",
        "g = GlobalAveragePool (c) t = Constant <value_ints = [1, 8, 7, 7]> () e = Resize (g, , , t) "
        "y = Concat <axis = 1> (e, c)",
        256,
        ("Constant_2", "Resize_3", "[1, 8, 7, 7]", "7×7 places, 8×8 now", "224×224", ("Resize_3", "Concat_4")),
    ),
    (
        "a padding that makes up what a pooling lost",
        "d = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c) u = Resize (d, , twice) "
        "p = Constant <value_ints = [0, 0, 0, 0, 0, 0, 1, 1]> () e = Pad (u, p) a = Relu (e) y = Add (a, c)",
        256,
        ("Constant_3", "Pad_4", "[0, 0, 0, 0, 0, 0, 1, 1]", "6 + 1 = 7, 8 + 1 now", "224×224", _PADDED),
    ),
    (
        "a reshape whose channels mean nothing behind",
        "m = Constant <value_ints = [0, -1, 7, 7]> () s = Constant <value_ints = [0, 8, -1]> () r = Reshape (c, s) "
        "a = Reshape (r, m) y = Conv <kernel_shape = [1, 1]> (a, mix)",
        448,
        ("Constant_1", "Reshape_4", "[0, -1, 7, 7]", "7·7 = 49 of Conv_0, 14·14 now", "224×224", _MIXED),
    ),
    (
        "the side of a join that stayed",
        "m = Constant <value_ints = [0, 8, -1]> () r = Reshape (c, m) q = Add (r, places) "
        "t = Constant <value_ints = [-1, 4, 98]> () a = Reshape (q, t) v = Constant <value_ints = [0, 8, 49]> () "
        "b = Reshape (a, v) y = Add (q, b)",
        448,
        ("places", "Add_3", "1×8×49", "7×7 places of Conv_0, 14×14 now", "224×224", ("Add_3",)),
    ),
    (
        "the axis that is dropped is no size",
        "g = MaxPool <kernel_shape = [7, 7]> (c) y = Squeeze (g, last)",
        256,
        None,
    ),
    ("a division that is not whole", "d = MaxPool <kernel_shape = [2, 2]> (c) y = Add (c, d)", 256, None),
]
WEIGHTS = {
    "w": (8, 3, 32, 32),
    "up": (8, 8, 2, 2),
    "fc": (392, 10),
    "places": (1, 8, 49),
    "mix": (8, 8, 1, 1),
    "half": (1,),
}


def convolved(body: str, shape: str = "n, 3, 224, 224") -> shapecalc.Model:
    """A model whose ``c`` is a map of 7×7 of an image of 224."""
    conv = "c = Conv <kernel_shape = [32, 32], strides = [32, 32]> (x, w)"
    made = onnx.parser.parse_model(f"{HEAD}g (float[{shape}] x) => (float y) {{{conv} {body}}}")
    arrays: dict[str, Any] = {name: numpy.zeros(weight, numpy.float32) for name, weight in WEIGHTS.items()}
    arrays |= {"zero": numpy.array([0]), "last": numpy.array([3]), "twice": numpy.array([1, 1, 2, 2], numpy.float32)}
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    return shapecalc.load(made)


@pytest.mark.parametrize("shape", ["n, 3, 224, 224", "1, 3, 224, 224", "n, 3, h, w"])
@pytest.mark.parametrize(("body", "size", "wanted"), [row[1:] for row in CAUSES], ids=[row[0] for row in CAUSES])
def test_the_constant_behind_a_misfit(body: str, size: int, wanted: tuple[object, ...] | None, shape: str) -> None:
    problems = convolved(body, shape).trace(size).problems
    assert problems
    cause = problems[0].cause
    assert wanted == (None if cause is None else tuple(cause))


def test_a_mask_as_large_as_the_map_was() -> None:
    body = (
        "n = Shape <end = 1> (x) p = Constant <value_ints = [8, 7, 7]> () s = Concat <axis = 0> (n, p) "
        "m = ConstantOfShape (s) y = Add (c, m)"
    )
    (found,) = convolved(body).trace(256).problems
    made = ("Constant_2", "ConstantOfShape_4", "7 in [n, 8, 7, 7]", "7×7 places, 8×8 now", "224×224")
    assert found.cause == (*made, ("ConstantOfShape_4", "Add_5"))


def test_places_among_the_items_of_a_batch() -> None:
    body = (
        "p = Transpose <perm = [0, 2, 3, 1]> (c) a = Constant <value_ints = [-1, 8]> () q = Reshape (p, a) "
        "t = Constant <value_ints = [-1, 49, 8]> () y = Reshape (q, t)"
    )
    (found,) = convolved(body).trace(256).problems
    assert found.cause is not None
    assert found.cause.numbers == "49·N split by 49, 64·N now"


def test_the_cause_stands_before_the_way_out_and_in_json() -> None:
    (problem_,) = convolved(CAUSES[1][1]).trace(448).problems
    because = (
        "Reshape_2's [-1, 8, 49] (Constant_1) was written down at 224×224: 49 = 7·7 of Conv_0, 14·14 now; "
        "it reaches Concat_6 by way of Relu_3"
    )
    assert f"  because  {because}" in str(problem_).splitlines()
    assert problem_.to_dict()["cause"] == {
        "constant": "Constant_1",
        "layer": "Reshape_2",
        "value": "[-1, 8, 49]",
        "numbers": "49 = 7·7 of Conv_0, 14·14 now",
        "made_for": "224×224",
        "chain": ["Reshape_2", "Relu_3", "Concat_6"],
    }


def test_a_definition_whose_weights_follow_the_input_has_no_constant() -> None:
    assert [problem.cause for problem in shapecalc.load("alexnet").trace(256).problems] == [None]


def test_misfits_that_read_alike_are_one() -> None:
    t = "Constant <value_ints = [-1, 8, 49]> ()"
    body = f"s = {t} a = Reshape (c, s) t = {t} b = Reshape (c, t) y = Add (a, b)"
    body += " f = Flatten (c) z = Gemm (f, fc)"
    kinds = alike(convolved(body).trace(256).problems)
    assert [(first.layer, [other.layer for other in others]) for first, others in kinds] == [
        ("Reshape_2", ["Reshape_4"]),
        ("Gemm_7", []),
    ]


def windowed(size: tuple[int, int]) -> tuple[str, str, str]:
    """(constant, value, numbers) behind the misfit of a map that is cut into windows, its own half-computed target."""
    body = (
        "b = Shape <start = 0, end = 1> (x) h = Shape <start = 1, end = 2> (x) w = Shape <start = 2, end = 3> (x) "
        "s = Constant <value_ints = [7]> () ph = Div (h, s) pw = Div (w, s) "
        "high = Constant <value_ints = [7]> () wide = Constant <value_ints = [7]> () "
        "c = Constant <value_ints = [64]> () "
        "t = Concat <axis = 0> (b, ph, high, pw, wide, c) y = Reshape (x, t)"
    )
    made = onnx.parser.parse_model(f"{HEAD}g (float[1, 56, 56, 64] x) => (float y) {{{body}}}")
    found = trace_of(shapecalc.load(made), (1, *size, 64))
    assert found is not None
    return found.constant, found.value, found.numbers


def trace_of(model: shapecalc.Model, shape: tuple[int, ...]) -> Baked | None:
    (problem,) = model.trace(shape).problems
    return problem.cause


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((72, 56), ("Constant_6", "7 in [1, 10, 7, 8, 7, 64]", "axis 1: 8·7 = 56, 10·7 of 72 now")),
        ((56, 72), ("Constant_7", "7 in [1, 8, 7, 10, 7, 64]", "axis 2: 8·7 = 56, 10·7 of 72 now")),
        ((72, 72), ("Constant_6", "7 in [1, 10, 7, 10, 7, 64]", "axes 1 and 2: 8·7 = 56, 10·7 of 72 now")),
        (
            (72, 80),
            (
                "Constant_6",
                "7 in [1, 10, 7, 11, 7, 64]",
                "axis 1: 8·7 = 56, 10·7 of 72 now; axis 2: 8·7 = 56, 11·7 of 80 now",
            ),
        ),
    ],
)
def test_the_constant_of_the_axis_that_does_not_fit(size: tuple[int, int], expected: tuple[str, str, str]) -> None:
    assert windowed(size) == expected
