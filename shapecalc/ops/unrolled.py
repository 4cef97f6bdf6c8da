"""Caffe's recurrent layers, under the domain "caffe": time first, then streams. They have no ONNX form yet."""

from __future__ import annotations

from collections.abc import Iterator

from .. import dims
from ..dims import Dim, Shape
from .base import Call, Detail, Need, Operator, Shapes, register


def _shapes(call: Call) -> Shapes:
    """Time × streams × outputs; exposed states are those of one step."""
    time, streams, *_ = call.shape()
    outputs = call.attr("channels")
    return [(time, streams, outputs), *[(1, streams, outputs)] * (len(call.node.outputs) - 1)]


def _needs(call: Call) -> Iterator[Need]:
    """The marks are time × streams (recurrent_layer.cpp, LayerSetUp)."""
    rank = len(call.shape())
    words = Detail(f"{call.name} reads a sequence of time × streams × …, not {dims.show(call.shape())}", "3 axes")
    yield Need(rank >= 2, "E108", lambda: words, blocks=True)
    wanted, given = call.shape()[:2], call.shape(1)
    verdict: dims.Verdict = len(given) == 2
    for a, b in zip(wanted, given, strict=False):
        verdict = dims.both(verdict, dims.equal(a, b))
    text = f"{call.name} wants a mark for each step and stream of its sequence"
    yield Need(verdict, "E105", lambda: Detail(text, dims.show(wanted), dims.show(given)))


def _weights(call: Call) -> dict[int, Shape]:
    """By position: a matrix for what goes in, its bias, one for a static input, then those of the state."""
    outputs, rows = call.attr("channels"), call.attr("channels") * call.attr("gates")
    first = int(call.attr("bottoms"))
    found: list[Shape] = [(rows, _flat(call.shape()[2:])), (rows,)]
    if call.attr("static", 0):
        found.append((rows, _flat(call.shape(2)[1:])))
    found.append((rows, outputs))
    if call.attr("gates") == 1:
        found += [(outputs, outputs), (outputs,)]
    return dict(enumerate(found, first))


def _flat(sizes: Shape) -> Dim:
    return dims.product(sizes)


register(
    Operator(
        "Unrolled",
        _shapes,
        needs=_needs,
        weights=_weights,
        source="Caffe recurrent_layer.cpp, rnn_layer.cpp, lstm_layer.cpp",
    ),
    Operator("Marks", lambda call: [call.attr("shape")], source="CRNN continuation_indicator_layer.cpp"),
    domain="caffe",
)
