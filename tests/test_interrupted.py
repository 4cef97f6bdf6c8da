"""Interrupted at any moment: the old file or the new one, never a part, in every format; nothing is left behind.

Killed at every step and by the clock, a full disk, a folder that cannot be written, an output that is the input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import shapecalc
from shapecalc.cli.app import run

CAFFE = """
name: "Small"
input: "data" input_shape { dim: 1 dim: 3 dim: 20 dim: 20 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 10 } }
"""
CHAINER = """
import chainer
import chainer.links as L


class Small(chainer.Chain):
    insize = 20

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, 4, 3)
            self.fc = L.Linear(None, 10)

    def __call__(self, x):
        return self.fc(self.conv(x))
"""
posix = pytest.mark.skipif(os.name != "posix", reason="fork, signals, limits")
KINDS = ("stored.onnx", "external.onnx", "net.prototxt", "net.py", "net.json", "net.keras", "net.h5")


def net(folder: Path, name: str) -> Path:
    """A small net in one format, in a folder of its own."""
    path = folder / name
    if path.suffix == ".onnx":
        whole = folder / "whole.onnx"
        shapecalc.loads(CAFFE, format="caffe", name="small").convert(whole, init=True, device="cpu")
        model = onnx.load(whole)
        whole.unlink()
        beside = name == "external.onnx"
        onnx.save(model, path, save_as_external_data=beside, location="weights.bin", size_threshold=100)
    elif path.suffix in (".prototxt", ".py"):
        path.write_text(CAFFE if path.suffix == ".prototxt" else CHAINER)
    else:
        pytest.importorskip("h5py")
        from test_weights_keras import FILES, LAYERS, NET, by_name

        kinds = {".json": NET.encode(), ".h5": by_name(LAYERS, NET), ".keras": FILES["an archive"][1]}
        path.write_bytes(kinds[path.suffix])
    return path


def head(name: str) -> str:
    """The layer that gives the classes: the last convolution of the Keras nets, whose map could be anything."""
    return "d" if name.endswith((".json", ".keras", ".h5")) else "fc"


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with what it holds, temporary ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# -- killed ------------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("name", [*KINDS, "elsewhere/external.onnx"])
def test_killed_at_every_step_the_old_file_or_the_new_one_is_there(name: str, tmp_path: Path) -> None:
    folder, _, name = name.rpartition("/")  # of the output: a file of weights is copied there too
    (tmp_path / folder).mkdir(exist_ok=True)
    source = net(tmp_path, name)
    target = tmp_path / folder / f"out{source.suffix}"
    before = files(tmp_path)
    target.write_bytes(b"old")
    script = [sys.executable, str(Path(__file__).with_name("interrupt.py")), str(source), str(target), head(name)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["neither"] == seen["torn"] == 0
    assert seen["deaths"] >= seen["steps"] >= 4  # opened, locked, renamed, removed, at least
    assert seen["old"] >= 4
    assert seen["new"] >= 1
    assert seen["left"] >= 1  # there was something to remove
    assert seen["behind"] == []
    assert seen["whole"]
    target.unlink()
    assert files(tmp_path) == before
    assert not folder or files(target.parent) == {"weights.bin": before["weights.bin"]}


# -- no room, no right -------------------------------------------------------------------------------------------------

FULL = """
import resource, signal, sys
from pathlib import Path
import shapecalc
source, target, head, *limits = sys.argv[1:]
plan = shapecalc.load(source).retarget(classes=3, head=[head])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in map(int, limits):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        plan.save(Path(target), overwrite=True, verify=False)
    except shapecalc.ShapecalcError as error:
        print(error.code, error.exit_code, error.message, flush=True)
    print(Path(target).stat().st_size, len([*Path(target).parent.glob(".*")]), flush=True)
"""


@posix
@pytest.mark.parametrize("name", KINDS)
def test_a_full_disk_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    source = net(tmp_path, name)
    target = tmp_path / f"out{source.suffix}"
    shapecalc.load(source).retarget(classes=3, head=[head(name)]).save(target, device="cpu")
    size = target.stat().st_size
    target.write_bytes(b"old")
    before = files(tmp_path)
    limits = ["0", str(size // 2), str(size - 1)]
    command = [sys.executable, "-c", FULL, str(source), str(target), head(name), *limits]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == [f"E003 2 {target} cannot be written: File too large", "3 0"] * 3
    assert files(tmp_path) == before


@pytest.mark.parametrize("command", ["retarget", "cut", "plan"])
def test_a_folder_that_cannot_be_written(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = net(tmp_path, "net.prototxt")
    folder = Path("/proc/self") if os.name == "posix" and Path("/proc/self").is_dir() else None
    if folder is None:
        pytest.skip("no folder that even root cannot write")
    asked = {
        "retarget": ["retarget", str(source), "--classes", "3", "--no-verify", "-o", str(folder / "a.prototxt")],
        "cut": ["cut", str(source), "--at", "conv", "--no-verify", "-o", str(folder / "a.onnx")],
        "plan": ["retarget", str(source), "--classes", "3", "--dry-run", "--save-plan", str(folder / "a.json")],
    }
    assert run(asked[command]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert list(files(tmp_path)) == [source.name]


# -- output = input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_the_output_may_be_the_input(name: str, tmp_path: Path) -> None:
    source = net(tmp_path, name)
    other = tmp_path / f"other{source.suffix}"
    plan = shapecalc.load(source).retarget(classes=3, head=[head(name)])
    plan.save(other, device="cpu")
    names = sorted(files(tmp_path))
    with pytest.raises(shapecalc.UsageError, match="exists"):
        plan.save(source, device="cpu")
    shapecalc.load(source).retarget(classes=3, head=[head(name)]).save(source, device="cpu", overwrite=True)
    assert source.read_bytes() == other.read_bytes()
    assert sorted(files(tmp_path)) == names


def test_external_data_is_never_overwritten(tmp_path: Path) -> None:
    """A file of weights called like a model is no output, however much is to be overwritten."""
    source = net(tmp_path, "external.onnx")
    data = tmp_path / "weights.onnx"
    (tmp_path / "weights.bin").rename(data)
    model = onnx.load(source, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = data.name if entry.key == "location" else entry.value
    onnx.save(model, source)
    before = files(tmp_path)
    plan = shapecalc.load(source).retarget(classes=3)
    with pytest.raises(shapecalc.UsageError, match="holds weights of the original"):
        plan.save(data, overwrite=True, device="cpu")
    assert files(tmp_path) == before


def test_a_proof_that_fails_leaves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shapecalc.verify import plans

    def refused(*_: object, **__: object) -> None:
        raise shapecalc.RefusedError("not equal", "E402", because="a test says so", hint="none")

    source = net(tmp_path, "stored.onnx")
    before = files(tmp_path)
    monkeypatch.setattr(plans, "prove_plan", refused)
    plan = shapecalc.load(source).retarget(classes=3)
    with pytest.raises(shapecalc.RefusedError):
        plan.save(source, overwrite=True, device="cpu")
    assert files(tmp_path) == before


def test_two_writers_of_one_file_do_not_remove_each_other_s_part(tmp_path: Path) -> None:
    from shapecalc.files import write_whole

    target = tmp_path / "a"

    def outer(file: object) -> None:
        write_whole(target, lambda inner: inner.write(b"second"), overwrite=True)
        assert len(files(tmp_path)) == 2  # the first one's part is still there
        file.write(b"first")  # type: ignore[attr-defined]

    write_whole(target, outer, overwrite=True)
    assert files(tmp_path) == {"a": b"first"}
