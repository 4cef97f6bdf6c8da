"""How to go on training a changed net."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

import shapecalc
from shapecalc.cli.app import run
from shapecalc.errors import UsageError

FROZEN = ["conv1", "conv2", "conv3", "conv4", "conv5"]


def states(name: str, until: str | None) -> dict[str, list[str]]:
    plan = shapecalc.load(name).retarget(classes=13).training(until)
    found: dict[str, list[str]] = {"frozen": [], "tuned": [], "new": []}
    for row in plan.layers:
        found[row.state].append(row.layer)
    return found


@pytest.mark.parametrize("name", ["alexnet", "caffenet"])
def test_frozen_is_a_layer_and_all_before_it(name: str) -> None:
    new = {"alexnet": "fc8_13", "caffenet": "fc8_13"}[name]
    assert states(name, "conv5") == {"frozen": FROZEN, "tuned": ["fc6", "fc7"], "new": [new]}
    assert states(name, "pool5") == states(name, "conv5")
    assert states(name, None) == {"frozen": [], "tuned": [*FROZEN, "fc6", "fc7"], "new": [new]}


def test_branches_that_nothing_frozen_needs_are_tuned() -> None:
    found = states("googlenet", "inception_3a/3x3")
    assert "inception_3a/3x3_reduce" in found["frozen"]
    assert "inception_3a/5x5" in found["tuned"]


def test_rates_are_those_of_the_fine_tuning_guide() -> None:
    plan = shapecalc.load("caffenet").retarget(classes=20).training("conv5").to_dict()
    rates = plan["lr_mult"]
    by_layer = {row["layer"]: [rates[name] for name in row["params"]] for row in plan["layers"]}
    assert by_layer["conv1"] == [0, 0]
    assert by_layer["fc7"] == [1, 2]
    assert by_layer["fc8_20"] == [10, 20]
    assert sorted(plan["requires_grad"] + plan["frozen_params"]) == sorted(rates)
    assert not any(rates[name] for name in plan["frozen_params"])


def test_running_means_are_not_trained() -> None:
    plan = shapecalc.load("resnet50").retarget(classes=5)
    names = plan.training().to_dict()["lr_mult"]
    assert names
    assert not [name for name in names if not plan.graph.params[name].trained]


def test_an_unknown_layer_is_refused_with_those_like_it() -> None:
    with pytest.raises(UsageError, match="conv5"):
        shapecalc.load("alexnet").retarget(classes=13).training("conv55")


def test_the_command_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["retarget", "alexnet", "--classes", "13", "--freeze-until", "conv5", "--dry-run"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "frozen: conv1 to conv5 (5 layers, 3,747,200 parameters)" in printed
    assert "new: fc8_13 (1 layer, 53,261 parameters, learning rate × 10, biases × 20)" in printed
    assert run(["retarget", "alexnet", "--classes", "13", "--freeze-until", "conv5", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["training"]["freeze_until"] == "conv5"


KERAS = {
    "class_name": "Sequential",
    "config": {
        "name": "net",
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 8, 8, 3]}},
            {
                "class_name": "Conv2D",
                "config": {
                    "name": "c", "filters": 4, "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid",
                    "use_bias": True, "activation": "relu", "dilation_rate": [1, 1],
                },
            },
            {"class_name": "Flatten", "config": {"name": "f"}},
            {"class_name": "Dense", "config": {"name": "d", "units": 5, "use_bias": True, "activation": "softmax"}},
        ],
    },
    "keras_version": "3.4.1",
}  # fmt: skip


@pytest.mark.parametrize(("suffix", "kernel"), [("onnx", "c/kernel/hwio"), ("json", "c/kernel")])
def test_parameters_are_called_as_in_the_file_that_is_written(
    suffix: str, kernel: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.json").write_text(json.dumps(KERAS))
    target = tmp_path / f"out.{suffix}"
    wanted = ["--classes", "3", "--freeze-until", "c", "--json", "-o", str(target)]
    assert run(["retarget", str(tmp_path / "net.json"), *wanted]) == 0
    plan = json.loads(capsys.readouterr().out)["training"]
    assert plan["frozen_params"] == [kernel, "c/bias"]
    if suffix == "onnx":
        proto = onnx.load(target).graph
        names = {tensor.name for tensor in proto.initializer} | {name for node in proto.node for name in node.output}
        assert {*plan["frozen_params"], *plan["requires_grad"]} <= names
