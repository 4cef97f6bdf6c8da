"""Cutting a net: values inside it become its outputs, what only later layers need goes, a pooling may end it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Any, NamedTuple

from ..errors import RefusedError, UsageError
from ..graph import Graph, Node, Param
from ..source import Origin
from ..trace import Layer, Trace
from .heads import heads
from .names import free_name, no_such_layer
from .promises import Pair, Promise, Step
from .quantized import FORMS

POOLS = {"avg": ("GlobalAveragePool", "ReduceMean"), "max": ("GlobalMaxPool", "ReduceMax")}
#: From this opset on ReduceMean and ReduceMax take their axes as an input.
AXES_AS_INPUT = 18
#: Axes of a map, which the operators of whole maps pool.
MAP = 4


class Tap(NamedTuple):
    """A value that becomes an output: its rank and the axes of its places, and the layer that gives it."""

    layer: str
    value: str
    rank: int
    axes: tuple[int, ...]
    layout: str = "NCHW"


class Cut(NamedTuple):
    """The net up to some of its values, which become its outputs in this order."""

    taps: tuple[Tap, ...]
    pool: str = ""  # avg or max: over all places
    flatten: bool = False

    @property
    def layer(self) -> str:
        """The layers it ends at."""
        return ", ".join(tap.layer for tap in self.taps)

    def apply(self, graph: Graph) -> Graph:
        """The graph that gives these values and holds nothing else."""
        nodes: list[Node] = []
        params: dict[str, Param] = {}
        outputs = [self._ended(graph, tap, nodes, params) for tap in self.taps]
        meta = {key: value for key, value in graph.meta.items() if key != "scores"}
        whole = graph.replace(nodes=(*graph.nodes, *nodes), params={**graph.params, **params}, meta=meta)
        return whole.pruned(outputs)

    def _ended(self, graph: Graph, tap: Tap, nodes: list[Node], params: dict[str, Param]) -> str:
        value = tap.value
        for node in self._ending(graph, tap, params):
            nodes.append(node)
            value = node.outputs[0]
        return value

    def _ending(self, graph: Graph, tap: Tap, params: dict[str, Param]) -> Iterator[Node]:
        value, layout = tap.value, {} if tap.layout == "NCHW" else {"layout": tap.layout}
        if self.pool and tap.axes:
            whole, reduce = POOLS[self.pool]
            name = free_name(graph, f"{tap.value}_{self.pool}")
            if tap.rank == MAP:
                yield Node(name, whole, (value,), (name,), layout, origin=Origin(op="inserted"))
            elif graph.format == "onnx" and graph.opset < AXES_AS_INPUT:
                attrs = {"axes": tap.axes, "keepdims": 1}
                yield Node(name, reduce, (value,), (name,), attrs, origin=Origin(op="inserted"))
            else:
                axes = Param(f"{name}/axes", (len(tap.axes),), "int64", contents=tap.axes, trained=False)
                params[axes.name] = axes
                yield Node(name, reduce, (value, axes.name), (name,), {"keepdims": 1}, origin=Origin(op="inserted"))
            value = name
        if self.flatten and tap.rank > 2:
            name = free_name(graph, f"{tap.value}_flat")
            yield Node(name, "Flatten", (value,), (name,), {"axis": 1, **layout}, origin=Origin(op="inserted"))

    def promise(self, graph: Graph) -> Promise:
        """Every output is the original's tensor, pooled and flattened where that was asked."""
        outputs = self.apply(graph).outputs
        pairs = [Pair(tap.value, made, self._steps(tap)) for tap, made in zip(self.taps, outputs, strict=True)]
        ends = self._ends()
        return Promise(f"{self.layer}: the original's tensor{''.join(f', {end}' for end in ends)}", tuple(pairs))

    def _steps(self, tap: Tap) -> tuple[Step, ...]:
        pool: list[Step] = [("pool", self.pool, tap.axes)] if self.pool and tap.axes else []
        return (*pool, ("flatten",)) if self.flatten and tap.rank > 2 else tuple(pool)

    def _ends(self) -> list[str]:
        pooled = {"avg": "averaged over its places", "max": "its largest place", "": ""}[self.pool]
        return [word for word in (pooled, "flattened" if self.flatten else "") if word]

    def describe(self) -> str:
        """One line for people."""
        return ", ".join([f"cut at {self.layer}", *self._ends()])

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        taps = [{**tap._asdict(), "axes": list(tap.axes)} for tap in self.taps]
        return {"edit": "cut", "layer": self.layer, "taps": taps, "pool": self.pool, "flatten": self.flatten}


def cut_at(trace: Trace, names: Sequence[str], *, features: bool, pool: str, flatten: bool) -> Cut:
    """The edit that ends a net at layers or values, or just before its head.

    Raises UsageError for a layer that is not there, RefusedError where the head cannot be told or nothing is before it.
    """
    if pool and pool not in POOLS:
        raise UsageError(f"no pooling {pool!r}", "E002", hint=f"one of {', '.join(POOLS)}")
    values = [_value(trace.graph, name) for name in names]
    if features:
        values.append(_before_head(trace.graph))
    if not values:
        raise UsageError("where to cut was not said", "E002", hint="--at LAYER, or --features for all but the head")
    return Cut(tuple(_tap(trace, value, pool) for value in dict.fromkeys(values)), pool, flatten)


def _value(graph: Graph, name: str) -> str:
    """The value a person means: a layer's first output, or a value of that name."""
    node = next((node for node in graph.nodes if node.name == name), None)
    value = node.outputs[0] if node is not None and node.outputs else name
    if value not in graph.producers():
        raise no_such_layer(graph, name, "--at")
    return value


def _before_head(graph: Graph) -> str:
    """What the head reads."""
    found = [head.node for head in heads(graph)]
    values = list(dict.fromkeys(node.inputs[0] for node in found))
    if not found:
        named = f"{graph.name or 'the net'} ends in no classifier"
        last = f"its last layer is {graph.nodes[-1].name} ({graph.nodes[-1].op})" if graph.nodes else "it has no layers"
        raise RefusedError(f"{named}, so what is before it cannot be told", "E301", because=last, hint="--at LAYER")
    if len(values) > 1:
        listed = ", ".join(f"{node.name} reads {node.inputs[0]}" for node in found)
        raise RefusedError(
            "it has several heads, which read different values", "E301", because=listed, hint=f"--at {values[-1]}"
        )
    return _as_floats(graph, found[0], values[0])


#: Operators that make codes of floats, their first input.
CODING = ("QuantizeLinear", "DynamicQuantizeLinear")


def _as_floats(graph: Graph, head: Node, value: str) -> str:
    """The floats that were made codes for the head. Raises RefusedError where it reads codes that others gave."""
    giver = graph.producers().get(value)
    if giver is not None and giver.op in CODING and giver.inputs[0] in graph.producers():
        return giver.inputs[0]
    form = FORMS.get(head.op)
    if form is None or form.floats:
        return value
    raise RefusedError(
        f"what {head.name} reads are codes of a quantization, whose scale the head alone knows",
        "E303",
        because=f"{giver.name} ({giver.op}) gives them" if giver is not None else f"{value} is fed",
        hint=f"--at {quote(giver.name if giver is not None else value)} writes the codes",
    )


def _before(trace: Trace, node: Node) -> str:
    """The way out where a value is no tensor of a known shape: the nearest one that is, in front of it."""
    made = trace.graph.producers()
    waiting = list(node.inputs)
    for name in waiting:
        if name in made and isinstance(trace.tensors[name].shape, tuple):
            return f"--at {quote(name)}, which it is made from"
        waiting += [each for each in (made[name].inputs if name in made else ()) if each not in waiting]
    return "--at another layer: nothing in front of it has a known shape"


#: Whole numbers that are values and not codes of a quantization; only maps are pooled by an operator of floats alone.
COUNTS = frozenset({"int32", "int64", "uint32", "uint64"})


def _need_means(trace: Trace, layer: Layer, value: str, rank: int) -> None:
    """Raises RefusedError where a value is to be pooled whose numbers have no mean: codes of a quantization, texts."""
    dtype = trace.tensors[value].dtype
    if dtype is None or "float" in dtype or (dtype in COUNTS and rank != MAP):
        return
    behind = [node for node in trace.graph.users().get(value, ()) if node.op == "DequantizeLinear"]
    way = (
        f"--at {quote(behind[0].name)}, which gives the numbers that they stand for" if behind else "--at another layer"
    )
    raise RefusedError(
        f"{value} holds {dtype}, which no pooling takes",
        "E303",
        because=f"{layer.name} ({layer.source_op}) gives {dtype}, and a pooling over all places is one of floats",
        hint=f"{way}; or no --pool",
    )


def _tap(trace: Trace, value: str, pool: str) -> Tap:
    layer = next((layer for layer in trace.layers if value in layer.node.outputs), None)
    if layer is None or layer.op == "Input":
        raise UsageError(f"{value} is an input: nothing is before it", "E002", hint="--at a layer behind it")
    fed = {given.name for given in trace.graph.inputs}
    if not any(node.reads() & fed for node in trace.graph.ancestors([value])):
        raise UsageError(
            f"{value} is computed from weights alone: it says nothing of an image", "E002", hint="--at another layer"
        )
    shape = trace.tensors[value].shape
    if not isinstance(shape, tuple):
        raise RefusedError(
            f"the shape of {value} is not known", "E303", because=shape.reason, hint=_before(trace, layer.node)
        )
    layout = layer.call.layout
    axes = range(1, len(shape) - 1) if layout == "NHWC" or len(shape) == 3 else range(2, len(shape))
    if pool and axes:
        _need_means(trace, layer, value, len(shape))
    return Tap(layer.name, value, len(shape), tuple(axes), layout)
