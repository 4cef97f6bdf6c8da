"""What is said of weights and constants that an exporter wrote down for one input size."""

from __future__ import annotations

import numpy
import onnx.parser
import pytest
from onnx import numpy_helper

import shapecalc
from shapecalc.ops.baked import squares

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
