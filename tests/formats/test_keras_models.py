"""Whole applications written as ONNX compute what Keras computes: recordings of Keras 3 (tests/tools/record_keras.py).

Weights and image are made from their names, there as here. Those of ../shared need it; run in onnxruntime.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from tools import seeded

import shapecalc
from shapecalc.verify.run import execute, runnable

SHARED = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "keras"
RECORDED = Path(__file__).parents[1] / "data" / "keras_models.jsonl.gz"
ROWS = [json.loads(line) for line in gzip.decompress(RECORDED.read_bytes()).splitlines()]
#: Largest difference from the recording, relative to the output's largest number.
LIMIT = 1e-5


def opened(row: dict[str, Any]) -> shapecalc.Model:
    """The recorded definition, or that of the corpus; skips where it is not here."""
    if row["model"] is not None:
        return shapecalc.loads(row["model"], format="keras")
    path = SHARED / row["name"]
    if not path.exists():
        pytest.skip(f"{row['name']} is in ../shared, which is not here")
    return shapecalc.load(path)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_whole_model_computes_keras_numbers(row: dict[str, Any]) -> None:
    model = opened(row)
    trace = model.trace(tuple(row["input"]))
    assert trace.ok
    params = [param for param in model.graph.params.values() if param.contents is None]
    weights = {p.name: seeded.weight(p.name, trace.tensors[p.name].shape) for p in params}  # type: ignore[arg-type]
    what = runnable(model, model.graph, trace, 0, weights)
    fed = {name: seeded.image(row["name"], array.shape) for name, array in what.inputs.items()}
    run = execute(what._replace(inputs=fed), "cpu")
    got = run.tensors[trace.outputs[0].name].astype("float64").reshape(-1)
    assert got.shape == (row["count"],)
    assert float(numpy.abs(got[:: row["step"]] - numpy.array(row["kept"])).max()) <= LIMIT * row["scale"]
    assert abs(float(got.sum()) - row["sum"]) <= LIMIT * row["scale"] * row["count"]
