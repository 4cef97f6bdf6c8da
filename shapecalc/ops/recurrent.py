"""Recurrent layers: RNN, GRU, LSTM."""

from __future__ import annotations

from collections.abc import Iterator

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
    return need_features(call, 2)


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
