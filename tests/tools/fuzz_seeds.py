"""Whole files of every format, small, to be damaged: the zoo, the tests' own, a corpus where there is one."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
sys.path.insert(0, str(ROOT / "tests" / "formats"))  # where pytest finds the tests' own files

#: Larger seeds cost time and say nothing more.
LARGEST = 200_000

PROTOTXT = """name: "N"
input: "data" input_shape { dim: 1 dim: 3 dim: 12 dim: 12 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 10 } }
"""
CHAINER = """import chainer, chainer.functions as F, chainer.links as L
class N(chainer.Chain):
    insize = 12
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, 4, 3)
            self.fc = L.Linear(100, 10)
    def __call__(self, x):
        return self.fc(F.max_pooling_2d(F.relu(self.conv(x)), 2, 2))
"""
SHAPES = {"conv": [(4, 3, 3, 3), (4,)], "fc": [(10, 100), (10,)]}


def _noise(*shape: int) -> Any:
    return numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)


def _files(folder: Path, *suffixes: str) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in suffixes and path.is_file() and path.stat().st_size <= LARGEST:
            yield path.read_bytes()


# -- definitions ------------------------------------------------------------------------------------------------------


def onnx_models() -> Iterator[bytes]:
    import onnx_models as made
    from onnx import helper

    from .node_models import node_models

    for version in (3, 8):
        yield made.small(version).SerializeToString()
    apart = made.small()
    for tensor in apart.graph.initializer:
        if len(tensor.raw_data) > 64:
            tensor.ClearField("raw_data")
            tensor.data_location = 1
            for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "4096")):
                tensor.external_data.add(key=key, value=value)
    helper.set_model_props(apart, {"author": "nobody"})
    yield apart.SerializeToString()
    yield from (made.light(name).read_bytes() for name in made.LIGHT_MODELS if name != "light_vgg19")
    yield from (case.model.SerializeToString() for case in node_models())
    yield from _files(ROOT / "zoo", ".onnx")
    yield from _files(CORPUS / "onnx", ".onnx")


def prototxts() -> Iterator[bytes]:
    yield PROTOTXT.encode()
    yield from _files(ROOT / "zoo", ".prototxt")
    yield from _files(CORPUS / "caffe", ".prototxt")


def chainer_sources() -> Iterator[bytes]:
    yield CHAINER.encode()
    yield from _files(ROOT / "zoo", ".py")
    yield from _files(CORPUS / "chainer", ".py")


def keras_configs() -> Iterator[bytes]:
    rows = json.loads((ROOT / "tests" / "data" / "keras_numeric.json").read_text())
    yield from (row["model"].encode() for row in rows)
    yield from _files(CORPUS / "keras", ".json")


# -- weights ----------------------------------------------------------------------------------------------------------


def caffemodels() -> Iterator[bytes]:
    from weight_files import NETS, WAYS, caffemodel

    weights = {layer: [_noise(*shape) for shape in shapes] for layer, shapes in SHAPES.items()}
    yield from (caffemodel(weights, way, version) for way in WAYS for version in NETS)


def means() -> Iterator[bytes]:
    from weight_files import WAYS, blob

    yield from (blob(_noise(1, 3, 8, 8), way) for way in WAYS)


def snapshots() -> Iterator[bytes]:
    names = {f"{layer}/{'Wb'[i]}": _noise(*s) for layer, shapes in SHAPES.items() for i, s in enumerate(shapes)}
    lazy = numpy.empty(1, object)
    rows = [names, {f"updater/model:main/{key}": value for key, value in names.items()}]
    rows += [{f"predictor/{key}": value for key, value in names.items()} | {"lazy": lazy, "t": numpy.array(3)}]
    for row in rows:
        for save in (numpy.savez, numpy.savez_compressed):
            buffer = io.BytesIO()
            save(buffer, **row)
            yield buffer.getvalue()


def hdf5s() -> Iterator[bytes]:
    """Keras' both layouts, Caffe's and Chainer's; nothing without h5py."""
    try:
        import h5py
    except ImportError:
        return
    for keys, compressed in ((_keras_keys(), False), (_keras_keys(), True), (_caffe_keys(), False)):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            for key, value in keys.items():
                file.create_dataset(key, data=value, compression="gzip" if compressed else None)
        yield buffer.getvalue()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["model_config"] = next(keras_configs()).decode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = numpy.array([b"c"])
        group.create_group("c").attrs["weight_names"] = numpy.array([b"c/kernel:0", b"c/bias:0"])
        group["c/c/kernel:0"], group["c/c/bias:0"] = _noise(3, 3, 3, 4), _noise(4)
    yield buffer.getvalue()


def _keras_keys() -> dict[str, Any]:
    return {
        "layers/conv2d/vars/0": _noise(3, 3, 3, 4),
        "layers/conv2d/vars/1": _noise(4),
        "optimizer/vars/0": _noise(3),
    }


def _caffe_keys() -> dict[str, Any]:
    return {f"data/{layer}/{i}": _noise(*s) for layer, shapes in SHAPES.items() for i, s in enumerate(shapes)}


def archives() -> Iterator[bytes]:
    weights = next(hdf5s(), b"")
    for config in list(keras_configs())[:12]:
        for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", how) as file:
                file.writestr("metadata.json", '{"keras_version": "3.0.0"}')
                file.writestr("config.json", config)
                file.writestr("model.weights.h5", weights)
            yield buffer.getvalue()
    yield from _files(CORPUS / "keras", ".keras")
