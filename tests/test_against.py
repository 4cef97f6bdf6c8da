"""A model held against its original, and shown a picture: verify --against, verify --image."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import numpy_helper

import shapecalc
from shapecalc.cli.app import run
from shapecalc.verify.against import Against, paired

CAFFE = """
name: "Small"
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 12 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 10 } }
"""


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.onnx"
    shapecalc.loads(CAFFE, format="caffe", name="small").convert(path, init=True, device="cpu")
    return path


def against(path: Path, original: Path, **asked: Any) -> Against:
    found = shapecalc.load(path).verify(against=original, device="cpu", **asked).against
    assert isinstance(found, Against)
    return found


def moved(path: Path, original: Path, by: float) -> Path:
    """The original with its last bias moved."""
    model = onnx.load(original)
    bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [10])
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + numpy.float32(by), bias.name))
    onnx.save(model, path)
    return path


def test_a_file_equals_itself(original: Path) -> None:
    found = against(original, original)
    assert [check.name for check in found.outputs] == ["fc"]
    assert (found.failures, found.worst.difference, found.first) == ([], 0.0, None)


@pytest.mark.parametrize(("by", "rtol", "ok"), [(0.5, None, False), (0.5, 10.0, True), (1e-7, None, True)])
def test_the_largest_difference_is_measured(by: float, rtol: float | None, ok: bool, original: Path) -> None:
    other = moved(original.with_name("moved.onnx"), original, by)
    report = shapecalc.load(other).verify(against=original, device="cpu", rtol=rtol)
    assert report.ok == ok
    assert report.against.worst.difference == pytest.approx(by, abs=1e-6)
    assert (report.against.first.name if not ok else "fc") == "fc"


def test_a_new_head_is_compared_before_it(original: Path) -> None:
    target = original.with_name("three.onnx")
    shapecalc.load(original).retarget(classes=3).save(target, device="cpu")
    found = against(target, original)
    assert found.outputs == []
    assert found.failures == []
    assert "conv" in {check.name for check in found.inside}
    assert [(row.name, row.shape, row.original) for row in found.apart if row.name == "fc"] == [("fc", (1, 3), (1, 10))]


def test_a_definition_is_held_against_the_file_made_of_it(original: Path, tmp_path: Path) -> None:
    """Weights of a definition without any are noise, and those of the file are not: this must be seen."""
    (tmp_path / "small.prototxt").write_text(CAFFE)
    assert against(tmp_path / "small.prototxt", original).failures


def test_what_does_not_take_the_same_input_is_not_compared(original: Path) -> None:
    gray = original.with_name("gray.onnx")
    shapecalc.load(original).retarget(channels=1).save(gray, device="cpu")
    with pytest.raises(shapecalc.RefusedError, match="does not take the same input") as caught:
        against(original, gray)
    assert caught.value.because


def test_names_are_paired_then_places() -> None:
    assert paired(["a", "b", "c"], ["c", "x"]) == {"c": "c", "a": "x"}
    assert paired([], ["x"]) == {}


def test_the_status_says_whether_they_are_equal(original: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = moved(original.with_name("moved.onnx"), original, 0.5)
    command = ["verify", str(other), "--device", "cpu", "--against"]
    assert run([*command, str(other)]) == 0
    assert "1 of 1 outputs are equal, largest difference 0 (fc)" in " ".join(capsys.readouterr().out.split())
    assert run([*command, str(original)]) == 1
    assert "0 of 1 outputs are equal, largest difference 5.0e-01" in " ".join(capsys.readouterr().out.split())
    assert run([*command, str(original), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["against"]["ok"], found["against"]["tensor"]) == (False, False, "fc")
    assert run([*command, "nosuch.onnx"]) == 3


# -- an image ----------------------------------------------------------------------------------------------------------

MEANS = """
name: "Means"
input: "data" input_shape { dim: 1 dim: 3 dim: 4 dim: 8 }
layer { name: "mean" type: "Pooling" bottom: "data" top: "mean" pooling_param { pool: AVE global_pooling: true } }
"""  # the scores are the means of the channels
RED = (200, 100, 0)


def picture(path: Path, size: tuple[int, int], colour: Any = RED, mode: str = "RGB") -> Path:
    images = pytest.importorskip("PIL.Image")
    images.new(mode, size, colour).save(path)
    return path


def scores(path: Path, **asked: Any) -> list[float]:
    """The mean of each channel that goes in."""
    seen = shapecalc.loads(MEANS, format="caffe").verify(image=path, device="cpu", **asked).seen
    found = {guess.place: guess.score for guess in seen.guesses}
    return [found[channel] for channel in range(3)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [200, 100, 0]),
        ({"bgr": True}, [0, 100, 200]),
        ({"mean": [50]}, [150, 50, -50]),
        ({"mean": [1, 2, 3], "std": [2, 2, 2]}, [99.5, 49, -1.5]),
        ({"bgr": True, "mean": [1, 2, 3]}, [-1, 98, 197]),
        ({"white": 1.0}, [200 / 255, 100 / 255, 0]),
        ({"white": 1.0, "mean": [0.5], "std": [0.25]}, [(200 / 255 - 0.5) * 4, (100 / 255 - 0.5) * 4, -2]),
        ({"resize": 16}, [200, 100, 0]),
    ],
)
def test_pixels_on_the_scale_of_the_net(asked: dict[str, Any], expected: list[float], tmp_path: Path) -> None:
    assert scores(picture(tmp_path / "red.png", (20, 10)), **asked) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("size", [(8, 4), (400, 4), (4, 400), (1, 1), (31, 17)])
def test_the_middle_of_an_image_of_any_size_is_cut_out(size: tuple[int, int], tmp_path: Path) -> None:
    assert scores(picture(tmp_path / "red.png", size)) == pytest.approx(RED, abs=1e-3)


@pytest.mark.parametrize(
    ("mode", "colour"), [("L", 70), ("RGBA", (70, 70, 70, 10)), ("CMYK", (0, 0, 0, 185)), ("P", 0)]
)
def test_images_of_other_modes(mode: str, colour: Any, tmp_path: Path) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    found = scores(picture(tmp_path / f"a.{suffix}", (8, 4), colour, mode))
    assert len({round(score) for score in found}) == 1


def test_the_centre_is_what_is_cut_out(tmp_path: Path) -> None:
    images = pytest.importorskip("PIL.Image")
    image = images.new("RGB", (24, 4), (0, 0, 0))
    image.paste((200, 100, 0), (8, 0, 16, 4))
    image.save(tmp_path / "middle.png")
    assert scores(tmp_path / "middle.png") == pytest.approx(RED, abs=1e-3)
    assert scores(tmp_path / "middle.png", resize=8)[0] > 199  # the middle of the middle, its edges blurred


def test_gray_nets_see_gray_images(tmp_path: Path) -> None:
    text = MEANS.replace("dim: 3", "dim: 1")
    seen = shapecalc.loads(text, format="caffe").verify(image=picture(tmp_path / "a.png", (8, 4)), device="cpu").seen
    assert seen.guesses[0].score == pytest.approx(0.299 * 200 + 0.587 * 100, abs=1)  # ITU-R 601-2 luma


def test_channels_last_and_a_batch(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "config": [
            {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [2, 4, 8, 3]}},
            {"class_name": "GlobalAveragePooling2D", "config": {"name": "mean", "data_format": "channels_last"}},
        ],
    }
    model = shapecalc.loads(json.dumps(config), format="keras")
    seen = model.verify(image=picture(tmp_path / "a.png", (8, 4)), device="cpu").seen
    assert [round(guess.score) for guess in seen.guesses] == [200, 100, 0]


def test_classes_are_named(original: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = original.with_name("names.txt")
    names.write_text("cat\ndog\nbird\n")
    target = original.with_name("named.onnx")
    assert run(["retarget", str(original), "--names", str(names), "-o", str(target), "--device", "cpu"]) == 0
    image = picture(original.with_name("a.png"), (12, 8))
    capsys.readouterr()
    assert run(["verify", str(target), "--image", str(image), "--device", "cpu", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)["seen"]
    assert {row["name"] for row in seen["top"]} == {"cat", "dog", "bird"}
    assert [row["score"] for row in seen["top"]] == sorted((row["score"] for row in seen["top"]), reverse=True)
    assert run(["verify", str(target), "--image", str(image), "--device", "cpu"]) == 0
    assert f"{seen['top'][0]['name']} {seen['top'][0]['score']:.4g}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"mean": [1, 2]}, "--mean has 2 numbers, the image 3 channels"),
        ({"std": [0]}, "its numbers are above 0"),
        ({"resize": 3}, "--resize 3 is too small to cut the net's 4×8 out"),
    ],
)
def test_what_makes_no_sense_of_an_image(asked: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(shapecalc.UsageError, match=words):
        scores(picture(tmp_path / "a.png", (8, 4)), **asked)


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, None])
def test_what_is_no_image(data: bytes | None, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    if data is not None:
        (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(shapecalc.UsageError, match="cannot be read as an image"):
        scores(tmp_path / "a.png")


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(shapecalc.UsageError, match="Pillow, which is not installed") as caught:
        scores(tmp_path / "a.png")
    assert caught.value.hint == f"{shlex.quote(sys.executable)} -m pip install pillow"


def test_options_of_an_image_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "lenet", "--bgr"]) == 2
    assert "are about an image" in capsys.readouterr().err
