"""Records what Chainer computes, so that the tests need no Chainer: run it where Chainer 7.8.1 is installed.

    python tests/tools/record_chainer.py        (numpy below 1.24)

writes tests/data/chainer_recorded.json: small definitions, the shape of an input and what comes out. Weights and inputs
are a pattern that the tests make again, so none are stored: `pattern` of their shape and name.
"""

from __future__ import annotations

import importlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy

DATA = Path(__file__).parents[1] / "data"
HEAD = """
import chainer
import chainer.functions as F
import chainer.links as L
"""
ONE = (
    HEAD
    + """
class One(chainer.Chain):
    def __init__(self):
        super(One, self).__init__()
        with self.init_scope():
            self.l = {link}
    def forward(self, x):
        return {body}
"""
)
IMAGE = (2, 4, 7, 6)
#: Longer outputs are kept as sums over pieces of this many equal parts.
LONGEST, PIECES = 96, 24

#: name -> (link, body, shape of the input)
LAYERS: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "convolution": ("L.Convolution2D(4, 5, 3, 2, 1)", "self.l(x)", IMAGE),
    "convolution of two sizes": ("L.Convolution2D(None, 5, (3, 2), (2, 1), (1, 0), nobias=True)", "self.l(x)", IMAGE),
    "convolution shifted": ("L.Convolution2D(5, 3)", "self.l(x)", IMAGE),
    "convolution groups dilated": ("L.Convolution2D(4, 6, 3, pad=2, groups=2, dilate=2)", "self.l(x)", IMAGE),
    "convolution 1d": ("L.Convolution1D(4, 5, 3, pad=1)", "self.l(x[:, :, 0])", IMAGE),
    "convolution 3d": ("L.Convolution3D(1, 2, 2)", "self.l(x[:, None])", IMAGE),
    "convolution nd": ("L.ConvolutionND(2, 4, 5, 3, 2)", "self.l(x)", IMAGE),
    "dilated": ("L.DilatedConvolution2D(4, 5, 3, 1, 2, 2)", "self.l(x)", IMAGE),
    "depthwise": ("L.DepthwiseConvolution2D(4, 3, 3, 2, 1)", "self.l(x)", IMAGE),
    "depthwise lazy": ("L.DepthwiseConvolution2D(None, 2, 3, nobias=True)", "self.l(x)", IMAGE),
    "deconvolution": ("L.Deconvolution2D(4, 3, 4, 2, 1)", "self.l(x)", IMAGE),
    "deconvolution groups": ("L.Deconvolution2D(4, 6, 3, 2, 1, groups=2, nobias=True)", "self.l(x)", IMAGE),
    "deconvolution dilated": ("L.Deconvolution2D(4, 3, 3, 1, 1, dilate=2)", "self.l(x)", IMAGE),
    "deconvolution outsize": ("L.Deconvolution2D(None, 3, 3, 2, 1, outsize=(14, 12))", "self.l(x)", IMAGE),
    "deconvolution 1d": ("L.Deconvolution1D(4, 3, 3, 2)", "self.l(x[:, :, 0])", IMAGE),
    "linear": ("L.Linear(None, 5)", "self.l(x)", IMAGE),
    "linear on two axes": ("L.Linear(42, 5, nobias=True)", "self.l(F.reshape(x, (2, 4, 42)), n_batch_axes=2)", IMAGE),
    "batch normalization": ("L.BatchNormalization(4)", "self.l(x)", IMAGE),
    "batch normalization bare": (
        "L.BatchNormalization(4, eps=1e-2, use_gamma=False, use_beta=False)",
        "self.l(x)",
        IMAGE,
    ),
    "batch normalization of vectors": ("L.BatchNormalization(42)", "self.l(F.reshape(x, (8, 42)))", IMAGE),
    "group normalization": ("L.GroupNormalization(2, 4)", "self.l(x)", IMAGE),
    "layer normalization": ("L.LayerNormalization(42)", "self.l(F.reshape(x, (8, 42)))", IMAGE),
    "inception": ("L.Inception(4, 3, 4, 5, 2, 3, 6)", "self.l(x)", IMAGE),
    "inception bn": ("L.InceptionBN(4, 2, 3, 4, 3, 5, 'avg', 6)", "self.l(x)", IMAGE),
    "inception bn stride 2": ("L.InceptionBN(4, 0, 3, 4, 3, 9, 'max', stride=2)", "self.l(x)", IMAGE),
    "mlp convolution": ("L.MLPConvolution2D(4, (5, 6, 7), 3, pad=1)", "self.l(x)", IMAGE),
    "mlp convolution sigmoid": ("L.MLPConvolution2D((5, 6), 3, activation=F.sigmoid)", "self.l(x)", IMAGE),
    "scale": ("L.Scale(1, (4,), bias_term=True)", "self.l(x)", IMAGE),
    "scale of places": ("L.Scale(2, (7, 6))", "self.l(x)", IMAGE),
    "bias": ("L.Bias(1, (4, 7))", "self.l(x)", IMAGE),
    "prelu": ("L.PReLU()", "self.l(x)", IMAGE),
    "prelu of channels": ("L.PReLU(4)", "self.l(x)", IMAGE),
    "prelu of an item": ("L.PReLU((4, 7, 6))", "self.l(x)", IMAGE),
    "swish": ("L.Swish(4)", "self.l(x)", IMAGE),
    "maxout link": ("L.Maxout(168, 3, 2)", "self.l(x)", IMAGE),
    "highway": ("L.Highway(42)", "self.l(F.reshape(x, (8, 42)))", IMAGE),
    "embed": ("L.EmbedID(9, 3)", "self.l(F.argmax(x, axis=1))", IMAGE),
    "lstm": ("L.LSTM(42, 3)", "(self.l(F.reshape(x[:, 0], (2, 42))), self.l(F.reshape(x[:, 1], (2, 42))))[1]", IMAGE),
    "stateless lstm": ("L.StatelessLSTM(42, 3)", "self.l(None, None, x)[1]", (2, 42)),
    "stateless gru": ("L.StatelessGRU(42, 3)", "self.l(x[:, :3], x)", (2, 42)),
    "stateful gru": (
        "L.StatefulGRU(42, 3)",
        "(self.l(F.reshape(x[:, 0], (2, 42))), self.l(F.reshape(x[:, 1], (2, 42))))[1]",
        IMAGE,
    ),
    "local convolution": ("L.LocalConvolution2D(4, 3, ksize=3)", "self.l(x)", IMAGE),
}
#: Functions of an image.
BODIES: dict[str, str] = {
    "lrn": "F.local_response_normalization(x, 3, 1.5, 0.3, 0.6)",
    "lrn even": "F.local_response_normalization(x, 4)",
    "maximum": "F.max_pooling_2d(x, 3, 2)",
    "maximum padded": "F.max_pooling_2d(x, 3, 2, 1)",
    "maximum past the padding": "F.max_pooling_2d(x, 2, 3, 1)",
    "maximum not covering": "F.max_pooling_2d(x, 3, 2, cover_all=False)",
    "maximum of two sizes": "F.max_pooling_2d(x, (3, 2), stride=(2, 1), pad=(1, 0))",
    "maximum nd": "F.max_pooling_nd(x, 2)",
    "average": "F.average_pooling_2d(x, 3, 2, 1)",
    "average below stride": "F.average_pooling_2d(x, 2, 3)",
    "average global": "F.average_pooling_2d(x, x.shape[2:])",
    "average without padding": "F.average_pooling_nd(x, 3, 2, 1, pad_value=None)",
    "spatial pyramid": "F.spatial_pyramid_pooling_2d(x, 3, 'max')",
    "unpooling": "F.unpooling_2d(x, 2)",
    "unpooling exact": "F.unpooling_2d(x, 2, cover_all=False)",
    "unpooling overlapping": "F.unpooling_2d(x, 3, 2, 1)",
    "unpooling to a size": "F.unpooling_2d(x, 2, outsize=(14, 11))",
    "resize": "F.resize_images(x, (10, 9))",
    "resize smaller": "F.resize_images(x, (3, 4))",
    "resize half pixels": "F.resize_images(x, (10, 9), align_corners=False)",
    "relu": "F.relu(x)",
    "leaky relu": "F.leaky_relu(x, slope=0.1)",
    "rrelu": "F.rrelu(x)",
    "elu": "F.elu(x, alpha=0.7)",
    "selu": "F.selu(x)",
    "clipped relu": "F.clipped_relu(x, z=0.3)",
    "relu6": "F.relu6(x * 20)",
    "clip": "F.clip(x, -0.1, 0.2)",
    "sigmoid": "F.sigmoid(x)",
    "hard sigmoid": "F.hard_sigmoid(x * 5)",
    "tanh": "F.tanh(x)",
    "softplus": "F.softplus(x, beta=2.0)",
    "exp": "F.exp(x)",
    "log": "F.log(x + 1)",
    "sqrt": "F.sqrt(x + 1)",
    "absolute": "F.absolute(x)",
    "sin": "F.sin(x)",
    "cos": "F.cos(x)",
    "tan": "F.tan(x)",
    "arcsin": "F.arcsin(x)",
    "arccos": "F.arccos(x)",
    "arctan": "F.arctan(x)",
    "sinh": "F.sinh(x)",
    "cosh": "F.cosh(x)",
    "arctanh": "F.arctanh(x)",
    "floor": "F.floor(x * 3)",
    "ceil": "F.ceil(x * 3)",
    "sign": "F.sign(x)",
    "erf": "F.erf(x)",
    "square": "F.square(x)",
    "rsqrt": "F.rsqrt(x + 1)",
    "identity": "F.identity(x)",
    "softmax": "F.softmax(x)",
    "softmax axis": "F.softmax(x, axis=-1)",
    "log softmax": "F.log_softmax(x)",
    "dropout": "F.dropout(x, 0.3)",
    "crelu": "F.crelu(x)",
    "maxout": "F.maxout(x, 2)",
    "normalize": "F.normalize(x)",
    "normalize axes": "F.normalize(x, axis=(2, 3))",
    "depth2space": "F.depth2space(x, 2)",
    "space2depth": "F.space2depth(x[:, :, :6], 2)",
    "concat": "F.concat((x, F.relu(x)))",
    "concat axis": "F.concat([x, x], axis=-1)",
    "stack": "F.stack([x, F.relu(x)], axis=1)",
    "hstack": "F.hstack([x, x])",
    "vstack": "F.vstack([x, x])",
    "split": "F.split_axis(x, 2, 1)[1]",
    "split places": "F.split_axis(x, (1, 3), axis=2)[1]",
    "reshape": "F.reshape(x, (-1, 14))",
    "flatten": "F.flatten(x)",
    "transpose": "F.transpose(x, (0, 2, 3, 1))",
    "transpose of all": "F.transpose(x)",
    "swapaxes": "F.swapaxes(x, 1, -1)",
    "moveaxis": "F.moveaxis(x, 1, 3)",
    "rollaxis": "F.rollaxis(x, 3, 1)",
    "squeeze": "F.squeeze(F.expand_dims(x, 2), axis=2)",
    "get item": "F.get_item(x, (slice(None), slice(1, 3), 0))",
    "item": "x[:, 1:, ::2, -1]",
    "item reversed": "x[:, ::-1]",
    "sum": "F.sum(x, axis=(2, 3))",
    "mean": "F.mean(x, axis=1, keepdims=True)",
    "average of": "F.average(x, axis=2)",
    "max": "F.max(x, axis=(1, 2))",
    "min": "F.min(x, axis=-1)",
    "prod": "F.prod(x, axis=3)",
    "sum of all": "F.sum(x)",
    "logsumexp": "F.logsumexp(x, axis=1)",
    "argmax": "F.argmax(x, axis=1)",
    "add": "F.add(x, x, F.relu(x))",
    "maximum of": "F.maximum(x, -x)",
    "minimum of": "F.minimum(x, -x)",
    "arithmetic": "1 - x * 2 + x / 3 ** 2 - (-x) ** 2",
    "quotient": "x / (F.absolute(x) + 1)",
    "reciprocal": "1 / (F.absolute(x) + 1)",
    "quotient of a number": "3 / (F.absolute(x) + 1)",
    "power of": "(F.absolute(x) + 1) ** x",
    "matmul": "F.matmul(x, x, transb=True)",
    "batch matmul": "F.batch_matmul(x[:, 0], x[:, 1], transa=True)",
    "tile": "F.tile(x, (1, 2, 1, 1))",
    "broadcast to": "F.broadcast_to(x[:, :1], x.shape)",
    "broadcast": "F.broadcast(x, x[:, :1])[1]",
    "pad": "F.pad(x, ((0, 0), (0, 0), (1, 2), (0, 1)), 'constant')",
    "pad reflected": "F.pad(x, ((0, 0), (0, 0), (1, 1), (1, 2)), mode='reflect')",
    "bias of": "F.bias(x, x[0, :, 0, 0])",
    "scale of": "F.scale(x, x[0, :, 0, 0])",
    "linear interpolate": "F.linear_interpolate(x, x, -x)",
    "squared difference": "F.squared_difference(x, F.relu(x))",
    "batch l2": "F.batch_l2_norm_squared(F.reshape(x, (8, 42)))",
    "batch norm of": "F.batch_normalization(x, x[0, :, 0, 0], x[1, :, 0, 0])",
    "fixed batch norm of": (
        "F.fixed_batch_normalization(x, x[0, :, 0, 0], x[1, :, 0, 0], x[0, :, 1, 1], F.absolute(x)[0, :, 1, 2])"
    ),
    "convolution of": "F.convolution_2d(x, x[:, :, :3, :3], x[:, 0, 0, 0], stride=2, pad=1)",
    "local convolution of": (
        "F.local_convolution_2d(x[:, :, :4, :4], "
        "F.reshape(F.concat([x] * 4, 2)[:, :, :24], (2, 2, 2, 4, 6, 6))[..., :3, :3])"
    ),
    "linear of": "F.linear(x, F.reshape(x, (2, 168)))",
    "prelu of": "F.prelu(x, x[0, :, 0, 0])",
    "embed of": "F.embed_id(F.argmax(x, axis=1), x[0, 0])",
    "zeros": "F.concat((x, chainer.Variable(self.xp.zeros((2, 3, 7, 6), 'f'))))",
}

#: Nets of several layers: name -> (source, shape of the input).
NETS: dict[str, tuple[str, tuple[int, ...]]] = {
    "residual": (
        HEAD
        + """
class Block(chainer.Chain):
    def __init__(self, inputs, outputs, stride):
        super(Block, self).__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(inputs, outputs, 3, stride, 1, nobias=True)
            self.bn1 = L.BatchNormalization(outputs)
            self.conv2 = L.Convolution2D(outputs, outputs, 3, 1, 1, nobias=True)
            self.bn2 = L.BatchNormalization(outputs)
            if stride > 1:
                self.short = L.Convolution2D(inputs, outputs, 1, stride, nobias=True)
    def forward(self, x):
        h = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(h + (self.short(x) if hasattr(self, 'short') else x))
class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__()
        with self.init_scope():
            self.stem = L.Convolution2D(3, 8, 7, 2, 3)
            self.blocks = chainer.Sequential(Block(8, 8, 1), Block(8, 16, 2), Block(16, 16, 1), Block(16, 16, 1))
            self.fc = L.Linear(None, 5)
    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.stem(x)), 3, 2)
        h = self.blocks(h)
        return F.softmax(self.fc(F.average_pooling_2d(h, h.shape[2:])))
""",
        (2, 3, 37, 41),
    ),
    "inceptions": (
        HEAD
        + """
class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(None, 8, 7, stride=2, pad=3, nobias=True)
            self.norm1 = L.BatchNormalization(8)
            self.inc2 = L.InceptionBN(None, 4, 4, 6, 4, 6, 'avg', 4)
            self.inc3 = L.InceptionBN(None, 0, 4, 6, 4, 6, 'max', stride=2)
            self.inc4 = L.Inception(None, 4, 4, 6, 2, 4, 4)
            self.out = L.Linear(None, 7)
    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.norm1(self.conv1(x))), 3, stride=2, pad=1)
        h = self.inc4(F.local_response_normalization(self.inc3(self.inc2(h))))
        return self.out(F.dropout(F.average_pooling_2d(h, 3)))
""",
        (1, 3, 51, 47),
    ),
    "network in network": (
        HEAD
        + """
class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__()
        with self.init_scope():
            self.mlp1 = L.MLPConvolution2D(None, (6, 6, 6), 5, stride=2)
            self.mlp2 = L.MLPConvolution2D(None, (8, 8, 5), 3, pad=1)
    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.mlp1(x)), 3, stride=2)
        h = self.mlp2(F.dropout(h))
        return F.reshape(F.average_pooling_2d(h, h.shape[2]), (len(x), -1))
""",
        (2, 3, 32, 32),
    ),
    "encoder and decoder": (
        HEAD
        + """
class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__()
        for i in range(3):
            self.add_link('c%d' % i, L.Convolution2D(None, 4 * (i + 1), 4, 2, 1))
            self.add_link('d%d' % i, L.Deconvolution2D(None, 4 * (3 - i), 4, 2, 1))
            self.add_link('n%d' % i, L.BatchNormalization(4 * (3 - i)))
        self.add_link('last', L.Deconvolution2D(4, 2, 3, 1, 1))
    def forward(self, x):
        hs = [x]
        for i in range(3):
            hs.append(F.leaky_relu(self['c%d' % i](hs[-1])))
        h = hs[-1]
        for i in range(3):
            h = F.relu(self['n%d' % i](self['d%d' % i](h)))
            if i < 2:
                h = F.concat([h, hs[2 - i]])
                h = h[:, :4 * (2 - i) + 4]
        return F.tanh(self.last(h[:, :4]))
""",
        (1, 3, 24, 16),
    ),
    "pyramid": (
        HEAD
        + """
class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__()
        with self.init_scope():
            self.conv = L.DepthwiseConvolution2D(3, 2, 3, pad=1)
            self.fc = L.Linear(None, 3)
    def forward(self, x):
        return self.fc(F.spatial_pyramid_pooling_2d(F.relu(self.conv(x)), 3, 'max'))
""",
        (1, 3, 13, 11),
    ),
}


def pattern(name: str, shape: tuple[int, ...], *, positive: bool = False) -> Any:
    """Numbers between -0.5 and 0.5 (0.5 and 1.5 where they must be positive) that look like none in particular."""
    start = zlib.crc32(name.encode()) / 2**32
    count = int(numpy.prod(shape, dtype=numpy.int64))
    values = (start + numpy.arange(count, dtype=numpy.float64) * 0.6180339887498949) % 1.0
    return (values + (0.5 if positive else -0.5)).astype(numpy.float32).reshape(shape)


def fill(model: Any) -> dict[str, list[int]]:
    """Gives every saved array of a link its pattern; their shapes by key."""
    shapes: dict[str, list[int]] = {}
    for owner in model.links():
        path = next(name for name, link in model.namedlinks() if link is owner)
        for name in [*owner._params, *owner._persistent]:
            value = getattr(owner, name)
            array = value.array if hasattr(value, "array") else value
            if isinstance(array, numpy.ndarray) and array.dtype.kind == "f":
                key = f"{path.strip('/')}/{name}".lstrip("/")
                array[...] = weights(key, array.shape)
                shapes[key] = list(array.shape)
    return shapes


def weights(key: str, shape: tuple[int, ...]) -> Any:
    """The pattern of a parameter by its key in a snapshot."""
    fan_in = int(numpy.prod(shape[1:], dtype=numpy.int64)) if len(shape) > 1 else 1
    scale = numpy.float32(2.0 / max(fan_in, 1) ** 0.5) if len(shape) > 1 else numpy.float32(1.0)
    return pattern(key, shape, positive=key.endswith("avg_var")) * scale


def given(shape: tuple[int, ...]) -> Any:
    """The input."""
    return pattern("x", shape)


def kept(array: Any) -> dict[str, Any]:
    """An output: its numbers, or sums over pieces where there are many."""
    flat = numpy.asarray(array, numpy.float64).reshape(-1)
    data = flat if flat.size <= LONGEST else sums(flat)
    return {"shape": list(numpy.shape(array)), "data": [float(f"{value:.7g}") for value in data.tolist()]}


def sums(flat: Any) -> Any:
    """What a long output is kept as: mean magnitudes of equal pieces, and its first numbers."""
    pieces = numpy.array([numpy.abs(piece).mean() for piece in numpy.array_split(flat, PIECES)])
    return numpy.concatenate([flat[:PIECES], pieces])


def run(source: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """The output and the shapes of what is saved."""
    chainer = importlib.import_module("chainer")
    names: dict[str, Any] = {}
    exec(source, names)  # the definitions of this file
    model = names["One" if "One" in names else "Net"]()
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        model(given(shape))  # sizes what is lazy
        shapes = fill(model)
        for link in model.links():
            if hasattr(link, "reset_state"):
                link.reset_state()
        output = model(given(shape))
    return {"output": kept(getattr(output, "array", output)), "weights": shapes}


#: A net of which one link is never reached, so that its weights stay without a size.
SNAPSHOT = (
    HEAD
    + """
class Net(chainer.Chain):
    def __init__(self):
        super(Net, self).__init__()
        with self.init_scope():
            self.body = chainer.Sequential(L.Linear(None, 5), F.relu, L.Linear(None, 5), F.tanh, L.Linear(None, 5))
            self.fc = L.Linear(None, 3)
            self.spare = L.Linear(None, 2)
    def forward(self, x):
        return self.fc(self.body(x))
    def aside(self, x):
        return self.spare(x)
"""
)


def snapshots() -> dict[str, Any]:
    """Writes what Chainer saves of a net in a Classifier: a trainer's snapshot, the model alone, and HDF5."""
    chainer = importlib.import_module("chainer")
    names: dict[str, Any] = {}
    exec(SNAPSHOT, names)
    model = chainer.links.Classifier(names["Net"]())
    image = pattern("x", (2, 1, 2, 3))
    model.predictor(image)
    fill(model)
    optimizer = chainer.optimizers.MomentumSGD().setup(model)
    iterator = chainer.iterators.SerialIterator([(image[0], numpy.int32(0))], 1)
    serializer = chainer.serializers.DictionarySerializer()
    chainer.training.StandardUpdater(iterator, optimizer).serialize(serializer["updater"])  # as Trainer.serialize does
    numpy.savez_compressed(DATA / "chainer_trainer.npz", **serializer.target)
    chainer.serializers.save_npz(str(DATA / "chainer_net.npz"), model.predictor)
    chainer.serializers.save_hdf5(str(DATA / "chainer_net.h5"), model)
    with chainer.using_config("train", False):
        output = kept(model.predictor(image).array)
    return {"name": "snapshot", "source": SNAPSHOT, "input": list(image.shape), "output": output, "weights": {}}


def main() -> None:
    """Writes the recording."""
    bodies = {name: ("None", body, IMAGE) for name, body in BODIES.items()}
    rows = []
    for name, (link, body, shape) in {**LAYERS, **bodies}.items():
        text = ONE.format(link=link, body=body)
        rows.append({"name": name, "link": link, "body": body, "input": list(shape), **run(text, shape)})
    for name, (text, shape) in NETS.items():
        rows.append({"name": name, "source": text, "input": list(shape), **run(text, shape)})
    rows.append(snapshots())
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (DATA / "chainer_recorded.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
