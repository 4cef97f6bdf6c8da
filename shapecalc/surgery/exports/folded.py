"""A table that a graph computes from weights before a join reads it, carried over as a whole to another map.

TorchScript keeps BEiT's look-ups, the dynamo exporter CoAtNet's, both TensorFlow's MaxViT as sums of products: what
comes out is a bias between every two places all the same. The new one is computed from the same weights when the file
is written; the chain that made the old one goes where nothing else reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...dims import show
from ...errors import RefusedError
from ...graph import Graph, Node, Param, Tensor
from ...source import Origin
from ..edits import exchanged, renamed
from ..names import free_param
from ..stored import swept

#: Operators of one chain, and values that wait for others; a damaged file may go round in circles.
MOST_STEPS, MOST_WAITING = 500, 2_000
#: The operator whose inputs that are left out tell it nothing: what it scales, and to what size, are there.
RESIZE = "Resize"


class Step(NamedTuple):
    """One operator: its ONNX name, which earlier values it reads (sources first), and its attributes."""

    op: str
    reads: tuple[int, ...]
    attrs: tuple[tuple[str, Any], ...]


class Chain(NamedTuple):
    """What a value is computed from and how: the parameters, and the steps behind them."""

    sources: tuple[str, ...]
    steps: tuple[Step, ...]


class Fold(NamedTuple):
    """A value that is computed from weights alone, replaced for one layer by what it is on another map."""

    layer: str  # the node that reads it
    value: str
    recipe: str
    arguments: tuple[Any, ...]
    shape: tuple[int, ...]
    what: str

    def apply(self, graph: Graph) -> Graph:
        """The graph in which this layer reads the new table; the weights stay as its sources."""
        name, params = derived(
            graph, self.value, f"{self.value}_{show(self.shape, 'x')}", self.recipe, self.arguments, self.shape
        )
        reader = graph.node(self.layer)
        nodes = exchanged(graph, reader, renamed(reader, {self.value: name}))
        return swept(graph, graph.replace(nodes=nodes, params={**graph.params, **params}))

    def describe(self) -> str:
        """One line for people."""
        return f"{self.value}: {self.what}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "fold",
            "layer": self.layer,
            "value": self.value,
            "recipe": self.recipe,
            "arguments": [list(a) if isinstance(a, tuple) else a for a in self.arguments],
            "shape": list(self.shape),
            "what": self.what,
        }


def derived(
    graph: Graph, value: str, name: str, recipe: str, arguments: tuple[Any, ...], shape: tuple[int, ...]
) -> tuple[str, dict[str, Param]]:
    """A parameter that a recipe makes of a stored or computed table: its name, and what is to be put into the graph."""
    made = ({}, Chain((value,), ())) if value in graph.params else _made(graph, value)
    assert made is not None
    held, chain = made
    folding = (chain.steps, recipe, arguments)
    known = graph.params.get(name)
    if known is None or known.arguments != folding:  # else another layer reads the same already
        name = free_param(graph, name)
    table = Param(
        name, shape, _kind(graph, chain), recipe="folded", sources=chain.sources,
        arguments=folding, origin=Origin(op="resampled"),
    )  # fmt: skip
    return name, {**held, name: table}


def _kind(graph: Graph, chain: Chain) -> str:
    """The element type of what comes out: that of the weights, whatever the indices are."""
    kinds = [graph.params[name].dtype for name in chain.sources if name in graph.params]
    floats = [kind for kind in kinds if kind.startswith(("float", "bfloat"))]
    return next(iter([*floats, *kinds]), "float32")


def foldable(graph: Graph, value: str) -> bool:
    """Whether a value is computed from weights alone, by operators that are computed here too."""
    return _made(graph, value) is not None


def carries(graph: Graph, edit: Fold) -> bool:
    """Whether the chain gives a table that the recipe carries over."""
    return derivable(graph, edit.value, edit.recipe, edit.arguments)


def derivable(graph: Graph, value: str, recipe: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a recipe takes a stored or computed table."""
    from ...folding import tried  # numpy, which a trace does without

    made = ({}, Chain((value,), ())) if value in graph.params else _made(graph, value)
    if made is None:
        return False
    held, chain = made
    return tried([held.get(name) or graph.params[name] for name in chain.sources], chain.steps, recipe, arguments)


def looks_up(graph: Graph, value: str, side: tuple[int, int]) -> bool:
    """Whether a bias between the places of a square map is looked up by how far they lie apart: a number a distance.

    So many numbers as there are places are learned, in place of one for each offset.
    """
    made = _made(graph, value) if value not in graph.params else ({}, Chain((value,), ()))
    if made is None:
        return False
    held, chain = made
    sources = [held.get(name) or graph.params[name] for name in chain.sources]
    places = side[0] * side[1]
    if not any(source.trained and places in (source.shape or ()) for source in sources):
        return False
    from ...folding import numbers, tried  # numpy, which a trace does without

    if not chain.steps and ((table := numbers(sources[0])) is None or table.min() == table.max()):
        return False  # nothing tells a table that is stored as a whole, if not its numbers
    return tried(sources, chain.steps, "apart", ((-2, -1), side, side, 0))


def numbers_of(graph: Graph, value: str, recipe: str = "", arguments: tuple[Any, ...] = ()) -> Any:
    """What a recipe makes of a stored or computed table, an array; None where it refuses, or numbers are missing."""
    from ...folding import folded, numbers  # numpy, which a trace does without

    made = ({}, Chain((value,), ())) if value in graph.params else _made(graph, value)
    if made is None:
        return None
    held, chain = made
    arrays = [numbers(held.get(name) or graph.params[name]) for name in chain.sources]
    if any(array is None for array in arrays):
        return None
    try:
        return folded(*arrays, chain.steps, recipe, arguments)
    except RefusedError:
        return None


def constants(graph: Graph, value: str) -> Any:
    """The numbers of a value that no input has a part in, an array; None where they are not to be had."""
    from ...folding import folded, numbers  # numpy, which a trace does without

    found = _steps(graph, value)
    if found is None:
        return None
    order, sources = found
    arrays = [numbers(param) for param in sources.values()]
    if any(array is None for array in arrays):
        return None
    try:
        return folded(*arrays, _chained(order, sources), "", ()) if order else arrays[0]
    except RefusedError:
        return None


def _made(graph: Graph, value: str) -> tuple[dict[str, Param], Chain] | None:
    """How a value is made, and parameters for constants on the way; None where no weight or an input has a part."""
    found = _steps(graph, value)
    if found is None:
        return None
    order, sources = found
    if not order or not any(param.trained for param in sources.values()):
        return None
    names = {name: name if name in graph.params else free_param(graph, f"{name}/held") for name in sources}
    held = {names[name]: param for name, param in sources.items() if name not in graph.params}
    constants = {new: Param(new, p.shape, p.dtype, contents=p.contents, trained=False) for new, p in held.items()}
    return constants, Chain(tuple(names.values()), _chained(order, sources))


def _chained(order: Sequence[tuple[str, Node]], sources: Mapping[str, Param]) -> tuple[Step, ...]:
    """The nodes that make values, in order, as steps that read sources and each other by place."""
    places = {name: index for index, name in enumerate((*sources, *(value for value, _ in order)))}
    return tuple(Step(n.op, tuple(places[read] for read in _read(n)), _attrs(n, value)) for value, n in order)


def _steps(graph: Graph, value: str) -> tuple[list[tuple[str, Node]], dict[str, Param]] | None:
    """The nodes that make a value, in order, and the constants that they read; None where the input has a part."""
    from ...folding import OPERATORS  # numpy, which a trace does without

    producers = graph.producers()
    order: list[tuple[str, Node]] = []
    sources: dict[str, Param] = {}
    todo, known = [value], set[str]()
    while todo:
        name = todo[-1]
        if name in known:
            todo.pop()
            continue
        param, node = _held(graph, name, producers.get(name)), producers.get(name)
        if param is not None:
            sources[name] = param
        elif node is None or node.op not in OPERATORS or not _one(node) or len(order) >= MOST_STEPS:
            return None
        elif waiting := [read for read in _read(node) if read not in known]:
            if len(todo) > MOST_WAITING:
                return None
            todo += waiting
            continue
        else:
            order.append((name, node))
        known.add(todo.pop())
    return order, sources


def _read(node: Node) -> list[str]:
    """What a node reads; of a Resize, without what is left out."""
    return [value for value in node.inputs if value or node.op != RESIZE]


def _one(node: Node) -> bool:
    """Whether what a node gives is one value, or parts of which each is computed alone."""
    return len(node.outputs) == 1 or node.op == "Split"


def _attrs(node: Node, value: str) -> tuple[tuple[str, Any], ...]:
    """The attributes of a node; of a Split, which part a value is, and of how many."""
    said = tuple(node.attrs.items())
    return said if node.op != "Split" else (*said, ("part", node.outputs.index(value)), ("of", len(node.outputs)))


def _held(graph: Graph, name: str, node: Node | None) -> Param | None:
    """The parameter or the small constant that a value is."""
    if name in graph.params:
        return graph.params[name]
    found = node.attrs.get("value") if node is not None and node.op == "Constant" else None
    if not isinstance(found, Tensor) or found.contents is None or not isinstance(found.shape, tuple):
        return None
    return Param(name, found.shape, found.dtype or "int64", contents=found.contents, trained=False)
