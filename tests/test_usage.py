"""What is typed wrongly: every message names what was typed and the way out, whichever typer reads the words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shapecalc
from shapecalc.cli.app import COMMANDS, run
from shapecalc.report.console import plain

Capture = pytest.CaptureFixture[str]

# words of a command line -> message, way out; both told whole
TYPED = [
    ("trace", "MODEL is missing", "a file, or a name that `shapecalc zoo` lists.; shapecalc trace --help"),
    ("match a", "WEIGHTS is missing", "a .caffemodel, .npz, .h5 or .keras.; shapecalc match --help"),
    ("trace alexnet 256", "too many words: 256", "--input 256"),
    ("trace alexnet resnet50", "too many words: resnet50", "shapecalc trace --help"),
    ("trace alexnet --inptu 3", "no option --inptu", "did you mean --input?"),
    ("trace alexnet --frsh", "no option --frsh", "did you mean --fresh?"),
    ("trace alexnet --xyzzy", "no option --xyzzy", "shapecalc trace --help"),
    ("-x", "no option -x", "shapecalc --help"),
    ("tarce", "no such command 'tarce'", "did you mean 'trace', 'retarget'?"),
    ("retarget --plan 0", "--plan 0: at least 1 is wanted", "shapecalc retarget --help"),
    ("retarget --plan=x", "--plan=x: a whole number is wanted", "shapecalc retarget --help"),
    ("sizes --limit 1000000", "--limit 1000000: at most 100000 is wanted", "shapecalc sizes --help"),
    ("verify alexnet --rtol x", "--rtol x: a number is wanted", "shapecalc verify --help"),
    ("cost alexnet --batch -4", "--batch -4: at least 1 is wanted", "shapecalc cost --help"),
]


@pytest.mark.parametrize(("words", "message", "hint"), TYPED, ids=[row[0] for row in TYPED])
def test_what_was_typed_and_what_is_wanted(words: str, message: str, hint: str, capsys: Capture) -> None:
    assert run(words.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    first, second = told.err.splitlines()
    assert first == f"error[E002 option]: {message}"
    assert second.startswith(f"  try      {hint}")


# an edit that cannot be -> how the first line ends, how the hint begins
WISHES = [
    ("--classes 13 --head conv1", "conv2 behind it has weights for 96 channels", "leave --head out"),
    ("--classes 13 --head fc7", "fc8 behind it has weights for 4,096", "leave --head out"),
    ("--classes 13 --head-init foo", "no start 'foo' of new weights", "one of zeros, normal, framework"),
    ("--input 256 --repair rebake", "fc6 expects 9216 inputs, pool5 gives 12544", "--repair insert-pool or window"),
    ("--input 256 --repair none", "fc6 expects 9216 inputs, pool5 gives 12544", "--repair insert-pool or window"),
    ("--input 256 --plan 99", "there is no plan 99", "1 to 5"),
    ("--input 256 --repair none --plan 2", "there is no plan 2", "--repair none takes none of the plans: leave one"),
    ("--classes 13 --plan 3", "there is no plan 3", "without --plan: it fits as it is"),
    ("--channels 0", "0 channels make no sense", "a whole number, 1 or more"),
    ("--mean nan", "--mean nan: these are no numbers", "--mean 123.7"),
    ("--mean 1,2", "--mean has 2 numbers, x 3 channels", "one number for all channels, or 3"),
    ("--std 1,0,1", "--std 1,0,1 cannot be divided by", "numbers above 0"),
    ("", "nothing to change", "--classes 13, --input 256, or both"),
]


@pytest.mark.parametrize(("words", "end", "hint"), WISHES, ids=[row[0] for row in WISHES])
def test_a_wish_that_cannot_be_names_the_one_that_can(words: str, end: str, hint: str, capsys: Capture) -> None:
    assert run(["retarget", "alexnet", "--dry-run", *words.split()]) in (2, 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(end)
    assert lines[-1].startswith(f"  try      {hint}")


def _odd_files() -> None:
    os.mkfifo("pipe.onnx")
    Path("loop.onnx").symlink_to("loop.onnx")
    Path("weights.npz").write_bytes(b"PK\x03\x04 and no more")
    with open("endless.prototxt", "wb") as file:
        file.truncate(1 << 36)  # sparse: no disk is used


FILES = [
    ("pipe.onnx", "error[E202 unreadable]: this is no file but a pipe or a device"),
    ("loop.onnx", "error[E202 unreadable]: this link leads nowhere"),
    ("weights.npz", "error[E202 unreadable]: this holds weights at most, not a definition"),
    ("endless.prototxt", "error[E202 unreadable]: 65,536 MB are too much for a definition that is text"),
]


@pytest.mark.parametrize(("name", "told"), FILES, ids=[row[0] for row in FILES])
def test_what_is_no_definition_is_told_for_what_it_is(
    name: str, told: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _odd_files()
    assert run(["trace", name]) == 3
    assert capsys.readouterr().err.splitlines()[0] == f"{name}: {told}"


def test_a_name_longer_than_any_file_has_is_unknown(capsys: Capture) -> None:
    assert run(["trace", "a" * 5000]) == 3
    assert "error[E201 unknown model]" in capsys.readouterr().err


# -- streams ----------------------------------------------------------------------------------------------------------


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    call = f'"{sys.executable}" -m shapecalc {line}'
    return subprocess.run(call, shell=True, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.mark.parametrize(
    ("line", "status"),
    [("zoo >&-", 0), ("trace lenet --json >&-", 0), ("trace nosuch 2>&-", 3), ("why --error - <&-", 2)],
)
def test_a_closed_stream_is_no_crash(line: str, status: int) -> None:
    done = shell(line)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)


def test_json_is_the_same_in_every_encoding() -> None:
    texts = [shell("trace lenet --json", PYTHONIOENCODING=coding).stdout for coding in ("ascii", "utf-8")]
    assert texts[0].isascii()
    assert not texts[1].isascii()
    assert json.loads(texts[0]) == json.loads(texts[1])


def test_plain_signs_keep_their_meaning_and_their_column() -> None:
    assert plain("fc6  256·7·7 = 12544 ≠ 9216 → 4096   4096") == "fc6  256*7*7 = 12544 != 9216 -> 4096  4096"
    assert plain("N ≡ 3 (mod 32), ≤ 9") == "N = 3 (mod 32), <= 9"


# -- help -------------------------------------------------------------------------------------------------------------


def test_help_at_80_columns_says_every_command_whole(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert "..." not in text.partition("Options:")[2]
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.about)}$", text, re.MULTILINE)


# an input of other channels -> what is expected of it, and how the hint goes; nothing is said of the file's weights
REPEAT = "an input of 3 channels (RGB): repeat or average the image's own"
CHANNELS = [
    ("224x320x3", "3 channels", "the channels come first here: 3x224x320"),
    (
        "4x227x227",
        "3 channels",
        "an input of 3 channels (RGB): repeat or average the image's own; or retarget --channels 4",
    ),
]


@pytest.mark.parametrize(("shape", "expected", "hint"), CHANNELS, ids=[row[0] for row in CHANNELS])
def test_channels_are_the_image_s_own(shape: str, expected: str, hint: str) -> None:
    problem = shapecalc.load("alexnet").trace(tuple(map(int, shape.split("x")))).problems[0]
    assert (problem.code, problem.expected, problem.hint, problem.cause) == ("E102", expected, hint, None)


def test_a_window_too_large_is_no_number_of_the_file() -> None:
    problem = shapecalc.load("alexnet").trace(10).problems[0]
    assert (problem.code, problem.cause) == ("E103", None)


# what nothing in the file asks for -> the warning
UNHEEDED = [
    ("alexnet", {"arguments": {"n_clas": 13}}, "--arg n_clas is given to nothing: zoo/alexnet.py does not ask for it"),
    ("lenet", {"class_name": "LeNet", "arguments": {"n_class": 3}}, None),
    ("vgg16", {"arguments": {"fc8.num_output": 13}}, "--arg fc8.num_output is given to nothing"),
    ("vgg16", {"class_name": "VGG"}, "--class-name VGG chooses nothing: this is no Chainer source"),
    ("mobilenet_v2", {"arguments": {"a": 1}}, "--arg a is given to nothing"),
]


@pytest.mark.parametrize(("name", "said", "warning"), UNHEEDED, ids=[f"{row[0]} {row[1]}" for row in UNHEEDED])
def test_what_nothing_asks_for_is_warned_of(name: str, said: dict[str, Any], warning: str | None) -> None:
    warnings = shapecalc.load(name, **said).graph.warnings
    assert [text.startswith(warning or "") for text in warnings] == [True] * (warning is not None)


def senseless() -> list[tuple[str, Callable[[], object]]]:
    model = shapecalc.load("lenet")
    return [
        ("a limit of 0 makes no sense", lambda: model.sizes(limit=0)),
        ("a batch of 0 makes no sense", lambda: model.cost(batch=0)),
        ("no phase 'DEPLOY'", lambda: shapecalc.load("lenet", phase="DEPLOY")),
        ("--mean nan makes no sense", lambda: model.retarget(mean=[float("nan")])),
    ]


@pytest.mark.parametrize(("message", "ask"), senseless(), ids=[row[0] for row in senseless()])
def test_a_question_that_makes_no_sense_is_refused_in_python_too(message: str, ask: Callable[[], object]) -> None:
    with pytest.raises(shapecalc.UsageError) as caught:
        ask()
    assert (caught.value.message, caught.value.exit_code) == (message, 2)
    assert caught.value.hint


def test_a_wish_there_is_not_is_named() -> None:
    with pytest.raises(TypeError, match=r"^retarget\(\) got an unexpected argument 'clases'$"):
        shapecalc.load("lenet").retarget(clases=3)


def test_answers_say_what_they_are() -> None:
    model = shapecalc.load("alexnet")
    assert repr(model.trace(256)) == "Trace('AlexNet', 22 layers, 1 problem)"
    assert repr(model.cost()) == "Cost('AlexNet', 249,513,376 bytes of weights, at most 2,323,200 held, at 'relu1')"
    assert repr(shapecalc.load("lenet").verify(device="cpu")) == "Report(cpu, 8 tensors, ok)"
