"""What a row of the trace says of a layer: its formula, its multiply-accumulates, its objection; checked by hand."""

from __future__ import annotations

import numpy
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest

import shapecalc
from shapecalc.trace import Layer

HEAD = '<ir_version: 8, opset_import: ["" : 17]> net ('

# graph -> of its last layer: formula, multiply-accumulates
SAID = [
    # each of 3·4·4 inputs is multiplied by 5 filters of 2·2
    ("float[1,3,4,4] x) => (y) <float[3,5,2,2] w> { y = ConvTranspose (x, w) }", "1·(4 − 1) + 2 − 2·0 = 5", 960),
    ("float[1,6,4,4] x) => (y) <float[6,2,2,2] w> { y = ConvTranspose <group = 3> (x, w) }", None, 768),
    ("float[1,6,4,4] x) => (y) <float[9,2,3,3] w> { y = Conv <group = 3> (x, w) }", None, 648),
    ("float[2,4] x) => (y) { y = Concat <axis = 1> (x, x, x) }", "4 + 4 + 4 = 12", None),
    ("float[2,4] x, float[2,5] z) => (y) { y = Concat <axis = 1> (x, x, x, x, x, x, z) }", "4 + 4 + 4 + … + 5 = 29", None),  # noqa: E501
    ("float[2,8] x) => (y) <float[8,3] w> { y = Gemm (x, w) }", "8 → 3", 48),
]  # fmt: skip


@pytest.mark.parametrize(("text", "formula", "macs"), SAID, ids=[row[0].partition("{ ")[2] for row in SAID])
def test_a_layer_s_formula_and_work(text: str, formula: str | None, macs: int | None) -> None:
    layer = last(text)
    if formula is not None:
        assert layer.formula == formula
    assert (layer.macs or None) == macs


def last(text: str) -> Layer:
    model = onnx.parser.parse_model(HEAD + text.replace("=> (y)", "=> (float[a, b] y)"))
    for value in model.graph.value_info:  # what is declared and not computed is a weight
        shape = [size.dim_value for size in value.type.tensor_type.shape.dim]
        model.graph.initializer.append(onnx.numpy_helper.from_array(numpy.zeros(shape, numpy.float32), value.name))
    return shapecalc.load(model).trace().layers[-1]


CHAIN = """
import chainer, chainer.functions as F, chainer.links as L
class Net(chainer.Chain):
    insize = 8
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, 5, 3)
            self.fc = L.Linear({}, 7)
    def __call__(self, x):
        h = self.conv(x)
        return self.fc({})
"""

# what a fully connected layer reads -> what it is offered, as a product where it flattens one
OFFERED = [
    ("h", "180 = 5·6·6"),
    ("F.reshape(h, (-1, 5, 36))", "180 = 5·36"),
    ("F.reshape(h, (-1, 180))", "180"),
]


@pytest.mark.parametrize(("read", "offered"), OFFERED, ids=[row[0] for row in OFFERED])
def test_what_a_fully_connected_layer_is_offered(read: str, offered: str) -> None:
    problem = shapecalc.loads(CHAIN.format(99, read), format="chainer").trace().problems[0]
    assert (problem.code, problem.expected, problem.actual) == ("E101", "99", offered)
