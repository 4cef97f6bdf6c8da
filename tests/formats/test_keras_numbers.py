"""Keras' layers written as ONNX compute Keras' numbers: recordings of Keras 3 (tests/tools/record_keras.py), and of
what Keras 2 makes of cuDNN's weights (record_cudnn.py), run in onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest

import shapecalc
from shapecalc.verify.run import execute, runnable
from shapecalc.weights import Array

DATA = Path(__file__).parents[1] / "data"
ROWS = [row for name in ("keras_numeric", "keras_cudnn") for row in json.loads((DATA / f"{name}.json").read_text())]
#: Largest difference from the recording, relative to its largest number.
LIMIT = 1e-5


def recorded(blob: dict[str, Any], dtype: str = "float32") -> Array:
    return numpy.array(blob["data"], dtype).reshape(blob["shape"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_onnx_computes_what_keras_computes(row: dict[str, Any]) -> None:
    model = shapecalc.loads(row["model"], format="keras")
    images = {name: recorded(blob) for name, blob in row["inputs"].items()}
    trace = model.trace({name: image.shape for name, image in images.items()})
    assert trace.problems == []
    assert [list(value.shape or ()) for value in trace.outputs] == [blob["shape"] for blob in row["outputs"]]
    weights = {name: recorded(blob) for name, blob in row["weights"].items()}
    assert {name: array.shape for name, array in weights.items()} == {
        p.name: trace.values[p.name] for p in model.graph.params.values() if p.contents is None
    }
    what = runnable(model, model.graph, trace, 0, weights)
    fed = {name: images[name].astype(array.dtype) for name, array in what.inputs.items()}
    run = execute(what._replace(inputs=fed), "cpu")
    for value, blob in zip(trace.outputs, row["outputs"], strict=True):
        got, want = run.tensors[value.name], recorded(blob)
        assert float(numpy.abs(got - want).max()) <= LIMIT * max(float(numpy.abs(want).max()), 1e-6)
        assert what.predicted[value.name] == tuple(blob["shape"])
