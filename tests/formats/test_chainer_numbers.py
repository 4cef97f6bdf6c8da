"""Chainer definitions written as ONNX compute Chainer's numbers: recordings of Chainer 7.8.1
(tests/tools/record_chainer.py), run in onnxruntime. The weights go through a snapshot, as Chainer writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from tools.record_chainer import LONGEST, ONE, given, sums, weights

import shapecalc
from shapecalc.verify.run import execute, runnable
from shapecalc.weights import Array

DATA = Path(__file__).parents[1] / "data"
ROWS = json.loads((DATA / "chainer_recorded.json").read_text(encoding="utf-8"))
#: Largest difference from the recording, relative to its largest number.
LIMIT = 1e-5


def sized(row: dict[str, Any]) -> tuple[int, ...]:
    return tuple(row["input"])


def computed(row: dict[str, Any], folder: Path, prefix: str = "") -> tuple[Array, shapecalc.Trace]:
    """What the ONNX form of a recorded definition gives, its weights read from a snapshot."""
    snapshot = folder / "snapshot.npz"
    numpy.savez(snapshot, **{prefix + key: weights(key, tuple(shape)) for key, shape in row["weights"].items()})
    text = row.get("source") or ONE.format(link=row["link"], body=row["body"])
    model = shapecalc.loads(text, format="chainer", weights=snapshot if row["weights"] else None)
    trace = model.trace({"x": sized(row)}, fresh=True)
    assert trace.problems == []
    what = runnable(model, model.graph, trace, 0)
    image = given(sized(row)).astype(what.inputs["x"].dtype)
    run = execute(what._replace(inputs={"x": image}), "cpu")
    return run.tensors[trace.outputs[0].name], trace


def assert_recorded(got: Array, blob: dict[str, Any]) -> None:
    assert list(got.shape) == blob["shape"]
    flat = numpy.asarray(got, numpy.float64).reshape(-1)
    data, want = flat if flat.size <= LONGEST else sums(flat), numpy.array(blob["data"])
    assert float(numpy.abs(data - want).max()) <= LIMIT * max(float(numpy.abs(want).max()), 1e-6)


@pytest.mark.parametrize("row", ROWS[:-1], ids=lambda row: row["name"])
def test_onnx_computes_what_chainer_computes(row: dict[str, Any], tmp_path: Path) -> None:
    got, trace = computed(row, tmp_path)
    assert_recorded(got, row["output"])
    keys = {name.removesuffix(":grouped") for name, param in trace.graph.params.items() if param.contents is None}
    assert keys <= set(row["weights"])  # a state that is not there yet has weights that are not read


@pytest.mark.parametrize("name", ["chainer_trainer.npz", "chainer_net.npz", "chainer_net.h5"])
def test_what_chainer_saved_is_what_is_computed_with(name: str) -> None:
    """A snapshot of a trainer, of the net alone and in HDF5; one link of it was never sized."""
    if name.endswith(".h5"):
        pytest.importorskip("h5py")
    row = ROWS[-1]
    model = shapecalc.loads(row["source"], format="chainer", weights=DATA / name)
    trace = model.trace(sized(row), fresh=True)
    assert trace.problems == []
    what = runnable(model, model.graph, trace, 0)
    run = execute(what._replace(inputs={"x": given(sized(row))}), "cpu")
    assert_recorded(run.tensors[trace.outputs[0].name], row["output"])


def test_a_sequential_names_its_links_as_chainer_does() -> None:
    graph = shapecalc.loads(ROWS[-1]["source"], format="chainer").graph
    assert [node.name for node in graph.nodes if node.op == "Gemm"] == ["body/0", "body/2", "body/1", "fc"]


def test_what_was_never_sized_is_said_by_match(tmp_path: Path) -> None:
    definition = tmp_path / "net.py"
    definition.write_text(ROWS[-1]["source"].replace("return self.fc(self.body(x))", "return self.spare(x)"))
    model = shapecalc.load(definition, arguments={"insize": 3}, weights=DATA / "chainer_trainer.npz")
    rows = {row.param: row.verdict for row in model.match().rows if row.param is not None}
    assert rows == {"spare/W": "lazy", "spare/b": "same"}
