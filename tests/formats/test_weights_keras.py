"""Keras' weights: archives and both layouts of HDF5, laid out by hand; a model comes with its own."""

from __future__ import annotations

import io
import json
import shlex
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_models as k
import numpy
import pytest
from weight_files import noise

import shapecalc
from shapecalc.errors import ModelError
from shapecalc.formats.weights import read_weights
from shapecalc.weights import Array

h5py: Any = pytest.importorskip("h5py", reason="needs the extra keras")

Arrays = Mapping[str, Array]


def hdf5(fill: Callable[[Any], None]) -> bytes:
    """An HDF5 file in memory."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def by_class(arrays: Arrays) -> bytes:
    """The layout of Keras 3."""

    def fill(file: Any) -> None:
        for key, array in arrays.items():
            file[key] = array

    return hdf5(fill)


def by_name(layers: Mapping[str, Arrays], config: str | None = None, split: int = 0) -> bytes:
    """The layout before: a group a layer, lists of names in attributes (of ``split`` names each)."""

    def names(group: Any, attribute: str, listed: list[str]) -> None:
        found = numpy.array([name.encode() for name in listed], dtype="S")
        if not split:
            group.attrs[attribute] = found
        for place in range(0, len(listed) if split else 0, split or 1):
            group.attrs[f"{attribute}{place // split}"] = found[place : place + split]

    def fill(file: Any) -> None:
        group = file
        if config is not None:
            file.attrs["model_config"] = config
            group = file.create_group("model_weights")
            file["optimizer_weights/iteration"] = noise(1)
        names(group, "layer_names", list(layers))
        for layer, arrays in layers.items():
            inside = group.create_group(layer)
            names(inside, "weight_names", list(arrays))
            for name, array in arrays.items():
                inside[name] = array

    return hdf5(fill)


def archive(config: str, weights: bytes | None, how: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", config)
        if weights is not None:
            file.writestr("model.weights.h5", weights)
    return buffer.getvalue()


NET = k.sequential(k.conv("c", 4), k.layer("BatchNormalization", "b"), k.conv("d", 2, 1), shape=(6, 6, 3))
SHAPES: dict[str, tuple[int, ...]] = {
    "layers/conv2d/vars/0": (3, 3, 3, 4),
    "layers/conv2d/vars/1": (4,),
    **{f"layers/batch_normalization/vars/{i}": (4,) for i in range(4)},
    "layers/conv2d_1/vars/0": (1, 1, 4, 2),
    "layers/conv2d_1/vars/1": (2,),
}
KEYS = {key: abs(noise(*shape, seed=i)) for i, (key, shape) in enumerate(SHAPES.items())}  # variances too
LAYERS: dict[str, Arrays] = {
    "c": {"c/kernel:0": KEYS["layers/conv2d/vars/0"], "c/bias:0": KEYS["layers/conv2d/vars/1"]},
    "b": {f"b/{i}:0": KEYS[f"layers/batch_normalization/vars/{i}"] for i in range(4)},
    "d": {"d/kernel:0": KEYS["layers/conv2d_1/vars/0"], "d/bias:0": KEYS["layers/conv2d_1/vars/1"]},
}
PARAMS = ["c/kernel", "c/bias", "b/gamma", "b/beta", "b/moving_mean", "b/moving_variance", "d/kernel", "d/bias"]
#: What else an archive or a file of weights holds.
OTHERS = {"optimizer/vars/0": noise(3), "_layer_checkpoint_dependencies/x": noise(1)}
BACKSLASHES = {key.replace("/", "\\"): array for key, array in KEYS.items()}
OLDEST = {key.replace("layers/", "_layer_checkpoint_dependencies/"): array for key, array in KEYS.items()}
RENAMED = dict(zip(("x", "y", "z"), LAYERS.values(), strict=True))

FILES: dict[str, tuple[str, bytes]] = {
    "Keras 3": ("w.weights.h5", by_class(KEYS)),
    "Keras 3 with an optimizer": ("w.weights.h5", by_class(KEYS | {"optimizer/vars/0": noise(3)})),
    "written on Windows": ("w.weights.h5", by_class(BACKSLASHES)),
    "Keras 2.12": ("w.weights.h5", by_class(OLDEST)),
    "Keras 2": ("w.h5", by_name(LAYERS)),
    "Keras 2, long lists": ("w.h5", by_name(LAYERS, split=1)),
    "Keras 2, layers of other names": ("w.h5", by_name(RENAMED)),
    "Keras 2, layers in another order": ("w.h5", by_name(dict(reversed(LAYERS.items())))),
    "a saved model of Keras 2": ("w.h5", by_name(LAYERS, NET)),
    "an archive": ("w.keras", archive(NET, by_class(KEYS))),
    "an archive that is compressed": ("w.keras", archive(NET, by_class(KEYS), zipfile.ZIP_DEFLATED)),
}


@pytest.mark.parametrize("name", FILES)
def test_every_parameter_finds_its_numbers(name: str, tmp_path: Path) -> None:
    file, data = FILES[name]
    (tmp_path / file).write_bytes(data)
    model = shapecalc.loads(NET, format="keras", weights=tmp_path / file)
    match = model.match()
    assert (match.counts, match.ok) == ({"same": 8}, True)
    assert [row.param for row in match.rows] == PARAMS
    for param, array in zip(PARAMS, KEYS.values(), strict=True):
        assert numpy.array_equal(model.given[param].array(), array)


@pytest.mark.parametrize("name", [name for name, (file, _) in FILES.items() if "keras" in file or "saved" in name])
def test_a_model_comes_with_its_own(name: str, tmp_path: Path) -> None:
    file, data = FILES[name]
    (tmp_path / file).write_bytes(data)
    for model in (shapecalc.load(tmp_path / file), shapecalc.load(data, format="keras")):
        assert model.match().counts == {"same": 8}
        assert numpy.array_equal(model.given["d/kernel"].array(), KEYS["layers/conv2d_1/vars/0"])


def test_stored_numbers_are_where_the_archive_has_them(tmp_path: Path) -> None:
    path = tmp_path / "w.keras"
    path.write_bytes(FILES["an archive"][1])
    for key, entry in read_weights(path).entries.items():
        where = entry.where
        assert where is not None
        assert path.read_bytes()[where.offset : where.offset + where.length] == KEYS[key].tobytes()


def test_models_inside_are_filed_by_class_and_listed_by_name(tmp_path: Path) -> None:
    inner = k.model("i", "n d", k.fed("i", 6, 6, 3), k.called(k.layer("BatchNormalization", "n"), "i"),
                    k.called(k.conv("d", 2, 1), "n"))  # fmt: skip
    inner["config"]["output_layers"] = [["d", 0, 0]]
    text = k.functional(
        "a", "e", k.fed("a", 6, 6, 3), k.called({**inner, "config": {**inner["config"], "name": "in"}}, "a"),
        k.called(k.conv("e", 2, 1), [("in", 1, 0)]),
    )  # fmt: skip
    keys = {f"layers/functional/layers/batch_normalization/vars/{i}": noise(3, seed=i) for i in range(4)}
    keys |= {
        "layers/functional/layers/conv2d/vars/0": noise(1, 1, 3, 2),
        "layers/functional/layers/conv2d/vars/1": noise(2),
    }
    outside = {"layers/conv2d/vars/0": noise(1, 1, 2, 2, seed=9), "layers/conv2d/vars/1": noise(2, seed=9)}
    (tmp_path / "w.weights.h5").write_bytes(by_class(keys | outside))
    *norm, kernel, bias = keys.values()
    names = [f"n/{name}:0" for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    statistics = dict(zip(names[2:], norm[2:], strict=True))
    trained = {**dict(zip(names[:2], norm[:2], strict=True)), "d/kernel:0": kernel, "d/bias:0": bias}
    nameless = {f"w{i}:0": array for i, array in enumerate({**trained, **statistics}.values())}
    last = {"e/kernel:0": outside["layers/conv2d/vars/0"], "e/bias:0": outside["layers/conv2d/vars/1"]}
    (tmp_path / "w.h5").write_bytes(by_name({"in": {**trained, **statistics}, "e": last}))
    (tmp_path / "frozen.h5").write_bytes(by_name({"in": {**statistics, **trained}, "e": last}))
    (tmp_path / "nameless.h5").write_bytes(by_name({"in": nameless, "e": last}))
    for file in ("w.weights.h5", "w.h5", "frozen.h5", "nameless.h5"):
        model = shapecalc.loads(text, format="keras", weights=tmp_path / file)
        assert model.match().ok
        assert numpy.array_equal(model.given["in/n/moving_mean"].array(), norm[2])
        assert numpy.array_equal(model.given["in/d/bias"].array(), bias)
        assert numpy.array_equal(model.given["e/bias"].array(), noise(2, seed=9))


def test_a_layer_that_the_file_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(by_name({name: LAYERS[name] for name in "cb"} | {"old": LAYERS["d"]}))
    match = shapecalc.loads(NET, format="keras").match(tmp_path / "w.h5")
    assert [(row.key, row.verdict) for row in match.rows[-4:]] == [
        ("d/kernel", "missing"),
        ("d/bias", "missing"),
        ("old/d/kernel:0", "ignored"),
        ("old/d/bias:0", "ignored"),
    ]


def test_without_h5py_a_trace_works_and_numbers_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.keras"
    path.write_bytes(FILES["an archive"][1])
    monkeypatch.setitem(sys.modules, "h5py", None)
    model = shapecalc.load(path)
    assert model.trace().ok
    assert model.graph.warnings == ("its weights are not read: this is an HDF5 file, and h5py is not installed",)
    with pytest.raises(ModelError) as caught:
        model.convert(tmp_path / "w.onnx")
    assert caught.value.hint == f"{shlex.quote(sys.executable)} -m pip install h5py"
    assert not (tmp_path / "w.onnx").exists()


def _bomb() -> bytes:
    return archive(NET, bytes(1 << 27), zipfile.ZIP_DEFLATED)


#: A file, and what is said of it.
BROKEN: dict[str, tuple[bytes, str]] = {
    "no weights": (archive(NET, None), "the archive holds no model.weights.h5"),
    "a bomb": (_bomb(), "model.weights.h5: 130,4.. bytes claim to unpack to 134,217,728"),
    "no HDF5": (archive(NET, b"nothing"), "this HDF5 file is damaged"),
    "cut short": (archive(NET, by_class(KEYS)[:900]), "this HDF5 file is damaged"),
    "names that are numbers": (hdf5(lambda f: f.attrs.create("layer_names", [1, 2])), "layer_names holds something"),
    "empty": (hdf5(lambda f: None), "the file holds no weights"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name: str, tmp_path: Path) -> None:
    data, said = BROKEN[name]
    (tmp_path / "w.h5").write_bytes(data)
    with pytest.raises(ModelError, match=said):
        read_weights(tmp_path / "w.h5")


def test_a_broken_archive_is_still_traced(tmp_path: Path) -> None:
    (tmp_path / "w.keras").write_bytes(BROKEN["no HDF5"][0])
    model = shapecalc.load(tmp_path / "w.keras")
    assert (model.trace().ok, len(model.graph.warnings)) == (True, 1)
    with pytest.raises(ModelError, match="this HDF5 file is damaged"):
        model.verify(device="cpu")


def test_cut_and_changed_bytes_are_model_errors(tmp_path: Path) -> None:
    chance = numpy.random.default_rng(0)
    path = tmp_path / "w.h5"
    for name in ("Keras 3", "Keras 2, long lists", "an archive", "an archive that is compressed"):
        good = FILES[name][1]
        for _ in range(40):
            data = bytearray(good)
            for place in chance.integers(0, len(good), 4):
                data[place] = chance.integers(0, 256)
            path.write_bytes(bytes(data[: chance.integers(1, len(good) + 1)]) if chance.random() < 0.3 else bytes(data))
            try:
                for entry in read_weights(path).entries.values():
                    if entry.load is not None:
                        entry.array()
            except ModelError:
                pass


def test_what_is_converted_holds_the_numbers(tmp_path: Path) -> None:
    import onnx
    import onnx.numpy_helper

    (tmp_path / "w.keras").write_bytes(FILES["an archive"][1])
    shapecalc.load(tmp_path / "w.keras").convert(tmp_path / "w.onnx", device="cpu")
    held = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "w.onnx").graph.initializer}
    assert numpy.array_equal(held["d/bias"], KEYS["layers/conv2d_1/vars/1"])
    assert numpy.array_equal(held["c/kernel/hwio"], KEYS["layers/conv2d/vars/0"].transpose(3, 2, 0, 1))
    assert json.loads(NET)["class_name"] == "Sequential"
