"""What ``convert`` writes computes what Caffe computed: recorded layers and their weights, run as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
import pytest
from weight_files import WAYS, caffemodel

import shapecalc
from shapecalc.weights import Array

ROWS = json.loads((Path(__file__).parents[1] / "data" / "caffe_numeric.json").read_text(encoding="utf-8"))
RUN = [row for row in ROWS if row["error"] is None]
#: Largest difference from the recording, relative to its largest number.
LIMIT = 1e-5


def recorded(blob: dict[str, Any]) -> Array:
    return numpy.array(blob["data"], numpy.float32).reshape(blob["shape"])


def weights_of(row: dict[str, Any]) -> dict[str, list[Array]]:
    found: dict[str, list[Array]] = {}
    for blob in sorted(row["weights"], key=lambda blob: int(blob["index"])):
        found.setdefault(blob["layer"], []).append(recorded(blob))
    return found


@pytest.mark.parametrize("way", ["packed", "unpacked"])
@pytest.mark.parametrize("row", RUN, ids=lambda row: row["name"])
def test_a_converted_layer_gives_caffes_numbers(row: dict[str, Any], way: str, tmp_path: Path) -> None:
    assert way in WAYS
    weights, path = weights_of(row), tmp_path / "net.onnx"
    if weights:
        (tmp_path / "net.caffemodel").write_bytes(caffemodel(weights, way))
    chosen = str(tmp_path / "net.caffemodel") if weights else None
    shapecalc.loads(row["prototxt"], format="caffe", weights=chosen).convert(path, device="cpu")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = {given.name: recorded(row["blobs"][given.name]) for given in session.get_inputs()}
    outputs = session.run(None, images)
    for value, got in zip(session.get_outputs(), outputs, strict=True):
        want = recorded(row["blobs"][value.name])
        assert got.shape == want.shape
        scale = max(float(numpy.abs(want).max()), 1e-6)
        assert float(numpy.abs(got - want).max()) <= LIMIT * scale


def test_every_row_is_run_or_refused() -> None:
    """The refused ones are rows of tests/test_numbers.py."""
    assert len(ROWS) == 37
    assert len(RUN) == 29
