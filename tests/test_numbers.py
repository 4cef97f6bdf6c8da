"""Lowering is exact: single layers whose outputs were recorded from Caffe and Chainer, run as ONNX in onnxruntime.

The rows of tests/data/*_numeric.json are the recordings; weights of Chainer links were not recorded, so only functions
and links with constant weights are there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest

import shapecalc
from shapecalc.trace import Trace
from shapecalc.verify.run import execute, runnable
from shapecalc.weights import Array, role, slots

DATA = Path(__file__).parent / "data"

#: Largest difference from the recording, relative to its largest number.
LIMIT = 1e-5


def rows(name: str) -> list[dict[str, Any]]:
    return json.loads((DATA / f"{name}.json").read_text())  # type: ignore[no-any-return]


def recorded(blob: dict[str, Any]) -> Array:
    return numpy.array(blob["data"], numpy.float32).reshape(blob["shape"])


def run(
    model: shapecalc.Model, trace: Trace, weights: dict[str, Array], images: dict[str, Array], output: str
) -> Array:
    what = runnable(model, model.graph, trace, 0, weights)
    return execute(what._replace(inputs={name: images[name] for name in what.inputs}), "cpu").tensors[output]


def assert_same(got: Array, want: Array) -> None:
    assert got.shape == want.shape
    scale = max(float(numpy.abs(want).max()), 1e-6)
    assert float(numpy.abs(got - want).max()) <= LIMIT * scale


CAFFE = rows("caffe_numeric")


@pytest.mark.parametrize("row", [row for row in CAFFE if row["error"] is None], ids=lambda row: row["name"])
def test_caffe_layers(row: dict[str, Any]) -> None:
    model = shapecalc.loads(row["prototxt"], format="caffe")
    trace = model.trace(None, fresh=True)
    assert trace.problems == []
    names = [name for name in model.graph.node("l").inputs[1:] if name in model.graph.params]
    weights = sorted((w for w in row["weights"] if w["layer"] == "l"), key=lambda w: int(w["index"]))
    given = dict(zip(names, map(recorded, weights), strict=False))
    images = {name: recorded(blob) for name, blob in row["blobs"].items()}
    assert_same(run(model, trace, given, images, "out"), images["out"])


@pytest.mark.parametrize("row", [row for row in CAFFE if row["error"] is not None], ids=lambda row: row["name"])
def test_what_caffe_refuses_is_refused(row: dict[str, Any]) -> None:
    def refusal() -> str:
        trace = shapecalc.loads(row["prototxt"], format="caffe").trace(None, fresh=True)
        return trace.problems[0].code

    if row["name"] in UNREADABLE:
        with pytest.raises(shapecalc.ModelError, match=UNREADABLE[row["name"]]):
            refusal()
    else:
        assert refusal() == MISFITS[row["name"]]


#: Recorded refusals of Caffe: definitions that cannot be read, and nets that do not fit.
UNREADABLE = {
    "ERR_dup_top": "l2 writes 'a', which l writes too",
    "ERR_conv_both_kernel": "kernel_size, or kernel_h and kernel_w",
}
MISFITS = {
    "ERR_conv_kernel_gt": "E103",
    "ERR_group": "E104",
    "ERR_concat": "E105",
    "ERR_pool_kernel_gt": "E103",
    "ERR_slice": "E106",
    "ERR_unknown_type": "E204",
}

CHAINER_SOURCE = """
import chainer
import chainer.functions as F
class One(chainer.Chain):
    def forward(self, x):
        return {}
"""

CHAINER = {
    "lrn n=5 k=2 alpha=.5 beta=.75": "F.local_response_normalization(x, 5, 2, .5, .75)",
    "lrn n=4 k=2 alpha=.5 beta=.75": "F.local_response_normalization(x, 4, 2, .5, .75)",
    "max 3 s2 cover_all": "F.max_pooling_2d(x, 3, stride=2)",
    "avg 3 s2 p1": "F.average_pooling_2d(x, 3, stride=2, pad=1)",
    "avgnd pad_value=None": "F.average_pooling_nd(x, (3, 3), stride=2, pad=1, pad_value=None)",
    "global avg kernel=shape": "F.average_pooling_2d(x, x.shape[2:])",
    "flatten": "F.flatten(x)",
    "sum axis": "F.sum(x, axis=(2, 3))",
    "crelu": "F.crelu(x)",
}


@pytest.mark.parametrize(("name", "expression"), CHAINER.items())
def test_chainer_functions(name: str, expression: str) -> None:
    recordings = {row["name"]: row for row in rows("chainer_numeric")}
    model = shapecalc.loads(CHAINER_SOURCE.format(expression), format="chainer")
    trace = model.trace((1, 8, 6, 6), fresh=True)
    assert trace.problems == []
    image = recorded(recordings["flatten"]).reshape(1, 8, 6, 6)  # flatten's output is the image all rows were given
    output = trace.outputs[0].name
    assert_same(run(model, trace, {}, {"x": image}, output), recorded(recordings[name]))


@pytest.mark.parametrize("size", range(2, 12))
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"), [(3, 2, 0), (3, 2, 1), (2, 3, 0), (2, 3, 1), (3, 3, 1), (4, 3, 2)]
)
def test_cover_all_reaches_every_pixel_in_onnxruntime(size: int, kernel: int, stride: int, pad: int) -> None:
    """Chainer's cover_all against a maximum written out by hand, where no ceil_mode equals it too.

    A window that sees nothing but padding is minus infinity in Chainer; onnxruntime starts a maximum from the lowest
    finite number.
    """
    source = CHAINER_SOURCE.format(f"F.max_pooling_2d(x, {kernel}, stride={stride}, pad={pad})")
    model = shapecalc.loads(source, format="chainer")
    trace = model.trace((1, 1, size, size), fresh=True)
    if trace.problems:
        assert kernel > size + 2 * pad
        return
    image = numpy.random.default_rng(0).standard_normal((1, 1, size, size), dtype=numpy.float32)
    got = run(model, trace, {}, {"x": image}, trace.outputs[0].name)
    places = (size + 2 * pad - kernel + stride - 1) // stride + 1
    padded = numpy.pad(image[0, 0], ((pad, pad + kernel + stride),) * 2, constant_values=-numpy.inf)
    want = [
        [padded[i * stride : i * stride + kernel, j * stride : j * stride + kernel].max() for j in range(places)]
        for i in range(places)
    ]
    lowest = float(numpy.finfo(numpy.float32).min)
    assert numpy.array_equal(got[0, 0], numpy.maximum(numpy.array(want, numpy.float32), lowest))


def test_weights_and_shifts_are_told_apart() -> None:
    graph = shapecalc.load("lenet").graph
    uses = slots(graph)
    roles = {name: role(name, uses) for name in graph.params}
    assert roles == {name: "weight" if name.endswith("/W") else "shift" for name in roles}
