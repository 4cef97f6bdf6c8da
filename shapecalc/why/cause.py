"""One misfit explained: the chain of layers, the fork of a join, the constant of the file, wanted against offered."""

from __future__ import annotations

from typing import Any

from .. import dims
from ..definition import Definition
from ..dims import Shape
from ..graph import Tensor, places
from ..problem import Baked
from ..sizes import reference
from ..trace import Layer, Problem, Trace
from .chain import Fork, Step, Ways, fork, step, steps

#: Problems of sizes: another input size or a pooling can mend them.
SIZES = frozenset({"E101", "E103", "E105", "E106"})


class Cause:
    """One misfit with all that explains it.

    ``chain`` leads from the input (of a join: from the fork) to the layer; ``wanted`` and ``offered`` are its numbers,
    factorised where a map is flattened; ``first_uneven`` is the first step whose division is not whole.
    """

    def __init__(self, problem: Problem, chain: list[Step], wanted: str, offered: str) -> None:
        self.problem = problem
        self.chain = chain
        self.wanted = wanted
        self.offered = offered
        self.fork: Fork | None = None
        self.baked = problem.cause
        self.maps: tuple[str, str] | None = None  # the map that is wanted, and the one that arrives

    @property
    def first_uneven(self) -> Step | None:
        """The first step whose division is not whole."""
        return next((made for made in self.chain if made.uneven is not None), None)

    @property
    def first_lost(self) -> Step | None:
        """The first step at which elements of its input are never seen."""
        return next((made for made in self.chain if made.lost), None)

    def to_dict(self) -> dict[str, Any]:
        """The cause as JSON prints it."""
        uneven, lost = self.first_uneven, self.first_lost
        return {
            "problem": self.problem.to_dict(),
            "wanted": self.wanted,
            "offered": self.offered,
            "chain": [made.to_dict() for made in self.chain],
            "first_uneven": uneven.layer if uneven is not None else None,
            "first_lost": lost.layer if lost is not None else None,
            "fork": self.fork.to_dict() if self.fork is not None else None,
            "baked": _baked_dict(self.baked) if self.baked is not None else None,
        }


def _baked_dict(baked: Baked) -> dict[str, Any]:
    """The constant as JSON prints it here, where it is called by its ``name``."""
    found = baked.to_dict()
    return {"name": found.pop("constant"), **found}


def cause_of(model: Definition, traced: Trace, problem: Problem) -> Cause:
    """The chain, the numbers and the fork behind one problem."""
    ways = Ways(traced)
    layer = traced.holder(problem)
    fitting = reference(model, traced.dialect)
    pair = _misfits(layer) if problem.code == "E105" else None
    if pair is not None and all(name in ways.givers or name in traced.feeds for name in pair):
        made = Cause(problem, [], *_sides(layer, pair))
        made.fork = fork(ways, *pair)
        made.chain = [s for branch in made.fork.branches for s in branch] if made.fork is not None else []
        return made
    value = next(iter(ways.reads(layer)), "")
    path = ways.path(value, traced.feeds)
    made = Cause(problem, [*steps(path), step(layer)], problem.expected, problem.actual)
    if problem.code == "E101":
        _factorise(made, path, fitting, layer)
    return made


def _misfits(layer: Layer) -> tuple[str, str] | None:
    """The first two inputs of a join whose places differ."""
    pairs = list(zip(layer.node.inputs, layer.call.inputs, strict=False))
    known = [(name, t.shape) for name, t in pairs if t is not None and isinstance(t.shape, tuple)]
    axis = layer.call.attr("axis")
    for index, (name, shape) in enumerate(known):
        for other, second in known[index + 1 :]:
            if _differ(shape, second, layer.op, axis):
                return name, other
    return None


def _differ(first: Shape, second: Shape, op: str, axis: int | None) -> bool:
    joined = int(axis or 0) % max(1, len(first)) if op == "Concat" else None
    if op == "Concat" and len(first) != len(second):
        return True
    sides = list(zip(reversed(first), reversed(second), strict=False))
    places_of = range(len(first) - 1, -1, -1)
    unlike = [dims.equal(a, b) is False for at, (a, b) in zip(places_of, sides, strict=False) if at != joined]
    if op == "Concat":
        return any(unlike)
    return any(dims.equal(a, b) is False and 1 not in (a, b) for a, b in sides) or any(unlike)


def _sides(layer: Layer, pair: tuple[str, str]) -> tuple[str, str]:
    by_name = dict(zip(layer.node.inputs, layer.call.inputs, strict=False))
    first, second = (by_name[name] for name in pair)
    return _shown(first), _shown(second)


def _shown(tensor: Tensor | None) -> str:
    return dims.show(tensor.shape) if tensor is not None else "?"


def _factorise(made: Cause, path: list[Layer], fitting: Trace | None, layer: Layer) -> None:
    """``9,216 = 256·6·6`` and ``6,400 = 256·5·5``: the last map before the layer, now and where everything fits."""
    last = next((found for found in reversed(path) if _map(found.tensors[0]) is not None), None)
    if last is None:
        return
    maps = [_map(last.tensors[0]), None]
    if fitting is not None:
        maps[1] = _map(fitting.layer(last.name).tensors[0])
    texts = []
    for shape, text in ((maps[1], made.problem.expected), (maps[0], made.problem.actual)):
        factored = "·".join(map(str, shape)) if shape is not None else ""
        texts.append(f"{text} = {factored}" if factored and "=" not in text else text)
    made.wanted, made.offered = texts
    if maps[0] is not None and maps[1] is not None:
        layout = last.call.layout
        shown = [dims.show(places((1, *shape), layout)) for shape in maps if shape is not None]
        made.maps = shown[1], shown[0]


def _map(tensor: Tensor) -> Shape | None:
    """A map without its batch; None for what is no map of known size."""
    shape = tensor.shape
    if not isinstance(shape, tuple) or len(shape) != 4 or not dims.all_numbers(shape):
        return None
    return shape[1:]
