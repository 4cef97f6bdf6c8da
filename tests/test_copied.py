"""What a report says of copied weights, against the bytes of the two files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

import shapecalc
from shapecalc.cli.app import run
from shapecalc.verify.copied import Copied, Lines, lines_of

CAFFE = """
name: "Small"
# three layers with weights
input: "data" input_shape { dim: 1 dim: 3 dim: 20 dim: 20 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 6 } }
layer { name: "last" type: "InnerProduct" bottom: "fc" top: "last" inner_product_param { num_output: 10 } }
"""
PLANS: dict[str, tuple[Callable[[shapecalc.Model], Any], int]] = {
    "classes": (lambda model: model.retarget(classes=3), 2),
    "size": (lambda model: model.retarget(input=24), 0),
    "channels": (lambda model: model.retarget(channels=1), 1),
    "channels and classes": (lambda model: model.retarget(channels=1, classes=3), 3),
    "mean": (lambda model: model.retarget(mean=[1, 2, 3]), 1),
    "cut": (lambda model: model.cut("fc"), 0),
}  # and how many tensors are new


def stored(path: Path, *, typed: bool = False) -> Path:
    """The small net as ONNX; ``typed``: numbers in fields of their type, as old exporters write them."""
    shapecalc.loads(CAFFE, format="caffe", name="small").convert(path, init=True, device="cpu")
    if typed:
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            tensor.float_data.extend(onnx.numpy_helper.to_array(tensor).ravel().tolist())
            tensor.ClearField("raw_data")
        path.write_bytes(model.SerializeToString())
    return path


def numbers(path: Path) -> dict[str, bytes]:
    """Tensor -> the bytes of its numbers as the file has them."""
    found = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    return {name: tensor.raw_data or bytes(tensor.SerializeToString()) for name, tensor in found.items()}


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("wish", PLANS)
def test_what_is_said_to_be_copied_is_there_byte_for_byte(wish: str, typed: bool, tmp_path: Path) -> None:
    original = stored(tmp_path / "small.onnx", typed=typed)
    make, fresh = PLANS[wish]
    plan = make(shapecalc.load(original))
    plan.save(tmp_path / "out.onnx", device="cpu")
    old, new = numbers(original), numbers(tmp_path / "out.onnx")
    same = {name for name in new if old.get(name) == new[name]}
    assert isinstance(plan.copied, Copied)
    assert plan.copied.copied.tensors == len(same)
    assert plan.copied.new.tensors == len(new) - len(same) == fresh
    assert plan.copied.encoded.tensors == plan.copied.beside.tensors == plan.copied.placeholders.tensors == 0
    if not typed:
        data = original.read_bytes()
        assert plan.copied.copied.bytes == sum(len(new[name]) for name in same)
        assert plan.copied.new.bytes == sum(len(new[name]) for name in new if name not in same)
        assert all(data.count(new[name]) for name in same)


def test_external_data_stays_beside(tmp_path: Path) -> None:
    whole = stored(tmp_path / "whole.onnx")
    onnx.save(onnx.load(whole), tmp_path / "a.onnx", save_as_external_data=True, location="a.bin", size_threshold=100)
    large = sum(len(data) >= 100 for data in numbers(whole).values())
    data = (tmp_path / "a.bin").read_bytes()
    plan = shapecalc.load(tmp_path / "a.onnx").retarget(channels=1)
    plan.save(tmp_path / "b.onnx", device="cpu")
    assert isinstance(plan.copied, Copied)
    assert plan.copied.beside.tensors == large - 1  # the first convolution's weight is new
    assert (tmp_path / "a.bin").read_bytes() == data


def test_placeholders_are_no_weights(tmp_path: Path) -> None:
    shapecalc.loads(CAFFE, format="caffe", name="small").convert(tmp_path / "small.onnx", device="cpu")
    plan = shapecalc.load(tmp_path / "small.onnx").retarget(classes=3)
    plan.save(tmp_path / "out.onnx", device="cpu")
    nodes = [node for node in onnx.load(tmp_path / "out.onnx").graph.node if node.op_type == "ConstantOfShape"]
    assert isinstance(plan.copied, Copied)
    assert plan.copied.placeholders.tensors == len(nodes) == 6


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("a\nb\nc\n", "a\nb\nc\n", Lines(3, 0)),
        ("a\nb\nc\n", "a\nx\nc\n", Lines(2, 1)),
        ("a\nb\nc\n", "a\nc\n", Lines(2, 0)),
        ("", "a\n", Lines(0, 1)),
    ],
)
def test_lines(before: str, after: str, found: Lines) -> None:
    assert lines_of(before, after) == found


def test_a_prototxt_says_how_many_lines_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.prototxt").write_text(CAFFE)
    target = tmp_path / "b.prototxt"
    assert run(["retarget", str(tmp_path / "a.prototxt"), "--classes", "3", "-o", str(target), "--device", "cpu"]) == 0
    old, new = CAFFE.splitlines(), target.read_text().splitlines()
    assert len(old) == len(new)
    differ = sum(a != b for a, b in zip(old, new, strict=True))
    assert differ == 1
    said = f"1 line is new or changed, {len(new) - differ} are the original's"
    assert said in " ".join(capsys.readouterr().out.split())


def test_the_counts_in_json_and_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = stored(tmp_path / "small.onnx")
    command = ["retarget", str(original), "--classes", "3", "--device", "cpu", "-o"]
    assert run([*command, str(tmp_path / "a.onnx"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["copied"]
    assert found["copied"] == {"tensors": 4, "bytes": 4 * (4 * 27 + 4 + 6 * 324 + 6)}
    assert found["new"] == {"tensors": 2, "bytes": 4 * (3 * 6 + 3)}
    assert run([*command, str(tmp_path / "b.onnx")]) == 0
    printed = capsys.readouterr().out
    assert "4 tensors (8,248 bytes) lie inside spans that were copied verbatim" in printed
    assert "2 tensors (84 bytes) are new" in printed
