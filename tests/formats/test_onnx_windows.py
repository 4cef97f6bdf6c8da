"""What onnxruntime 1.31.1 does with one-node models: sizes, SAME padding, refusals. Recorded, one line a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shapecalc.graph import Graph, Input, Node, Param
from shapecalc.trace import trace

ROWS = json.loads((Path(__file__).parents[1] / "data" / "onnx_windows.json").read_text())
PER_AXIS = ("kernel_shape", "strides", "dilations", "output_padding", "output_shape")


def predicted(op: str, size: int, attributes: dict[str, Any]) -> int | None:
    """The size of the output, None where a problem is reported."""
    attrs = {key: (value,) if key in PER_AXIS else value for key, value in attributes.items()}
    weights = [Param("w", (2, 2, attributes["kernel_shape"]))] if op.startswith("Conv") else []
    node = Node("n", op, ["x", *(param.name for param in weights)], ["y"], attrs)
    graph = Graph("one", [Input("x", (1, 2, size))], [node], ["y"], weights)
    result = trace(graph, {"x": (1, 2, size)}, dialect="onnxruntime")
    return None if result.problems else result.values["y"][2]  # type: ignore[index]


@pytest.mark.parametrize("op", sorted({row[0] for row in ROWS}))
def test_recorded_windows(op: str) -> None:
    rows = [row for row in ROWS if row[0] == op]
    wrong = [row for row in rows if predicted(*row[:3]) != row[3]]
    assert not wrong, f"{len(wrong)} of {len(rows)}: {wrong[:3]}"


def test_the_rows_hold_refusals_and_empty_maps() -> None:
    outcomes = [row[3] for row in ROWS]
    assert outcomes.count(None) > 30
    assert 0 in outcomes
