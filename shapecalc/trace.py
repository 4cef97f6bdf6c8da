"""Forward: every value's shape, layer by layer, and what does not fit.

A problem is a value: it is recorded with the layer's declared output and the trace goes on, so a person sees the whole
net. Only unreadable input raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import dims
from .dialects import Dialect, get_dialect
from .dims import Dim, Shape, Unknown
from .graph import Graph, Input, Node, Tensor
from .ops import Call, Detail, MissingInputError, Need, OpenRankError, Operator, find
from .traced import MALFORMED, Layer, Problem, Trace, TracedValue, public

__all__ = ["MALFORMED", "Layer", "Problem", "Trace", "TracedValue", "first_input", "open_params", "public", "trace"]


def trace(
    graph: Graph,
    feeds: Mapping[str, Shape | Unknown],
    *,
    dialect: str | None = None,
    sized: Mapping[str, Shape] | None = None,
    wanted: Mapping[str, str] | None = None,
) -> Trace:
    """Every value's shape when ``feeds`` (input name -> shape) goes in.

    ``sized`` gives weights that the definition leaves open the shape they were trained with; others follow the input.
    ``wanted`` is the text that explains such a size (``256·6·6``), by parameter. ``dialect`` None: the graph's own.
    """
    rules = get_dialect(dialect or graph.dialect)
    kinds = {given.name: given for given in graph.inputs}
    fed = {name: Tensor(shape, kinds[name].dtype if name in kinds else None) for name, shape in feeds.items()}
    result = Trace(graph, rules, fed)
    walk = _Walk(result, rules, dict(sized or {}), dict(wanted or {}))
    for node in graph.nodes:
        walk.step(node)
    return result


class _Walk:
    """One pass over the nodes; the state of `trace`."""

    def __init__(self, result: Trace, dialect: Dialect, sized: dict[str, Shape], wanted: dict[str, str]) -> None:
        self.result = result
        self.dialect = dialect
        self.sized = sized
        self.wanted = wanted
        self.tensors = result.tensors
        self.givers: dict[str, str] = {}
        graph = result.graph
        for param in graph.params.values():
            shape = sized.get(param.name, param.shape)
            if shape is not None:
                self.tensors[param.name] = Tensor(shape, param.dtype, param.contents)
        self.tensors.update(result.feeds)

    def step(self, node: Node) -> None:
        """Traces one node and records its layer."""
        problems: list[Problem] = []
        call = self.call(node)
        row = find(node.op, node.domain)
        if node.op == "Input":
            outputs = [self.tensors.get(name) or Tensor(Unknown(f"{name} was not fed")) for name in node.outputs]
        elif row is None:
            reason = f"{node.name}: there is no rule for {node.origin.op or node.op}"
            outputs = [Tensor(Unknown(reason)) for _ in node.outputs]
        else:
            outputs = self.apply(row, call, problems)
        for name, tensor in zip(node.outputs, outputs, strict=True):
            if name:
                self.tensors[name] = tensor
                self.givers[name] = node.name
        self.result.layers.append(Layer(self.result, call, outputs, problems))
        self.result.problems.extend(problems)

    def call(self, node: Node) -> Call:
        """The node with what is known of its inputs; weights that are not sized yet take the size they need here."""
        inputs = [self.tensors.get(name) if name else None for name in node.inputs]
        givers = [self.givers.get(name, name) for name in node.inputs]
        graph = self.result.graph
        call = Call(node, inputs, self.dialect, attrs=self.attrs(node), givers=givers, opset=graph.opset)
        open_params = [i for i, name in enumerate(node.inputs) if name in graph.params and name not in self.tensors]
        if open_params:
            for i, shape in self.open_shapes(call, open_params).items():
                tensor = Tensor(shape, graph.params[node.inputs[i]].dtype)
                self.tensors[node.inputs[i]] = inputs[i] = tensor
        for i, name in enumerate(node.inputs):
            if name and inputs[i] is None:
                inputs[i] = Tensor(Unknown(f"{name} is not fed and has no value"))
        return call

    def attrs(self, node: Node) -> dict[str, Any]:
        """The node's attributes, expressions of other values' dimensions (``h.shape[2]``) filled in."""
        refers = node.attrs.get("refers")
        if not refers:
            return node.attrs
        bindings: dict[str, Dim] = {}
        for name in refers:
            tensor = self.tensors.get(name)
            if tensor is not None and isinstance(tensor.shape, tuple):
                bindings.update({f"{name}[{axis}]": size for axis, size in enumerate(tensor.shape)})
        return {key: _bound(value, bindings) for key, value in node.attrs.items() if key != "refers"}

    def open_shapes(self, call: Call, positions: Sequence[int]) -> dict[int, Shape | Unknown]:
        """Shapes of parameters the definition does not size, by position."""
        row = find(call.node.op, call.node.domain)
        shapes: Mapping[int, Shape] = {}
        if row is not None and row.weights is not None:
            try:
                shapes = row.weights(call)
            except (OpenRankError, MissingInputError, *MALFORMED):
                shapes = {}
        unsized = Unknown(f"{call.name}: the size of its weights depends on an unknown shape")
        return {i: shapes.get(i, unsized) for i in positions}

    def apply(self, row: Operator, call: Call, problems: list[Problem]) -> list[Tensor]:
        """The outputs of a call under its row, with what does not fit."""
        count = len(call.node.outputs)
        try:
            blocked = False
            for need in self.needs(row, call):
                if need.verdict is not None and not isinstance(need.verdict, bool):
                    self.result.fits = self.result.fits & need.verdict
                if dims.failed(need.verdict):
                    problems.append(self.problem(call, need))
                    if need.blocks:
                        blocked = True
                        break
            if blocked:
                return [Tensor(Unknown(problems[-1].message)) for _ in range(count)]
            shapes = list(row.shapes(call))
            contents = row.contents(call) if row.contents is not None else None
            dtype = row.dtype(call) if row.dtype is not None else call.inputs[0].dtype if call.has(0) else None  # type: ignore[union-attr]
        except OpenRankError as error:
            return [Tensor(error.unknown) for _ in range(count)]
        except (MissingInputError, *MALFORMED) as error:
            words = Detail(f"{call.name}: its inputs or attributes contradict each other ({error})")
            problems.append(self.problem(call, Need(False, "E109", lambda: words)))
            return [Tensor(Unknown(words.message)) for _ in range(count)]
        if problems:
            shapes = [_declared(shape, problems) for shape in shapes]
        return [Tensor(shape, dtype, contents if i == 0 else None) for i, shape in enumerate(shapes[:count])]

    @staticmethod
    def needs(row: Operator, call: Call) -> Iterator[Need]:
        """The row's requirements, none where it has none."""
        return row.needs(call) if row.needs is not None else iter(())

    def problem(self, call: Call, need: Need) -> Problem:
        """A failed requirement in words, with the layers involved and the place of the definition."""
        words = need.words()
        expected = words.expected
        for name in call.node.inputs:
            if need.code == "E101" and name in self.wanted:
                expected = f"{expected} = {self.wanted[name]}"
        also = [g for g, name in zip(call.givers, call.node.inputs, strict=True) if name in self.givers]
        return Problem(
            need.code,
            call.name,
            words.message,
            also=tuple(dict.fromkeys(also)),
            expected=expected,
            actual=words.actual,
            hint=words.hint,
            location=call.node.origin.location,
        )


def _bound(value: Any, bindings: Mapping[str, Dim]) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(_bound(item, bindings) for item in value)
    return dims.substitute(value, bindings)


def _declared(shape: Shape | Unknown, problems: Sequence[Problem]) -> Shape | Unknown:
    """A misfitting layer's output: dimensions that came out below 1 are unknown, the declared ones stay."""
    if not isinstance(shape, tuple):
        return shape
    return tuple(Unknown(problems[-1].message) if isinstance(d, int) and d < 1 else d for d in shape)


def open_params(graph: Graph) -> list[str]:
    """Names of weights whose size the definition leaves to the first input."""
    return [param.name for param in graph.params.values() if param.shape is None and param.recipe is None]


def first_input(graph: Graph) -> Input | None:
    """The input a shape without a name is for: the first that is not a label."""
    images = [given for given in graph.inputs if given.role == "image"]
    return next(iter(images or graph.inputs), None)
