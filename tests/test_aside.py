"""Tables of exports: what the input does not go through is left out, and folders of names are said once."""

from __future__ import annotations

import io
from pathlib import Path

import onnx
import pytest
from onnx import parser
from rich.console import Console

import shapecalc
from shapecalc.cli.app import run
from shapecalc.report.aside import left_out, shown
from shapecalc.report.table import folded, print_trace_table
from shapecalc.trace import Layer

NET = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,3,H,W] x) => (float[N,K] y, int64[4] told)
<float[4,3,1,1] w = {1,2,3,4,5,6,7,8,9,10,11,12}, float[4] scale = {1,2,3,4}, float[4] bias = {1,2,3,4},
 int64[1] last = {-1}, int64 zero = {0}>
{
    kept = Identity (bias)
    doubled = Add (scale, scale)
    /a/b/conv = Conv (x, w, kept)
    /a/b/relu = Relu (/a/b/conv)
    told = Shape (x)
    size = Size (x)
    batch = Gather (told, zero)
    zeros = Unsqueeze (zero, zero)
    row = Unsqueeze (batch, zeros)
    target = Concat <axis = 0> (row, last)
    flat = Reshape (/a/b/relu, target)
    half = Mul (size, size)
    noise = RandomNormal <shape = [1]> ()
    more = Add (flat, noise)
    picked = Gather (doubled, batch)
    y = Add (more, picked)
}
"""


@pytest.fixture
def net() -> shapecalc.Model:
    made = parser.parse_model(NET.replace("/", "_"))
    return shapecalc.load(onnx.ModelProto.FromString(made.SerializeToString()))


def names(layers: list[Layer]) -> list[str]:
    return [layer.node.outputs[0] for layer in layers]


def test_layers_that_the_input_goes_through(net: shapecalc.Model) -> None:
    trace = net.trace((2, 3, 4, 4))
    layers = shown(trace)
    assert names(layers) == ["_a_b_conv", "_a_b_relu", "flat", "noise", "more", "y"]
    assert left_out(trace, trace.layers) == ""
    assert left_out(trace, layers).startswith("9 layers with 8 parameters are left out")
    alone = left_out(trace, [layer for layer in trace.layers if layer.op != "Size"])
    assert alone == "1 layer is left out: sizes and weights alone go through it; --all lists it"


def test_a_layer_that_does_not_fit_is_never_left_out(net: shapecalc.Model) -> None:
    wrong = NET.replace("/", "_").replace("picked = Gather (doubled, batch)", "picked = MatMul (scale, w)")
    trace = shapecalc.load(parser.parse_model(wrong)).trace((2, 3, 4, 4))
    assert [problem.layer for problem in trace.problems][:1] == [shown(trace)[-2].name]
    assert "picked" in names(shown(trace))


def test_a_definition_of_another_format_is_listed_whole() -> None:
    trace = shapecalc.load("alexnet").trace()
    assert shown(trace) == list(trace.layers)
    assert left_out(trace, shown(trace)) == ""


def test_a_table_says_what_it_leaves_out(net: shapecalc.Model) -> None:
    for every, told in ((False, True), (True, False)):
        console = Console(file=io.StringIO(), width=100)
        print_trace_table(net.trace((2, 3, 4, 4)), console, every=every)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert ("--all lists them" in text) is told
        assert ("Unsqueeze" in text) is every


@pytest.mark.parametrize("command", ["trace", "cost", "trace --dialect onnx,onnxruntime"])
def test_all_lists_every_layer(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(parser.parse_model(NET.replace("/", "_")), "net.onnx")
    word, *options = command.split()
    for flags, told in (([], True), (["--all"], False)):
        assert run([word, "net.onnx", "-i", "2x3x4x4", *options, *flags]) == 0
        text = capsys.readouterr().out
        assert ("left out" in text) is told
        assert ("Unsqueeze" in text) is not told


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["/a/b/norm/Mul", "/a/b/norm/longer_name/Add"], ["/a/b/norm/Mul", "…/longer_name/Add"]),
        (["/layers.0/norm/Mul", "/layers.0/attn/qkv/MatMul"], ["/layers.0/norm/Mul", "/layers.0/attn/qkv/MatMul"]),
        (
            ["/layers.0/Mul", "/layers.0/attn/qkv/Mul", "/layers.1/attn/qkv/Mul"],
            ["/layers.0/Mul", "…/attn/qkv/Mul", "/layers.1/attn/qkv/Mul"],
        ),
        (["conv1", "conv2_with_a_very_long_name"], ["conv1", "conv2_with_a_very_long_name"]),
        (["/a/Conv", "/a/Relu"], ["/a/Conv", "/a/Relu"]),
    ],
)
def test_a_folder_is_said_once(given: list[str], expected: list[str]) -> None:
    assert folded(given) == expected


def test_a_first_axis_that_is_no_batch_of_one_stays() -> None:
    text = NET.replace("/", "_").replace(
        "flat = Reshape (_a_b_relu, target)", "flat = Transpose <perm = [2, 0, 1, 3]> (_a_b_relu)"
    )
    trace = shapecalc.load(parser.parse_model(text)).trace((1, 3, 7, 5))
    console = Console(file=io.StringIO(), width=100)
    print_trace_table(trace, console)
    assert "7×1×4×5" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("size", "told"), [("2x3x4x4", "216 MACs"), ("?x3x?x?", "MACs as the input's size makes them")]
)
def test_counts_that_are_too_long_are_said_to_be_so(
    size: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = NET.replace("/", "_").replace(
        "Conv (x, w, kept)", "Conv <strides = [2, 3], pads = [1, 2, 0, 1]> (x, w, kept)"
    )
    onnx.save(parser.parse_model(text), "net.onnx")
    assert run(["trace", "net.onnx", "-i", size]) == 0
    assert told in capsys.readouterr().out
