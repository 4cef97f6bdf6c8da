"""Older prototxts as today's: V0 and V1 layers become V2, ``input`` fields an Input layer.

The tree is rebuilt from its own fields, so every value keeps the span it has in the file. Source of the rules:
Caffe src/caffe/util/upgrade_proto.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import ModelError
from ...source import Span
from .inputs import INPUTS
from .layers import LAYERS
from .text import Document, Field, Message, Value
from .view import View

#: V1LayerParameter.LayerType: enum name -> (number, today's type).
V1_TYPES = {
    "ABSVAL": (35, "AbsVal"),
    "ACCURACY": (1, "Accuracy"),
    "ARGMAX": (30, "ArgMax"),
    "BNLL": (2, "BNLL"),
    "CONCAT": (3, "Concat"),
    "CONTRASTIVE_LOSS": (37, "ContrastiveLoss"),
    "CONVOLUTION": (4, "Convolution"),
    "DATA": (5, "Data"),
    "DECONVOLUTION": (39, "Deconvolution"),
    "DROPOUT": (6, "Dropout"),
    "DUMMY_DATA": (32, "DummyData"),
    "EUCLIDEAN_LOSS": (7, "EuclideanLoss"),
    "ELTWISE": (25, "Eltwise"),
    "EXP": (38, "Exp"),
    "FLATTEN": (8, "Flatten"),
    "HDF5_DATA": (9, "HDF5Data"),
    "HDF5_OUTPUT": (10, "HDF5Output"),
    "HINGE_LOSS": (28, "HingeLoss"),
    "IM2COL": (11, "Im2col"),
    "IMAGE_DATA": (12, "ImageData"),
    "INFOGAIN_LOSS": (13, "InfogainLoss"),
    "INNER_PRODUCT": (14, "InnerProduct"),
    "LRN": (15, "LRN"),
    "MEMORY_DATA": (29, "MemoryData"),
    "MULTINOMIAL_LOGISTIC_LOSS": (16, "MultinomialLogisticLoss"),
    "MVN": (34, "MVN"),
    "POOLING": (17, "Pooling"),
    "POWER": (26, "Power"),
    "RELU": (18, "ReLU"),
    "SIGMOID": (19, "Sigmoid"),
    "SIGMOID_CROSS_ENTROPY_LOSS": (27, "SigmoidCrossEntropyLoss"),
    "SILENCE": (36, "Silence"),
    "SOFTMAX": (20, "Softmax"),
    "SOFTMAX_LOSS": (21, "SoftmaxWithLoss"),
    "SPLIT": (22, "Split"),
    "SLICE": (33, "Slice"),
    "TANH": (23, "TanH"),
    "THRESHOLD": (31, "Threshold"),
    "WINDOW_DATA": (24, "WindowData"),
}
#: Today's types in lower case: what enum words of forks are compared with (SMOOTH_L1_LOSS, PRELU, BN).
_FOLDED = {kind.lower(): kind for kind in (*LAYERS, *INPUTS)}
_V1_NUMBERS = {name: number for name, (number, _) in V1_TYPES.items()}

#: V0 type -> (today's type, the message its own fields move into).
V0_TYPES = {
    "accuracy": ("Accuracy", ""),
    "bnll": ("BNLL", ""),
    "concat": ("Concat", "concat_param"),
    "conv": ("Convolution", "convolution_param"),
    "data": ("Data", "data_param"),
    "dropout": ("Dropout", "dropout_param"),
    "euclidean_loss": ("EuclideanLoss", ""),
    "flatten": ("Flatten", ""),
    "hdf5_data": ("HDF5Data", "hdf5_data_param"),
    "hdf5_output": ("HDF5Output", ""),
    "im2col": ("Im2col", ""),
    "images": ("ImageData", "image_data_param"),
    "infogain_loss": ("InfogainLoss", "infogain_loss_param"),
    "innerproduct": ("InnerProduct", "inner_product_param"),
    "lrn": ("LRN", "lrn_param"),
    "multinomial_logistic_loss": ("MultinomialLogisticLoss", ""),
    "pool": ("Pooling", "pooling_param"),
    "relu": ("ReLU", ""),
    "sigmoid": ("Sigmoid", ""),
    "softmax": ("Softmax", ""),
    "softmax_loss": ("SoftmaxWithLoss", ""),
    "split": ("Split", ""),
    "tanh": ("TanH", ""),
    "window_data": ("WindowData", "window_data_param"),
}
_RENAMED = {
    "kernelsize": "kernel_size",
    "biasterm": "bias_term",
    "batchsize": "batch_size",
    "shuffle_images": "shuffle",
    "det_fg_threshold": "fg_threshold",
    "det_bg_threshold": "bg_threshold",
    "det_fg_fraction": "fg_fraction",
    "det_context_pad": "context_pad",
    "det_crop_mode": "crop_mode",
}
_TRANSFORM = {"cropsize": "crop_size", "scale": "scale", "meanfile": "mean_file", "mirror": "mirror"}
_KEPT = ("name", "blobs", "hdf5_output_param")
#: Fields of V0 and V1 with one value a parameter -> the field of ``param { }`` they became.
_PER_PARAM = {
    "param": "name",
    "blob_share_mode": "share_mode",
    "blobs_lr": "lr_mult",
    "weight_decay": "decay_mult",
}


def upgrade(document: Document) -> Message:
    """The net with ``layer`` fields only; raises ModelError for what Caffe refuses to upgrade."""
    root = View(document.root, document.name)
    old, new = root.all("layers"), root.all("layer")
    if old and new:
        raise root.error(
            max(old[0], new[0], key=lambda field: field.line),
            f"the definition has both 'layers' (first on line {old[0].line}) and 'layer' (line {new[0].line}); "
            "Caffe refuses to upgrade it (upgrade_proto.cpp)",
        )
    bodies = [(field, _body(root, field)) for field in old]
    if any(body.has("layer") for _, body in bodies):
        layers = _from_v0(bodies)
    else:
        layers = [_with(field, "layer", _from_v1(body)) for field, body in bodies] + new
    inputs = _input_layer(root)
    others = [f for f in root if f.name not in ("layers", "layer", "input", "input_dim", "input_shape")]
    return Message((*others, *inputs, *layers), 1, document.root.span)


def _body(root: View, field: Field) -> View:
    if not isinstance(field.value, Message):
        raise root.wrong(field, "a message { … }")
    return View(field.value, root.file)


def _with(field: Field, name: str, value: Value, kind: str = "message") -> Field:
    """A field under another name or value; its spans stay those of the file."""
    return field._replace(name=name, value=value, kind=kind)


def _made(name: str, value: Value, kind: str, like: Field) -> Field:
    """A field the file does not hold, at the place of one it does."""
    nowhere = Span(like.span.start, like.span.start)
    return Field(name, value, kind, like.line, nowhere, nowhere)


def _group(name: str, fields: Iterable[Field]) -> list[Field]:
    """A message made of fields that stood outside one; nothing for no fields."""
    inside = tuple(fields)
    if not inside:
        return []
    return [_made(name, Message(inside, inside[0].line, inside[0].span), "message", inside[0])]


def _params(body: View) -> list[Field]:
    """``param { }`` for each parameter, from the lists of V1."""
    rows = [(renamed, body.all(name)) for name, renamed in _PER_PARAM.items()]
    count = max((len(fields) for _, fields in rows), default=0)
    made: list[Field] = []
    for i in range(count):
        made += _group("param", (fields[i]._replace(name=renamed) for renamed, fields in rows if i < len(fields)))
    return made


# -- V1 ---------------------------------------------------------------------------------------------------------------


def _from_v1(body: View) -> Message:
    fields: list[Field] = []
    for field in body:
        if field.name == "type":
            fields.append(_with(field, "type", _v1_type(body, field), "string"))
        elif field.name not in _PER_PARAM:
            fields.append(field)
    return body.message._replace(fields=(*fields, *_params(body)))


def _v1_type(body: View, field: Field) -> str:
    """Today's type of an enum word; that of a fork is looked up among today's names, else spelled as they are."""
    if field.kind != "word" or field.value in _V1_NUMBERS:
        return V1_TYPES[body.chosen(field, _V1_NUMBERS)][1]
    word = str(field.value)
    return _FOLDED.get(word.replace("_", "").lower()) or "".join(part.capitalize() for part in word.split("_"))


# -- V0 ---------------------------------------------------------------------------------------------------------------


def _from_v0(bodies: list[tuple[Field, View]]) -> list[Field]:
    """Today's layers; a ``padding`` layer is folded into the convolution or pooling that reads it."""
    paddings: dict[str, View] = {}
    layers: list[Field] = []
    for field, body in bodies:
        inner = body.view("layer")
        if inner.text("type") == "padding":
            for top in body.texts("top"):
                paddings[top] = body
            continue
        layers.append(_with(field, "layer", _v0_layer(field, body, inner, paddings)))
        for top in body.texts("top"):
            paddings.pop(top, None)
    return layers


def _v0_layer(field: Field, body: View, inner: View, paddings: dict[str, View]) -> Message:
    word = inner.text("type")
    if word not in V0_TYPES:
        raise inner.error(inner.one("type") or field, f"{word!r} is no V0 layer type", "E204")
    kind, own = V0_TYPES[word]
    blobs, pads = _unpadded(body, word, paddings)
    shape: dict[str, list[Field]] = {"": [], own: list(pads), "transform_param": []}
    for item in inner:
        if item.name == "type":
            shape[""].append(_with(item, "type", kind, "string"))
        elif item.name in _KEPT:
            shape[""].append(item)
        elif item.name in _TRANSFORM:
            shape["transform_param"].append(item._replace(name=_TRANSFORM[item.name]))
        elif item.name not in _PER_PARAM:
            shape[own].append(item._replace(name=_RENAMED.get(item.name, item.name)))
    groups = [made for name in (own, "transform_param") if name for made in _group(name, shape[name])]
    return body.message._replace(fields=(*shape[""], *blobs, *groups, *_params(inner)))


def _unpadded(body: View, word: str, paddings: dict[str, View]) -> tuple[list[Field], list[Field]]:
    """Bottoms and tops with padding layers skipped, and the ``pad`` fields those give."""
    blobs: list[Field] = []
    pads: list[Field] = []
    for field in body:
        padding = paddings.get(str(field.value)) if field.name == "bottom" else None
        if padding is None:
            blobs += [field] if field.name in ("bottom", "top") else []
        elif word in ("conv", "pool"):
            pads += padding.view("layer").all("pad")
            blobs += padding.all("bottom")
        else:
            raise body.error(field, f"a padding layer feeds a {word} layer; Caffe pads conv and pool only")
    return blobs, pads


# -- inputs -----------------------------------------------------------------------------------------------------------


def _input_layer(root: View) -> list[Field]:
    """``input`` with ``input_dim`` (four each) or ``input_shape`` as the Input layer Caffe makes of them."""
    names = root.all("input")
    if not names:
        return []
    root.texts("input")
    shapes = root.all("input_shape")
    sizes = root.all("input_dim")
    if shapes:
        grouped = [_with(field, "shape", field.value, field.kind) for field in shapes]
    else:
        rows = [sizes[i : i + 4] for i in range(0, len(sizes), 4)]
        grouped = [made for row in rows for made in _group("shape", (item._replace(name="dim") for item in row))]
    if len(grouped) not in (0, len(names)) or (not shapes and len(sizes) % 4):
        raise _uneven(root, names, sizes, shapes)
    tops = [field._replace(name="top") for field in names]
    like = names[0]
    made = [_made("name", "input", "string", like), _made("type", "Input", "string", like)]
    body = Message((*made, *tops, *_group("input_param", grouped)), like.line, like.span)
    return [Field("layer", body, "message", like.line, like.span, like.value_span)]


def _uneven(root: View, names: list[Field], sizes: list[Field], shapes: list[Field]) -> ModelError:
    given = f"{len(shapes)} input_shape" if shapes else f"{len(sizes)} input_dim"
    return root.error(names[0], f"{len(names)} input need one input_shape or four input_dim each, found {given}")
