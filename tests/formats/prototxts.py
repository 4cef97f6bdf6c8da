"""One small net as V2, V1 and V0, for deployment and for training, and what tests of its edits need."""

from __future__ import annotations

import shapecalc
from shapecalc.formats.caffe.patch import patch
from shapecalc.graph import Graph
from shapecalc.model import Model

V2 = """\
name: "N"  # a net
input: "data"
input_dim: 1
input_dim: 3
input_dim: 12   # rows
input_dim: 12
layer {
  name: "conv"
  type: "Convolution"
  bottom: "data"
  top: "conv"
  convolution_param {
    num_output: 8
    kernel_size: 3
  }
}
layer {
  name: "relu"
  type: "ReLU"
  bottom: "conv"
  top: "conv"
}
layer {
  name: "pool"
  type: "Pooling"
  bottom: "conv"
  top: "pool"
  pooling_param {
    pool: MAX
    kernel_size: 2
    stride: 2
  }
}
layer {
  name: "fc"
  type: "InnerProduct"
  bottom: "pool"
  top: "fc"
  # the classes
  inner_product_param {
    num_output: 10
  }
}
layer {
  name: "prob"
  type: "Softmax"
  bottom: "fc"
  top: "prob"
}
"""
#: What V2 begins with, and what of it takes any size.
HEADER, LAYERS = V2[: V2.index("layer {")], V2[V2.index("layer {") : V2.index('layer {\n  name: "prob"')]
MAPS = LAYERS[: LAYERS.index('layer {\n  name: "fc"')]

DATA = """\
layer {
  name: "data"
  type: "Data"
  top: "data"
  top: "label"
  include { phase: TRAIN }
  transform_param { crop_size: 12 mean_value: 1 mean_value: 2 mean_value: 3 }
  data_param { batch_size: 8 }
}
layer {
  name: "data"
  type: "Data"
  top: "data"
  top: "label"
  include { phase: TEST }
  transform_param { crop_size: 12 mean_value: 1 mean_value: 2 mean_value: 3 }
  data_param { batch_size: 4 }
}
"""
LOSSES = """\
layer {
  name: "accuracy"
  type: "Accuracy"
  bottom: "fc"
  bottom: "label"
  top: "accuracy"
  include { phase: TEST }
}
layer {
  name: "loss"
  type: "SoftmaxWithLoss"
  bottom: "fc"
  bottom: "label"
}
"""
TRAIN_VAL = DATA + LAYERS + LOSSES

_V1_TYPES = "Data DATA Convolution CONVOLUTION ReLU RELU Pooling POOLING InnerProduct INNER_PRODUCT".split()
_V1_TYPES += "Accuracy ACCURACY SoftmaxWithLoss SOFTMAX_LOSS".split()
V1 = TRAIN_VAL.replace("layer {", "layers {")
for _new, _old in zip(_V1_TYPES[::2], _V1_TYPES[1::2], strict=True):
    V1 = V1.replace(f'"{_new}"', _old)

V0 = """\
input: "data"
input_dim: 1 input_dim: 3 input_dim: 12 input_dim: 12
layers {
  layer {
    name: "conv"
    type: "conv"
    num_output: 8
    kernelsize: 3
  }
  bottom: "data"
  top: "conv"
}
layers {
  layer {
    name: "pool"
    type: "pool"
    pool: MAX
    kernelsize: 2
    stride: 2
  }
  bottom: "conv"
  top: "pool"
}
layers {
  layer {
    name: "fc"
    type: "innerproduct"
    num_output: 10
  }
  bottom: "pool"
  top: "fc"
}
layers {
  layer {
    name: "loss"
    type: "softmax_loss"
  }
  bottom: "fc"
  bottom: "data"
}
"""

#: One layer a line, single quotes, commas; something works in place on what is pooled.
LINES = """\
input: 'x' input_dim: 1 input_dim: 1 input_dim: 8 input_dim: 8
layer { name: 'c', type: 'Convolution', bottom: 'x', top: 'c', convolution_param { num_output: 2, kernel_size: 1 } }
layer { name: 'p', type: 'Pooling', bottom: 'c', top: 'p', pooling_param { kernel_size: 2, stride: 2 } }
layer { name: 'r', type: 'ReLU', bottom: 'p', top: 'p' } # in place
layer { name: 'f', type: 'InnerProduct', bottom: 'p', top: 'f', inner_product_param { num_output: 2 } }
"""


def load(text: str, phase: str = "TEST") -> Model:
    """A prototxt as a model."""
    return shapecalc.loads(text, format="caffe", name="net.prototxt", phase=phase)


def written(model: Model, new: Graph) -> str:
    """The one text that says ``new``."""
    assert model.source is not None
    (text,) = patch(model.source, model.graph, new)
    return text


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with every pair replaced; each must be there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def same_shapes(first: shapecalc.Trace, second: shapecalc.Trace) -> None:
    """Layer by layer and in order: the operator, what it gives, and its parameters."""
    rows = [
        [
            (layer.op, [v.shape for v in layer.outputs], sorted(v.shape or () for v in layer.weights))
            for layer in net.layers
        ]
        for net in (first, second)
    ]
    assert rows[0] == rows[1]
