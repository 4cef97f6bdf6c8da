"""Zeros that an export wrote down for so many sequences as the map had rows: the first states of recurrent layers.

Sequencer (Tatsunami and Taki 2022) runs an LSTM along each row and each column; PyTorch's exporters write its first
states down as zeros of that many sequences. A recurrent layer without first states begins with zeros.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...graph import Graph, Param
from ...trace import Layer
from ..edits import exchanged, renamed
from ..names import free_param
from ..stored import swept
from .folded import constants
from .follow import shape_of

#: Recurrent operators -> the inputs that are first states (ONNX, since opset 7).
STATES = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}


class StartAtZero(NamedTuple):
    """A recurrent layer without the zeros that were written down as its first states."""

    layer: str
    places: tuple[int, ...]

    def apply(self, graph: Graph) -> Graph:
        """The graph in which the layer has no first states."""
        old = graph.node(self.layer)
        kept = ["" if place in self.places else value for place, value in enumerate(old.inputs)]
        while kept and not kept[-1]:
            kept.pop()
        return swept(graph, graph.replace(nodes=exchanged(graph, old, old.replace(inputs=tuple(kept)))))

    def describe(self) -> str:
        """One line for people."""
        return f"{self.layer}: begins with zeros, which were written down for another number of sequences"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "start-at-zero", "layer": self.layer, "places": list(self.places), "what": "first states"}


class SpreadNumber(NamedTuple):
    """One number in place of a constant that holds it many times, where a layer spreads it over a map."""

    layer: str
    value: str
    rank: int
    number: float
    dtype: str

    def apply(self, graph: Graph) -> Graph:
        """The graph in which the layer spreads one number."""
        old = graph.node(self.layer)
        name = free_param(graph, f"{self.value}_once")
        once = Param(name, (1,) * self.rank, self.dtype, contents=(self.number,), trained=False)
        nodes = exchanged(graph, old, renamed(old, {self.value: name}))
        return swept(graph, graph.replace(nodes=nodes, params={**graph.params, name: once}))

    def describe(self) -> str:
        """One line for people."""
        return f"{self.layer}: spreads {self.number:g}, which was written down for another number of places"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "spread-number", "layer": self.layer, "number": self.number, "what": "one number spread"}


def restarted(layer: Layer, graph: Graph) -> StartAtZero | SpreadNumber | None:
    """The edit of a recurrent layer or of what its first states are spread by, where they are for another map."""
    if layer.op == "Expand" and layer.problems:
        return _spread(layer, graph)
    states = [place for place in STATES.get(layer.op, ()) if layer.call.has(place)]
    given = shape_of(layer)
    if not states or given is None or len(given) != 3 or layer.call.attr("layout"):
        return None
    shapes = {place: tensor.sizes for place in states if (tensor := layer.call.inputs[place]) is not None}
    wrong = [place for place, shape in shapes.items() if shape is not None and shape[1:2] != given[1:2]]
    zeros = [place for place in wrong if _number(graph, layer.node.inputs[place]) == 0]
    return StartAtZero(layer.name, tuple(zeros)) if zeros and zeros == wrong else None


def _spread(layer: Layer, graph: Graph) -> SpreadNumber | None:
    value, shape = layer.node.inputs[0], shape_of(layer)
    number = _number(graph, value) if shape is not None else None
    tensor = layer.call.inputs[0]
    if number is None or shape is None or tensor is None or set(shape) == {1}:
        return None
    return SpreadNumber(layer.name, value, len(shape), number, tensor.dtype or "float32")


def once(layer: Layer, graph: Graph) -> SpreadNumber | None:
    """The edit of a misfitting join that reads one number many times: a mask that hides nothing, written down."""
    for value, tensor in zip(layer.node.inputs, layer.call.inputs, strict=True):
        shape = tensor.sizes if tensor is not None else None
        number = _number(graph, value) if shape is not None and set(shape) != {1} else None
        if number is not None and shape is not None and tensor is not None:
            return SpreadNumber(layer.name, value, len(shape), number, tensor.dtype or "float32")
    return None


def _number(graph: Graph, value: str) -> float | None:
    """The one number that a constant holds; None for what is computed from the input, or holds several."""
    held = constants(graph, value)
    if held is None or not held.size or held.min() != held.max():
        return None
    return float(held.reshape(-1)[0])
