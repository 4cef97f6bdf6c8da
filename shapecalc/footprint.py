"""What a net costs in bytes: weights, activations, and the most that is held at once while its layers run.

The layers run in the order of the file. A value is held from the layer that gives it to the last one that reads it, an
output of the net to the end. A view (a reshape, a dropout at test time) holds nothing of its own. That is what must be
held; a runtime may hold more, for its own order, for scratch space (im2col, Winograd) or for allocating in steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from . import dims, elements
from .definition import Definition
from .dims import Dim, Expr
from .errors import UsageError
from .graph import Tensor
from .literal import Spec
from .ops import find
from .trace import Layer, Trace, first_input

#: Precision -> bytes of a number that is a float in the definition.
PRECISIONS = {"fp64": 8, "fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
#: Operators whose output is their first input, laid out anew or as it is.
VIEWS = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Copies", "Input"}
#: Operators without places of their own that may write over their input, besides those that work place by place.
OVERWRITING = {"BatchNormalization", "Scale"}


class Row(NamedTuple):
    """A layer: the bytes of its weights and of what it writes (None: not known), and of all held while it runs."""

    layer: Layer
    weights: int | None
    written: int | None
    held: int

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON prints it."""
        return {
            "layer": self.layer.name,
            "params": self.layer.params,
            "macs": self.layer.macs,
            "weight_bytes": self.weights,
            "activation_bytes": self.written,
            "held_bytes": self.held,
        }


class Cost:
    """Parameters, multiply-accumulates and bytes of a trace; every number for its whole batch.

    ``precision`` is a name of `PRECISIONS`, None for the element types of the definition. ``unknown`` are the layers
    that write something whose size is not known; with any, ``activations`` and the peaks are the least there can be.

    >>> from shapecalc import load
    >>> cost = load("alexnet").cost()
    >>> cost.weights, cost.peak, cost.peak_layer
    (249513376, 2323200, 'relu1')
    """

    def __init__(self, traced: Trace, precision: str | None = None) -> None:
        self.trace = traced
        self.precision = precision
        each = PRECISIONS[precision] if precision is not None else None
        self.weights = sum(_weights(traced.layers, traced, each))
        plan, tight = (_Plan(traced, each, overwriting=overwriting) for overwriting in (False, True))
        rows = zip(traced.layers, plan.written, plan.held(), strict=True)
        self.rows = [Row(layer, sum(_weights([layer], traced, each)), written, held) for layer, written, held in rows]
        self.activations = sum(row.written or 0 for row in self.rows)
        self.unknown = tuple(row.layer.name for row in self.rows if row.written is None)
        self.peak, self.peak_layer = _most(traced.layers, plan)
        self.peak_in_place, self.peak_in_place_layer = _most(traced.layers, tight)

    def __repr__(self) -> str:
        name = self.trace.graph.name
        return f"Cost({name!r}, {self.weights:,} bytes of weights, at most {self.peak:,} held, at {self.peak_layer!r})"

    def to_dict(self) -> dict[str, Any]:
        """The cost as JSON prints it."""
        return {
            "schema": "shapecalc.cost/1",
            "inputs": [{"name": v.name, "shape": v.shape} for v in self.trace.inputs],
            "precision": self.precision,
            "params": self.trace.params,
            "macs": self.trace.macs,
            "weight_bytes": self.weights,
            "activation_bytes": self.activations,
            "peak_bytes": self.peak,
            "peak_layer": self.peak_layer,
            "peak_in_place_bytes": self.peak_in_place,
            "peak_in_place_layer": self.peak_in_place_layer,
            "unknown": list(self.unknown),
            "layers": [row.to_dict() for row in self.rows],
        }


def cost(
    model: Definition,
    input: Spec = None,  # noqa: A002  the contract's word
    *,
    batch: int | None = None,
    precision: str | None = None,
    dialect: str | None = None,
) -> Cost:
    """What a definition costs at an input, ``batch`` put for the first axis of the image and of what goes with it.

    A batch left open counts as 1. Raises UsageError for a precision there is not, another size that is left open, or a
    shape that makes no sense.
    """
    if precision is not None and precision not in PRECISIONS:
        raise UsageError(f"there is no precision {precision!r}", "E002", hint=", ".join(PRECISIONS))
    if batch is not None and (not isinstance(batch, int) or batch < 1):
        raise UsageError(f"a batch of {batch!r} makes no sense", "E002", hint="a whole number, 1 or more")
    feeds = model.feeds(input)
    given = first_input(model.graph)
    declared = feeds[given.name][0] if given is not None and feeds.get(given.name) else None
    put = {
        name: (batch or 1, *shape[1:])
        for name, shape in feeds.items()
        if shape and (isinstance(shape[0], Expr) or (batch is not None and _same(shape[0], declared)))
    }
    feeds |= put
    free = next((name for name, shape in feeds.items() if any(isinstance(size, Expr) for size in shape)), None)
    if free is not None:
        raise UsageError(
            f"{model.name} leaves the size of its input {free!r} free", "E207", hint="give it: --input 224"
        )
    return Cost(model.trace(feeds, dialect=dialect), precision)


def _same(size: Dim, other: Dim | None) -> bool:
    return isinstance(size, int) and size == other


def _bytes(tensor: Tensor, each: int | None) -> int | None:
    """Bytes of a tensor, a float's in the precision asked for; None where its size is not known."""
    if not isinstance(tensor.shape, tuple) or not isinstance(count := dims.product(tensor.shape), int):
        return None
    kind = elements.BY_NAME[tensor.dtype or "float32"]
    if kind.bits == 0:  # texts are as long as they are
        return None
    return count * each if each is not None and kind.name in elements.FLOATS else kind.length(count)


def _total(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _weights(layers: Iterable[Layer], traced: Trace, each: int | None) -> Iterator[int]:
    """Bytes of the parameters that layers read, each once."""
    read = (name for layer in layers for name in layer.node.inputs if name in traced.graph.params)
    yield from (_bytes(traced.tensors[name], each) or 0 for name in dict.fromkeys(read) if name in traced.tensors)


def _most(layers: list[Layer], plan: _Plan) -> tuple[int, str]:
    """(the most bytes held at once, the first layer that runs then)."""
    rows = [(held, layer.name) for held, layer in zip(plan.held(), layers, strict=True)]
    return max(rows, key=lambda row: row[0], default=(0, ""))


class _Plan:
    """Which stores there are, and when each is held: from the layer that writes it to the last one that reads it."""

    def __init__(self, traced: Trace, each: int | None, *, overwriting: bool) -> None:
        self.layers = traced.layers
        self.sizes: list[int | None] = []  # of each store
        self.spans: list[list[int]] = []  # first and last layer of each
        self.written: list[int | None] = []  # by each layer
        self.stores: dict[str, int] = {}  # value -> its store; none for parameters and what only views them
        self.last = self._last_reads(traced)
        self.given = {name: self._store(_bytes(tensor, each), -1, name) for name, tensor in traced.feeds.items()}
        for place, layer in enumerate(self.layers):
            self.written.append(self._write(place, layer, each, overwriting))

    def _last_reads(self, traced: Trace) -> dict[str, int]:
        last = {name: place for place, layer in enumerate(self.layers) for name in layer.node.reads()}
        return last | dict.fromkeys(traced.graph.outputs, len(self.layers))

    def _store(self, size: int | None, place: int, name: str) -> int:
        self.sizes.append(size)
        self.spans.append([place, place])
        self._hold(name, len(self.sizes) - 1)
        return len(self.sizes) - 1

    def _hold(self, name: str, store: int) -> None:
        self.stores[name] = store
        span = self.spans[store]
        span[1] = max(span[1], self.last.get(name, span[0]))

    def _write(self, place: int, layer: Layer, each: int | None, overwriting: bool) -> int | None:
        """Puts what a layer gives into stores; the bytes of the new ones."""
        first = layer.node.inputs[0] if layer.node.inputs else ""
        sizes: list[int | None] = []
        for index, (name, tensor) in enumerate(zip(layer.node.outputs, layer.tensors, strict=True)):
            if not name or name in self.given:
                continue
            size = _bytes(tensor, each)
            if layer.op in VIEWS or (overwriting and index == 0 and self._may_overwrite(place, layer, size)):
                if first in self.stores:
                    self._hold(name, self.stores[first])
                continue
            sizes.append(size)
            self._store(size, place, name)
        return _total(sizes)

    def _may_overwrite(self, place: int, layer: Layer, size: int | None) -> bool:
        """Whether nobody needs what a layer that works place by place reads, once it has run."""
        row = find(layer.op, layer.node.domain)
        store = self.stores.get(layer.node.inputs[0]) if layer.node.inputs else None
        if row is None or store is None or not (row.elementwise or layer.op in OVERWRITING):
            return False
        return self.sizes[store] == size and self.spans[store][1] == place and store not in self.given.values()

    def held(self) -> list[int]:
        """Bytes held while each layer runs; what is not known counts as none."""
        changes = [0] * (len(self.layers) + 2)
        for size, (first, last) in zip(self.sizes, self.spans, strict=True):
            changes[max(first, 0)] += size or 0
            changes[last + 1] -= size or 0
        return list(accumulate(changes))[: len(self.layers)]
