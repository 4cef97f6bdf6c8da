"""A proof in parts says what a proof in one run says, with less in memory."""

from __future__ import annotations

from functools import partial

import numpy
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_models import small

import shapecalc
from shapecalc.verify import parts, promises
from shapecalc.verify.plans import before_edits
from shapecalc.verify.proof import prove
from shapecalc.verify.run import Runnable, runnable
from shapecalc.weights import Array


@pytest.fixture(scope="module", params=["lenet", "squeezenet", "onnx"])
def pair(request: pytest.FixtureRequest) -> tuple[Runnable, Runnable]:
    """An edited net and what comes before the edit, ready to run."""
    model = shapecalc.load(small()) if request.param == "onnx" else shapecalc.load(request.param)
    plan = model.retarget(classes=13)
    edited = runnable(model, plan.graph, plan.trace, 0)
    part = before_edits(model.graph, plan.graph)
    return edited, runnable(model, part, model.retrace(part, model.feeds()), 0, edited.arrays)


@pytest.mark.parametrize("budget", [1, 1 << 16])
def test_parts_say_what_the_whole_says(pair: tuple[Runnable, Runnable], budget: int) -> None:
    edited, original = pair
    whole = prove(edited, against=original, device="cpu", repeat=0)
    cut = prove(edited, against=original, device="cpu", budget=budget)
    assert cut.ok
    assert cut.shapes == whole.shapes
    assert {check.name for check in cut.before_edit or []} == {check.name for check in whole.before_edit or []} != set()
    assert len(list(parts.runs(edited, "cpu", budget=budget))) > 1


@pytest.mark.parametrize(("name", "wish"), [("lenet", {"batch": 4}), ("squeezenet", {"channels": 1})])
def test_a_promise_measured_in_parts(monkeypatch: pytest.MonkeyPatch, name: str, wish: dict[str, int]) -> None:
    plan = shapecalc.load(name).retarget(**wish)  # type: ignore[arg-type]
    whole = [promises.measured(plan.model, kept, device="cpu", seed=0, rtol=1e-4) for kept in plan.kept]
    monkeypatch.setattr(promises, "runs", partial(parts.runs, budget=1))
    cut = [promises.measured(plan.model, kept, device="cpu", seed=0, rtol=1e-4) for kept in plan.kept]
    names = [[check.name for check in promise.checks] for promise in whole]
    assert names == [[check.name for check in promise.checks] for promise in cut]
    assert names
    assert all(promise.ok for promise in cut)


def test_a_wrong_shape_in_a_later_part_is_found(pair: tuple[Runnable, Runnable]) -> None:
    edited, _ = pair
    last = list(edited.predicted)[-1]
    wrong = edited._replace(predicted={**edited.predicted, last: (9, 9)})
    assert [getattr(check, "name", "") for check in prove(wrong, device="cpu", budget=1).failures] == [last]


def test_other_numbers_in_a_part_are_found(pair: tuple[Runnable, Runnable]) -> None:
    edited, original = pair
    name = next(iter(original.inputs))
    fed = original._replace(inputs={name: original.inputs[name] + numpy.float32(1)})
    assert not prove(edited, against=fed, device="cpu", budget=1).ok


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy
@given(st.permutations(range(6)), st.lists(st.integers(1, 3), max_size=4), st.lists(st.integers(1, 3), max_size=4))
def test_every_tensor_meets_its_own(order: list[int], first: list[int], second: list[int]) -> None:
    """However the two sides are cut, and whatever the order of the second."""

    def cut(names: list[int], lengths: list[int]) -> list[dict[str, Array]]:
        made = []
        for length in [*lengths, 6]:
            made.append({str(name): numpy.array([name]) for name in names[:length]})
            names = names[length:]
        return made

    met = list(parts.side_by_side(iter(cut(list(range(6)), first)), iter(cut([*order, 7], second))))
    assert sorted(name for name, _, _ in met) == list("012345")
    assert all(b is not None and a[0] == b[0] == int(name) for name, a, b in met)


def test_a_tensor_that_the_second_never_makes() -> None:
    first: list[dict[str, Array]] = [{"a": numpy.zeros(1)}, {"b": numpy.zeros(1)}]
    met = parts.side_by_side(iter(first), iter([{"b": numpy.ones(1)}]))
    assert {name: b is None for name, _, b in met} == {"a": True, "b": False}


@pytest.mark.parametrize("budget", [1, 1 << 30])
def test_a_constant_that_one_part_hands_to_another_is_no_prediction(budget: int) -> None:
    large = onnx.numpy_helper.from_array(numpy.ones((1, 3, 64, 64), numpy.float32), "value")
    steps = [
        ("Relu", "x", "a"),
        ("Constant", "", "mask"),
        ("Add", "a mask", "b"),
        ("Tanh", "b", "c"),
        ("Mul", "c mask", "y"),
    ]
    nodes = [
        onnx.helper.make_node(op, given.split(), [made], **({"value": large} if op == "Constant" else {}))
        for op, given, made in steps
    ]
    shape = (1, 3, 64, 64)
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "net", ends[:1], ends[1:])
    model = shapecalc.load(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    )
    ready = runnable(model, model.graph, model.trace(), 0)
    proof = prove(ready, device="cpu", budget=budget)
    assert proof.ok
    assert {check.name for check in proof.shapes} == {"a", "b", "c", "y"}
