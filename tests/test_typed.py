"""Commands that messages print: pasted, they open the same reading of the definition and do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shapecalc
from shapecalc import literal
from shapecalc.cli.app import run
from shapecalc.formats import Options

NET = """
import chainer, chainer.functions as F, chainer.links as L
class Other(chainer.Chain):
    def __init__(self):
        super().__init__(conv=L.Convolution2D(3, 4, 3))
    def __call__(self, x):
        return self.conv(x)
class Net(chainer.Chain):
    def __init__(self, insize, width, kind, n_class=5):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, width, 3)
            self.fc = L.Linear(None, n_class)
        self.insize, self.kind = insize, kind
    def __call__(self, x):
        h = F.max_pooling_2d(self.conv(x), 2)
        if self.kind == 'a b':
            h = F.relu(h)
        return self.fc(h)
"""
GIVEN = ["--class-name", "Net", "--arg", "insize=32", "--arg", "width=4", "--arg", "kind=a b"]

STAGED = """
layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' include { stage: 'deep' }
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: 'pool' type: 'Pooling' bottom: 'conv' top: 'pool' include { stage: 'deep' }
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: 'drop' type: 'Dropout' bottom: 'pool' top: 'drop' include { phase: TRAIN } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'pool' top: 'fc' inner_product_param { num_output: 5 } }
"""
DEEP = ["--stage", "deep"]
OPEN = """
layer { name: 'data' type: 'Data' top: 'data' top: 'label' transform_param { crop_size: 32 }
  data_param { batch_size: 2 } }
layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: 'pool' type: 'Pooling' bottom: 'conv' top: 'pool' pooling_param { kernel_size: 2 stride: 2 } }
layer { name: 'fc' type: 'InnerProduct' bottom: 'pool' top: 'fc' inner_product_param { num_output: 5 } }
layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'fc' bottom: 'label' top: 'loss' }
"""
HEADLESS = STAGED[: STAGED.index("layer { name: 'fc'")] + "layer { name: 'on' type: 'ReLU' bottom: 'pool' top: 'on' }"

#: (text, suffix, what was typed, the exit status, what then does what the message says)
MESSAGES = [
    (NET, "py", ["trace", *GIVEN, "-i", "64"], 0, r"(shapecalc retarget .*) carries out 1"),
    (NET, "py", ["why", *GIVEN, "-i", "64", "--no-run"], 0, r"(shapecalc retarget .* --input 64)$"),
    (NET, "py", ["why", *GIVEN, "-i", "64", "--no-run"], 0, r"(shapecalc retarget .* --plan 2)$"),
    (NET, "py", ["verify", *GIVEN, "-i", "64"], 1, r"(shapecalc trace .*) shows what would"),
    (STAGED, "prototxt", ["trace", *DEEP, "-i", "64"], 0, r"(shapecalc retarget .*) carries out 1"),
    (STAGED, "prototxt", ["trace", *DEEP, "--phase", "TRAIN", "-i", "64"], 0, r"(shapecalc retarget .*) carries out 1"),
    (HEADLESS, "prototxt", ["retarget", *DEEP, "--classes", "9"], 4, r"(shapecalc cut .*) writes its features"),
    (OPEN, "prototxt", ["trace", "-i", "3x64x64"], 0, r"(shapecalc retarget .*) carries out 1"),
]


@pytest.mark.parametrize(("text", "suffix", "typed", "status", "command"), MESSAGES)
def test_a_command_that_a_message_prints_runs(
    text: str,
    suffix: str,
    typed: list[str],
    status: int,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / f"the net.{suffix}").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    assert run([typed[0], f"the net.{suffix}", *typed[1:]]) == status
    said = "".join(capsys.readouterr())
    found = re.search(command, said, re.MULTILINE)
    assert found, said
    program, *words = shlex.split(found[1])
    assert (program, run(words)) == ("shapecalc", 0)


#: (what was typed, what is asked for) where a definition is not read without more: the flags there were come first
ASKED = [
    ([], "--class-name Net"),
    (["--arg", "width=4"], "--arg width=4 --class-name Net"),
    (["--class-name", "Net", "--arg", "width=4"], "--class-name Net --arg width=4 --arg insize=… --arg kind=…"),
]


@pytest.mark.parametrize(("typed", "asked"), ASKED)
def test_what_is_missing_is_asked_for_beside_what_was_given(
    typed: list[str], asked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.py").write_text(NET)
    assert run(["trace", str(tmp_path / "model.py"), *typed]) == 3
    assert capsys.readouterr().err.strip().endswith(asked)


def test_another_phase_is_asked_for_with_the_stages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(STAGED.replace("bottom: 'pool' top: 'fc'", "bottom: 'drop' top: 'fc'"))
    assert run(["trace", str(path), "--stage", "deep"]) == 3
    assert "phase TRAIN: --stage deep --phase TRAIN" in capsys.readouterr().err


#: (options, how they are typed)
FLAGS = [
    (Options(), ()),
    (Options("TRAIN", ("a", "b c"), level=2), ("--phase TRAIN", "--stage a", "--stage 'b c'", "--level 2")),
    (Options(class_name="A", arguments={"n": 3, "s": "max"}), ("--class-name A", "--arg n=3", "--arg s=max")),
    (Options(arguments={"t": "3", "l": (1, 2)}), ("""--arg 't='"'"'3'"'"''""", "--arg 'l=(1, 2)'")),
]


@pytest.mark.parametrize(("options", "typed"), FLAGS)
def test_options_as_they_are_typed(options: Options, typed: tuple[str, ...]) -> None:
    assert options.flags == typed


SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 300), st.integers(1, 300))


@given(shape=SHAPES, other=st.none() | SHAPES)
def test_spelled_shapes_are_read_again(
    shape: tuple[int, int, int, int], other: tuple[int, int, int, int] | None
) -> None:
    """The words for shapes mean these shapes, and a shape as declared is said only of the first input."""
    inputs = "".join(f"input: '{name}' input_shape {{ dim: 1 dim: 3 dim: 32 dim: 32 }}\n" for name in "ab")
    join = "layer { name: 'j' type: 'Concat' bottom: 'a' bottom: 'b' top: 'j' }"
    graph = shapecalc.loads(inputs + join, format="caffe").graph
    wanted = {"a": shape, "b": other or (1, 3, 32, 32)}
    said = literal.spelled(graph, wanted, graph.inputs[0])
    assert literal.feeds(graph, said, graph.inputs[0]) == wanted
    assert len(said) == 1 + (wanted["b"] != (1, 3, 32, 32))
