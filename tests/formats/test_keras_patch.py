"""Keras definitions written back: only the edit differs, and the files keep what else they hold."""

from __future__ import annotations

import difflib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras_models as k
import numpy
import pytest
from test_weights_keras import FILES, KEYS, LAYERS, NET, archive, by_class, by_name
from weight_files import noise

import shapecalc
from shapecalc.cli.app import run
from shapecalc.errors import RefusedError, UsageError
from shapecalc.verify.definition_file import patched

h5py: Any = pytest.importorskip("h5py", reason="needs the extra keras")


def edits(text: str, **wanted: Any) -> list[str]:
    """What stands in the place of what in a retargeted definition, token by token: ``- "old"``, ``+ "new"``."""
    plan = shapecalc.loads(text, format="keras", name="net").retarget(**wanted)
    edited = patched(plan)
    before, after = (json.dumps(json.loads(t), indent=0).splitlines() for t in (text, edited))
    found = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    return [line.replace('"', "").rstrip(",") for line in found]


#: Shapes that Keras 3 repeats beside the layers, without the batch.
BUILT = {"c": [8, 8, 3], "f": [4, 4, 4], "top": [64], "end": [10]}


def net(modern: bool = True) -> str:
    """A functional model of one convolution, and a head that others name."""
    rows = [
        k.fed("image", 8, 8, 3, modern=modern),
        k.called(k.conv("c", 4, padding="same"), "image", modern=modern),
        k.called(k.layer("MaxPooling2D", "p", pool_size=[2, 2], strides=None), "c", modern=modern),
        k.called(k.layer("Flatten", "f"), "p", modern=modern),
        k.called(k.layer("Dense", "top", units=10), "f", modern=modern),
        k.called(k.layer("Activation", "end", activation="softmax"), "top", modern=modern),
    ]
    if modern:
        built = {name: {"build_config": {"input_shape": [None, *shape]}} for name, shape in BUILT.items()}
        rows = [{**row, **built.get(row["name"], {})} for row in rows]
    return k.functional("image", "end", *rows, modern=modern)


HEAD = ["- name: top", "+ name: top_7", "- units: 10", "+ units: 7"]
FIRST = {
    "class_name": "Model",
    "keras_version": "1.2.2",
    "config": {
        "name": "old",
        "input_layers": [["image", 0, 0]],
        "output_layers": [["top", 0, 0]],
        "layers": [
            k.fed("image", 3, 8, 8, modern=False),
            k.called(
                k.layer("Convolution2D", "c", nb_filter=4, nb_row=3, nb_col=3, border_mode="same", dim_ordering="th"),
                "image",
                modern=False,
            ),
            k.called(k.layer("Flatten", "f"), "c", modern=False),
            k.called(k.layer("Dense", "top", output_dim=10), "f", modern=False),
        ],
    },
}

#: Text, what is wanted, what differs.
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "a head, the layer that names it and the sizes behind it": (
        net(),
        {"classes": 7},
        [*HEAD, "- name: top", "+ name: top_7", "- top", "+ top_7", "- 10", "+ 7"],
    ),
    "Keras 2": (net(False), {"classes": 7}, [*HEAD, "- name: top", "+ name: top_7", "- top", "+ top_7"]),
    "Keras 1": (
        json.dumps(FIRST),
        {"classes": 7},
        [*HEAD[:2], "- name: top", "+ name: top_7", "- top", "+ top_7", "- output_dim: 10", "+ output_dim: 7"],
    ),
    "a head of a sequence": (
        k.sequential(k.layer("Flatten", "f"), k.layer("Dense", "top", units=10), shape=(4, 4, 1)),
        {"classes": 7},
        HEAD,
    ),
    "a convolution and the reshape behind it": (
        k.sequential(k.conv("top", 10, 8), k.layer("Reshape", "r", target_shape=[10]), k.layer("Softmax", "s")),
        {"classes": 7},
        ["- name: top", "+ name: top_7", "- filters: 10", "+ filters: 7", "- 10", "+ 7"],
    ),
    "another input that fits as it is": (
        k.sequential(k.conv("c", 4), k.layer("GlobalAveragePooling2D", "g"), k.layer("Dense", "top", units=10)),
        {"input": 12},
        ["- 8", "- 8", "+ 12", "+ 12"],
    ),
}


def test_channels_of_a_padded_image() -> None:
    """The border is as wide for any number of channels, so the first convolution takes them (densenet121, resnet50)."""
    rows = [
        k.fed("image", 8, 8, 3),
        k.called(k.layer("ZeroPadding2D", "pad", padding=[[1, 1], [1, 1]]), "image"),
        k.called(k.conv("c", 4), "pad"),
        k.called(k.layer("GlobalAveragePooling2D", "g"), "c"),
        k.called(k.layer("Dense", "top", units=10), "g"),
    ]
    text = k.functional("image", "top", *rows)
    assert set(edits(text, channels=1)) == {"- 3", "+ 1"}
    report = shapecalc.loads(text, format="keras", name="net").retarget(channels=1).verify(device="cpu")
    assert report.ok
    assert "gray(g) = rgb(g, g, g)" in str(report.to_dict())


@pytest.mark.parametrize("name", CASES)
def test_only_the_edit_differs(name: str) -> None:
    text, wanted, differing = CASES[name]
    assert sorted(edits(text, **wanted)) == sorted(differing)


@pytest.mark.parametrize("modern", [True, False])
def test_a_pooling_stands_before_what_reads_it(modern: bool) -> None:
    plan = shapecalc.loads(net(modern), format="keras", name="net").retarget(input=16, repair="insert-pool")
    layers = {entry["name"]: entry for entry in json.loads(patched(plan))["config"]["layers"]}
    assert list(layers) == ["image", "c", "p", "p_fit", "f", "top", "end"]
    assert layers["p_fit"]["class_name"] == "AveragePooling2D"
    assert (layers["p_fit"]["config"]["pool_size"], layers["p_fit"]["config"]["strides"]) == ([2, 2], [2, 2])
    if modern:
        (given,) = layers["p_fit"]["inbound_nodes"][0]["args"]
        (read,) = layers["f"]["inbound_nodes"][0]["args"]
        assert (given["config"]["keras_history"], given["config"]["shape"]) == (["p", 0, 0], [None, 8, 8, 4])
        assert read["config"]["keras_history"] == ["p_fit", 0, 0]
        assert layers["c"]["build_config"] == {"input_shape": [None, 16, 16, 3]}
        assert layers["f"]["build_config"] == {"input_shape": [None, 4, 4, 4]}
    else:
        assert layers["p_fit"]["inbound_nodes"] == [[["p", 0, 0, {}]]]
        assert layers["f"]["inbound_nodes"] == [[["p_fit", 0, 0, {}]]]


def test_a_window_is_changed_where_it_stands() -> None:
    plan = shapecalc.loads(net(), format="keras", name="net").retarget(input=10, repair="window")
    (pooling,) = [e["config"] for e in json.loads(patched(plan))["config"]["layers"] if e["name"] == "p"]
    assert (pooling["pool_size"], pooling["strides"]) == ([4, 4], [2, 2])


def test_models_inside_are_sized_as_they_are_called() -> None:
    inner = k.model("i", "c", k.fed("i", 8, 8, 3), k.called(k.conv("c", 4), "i"))
    inner["config"]["name"] = "in"
    text = k.functional(
        "image",
        "top",
        k.fed("image", 8, 8, 3),
        k.called(inner, "image"),
        k.called(k.layer("GlobalMaxPooling2D", "g"), [("in", 1, 0)]),
        k.called(k.layer("Dense", "top", units=10), "g"),
    )
    assert edits(text, input=12) == ["- 8", "- 8", "+ 12", "+ 12"] * 2


@pytest.mark.parametrize(("text", "words"), [
    (net(), "batch_shape: [null, 8, 8, 3]"),
    (net(False), "batch_input_shape: [null, 8, 8, 3]"),
    (k.sequential(k.conv("c", 4), k.layer("GlobalMaxPooling2D", "g"), k.layer("Dense", "d", units=3)),
     "batch_shape: [null, 8, 8, 3]"),
    (json.dumps({"class_name": "Sequential", "keras_version": "2.2.0", "config": [
        k.conv("c", 4, batch_input_shape=[None, 8, 8, 3]), k.layer("GlobalMaxPooling2D", "g"),
        k.layer("Dense", "d", units=3)]}), "batch_input_shape: [null, 8, 8, 3]"),
])  # fmt: skip
def test_a_batch_is_written_where_the_input_says_its_shape(text: str, words: str) -> None:
    plan = shapecalc.loads(text, format="keras", name="net").retarget(batch=5)
    key, _, shape = words.partition(": ")
    assert patched(plan) == text.replace(f'"{key}": {shape}', f'"{key}": {shape.replace("null", "5")}')
    assert patched(plan) != text


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "nothing to write": (
        k.sequential(
            k.conv("c"), k.layer("GlobalMaxPooling2D", "g"), k.layer("Dense", "d", units=3), shape=(None, None, 3)
        ),
        {"input": 12},
        "the definition would stay as it is",
    ),
    "rounding": (net(), {"input": 7, "repair": "rounding"}, "its rounding cannot be changed in a Keras definition"),
    "weights in other files": (
        json.dumps({"modelTopology": {"model_config": json.loads(net(False))}, "weightsManifest": []}),
        {"classes": 7},
        "its weights are listed in this file and lie in others",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_definition_cannot_say(name: str) -> None:
    text, wanted, said = REFUSED[name]
    plan = shapecalc.loads(text, format="keras", name="net").retarget(**wanted)
    with pytest.raises(RefusedError, match=said) as caught:
        patched(plan)
    assert caught.value.hint == "write it as ONNX: -o result.onnx"


# -- files that hold weights ------------------------------------------------------------------------------------------


def contents(path: Path) -> dict[str, Any]:
    """Every data set of an HDF5 file."""
    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda n, item: found.update({n: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_keeps_what_is_not_edited(how: int, tmp_path: Path) -> None:
    path = tmp_path / "n.keras"
    path.write_bytes(archive(NET, by_class(KEYS | {"optimizer/vars/0": noise(3)}), how))
    written = shapecalc.load(path).retarget(classes=5, head=["d"]).save(tmp_path / "out.keras", device="cpu")
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(written) as after:
        assert before.namelist() == after.namelist()
        assert before.read("metadata.json") == after.read("metadata.json")
        assert [i.compress_type for i in before.infolist()] == [i.compress_type for i in after.infolist()]
        config = after.read("config.json").decode()
        (tmp_path / "w.h5").write_bytes(after.read("model.weights.h5"))
    assert config == NET.replace('"name": "d", "filters": 2', '"name": "d_5", "filters": 5')
    held = contents(tmp_path / "w.h5")
    head = [key for key in KEYS if "conv2d_1" in key]
    assert set(held) == set(KEYS)
    assert all(numpy.array_equal(held[key], KEYS[key]) for key in KEYS if key not in head)
    assert [held[key].shape for key in head] == [(1, 1, 4, 5), (5,)]
    assert shapecalc.load(written).match().counts == {"same": 8}


@pytest.mark.parametrize(("wanted", "change"), [
    ({"channels": 1}, lambda kernel: kernel.sum(2, keepdims=True)),
    ({"bgr": True}, lambda kernel: kernel[:, :, ::-1]),
])  # fmt: skip
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_weights_that_are_made_of_trained_ones_are(suffix: str, wanted: Any, change: Any, tmp_path: Path) -> None:
    """gray(g) = rgb(g, g, g) in the file that is written too, not in its proof alone."""
    path = tmp_path / f"n{suffix}"
    path.write_bytes(archive(NET, by_class(KEYS)) if suffix == ".keras" else by_name(LAYERS, NET))
    written = shapecalc.load(path).retarget(**wanted).save(tmp_path / f"out{suffix}", device="cpu")
    (kernel,) = (
        array for key, array in shapecalc.load(written).given.items() if key.startswith("c") and "kernel" in key
    )
    assert numpy.allclose(kernel.array(), change(KEYS["layers/conv2d/vars/0"]), rtol=1e-6)
    if "bgr" in wanted:
        with pytest.raises(RefusedError, match="would stay as it is") as caught:
            shapecalc.load(path).retarget(**wanted).save(tmp_path / "out.json", device="cpu")
        assert caught.value.because == "what changes are numbers of weights, and a text holds none"


@pytest.mark.parametrize("split", [0, 1])
def test_an_hdf5_file_has_the_new_names(split: int, tmp_path: Path) -> None:
    path = tmp_path / "n.h5"
    path.write_bytes(by_name(LAYERS, NET, split))
    written = shapecalc.load(path).retarget(classes=5, head=["d"]).save(tmp_path / "out.h5", device="cpu")
    held = contents(written)
    kept = [key for key in contents(path) if "/d/" not in key and "optimizer" not in key]
    assert set(held) == {*kept, "model_weights/d_5/d_5/kernel:0", "model_weights/d_5/d_5/bias:0"}
    assert all(numpy.array_equal(held[key], contents(path)[key]) for key in kept)
    assert held["model_weights/d_5/d_5/kernel:0"].shape == (1, 1, 4, 5)
    assert shapecalc.load(written).match().counts == {"same": 8}
    assert list(read_layers(written)) == ["c", "b", "d_5"]


def read_layers(path: Path) -> list[str]:
    from shapecalc.formats.weights import read_weights

    return list(dict.fromkeys(entry.layer for entry in read_weights(path).entries.values()))


def test_the_suffix_says_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "n.keras").write_bytes(FILES["an archive"][1])
    (tmp_path / "n.json").write_text(NET)
    (tmp_path / "w.h5").write_bytes(FILES["Keras 2"][1])
    plan = shapecalc.load(tmp_path / "n.keras").retarget(classes=5, head=["d"])
    assert plan.file_name == "n-5classes.keras"
    text = plan.save(tmp_path / "out.json", device="cpu").read_text()
    assert text == NET.replace('"name": "d", "filters": 2', '"name": "d_5", "filters": 5')
    with pytest.raises(UsageError, match=r"out\.keras: results are written as ONNX or \.json"):
        shapecalc.load(tmp_path / "n.json").retarget(classes=5, head=["d"]).save(tmp_path / "out.keras", device="cpu")
    other = shapecalc.load(tmp_path / "n.keras", weights=tmp_path / "w.h5").retarget(classes=5, head=["d"])
    with pytest.raises(UsageError, match=r"out\.keras keeps the weights of .*n\.keras, not those of .*w\.h5"):
        other.save(tmp_path / "out.keras", device="cpu")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n.json", "n.keras", "out.json", "w.h5"]


def test_the_answer_says_where_the_weights_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n.keras").write_bytes(FILES["an archive"][1])
    (tmp_path / "n.json").write_text(NET)
    given = ["retarget", str(tmp_path / "n.keras"), "--classes", "5", "--head", "d", "--device", "cpu", "-o"]
    assert run([*given, str(tmp_path / "out.keras")]) == 0
    assert "weights are in it, bit for bit, new ones initialised" in " ".join(capsys.readouterr().out.split())
    assert run([*given, str(tmp_path / "out.json")]) == 0
    assert f"weights stay in {tmp_path / 'n.keras'}" in " ".join(capsys.readouterr().out.split())
    assert run(["retarget", str(tmp_path / "n.json"), *given[2:], str(tmp_path / "two.json")]) == 0
    assert "weights" not in capsys.readouterr().out.partition("Wrote")[2]


def test_what_only_the_input_changes_leaves_the_weights_byte_for_byte(tmp_path: Path) -> None:
    text = k.sequential(k.conv("c", 4), k.layer("GlobalMaxPooling2D", "g"), k.layer("Dense", "d", units=3))
    weights = by_class({"layers/conv2d/vars/0": noise(3, 3, 3, 4), "layers/conv2d/vars/1": noise(4),
                        "layers/dense/vars/0": noise(4, 3), "layers/dense/vars/1": noise(3)})  # fmt: skip
    (tmp_path / "n.keras").write_bytes(archive(text, weights))
    written = shapecalc.load(tmp_path / "n.keras").retarget(input=12).save(tmp_path / "o.keras", device="cpu")
    with zipfile.ZipFile(io.BytesIO(written.read_bytes())) as after:
        assert after.read("model.weights.h5") == weights
        assert after.read("config.json").decode() == text.replace("[null, 8, 8, 3]", "[null, 12, 12, 3]")


@pytest.mark.parametrize(("size", "name"), [(16, "n-3classes-16"), ((8, 10), "n-3classes-8x10")])
def test_a_result_is_called_by_height_and_width_wherever_the_channels_are(size: Any, name: str) -> None:
    """Keras has them last: 1×16×16×3."""
    rows = [k.conv("c", 4), k.layer("GlobalAveragePooling2D", "g"), k.layer("Dense", "d", units=10)]
    plan = shapecalc.loads(k.sequential(*rows), format="keras", name="n").retarget(classes=3, input=size)
    assert plan.name == name
