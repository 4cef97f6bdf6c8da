"""Caffe's recurrent layers, under the domain "caffe": time first, then streams.

A mark of 0 forgets the state before its step, so ONNX's LSTM and RNN cannot say them; they are unrolled as Caffe does,
a handful of nodes for each step. A run begins without a state, where Caffe goes on with that of the run before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .. import dims
from ..dims import Dim, Shape
from ..graph import Node, Param
from .base import Call, Detail, Lowered, Need, Operator, Shapes, register
from .chain import Chain


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


# -- as ONNX ----------------------------------------------------------------------------------------------------------

#: More steps than this are not written out.
MOST_STEPS = 1024


class _State(NamedTuple):
    """What a step hands on: values of 1 × streams × outputs; no cell in an RNN."""

    hidden: str
    cell: str = ""


def _lower(call: Call, outputs: Shapes) -> Lowered | None:
    """Inputs of all steps at once, then each step (rnn_layer.cpp, lstm_layer.cpp)."""
    steps, streams = (int(size) for size in call.shape()[:2])
    if steps > MOST_STEPS:
        return None
    names, gates, first = call.node.inputs, call.attr("gates"), int(call.attr("bottoms"))
    static = int(call.attr("static", 0))
    weights, after = names[first:], 2 + static
    chain = Chain(call)
    rows = chain.add("Reshape", (names[0], [steps * streams, int(_flat(call.shape()[2:]))]))
    width = int(call.attr("channels")) * gates
    sums = chain.add("Reshape", (chain.add("Gemm", (rows, *weights[:2]), {"transB": 1}), [steps, streams, width]))
    if static:
        flat = chain.add("Flatten", (names[2],), {"axis": 1})
        sums = chain.add("Add", (sums, chain.add("Gemm", (flat, weights[2]), {"transB": 1})))
    inputs = _parts(chain, sums, steps, 0)
    marks = _parts(chain, chain.add("Reshape", (names[1], [steps, streams, 1])), steps, 0)
    matrices = weights[2 + static : 3 + static + (gates == 1)]  # of the state, and of an RNN's output
    turned = [chain.add("Transpose", (name,), {"perm": [1, 0]}) for name in matrices]
    state = _State(*names[after:first]) if first > after else None
    shown: list[str] = []
    for value, mark in zip(inputs, marks, strict=True):
        state = (_lstm if gates > 1 else _rnn)(chain, value, mark, state, turned[0])
        shown.append(state.hidden if gates > 1 else _shown(chain, state.hidden, turned[1], weights[-1]))
    assert state is not None
    chain.nodes += [
        Node(f"{call.name}/{what}", "Identity", (value,), (output,), origin=call.node.origin)
        for what, value, output in zip(state._fields, state, call.node.outputs[1:], strict=False)
    ]
    chain.add("Concat", shown, {"axis": 0})
    return chain.done()


def _parts(chain: Chain, value: str, count: int, axis: int) -> list[str]:
    """A value in so many equal parts."""
    name = chain.add("Split", (value,), {"axis": axis, "num_outputs": count})
    parts = [f"{name}/{i}" for i in range(count)]
    chain.nodes[-1] = chain.nodes[-1].replace(outputs=tuple(parts))
    return parts


def _fed(chain: Chain, value: str, mark: str, state: _State | None, weight: str) -> str:
    """What goes into the gates: of the input, and of the state as far as the mark lets it."""
    if state is None:
        return value
    kept = chain.add("Mul", (state.hidden, mark))
    return chain.add("Add", (value, chain.add("MatMul", (kept, weight))))


def _lstm(chain: Chain, value: str, mark: str, state: _State | None, weight: str) -> _State:
    """Gates i, f, o and g (lstm_unit_layer.cpp)."""
    i, f, o, g = _parts(chain, _fed(chain, value, mark, state, weight), 4, 2)
    cell = chain.add("Mul", (chain.add("Sigmoid", (i,)), chain.add("Tanh", (g,))))
    if state is not None:
        share = chain.add("Mul", (chain.add("Sigmoid", (f,)), mark))
        cell = chain.add("Add", (chain.add("Mul", (share, state.cell)), cell))
    return _State(chain.add("Mul", (chain.add("Sigmoid", (o,)), chain.add("Tanh", (cell,)))), cell)


def _rnn(chain: Chain, value: str, mark: str, state: _State | None, weight: str) -> _State:
    return _State(chain.add("Tanh", (_fed(chain, value, mark, state, weight),)))


def _shown(chain: Chain, hidden: str, weight: str, bias: str) -> str:
    """What an RNN gives of its state."""
    return chain.add("Tanh", (chain.add("Add", (chain.add("MatMul", (hidden, weight)), bias)),))


def _marks(call: Call, outputs: Shapes) -> Lowered:
    """0 at the first step, then 1."""
    steps, streams = (int(size) for size in call.attr("shape"))
    name = f"{call.name}/marks"
    contents = (0.0,) * streams + (1.0,) * streams * (steps - 1)
    node = Node(call.name, "Identity", (name,), call.node.outputs, origin=call.node.origin)
    return Lowered([node], [Param(name, (steps, streams), "float32", contents=contents, trained=False)])


register(
    Operator(
        "Unrolled",
        _shapes,
        needs=_needs,
        weights=_weights,
        lower=_lower,
        source="Caffe recurrent_layer.cpp, rnn_layer.cpp, lstm_layer.cpp",
    ),
    Operator("Marks", lambda call: [call.attr("shape")], lower=_marks, source="CRNN continuation_indicator_layer.cpp"),
    domain="caffe",
)
