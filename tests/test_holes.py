"""What a definition leaves open: filled by ``--arg``, solved by ``sizes --solve``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import shapecalc
from shapecalc.cli.app import run
from shapecalc.errors import ModelError, UsageError
from shapecalc.sizes.holes import fill_hole

HEAD = 'input: "x" input_dim: 1 input_dim: 3 input_dim: 32 input_dim: 32\n'
CONV = 'layer {{ name: "{0}" type: "Convolution" bottom: "x" top: "{0}" convolution_param {{ {1} }} }}\n'
SUM = 'layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }\n'
A = CONV.format("a", "num_output: 200 kernel_size: 3 pad: 1 stride: 2")
LAZY = """
import chainer, chainer.links as L
class Net(chainer.Chain):
    def __init__(self, wide):
        super().__init__()
        with self.init_scope():
            self.a = L.Convolution2D(3, wide, 3)
            self.b = L.Convolution2D(32, 8, 3)
    def __call__(self, x):
        return self.b(self.a(x))
"""

ANY = "every whole number from 1"
#: format, text, hole, the size of its layer's map or None, the numbers that fit.
HOLES: list[tuple[str, str, str, int | None, str]] = [
    ("caffe", HEAD + CONV.format("a", "num_output: ? kernel_size: 3"), "a.num_output", None, ANY),
    ("caffe", HEAD + A + CONV.format("b", "num_output: ? kernel_size: 1 stride: 2") + SUM, "b.num_output", None, "200"),
    ("caffe", HEAD + A + CONV.format("b", "num_output: 200 kernel_size: 1 stride: ?") + SUM, "b.stride", None, "2"),
    ("caffe", HEAD + CONV.format("a", "num_output: 8 kernel_size: ?"), "a.kernel_size", None, "1 to 32"),
    ("caffe", HEAD + CONV.format("a", "num_output: 8 kernel_size: ?"), "a.kernel_size", 28, "5"),
    ("caffe", HEAD + CONV.format("a", "num_output: 6 kernel_size: 1 group: ?"), "a.group", None, "1, 3"),
    ("caffe", HEAD.replace("3", "?", 1) + A, "input.dim", None, ANY),
    ("chainer", LAZY, "wide", None, "32"),
]


@pytest.mark.parametrize("row", HOLES, ids=lambda row: f"{row[2]} {row[4]}")
def test_what_fits_a_hole(row: tuple[str, str, str, int | None, str]) -> None:
    format_, text, hole, to, fitting = row

    def opened(values: Mapping[str, Any] | None) -> shapecalc.Model:
        return shapecalc.loads(text, format=format_, arguments=values)

    spec = (3, 32, 32) if format_ == "chainer" else None
    assert fill_hole(opened, hole, spec, to=to).answer == fitting
    with pytest.raises(UsageError, match="leaves no 'other' open"):
        fill_hole(lambda _: shapecalc.load("alexnet"), "other")


def test_a_hole_is_told_with_the_way_to_fill_it() -> None:
    with pytest.raises(ModelError, match="num_output of a is left open") as caught:
        shapecalc.loads(HEAD + CONV.format("a", "num_output: ? kernel_size: 3"), format="caffe")
    assert caught.value.location == "<caffe>:2"
    assert "--arg a.num_output=…" in str(caught.value.hint)


def test_a_filled_definition_is_retargeted_and_its_hole_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fc = 'layer { name: "fc" type: "InnerProduct" bottom: "a" top: "fc" inner_product_param { num_output: 10 } }\n'
    Path("net.prototxt").write_text(HEAD + CONV.format("a", "num_output: ? kernel_size: 3") + fc)
    assert run(["retarget", "net.prototxt", "--arg", "a.num_output=6", "--classes", "13", "-o", "new.prototxt"]) == 0
    assert "num_output: ?" in Path("new.prototxt").read_text()
    capsys.readouterr()
    assert run(["sizes", "net.prototxt", "--solve", "a.num_output"]) == 0
    assert capsys.readouterr().out.splitlines()[1].strip() == "every whole number from 1"
