"""A net under several dialects: rows that differ, where they part, sizes that fit under all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import shapecalc
from shapecalc.cli.app import application, run
from shapecalc.dialects import DIALECTS

ALL = list(DIALECTS)


@pytest.mark.parametrize(
    ("name", "size", "parting", "common"),
    [
        ("alexnet", 256, {"pool1": [["caffe", "chainer"], ["keras", "torch", "onnx", "onnxruntime"]]}, "227 to 230"),
        ("alexnet", 227, {}, "227 to 230"),
        ("lenet", 27, {"pool1": [["caffe", "chainer"], ["keras", "torch", "onnx", "onnxruntime"]]}, "28"),
        ("googlenet", 254, {}, "253 to 254"),
    ],
)
def test_where_dialects_part(name: str, size: int, parting: dict[str, list[list[str]]], common: str) -> None:
    found = shapecalc.load(name).compare(size, dialects=ALL)
    assert {c["layer"]: [way["dialects"] for way in c["ways"]] for c in found.changes} == parting
    assert str(found.common) == common


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "nin", "resnet50", "lenet"])
@pytest.mark.parametrize("size", [129, 224, 255])
def test_every_column_is_the_trace_of_its_dialect(name: str, size: int) -> None:
    model = shapecalc.load(name)
    found = model.compare(size, dialects=ALL)
    for index, dialect in enumerate(found.dialects):
        trace = model.trace(size, dialect=dialect)
        assert [row.shapes[index] for row in found.rows] == [layer.outputs[0].shape for layer in trace.layers]
        assert found.to_dict()["ok"][dialect] == trace.ok
    for row in found.rows:  # a difference begins somewhere: what reads the same and differs is told
        if row.differs and row.alike_before:
            assert row.name in {change["layer"] for change in found.changes}


def test_the_runtime_and_the_specification_part(tmp_path: Path) -> None:
    """A SAME pooling with dilation: the specification pads by the dilated kernel, onnxruntime by the kernel."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    attrs = {"kernel_shape": [2, 2], "dilations": [2, 2], "auto_pad": "SAME_UPPER"}
    graph = helper.make_graph(
        [helper.make_node("MaxPool", ["x"], ["y"], "pool", **attrs)],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", 1, None)],
    )
    path = tmp_path / "pool.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    (change,) = shapecalc.load(path).compare(dialects=["onnx", "onnxruntime"]).changes
    assert [(way["dialects"], way["places"]) for way in change["ways"]] == [
        (["onnx"], [4, 4]),
        (["onnxruntime"], [3, 3]),
    ]


def test_the_command() -> None:
    arguments = ["trace", "alexnet", "-i", "256", "--dialect", "caffe, onnx"]
    printed = CliRunner().invoke(application(), arguments, env={"COLUMNS": "80"})
    assert printed.exit_code == 0
    assert "≠   pool1   96×31×31    96×30×30" in printed.stdout
    assert max(map(len, printed.stdout.splitlines())) <= 80
    found = json.loads(CliRunner().invoke(application(), [*arguments, "--json"]).stdout)
    assert (found["schema"], found["ok"]) == ("shapecalc.compare/1", {"caffe": False, "onnx": True})
    assert run([*arguments, "--strict"]) == 1


@pytest.mark.parametrize("names", [["caffe"], ["caffe", "caffe"], ["caffe", "mxnet"], ["caffe", ""]])
def test_dialects_that_make_no_sense(names: list[str]) -> None:
    with pytest.raises(shapecalc.UsageError):
        shapecalc.load("lenet").compare(dialects=names)
