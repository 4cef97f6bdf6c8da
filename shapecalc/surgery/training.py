"""How to go on training a changed net: what to freeze, what to tune, what is new, and how fast each learns.

The plan of the seeds (Caffe's fine-tuning of CaffeNet on Flickr styles): the base learning rate is a tenth of the
original one, weights learn at 1 and biases at 2 times it, the new head at 10 and 20, frozen layers at 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..dims import Dim, product
from ..graph import Graph, Node
from ..trace import Trace
from .names import no_such_layer

#: State of a layer -> multiples of the base learning rate of its weight, and of what is added behind it.
RATES = {"frozen": (0, 0), "tuned": (1, 2), "new": (10, 20)}


class Trained(NamedTuple):
    """One layer with weights: its state ("frozen", "tuned" or "new") and its parameters with their rates."""

    layer: str
    state: str
    params: Mapping[str, int]
    count: Dim


class Training(NamedTuple):
    """The layers with weights in order, frozen up to ``until``."""

    layers: tuple[Trained, ...]
    until: str | None

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON prints it.

        ``requires_grad`` and ``frozen_params`` are what onnxruntime-training's ``generate_artifacts`` is called with;
        ``lr_mult`` is the multiple of the base learning rate, by parameter name, for parameter groups of PyTorch.
        """
        rates = {name: rate for row in self.layers for name, rate in row.params.items()}
        return {
            "schema": "shapecalc.training/1",
            "freeze_until": self.until,
            "requires_grad": [name for name, rate in rates.items() if rate],
            "frozen_params": [name for name, rate in rates.items() if not rate],
            "lr_mult": rates,
            "layers": [{"layer": row.layer, "state": row.state, "params": list(row.params)} for row in self.layers],
        }

    def as_onnx(self, lowered: Graph) -> Training:
        """With the parameters of a definition's ONNX form: weights that lie in another order there have other names."""
        made: dict[str, list[str]] = {}
        read = {name for node in lowered.nodes for name in node.reads()}
        for param in lowered.params.values():
            for source in param.sources:
                if param.name in read and source not in read:
                    made.setdefault(source, []).append(param.name)
        rows = [
            row._replace(params={each: rate for name, rate in row.params.items() for each in made.get(name, [name])})
            for row in self.layers
        ]
        return self._replace(layers=tuple(rows))

    def describe(self) -> list[str]:
        """A line for each state that there is."""
        lines = []
        for state, (weight, bias) in RATES.items():
            rows = [row for row in self.layers if row.state == state]
            if rows:
                count = sum(row.count for row in rows)
                rate = f", learning rate × {weight}, biases × {bias}" if weight else ""
                names = rows[0].layer if len(rows) == 1 else f"{rows[0].layer} to {rows[-1].layer}"
                lines.append(
                    f"{state}: {names} ({len(rows)} layer{'s' if len(rows) > 1 else ''}, {count:,} parameters{rate})"
                )
        return lines


def training(before: Graph, traced: Trace, until: str | None = None) -> Training:
    """The training plan of an edited net (``traced``); what ``before`` has no parameter for is new.

    Frozen is the layer called ``until`` and all that it is computed from. Raises UsageError where there is none.
    """
    graph = traced.graph
    nodes = {node.name: node for node in graph.nodes}
    if until is not None and until not in nodes:
        raise no_such_layer(graph, until, "--freeze-until")
    frozen = {node.name for node in graph.ancestors(nodes[until].outputs)} if until is not None else set()
    seen: set[str] = set()
    rows = [_trained(node, graph, before, traced, frozen, seen) for node in graph.nodes]
    return Training(tuple(row for row in rows if row is not None), until)


def _trained(
    node: Node, graph: Graph, before: Graph, traced: Trace, frozen: set[str], seen: set[str]
) -> Trained | None:
    """The row of a layer; None where it has no weights of its own that training changes."""
    names = [n for n in node.inputs if n in graph.params and graph.params[n].trained and n not in seen]
    seen.update(names)
    if not names:
        return None
    new = any(name not in before.params for name in names)
    state = "new" if new else "frozen" if node.name in frozen else "tuned"
    sizes = [traced.tensors[name].shape for name in names if name in traced.tensors]
    count = sum((product(shape) for shape in sizes if isinstance(shape, tuple)), 0)
    return Trained(node.name, state, {n: RATES[state][_is_bias(node, n)] for n in names}, count)


def _is_bias(node: Node, name: str) -> bool:
    """Whether a parameter is added behind the weight: the third input of a layer, or what an Add of a file adds."""
    return node.op == "Add" or (node.op in ("Conv", "ConvTranspose", "Gemm") and node.inputs[2:] == (name,))
