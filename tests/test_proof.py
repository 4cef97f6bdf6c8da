"""The proof notices what is wrong: shapes, numbers, NaNs, an original that differs; and nothing checked is no proof."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model

import shapecalc
from shapecalc import dims
from shapecalc.verify import promises, run
from shapecalc.verify.proof import NumberCheck, Report, ShapeCheck, compare, prove, settled
from shapecalc.verify.run import Run, Runnable, runnable

#: Imported before a test exchanges what it imports itself.
MEASURED = promises.measured
BOXES = dims.symbol("boxes[0]", 0, 10)


@pytest.fixture(scope="module")
def lenet() -> Runnable:
    model = shapecalc.load("lenet")
    return runnable(model, model.graph, model.trace(), 0)


def report(shapes: list[ShapeCheck], before: list[NumberCheck] | None = None) -> Report:
    made = Report(Run({}, "cpu", "CPU", 0.0, 0.0), shapes, {}, 0)
    made.before_edit = before
    return made


RIGHT = ShapeCheck("a", (1, 2), (1, 2))


def test_a_right_prediction_is_proved(lenet: Runnable) -> None:
    found = prove(lenet, device="cpu", repeat=1)
    assert found.ok
    assert {check.name for check in found.shapes} >= {"conv1", "pool1", "conv2", "pool2", "fc3", "fc4"}


def test_a_wrong_prediction_is_not(lenet: Runnable) -> None:
    wrong = lenet._replace(predicted={**lenet.predicted, "pool1": (1, 20, 11, 12)})
    found = prove(wrong, device="cpu", repeat=1)
    assert [check.name for check in found.failures if isinstance(check, ShapeCheck)] == ["pool1"]
    with pytest.raises(shapecalc.RefusedError, match="pool1 came out with another shape than predicted") as caught:
        found.raise_for_failure()
    assert (caught.value.code, caught.value.expected, caught.value.actual) == (
        "E401",
        "(1, 20, 11, 12)",
        "(1, 20, 12, 12)",
    )


def test_a_tensor_nobody_predicted_is_a_failure(lenet: Runnable) -> None:
    fewer = {name: shape for name, shape in lenet.predicted.items() if name != "conv2"}
    assert not prove(lenet._replace(predicted=fewer), device="cpu", repeat=1).ok


def test_nothing_checked_is_no_proof() -> None:
    assert not report([]).ok
    with pytest.raises(shapecalc.RefusedError, match="nothing ran"):
        report([]).raise_for_failure()


def test_other_numbers_are_refused() -> None:
    found = report([RIGHT], [NumberCheck("a", 0.5, 2.0, 1e-4)])
    assert not found.ok
    with pytest.raises(shapecalc.RefusedError, match=r"a differs by 0\.5 on a scale of 2") as caught:
        found.raise_for_failure()
    assert caught.value.code == "E402"
    report([RIGHT], [NumberCheck("a", 1e-5, 2.0, 1e-4)]).raise_for_failure()


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([math.nan, 1.0], [math.nan, 1.0], 0.0),
        ([math.nan, 1.0], [0.0, 1.0], math.inf),
        ([0.0, 1.0], [math.nan, 1.0], math.inf),
        ([math.inf, 1.0], [math.inf, 1.0], 0.0),
        ([math.inf, 1.0], [-math.inf, 1.0], math.inf),
        ([1.0, 2.0], [1.0, 2.0, 3.0], math.inf),
    ],
)
def test_differences(first: list[float], second: list[float], difference: float) -> None:
    (check,) = compare({"t": numpy.array(first)}, {"t": numpy.array(second), "other": numpy.zeros(1)}, 1e-4)
    assert check.difference == difference


def test_integers_are_compared_too() -> None:
    (check,) = compare({"t": numpy.array([1, 2])}, {"t": numpy.array([1, 3])}, 1e-4)
    assert not check.ok


def test_a_difference_before_the_edit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The original runs with other weights here: everything before the edit must then differ."""
    real = runnable

    def other_weights(*arguments: Any) -> Runnable:
        made = real(*arguments)
        if len(arguments) > 4:  # the original, given the edited net's numbers
            made = made._replace(arrays={name: array + 1 for name, array in made.arrays.items()})
        return made

    monkeypatch.setattr(run, "runnable", other_weights)  # plans imports it when it is called
    with pytest.raises(shapecalc.RefusedError, match="differs by"):
        shapecalc.load("lenet").retarget(classes=3).verify(device="cpu")


def test_everything_before_the_edit_is_compared_and_nothing_behind_it() -> None:
    plan = shapecalc.load("alexnet").retarget(classes=13, input=256)
    found = plan.verify(device="cpu")
    assert found.before_edit is not None
    names = [check.name for check in found.before_edit]
    assert names[0] == "conv1"
    assert names[-1] == "pool5"
    assert len(names) == 15
    assert not {"pool5_fit", "fc6", "fc8_13"} & set(names)


def test_a_free_batch_is_run_as_one() -> None:
    model = shapecalc.load("mobilenet_v2")
    found = model.verify("?x3x64x64", device="cpu")
    assert found.ok
    assert found.inputs == {"data": (1, 3, 64, 64)}


@pytest.mark.parametrize("kind", ["int64", "float16", "float64"])
def test_what_a_published_graph_lacks_is_made_up_in_its_own_type(kind: str, tmp_path: Path) -> None:
    """A graph without its file of weights, one of them a table that is no float (ConvNeXt by torch's exporter)."""
    table = numpy_helper.from_array(numpy.ones((1, 3, 40, 1), kind), "table")
    cast = helper.make_node("Cast", ["table"], ["t"], to=TensorProto.FLOAT)
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 3, 40, 8)) for n in "xy")
    graph = helper.make_graph([cast, helper.make_node("Add", ["x", "t"], ["y"])], "g", [x], [y], [table])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    opened = shapecalc.load(tmp_path / "m.onnx")
    assert prove(runnable(opened, opened.graph, opened.trace(), 0), device="cpu", repeat=1).ok


@pytest.mark.parametrize(
    ("predicted", "came", "wanted"),
    [
        (((BOXES, 4), (BOXES + 1,)), ((3, 4), (4,)), ((3, 4), (4,))),
        (((BOXES, 4), (BOXES + 1,)), ((3, 4), (5,)), ((3, 4), (4,))),
        (((BOXES, 4),), ((11, 4),), None),
        (((BOXES, 4),), ((11,),), None),
    ],
    ids=["held", "not the same number", "more than there can be", "another rank"],
)
def test_a_size_that_a_run_decides_is_one_number_throughout(
    predicted: Any, came: list[tuple[int, ...]], wanted: Any
) -> None:
    """Of at most ten boxes that a net finds."""
    bound: dict[str, int] = {}
    found = tuple(settled(shape, run, bound) for shape, run in zip(predicted, came, strict=True))
    assert found == wanted if wanted is not None else found != tuple(came)


def test_a_net_whose_sizes_a_run_decides_is_proved() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("NonZero", ["a"], ["y"])]
    net = shapecalc.load(model(nodes, {"x": [1, 3, 8, 8]}, {"y": None}))
    report = net.retarget(input=16).verify(device="cpu")
    (check,) = [row for row in report.to_dict()["tensors"] if row["name"] == "y"]
    assert check["ok"]
    assert check["predicted"] == check["actual"] == [4, check["actual"][1]]


def test_a_size_that_nobody_can_predict_may_be_any() -> None:
    assert ShapeCheck("blocks of channels", (1, None, 8), (1, 16, 8)).ok
    assert not ShapeCheck("blocks of channels", (1, None, 8), (1, 16, 9)).ok
    assert not ShapeCheck("blocks of channels", None, (1, 16, 9)).ok


@pytest.mark.parametrize(
    ("kind", "apart", "same"), [("float32", 1e-3, False), ("float16", 1e-3, True), ("float16", 0.05, False)]
)
def test_half_precision_is_held_against_its_own_rounding(kind: str, apart: float, same: bool) -> None:
    first = numpy.linspace(0.5, 1, 7).astype(kind)
    (found,) = compare({"a": first}, {"a": (first + apart).astype(kind)}, 1e-4)
    assert found.ok is same


def test_a_sequence_among_the_outputs_is_left_out() -> None:
    """As the dictionaries at the end of a classifier of scikit-learn."""
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("SplitToSequence", ["a"], ["y"], axis=0)]
    net = shapecalc.load(model(nodes, {"x": [2, 3]}, {"a": None}))
    net.graph = net.graph.replace(outputs=("a", "y"))
    assert prove(runnable(net, net.graph, net.trace(), 0), device="cpu", repeat=0).ok
