"""What nets cost: by hand, by counting over the JSON of the trace, and the laws of batch and precision."""

from __future__ import annotations

import json
from math import prod
from typing import Any

import pytest

import shapecalc
from shapecalc.cli.app import run
from shapecalc.footprint import PRECISIONS, Cost
from shapecalc.graph import Graph, Input, Node, Param
from shapecalc.zoo import entries

NAMES = sorted(entries())
COSTS = {name: shapecalc.load(name).cost() for name in NAMES}


def test_alexnet_by_hand() -> None:
    """conv1 gives 96·55·55 numbers of 4 bytes, and so does relu1 after it."""
    cost = COSTS["alexnet"]
    assert cost.weights == 62_378_344 * 4
    assert (cost.peak, cost.peak_layer) == (2 * 96 * 55 * 55 * 4, "relu1")
    rows = {row.layer.name: row for row in cost.rows}
    assert rows["conv1"][1:] == (34_944 * 4, 96 * 55 * 55 * 4, (3 * 227 * 227 + 96 * 55 * 55) * 4)
    assert (rows["drop6"].written, rows["drop6"].held) == (0, 4096 * 4)  # a view of what relu6 wrote


VIEWING = ("Reshape", "Flatten", "Identity", "Dropout", "Copies", "Squeeze", "Unsqueeze", "Input")


def counted(name: str) -> list[int]:
    """Bytes held while each layer runs, by the trace's JSON: sets of tensors, none of the code under test."""
    trace = shapecalc.load(name).trace().to_dict()
    layers = trace["layers"]
    bytes_of = {v["name"]: 4 * prod(v["shape"]) for v in trace["inputs"]}
    owner = {value: value for value in bytes_of}
    for layer in layers:
        for value in layer["outputs"]:
            if value["name"] not in owner:
                viewed = layer["inputs"][0]["name"] if layer["op"] in VIEWING else value["name"]
                owner[value["name"]] = owner.get(viewed, viewed)
                bytes_of[value["name"]] = 4 * prod(value["shape"])
    found, made = [], {v["name"] for v in trace["inputs"]}
    for place, layer in enumerate(layers):
        made |= {value["name"] for value in layer["outputs"]}
        needed = {v["name"] for later in layers[place:] for v in later["inputs"]}
        needed |= {v["name"] for v in [*layer["outputs"], *trace["outputs"]]}
        found.append(sum(bytes_of[value] for value in {owner[value] for value in made & needed}))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_what_is_held_is_what_counting_finds(name: str) -> None:
    cost = COSTS[name]
    held = counted(name)
    assert [row.held for row in cost.rows] == held
    assert cost.peak == max(held)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_multiplies_all_but_the_weights(name: str) -> None:
    one, three = shapecalc.load(name).cost(batch=1), shapecalc.load(name).cost(batch=3)
    assert three.weights == one.weights
    assert (three.trace.macs, three.activations) == (3 * one.trace.macs, 3 * one.activations)
    assert (three.peak, three.peak_in_place) == (3 * one.peak, 3 * one.peak_in_place)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_precision_scales_floats(precision: str) -> None:
    single, other = COSTS["googlenet"], shapecalc.load("googlenet").cost(precision=precision)
    sizes = [(c.weights, c.activations, c.peak, c.peak_in_place) for c in (single, other)]
    assert sizes[1] == tuple(size * PRECISIONS[precision] // 4 for size in sizes[0])


@pytest.mark.parametrize("name", NAMES)
def test_bounds_of_the_peak(name: str) -> None:
    """No layer runs without what it reads and writes; nothing is held that was not fed or written."""
    cost = COSTS[name]
    fed = sum(4 * prod(v.shape or ()) for v in cost.trace.inputs)
    assert max(row.written or 0 for row in cost.rows) <= cost.peak_in_place <= cost.peak <= cost.activations + fed


def made(nodes: list[Node], outputs: list[str]) -> Cost:
    graph = Graph("g", [Input("x", (1, 1, 10, 10))], nodes, outputs, [Param("w", (1, 1, 1, 1))])
    return shapecalc.Model(graph, "g").cost()


def test_a_shortcut_is_held_until_it_is_added() -> None:
    """x, a and b are 400 bytes each: while b is written a still waits for the sum, and so does x, which b reads."""
    nodes = [
        Node("a", "Relu", ["x"], ["a"]),
        Node("b", "Conv", ["a", "w"], ["b"]),
        Node("c", "Relu", ["b"], ["c"]),
        Node("sum", "Add", ["c", "x"], ["y"]),
    ]
    cost = made(nodes, ["y"])
    assert [row.held for row in cost.rows] == [800, 1200, 1200, 1200]
    # c over b, then the sum over c; x is the caller's and stays
    assert (cost.peak, cost.peak_in_place, cost.peak_in_place_layer) == (1200, 1200, "b")


def test_an_output_is_held_to_the_end_and_not_written_over() -> None:
    nodes = [Node("a", "Conv", ["x", "w"], ["a"]), Node("b", "Relu", ["a"], ["b"]), Node("c", "Relu", ["b"], ["c"])]
    assert [row.held for row in made(nodes, ["a", "c"]).rows] == [800, 800, 1200]
    assert (made(nodes, ["c"]).peak_in_place, made(nodes, ["a", "c"]).peak_in_place) == (800, 800)
    assert made(nodes, ["a", "b", "c"]).peak_in_place == 1200


def test_what_only_running_sizes_is_named() -> None:
    text = """input: "x" input_shape { dim: [1, 3, 8, 8] } layer { name: "p" type: "Python" bottom: "x" top: "y" }"""
    cost = shapecalc.loads(text, format="caffe").cost()
    assert cost.unknown == ("p",)
    assert cost.peak == 3 * 8 * 8 * 4


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["cost", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(answer(capsys, "lenet", "--json", "--batch", "8", "--precision", "fp16"))
    assert (found["schema"], found["model"], found["precision"]) == ("shapecalc.cost/1", "lenet", "fp16")
    assert found["inputs"][0]["shape"][0] == 8
    assert found["weight_bytes"] == 2 * found["params"]
    assert sum(row["activation_bytes"] for row in found["layers"]) == found["activation_bytes"]
    text = answer(capsys, "lenet", "--input", "27")
    assert "peak" in text
    assert "at pool1, in the order of the file" in text


@pytest.mark.parametrize("wrong", [["--precision", "fp12"], ["--batch", "0"], ["--input", "many"]])
def test_a_wrong_option_is_a_usage_error(wrong: list[str]) -> None:
    assert run(["cost", "lenet", *wrong]) == 2
