"""The zoo: every definition has its check values, accepts its own input and runs as ONNX."""

from __future__ import annotations

from pathlib import Path

import pytest

import shapecalc
from shapecalc import zoo

ENTRIES = zoo.entries()


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_check_values_of_the_index(entry: zoo.Entry) -> None:
    trace = shapecalc.load(entry.name).trace()
    assert trace.problems == []
    assert trace.inputs[0].shape == tuple(entry.row["input"])
    assert (trace.params, trace.macs) == (entry.row["params"], entry.row["macs"])
    shapes = {name: list(trace.layer(name).outputs[0].shape or ()) for name in entry.row["checks"]}
    assert shapes == entry.row["checks"]


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_every_definition_says_where_it_is_from(entry: zoo.Entry) -> None:
    assert set(entry.row) == {
        "file",
        "format",
        "title",
        "paper",
        "reference",
        "license",
        "input",
        "params",
        "macs",
        "checks",
    }
    assert zoo.find(entry.name) == entry.path
    assert entry.path.is_file()
    assert entry.row["checks"]


def test_every_file_of_the_zoo_is_in_the_index() -> None:
    files = {path.name for path in zoo.folder().iterdir() if path.is_file()} - {"index.toml"}
    assert files == {entry.path.name for entry in ENTRIES.values()}


@pytest.mark.parametrize("name", [name for name in ENTRIES if name not in ("vgg16", "alexbn", "alexnet_groups")])
def test_it_runs_with_the_predicted_shapes(name: str) -> None:
    report = shapecalc.load(name).verify(device="cpu")
    assert report.ok, report.failures[:3]
    assert len(report.shapes) >= 7


def test_alexnet_is_the_one_of_the_story() -> None:
    trace = shapecalc.load("alexnet").trace(227)
    sizes = {name: trace.layer(name).outputs[0].shape for name in ("conv1", "pool1", "pool2", "pool5", "fc6")}
    assert sizes == {
        "conv1": (1, 96, 55, 55),
        "pool1": (1, 96, 27, 27),
        "pool2": (1, 256, 13, 13),
        "pool5": (1, 256, 6, 6),
        "fc6": (1, 4096),
    }
    pool5 = trace.layer("pool5")
    assert (pool5.receptive_field, pool5.jump) == (195, 32)
    assert trace.layer("conv1").formula == "(227 + 2·0 − 11)/4 + 1 = 55"
    names = [layer.name for layer in trace.layers]
    assert names[-8:] == ["pool5", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]


def test_alexnet_at_256_names_layer_line_numbers_and_way_out() -> None:
    model = shapecalc.load("alexnet")
    trace = model.trace(256)
    (problem,) = trace.problems
    assert (problem.code, problem.layer, problem.also) == ("E101", "fc6", ("pool5",))
    assert (problem.expected, problem.actual) == ("9,216 = 256·6·6", "12,544 = 256·7·7")
    assert problem.message == "fc6 expects 9216 inputs, pool5 gives 12544"
    assert problem.location is not None
    name, _, line = problem.location.partition(":")
    assert name == "zoo/alexnet.py"
    assert "self.fc6" in ENTRIES["alexnet"].path.read_text().splitlines()[int(line) - 1]
    assert trace.outputs[0].shape == (1, 1000)
    advice = model.advice(trace)
    assert str(advice.sizes) == "199 to 230"
    assert [repair.name for repair in advice.repairs][:1] == ["insert-pool"]
    assert all(repair.trace.ok for repair in advice.repairs)


def test_lenet_at_28_and_what_the_second_convolution_sees() -> None:
    """At 12x12 positions the second convolution has 8x8 = 64 places."""
    trace = shapecalc.load("lenet").trace()
    assert trace.layer("pool1").outputs[0].shape == (1, 20, 12, 12)
    assert trace.layer("conv2").outputs[0].shape == (1, 50, 8, 8)


@pytest.mark.parametrize(
    ("name", "dialect", "sizes"),
    [
        ("alexnet", None, "199 to 230"),
        ("alexnet", "caffe", "199 to 230"),
        ("alexnet", "onnx", "227 to 258"),
        ("alexnet_groups", None, "199 to 230"),
        ("lenet", None, "25 to 28"),
        ("lenet", "onnx", "28 to 31"),
    ],
)
def test_sizes_that_fit(name: str, dialect: str | None, sizes: str) -> None:
    assert str(shapecalc.load(name).sizes(limit=512, dialect=dialect)) == sizes


@pytest.mark.parametrize("name", ["alexnet", "lenet", "vgg16", "googlenet", "resnet50", "mobilenet_v2"])
def test_sizes_are_what_tracing_one_by_one_says(name: str) -> None:
    model = shapecalc.load(name)
    found = model.sizes(limit=300)
    assert [n for n in range(150, 301) if n in found] == [n for n in range(150, 301) if model.trace(n).ok]


@pytest.mark.parametrize("name", ["index", "index.toml", "alexnet.py", "", ".", "..", "Alexnet", "__pycache__"])
def test_what_is_no_definition_is_not_found(name: str) -> None:
    assert zoo.find(name) is None


def test_every_file_is_in_the_index() -> None:
    files = {path for path in zoo.folder().iterdir() if path.is_file() and path.suffix != ".toml"}
    assert files == {entry.path for entry in ENTRIES.values()}


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("alexnt", ["alexnet"]),
        ("vgg16.onnx", ["vgg16"]),
        ("models/swin_tiny.onnx", ["models/swin_tiny_patch4.onnx", "models/swin_tiny_v2.onnx"]),
        ("models/Swin_tiny_patch4.onx", ["models/swin_tiny_patch4.onnx"]),
    ],
)
def test_a_name_that_is_none_gets_near_ones(
    asked: str, near: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    for name in ("swin_tiny_v2", "swin_tiny_patch4", "hgnet_tiny"):
        (tmp_path / "models" / f"{name}.onnx").touch()
    monkeypatch.chdir(tmp_path)
    hint = zoo.unknown(asked).hint
    assert hint is not None
    assert all(name in hint for name in near)
    assert "hgnet" not in hint
