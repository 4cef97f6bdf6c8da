"""Differences beside what a net itself makes of a rounding of its image: gates that are steps, and edits at fault."""

from __future__ import annotations

from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.verify.noise import held, shaken
from shapecalc.weights import Array

IMAGE = numpy.random.default_rng(0).random((1, 3, 8, 8), numpy.float32)
STEEP = numpy.float32(1e8)


def net(image: Array, order: tuple[int, ...] = (0, 1, 2), fault: float = 0.0) -> dict[str, Array]:
    """A sum of the channels in some order, and a step at its mean that answers the last digit of it."""
    total = sum((image[:, i] for i in order[1:]), image[:, order[0]]) + numpy.float32(fault)
    gate = numpy.tanh((total - numpy.float32(1.5)) * STEEP)
    return {"total": total, "gate": gate, "y": (gate * total).mean(axis=(1, 2))}


def on_step(image: Array) -> Array:
    """The image with a row whose sums lie on the step."""
    found = image.copy()
    found[0, 0, 0] = numpy.float32(1.5) - found[0, 1, 0] - found[0, 2, 0]
    return found


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_another_order_of_a_sum_is_no_fault(order: tuple[int, ...]) -> None:
    image = on_step(IMAGE)
    first, second = net(image), net(image, order)
    found = held(first, second, lambda seed: net(shaken({"x": image}, seed)["x"]), 1e-4, ["y"])
    assert found is not None
    checks, answer = found
    assert answer > 1e-4, "the net amplifies roundings"
    assert [check.name for check in checks] == ["y"]
    assert all(check.ok for check in checks)


@pytest.mark.parametrize("fault", [1e-2, -0.3])
def test_a_fault_is_found_where_nothing_amplifies_yet(fault: float) -> None:
    image = on_step(IMAGE)
    found = held(net(image), net(image, fault=fault), lambda seed: net(shaken({"x": image}, seed)["x"]), 1e-4, ["y"])
    assert found is not None
    assert next(check.name for check in found[0] if not check.ok) == "total"


def test_a_net_of_nothing_but_steps_proves_nothing() -> None:
    image = on_step(IMAGE)
    only = {"gate": net(image)["gate"]}
    assert held(only, only, lambda seed: {"gate": net(shaken({"x": image}, seed)["x"])["gate"]}, 1e-4, ["gate"]) is None


def test_an_image_is_shaken_by_one_rounding_and_codes_are_not() -> None:
    codes = numpy.arange(6, dtype=numpy.int64)
    found = shaken({"x": IMAGE, "codes": codes}, 1)
    assert found["codes"] is codes
    assert numpy.count_nonzero(found["x"] != IMAGE) > IMAGE.size // 4
    assert numpy.all(numpy.abs(found["x"] - IMAGE) <= numpy.spacing(IMAGE))


def rounding_noise(path: Path, mixed: bool = False) -> Path:
    """Two sums of the same numbers in another order, whose difference, a rounding, comes out a million times as large.

    ``mixed``: the rows of a batch are mixed in front of it, which no rounding excuses.
    """
    generator = numpy.random.default_rng(0)
    order = generator.permutation(192)
    weight = generator.standard_normal((192, 8), numpy.float32)
    stored = {"w": weight, "v": weight[order], "order": order, "many": numpy.float32(1e6)}
    node = helper.make_node
    nodes = [
        node("Flatten", ["x"], ["f"], "flat"),
        *([node("ReduceMean", ["f"], ["mean"], "mixed", axes=[0]), node("Sub", ["f", "mean"], ["g"])] if mixed else []),
        node("Gather", ["g" if mixed else "f", "order"], ["turned"], "turn", axis=1),
        node("Gemm", ["g" if mixed else "f", "w"], ["one"], "one"),
        node("Gemm", ["turned", "v"], ["other"], "other"),
        node("Sub", ["one", "other"], ["rounding"], "apart"),
        node("Mul", ["rounding", "many"], ["y"], "much"),
    ]
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    weights = [numpy_helper.from_array(numpy.asarray(array), name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "net", [fed], [onnx.ValueInfoProto(name="y")], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_rows_of_a_batch_are_held_to_what_single_runs_make_of_a_rounding(tmp_path: Path) -> None:
    model = shapecalc.load(rounding_noise(tmp_path / "net.onnx"))
    report = model.retarget(batch=4).verify(device="cpu")
    (promise,) = report.promises
    assert promise.ok
    if promise.worst.difference:  # a machine may sum rows of a batch as it sums a single one
        assert "the net itself answers a rounding of its image with" in promise.words


def test_rows_that_a_net_mixes_are_no_roundings(tmp_path: Path) -> None:
    model = shapecalc.load(rounding_noise(tmp_path / "net.onnx", mixed=True))
    with pytest.raises(shapecalc.RefusedError, match="numbers differ"):
        model.retarget(batch=4).verify(device="cpu")
