"""The made parts of docs/caffe.md: the tables of the reader, its fields and its operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from shapecalc.formats.caffe.arity import MANY, arity_of
from shapecalc.formats.caffe.forks import FORK_LAYERS, SOURCES
from shapecalc.formats.caffe.inputs import INPUTS
from shapecalc.formats.caffe.layer import Layer
from shapecalc.formats.caffe.layers import LAYERS, LOSSES, row_of
from shapecalc.formats.caffe.made import Made
from shapecalc.formats.caffe.schema import FORKS
from shapecalc.formats.caffe.text import parse
from shapecalc.formats.caffe.upgrade import V0_TYPES, V1_TYPES
from shapecalc.formats.caffe.view import View
from shapecalc.lower import OWN
from shapecalc.match import HINTS
from shapecalc.ops import Operator, find
from shapecalc.ops.training import TRAINING

from .make_pages import code, table

#: Settings without which a layer cannot be made.
SAMPLES = {
    "Clip": "clip_param { min: 0 max: 1 }",
    "Embed": "embed_param { num_output: 1 input_dim: 1 }",
    "InnerDistance": "inner_distance_param { num_output: 1 }",
    "InnerProduct": "inner_product_param { num_output: 1 }",
    "LSTM": 'bottom: "y" recurrent_param { num_output: 1 }',
    "MarginInnerProduct": "margin_inner_product_param { num_output: 1 }",
    "Pooling": "pooling_param { kernel_size: 1 }",
    "Pooling3D": "pooling_param { kernel_size: 1 kernel_depth: 1 }",
    "RNN": 'bottom: "y" recurrent_param { num_output: 1 }',
    "SPP": "spp_param { pyramid_height: 1 }",
    **dict.fromkeys(
        ["Convolution", "ConvolutionDepthwise", "Deconvolution", "DepthwiseConvolution"],
        "convolution_param { num_output: 1 kernel_size: 1 }",
    ),
    **dict.fromkeys(
        ["Convolution3D", "Deconvolution3D"], "convolution_param { num_output: 1 kernel_size: 1 kernel_depth: 1 }"
    ),
}


def made(kind: str) -> Made:
    """The node of a layer of this type."""
    text = f'layer {{ name: "l" type: "{kind}" bottom: "x" top: "t" {SAMPLES.get(kind, "")} }}'
    (field,) = parse(text).root.fields
    row = row_of(kind)
    assert row is not None
    return row(Layer(field, View(field.value, "page"), 0))  # type: ignore[arg-type]


def _count(least: int, most: int) -> str:
    if least == most:
        return str(least)
    return f"{least} or more" if most == MANY else f"{least} to {most}"


def _form(node: Made, row: Operator | None) -> str:
    """What becomes of it in ONNX."""
    if node.op in ("Computed", "DetectionOutput"):
        return "unknown before it runs"
    if node.op in TRAINING:
        return "left out"
    return "–" if node.domain in OWN and (row is None or row.lower is None) else "yes"


def _rows(kinds: Iterable[str]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for kind in sorted(kinds, key=str.lower):
        node, arity = made(kind), arity_of(kind)
        row = find(node.op, node.domain)
        weights = [weight.name for weight in node.weights if weight is not None and weight.contents is None]
        source = SOURCES.get(kind, "" if node.op == "Computed" or row is None else row.source)
        counts = f"{_count(*arity.bottoms)} → {_count(*arity.tops)}"
        found.append((code([kind]), node.op, counts, ", ".join(weights), _form(node, row), source))
    return found


_HEAD = ("layer", "operator", "bottoms → tops", "parameters", "in ONNX", "the rule")


def _layers() -> str:
    return table(_HEAD, _rows(set(LAYERS) - set(FORK_LAYERS) - set(LOSSES) | {"LSTM", "RNN"}))


def _fork_layers() -> str:
    return table(_HEAD, _rows(set(FORK_LAYERS) - {"LSTM", "RNN"}))


def _losses() -> str:
    return code(sorted(LOSSES)) + ", `Accuracy`"


def _data() -> str:
    return code(sorted(INPUTS))


def _forks() -> str:
    rows = [(code([name]), code([where]) if where else "", meaning) for (where, name), meaning in FORKS.items()]
    return table(["field", "of", "read"], rows)


def _old_types() -> str:
    """Today's type -> its words in V1 and V0."""
    words = [(kind, 1, word) for word, (_, kind) in V1_TYPES.items()]
    words += [(kind, 0, word) for word, (kind, _) in V0_TYPES.items()]
    rows = []
    for kind, group in groupby(sorted(words), key=lambda row: row[0]):
        ages = list(group)
        rows.append((code([kind]), *(code(word for _, age, word in ages if age == wanted) for wanted in (1, 0))))
    return table(["layer", "V1", "V0"], [*rows, ("folded into the next layer's `pad`", "", "`padding`")])


def _verdicts() -> str:
    return table(["verdict", "what to do"], [(f"**{verdict}**", words) for verdict, words in HINTS.items()])


PARTS: dict[str, Callable[[], str]] = {
    "data": _data,
    "fork_layers": _fork_layers,
    "forks": _forks,
    "layers": _layers,
    "losses": _losses,
    "old_types": _old_types,
    "verdicts": _verdicts,
}
