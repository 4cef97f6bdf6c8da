"""Classical learners (domain ai.onnx.ml) and training steps: what they give is a row of scores, or what goes in."""

from __future__ import annotations

from functools import partial

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..graph import Tensor
from .base import Call, Operator, Shapes, register, same_shape

SAME = "Binarizer Imputer".split()
DICTIONARIES = "CastMap ZipMap".split()


def _batch(call: Call) -> Dim:
    return call.shape()[0] if len(call.shape()) > 1 else 1


def _classes(call: Call) -> Dim:
    labels = [call.attr(name) for name in _LABELS if call.attr(name)]
    return len(labels[0]) if labels else Unknown(f"{call.name}: it names no classes")


_LABELS = ("classlabels_ints", "classlabels_int64s", "classlabels_strings")


def _classified(call: Call) -> Shapes:
    """The class of each row, and its scores."""
    rows: list[Shape] = [(_batch(call),), (_batch(call), _classes(call))]
    return rows[: len(call.node.outputs)]


def _votes(call: Call) -> Dim:
    """Scores of a support vector machine: of each class with probabilities, of each pair of classes without."""
    classes = len(call.attr("vectors_per_class", ())) or _classes(call)
    if not isinstance(classes, int) or classes < 3 or call.attr("prob_a") or not call.attr("vectors_per_class"):
        return classes
    return classes * (classes - 1) // 2


def _voted(call: Call) -> Shapes:
    rows: list[Shape] = [(_batch(call),), (_batch(call), _votes(call))]
    return rows[: len(call.node.outputs)]


#: What a dictionary of labels gives, by the attribute that holds it.
VALUES = {"values_strings": "string", "values_int64s": "int64", "values_floats": "float32"}


def _encoded_type(call: Call) -> str | None:
    """The element type of the labels given; a list of names alone turns strings to numbers, and numbers to strings."""
    table = call.attr("values_tensor")
    if isinstance(table, Tensor):
        return table.dtype
    named = next((dtype for name, dtype in VALUES.items() if call.attr(name)), None)
    return named or ("int64" if call.tensor(0).dtype == "string" else "string")


def _vector(call: Call) -> Shapes:
    """A dictionary as one row, in the order of a vocabulary."""
    words = call.attr("string_vocabulary") or call.attr("int64_vocabulary") or ()
    return [(1, len(words))]


def _label_type(call: Call) -> list[str | None]:
    return ["string" if call.attr("classlabels_strings") else "int64", "float32"]


def _regressed(call: Call) -> Shapes:
    return [(_batch(call), int(call.attr("targets") or call.attr("n_targets") or 1))]


def _features(call: Call) -> Shapes:
    """Vectors side by side."""
    total: Dim = 0
    for size in call.attr("inputdimensions", ()):
        total = total + size
    return [(_batch(call), total)]


def _hot(call: Call) -> Shapes:
    return [(*call.shape(), len(call.attr("cats_int64s") or call.attr("cats_strings") or ()))]


def _extracted(call: Call) -> Shapes:
    """Elements along the last axis; a vector counts as one row."""
    shape = call.shape()
    count = dims.product(call.shape(1))
    return [(*shape[:-1], count) if len(shape) > 1 else (1, count)]


def _stepped(groups: int, call: Call) -> Shapes:
    """An optimizer's step: of each group of tensors behind rate and step count, those that it changes."""
    each = (len(call.inputs) - 2) // groups
    changed = [i for i in range(2, len(call.inputs)) if not each <= i - 2 < 2 * each]  # gradients are only read
    return [call.shape(i) for i in changed][: len(call.node.outputs)]


def _unknown(call: Call) -> Shapes:
    return [Unknown(f"{call.name} gives dictionaries, no tensor") for _ in call.node.outputs]


register(
    *(Operator(name, same_shape, source=f"ONNX ai.onnx.ml {name}") for name in SAME),
    *(
        Operator(name, same_shape, dtype=_encoded_type, source=f"ONNX ai.onnx.ml {name}")
        for name in ("CategoryMapper", "LabelEncoder")
    ),
    *(
        Operator(name, same_shape, dtype=lambda call: "float32", source=f"ONNX ai.onnx.ml {name}")
        for name in ("Normalizer", "Scaler")
    ),
    Operator("DictVectorizer", _vector, dtype=lambda call: None, source="ONNX ai.onnx.ml DictVectorizer"),
    *(Operator(name, _unknown, source=f"ONNX ai.onnx.ml {name}") for name in DICTIONARIES),
    *(
        Operator(name, _classified, dtype=_label_type, source=f"ONNX ai.onnx.ml {name}")
        for name in ("LinearClassifier", "TreeEnsembleClassifier")
    ),
    *(
        Operator(name, _regressed, dtype=lambda call: "float32", source=f"ONNX ai.onnx.ml {name}")
        for name in ("LinearRegressor", "SVMRegressor", "TreeEnsembleRegressor")
    ),
    Operator("TreeEnsemble", _regressed, source="ONNX ai.onnx.ml TreeEnsemble"),
    Operator("SVMClassifier", _voted, dtype=_label_type, source="onnxruntime svmclassifier.cc"),
    Operator("FeatureVectorizer", _features, dtype=lambda call: "float32", source="ONNX ai.onnx.ml FeatureVectorizer"),
    Operator("OneHotEncoder", _hot, dtype=lambda call: "float32", source="ONNX ai.onnx.ml OneHotEncoder"),
    Operator("ArrayFeatureExtractor", _extracted, source="ONNX ai.onnx.ml ArrayFeatureExtractor"),
    domain="ai.onnx.ml",
)
register(
    *(
        Operator(name, partial(_stepped, groups), source=f"ONNX ai.onnx.preview.training {name}")
        for name, groups in (("Adagrad", 3), ("Adam", 4), ("Momentum", 3))
    ),
    domain="ai.onnx.preview.training",
)
