"""A plan is a value: listed with what each repair keeps, saved, read, refused where it fits another net, done again."""

from __future__ import annotations

import importlib
import json
import pkgutil
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import shapecalc
import shapecalc.surgery
from shapecalc.cli.app import run
from shapecalc.dims import symbol
from shapecalc.surgery.coding import KINDS, decode, encode
from shapecalc.surgery.edits import ChangePool, InsertPool, SetInput
from shapecalc.surgery.exports.retable import Resample, SetConstant
from shapecalc.surgery.saved import Saved

CAFFE = """
name: "Small"
input: "data" input_shape { dim: 1 dim: 3 dim: 20 dim: 20 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 10 } }
"""
CHAINER = """
import chainer
import chainer.functions as F
import chainer.links as L


class Small(chainer.Chain):
    insize = 20

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, 4, 3)
            self.fc = L.Linear(None, 10)

    def __call__(self, x):
        return self.fc(F.max_pooling_2d(F.relu(self.conv(x)), 2))
"""
KERAS = json.dumps(
    {
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Conv2D",
                "config": {
                    "name": "conv",
                    "filters": 4,
                    "kernel_size": [3, 3],
                    "batch_input_shape": [None, 20, 20, 3],
                    "data_format": "channels_last",
                },
            },
            {"class_name": "MaxPooling2D", "config": {"name": "pool", "pool_size": [2, 2]}},
            {"class_name": "Flatten", "config": {"name": "flat"}},
            {"class_name": "Dense", "config": {"name": "fc", "units": 10}},
        ],
    }
)
TEXTS = {"small.prototxt": CAFFE, "small.py": CHAINER, "small.json": KERAS}

PLANS: dict[str, Callable[[shapecalc.Model], Any]] = {
    "classes": lambda model: model.retarget(classes=3),
    "size": lambda model: model.retarget(input=24),
    "channels": lambda model: model.retarget(channels=1),
    "another repair": lambda model: model.retarget(input=24, plan=2),
    "resized": lambda model: model.retarget(input=24, repair="resize"),
    "all": lambda model: model.retarget(classes=3, input=22, start="zeros", channels=1),
    "features": lambda model: model.cut(features=True, pool="avg", flatten=True),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same small net in four formats."""
    made = tmp_path_factory.mktemp("nets")
    for name, text in TEXTS.items():
        (made / name).write_text(text)
    shapecalc.load(made / "small.prototxt").convert(made / "small.onnx", init=True, device="cpu")
    return made


@pytest.mark.parametrize("net", [*TEXTS, "small.onnx"])
@pytest.mark.parametrize("wish", PLANS)
def test_a_plan_that_was_saved_gives_the_same_file(net: str, wish: str, folder: Path, tmp_path: Path) -> None:
    plan = PLANS[wish](shapecalc.load(folder / net))
    plan.save_plan(tmp_path / "plan.json")
    again = shapecalc.load(folder / net).replay(tmp_path / "plan.json")
    assert again.edits == plan.edits
    assert again.name == plan.name
    suffixes = dict.fromkeys([Path(plan.file_name).suffix, ".onnx"])
    for suffix in suffixes:
        first, second = (outcome(made, tmp_path / f"{made is plan}{suffix}") for made in (plan, again))
        assert first == second
    assert isinstance(first, bytes)


def outcome(plan: Any, path: Path) -> bytes | str:
    """What is written; the words of the refusal where the format cannot say the edit."""
    try:
        plan.save(path, device="cpu", init=path.suffix == ".onnx")
    except shapecalc.RefusedError as error:
        return error.message
    return path.read_bytes()


def test_a_promise_is_measured_again() -> None:
    plan = shapecalc.loads(CAFFE, format="caffe").retarget(channels=1)
    again = shapecalc.loads(CAFFE, format="caffe").replay(plan.saved().to_dict())
    assert [p.words for p in again.verify(device="cpu").promises] == ["gray(g) = rgb(g, g, g)"]


def test_names_are_an_edit_that_is_replayed(folder: Path) -> None:
    plan = shapecalc.load(folder / "small.onnx").retarget(names=["a", "b"])
    again = shapecalc.load(folder / "small.onnx").replay(plan.saved().to_dict())
    assert again.graph.meta["metadata"]["shapecalc.class_names"] == '["a", "b"]'


OTHERS = {
    "another format": (CHAINER, "chainer", "the format", "caffe", "chainer"),
    "another input": (CAFFE.replace("20", "28"), "caffe", "the input data", "data 1×3×20×20", "data 1×3×28×28"),
    "another layer": (CAFFE.replace('"conv"', '"conv1"'), "caffe", "layer 2", "conv", "conv1"),
    "another operator": (CAFFE.replace("MAX", "AVE"), "caffe", "the operator of pool", "MaxPool", "AveragePool"),
    "a layer less": (CAFFE[: CAFFE.index('layer { name: "fc"')], "caffe", "layer 4", "fc", "none"),
    "another kernel": (CAFFE.replace("size: 3", "size: 5"), "caffe", "the attributes or inputs of conv", "", ""),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_a_plan_for_another_net_is_refused_and_the_difference_named(other: str) -> None:
    text, format_, what, wanted, given_ = OTHERS[other]
    saved = shapecalc.loads(CAFFE, format="caffe", name="small").retarget(classes=3).saved()
    with pytest.raises(shapecalc.RefusedError) as caught:
        shapecalc.loads(text, format=format_, name="other").replay(saved.to_dict())
    assert caught.value.code == "E304"
    assert caught.value.message == f"the plan is for another net than other: {what} differs"
    expected = (f"{wanted}, as in small", given_) if wanted else (None, None)
    assert (caught.value.expected, caught.value.actual) == expected


def test_other_weights_are_no_other_net(folder: Path, tmp_path: Path) -> None:
    model = shapecalc.load(folder / "small.onnx")
    shapecalc.load(folder / "small.prototxt").convert(tmp_path / "small.onnx", init=True, seed=7, device="cpu")
    retrained = shapecalc.load(tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").read_bytes() != (folder / "small.onnx").read_bytes()
    assert retrained.replay(model.retarget(classes=3).saved().to_dict()).verify(device="cpu").ok


# -- every kind of edit, and JSON that is none -------------------------------------------------------------------------


def test_every_edit_has_a_name_in_json() -> None:
    found = set()
    for info in pkgutil.walk_packages(shapecalc.surgery.__path__, "shapecalc.surgery."):
        module = importlib.import_module(info.name)
        values = [value for value in vars(module).values() if getattr(value, "__module__", "") == info.name]
        found |= {value for value in values if hasattr(value, "_fields") and hasattr(value, "apply")}
    assert found == set(KINDS.values())


NAMES = st.text('ab/é"', min_size=1, max_size=4)
SIZES = st.lists(st.integers(-1, 1 << 62), max_size=4).map(tuple)
SHAPES = st.lists(st.integers(1, 9) | st.sampled_from("NHW").map(symbol), max_size=4).map(tuple)
EDITS = (
    st.builds(SetInput, NAMES, SHAPES | st.none(), SHAPES)
    | st.builds(InsertPool, NAMES, NAMES, NAMES, SIZES, SIZES, st.tuples(SIZES, SIZES), NAMES, st.tuples(NAMES))
    | st.builds(ChangePool, NAMES, st.dictionaries(NAMES, SIZES | st.integers(0, 1)), NAMES)
    | st.builds(SetConstant, NAMES, st.integers(0, 3), NAMES, SIZES, st.tuples(st.integers() | NAMES))
    | st.builds(
        Resample, NAMES, NAMES, NAMES, st.tuples(SIZES, st.integers(), st.floats(allow_nan=False)), SIZES, NAMES
    )
)


BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy


@BUSY
@given(EDITS)
def test_an_edit_is_read_as_it_was_written(edit: Any) -> None:
    assert decode(json.loads(json.dumps(encode(edit)))) == edit


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("abfree", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abfree", max_size=6), inner, max_size=3),
    max_leaves=8,
)


@BUSY
@given(st.data())
def test_a_damaged_plan_is_refused_in_words(data: st.DataObject) -> None:
    """One value of a plan replaced by any JSON: an error of ours, or a plan that means what it says."""
    model = shapecalc.loads(CAFFE, format="caffe")
    row = json.loads(model.retarget(classes=3, input=24).saved().text())
    holder, keys = row, []
    while isinstance(holder, (dict, list)) and holder:
        key = data.draw(st.sampled_from([*holder] if isinstance(holder, dict) else range(len(holder))))
        keys.append((holder, key))
        holder = holder[key]
        if data.draw(st.booleans()):
            break
    place, key = keys[-1]
    place[key] = data.draw(JSON)
    try:
        fits = model.replay(row).trace.ok
    except shapecalc.ShapecalcError as error:
        fits = bool(error.message)
    assert fits


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no plan"),
        ('{"schema": "shapecalc.plan/1"}', "this is 'shapecalc.plan/1', no plan of the version shapecalc.saved-plan/1"),
        ('{"schema": "shapecalc.saved-plan/1"}', "the plan is damaged: it has no edits"),
        ('{"schema": "shapecalc.saved-plan/1", "edits": [{"edit": "x"}]}', "the plan has an edit 'x', which is none"),
    ],
)
def test_what_is_no_plan(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(shapecalc.UsageError, match=words) as caught:
        Saved.read(tmp_path / "p.json")
    assert caught.value.exit_code == 2


# -- the list ----------------------------------------------------------------------------------------------------------


def test_the_criteria_of_alexnet_s_repairs() -> None:
    plan = shapecalc.load("alexnet").retarget(input=256)
    rows = [(c.kept == c.trained, c.unchanged, c.grid) for c in plan.criteria()]
    assert rows == [(True, 15, ""), (True, 14, ""), (True, 7, "conv3"), (True, 3, "conv2"), (True, 0, "conv1")]
    costs = [c.macs for c in plan.criteria()]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize(
    ("name", "size"), [("alexnet", 256), ("alexnet", 300), ("lenet", 40), ("googlenet", 300), ("resnet50", 256)]
)
def test_the_order_is_that_of_the_criteria(name: str, size: int) -> None:
    """Weights kept, then features unchanged, then the grid, then the cost; what scales the image stands last."""
    plan = shapecalc.load(name).retarget(input=size)
    rows = [(c.kept != c.trained, -c.unchanged, bool(c.grid), c.macs) for c in plan.criteria()]
    assert len(rows) > 2
    assert rows[:-1] == sorted(rows[:-1])
    assert plan.repairs[-1].name == "resize"
    assert rows[-1][1] == max(row[1] for row in rows)


@pytest.mark.parametrize("choice", [1, 2, 3, 4])
def test_features_that_are_called_unchanged_are(choice: int) -> None:
    """Every layer that counts as unchanged was run in both nets and gives the same bits."""
    plan = shapecalc.load("lenet").retarget(input=40, plan=choice)
    row = plan.criteria()[choice - 1]
    same = plan.verify(device="cpu").before_edit or []
    assert len(same) >= row.unchanged
    assert {check.difference for check in same} <= {0.0}
    assert (row.unchanged == 0) == (choice == 4)


def test_a_pooling_of_patches_changes_their_grid(tmp_path: Path) -> None:
    """What a place in a row of patches sees is not known, but that a pooling in front changed it is."""
    plan = shapecalc.load(patches(tmp_path)).retarget(input=40, plan=1)
    assert [(repair.name, row.grid) for repair, row in zip(plan.repairs, plan.criteria(), strict=True)] == [
        ("insert-pool", "mix"),
        ("resize", "embed"),
    ]


def patches(folder: Path) -> Path:
    """Patches of 8×8, whose 16 places a trained matrix mixes: made for 32×32."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["map"], "embed", kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["map", "flat"], ["places"], "flatten"),
        helper.make_node("MatMul", ["places", "m"], ["mixed"], "mix"),
        helper.make_node("ReduceMean", ["mixed"], ["y"], "mean", axes=[2], keepdims=0),
    ]
    noise = numpy.random.default_rng(0).standard_normal
    arrays: dict[str, Any] = {
        "w": noise((4, 3, 8, 8)).astype(numpy.float32),
        "m": noise((16, 16)).astype(numpy.float32),
        "flat": numpy.array([0, 4, -1], numpy.int64),
    }
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "patches", [given], [onnx.ValueInfoProto(name="y")], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "patches.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_a_narrow_list_says_the_edits_under_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["retarget", "alexnet", "--input", "256", "--list-plans"]) == 0
    printed = capsys.readouterr().out
    assert "\n  1. insert average pooling pool5_fit (2×2, stride 1) after pool5: 7×7 → 6×6\n" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_the_list_marks_the_plan_and_names_every_criterion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["retarget", "alexnet", "--input", "256", "--list-plans", "--plan", "2"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[:2] for line in printed.splitlines() if "*" in line] == [["*", "2"]]
    assert all(word in printed for word in ("Weights", "Unchanged", "Grid", "MACs", "--plan 1 takes another"))


def test_the_list_in_json(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["retarget", "alexnet", "--input", "256", "--list-plans", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["repairs"]
    assert [row["chosen"] for row in rows] == [True, False, False, False, False]
    assert rows[0]["weights_kept"] == rows[0]["weights"] == 62_378_344
    assert rows[2]["grid_changes_at"] == "conv3"
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_needs_a_repair_there_is_one_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["retarget", "alexnet", "--classes", "3", "--list-plans"]) == 0
    assert capsys.readouterr().out == "alexnet takes this without a repair: there is one plan, and no other\n"


# -- the command line --------------------------------------------------------------------------------------------------


def test_dry_then_replayed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = str(folder / "small.onnx")
    assert run(["retarget", net, "--classes", "3", "--dry-run", "--save-plan", "p.json"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]
    assert run(["replay", "p.json", net, "-o", "a.onnx", "--device", "cpu"]) == 0
    assert run(["retarget", net, "--classes", "3", "-o", "b.onnx", "--device", "cpu", "--save-plan", "q.json"]) == 0
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert (tmp_path / "p.json").read_bytes() == (tmp_path / "q.json").read_bytes()


def test_a_plan_is_not_overwritten_and_nothing_is_done(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.json").write_text("mine")
    assert run(["retarget", str(folder / "small.onnx"), "--classes", "3", "--save-plan", "p.json"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]
    assert (tmp_path / "p.json").read_text() == "mine"


def test_a_cut_is_replayed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = str(folder / "small.prototxt")
    assert run(["cut", net, "--features", "--dry-run", "--save-plan", "p.json"]) == 0
    assert run(["replay", "p.json", net, "-o", "features.prototxt", "--device", "cpu"]) == 0
    assert shapecalc.load(tmp_path / "features.prototxt").trace().outputs[0].shape == (1, 4, 9, 9)
    assert run(["replay", "p.json", "lenet", "--dry-run"]) == 4


def test_what_does_a_saved_plan_again_can_be_pasted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "small.onnx", "a net.onnx")
    assert run(["retarget", "a net.onnx", "--classes", "3", "--dry-run", "--save-plan", "a plan.json"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith("Saved the plan as a plan.json; shapecalc replay 'a plan.json' 'a net.onnx' does it again")


# -- the diff ----------------------------------------------------------------------------------------------------------


def changes(plan: Any) -> list[tuple[str, str, str]]:
    return [(row.kind, row.name, row.what) for row in plan.diff().layers]


DIFFS = {
    "classes": [("replaced", "fc → fc_3", "10×324 → 3×324; 10 → 3")],
    "size": [("added", "pool_fit", "3×3 gives 1×4×9×9"), ("changed", "fc", "reads pool_fit")],
    "channels": [("changed", "conv", "4×3×3×3 → 4×1×3×3")],
    "another repair": [("changed", "pool", "kernel_shape [2, 2] → [6, 6]")],
    "all": [("changed", "conv", "4×3×3×3 → 4×1×3×3"), ("replaced", "fc → fc_3", "10×324 → 3×400; 10 → 3")],
    "features": [
        ("added", "pool_avg", "gives 1×4×1×1"),
        ("added", "pool_flat", "gives 1×4"),
        ("removed", "fc", ""),
    ],
}


@pytest.mark.parametrize("wish", DIFFS)
def test_the_diff_of_layers(wish: str) -> None:
    model = shapecalc.loads(CAFFE, format="caffe")
    plan = PLANS[wish](model)
    assert changes(plan) == DIFFS[wish]
    old, new = ({node.name for node in graph.nodes if node.op != "Input"} for graph in (model.graph, plan.graph))
    told = plan.diff()
    assert told.same == len(old) - sum(bool(row.before) for row in told.layers)
    assert {row.after for row in told.layers if row.kind == "added"} == new - old - {"fc_3"}


def test_sizes_and_costs_before_and_after() -> None:
    _, _, before, after = shapecalc.load("alexnet").retarget(classes=13, input=256).diff()
    assert before is not None
    assert (before.sizes, after.sizes) == ("199 to 230", "231 to 262")
    assert (before.params, after.params) == (62_378_344, 62_378_344 - 987 * 4_097)
    assert (before.outputs, after.outputs) == ({"fc8": "1×1000"}, {"fc8_13": "1×13"})


def test_the_diff_of_an_onnx_file(folder: Path) -> None:
    plan = shapecalc.load(folder / "small.onnx").retarget(classes=3, input=24)
    assert {kind for kind, *_ in changes(plan)} == {"added", "replaced", "changed"}
    assert plan.to_dict()["diff"]["after"]["outputs"] == {"fc": "1×3"}


@pytest.mark.parametrize("arguments", [["--classes", "13", "--input", "256"], ["--channels", "1"], ["--batch", "4"]])
def test_the_report_fits_into_80_columns(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["retarget", "alexnet", *arguments, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "parameters" in printed
    assert "as they were" in printed
