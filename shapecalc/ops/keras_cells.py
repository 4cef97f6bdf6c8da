"""Keras' recurrent layers, under the domain "keras", and how ONNX says them.

ONNX puts steps before the batch, turns the weights round and orders the gates otherwise (LSTM-22, GRU-22, RNN-22); the
numbers are the same. A second direction runs backwards and is turned back, as `Bidirectional` does.
"""

from __future__ import annotations

from typing import Any

from ..dims import Dim, Shape
from ..graph import Param
from .base import Call, Lowered, Operator, Shapes, need_rank, register
from .chain import Chain

# -- LSTM, GRU, SimpleRNN: x, the states it starts from, then kernel, recurrent kernel and bias of each direction ------


def _recurrent_shapes(call: Call) -> Shapes:
    """All steps or the last one, then the states where they are returned (rnn.py)."""
    batch, units = call.shape()[0], call.attr("units")
    width = units * call.attr("directions", 1) if call.attr("merge", "concat") == "concat" else units
    steps = (call.shape()[1],) if call.attr("return_sequences", False) else ()
    states: list[Shape] = [(batch, units)] * (len(call.node.outputs) - 1)
    return [(batch, *steps, width), *states]


def _recurrent_weights(call: Call) -> dict[int, Shape]:
    units, gates = call.attr("units"), call.attr("gates")
    width = units * gates
    bias = (2, width) if call.attr("reset_after", False) else (2 * width if call.attr("cudnn", False) else width,)
    each: list[Shape] = [(call.shape()[-1], width), (units, width), bias]
    count = 3 if call.attr("use_bias", True) else 2
    directions = call.attr("directions", 1)
    return dict(enumerate([shape for _ in range(directions) for shape in each[:count]], 1 + call.attr("states", 0)))


def _recurrent_macs(call: Call, outputs: Shapes) -> Dim:
    """Every step multiplies its input and its state with their kernels."""
    batch, steps, features = call.shape()
    units, directions = call.attr("units"), call.attr("directions", 1)
    return batch * steps * (features + units) * (units * call.attr("gates") * directions)


#: Gates -> ONNX's operator, and their order in Keras, which recipes are called by (`shapecalc.weights`).
CELLS = {4: ("LSTM", "ifco"), 3: ("GRU", "gates"), 1: ("RNN", "gates")}
#: Merges of two directions -> ONNX's reduction over them.
MERGES = {"sum": "ReduceSum", "mul": "ReduceProd", "ave": "ReduceMean"}


def _recipes(call: Call) -> tuple[str, str, str]:
    """Of what the input, what the state is multiplied with, and of the bias."""
    _, order = CELLS[call.attr("gates")]
    if call.attr("cudnn", False):
        return f"cudnn_{order}_input", f"cudnn_{order}_state", f"cudnn_{order}_bias"
    return order, order, f"{order}_bias"


def _derived(call: Call, recipe: str, sources: tuple[str, ...], shape: Shape) -> Param:
    return Param(f"{sources[0]}/{recipe}", shape, recipe=recipe, sources=sources, trained=False)


def _parameters(call: Call) -> list[Param]:
    """W, R and B of ONNX's operator, each made of those of all directions."""
    count, directions, units = 3 if call.attr("use_bias", True) else 2, call.attr("directions", 1), call.attr("units")
    names = call.node.inputs[1 + call.attr("states", 0) :]
    rows = call.attr("gates") * units
    widths = (call.shape()[-1], units, 2 * rows)
    made = []
    for place, (recipe, width) in enumerate(zip(_recipes(call), widths[:count], strict=False)):
        shape = (directions, rows, width) if place < 2 else (directions, width)
        sources = tuple(names[place + direction * count] for direction in range(directions))
        made.append(_derived(call, recipe, sources, shape))
    return made


def _activations(call: Call, op: str) -> dict[str, Any] | None:
    """As ONNX lists them: of LSTM and GRU the gates' first, then the cell's, and of LSTM the output's."""
    inner, outer = call.attr("inner"), call.attr("outer")
    chosen = {"LSTM": [outer, inner, inner], "GRU": [outer, inner], "RNN": [inner]}[op]
    if any(row is None for row in chosen):
        return None
    chosen = chosen * call.attr("directions", 1)
    attrs: dict[str, Any] = {"activations": [name for name, _, _ in chosen]}
    if any(alpha is not None for _, alpha, _ in chosen):
        attrs["activation_alpha"] = [alpha for _, alpha, _ in chosen if alpha is not None]
        attrs["activation_beta"] = [beta for _, _, beta in chosen if beta is not None]
    return attrs


def _lower(call: Call, outputs: Shapes) -> Lowered | None:
    op, _ = CELLS[call.attr("gates")]
    attrs, merge, directions = _activations(call, op), call.attr("merge", "concat"), call.attr("directions", 1)
    if attrs is None or merge not in ("concat", *MERGES):
        return None
    attrs |= {"hidden_size": int(call.attr("units"))}
    backwards = call.attr("go_backwards", False)
    if directions == 2 or backwards:
        attrs["direction"] = "bidirectional" if directions == 2 else "reverse"
    if call.attr("reset_after", False) or (op == "GRU" and call.attr("cudnn", False)):
        attrs["linear_before_reset"] = 1
    made = _parameters(call)
    chain = Chain(call)
    steps = chain.add("Transpose", call.node.inputs[:1], {"perm": [1, 0, 2]})
    begins = _begins(call, chain)
    values = [steps, *(param.name for param in made)]
    name = chain.add(op, [*values, *[""] * (5 - len(values) if begins else 0), *begins], attrs)
    results = [f"{name}/{part}" for part in ("steps", "last", "cell")[: 3 if op == "LSTM" else 2]]
    chain.nodes[-1] = chain.nodes[-1].replace(outputs=tuple(results))
    states = _states(chain, results[1:], directions) if len(call.node.outputs) > 1 else []
    if call.attr("return_sequences", False):
        _all_steps(call, chain, results[0], backwards)
    else:
        _last_step(call, chain, results[1])
    lowered = chain.done()
    for state, output in zip(states, call.node.outputs[1:], strict=False):
        lowered.nodes[:] = [n.replace(outputs=(output,)) if n.outputs == (state,) else n for n in lowered.nodes]
    return Lowered(lowered.nodes, [*lowered.params, *made])


def _begins(call: Call, chain: Chain) -> list[str]:
    """The states that a layer is told to start from, as ONNX has them: hidden, then cell, of all directions at once."""
    told = call.node.inputs[1 : 1 + call.attr("states", 0)]
    lines = [chain.add("Unsqueeze", (state, [0])) for state in told]
    if call.attr("directions", 1) == 1:
        return lines
    half = len(lines) // 2
    return [chain.add("Concat", pair, {"axis": 0}) for pair in zip(lines[:half], lines[half:], strict=True)]


def _states(chain: Chain, results: list[str], directions: int) -> list[str]:
    """The states it ends with as Keras gives them: those of the first direction, then those of the second."""
    if directions == 1:
        return [chain.add("Squeeze", (result, [0])) for result in results]
    parts = [(result, i) for i in range(directions) for result in results]
    return [chain.add("Squeeze", (chain.add("Slice", (r, [i], [i + 1], [0])), [0])) for r, i in parts]


def _all_steps(call: Call, chain: Chain, steps: str, backwards: bool) -> None:
    """(steps, directions, batch, units) as Keras has it; what runs backwards alone stays in that order."""
    merge = MERGES.get(call.attr("merge", "concat"))
    if call.attr("directions", 1) == 1:
        line = chain.add("Squeeze", (steps, [1]))
        if backwards:
            line = chain.add("Slice", (line, [-1], [-(1 << 62)], [0], [-1]))
        chain.add("Transpose", (line,), {"perm": [1, 0, 2]})
    elif merge is not None:
        chain.add("Transpose", (_over(chain, merge, steps, 1),), {"perm": [1, 0, 2]})
    else:
        turned = chain.add("Transpose", (steps,), {"perm": [2, 0, 1, 3]})
        chain.add("Reshape", (turned, [0, 0, 2 * int(call.attr("units"))]))


def _last_step(call: Call, chain: Chain, last: str) -> None:
    merge = MERGES.get(call.attr("merge", "concat"))
    if call.attr("directions", 1) == 1:
        chain.add("Squeeze", (last, [0]))
    elif merge is not None:
        _over(chain, merge, last, 0)
    else:
        turned = chain.add("Transpose", (last,), {"perm": [1, 0, 2]})
        chain.add("Reshape", (turned, [0, 2 * int(call.attr("units"))]))


def _over(chain: Chain, op: str, value: str, axis: int) -> str:
    return chain.add(op, (value, [axis]), {"keepdims": 0})


register(
    Operator(
        "Recurrent",
        _recurrent_shapes,
        needs=lambda call: iter([need_rank(call, 3)]),
        weights=_recurrent_weights,
        macs=_recurrent_macs,
        lower=_lower,
        source="Keras layers/rnn",
    ),
    domain="keras",
)
