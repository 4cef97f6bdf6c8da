"""Traces at very many sizes: what `shapecalc.trace` does at each, but equal work is done once.

Two sizes of which a layer reads the same shapes and contents give the same there. So each layer is met once for every
different set of inputs that it reads, by the same code and with plain whole numbers, and its result counts for all
sizes that bring them: 200 × 200 rectangles are 49 different maps behind a stride of 32. A size that was refused is not
followed any further. Nothing here knows of `shapecalc.sizes`, whose closed form is held against it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy

from shapecalc.definition import Definition
from shapecalc.dialects import get_dialect
from shapecalc.dims import Expr, Unknown
from shapecalc.graph import Node, Tensor
from shapecalc.literal import AXIS_NAMES, Spec
from shapecalc.trace import MOST_INSIDE, Trace, _Walk, first_input

#: Classes counted by a table rather than by sorting.
TABLE = 1 << 22


class Varying:
    """A value that is not the same at every size: its different tensors, and which of them each size has."""

    def __init__(self, tensors: list[Tensor | None], which: Any) -> None:
        self.tensors = tensors
        self.which = which


class Many:
    """One walk over a net's layers for all sizes; ``refused`` is the layer that refuses each, "" where it fits."""

    def __init__(self, model: Definition, sizes: Sequence[tuple[int, int]], dialect: str | None, spec: Spec) -> None:
        given = first_input(model.graph)
        assert given is not None
        layout = AXIS_NAMES[given.layout]
        feeds = {n: tuple(1 if isinstance(d, Expr) else d for d in s) for n, s in model.feeds(spec).items()}
        told = model.told(feeds)
        sized, wanted = told.sized()
        kinds = {i.name: i for i in told.graph.inputs}
        fed = {n: Tensor(shape, kinds[n].dtype if n in kinds else None) for n, shape in feeds.items()}
        rules = get_dialect(dialect or told.graph.dialect)
        self.walk = _Walk(Trace(told.graph, rules, fed), rules, sized, wanted)
        self.varying = {given.name: _fed(feeds[given.name], layout, sizes, fed[given.name].dtype)}
        self.refused = numpy.full(len(sizes), "", object)
        self.left = numpy.arange(len(sizes))
        self.met = 0
        for node in told.graph.nodes:
            if not (node.op == "Input" and given.name in node.outputs):  # what was fed stays
                self.step(node)

    def step(self, node: Node) -> None:
        """Meets a layer with every different set of inputs that some size brings to it."""
        names = [name for name in _reads(node) if name in self.varying]
        which = self.together(names)
        firsts = numpy.unique(which, return_index=True)[1] if names else numpy.zeros(min(1, len(self.left)), int)
        results = [self.once(node, names, int(self.left[first])) for first in firsts]
        self.met += len(results)
        names = list(dict.fromkeys(filter(None, (*node.inputs, *node.outputs))))
        for place, name in enumerate(names):
            self.keep(name, [given[place] for given, _ in results], which)
        good = numpy.array([fits for _, fits in results], bool)
        if not good.all():
            fits = good[which]
            self.refused[self.left[~fits]] = node.name
            self.left = self.left[fits]

    def together(self, names: Sequence[str]) -> Any:
        """For each size that is left, the number of its set of inputs, from 0."""
        total: Any = numpy.zeros(len(self.left), "int64")
        seen: list[Any] = []
        for varying in (self.varying[name] for name in names):
            if any(varying.which is other for other in seen):
                continue
            seen.append(varying.which)
            total = _numbered(total * len(varying.tensors) + varying.which[self.left])
        return total

    def once(self, node: Node, names: Sequence[str], size: int) -> tuple[list[Tensor | None], bool]:
        """What a layer leaves behind of the values it names, at one size, and whether it fits."""
        walk, result = self.walk, self.walk.result
        for name in names:
            tensor = self.varying[name].tensors[self.varying[name].which[size]]
            if tensor is not None:
                walk.tensors[name] = tensor
            else:
                walk.tensors.pop(name, None)
        open_weights = [name for name in node.inputs if name in self.varying or name not in walk.tensors]
        walk.budget[0] = MOST_INSIDE
        walk.step(node)
        left = [walk.tensors.get(name) for name in dict.fromkeys(filter(None, (*node.inputs, *node.outputs)))]
        for name in {*open_weights, *node.outputs}:
            walk.tensors.pop(name, None)
        fits = not result.problems
        result.layers.clear()
        result.problems.clear()
        return left, fits

    def keep(self, name: str, tensors: list[Tensor | None], which: Any) -> None:
        """Keeps a value: for all sizes at once where it is the same at each."""
        numbers: dict[Hashable, int] = {}
        places = numpy.array([numbers.setdefault(_key(tensor), len(numbers)) for tensor in tensors], "int64")
        if len(numbers) < 2:
            self.varying.pop(name, None)
            if tensors and tensors[0] is not None:
                self.walk.tensors[name] = tensors[0]
            return
        different = [tensors[int(numpy.argmax(places == number))] for number in range(len(numbers))]
        known = self.varying.get(name)
        if known is not None and len(known.tensors) == len(different):
            return  # an input, as it was
        full = numpy.zeros(len(self.refused), "int64")
        full[self.left] = places[which]
        self.varying[name] = Varying(different, full)


def _fed(shape: Any, layout: Sequence[str], sizes: Sequence[tuple[int, int]], dtype: str | None) -> Varying:
    shapes = []
    for height, width in sizes:
        one = list(shape)
        one[layout.index("H")], one[layout.index("W")] = height, width
        shapes.append(Tensor(tuple(one), dtype))
    return Varying(list(shapes), numpy.arange(len(sizes)))


def _reads(node: Node) -> list[str]:
    """All a layer's result depends on: inputs, what its subgraphs see, and values its attributes refer to."""
    return sorted({*node.reads(), *(node.attrs.get("refers") or ())})


def _numbered(values: Any) -> Any:
    """The same classes, numbered from 0 without gaps."""
    most = int(values.max()) + 1 if len(values) else 1
    if most > TABLE:
        return numpy.unique(values, return_inverse=True)[1]
    there = numpy.zeros(most, bool)
    there[values] = True
    return (numpy.cumsum(there) - 1)[values]


def _key(tensor: Tensor | None) -> Hashable:
    """What tells tensors apart: all that rules can see of them."""
    if tensor is None:
        return None
    contents = None if tensor.contents is None else tuple((type(d), _part(d)) for d in tensor.contents)
    shape = tuple(map(_part, tensor.shape)) if isinstance(tensor.shape, tuple) else _part(tensor.shape)
    return shape, tensor.dtype, contents


def _part(dim: Any) -> Hashable:
    return ("?", dim.reason) if isinstance(dim, Unknown) else dim


def refusing(
    model: Definition, sizes: Sequence[tuple[int, int]], dialect: str | None = None, spec: Spec = None
) -> list[str]:
    """The first layer that refuses each (height, width), "" where it fits."""
    return list(Many(model, sizes, dialect, spec).refused)
