"""Keras' layers that do to every step what others do to an image, under the domain "keras".

`TimeDistributed` is three nodes: the steps become rows of the batch, the layer inside, and the steps come back. A
recurrent layer of convolutions (layers/rnn/conv_lstm.py) has no operator in ONNX: its steps are written out, one after
the other, each a convolution of the state and the four gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dims import Dim, Shape, all_numbers
from ..window import Window
from .base import Call, Lowered, Need, Operator, Shapes, need_rank, register
from .chain import Chain
from .filters import ORDERS, reordered
from .windows import explicit_pads, sizes, sliding

# -- steps as rows of the batch ---------------------------------------------------------------------------------------


def _folded(call: Call) -> Shapes:
    batch, steps, *rest = call.shape()
    return [(batch * steps, *rest)]


def _unfolded(call: Call) -> Shapes:
    return [(*call.shape(1)[:2], *call.shape()[1:])]


def _reshaped(call: Call, outputs: Shapes) -> Lowered | None:
    """The sizes behind the steps are those of the file; the batch is what is left over."""
    shape = outputs[0]
    if not isinstance(shape, tuple) or not all_numbers(shape):
        return None
    chain = Chain(call)
    chain.add("Reshape", (call.node.inputs[0], [int(n) for n in shape]))
    return chain.done()


# -- ConvLSTM: x, then kernel, recurrent kernel and bias --------------------------------------------------------------

#: More steps are not written out one by one.
MOST_STEPS = 256
GATES = 4
#: The place of what is new to the cell among them.
NEW = 2


def _last(call: Call) -> bool:
    """Whether channels come last."""
    return bool(call.attr("order", "channels_last") == "channels_last")


def _spatial(call: Call) -> Shape:
    return call.shape()[2:-1] if _last(call) else call.shape()[3:]


def _channels(call: Call) -> Dim:
    return call.shape()[-1 if _last(call) else 2]


def _windows(call: Call) -> list[Window]:
    return sliding(call, call.attr("kernel_shape"), call.dialect.convolution)


def _state(call: Call) -> Shape:
    """One step of what it gives, without the batch."""
    places, filters = sizes(_windows(call), _spatial(call)), call.attr("channels")
    return (*places, filters) if _last(call) else (filters, *places)


def _conv_lstm_shapes(call: Call) -> Shapes:
    """All steps or the last one, then the two states where they are returned."""
    batch, steps = call.shape()[:2]
    state = _state(call)
    given = (batch, steps, *state) if call.attr("return_sequences", False) else (batch, *state)
    return [given, *[(batch, *state)] * (len(call.node.outputs) - 1)]


def _conv_lstm_weights(call: Call) -> dict[int, Shape]:
    kernel, filters = call.attr("kernel_shape"), call.attr("channels")
    wide = GATES * filters
    return {1: (*kernel, _channels(call), wide), 2: (*kernel, filters, wide), 3: (wide,)}


def _conv_lstm_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, len(call.attr("kernel_shape")) + 3)


def _conv_lstm_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """One convolution of all steps; then step by step f·c + i·g and o·g(c), gates in the order i, f, c, o."""
    batch, steps = call.shape()[:2]
    if not all_numbers(call.shape()) or int(steps) > MOST_STEPS or None in (call.attr("inner"), call.attr("outer")):
        return None
    chain, rank = Chain(call), len(call.attr("kernel_shape"))
    kernel, first = reordered(call.node.inputs[1], call.shape(1), ORDERS["HWIO"])
    again, second = reordered(call.node.inputs[2], call.shape(2), ORDERS["HWIO"])
    rows = chain.add("Reshape", (call.node.inputs[0], [int(batch * steps), *map(int, call.shape()[2:])]))
    if _last(call):
        rows = chain.add("Transpose", (rows,), {"perm": [0, rank + 1, *range(1, rank + 1)]})
    windows = _windows(call)
    attrs: dict[str, object] = {
        key: call.attrs[key] for key in ("kernel_shape", "strides", "dilations") if key in call.attrs
    }
    read = chain.add("Conv", (rows, kernel, *call.node.inputs[3:]), {**attrs, **explicit_pads(windows, _spatial(call))})
    places = [int(n) for n in sizes(windows, _spatial(call))]
    wide = GATES * int(call.attr("channels"))
    read = chain.add("Reshape", (read, [int(batch), int(steps), wide, *places]))
    hidden, cell, seen = _stepped(call, chain, read, again)
    _ended(call, chain, hidden, cell, seen)
    lowered = chain.done()
    return Lowered(lowered.nodes, [*lowered.params, *first, *second])


def _stepped(call: Call, chain: Chain, read: str, kernel: str) -> tuple[str, str, list[str]]:
    """The states behind the last step, and what every step gives, in the order in which they are made."""
    hidden = cell = ""
    seen: list[str] = []
    shape = [int(n) for n in call.attr("kernel_shape")]
    same: dict[str, object] = {"kernel_shape": shape, "pads": [(n - 1) // 2 for n in shape] + [n // 2 for n in shape]}
    steps = range(int(call.shape()[1]))
    for step in reversed(steps) if call.attr("go_backwards", False) else steps:
        row = chain.add("Squeeze", (chain.add("Slice", (read, [step], [step + 1], [1])), [1]))
        if hidden:
            row = chain.add("Add", (row, chain.add("Conv", (hidden, kernel), same)))
        enter, forget, new, leave = _gates(call, chain, row)
        kept = chain.add("Mul", (enter, _bent(chain, new, call.attr("inner"))))
        cell = chain.add("Add", (chain.add("Mul", (forget, cell)), kept)) if cell else kept
        hidden = chain.add("Mul", (leave, _bent(chain, cell, call.attr("inner"))))
        seen.append(hidden)
    return hidden, cell, seen


def _gates(call: Call, chain: Chain, row: str) -> list[str]:
    """Input, forget, cell and output of a step; all but the cell's opened."""
    filters = int(call.attr("channels"))
    parts = [chain.add("Slice", (row, [i * filters], [(i + 1) * filters], [1])) for i in range(GATES)]
    return [part if i == NEW else _bent(chain, part, call.attr("outer")) for i, part in enumerate(parts)]


def _bent(chain: Chain, value: str, function: tuple[str, float | None, float | None]) -> str:
    name, alpha, beta = function
    attrs: dict[str, Any] = {key: n for key, n in (("alpha", alpha), ("beta", beta)) if n is not None}
    return chain.add(name, (value,), attrs)


def _ended(call: Call, chain: Chain, hidden: str, cell: str, seen: list[str]) -> None:
    """What the layer gives: the states first, for the chain ends with its first output."""
    rank = len(call.attr("kernel_shape"))
    for state, output in zip((hidden, cell), call.node.outputs[1:], strict=False):
        _turned(call, chain, state, [0, *range(2, rank + 2), 1])
        chain.nodes[-1] = chain.nodes[-1].replace(outputs=(output,))
    if call.attr("return_sequences", False):
        lines = [chain.add("Unsqueeze", (value, [1])) for value in seen]
        every = chain.add("Concat", lines, {"axis": 1})
        _turned(call, chain, every, [0, 1, *range(3, rank + 3), 2])
    else:
        _turned(call, chain, hidden, [0, *range(2, rank + 2), 1])


def _turned(call: Call, chain: Chain, value: str, order: list[int]) -> None:
    """A value as Keras has it: with its channels where the layer has them."""
    chain.add(*(("Transpose", (value,), {"perm": order}) if _last(call) else ("Identity", (value,), None)))


register(
    Operator(
        "FoldSteps",
        _folded,
        needs=lambda call: iter([need_rank(call, at_least=3)]),
        lower=_reshaped,
        source="Keras layers/rnn/time_distributed.py",
    ),
    Operator(
        "UnfoldSteps",
        _unfolded,
        lower=_reshaped,
        source="Keras layers/rnn/time_distributed.py",
    ),
    Operator(
        "ConvLSTM",
        _conv_lstm_shapes,
        needs=_conv_lstm_needs,
        weights=_conv_lstm_weights,
        lower=_conv_lstm_lower,
        source="Keras layers/rnn/conv_lstm.py",
    ),
    domain="keras",
)
