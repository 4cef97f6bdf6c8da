"""Keras definitions cut as texts: which entries go, what the model gives, and that the weights of the rest stay."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras_models as k
import numpy
import pytest
from test_weights_keras import archive, by_class, by_name
from weight_files import noise

import shapecalc
from shapecalc.errors import RefusedError
from shapecalc.verify.definition_file import patched

h5py: Any = pytest.importorskip("h5py", reason="needs the extra keras")


def branched(modern: bool = True) -> str:
    """Two convolutions side by side, the first of them cut away with what joins them."""
    return k.functional(
        "image",
        "end",
        k.fed("image", 8, 8, 3, modern=modern),
        k.called(k.conv("a", 4, padding="same"), "image", modern=modern),
        k.called(k.conv("b", 5, padding="same"), "image", modern=modern),
        k.called(k.layer("ReLU", "r"), "b", "a", modern=modern),
        k.called(k.layer("Concatenate", "j", axis=-1), [("r", 0, 0), ("r", 1, 0)], modern=modern),
        k.called(k.layer("Flatten", "f"), "j", modern=modern),
        k.called(k.layer("Dense", "end", units=10), "f", modern=modern),
        modern=modern,
    )


def inside() -> str:
    """A model of two convolutions that is a layer, and a head."""
    inner = k.model(
        "i", "d", k.fed("i", 8, 8, 3), k.called(k.conv("c", 4), "i"), k.called(k.conv("d", 4), "c"), name="in"
    )
    return k.functional(
        "image",
        "top",
        k.fed("image", 8, 8, 3),
        k.called(inner, "image"),
        k.called(k.layer("GlobalMaxPooling2D", "g"), [("in", 0, 0)]),
        k.called(k.layer("Dense", "top", units=10), "g"),
    )


def sequence() -> str:
    return k.sequential(k.conv("c", 4), k.layer("Flatten", "f"), k.layer("Dense", "d", units=3))


def cut(text: str, *at: str, **wanted: Any) -> tuple[list[str], Any]:
    """The names of the layers that are left, and what the model gives."""
    plan = shapecalc.loads(text, format="keras", name="net").cut(*at, **wanted)
    config = json.loads(patched(plan))["config"]
    return [entry["config"]["name"] for entry in config["layers"]], config.get("output_layers")


#: Definition, layers to end at and how, the entries that are left, what the model gives.
CASES: dict[str, tuple[str, tuple[str, ...], dict[str, Any], list[str], Any]] = {
    "a branch": (branched(), ("b",), {}, ["image", "b"], [["b", 0, 0]]),
    "of an older version": (branched(False), ("b",), {}, ["image", "b"], [["b", 0, 0]]),
    "several values, in the order asked for": (
        branched(), ("b", "a"), {}, ["image", "a", "b"], [["b", 0, 0], ["a", 0, 0]],
    ),
    "one of two calls, counted anew": (branched(), ("r_2",), {}, ["image", "a", "r"], [["r", 0, 0]]),
    "both calls": (branched(), ("r_2", "r"), {}, ["image", "a", "b", "r"], [["r", 1, 0], ["r", 0, 0]]),
    "before the head": (
        branched(), (), {"features": True}, ["image", "a", "b", "r", "j", "f"], [["f", 0, 0]],
    ),
    "pooled and flattened": (
        branched(), ("a",), {"pool": "avg", "flatten": True},
        ["image", "a", "a_avg", "a_flat"], [["a_flat", 0, 0]],
    ),
    "inside a model": (inside(), ("in/c",), {}, ["image", "in"], [["in", 1, 0]]),
    "inside a model and behind it": (
        inside(), ("in/c", "g"), {}, ["image", "in", "g"], [["in", 1, 1], ["g", 0, 0]],
    ),
    "a sequence": (sequence(), ("c",), {}, ["image", "c"], None),
    "a sequence that is pooled": (sequence(), ("c",), {"pool": "max"}, ["image", "c", "c_max"], None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_left(name: str) -> None:
    text, at, wanted, layers, outputs = CASES[name]
    assert cut(text, *at, **wanted) == (layers, outputs)


def test_a_model_inside_ends_where_it_is_cut() -> None:
    plan = shapecalc.loads(inside(), format="keras", name="net").cut("in/c")
    (_, entry) = json.loads(patched(plan))["config"]["layers"]
    assert [each["name"] for each in entry["config"]["layers"]] == ["i", "c"]
    assert entry["config"]["output_layers"] == [["c", 0, 0]]


def test_all_other_characters_stay() -> None:
    text = branched()
    edited = patched(shapecalc.loads(text, format="keras", name="net").cut("a"))
    begin = text.index(', {"class_name": "Conv2D", "config": {"name": "b"')
    end = text.index('], "input_layers"')
    assert edited == (text[:begin] + text[end:]).replace('[["end", 0, 0]]', '[["a", 0, 0]]')


REFUSED: dict[str, tuple[str, tuple[str, ...], dict[str, Any], str]] = {
    "two values of a sequence": (sequence(), ("c", "f"), {}, "a sequence of layers gives one value"),
    "a pooling before Keras 2.6": (
        json.dumps(json.loads(branched(False)) | {"keras_version": "2.4.0"}),
        ("a",),
        {"pool": "avg"},
        "a pooling over all places that keeps its axes came with Keras 2.6",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_definition_cannot_end_with(name: str) -> None:
    text, at, wanted, said = REFUSED[name]
    with pytest.raises(RefusedError) as caught:
        cut(text, *at, **wanted)
    assert said in str(caught.value.because)
    assert caught.value.hint == "write it as ONNX: -o result.onnx"


# -- weights ----------------------------------------------------------------------------------------------------------

WEIGHTS = {
    "layers/conv2d/vars/0": noise(3, 3, 3, 5),
    "layers/conv2d/vars/1": noise(5, seed=1),
    "layers/conv2d_1/vars/0": noise(3, 3, 3, 4, seed=2),
    "layers/conv2d_1/vars/1": noise(4, seed=3),
    "layers/dense/vars/0": noise(576, 10, seed=4),
    "layers/dense/vars/1": noise(10, seed=5),
}
ADAM = {"optimizer/vars/0": noise(3)}


def held(path: Path) -> dict[str, Any]:
    """Every data set of an HDF5 file."""
    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda n, item: found.update({n: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_an_archive_keeps_the_weights_of_what_stays_under_their_new_numbers(tmp_path: Path) -> None:
    """The second convolution is the first from now on: Keras counts the layers of a class, as it meets them."""
    path = tmp_path / "n.keras"
    path.write_bytes(archive(branched(), by_class(WEIGHTS | ADAM)))
    written = shapecalc.load(path).cut("a").save(tmp_path / "out.keras", device="cpu")
    with zipfile.ZipFile(written) as after:
        assert after.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        (tmp_path / "w.h5").write_bytes(after.read("model.weights.h5"))
    found = held(tmp_path / "w.h5")
    assert list(found) == ["layers/conv2d/vars/0", "layers/conv2d/vars/1"]
    assert all(numpy.array_equal(found[key], WEIGHTS[key.replace("conv2d", "conv2d_1")]) for key in found)
    assert shapecalc.load(written).match().counts == {"same": 2}
    assert written.stat().st_size < path.stat().st_size / 2


@pytest.mark.parametrize("split", [0, 1])
def test_an_hdf5_file_keeps_the_layers_that_stay(split: int, tmp_path: Path) -> None:
    layers = {
        name: {f"{name}/kernel:0": WEIGHTS[f"layers/{key}/vars/0"], f"{name}/bias:0": WEIGHTS[f"layers/{key}/vars/1"]}
        for name, key in (("b", "conv2d"), ("a", "conv2d_1"), ("end", "dense"))
    }
    path = tmp_path / "n.h5"
    path.write_bytes(by_name(layers, branched(), split))
    written = shapecalc.load(path).cut("b").save(tmp_path / "out.h5", device="cpu")
    found = held(written)
    assert [key for key in found if key.startswith("model_weights/")] == [
        "model_weights/b/b/bias:0",
        "model_weights/b/b/kernel:0",
    ]
    assert numpy.array_equal(found["model_weights/b/b/kernel:0"], WEIGHTS["layers/conv2d/vars/0"])
    assert shapecalc.load(written).match().counts == {"same": 2}


def test_the_parts_of_a_model_inside_stay_or_go(tmp_path: Path) -> None:
    inner = {"in/c/kernel:0": noise(3, 3, 3, 4), "in/c/bias:0": noise(4)}
    gone = {"in/d/kernel:0": noise(3, 3, 4, 4), "in/d/bias:0": noise(4)}
    layers = {"in": {**inner, **gone}, "top": {"top/kernel:0": noise(4, 10), "top/bias:0": noise(10)}}
    path = tmp_path / "n.h5"
    path.write_bytes(by_name(layers, inside()))
    written = shapecalc.load(path).cut("in/c").save(tmp_path / "out.h5", device="cpu")
    assert sorted(held(written)) == sorted(f"model_weights/in/{key}" for key in inner)
    assert shapecalc.load(written).match().counts == {"same": 2}


def test_a_size_that_is_left_open_stays_open(tmp_path: Path) -> None:
    text = k.sequential(k.conv("c", 4), k.layer("ReLU", "r"), shape=(None, None, 3))
    weights = {key: WEIGHTS[key.replace("2d", "2d_1")] for key in ("layers/conv2d/vars/0", "layers/conv2d/vars/1")}
    (tmp_path / "n.keras").write_bytes(archive(text, by_class(weights)))
    written = shapecalc.load(tmp_path / "n.keras").cut("c").save(tmp_path / "out.keras", verify=False)
    assert shapecalc.load(written).graph.outputs == ("c",)
    assert shapecalc.load(written).match().counts == {"same": 2}
