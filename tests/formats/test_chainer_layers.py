"""Each link and function of Chainer against the shape it gives, and whole nets against what Chainer 7.8.1 gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import shapecalc
from shapecalc.graph import Graph

DATA = Path(__file__).parent.parent / "data"
ONE = """
import chainer
import chainer.functions as F
import chainer.links as L
class One(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = {link}
    def forward(self, x):
        return {body}
"""
X = (2, 4, 6, 6)


def load(link: str, body: str) -> shapecalc.Model:
    return shapecalc.loads(ONE.format(link=link, body=body), format="chainer")


def node(body: str, link: str = "None", index: int = -1) -> Any:
    return load(link, body).graph.nodes[index]


def shape_of(trace: shapecalc.Trace) -> Any:
    return trace.outputs[0].shape


# facts of chainer/functions and chainer/links, 7.8.1, for x of 2 x 4 x 6 x 6
FUNCTIONS = [
    ("F.max_pooling_2d(x, 3, 2)", (2, 4, 3, 3)),
    ("F.max_pooling_2d(x, 3, 2, cover_all=False)", (2, 4, 2, 2)),
    ("F.max_pooling_2d(x, 3, 2, 1, return_indices=True)[0]", (2, 4, 4, 4)),
    ("F.max_pooling_2d(x, (3, 2), stride=(2, 1))", (2, 4, 3, 5)),
    ("F.max_pooling_2d(x, 2)", (2, 4, 3, 3)),
    ("F.max_pooling_nd(x, 3, 2)", (2, 4, 3, 3)),
    ("F.average_pooling_2d(x, 4, 4)", (2, 4, 1, 1)),
    ("F.average_pooling_2d(x, x.shape[2:])", (2, 4, 1, 1)),
    ("F.average_pooling_2d(x, (x.shape[2] // 2, 2))", (2, 4, 2, 3)),
    ("F.local_response_normalization(x)", X),
    ("F.dropout(x, .3)", X),
    ("F.leaky_relu(x, slope=0.1)", X),
    ("F.clipped_relu(x, 6.)", X),
    ("F.softmax(x)", X),
    ("F.concat((x, x))", (2, 8, 6, 6)),
    ("F.concat([x, x], axis=-1)", (2, 4, 6, 12)),
    ("F.reshape(x, (-1, 36))", (8, 36)),
    ("F.reshape(x, (len(x), -1))", (2, 144)),
    ("x.reshape(x.shape[0], int(x.shape[1] / 2), -1)", (2, 2, 72)),
    ("F.flatten(x)", (288,)),
    ("F.transpose(x, (0, 2, 3, 1))", (2, 6, 6, 4)),
    ("x.transpose(1, 0, 2, 3)", (4, 2, 6, 6)),
    ("F.swapaxes(x, 1, -1)", (2, 6, 6, 4)),
    ("F.squeeze(F.expand_dims(x, 2), axis=2)", X),
    ("F.sum(x, axis=(2, 3))", (2, 4)),
    ("F.mean(x, axis=1, keepdims=True)", (2, 1, 6, 6)),
    ("F.mean(x, (2, 3))", (2, 4)),
    ("x.mean((2, 3))", (2, 4)),
    ("F.split_axis(x, 2, axis=1)[1]", (2, 2, 6, 6)),
    ("F.split_axis(x, (1, 3), axis=2)[2]", (2, 4, 3, 6)),
    ("F.add(x, x, x)", X),
    ("F.maximum(x, F.relu(x))", X),
    ("1 - x * 2 + x / 3 ** 2 - (-x) ** 2", X),
    ("x[:, 1:3, ::2]", (2, 2, 3, 6)),
    ("x[0, ..., -1]", (4, 6)),
    ("x[:, None]", (2, 1, 4, 6, 6)),
    ("x[:, :, 1:1 + F.relu(x).shape[3] // 2]", (2, 4, 3, 6)),
    ("F.crelu(x)", (2, 8, 6, 6)),
    ("F.maxout(x, 2)", (2, 2, 6, 6)),
    ("F.relu(x) if x.ndim == 4 else x", X),
    ("(lambda f, *hs: f(hs[-1]))(F.relu, x, F.tanh(x))", X),
    ("[F.relu(x) for _ in range(3)][-1]", X),
    ("F.concat([f(x) for f in (F.relu, F.tanh, F.sigmoid)])", (2, 12, 6, 6)),
]


@pytest.mark.parametrize(("body", "expected"), FUNCTIONS)
def test_functions(body: str, expected: Any) -> None:
    trace = load("None", body).trace(X)
    assert trace.problems == []
    assert expected == trace.outputs[0].shape


LINKS = [
    ("L.Convolution2D(4, 5, 3, 2, 1)", (2, 5, 3, 3), {"l/W": (5, 4, 3, 3), "l/b": (5,)}),
    ("L.Convolution2D(None, 5, ksize=(3, 1), stride=(1, 2))", (2, 5, 4, 3), {"l/W": (5, 4, 3, 1), "l/b": (5,)}),
    ("L.Convolution2D(5, 3)", (2, 5, 4, 4), {"l/W": (5, 4, 3, 3), "l/b": (5,)}),
    ("L.Convolution2D(4, 6, 3, groups=2, dilate=2, nobias=True)", (2, 6, 2, 2), {"l/W": (6, 2, 3, 3)}),
    ("L.ConvolutionND(2, 4, 5, 3)", (2, 5, 4, 4), {"l/W": (5, 4, 3, 3), "l/b": (5,)}),
    ("L.DilatedConvolution2D(4, 5, 3, 1, 2, 2)", (2, 5, 6, 6), {"l/W": (5, 4, 3, 3), "l/b": (5,)}),
    ("L.DepthwiseConvolution2D(4, 2, 3, pad=1)", (2, 8, 6, 6), {"l/W": (2, 4, 3, 3), "l/b": (8,)}),
    ("L.Deconvolution2D(4, 3, 4, 2, 1)", (2, 3, 12, 12), {"l/W": (4, 3, 4, 4), "l/b": (3,)}),
    ("L.Deconvolution2D(None, 3, 4, 2, 1, outsize=(13, 12))", (2, 3, 13, 12), {"l/W": (4, 3, 4, 4), "l/b": (3,)}),
    ("L.Linear(7)", (2, 7), {"l/W": (7, 144), "l/b": (7,)}),
    ("L.Linear(144, 7, nobias=True)", (2, 7), {"l/W": (7, 144)}),
    ("L.BatchNormalization(4, use_beta=False)", X, {"l/gamma": (4,), "l/avg_mean": (4,), "l/avg_var": (4,)}),
    ("L.PReLU()", X, {"l/W": ()}),
    ("L.PReLU(4)", X, {"l/W": (4,)}),
    ("L.Scale(1, (4,), bias_term=True)", X, {"l/W": (4,), "l/bias/b": (4,)}),
    ("L.Bias(1, (4,))", X, {"l/b": (4,)}),
]


@pytest.mark.parametrize(("link", "expected", "params"), LINKS)
def test_links(link: str, expected: Any, params: Any) -> None:
    trace = load(link, "self.l(x)").trace(X)
    assert trace.problems == []
    assert expected == trace.outputs[0].shape
    assert params == {name: trace.values[name] for name in params}
    assert set(params) == {name for name in trace.graph.params if not name.endswith(":grouped")}


COMPOSITES = [
    ("L.Inception(None, 3, 4, 5, 2, 3, 6)", 17, "conv1 proj3 conv3 proj5 conv5 projp"),
    ("L.InceptionBN(4, 0, 3, 4, 3, 9, 'max', stride=2)", 17, "proj3 conv3 proj33 conv33a conv33b"),
    ("L.InceptionBN(None, 2, 3, 4, 3, 5, 'avg', 6)", 17, "conv1 proj3 conv3 proj33 conv33a conv33b poolp"),
    ("L.MLPConvolution2D(4, (5, 6, 7), 3)", 7, "0 1 2"),
    ("L.MLPConvolution2D((5, 6), 3)", 6, "0 1"),
]


@pytest.mark.parametrize(("link", "channels", "convolutions"), COMPOSITES)
def test_composite_links(link: str, channels: int, convolutions: str) -> None:
    trace = load(link, "self.l(x)").trace(X)
    assert trace.problems == []
    assert channels == shape_of(trace)[1]
    assert sorted(f"l/{name}" for name in convolutions.split()) == sorted(n.name for n in of(trace.graph, "Conv"))
    assert {9} == {n.origin.line for n in of(trace.graph, "Conv")}


def of(graph: Graph, op: str) -> list[Any]:
    return [n for n in graph.nodes if n.op == op]


ATTRIBUTES = [
    ("F.local_response_normalization(x, n=5, k=1, alpha=2e-5)", {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}),
    ("F.max_pooling_2d(x, 3)", {"kernel_shape": (3, 3), "strides": (3, 3), "pads": (0, 0, 0, 0), "ceil_mode": None}),
    ("F.max_pooling_2d(x, 3, cover_all=True)", {"ceil_mode": 1}),
    ("F.max_pooling_2d(x, 3, cover_all=False)", {"ceil_mode": 0}),
    ("F.average_pooling_2d(x, 3, pad=(1, 0))", {"pads": (1, 0, 1, 0), "ceil_mode": 0, "count_include_pad": 1}),
    ("F.average_pooling_nd(x, 3, pad=1, pad_value=None)", {"count_include_pad": 0}),
    ("F.leaky_relu(x)", {"alpha": 0.2}),
    ("2 - x", {"scale": -1.0, "shift": 2.0}),
]


@pytest.mark.parametrize(("body", "expected"), ATTRIBUTES)
def test_attributes(body: str, expected: Any) -> None:
    attrs = node(body).attrs
    assert expected == {
        key: pytest.approx(attrs[key]) if isinstance(attrs[key], float) else attrs[key] for key in expected
    }


def test_batch_normalization_has_chainers_epsilon() -> None:
    assert node("self.l(x)", "L.BatchNormalization(4)").attrs["epsilon"] == 2e-5
    assert node("self.l(x)", "L.BatchNormalization(4, use_gamma=False)").inputs[:3] == ("x", "", "l/beta")


# -- what Chainer gave ------------------------------------------------------------------------------------------------

BODIES = {
    "max": ("None", "F.max_pooling_2d(x, {k}, stride={s}, pad={p})"),
    "max_cover_all_False": ("None", "F.max_pooling_2d(x, {k}, stride={s}, pad={p}, cover_all=False)"),
    "average": ("None", "F.average_pooling_2d(x, {k}, stride={s}, pad={p})"),
    "conv_d1": ("L.Convolution2D(2, 2, {k}, stride={s}, pad={p})", "self.l(x)"),
    "conv_d2": ("L.Convolution2D(2, 2, {k}, stride={s}, pad={p}, dilate=2)", "self.l(x)"),
    "deconv": ("L.Deconvolution2D(2, 2, {k}, stride={s}, pad={p})", "self.l(x)"),
}


def windows() -> list[Any]:
    table = json.loads((DATA / "chainer_windows.json").read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    return [(kind, row) for row in rows for kind in BODIES if row[kind] is not None]


def test_windows_are_as_chainer_has_them() -> None:
    """0 stands for a size that Chainer refuses."""
    wrong = []
    for kind, row in windows():
        link, body = (text.format(**row) for text in BODIES[kind])
        trace = load(link, body).trace((1, 2, row["size"], row["size"]), fresh=True)
        got = 0 if trace.problems else shape_of(trace)[2]
        if got != row[kind]:
            wrong.append((kind, row, got))
    assert wrong == []
    assert len(windows()) > 500


NETS = json.loads((DATA / "chainer_nets.json").read_text())


@pytest.mark.parametrize("name", NETS)
def test_the_zoo_has_the_shapes_of_its_reference(name: str) -> None:
    """Links of the reference definitions at several sizes; `nin` here averages maps of any size, so it refuses none."""
    model = shapecalc.load(name)
    for row in NETS[name]:
        trace = model.trace(tuple(row["input"]), fresh=row["weights"] == "fresh")
        if name != "nin":
            assert row["refused"] == bool(trace.problems), row
        shapes = {key: trace.layer(key).outputs[0].shape for key in row["shapes"]}
        assert {key: tuple(shape) for key, shape in row["shapes"].items()} == shapes


TOTALS = {
    "alexnet": (62_378_344, 1_135_256_096, "pool5", 195, 32),
    "alexbn": (62_379_048, None, "pool5", 195, 32),
    "nin": (7_595_176, 1_105_996_320, "mlpconv4/2", 195, 32),
    "lenet": (431_080, 2_293_000, "pool2", 16, 4),
}


@pytest.mark.parametrize("name", TOTALS)
def test_totals_of_the_zoo(name: str) -> None:
    params, macs, layer, field, jump = TOTALS[name]
    trace = shapecalc.load(name).trace()
    assert trace.ok
    assert params == trace.params
    assert macs is None or macs == trace.macs
    assert (field, jump) == (trace.layer(layer).receptive_field, trace.layer(layer).jump)


def test_layers_of_alexnet_are_called_as_caffe_calls_them() -> None:
    names = "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5"
    head = "fc6 relu6 drop6 fc7 relu7 drop7 fc8"
    assert f"{names} {head}".split() == [layer.name for layer in shapecalc.load("alexnet").trace().layers]


def test_alexnet_at_256_names_fc6_and_its_line() -> None:
    model = shapecalc.load("alexnet")
    (problem,) = model.trace(256).problems
    assert (problem.code, problem.layer, problem.also) == ("E101", "fc6", ("pool5",))
    assert problem.message == "fc6 expects 9216 inputs, pool5 gives 12544"
    lines = model.graph.meta["text"].splitlines()
    assert lines[int(str(problem.location).split(":")[1]) - 1].strip() == "self.fc6 = L.Linear(None, 4096)"
