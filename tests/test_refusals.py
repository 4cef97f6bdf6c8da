"""A refusal names its cause and the way out, or cannot be made."""

from __future__ import annotations

import inspect

import numpy
import pytest

from shapecalc.errors import RefusedError
from shapecalc.verify.proof import NumberCheck, Report, ShapeCheck, compare
from shapecalc.verify.run import Run

WORDS = {"because": "conv1 has 3 inputs", "hint": "--input 3x8x8"}


@pytest.mark.parametrize("left_out", ["because", "hint"])
def test_a_refusal_without_a_cause_or_a_way_out_cannot_be_made(left_out: str) -> None:
    given = {word: text for word, text in WORDS.items() if word != left_out}
    with pytest.raises(TypeError, match=left_out):
        RefusedError("no", "E303", **given)
    with pytest.raises(ValueError, match="a refusal needs its"):
        RefusedError("no", "E303", **{**WORDS, left_out: " "})


def test_both_are_words_that_a_caller_must_give() -> None:
    """No default, so that mypy finds whoever leaves one out."""
    parameters = inspect.signature(RefusedError).parameters
    assert [parameters[word].default for word in WORDS] == [inspect.Parameter.empty] * 2
    assert [parameters[word].annotation for word in WORDS] == ["str", "str"]


def test_a_range_taken_of_a_whole_batch_is_named() -> None:
    report = proved([SAME], compare({"y": A}, {"y": A + 1}, 1e-4))
    report.made_by |= {"q": "q (DynamicQuantizeLinear)", "scale": "q (DynamicQuantizeLinear)"}
    with pytest.raises(RefusedError) as caught:
        report.raise_for_failure()
    assert str(caught.value.because).startswith("1 layers quantize by the range of all that comes, rows together; ")


def proved(shapes: list[ShapeCheck], numbers: list[NumberCheck]) -> Report:
    report = Report(Run({}, "cpu", "a processor", 0.0, 0.0), shapes, {}, 0)
    report.before_edit = numbers
    report.made_by = {"y": "conv1 (Conv)"}
    return report


A = numpy.ones((2, 2), numpy.float32)
SAME = ShapeCheck("y", (2, 2), (2, 2))


@pytest.mark.parametrize(
    ("report", "code", "cause"),
    [
        (proved([], []), "E401", "no layer of the net computes a tensor"),
        (
            proved([ShapeCheck("x", (2,), (2,)), ShapeCheck("y", (2, 2), (2, 3))], []),
            "E401",
            "conv1 (Conv) made it; it is the first of 1 of 2 tensors that the trace has otherwise",
        ),
        (
            proved([SAME], compare({"x": A, "y": A}, {"x": A, "y": A + 1}, 1e-4)),
            "E402",
            "conv1 (Conv) made it; it is a layer before the first edit, which is to compute what it did in the "
            "original, the first of 1 of 2 tensors that differ",
        ),
        (
            proved([SAME], compare({"z": A, "y": A}, {"z": A, "y": A[:1]}, 1e-4)),
            "E402",
            "its shape is 2×2 in one net and 1×2 in the other; conv1 (Conv) made it; it is a layer before the first "
            "edit, which is to compute what it did in the original, the first of 1 of 2 tensors that differ",
        ),
        (
            proved([SAME], compare({"z": A}, {"z": A * numpy.nan}, 1e-4)),
            "E402",
            "it is a layer before the first edit, which is to compute what it did in the original, the first of 1 of 1 "
            "tensors that differ",
        ),
        (
            proved([SAME], compare({"z": A * numpy.inf}, {"z": A}, 1e-4)),
            "E402",
            "none of its numbers is finite, so nothing is compared; it is a layer before the first edit, which is to "
            "compute what it did in the original, the first of 1 of 1 tensors that differ",
        ),
    ],
)
def test_a_failed_proof_says_what_was_compared_and_who_made_it(report: Report, code: str, cause: str) -> None:
    with pytest.raises(RefusedError) as caught:
        report.raise_for_failure()
    assert (caught.value.code, caught.value.because) == (code, cause)
