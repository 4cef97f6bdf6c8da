"""What a trace says: values, layers with their formula and cost, and the whole."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from . import cost, dims, receptive
from .dialects import Dialect
from .dims import Dim, Expr, Shape, Unknown
from .graph import Graph, Node, Tensor
from .ops import MALFORMED, Call, MissingInputError, OpenRankError, find
from .problem import Problem

PublicShape = tuple[Any, ...] | None


def public(shape: Shape | Unknown | None) -> PublicShape:
    """A shape as callers see it: a tuple of ints, None for an unknown dimension; None where the rank is unknown."""
    if not isinstance(shape, tuple):
        return None
    return tuple(None if isinstance(d, Unknown) else d for d in shape)


class TracedValue:
    """A value with its shape, as callers see it."""

    __slots__ = ("name", "tensor")

    def __init__(self, name: str, tensor: Tensor) -> None:
        self.name = name
        self.tensor = tensor

    @property
    def shape(self) -> PublicShape:
        """A tuple of ints, None for an unknown dimension; None where the rank is unknown."""
        return public(self.tensor.shape)

    @property
    def unknown(self) -> str | None:
        """Why the shape, or one of its dimensions, is not known; None where all is."""
        shape = self.tensor.shape
        parts = shape if isinstance(shape, tuple) else (shape,)
        return next((d.reason for d in parts if isinstance(d, Unknown)), None)

    @property
    def bounds(self) -> dict[str, tuple[int, Any]]:
        """Lowest and highest value of the symbols in the shape that stand for counts only running tells."""
        shape = self.tensor.shape
        return {} if isinstance(shape, Unknown) else {k: v for d in shape for k, v in dims.ranges(d).items()}

    def to_dict(self) -> dict[str, Any]:
        """The value as JSON prints it: ``unknown`` and ``bounds`` only where there is something to say."""
        row: dict[str, Any] = {"name": self.name, "shape": _json_shape(self.shape)}
        if self.unknown:
            row["unknown"] = self.unknown
        if self.bounds:
            row["bounds"] = {key: [low, _json_number(high)] for key, (low, high) in self.bounds.items()}
        return row

    def __repr__(self) -> str:
        return f"{self.name}: {dims.show(self.tensor.shape)}"


class Layer:
    """One layer of a trace: what it is, what it read and wrote, how its shape follows, what it costs."""

    def __init__(self, trace: Trace, call: Call, outputs: Sequence[Tensor], problems: Sequence[Problem]) -> None:
        self._trace = trace
        self.call = call
        self.tensors = tuple(outputs)
        self.problems = tuple(problems)

    @property
    def node(self) -> Node:
        """The node of the graph."""
        return self.call.node

    @property
    def name(self) -> str:
        """The layer's name in its own file."""
        return self.node.name

    @property
    def op(self) -> str:
        """The operator, by ONNX's name."""
        return self.node.op

    @property
    def source_op(self) -> str:
        """The operator as its own file calls it."""
        return self.node.origin.op or self.node.op

    @property
    def location(self) -> str | None:
        """``file:line`` of its definition."""
        return self.node.origin.location

    @cached_property
    def inputs(self) -> tuple[TracedValue, ...]:
        """The values read, parameters left out."""
        graph = self._trace.graph
        pairs = zip(self.node.inputs, self.call.inputs, strict=False)
        return tuple(TracedValue(n, t) for n, t in pairs if t is not None and n not in graph.params)

    @cached_property
    def outputs(self) -> tuple[TracedValue, ...]:
        """The values written."""
        return tuple(TracedValue(n, t) for n, t in zip(self.node.outputs, self.tensors, strict=True))

    @cached_property
    def weights(self) -> tuple[TracedValue, ...]:
        """The trained parameters read."""
        names = cost.trained(self.node, self._trace.graph.params)
        return tuple(TracedValue(name, self._trace.tensors[name]) for name in names)

    @cached_property
    def formula(self) -> str:
        """How the output follows from the numbers; empty for layers that keep their shape."""
        return formula_of(self.call, [t.shape for t in self.tensors])

    @cached_property
    def params(self) -> Any:
        """Number of trained parameters it reads; None where a shape is not known."""
        return _count(cost.elements(public(v.tensor.shape) for v in self.weights))

    @cached_property
    def macs(self) -> Any:
        """Multiply-accumulates for the whole batch; None where a shape is not known."""
        try:
            return _count(cost.macs(self.call, self.tensors))
        except (OpenRankError, MissingInputError, *MALFORMED):
            return None

    @property
    def fields(self) -> receptive.Fields:
        """Receptive field along each spatial axis of its first output; empty where no image reaches it, or unknown."""
        return seen.fields if isinstance(seen := self._seen, receptive.View) else ()

    @property
    def _seen(self) -> receptive.Seen | None:
        return self._trace.seen.get(self.node.outputs[0]) if self.node.outputs else None

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of its first output that are the image's height and width; empty where it gives no map."""
        return seen.axes if isinstance(seen := self._seen, receptive.View) else ()

    @property
    def unseen(self) -> str | None:
        """Why its receptive field is not known; None where it is, and where no image reaches the layer."""
        return seen.reason if isinstance(seen := self._seen, Unknown) else None

    @property
    def misaligned(self) -> str | None:
        """How the centres differ of branches that met on the way; None where they agree."""
        return next((field.misaligned for field in self.fields if field.misaligned), None)

    @property
    def start(self) -> Any:
        """Centre of the first element's receptive field, in input pixels, an axis as `receptive_field`."""
        return _one(tuple(f.start for f in self.fields))

    @property
    def sees_padding(self) -> float | None:
        """Share of its places whose receptive field reaches out of the image; None where it gives no map of numbers."""
        seen, shape = self._seen, self.tensors[0].shape if self.tensors else None
        if not isinstance(seen, receptive.View) or not seen.axes or not isinstance(shape, tuple):
            return None
        inside = 1.0
        for axis, field in zip(seen.axes, seen.fields, strict=True):
            size = shape[axis]
            if not isinstance(size, int) or size < 1:
                return None
            inside *= 1 - field.padded(size)
        return 1 - inside

    @property
    def receptive_field(self) -> Any:
        """Input pixels one element sees: an int where the axes agree, else a tuple; None where no image reaches it."""
        return _one(tuple(f.size for f in self.fields))

    @property
    def jump(self) -> Any:
        """Input pixels between neighbouring elements: a number where the axes agree, else a tuple; None without."""
        return _one(tuple(f.jump if isinstance(f.jump, int) else float(f.jump) for f in self.fields))

    def to_dict(self) -> dict[str, Any]:
        """The layer as JSON prints it."""
        return {
            "name": self.name,
            "op": self.op,
            "source_op": self.source_op,
            "location": self.location,
            "inputs": [{"name": v.name, "shape": _json_shape(v.shape)} for v in self.inputs],
            "outputs": [v.to_dict() for v in self.outputs],
            "formula": self.formula,
            "params": _json_number(self.params),
            "macs": _json_number(self.macs),
            "receptive_field": self.receptive_field,
            "jump": self.jump,
            "start": self.start,
            "sees_padding": None if self.sees_padding is None else round(self.sees_padding, 4),
            "misaligned": self.misaligned,
            "unseen": self.unseen,
        }

    def __repr__(self) -> str:
        shapes = ", ".join(dims.show(t.shape) for t in self.tensors)
        return f"Layer({self.name!r}, {self.op}, {shapes})"


def formula_of(call: Call, outputs: Sequence[Shape | Unknown]) -> str:
    """How the outputs of a call follow from the numbers; empty for layers that keep their shape."""
    row = find(call.node.op, call.node.domain)
    if row is None or row.formula is None:
        return ""
    try:
        return row.formula(call, outputs)
    except (OpenRankError, MissingInputError, *MALFORMED):
        return ""


def _one(values: tuple[Any, ...]) -> Any:
    if not values:
        return None
    return values[0] if len(set(values)) == 1 else values


def _count(value: Dim) -> Any:
    return None if isinstance(value, Unknown) else value


def _json_number(value: Any) -> Any:
    return str(value) if isinstance(value, Expr) else value


def _json_shape(shape: PublicShape) -> list[Any] | None:
    return None if shape is None else [_json_number(d) for d in shape]


class Condition(NamedTuple):
    """A requirement that some of many sizes meet: the layer, the code of its problem, and the verdict for each size."""

    layer: str
    code: str
    verdict: Any


class Trace:
    """The result of tracing: layers, values, problems.

    ``values`` maps every tensor's name, parameters included, to its shape.
    """

    schema = "shapecalc.trace/1"

    def __init__(self, graph: Graph, dialect: Dialect, feeds: Mapping[str, Tensor]) -> None:
        self.graph = graph
        self.dialect = dialect.name
        self.feeds = dict(feeds)
        self.tensors: MutableMapping[str, Tensor] = {}
        self.layers: list[Layer] = []
        self.problems: list[Problem] = []
        self.fits: Any = True  # traced over many sizes at once: which of them meet every requirement
        self.conditions: list[Condition] = []  # the requirements that this came from, in order

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def layer(self, name: str) -> Layer:
        """The layer called ``name``; raises KeyError."""
        return self._by_name[name]

    def holder(self, problem: Problem) -> Layer:
        """The layer a problem is of, or the one with the graph inside that it was found in; raises KeyError."""
        inside = (layer for layer in self.layers if any(found is problem for found in layer.problems))
        return next(inside, None) or self.layer(problem.layer)

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in reversed(self.layers)}

    @cached_property
    def values(self) -> dict[str, PublicShape]:
        """Tensor name -> shape, None for unknown dimensions; None where the rank is unknown."""
        return {name: public(tensor.shape) for name, tensor in self.tensors.items()}

    @property
    def outputs(self) -> tuple[TracedValue, ...]:
        """What the net gives."""
        return tuple(TracedValue(name, self.tensors[name]) for name in self.graph.outputs if name in self.tensors)

    @property
    def inputs(self) -> tuple[TracedValue, ...]:
        """What was fed, and the inputs that are no tensors."""
        unshaped = {i.name: self.tensors[i.name] for i in self.graph.inputs if i.unshaped is not None}
        return tuple(TracedValue(name, tensor) for name, tensor in {**unshaped, **self.feeds}.items())

    @cached_property
    def seen(self) -> dict[str, receptive.Seen]:
        """Value name -> the axes that are the image's with the receptive field along each, or why it is not known."""
        layouts = {given.name: given.layout for given in self.graph.inputs}
        return receptive.analyse(((layer.call, layer.tensors) for layer in self.layers), self.feeds, layouts)

    @cached_property
    def params(self) -> Any:
        """Trained parameters of the whole net, shared ones once; None where a shape is not known."""
        names = {name for layer in self.layers for name in cost.trained(layer.node, self.graph.params)}
        return _count(cost.elements(public(self.tensors[name].shape) for name in sorted(names)))

    @cached_property
    def macs(self) -> Any:
        """Multiply-accumulates of the whole net for the whole batch; None where one is not known."""
        total: Any = 0
        for layer in self.layers:
            if layer.macs is None:
                return None
            total = layer.macs + total
        return total

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "schema": self.schema,
            "model": self.graph.name,
            "format": self.graph.format,
            "dialect": self.dialect,
            "ok": self.ok,
            "inputs": [{"name": v.name, "shape": _json_shape(v.shape)} for v in self.inputs],
            "outputs": [{"name": v.name, "shape": _json_shape(v.shape)} for v in self.outputs],
            "params": _json_number(self.params),
            "macs": _json_number(self.macs),
            "layers": [layer.to_dict() for layer in self.layers],
            "problems": [problem.to_dict() for problem in self.problems],
            "warnings": list(self.graph.warnings),
        }

    def __repr__(self) -> str:
        count = len(self.problems)
        state = "ok" if self.ok else f"{count} problem{'s' if count > 1 else ''}"
        return f"Trace({self.graph.name!r}, {len(self.layers)} layers, {state})"
