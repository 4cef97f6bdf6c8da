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
import chainer.links as L
class One(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.link = {link}
    def forward(self, x):
        return {body}
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
    "unpooling 2 cover_all False": "F.unpooling_2d(x, 2, cover_all=False)",
    "depth2space": "F.depth2space(x, 2)",
    "roi_max_pooling": None,  # it is fed regions: tests/formats/test_regions_and_places.py
    **{
        f"spp h={height} size={size}": f"F.spatial_pyramid_pooling_2d(x, {height}, pooling='max')"
        for height in (1, 2, 3, 4)
        for size in (7, 13)
    },
    "link bn_axis": "L.BatchNormalization(6, axis=(0, 1, 2))",
    "link scale": "L.Scale(1, (8,))",
    "link groupnorm": "L.GroupNormalization(4)",
}
#: How Chainer starts the parameters of the links above; whose start is random, their weights were not recorded.
STARTS = {"gamma": 1.0, "avg_var": 1.0, "W": 1.0, "beta": 0.0, "avg_mean": 0.0}


def started(name: str, shape: Any) -> Array:
    return numpy.full(shape, STARTS[name.rpartition("/")[2]], numpy.float32)


def test_every_recorded_row_is_computed() -> None:
    assert {row["name"] for row in rows("chainer_numeric")} == set(CHAINER)


@pytest.mark.parametrize(("name", "expression"), [row for row in CHAINER.items() if row[1] is not None])
def test_chainer_functions(name: str, expression: str) -> None:
    recordings = {row["name"]: row for row in rows("chainer_numeric")}
    link, body = (expression, "self.link(x)") if expression.startswith("L.") else ("None", expression)
    model = shapecalc.loads(CHAINER_SOURCE.format(link=link, body=body), format="chainer")
    shape = tuple(recordings[name]["in_shape"])
    trace = model.trace(shape, fresh=True)
    assert trace.problems == []
    image = recorded(recordings["flatten"]).reshape(1, 8, 6, 6)  # flatten's output is the image most rows were given
    given = image if image.shape == shape else numpy.zeros(shape, numpy.float32)
    weights = {
        param.name: started(param.name, trace.tensors[param.name].shape)
        for param in trace.graph.params.values()
        if param.contents is None and param.recipe is None
    }
    output = trace.outputs[0].name
    lowest = numpy.finfo(
        numpy.float32
    ).min  # where onnxruntime's maximum of nothing starts, Chainer's at minus infinity
    got = run(model, trace, weights, {"x": given}, output)
    assert_same(numpy.maximum(got, lowest), numpy.maximum(recorded(recordings[name]), lowest))


@pytest.mark.parametrize("size", range(2, 12))
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"), [(3, 2, 0), (3, 2, 1), (2, 3, 0), (2, 3, 1), (3, 3, 1), (4, 3, 2)]
)
def test_cover_all_reaches_every_pixel_in_onnxruntime(size: int, kernel: int, stride: int, pad: int) -> None:
    """Chainer's cover_all against a maximum written out by hand, where no ceil_mode equals it too.

    A window that sees nothing but padding is minus infinity in Chainer; onnxruntime starts a maximum from the lowest
    finite number.
    """
    body = f"F.max_pooling_2d(x, {kernel}, stride={stride}, pad={pad})"
    source = CHAINER_SOURCE.format(link="None", body=body)
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


#: (group, kernel, stride, pad, dilation)
DECONVOLUTIONS = [(1, 3, 2, 1, 1), (2, 4, 2, 1, 1), (2, 3, 1, 0, 2), (4, 4, 3, 2, 1)]


@pytest.mark.parametrize(("group", "kernel", "stride", "pad", "dilation"), DECONVOLUTIONS)
def test_deconvolution_with_groups(group: int, kernel: int, stride: int, pad: int, dilation: int) -> None:
    """deconv_layer.cpp: every number spreads over a window, each group of channels into its own."""
    text = f"""
input: "data" input_shape {{ dim: 1 dim: 4 dim: 5 dim: 6 }}
layer {{ name: "l" type: "Deconvolution" bottom: "data" top: "out" convolution_param {{ num_output: 8
  kernel_size: {kernel} stride: {stride} pad: {pad} dilation: {dilation} group: {group} }} }}
"""
    model = shapecalc.loads(text, format="caffe")
    trace = model.trace(None, fresh=True)
    random = numpy.random.default_rng(1)
    image = random.standard_normal((1, 4, 5, 6)).astype(numpy.float32)
    weight, bias = (random.standard_normal(s).astype(numpy.float32) for s in ((4, 8 // group, kernel, kernel), (8,)))
    names = [name for name in model.graph.node("l").inputs[1:] if name]
    got = run(model, trace, dict(zip(names, (weight, bias), strict=True)), {"data": image}, "out")
    extent = dilation * (kernel - 1) + 1
    spread = numpy.zeros((8, stride * 4 + extent, stride * 5 + extent))
    for c, y, x, i, j in numpy.ndindex(4, 5, 6, kernel, kernel):
        outs = slice(c // (4 // group) * (8 // group), (c // (4 // group) + 1) * (8 // group))
        spread[outs, y * stride + i * dilation, x * stride + j * dilation] += image[0, c, y, x] * weight[c, :, i, j]
    want = spread[:, pad : spread.shape[1] - pad, pad : spread.shape[2] - pad] + bias[:, None, None]
    assert_same(got, want[None].astype(numpy.float32))
