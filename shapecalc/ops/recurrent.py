"""Recurrent layers: RNN, GRU, LSTM."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .. import dims
from ..dims import Dim, Shape
from .base import Call, Detail, Need, Operator, Shapes, need_rank, register

#: Gates of each cell.
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _hidden(call: Call) -> Dim:
    return call.attr("hidden_size") or call.shape(2)[2]


def _directions(call: Call) -> int:
    return 2 if call.attr("direction", "forward") == "bidirectional" else 1


def states(call: Call) -> Shapes:
    """All steps, then the last state, then (LSTM) the last cell; ``layout`` 1 puts the batch first."""
    steps, batch, _ = call.shape()
    directions, hidden = _directions(call), _hidden(call)
    if call.attr("layout", 0):
        batch, steps, _ = call.shape()
        every: Shape = (batch, steps, directions, hidden)
        last: Shape = (batch, directions, hidden)
    else:
        every, last = (steps, directions, batch, hidden), (directions, batch, hidden)
    return [every, last, last][: len(call.node.outputs)]


def _needs(call: Call) -> Iterator[Need]:
    yield from need_features(call, 2)
    if call.scope.graph is not None and call.scope.graph.format == "onnx":
        yield from _onnx_needs(call)


#: What each input after the first is called, and its shape: directions D, hidden H, gates G, input I, batch N.
INPUTS = (
    (1, "weights", "D GH I"),
    (2, "recurrent weights", "D GH H"),
    (3, "biases", "D 2GH"),
    (4, "lengths", "N"),
    (5, "a state", "D N H"),
    (6, "a cell", "D N H"),
    (7, "peepholes", "D 3H"),
)


def _onnx_needs(call: Call) -> Iterator[Need]:
    """Each input has the one shape that hidden size, directions and batch leave it (rnn_helpers.cc)."""
    hidden = call.attrs.get("hidden_size")
    if call.dialect.runs:
        words = Detail(
            f"{call.name} says no hidden_size, which onnxruntime does not do without", "1 or more", str(hidden)
        )
        yield Need(isinstance(hidden, int) and hidden > 0, "E110", lambda: words, blocks=True)
        batchwise = Detail(f"{call.name}: onnxruntime computes no layout 1 on the CPU", "layout 0", "layout 1")
        yield Need(not call.attr("layout", 0), "E110", lambda: batchwise)
    size = _hidden(call)
    gates = size * GATES[call.node.op]
    known = {"D": _directions(call), "H": size, "GH": gates, "2GH": gates * 2, "3H": size * 3}
    known |= {"I": call.shape()[2], "N": call.shape()[0 if call.attr("layout", 0) else 1]}
    for index, what, names in INPUTS:
        if call.rank(index) is not None and not (call.attr("layout", 0) and index in (5, 6)):
            wanted = tuple(known[name] for name in names.split())
            yield Need(_is(call.shape(index), wanted), "E105", partial(_misshaped, call, index, what, wanted))


def _is(shape: Shape, wanted: Shape) -> dims.Verdict:
    verdict: dims.Verdict = len(shape) == len(wanted)
    for a, b in zip(shape, wanted, strict=False):
        verdict = dims.both(verdict, dims.equal(a, b))
    return verdict


def _misshaped(call: Call, index: int, what: str, wanted: Shape) -> Detail:
    given = dims.show(call.shape(index))
    message = f"{call.name} takes {what} of {dims.show(wanted)}, {call.giver(index)} gives {given}"
    return Detail(message, dims.show(wanted), given)


def need_features(call: Call, axis: int) -> Iterator[Need]:
    """The input must have as many features as its weight has along ``axis``."""
    yield need_rank(call, 3)
    yield need_rank(call, 3, index=1)
    given, wanted = call.shape()[2], call.shape(1)[axis]
    words = Detail(f"{call.name} expects {wanted} inputs, {call.giver()} gives {given}", str(wanted), str(given))
    yield Need(dims.equal(given, wanted), "E101", lambda: words)


def _macs(call: Call, outputs: Shapes) -> Dim:
    """Every step multiplies its input and its state with the weights of every gate."""
    steps, batch, features = call.shape()
    hidden = _hidden(call)
    return steps * batch * (features + hidden) * (hidden * GATES[call.node.op] * _directions(call))


def _weights(call: Call) -> dict[int, Shape]:
    directions, hidden = _directions(call), _hidden(call)
    gates = hidden * GATES[call.node.op]
    rows: dict[int, Shape] = {
        1: (directions, gates, call.shape()[2]),
        2: (directions, gates, hidden),
        3: (directions, gates * 2),
    }
    return rows


register(
    *(
        Operator(
            name, states, needs=_needs, macs=_macs, weights=_weights, constants=(4, 5, 6), source=f"ONNX {name}-22"
        )
        for name in GATES
    )
)
