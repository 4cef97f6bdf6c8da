"""Records what whole Keras models compute, so that the tests need no Keras: run it where Keras is installed.

    KERAS_BACKEND=jax python -m tests.tools.record_keras_models                 Keras 3: the corpus and its applications
    python -m tests.tools.record_keras_models --older                           Keras 2 with TensorFlow: the others
    … record_keras_models VGG16 ResNet50 --files FOLDER                         these, and their files with weights

adds to tests/data/keras_models.jsonl.xz a row for each: its definition, what it makes of seeded weights and a seeded
image (`seeded`), how many numbers are trained, and a sum of the keys under which Keras 3 files its weights. Those of
../shared are recorded by the name of their file. `compare_keras` compares; of FOLDER with the numbers in the files.
"""

from __future__ import annotations

import argparse
import json
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy

from .record_keras import shorter, weights_of
from .seeded import image, weight

DATA = Path(__file__).parents[1] / "data" / "keras_models.jsonl.xz"
CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "keras"
#: Numbers of an output that are kept.
KEPT = 16
#: Height and width of applications: the smallest that all of them take, odd at every halving but two.
SIZE = 75
#: Of sequences without a length, of maps without a size.
OPEN = 64
#: A softmax near 1 is the same for many scores.
SATURATED = 0.9
#: Of these an image that differs by 1e-6 gave other scores, by 3e-5 and by half of the largest: gains are made smaller.
DAMPED = {"EfficientNetV2M": 0.7, "EfficientNetV2L": 0.7}
#: 200 and 350 million numbers; ConvNeXtBase is built alike.
TOO_LARGE = ("ConvNeXtLarge", "ConvNeXtXLarge")
#: Of Keras 2.15: what Keras 3 no longer has, and a few whose files are written differently.
OLDER = (
    "RegNetX002 RegNetX004 RegNetY002 RegNetY004 ResNetRS50 "
    "ConvNeXtTiny EfficientNetB0 EfficientNetV2B0 InceptionResNetV2 MobileNet MobileNetV3Small NASNetMobile Xception"
).split()


def recorded() -> list[dict[str, Any]]:
    """The rows there are."""
    return [json.loads(line) for line in lzma.decompress(DATA.read_bytes()).splitlines()] if DATA.exists() else []


def models(keras: Any, older: bool) -> Iterator[tuple[str, str | None, Callable[[], Any]]]:
    """(name, definition where it is not the model's own, what makes the model)."""
    if not older:
        for path in sorted(CORPUS.glob("*.json")):
            yield path.name, path.name, lambda path=path: keras.models.model_from_json(path.read_text())  # type: ignore[misc]
    known = [n for n in dir(keras.applications) if n[0].isupper() and n not in TOO_LARGE]
    for name in OLDER if older else known:
        yield (f"{name} of Keras 2.15" if older else name), None, lambda name=name: _application(keras, name)  # type: ignore[misc]


def _application(keras: Any, name: str) -> Any:
    return getattr(keras.applications, name)(weights=None, classifier_activation=None, input_shape=(SIZE, SIZE, 3))


def row(keras: Any, name: str, shared: str | None, model: Any, keys: Callable[[Any], int] | None) -> dict[str, Any]:
    """One row; the model has seeded weights afterwards. Of a saturated softmax the layer before it is kept."""
    for path, variable in weights_of(model.layers):
        if "float" in str(variable.dtype):  # of a Normalization the count is a whole number
            variable.assign(weight(path, tuple(variable.shape), DAMPED.get(name, 1.0)))
    shape = (1, *(n or OPEN for n in model.inputs[0].shape[1:]))
    features = keras.Model(model.inputs, [model.layers[-2].output, model.outputs[0]])
    before, got = (numpy.asarray(v).astype("float64").reshape(-1) for v in features(image(name, shape), training=False))
    saturated = abs(got).max() > SATURATED and shared is not None
    got = before if saturated else got
    step = max(1, len(got) // KEPT)
    return {
        "name": name,
        "input": shape,
        "damped": DAMPED.get(name, 1.0),
        "layer": model.layers[-2].name if saturated else None,
        "params": sum(int(numpy.prod(w.shape)) for w in model.trainable_weights),
        "keys": keys(model) if keys is not None else None,
        "count": len(got),
        "step": step,
        "sum": float(got.sum()),
        "scale": float(abs(got).max()),
        "kept": [float(f"{v:.9g}") for v in got[::step]],
        "model": None if shared else json.dumps(shorter(json.loads(model.to_json())), separators=(",", ":")),
    }


def keys_of(model: Any) -> int:
    """A sum of where Keras 3 files each weight: found by its numbers, which are its name's alone."""
    import h5py

    places: dict[bytes, str] = {}

    def look(key: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            places[_bytes(item)] = key

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.weights.h5"
        model.save_weights(path)
        with h5py.File(path) as file:
            file.visititems(look)
    floats = [(path, w) for path, w in weights_of(model.layers) if "float" in str(w.dtype)]
    return key_sum({path: places[_bytes(w)] for path, w in floats})


def _bytes(array: Any) -> bytes:
    return numpy.asarray(array).tobytes()


def key_sum(keys: dict[str, str]) -> int:
    """The sum of parameters and their keys, in any order.

    >>> key_sum({"a/kernel": "layers/dense/vars/0"})
    3312093013
    """
    return zlib.crc32("\n".join(sorted(f"{name} {key}" for name, key in keys.items())).encode())


def save(model: Any, folder: Path, name: str) -> None:
    """The model's files: a whole one of each kind, the definition and the weights alone."""
    folder.mkdir(parents=True, exist_ok=True)
    base = str(folder / name.removesuffix(".json"))
    model.save(f"{base}.keras")
    model.save(f"{base}.h5")
    model.save_weights(f"{base}.weights.h5")
    Path(f"{base}.json").write_text(model.to_json())


def main() -> None:
    """Records, or records again, what is named; without a name everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--older", action="store_true", help="Keras 2, which TensorFlow brings")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="also save the models there")
    given = parser.parse_args()
    if given.older:
        from tensorflow import keras  # type: ignore[import-not-found,import-untyped,unused-ignore]
    else:
        import keras  # type: ignore[import-not-found,unused-ignore]
    rows = {row["name"]: row for row in recorded()}
    for name, shared, make in models(keras, given.older):
        if given.names and name.split(" of ")[0] not in given.names:
            continue
        keras.backend.clear_session()  # names are counted anew
        model = make()
        rows[name] = row(keras, name, shared, model, None if given.older else keys_of)
        print(name, rows[name]["input"], rows[name]["params"], rows[name]["scale"], flush=True)
        if given.files is not None:
            save(model, given.files, name)
        lines = "".join(json.dumps(rows[key], separators=(",", ":")) + "\n" for key in sorted(rows))
        DATA.write_bytes(lzma.compress(lines.encode(), preset=9))


if __name__ == "__main__":
    main()
