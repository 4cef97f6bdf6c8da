"""Nothing of a Keras definition is executed, and no definition takes long or much: only ShapecalcError comes out."""

from __future__ import annotations

import copy
import io
import json
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_models import called, conv, fed, functional, layer, model, sequential

import shapecalc
from shapecalc import ModelError, ShapecalcError

DATA = Path(__file__).parents[1] / "data"
#: Seconds that no definition may take.
LONGEST = 5.0


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def doubled(levels: int) -> str:
    """A model that calls a model twice, which calls a model twice, …: two to the power of ``levels`` layers."""
    inner = model("x", "y", fed("x", 4, 4, 3), called(layer("ReLU", "y"), "x"), name="m0")
    for level in range(1, levels):
        last = f"m{level - 1}"
        inner = model("x", [[last, 2, 0]], fed("x", 4, 4, 3), called(inner, "x", [(last, 1, 0)]), name=f"m{level}")
    return json.dumps(inner)


def deep(levels: int) -> str:
    inner = layer("ReLU", "r")
    for level in range(levels):
        inner = {"class_name": "Sequential", "config": {"name": f"s{level}", "layers": [inner]}}
    return sequential(inner)


HOSTILE: dict[str, bytes] = {
    "deep brackets": b'{"class_name":' + b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep models": deep(40).encode(),
    "models that double": doubled(18).encode(),
    "many values": b'{"class_name": "Sequential", "config": [' + b"1," * 2_000_000 + b"1]}",
    "a long number": b'{"class_name": ' + b"9" * 100_000 + b"}",
    "a long word": b"{" + b'"' + b"\\" * 100_001,
    "huge sizes": sequential(conv(filters=10**18)).encode(),
    "a huge input": sequential(conv(), shape=(10**18, 10**18, 3)).encode(),
    "a huge kernel": sequential(layer("Conv2D", "c", filters=1, kernel_size=10**12)).encode(),
    "a long chain of calls": functional(
        "image", "l", fed("image", 4, 4, 3), called(layer("ReLU", "l"), *[[("l", i, 0)] for i in range(30_000)])
    ).encode(),
    "not UTF-8": b'{"class_name": "\xff"}',
    "a null byte": b'{"class_name": "\0"',
    "an empty archive": zipped({"metadata.json": b"{}"}),
    "a name that climbs": zipped({"../../config.json": sequential(conv()).encode()}),
    "an archive of gigabytes": zipped({"config.json": b" " * (65 << 20)}),
    "a compression that Keras never writes": zipped({"config.json": sequential(conv()).encode()}, zipfile.ZIP_LZMA),
    "an archive cut short": zipped({"config.json": sequential(conv()).encode()})[:-30],
    "an encrypted archive": zipped({"config.json": b"{}"}, zipfile.ZIP_STORED).replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
    ),
    "HDF5 of nothing": b"\x89HDF\r\n\x1a\n" + bytes(200),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_definitions_are_refused(name: str) -> None:
    started = time.process_time()
    with pytest.raises(ModelError):
        shapecalc.load(HOSTILE[name], format="keras")
    assert time.process_time() - started < LONGEST


def test_code_in_a_definition_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "made"
    code = f"open({str(target)!r}, 'w')"
    entry = layer("Lambda", "l", function={"class_name": "__lambda__", "config": {"code": code}}, module="os")
    other = {"module": "os", "class_name": "system", "config": {"name": code}}
    assert shapecalc.loads(sequential(entry, other), format="keras").trace().layer("l").outputs[0].shape is None
    assert list(tmp_path.iterdir()) == []


# -- mutated ----------------------------------------------------------------------------------------------------------

MODELS = [json.loads(row["model"]) for row in json.loads((DATA / "keras_numeric.json").read_text())]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3, 7, 0.5, 1e300, 10**18, 2**31, float("nan"), ""),
    *("same", "valid", "causal", "channels_first", "channels_last", "Dense", "Conv2D", "LSTM", "Dot", "Lambda"),
    *("Bidirectional", "Embedding", "PReLU", "Normalization", "Concatenate", "Functional", "GetItem", "image"),
    *([], {}, [0], [-1], [1, 2], [1, 1, 1], [[1, 2], [3, 4]], ["image", 0, 0], [["image", 0, 0, {}]], [None]),
    *({"class_name": "X", "config": {}}, {"class_name": "__numpy__", "config": {"value": [1, 2]}}),
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything inside a JSON value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        keys = item if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            found.append((item, key))
            waiting.append(item[key])
    return found


def mutated(chance: random.Random) -> str:
    """A model with a few of its values replaced, exchanged or left out."""
    made = copy.deepcopy(chance.choice(MODELS))
    for _ in range(chance.randint(1, 4)):
        inside = places(made)
        container, key = chance.choice(inside)
        what = chance.random()
        if what < 0.6:
            container[key] = copy.deepcopy(chance.choice(VALUES))
        elif what < 0.85:
            other, place = chance.choice(inside)
            container[key] = copy.deepcopy(other[place])
        else:
            del container[key]
        if not places(made):
            break
    return json.dumps(made)


def asked(text: str | bytes) -> None:
    """Everything that is asked of a definition; raises nothing but ShapecalcError."""
    try:
        model = shapecalc.load(text.encode() if isinstance(text, str) else text, format="keras")
        trace = model.trace()
        trace.to_dict()
        model.advice(trace)
    except ShapecalcError:
        return


@pytest.mark.parametrize("seed", range(8))
def test_mutated_definitions_raise_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(200):
        asked(mutated(chance))


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_raise_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    text = sequential(conv(), layer("Flatten", "f"), layer("Dense", "d", units=3)).encode()
    whole = [text, zipped({"config.json": text}), zipped({"config.json": text}, zipfile.ZIP_STORED)]
    for _ in range(200):
        data = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        asked(bytes(data[: chance.choice([len(data), chance.randrange(len(data))])]))


# -- generated --------------------------------------------------------------------------------------------------------

COUNT = st.integers(1, 5)
PADDING = st.sampled_from(["valid", "same"])
LAYER = st.one_of(
    st.builds(
        lambda filters, kernel, stride, padding, activation: layer(
            "Conv2D", filters=filters, kernel_size=kernel, strides=stride, padding=padding, activation=activation
        ),
        COUNT,
        COUNT,
        st.integers(1, 3),
        PADDING,
        st.sampled_from(["linear", "relu", "softmax", "swish"]),
    ),
    st.builds(
        lambda kind, kernel, stride, padding: layer(kind, pool_size=kernel, strides=stride, padding=padding),
        st.sampled_from(["MaxPooling2D", "AveragePooling2D"]),
        COUNT,
        st.integers(1, 3),
        PADDING,
    ),
    st.builds(lambda m, k: layer("DepthwiseConv2D", kernel_size=k, depth_multiplier=m), st.integers(1, 3), COUNT),
    st.builds(lambda f, s: layer("Conv2DTranspose", filters=f, kernel_size=3, strides=s), COUNT, st.integers(1, 3)),
    st.builds(lambda p: layer("ZeroPadding2D", padding=[[p, 0], [1, p]]), st.integers(0, 3)),
    st.builds(lambda p: layer("Cropping2D", cropping=[[p, 0], [1, p]]), st.integers(0, 3)),
    st.builds(lambda s: layer("UpSampling2D", size=s), st.integers(1, 3)),
    st.sampled_from(
        [layer(kind) for kind in ("BatchNormalization", "ReLU", "Flatten", "GlobalMaxPooling2D", "Softmax")]
    ),
    st.builds(lambda units: layer("Dense", units=units), COUNT),
)


def named(layers: list[Any]) -> list[Any]:
    return [{**entry, "config": {**entry["config"], "name": f"l{i}"}} for i, entry in enumerate(layers)]


@settings(max_examples=150, deadline=None)
@given(st.lists(LAYER, min_size=1, max_size=7), st.integers(1, 14), st.integers(1, 14))
def test_one_definition_in_two_shapes_is_traced_alike(layers: list[Any], height: int, width: int) -> None:
    """A sequence and the functional model of the same layers agree, and what fits has no size below 1."""
    rows = named(layers)
    flat = shapecalc.loads(sequential(*rows, shape=(height, width, 3)), format="keras").trace()
    before = ["image", *(row["config"]["name"] for row in rows)]
    calls = [called(row, name) for row, name in zip(rows, before, strict=False)]
    linked = shapecalc.loads(functional("image", before[-1], fed("image", height, width, 3), *calls), format="keras")
    trace = linked.trace()
    assert [v.outputs[0].shape for v in trace.layers] == [v.outputs[0].shape for v in flat.layers]
    assert [str(p) for p in trace.problems] == [str(p) for p in flat.problems]
    if trace.ok:
        assert all(d >= 1 for value in trace.layers for d in value.outputs[0].shape or ())


@settings(max_examples=40, deadline=None)
@given(st.lists(LAYER, min_size=1, max_size=6), st.integers(6, 14))
def test_what_fits_runs_as_traced(layers: list[Any], size: int) -> None:
    """Every tensor has the predicted shape in onnxruntime."""
    net = shapecalc.loads(sequential(*named(layers), shape=(size, size, 3)), format="keras")
    if net.trace().ok:
        assert net.verify(device="cpu").ok
