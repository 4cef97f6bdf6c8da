"""A file is handed back in its own format, a zoo model as ONNX: the command line and `Plan.save`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import shapecalc
from shapecalc import zoo
from shapecalc.cli.app import run
from shapecalc.errors import RefusedError, UsageError
from shapecalc.surgery.new_head import ReplaceHead

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with two definitions under names of their own."""
    monkeypatch.chdir(tmp_path)
    for name, copy in (("caffenet", "net.prototxt"), ("alexnet", "alex.py")):
        path = zoo.find(name)
        assert path is not None
        shutil.copy(path, copy)
    return tmp_path


@pytest.mark.parametrize(("name", "head"), [("net.prototxt", "fc8_13"), ("alex.py", "fc8")])
def test_a_file_keeps_its_format(name: str, head: str, capsys: Capture, folder: Path) -> None:
    before = Path(name).read_bytes()
    assert run(["retarget", name, "--classes", "13", "--input", "256"]) == 0
    path = Path(name).with_stem(f"{Path(name).stem}-13classes-256")
    said = " ".join(capsys.readouterr().out.split())
    assert f"Wrote {path} ({path.stat().st_size:,} bytes); everything but the edit is as it was" in said
    assert "tensors have the predicted shape" in said
    assert sorted(p.name for p in folder.iterdir()) == sorted(["net.prototxt", "alex.py", path.name])
    assert Path(name).read_bytes() == before
    again = shapecalc.load(path).trace()
    assert again.ok
    assert again.inputs[0].shape == (1, 3, 256, 256)
    assert again.layer(head).outputs[0].shape == (1, 13)
    assert again.layer("fc6").weights[0].shape == (4096, 9216)


def test_the_suffix_of_the_output_decides(capsys: Capture) -> None:
    assert run(["retarget", "net.prototxt", "--classes", "13", "-o", "a.onnx"]) == 0
    assert run(["retarget", "caffenet", "--classes", "13", "-o", "b.prototxt", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert answer["path"] == "b.prototxt"
    assert answer["proof"]["ok"]
    assert [shapecalc.load(name).graph.format for name in ("a.onnx", "b.prototxt")] == ["onnx", "caffe"]
    assert run(["retarget", "net.prototxt", "--classes", "13", "-o", "a.py"]) == 2
    assert "a.py: results are written as ONNX or .prototxt" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["net.prototxt", "alex.py"])
def test_text_and_onnx_of_one_edit_have_the_same_trace(name: str) -> None:
    plan = shapecalc.load(name).retarget(classes=13, input=256)
    text, onnx = (shapecalc.load(plan.save(f"out{suffix}", device="cpu")) for suffix in (Path(name).suffix, ".onnx"))
    traces = [text.trace(), onnx.trace()]
    weights = [sorted(v.shape for layer in t.layers for v in layer.weights if v.shape) for t in traces]
    assert weights[0] == weights[1]
    maps = [[layer.outputs[0].shape for layer in t.layers if layer.op in ("Conv", "MaxPool", "Gemm")] for t in traces]
    assert maps[0] == maps[1]
    assert traces[0].outputs[0].shape == traces[1].outputs[0].shape == (1, 13)


def test_a_name_of_its_own_is_kept() -> None:
    Path("net.prototxt").rename("net.txt")
    plan = shapecalc.load("net.txt", format="caffe").retarget(classes=13)
    assert plan.file_name == "net-13classes.txt"
    plan.save("net-13classes.txt", device="cpu")
    assert "fc8_13" in Path("net-13classes.txt").read_text()
    text = Path("net.txt").read_text()
    assert shapecalc.loads(text, format="caffe", name="n").retarget(classes=13).file_name == "n-13classes.prototxt"
    assert shapecalc.load("caffenet").retarget(classes=13).file_name == "caffenet-13classes.onnx"


def test_text_holds_no_weights(capsys: Capture) -> None:
    assert run(["retarget", "net.prototxt", "--classes", "13", "--init"]) == 2
    assert "net-13classes.prototxt holds no weights that --init could initialise" in capsys.readouterr().err
    with pytest.raises(UsageError):
        shapecalc.load("net.prototxt").retarget(classes=13).save("a.prototxt", init=True)


def test_what_the_text_cannot_say_is_refused_before_anything_runs(
    capsys: Capture, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shapecalc.verify.plans.prove_plan", lambda *_, **__: pytest.fail("it ran"))
    text = Path("alex.py").read_text().replace("self.fc8 = L.Linear(4096, n_class)", "self.fc8 = top()")
    text = text.replace("self.fc7 = L.Linear(4096, 4096)", "self.fc7 = top()")
    text = text.replace("class AlexNet", "def top():\n    return L.Linear(None, 1000)\n\n\nclass AlexNet")
    Path("loop.py").write_text(text)
    assert run(["retarget", "loop.py", "--classes", "13"]) == 4
    error = capsys.readouterr().err
    assert error.startswith("loop.py:15: error[E303 edit]: the definition cannot say this edit")
    assert "try      write it as ONNX: -o result.onnx" in error
    assert sorted(path.name for path in folder.iterdir()) == ["alex.py", "loop.py", "net.prototxt"]


def test_a_text_that_does_not_read_as_the_plan_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the writer proposes is read again and compared: a head with other outputs than planned does not pass."""
    plan = shapecalc.load("net.prototxt").retarget(classes=13)
    plan.graph = ReplaceHead("fc8", "fc8_13", 1000, 12).apply(plan.model.graph)
    with pytest.raises(RefusedError, match="the definition cannot say this edit without changing more than it"):
        plan.save("out.prototxt", device="cpu")
    assert not Path("out.prototxt").exists()
