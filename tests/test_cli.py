"""The command line as a stranger meets it: answers, errors and exit statuses, in an empty folder."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest

from shapecalc.cli.app import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def shapecalc(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A whole process, its output piped."""
    env = {key: value for key, value in os.environ.items() if key != "COLUMNS"} | environment
    command = [sys.executable, "-m", "shapecalc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, encoding="utf-8")


# -- trace ------------------------------------------------------------------------------------------------------------

AT_256 = """\
conv1   ⌊(256 + 2·0 − 11)/4⌋ + 1 = 62   96×62×62    34,944   134.0M    11      4
pool5   (15 + 2·0 − 3)/2 + 1 = 7        256×7×7                       195     32
fc6     256·7·7 = 12544 ≠ 9216 → 4096   4096         37.8M    37.7M   387     32
fc8     4096 → 1000                     1000          4.1M     4.1M   387     32
62,378,344 parameters, 1,479,745,664 MACs; receptive field 195, jump 32 at pool5
conv1: (256 + 2·0 − 11)/4 + 1 = 62.25 is not whole: floor to 62, one row at the
bottom and one column on the right are never seen
  expected 9,216 = 256·6·6
  actual   12,544 = 256·7·7
  try      199 to 230 fit as they are (square inputs)
""".splitlines()


def test_trace_at_256_says_what_why_and_what_would(capsys: Capture) -> None:
    assert run(["trace", "alexnet", "--input", "256"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in AT_256 if line not in lines] == []
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.endswith(" ")]


def test_strict_answers_no(capsys: Capture) -> None:
    assert run(["trace", "alexnet", "--input", "256", "--strict"]) == 1
    assert run(["trace", "alexnet", "--input", "227", "--strict"]) == 0
    assert "error[" not in capsys.readouterr().err


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
@pytest.mark.parametrize("model", ["alexnet", "googlenet", "mobilenet_v2"])
def test_no_line_is_wider_than_the_terminal(
    model: str, width: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["trace", model, "--input", "224"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "conv1" in out


def test_columns_add_up_to_the_totals(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run(["trace", "vgg16"])
    lines = capsys.readouterr().out.splitlines()
    end = lines[2].index("Params") + len("Params")
    cells = [line[end - 12 : end].strip() for line in lines[4:] if len(line) > end]
    assert sum(int(cell.replace(",", "")) for cell in cells if cell) == 138_357_544


def test_json_holds_everything(capsys: Capture) -> None:
    assert run(["trace", "alexnet", "-i", "256", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "shapecalc.trace/1"
    assert (answer["ok"], answer["params"], answer["macs"]) == (False, 62_378_344, 1_479_745_664)
    assert answer["layers"][0]["outputs"] == [{"name": "conv1", "shape": [1, 96, 62, 62]}]
    (problem,) = answer["problems"]
    assert (problem["code"], problem["layer"], problem["also"]) == ("E101", "fc6", ["pool5"])
    assert answer["advice"]["sizes"] == [199, 230]
    assert answer["advice"]["repairs"][0]["name"] == "insert-pool"


@pytest.mark.parametrize(
    "flag",
    [
        "-i",
        "--input",
        "--input-shape",
        "--input-shapes",
        "--inputs",
        "--shapes",
        "--overwrite-input-shape",
        "--override-input-shapes",
        "--input_shape",
    ],
)
@pytest.mark.parametrize("shape", ["227", "227x227", "3x227x227", "1x3x227x227", "x:1,3,227,227", "x[1,3,227,227]"])
def test_every_spelling_of_the_input(flag: str, shape: str, capsys: Capture) -> None:
    assert run(["trace", "alexnet", flag, shape, "--strict"]) == 0
    assert "input x 1×3×227×227" in capsys.readouterr().out


# -- retarget ---------------------------------------------------------------------------------------------------------


def test_the_main_job(capsys: Capture, empty_folder: Path) -> None:
    assert run(["retarget", "alexnet", "--classes", "13", "--input", "256"]) == 0
    out = capsys.readouterr().out
    for text in (
        "head fc8 → fc8_13: 1000 → 13 classes, new weights",
        "input x: 1×3×227×227 → 1×3×256×256",
        "insert average pooling pool5_fit (2×2, stride 1) after pool5: 7×7 → 6×6",
        "24 of 24 tensors have the predicted shape",
        "before the first edit, 15 of 15 tensors hold the same numbers",
        "placeholders",
    ):
        assert text in out
    assert [path.name for path in empty_folder.iterdir()] == ["alexnet-13classes-256.onnx"]
    written = onnx.load("alexnet-13classes-256.onnx")
    onnx.checker.check_model(written, full_check=True)
    assert "fc8_13" in [node.name for node in written.graph.node]
    assert {p.key for p in written.metadata_props} >= {"shapecalc.placeholder_weights", "shapecalc.source"}
    session = onnxruntime.InferenceSession("alexnet-13classes-256.onnx", providers=["CPUExecutionProvider"])
    assert [o.shape for o in session.get_outputs()] == [[1, 13]]
    assert Path("alexnet-13classes-256.onnx").stat().st_size < 20_000


def test_no_model_named_is_alexnet(capsys: Capture) -> None:
    assert run(["retarget", "--classes", "13", "--dry-run"]) == 0
    assert "fc8 → fc8_13" in capsys.readouterr().out
    assert list(Path().iterdir()) == []


def test_initialised_weights_are_written_and_seeded(capsys: Capture) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(["retarget", "lenet", "--classes", "3", "--init", "--seed", seed, "-o", f"{name}.onnx"]) == 0
    a, b, c = (Path(f"{name}.onnx").read_bytes() for name in "abc")
    assert a == b != c
    assert len(a) > 4 * 431_080 * 0.9
    assert "initialised, not trained" in capsys.readouterr().out


def test_an_onnx_file_keeps_every_byte_of_its_other_weights(capsys: Capture) -> None:
    run(["retarget", "lenet", "--classes", "10", "--init", "-o", "trained.onnx"])
    assert run(["retarget", "trained.onnx", "--classes", "7"]) == 0
    assert "copied byte for byte" in " ".join(capsys.readouterr().out.split())
    old, new = (onnx.load(name) for name in ("trained.onnx", "trained-7classes.onnx"))
    before = {t.name: t.SerializeToString() for t in old.graph.initializer}
    after = {t.name: t.SerializeToString() for t in new.graph.initializer}
    kept = before.keys() & after.keys()
    assert len(kept) >= 6
    assert all(before[name] == after[name] for name in kept)
    assert {name for name in after if name not in before} == {"fc4_7/W", "fc4_7/b"}


@pytest.mark.parametrize(
    "command",
    [["retarget", "trained.onnx", "--classes", "7"], ["cut", "trained.onnx", "--features"], ["convert", "lenet"]],
    ids=lambda c: c[0],
)
def test_unproved_is_the_same_file_and_said_aloud(
    command: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(["retarget", "lenet", "--classes", "10", "--init", "-o", "trained.onnx"])
    assert run([*command, "-o", "proved.onnx"]) == 0
    assert "nothing was proved" not in capsys.readouterr().err
    for name in ("device.make_session", "run.make_session"):  # nothing may be loaded
        monkeypatch.setattr(f"shapecalc.verify.{name}", lambda *_: pytest.fail("it was run"))
    assert run([*command, "--no-verify", "-o", "unproved.onnx"]) == 0
    out, err = capsys.readouterr()
    assert "nothing was proved" in err
    assert "Proved by running" not in out
    assert "unproved.onnx" in out
    assert Path("unproved.onnx").read_bytes() == Path("proved.onnx").read_bytes()
    assert run([*command, "--no-verify", "-o", "unproved.onnx"]) == 2  # what exists stays
    capsys.readouterr()
    assert run([*command, "--no-verify", "--overwrite", "--json", "-o", "unproved.onnx"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["proof"] is None
    assert "nothing was proved" in err


def test_another_plan_and_a_named_repair(capsys: Capture) -> None:
    assert run(["retarget", "alexnet", "--input", "256", "--plan", "2", "--dry-run"]) == 0
    assert "change pool5: 3×3, stride 2 → 5×5, stride 2" in capsys.readouterr().out
    assert run(["retarget", "alexnet", "--input", "256", "--repair", "window", "--dry-run"]) == 0
    assert "change pool5" in capsys.readouterr().out


def test_an_output_that_exists_stays(capsys: Capture) -> None:
    target = Path("alexnet-13classes.onnx")
    target.write_text("precious")
    assert run(["retarget", "--classes", "13"]) == 2
    assert target.read_text() == "precious"
    assert capsys.readouterr().err == (
        "error[E003 output]: alexnet-13classes.onnx exists\n  try      --overwrite replaces it, -o names another file\n"
    )


# -- errors -----------------------------------------------------------------------------------------------------------

ERRORS = [
    (["trace", "alexnt"], 3, "error[E201 unknown model]: no file and no zoo model is called 'alexnt'"),
    (["trace", "folder"], 3, "folder: error[E202 unreadable]: this is a folder, not a definition"),
    (["trace", "empty.py"], 3, "empty.py: error[E202 unreadable]: the file is empty"),
    (["trace", "junk.onnx"], 3, "junk.onnx: error[E202 unreadable]: this is not an ONNX model, or it is damaged"),
    (["trace", "junk.bin"], 3, "junk.bin: error[E202 unreadable]: this is none of the formats shapecalc reads"),
    (
        ["trace", "typo.prototxt"],
        3,
        "typo.prototxt:2: error[E204 unsupported layer]: a is of type 'Convolutio', which is not read",
    ),
    (["trace", "cut.prototxt"], 3, "cut.prototxt:1: error[E203 syntax]"),
    (["trace", "cut.py"], 3, "cut.py:1: error[E203 syntax]: this is not Python: '(' was never closed"),
    (["trace", "alexnet", "-i", "0"], 2, "error[E001 shape literal]: '0' is not a shape: 0 is not a size"),
    (["trace", "alexnet", "-i", "5x"], 2, "error[E001 shape literal]: '5x' is not a shape: a dimension is missing"),
    (["trace", "alexnet", "-i", "9999999999999"], 2, "error[E001 shape literal]"),
    (["trace", "alexnet", "-i", "y:3"], 2, "error[E001 shape literal]: there is no input 'y'"),
    (["trace", "alexnet", "--dialect", "mxnet"], 2, "error[E002 option]: no dialect 'mxnet'"),
    (["retarget", "alexnet"], 2, "error[E002 option]: nothing to change"),
    (["retarget", "--classes", "0"], 2, "error[E002 option]: 0 classes make no sense"),
    (["retarget", "--classes", "13", "-o", "folder"], 2, "error[E003 output]: folder is a folder"),
    (["retarget", "--classes", "13", "-o", "no/a.onnx"], 2, "error[E003 output]: there is no folder no"),
    (["retarget", "alexnet", "--input", "64"], 4, "error[E302 no repair]: no weightless repair makes it fit"),
    (["verify", "alexnet", "-i", "256"], 1, "error[E101 fan-in]: it does not fit, so there is nothing to run"),
    (["convert", "mobilenet_v2"], 2, "error[E002 option]: mobilenet_v2 is ONNX already"),
    (
        ["convert", "alexnet", "-i", "256", "--no-verify"],
        4,
        "error[E101 fan-in]: it does not fit, so there is nothing to run",
    ),
]


@pytest.mark.parametrize(("arguments", "status", "first"), ERRORS, ids=[" ".join(row[0]) for row in ERRORS])
def test_bad_input_is_one_clear_error(
    arguments: list[str], status: int, first: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    Path("folder").mkdir()
    Path("empty.py").touch()
    Path("junk.onnx").write_bytes(b"garbage")
    Path("junk.bin").write_bytes(b"\xff\xfe\x00junk")
    Path("typo.prototxt").write_text('input: "d"\nlayer { name: "a" type: "Convolutio" bottom: "d" top: "a" }\n')
    Path("cut.prototxt").write_text('layer { name: "a"')
    Path("cut.py").write_text("def f(")
    before = sorted(Path().iterdir())
    assert run(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert first in captured.err.splitlines()[0]
    assert "Traceback" not in captured.err
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("shape", "code"),
    [("7", "E103 kernel too large"), ("1x227x227", "E102 channels"), ("1x5x227x227", "E102 channels")],
)
def test_what_the_net_cannot_take_is_a_problem_and_an_answer(shape: str, code: str, capsys: Capture) -> None:
    assert run(["trace", "alexnet", "-i", shape]) == 0
    assert f"error[{code}]" in capsys.readouterr().out


# -- other commands, pipes, encodings ---------------------------------------------------------------------------------


def test_convert_gives_a_model_onnx_accepts(capsys: Capture) -> None:
    assert run(["convert", "squeezenet", "-o", "s.onnx"]) == 0
    onnx.checker.check_model(onnx.load("s.onnx"), full_check=True)
    assert "tensors have the predicted shape" in capsys.readouterr().out
    assert run(["verify", "s.onnx"]) == 0


def test_sizes(capsys: Capture) -> None:
    assert run(["sizes", "alexnet", "--near", "256"]) == 0
    out = capsys.readouterr().out
    assert "square N×N  199 to 230" in out
    assert "N ≡ 3 (mod 32): every division whole; of these fit 227" in out
    assert "near 256    230 (below or at 230, above or at none)" in out
    assert "39 to 198, 231 and up: fc6 (fan-in)" in out
    assert run(["sizes", "alexnet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["intervals"] == [[199, 230]]


def test_zoo_lists_every_name(capsys: Capture) -> None:
    from shapecalc import zoo

    assert run(["zoo"]) == 0
    out = capsys.readouterr().out
    assert [name for name in zoo.entries() if name not in out] == []


def test_version_and_help(capsys: Capture) -> None:
    from shapecalc import __version__

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"shapecalc {__version__}\n"
    assert run(["trace", "--help"]) == 0
    assert "--input" in capsys.readouterr().out
    assert run(["nonsense"]) == 2


def test_a_pipe_gets_plain_text() -> None:
    done = shapecalc("trace", "alexnet", "--input", "256", FORCE_COLOR="", NO_COLOR="1")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_an_ascii_terminal_gets_ascii() -> None:
    done = shapecalc("trace", "lenet", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "(28 + 2*0 - 5)/1 + 1 = 24" in done.stdout
    assert done.stdout.isascii()


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m shapecalc trace googlenet | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("googlenet")
    assert done.stderr == ""
