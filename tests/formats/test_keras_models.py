"""Whole models of Keras: its applications and the corpus of ../shared, against recordings of Keras 3.15 and 2.15
(tests/tools/record_keras_models.py).

Weights and image are made from their names, there as here, so that no file of weights is needed. All are traced, with
their parameters and the places that Keras 3 files them under; those that are quick to run are run in onnxruntime and
compare Keras's numbers. `python -m tests.tools.compare_keras` compares all.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from tools.compare_keras import LIMIT, difference, opened
from tools.record_keras_models import CORPUS, key_sum, recorded

ROWS = [
    pytest.param(
        row,
        id=row["name"].replace(" of Keras ", "-"),
        marks=[] if row["model"] or CORPUS.exists() else pytest.mark.skip("the corpus of ../shared is not here"),
    )
    for row in recorded()
]
#: Larger ones take a second and more to run.
QUICK = 6_000_000


def is_quick(row: dict[str, Any]) -> bool:
    return bool(row["params"] <= QUICK)


@pytest.mark.parametrize("row", ROWS)
def test_shapes_parameters_and_places_are_keras(row: dict[str, Any]) -> None:
    model = opened(row)
    trace = model.trace(tuple(row["input"]))
    assert trace.problems == []
    value = trace.layer(row["layer"]).outputs[0] if row.get("layer") else trace.outputs[0]
    assert math.prod(value.shape or ()) == row["count"]
    assert trace.params == row["params"]
    if row["keys"] is not None:
        assert key_sum({name: home.key for name, home in model.graph.meta["homes"].items()}) == row["keys"]


@pytest.mark.parametrize("row", [param for param in ROWS if is_quick(param.values[0])])  # type: ignore[arg-type]
def test_the_numbers_are_keras(row: dict[str, Any]) -> None:
    assert difference(row, opened(row)) <= LIMIT


def test_the_comparison_can_fail() -> None:
    row = next(param.values[0] for param in ROWS if param.values[0]["name"] == "MobileNetV3Small")  # type: ignore[index]
    assert isinstance(row, dict)
    changed = [*row["kept"][:-1], row["kept"][-1] + 2 * LIMIT * row["scale"]]
    assert difference({**row, "kept": changed}, opened(row)) > LIMIT
    assert difference({**row, "sum": row["sum"] + 2 * LIMIT * row["scale"] * row["count"]}, opened(row)) > LIMIT
