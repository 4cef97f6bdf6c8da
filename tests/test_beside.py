"""Weights in files beside an ONNX file: named where they lie, linked or copied, and never lost or written over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import shapecalc
from shapecalc.cli.app import run

Capture = pytest.CaptureFixture[str]
HERE = "home/sub"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``home/sub/net.onnx`` with its weights in ``w.bin`` and ``deep/w.bin``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / HERE / "deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    shapecalc.load("lenet").convert("whole.onnx", init=True, device="cpu")
    model = onnx.load("whole.onnx")
    for number, tensor in enumerate(model.graph.initializer):
        onnx.external_data_helper.set_external_data(tensor, "deep/w.bin" if number % 2 else "w.bin")
    onnx.save(model, tmp_path / HERE / "net.onnx")
    return tmp_path


def weights(path: Path) -> dict[str, bytes]:
    return {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in onnx.load(path).graph.initializer}


def unlinked(path: Path) -> bytes:
    """The bytes of a file that loses this name."""
    data = path.read_bytes()
    path.unlink()
    return data


def locations(path: Path) -> set[str]:
    model = onnx.load(path, load_external_data=False)
    return {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}


#: (the result, --external, what it calls its weights, how they came there)
WAYS = [
    ("home/sub/out.onnx", None, {"w.bin", "deep/w.bin"}, "refer"),
    ("home/sub/out.onnx", "refer", {"w.bin", "deep/w.bin"}, "refer"),
    ("home/sub/out.onnx", "link", {"w.bin", "deep/w.bin"}, "refer"),
    ("home/sub/out.onnx", "copy", {"out.w.bin", "deep/out.w.bin"}, "copy"),
    ("home/out.onnx", None, {"sub/w.bin", "sub/deep/w.bin"}, "refer"),
    ("home/out.onnx", "link", {"w.bin", "deep/w.bin"}, "link"),
    ("other/out.onnx", None, {"w.bin", "deep/w.bin"}, "copy"),
    ("other/out.onnx", "link", {"w.bin", "deep/w.bin"}, "link"),
    ("other/out.onnx", "copy", {"w.bin", "deep/w.bin"}, "copy"),
]


@pytest.mark.parametrize(("target", "how", "named", "came"), WAYS)
def test_weights_beside_a_file(
    place: Path, target: str, how: str | None, named: set[str], came: str, capsys: Capture
) -> None:
    words = ["--external", how] if how else []
    assert run(["retarget", f"{HERE}/net.onnx", "--classes", "3", "-o", target, *words, "--json"]) == 0
    said = capsys.readouterr()
    out = json.loads(said.out)
    assert ("the onnx package does not" in said.err) == (came == "link")
    assert {row["location"] for row in out["external"]} == named == locations(place / target)
    assert {row["how"] for row in out["external"]} == {came}
    for row in out["external"]:
        path = Path(target).parent / row["location"]
        assert path.samefile(row["path"]) == (came != "copy")
        if came == "link":  # which onnx does not open
            path.write_bytes(unlinked(path))
            Path(row["path"]).write_bytes(path.read_bytes())
    onnx.checker.check_model(target, full_check=True)
    before, after = weights(place / HERE / "net.onnx"), weights(place / target)
    kept = before.keys() & after.keys()
    assert len(kept) >= 6
    assert all(before[name] == after[name] for name in kept)


def test_refer_is_refused_where_the_file_cannot_name_them(place: Path, capsys: Capture) -> None:
    words = ["retarget", f"{HERE}/net.onnx", "--classes", "3", "-o", "other/out.onnx", "--external"]
    assert run([*words, "refer"]) == 4
    assert "a file in another folder cannot name" in (err := capsys.readouterr().err)
    assert "--external link or copy" in err
    assert run([*words, "share"]) == 2
    assert "refer, link, copy" in capsys.readouterr().err
    assert list((place / "other").iterdir()) == []


def test_no_file_that_is_there_is_replaced(place: Path) -> None:
    (place / "other" / "w.bin").write_bytes(b"another model's")
    plan = shapecalc.load(place / HERE / "net.onnx").retarget(classes=3)
    for _ in range(2):  # the second finds the same bytes and writes nothing
        plan.save(place / "other" / "out.onnx", device="cpu", external="copy", overwrite=True)
    assert (place / "other" / "w.bin").read_bytes() == b"another model's"
    names = {str(path.relative_to(place / "other")) for path in (place / "other").rglob("*") if path.is_file()}
    assert names == {"w.bin", "out.w.bin", "deep/w.bin", "out.onnx"}
    (place / "other" / "out.w.bin").write_bytes(b"yet another's")
    plan.save(place / "other" / "out.onnx", device="cpu", external="copy", overwrite=True)
    assert locations(place / "other" / "out.onnx") == {"out.1.w.bin", "deep/w.bin"}


def test_where_no_link_can_be_made_it_is_a_copy_and_said(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assert run(["cut", f"{HERE}/net.onnx", "--features", "-o", "other/out.onnx", "--external", "link"]) == 0
    assert "(a link cannot be made: Invalid cross-device link)" in " ".join(capsys.readouterr().out.split())
    assert not (place / "other" / "w.bin").samefile(place / HERE / "w.bin")


def test_what_fails_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shapecalc.verify import writing

    def refused(*_: object) -> None:
        raise shapecalc.RefusedError("not this one", "E403", because="a test says so", hint="none")

    plan = shapecalc.load(place / HERE / "net.onnx").retarget(classes=3)
    plan.verify(device="cpu")
    monkeypatch.setattr(writing, "_check_loads", refused)
    for how in ("link", "copy"):
        with pytest.raises(shapecalc.RefusedError, match="not this one"):
            plan.save(place / "other" / "out.onnx", device="cpu", external=how)
    assert list((place / "other").iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_a_link_that_leads_out_of_the_folder_is_not_followed(place: Path) -> None:
    data = place / HERE / "w.bin"
    data.rename(place / "secret")
    data.symlink_to(place / "secret")
    plan = shapecalc.load(place / HERE / "net.onnx").retarget(classes=3)
    with pytest.raises(shapecalc.RefusedError, match="leads out of the model's folder"):
        plan.save(place / "other" / "out.onnx", verify=False)
    assert list((place / "other").iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_a_cache_of_downloads_is_linked(place: Path) -> None:
    """Every file a link into one folder of blobs, as in huggingface's cache."""
    blobs = place / "blobs"
    blobs.mkdir()
    for name in ("net.onnx", "w.bin", "deep/w.bin"):
        blob = blobs / name.replace("/", "-")
        (place / HERE / name).rename(blob)
        (place / HERE / name).symlink_to(blob)
    plan = shapecalc.load(place / HERE / "net.onnx").retarget(classes=3)
    plan.save(place / "other" / "out.onnx", verify=False, external="link")
    assert (place / "other" / "w.bin").samefile(blobs / "w.bin")
    assert not (place / "other" / "w.bin").is_symlink()


def test_weights_that_are_not_there_cannot_go_elsewhere(place: Path) -> None:
    (place / HERE / "w.bin").unlink()
    plan = shapecalc.load(place / HERE / "net.onnx").retarget(classes=3)
    with pytest.raises(shapecalc.RefusedError, match="neither linked nor copied"):
        plan.save(place / "other" / "out.onnx", device="cpu")
    plan.save(place / HERE / "out.onnx", device="cpu")
    assert locations(place / HERE / "out.onnx") == {"w.bin", "deep/w.bin"}


def test_a_graph_inside_a_node_keeps_the_names_it_has(place: Path) -> None:
    """Its weights are linked under their own name, and refused where that is taken."""
    inner = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "inner",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(numpy.ones((1, 4), "float32"), "w")],
    )
    onnx.external_data_helper.set_external_data(inner.initializer[0], "w.bin", length=16)
    inner.initializer[0].ClearField("raw_data")
    outer = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)],
        "outer",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4]),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    )
    onnx.save(helper.make_model(outer, opset_imports=[helper.make_opsetid("", 17)]), place / HERE / "if.onnx")
    plan = shapecalc.load(place / HERE / "if.onnx").cut("y")
    plan.save(place / "other" / "out.onnx", verify=False)
    assert (place / "other" / "w.bin").read_bytes() == (place / HERE / "w.bin").read_bytes()
    (place / "other" / "w.bin").write_bytes(b"another model's")
    with pytest.raises(shapecalc.RefusedError, match="inside a node"):
        plan.save(place / "other" / "out.onnx", verify=False, overwrite=True)


def test_a_definition_saved_as_it_is_takes_its_weights_along(place: Path) -> None:
    model = shapecalc.load(place / HERE / "net.onnx")
    model.save(place / "other" / "same.onnx")
    assert (place / "other" / "same.onnx").read_bytes() == (place / HERE / "net.onnx").read_bytes()
    assert weights(place / "other" / "same.onnx") == weights(place / HERE / "net.onnx")


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
@pytest.mark.parametrize("beside", [False, True], ids=["inside", "beside"])
def test_a_link_to_a_model_is_proved(tmp_path: Path, beside: bool) -> None:
    """HuggingFace's cache: names that link to files called by their checksums, weights inside or beside."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    kernel = numpy_helper.from_array(numpy.random.default_rng(1).standard_normal((32, 8), numpy.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "fc")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "net", [value("x", TensorProto.FLOAT, [1, 32])], [value("y", TensorProto.FLOAT, [1, 8])], [kernel]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if beside:
        (blobs / "5ca1ab1e").write_bytes(kernel.raw_data)
        (snapshot / "model.onnx_data").symlink_to(Path("../blobs/5ca1ab1e"))
        onnx.external_data_helper.set_external_data(model.graph.initializer[0], "model.onnx_data")
        model.graph.initializer[0].ClearField("raw_data")
    (blobs / "c0ffee").write_bytes(model.SerializeToString())
    (snapshot / "model.onnx").symlink_to(Path("../blobs/c0ffee"))
    net = shapecalc.load(snapshot / "model.onnx")
    assert net.verify(device="cpu").ok
    plan = net.retarget(classes=3)
    out = plan.save(tmp_path / "out.onnx", device="cpu")
    assert plan.report is not None
    assert plan.report.ok
    assert shapecalc.load(out).verify(device="cpu").ok
