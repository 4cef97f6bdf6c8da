"""Forward: every value's shape, layer by layer, and what does not fit.

A problem is a value: it is recorded with the layer's declared output and the trace goes on, so a person sees the whole
net. Only unreadable input raises.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from . import dims
from .dialects import Dialect, get_dialect
from .dims import Dim, Shape, Unknown
from .graph import Graph, Input, Node, Param, Reference, Tensor
from .ops import MALFORMED, Call, Detail, Entered, MissingInputError, Need, OpenRankError, Operator, Scope, find
from .ops.agreeing import TABLED, agree
from .ops.base import OWN_DOMAIN
from .ops.types import need_one_type
from .problem import Problem
from .traced import Condition, Layer, Trace, TracedValue, public

__all__ = ["MALFORMED", "Layer", "Problem", "Trace", "TracedValue", "first_input", "open_params", "public", "trace"]

#: Subgraphs in subgraphs and functions in functions are followed so deep.
DEEPEST = 16
#: Nodes walked inside subgraphs and functions, each as often as it is entered; a hostile file could ask for any number.
MOST_INSIDE = 100_000


def trace(
    graph: Graph,
    feeds: Mapping[str, Shape | Unknown],
    *,
    dialect: str | None = None,
    sized: Mapping[str, Shape] | None = None,
    wanted: Mapping[str, str] | None = None,
    mend: Mend | None = None,
) -> Trace:
    """Every value's shape when ``feeds`` (input name -> shape) goes in.

    ``sized`` gives weights that the definition leaves open the shape they were trained with; others follow the input.
    ``wanted`` is the text that explains such a size (``256·6·6``), by parameter. ``dialect`` None: the graph's own.
    ``mend`` sees each layer and may give nodes to trace in its place, with the parameters they read.
    """
    rules = get_dialect(dialect or graph.dialect)
    kinds = {given.name: given for given in graph.inputs}
    fed = {name: Tensor(shape, kinds[name].dtype if name in kinds else None) for name, shape in feeds.items()}
    result = Trace(graph, rules, fed)
    result.tensors.update({i.name: Tensor(i.unshaped) for i in graph.inputs if i.unshaped is not None})
    walk = _Walk(result, rules, sized or {}, wanted or {})
    for node in graph.nodes:
        walk.step(node)
        if mend is not None:
            walk.mend(mend)
    return result


#: Looks at a layer; gives nodes to trace in its place (itself last) and the new parameters they read, or None.
Mend = Callable[[Layer], tuple[Sequence[Node], Mapping[str, Param]] | None]


class _Walk:
    """One pass over the nodes; the state of `trace`.

    A subgraph or a function is walked by a walk of its own: a subgraph sees the values around it (``outer``), a
    function the attributes it is called with (``arguments``).
    """

    def __init__(
        self,
        result: Trace,
        dialect: Dialect,
        sized: Mapping[str, Shape],
        wanted: Mapping[str, str],
        outer: _Walk | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.result = result
        self.sized = sized
        self.wanted = wanted
        self.depth: int = 0 if outer is None else outer.depth + 1
        self.budget: list[int] = [MOST_INSIDE] if outer is None else outer.budget
        self.arguments = arguments
        self.tensors = result.tensors
        self.givers: MutableMapping[str, str] = {} if outer is None else ChainMap({}, outer.givers)
        graph = result.graph
        self.params = graph.params
        self.typed = graph.format == "onnx"  # only there does a file say the type of everything
        self.need_known: Callable[[Call], Need | None] | None = None
        if self.typed and dialect.runs:  # what a file's opset has not, onnxruntime refuses
            from .ops.forms import need_known  # with a table that no other definition needs

            self.need_known = need_known
        self.functions: Mapping[tuple[str, str], Graph] = graph.functions if outer is None else outer.functions
        opset = graph.opset if outer is None or graph.parameters is not None else outer.scope.opset
        self.scope: Scope = Scope(
            dialect,
            opset=opset,
            givers=self.givers,
            graph=graph,
            enter=self.enter,
            report=self.report,
            inside=outer is not None,
        )
        self.inside: list[Problem] = []  # what was reported of subgraphs of the node at hand
        self.fits_inside: Any = True  # and at which of many sizes they fit
        for param in self.params.values():
            shape = sized.get(param.name, param.shape)
            if shape is not None:
                self.tensors[param.name] = Tensor(shape, param.dtype, param.contents)
        self.tensors.update(result.feeds)

    def step(self, node: Node) -> None:
        """Traces one node and records its layer."""
        problems: list[Problem] = []
        row = find(node.op, node.domain)
        call = self.call(node, row)
        ruled = row is not None and node.op != "Input"
        outputs = self.apply(row, call, problems) if ruled else self.without_rule(call, problems)  # type: ignore[arg-type]
        if self.inside:
            problems += self.inside
            self.inside = []
        if self.fits_inside is not True:
            self.condition(call, "E109", self.fits_inside)
            self.fits_inside = True
        extra = len(node.outputs) - len(outputs)
        if extra > 0:  # a damaged file; the rule knows of no such output
            outputs = [*outputs, *[Tensor(Unknown(f"{node.name}: {node.op} has no such output"))] * extra]
        outputs = outputs[: len(node.outputs)]
        for name, tensor in zip(node.outputs, outputs, strict=True):
            if name:
                self.tensors[name] = tensor
                self.givers[name] = node.name
        self.result.layers.append(Layer(self.result, call, outputs, problems))
        if problems:
            self.result.problems.extend(problems)

    def mend(self, mend: Mend) -> None:
        """Traces the last node's replacement in its place, as often as there is one."""
        result = self.result
        while (other := mend(result.layers[-1])) is not None:
            nodes, params = other
            gone = result.layers.pop()
            result.problems[:] = [problem for problem in result.problems if problem not in gone.problems]
            self.params = {**self.params, **params}
            self.tensors.update(
                {n: Tensor(p.shape, p.dtype, p.contents) for n, p in params.items() if p.shape is not None}
            )
            for node in nodes:
                self.step(node)

    def without_rule(self, call: Call, problems: list[Problem]) -> list[Tensor]:
        """The outputs of a fed value, of a function of the model, or of an operator nobody knows."""
        node = call.node
        if node.op == "Input":
            return [self.tensors.get(name) or Tensor(Unknown(f"{name} was not fed")) for name in node.outputs]
        body = self.functions.get((node.domain, node.op))
        if body is None:
            if self.result.graph.format == "onnx" and node.domain in OWN_DOMAIN:
                problems.append(self.problem(call, Need(False, "E111", lambda: _left_over(call))))
            reason = Unknown(f"{node.name}: there is no rule for {node.origin.op or node.op}")
            return [Tensor(reason) for _ in node.outputs]
        entered = self.enter(call, body, call.inputs)
        self.report(entered)
        spare = Tensor(Unknown(f"{node.name}: the function does not give it"))
        return [*entered.outputs, *[spare] * len(node.outputs)][: len(node.outputs)]

    # -- graphs inside ------------------------------------------------------------------------------------------------
    def enter(self, call: Call, body: Graph, inputs: Sequence[Tensor | None]) -> Entered:
        """What a subgraph or a function gives for these inputs."""
        self.budget[0] -= len(body.nodes) + 1
        if self.depth >= DEEPEST or self.budget[0] < 0:
            reason = Unknown(f"{call.name}: graphs inside graphs, too deep or too many to follow")
            return Entered([Tensor(reason) for _ in body.outputs], [], True)
        given = {i.name: tensor for i, tensor in zip(body.inputs, inputs, strict=False) if tensor is not None}
        inner = Trace(body, self.scope.dialect, given)
        arguments = self.arguments
        if body.parameters is not None:
            arguments = {**body.parameters, **call.attrs}
        else:
            inner.tensors = ChainMap({}, self.tensors)
        walk = _Walk(inner, self.scope.dialect, {}, {}, self, arguments)
        for node in body.nodes:
            walk.step(node)
        missing = Tensor(Unknown(f"{call.name}: nothing inside gives it"))
        outputs = [inner.tensors.get(name, missing) for name in body.outputs]
        return Entered(outputs, [problem.inside(call.name) for problem in inner.problems], inner.fits)

    def report(self, entered: Entered) -> None:
        """Takes what does not fit inside as problems of the node at hand."""
        self.inside += entered.problems
        self.fits_inside = self.fits_inside & entered.fits

    # -- a node and its inputs ----------------------------------------------------------------------------------------
    def call(self, node: Node, row: Operator | None) -> Call:
        """The node with what is known of its inputs; weights that are not sized yet take the size they need here."""
        tensors = self.tensors
        inputs = [tensors.get(name) for name in node.inputs]
        call = Call(node, inputs, self.scope, self.attrs(node))
        if None in inputs:
            self.fill(call, inputs, row)
        return call

    def fill(self, call: Call, inputs: list[Tensor | None], row: Operator | None) -> None:
        """Gives the inputs that are named and have no value yet what is known of them."""
        missing = [i for i, name in enumerate(call.node.inputs) if name and inputs[i] is None]
        unsized = [i for i in missing if call.node.inputs[i] in self.params]
        if unsized:
            for i, shape in self.open_shapes(row, call, unsized).items():
                name = call.node.inputs[i]
                self.tensors[name] = inputs[i] = Tensor(shape, self.params[name].dtype)
        for i in missing:
            if inputs[i] is None:
                inputs[i] = Tensor(Unknown(f"{call.node.inputs[i]} is not fed and has no value"))

    def attrs(self, node: Node) -> dict[str, Any]:
        """The node's attributes, expressions of other values' dimensions (``h.shape[2]``) filled in."""
        attrs = node.attrs if self.arguments is None else _argued(node.attrs, self.arguments)
        refers = attrs.get("refers")
        if not refers:
            return attrs
        bindings: dict[str, Dim] = {}
        for name in refers:
            tensor = self.tensors.get(name)
            if tensor is not None and isinstance(tensor.shape, tuple):
                bindings.update({f"{name}[{axis}]": size for axis, size in enumerate(tensor.shape)})
        return {key: _bound(value, bindings) for key, value in attrs.items() if key != "refers"}

    def open_shapes(self, row: Operator | None, call: Call, positions: Sequence[int]) -> dict[int, Shape | Unknown]:
        """Shapes of parameters the definition does not size, by position."""
        shapes: Mapping[int, Shape] = {}
        if row is not None and row.weights is not None:
            try:
                shapes = row.weights(call)
            except (OpenRankError, MissingInputError, *MALFORMED):
                shapes = {}
        unsized = Unknown(f"{call.name}: the size of its weights depends on an unknown shape")
        return {i: shapes.get(i, unsized) for i in positions}

    # -- the row ------------------------------------------------------------------------------------------------------
    def apply(self, row: Operator, call: Call, problems: list[Problem]) -> list[Tensor]:
        """The outputs of a call under its row, with what does not fit."""
        count = len(call.node.outputs)
        if self.need_known is not None and (unknown := self.need_known(call)) is not None:
            problems.append(self.problem(call, unknown))
            if unknown.blocks:
                return [Tensor(Unknown(problems[-1].message)) for _ in range(count)]
        try:
            if row.needs is not None and self.blocked(row.needs(call), call, problems):
                return [Tensor(Unknown(problems[-1].message)) for _ in range(count)]
            if self.typed and not problems and (unlike := need_one_type(call)) is not None:
                problems.append(self.problem(call, unlike))
            if self.typed and call.node.op in TABLED and not problems:
                self.blocked(agree(call), call, problems)
            outputs = row.tensors(call) if row.tensors is not None else _outputs(row, call)
        except OpenRankError as error:
            return [Tensor(error.unknown) for _ in range(count)]
        except (MissingInputError, *MALFORMED) as error:
            words = Detail(f"{call.name}: its inputs or attributes contradict each other ({error})")
            problems.append(self.problem(call, Need(False, "E109", lambda: words)))
            return [Tensor(Unknown(words.message)) for _ in range(count)]
        if problems:
            outputs = [Tensor(_declared(t.shape, problems), t.dtype, t.contents) for t in outputs]
        return outputs

    def blocked(self, needs: Iterator[Need], call: Call, problems: list[Problem]) -> bool:
        """Records the requirements that fail; whether one of them leaves the outputs without a meaning."""
        for need in needs:
            verdict = need.verdict
            if verdict is True or verdict is None:
                continue
            if verdict is not False:
                self.condition(call, need.code, verdict)
            if dims.failed(verdict):
                problems.append(self.problem(call, need))
                if need.blocks:
                    return True
        return False

    def condition(self, call: Call, code: str, verdict: Any) -> None:
        """Keeps a requirement that some of many sizes meet."""
        self.result.fits = self.result.fits & verdict
        self.result.conditions.append(Condition(call.name, code, verdict))

    def problem(self, call: Call, need: Need) -> Problem:
        """A failed requirement in words, with the layers involved and the place of the definition."""
        words = need.words()
        expected = words.expected
        for name in call.node.inputs:
            if need.code == "E101" and name in self.wanted:
                expected = f"{expected} = {self.wanted[name]}"
        also = [self.givers[name] for name in call.node.inputs if name in self.givers]
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


def _left_over(call: Call) -> Detail:
    """What stands in ONNX's own domain and is not ONNX's, no runtime has."""
    return Detail(
        f"{call.name}: ONNX has no operator {call.node.op}",
        hint="its exporter could not convert it: export again for a higher opset, or cut the net before it",
    )


def _outputs(row: Operator, call: Call) -> list[Tensor]:
    """The outputs' tensors from the row's rules, as many as the node names."""
    shapes = row.shapes(call)
    dtype = _first_type(call) if row.dtype is None else row.dtype(call)
    contents = None if row.contents is None else row.contents(call)
    if len(shapes) == 1 and not isinstance(contents, list) and not isinstance(dtype, list):
        return [Tensor(shapes[0], dtype, contents)]
    return [
        Tensor(shape, _nth(dtype, i, dtype), _nth(contents, i, contents if i == 0 else None))
        for i, shape in enumerate(shapes[: len(call.node.outputs)])
    ]


def _first_type(call: Call) -> str | None:
    return call.inputs[0].dtype if call.inputs and call.inputs[0] is not None else None


def _nth(value: Any, index: int, otherwise: Any) -> Any:
    """An output's own entry of a list, ``otherwise`` where the rule gave one value."""
    if not isinstance(value, list):
        return otherwise
    return value[index] if index < len(value) else None


def _argued(attrs: dict[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a function's node: those that name an attribute of the function get what it was called with."""
    if not any(isinstance(value, Reference) for value in attrs.values()):
        return attrs
    bound = {key: v.bound(arguments) if isinstance(v, Reference) else v for key, v in attrs.items()}
    return {key: value for key, value in bound.items() if value is not None}


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
