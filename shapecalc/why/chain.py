"""The layers between the input and a misfit: the shortest way, a fork where branches part, the first uneven division.

Only layers that change the number of places, or divide unevenly, are steps; the ones between keep every size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from .. import dims
from ..dims import Shape
from ..explain import SIDES, Slide, count, decimal, slides
from ..graph import Tensor, places
from ..trace import Layer, Trace

#: Operators that keep every element and write down another shape.
RESHAPING = frozenset({"Flatten", "Reshape"})


class Step(NamedTuple):
    """A layer on the way: how its size follows, what it gives, how much its division leaves over."""

    layer: str
    op: str
    formula: str
    output: Shape
    layout: str
    slides: tuple[Slide, ...]  # its windows along each axis

    @property
    def uneven(self) -> Slide | None:
        """The first axis whose division is not whole."""
        return next((slide for slide in self.slides if not slide.whole), None)

    @property
    def lost(self) -> bool:
        """Whether elements of the input are never seen."""
        return any(slide.lost for slide in self.slides)

    @property
    def places(self) -> Shape:
        """Height and width of what it gives; empty for what is no map."""
        return places(self.output, self.layout) if len(self.output) > 2 else ()

    @property
    def text(self) -> str:
        """The formula, or what goes in and comes out."""
        return self.formula or f"→ {dims.show(self.output)}"

    def to_dict(self) -> dict[str, Any]:
        """The step as JSON prints it."""
        return {
            "layer": self.layer,
            "op": self.op,
            "formula": self.text,
            "output": [d if isinstance(d, int) else str(d) for d in self.output],
            "uneven": None if self.uneven is None else uneven_dict(self.uneven),
        }


def uneven_dict(slide: Slide) -> dict[str, Any]:
    """A division that is not whole, as JSON prints it."""
    over = slide.window.unused(slide.n)
    return {
        "quotient": slide.quotient,
        "size": slide.window.size(slide.n),
        "remainder": slide.window.remainder(slide.n),
        "pixels_lost": slide.lost,
        "overhang": max(0, -over),
    }


class Fork(NamedTuple):
    """Where the branches of a join part, and the steps of each up to it."""

    at: str  # the layer (or input) whose value both read
    size: Shape
    names: tuple[str, str]  # the layers that end the branches
    branches: tuple[list[Step], list[Step]]

    def to_dict(self) -> dict[str, Any]:
        """The fork as JSON prints it."""
        return {
            "at": self.at,
            "shape": [d if isinstance(d, int) else str(d) for d in self.size],
            "branches": [
                {"to": name, "steps": [step.to_dict() for step in steps]}
                for name, steps in zip(self.names, self.branches, strict=True)
            ],
        }


class Ways:
    """A trace as something to walk backward: which layer gives a value, and the shortest way to it."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.order = {id(layer): index for index, layer in enumerate(trace.layers)}
        self.givers = {name: layer for layer in trace.layers for name in layer.node.outputs if name}

    def reads(self, layer: Layer) -> list[str]:
        """The values a layer reads that are neither parameters nor small tensors that only carry sizes."""
        graph, tensors = self.trace.graph, self.trace.tensors
        return [n for n in layer.node.inputs if n and n not in graph.params and not _carries_sizes(tensors.get(n))]

    def above(self, value: str) -> set[str]:
        """A value and all it depends on."""
        seen, waiting = {value}, [value]
        while waiting:
            layer = self.givers.get(waiting.pop())
            for name in self.reads(layer) if layer is not None else ():
                if name not in seen:
                    seen.add(name)
                    waiting.append(name)
        return seen

    def path(self, value: str, ends: Iterable[str]) -> list[Layer]:
        """The fewest layers from one of ``ends`` (its giver left out) to ``value``, in order."""
        goal = set(ends)
        came: dict[str, str] = {}
        waiting, seen = deque([value]), {value}
        while waiting:
            name = waiting.popleft()
            if name in goal:
                return self._layers(name, value, came)
            layer = self.givers.get(name)
            for read in self.reads(layer) if layer is not None else ():
                if read not in seen:
                    seen.add(read)
                    came[read] = name
                    waiting.append(read)
        return []

    def _layers(self, name: str, value: str, came: dict[str, str]) -> list[Layer]:
        found = []
        while name != value:
            name = came[name]
            found.append(self.givers[name])
        return found


def _carries_sizes(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.contents is not None


def steps(layers: Iterable[Layer]) -> list[Step]:
    """Those of the layers that change the places or divide unevenly."""
    made = [(layer, step(layer)) for layer in layers]
    return [found for layer, found in made if found.uneven is not None or _changes(layer)]


def step(layer: Layer) -> Step:
    """One layer as a step."""
    shape = layer.tensors[0].shape if layer.tensors else None
    output = shape if isinstance(shape, tuple) else ()
    return Step(layer.name, layer.source_op, layer.formula, output, layer.call.layout, tuple(slides(layer)))


def _changes(layer: Layer) -> bool:
    """Whether what comes out has other sizes than what goes in; another order of axes is none, nor are channels."""
    given = next((v.tensor.shape for v in layer.inputs if isinstance(v.tensor.shape, tuple)), None)
    shape = layer.tensors[0].shape if layer.tensors else None
    if not isinstance(given, tuple) or not isinstance(shape, tuple):
        return False
    if len(given) == len(shape) == 4 and layer.op not in RESHAPING:
        return places(given, layer.call.layout) != places(shape, layer.call.layout)
    return layer.op in RESHAPING and sorted(map(str, given)) != sorted(map(str, shape))


def fork(ways: Ways, first: str, second: str) -> Fork | None:
    """Where the ways to two values part: the last value that both depend on."""
    common = ways.above(first) & ways.above(second)
    if not common:
        return None
    last = max(common, key=lambda name: ways.order.get(id(ways.givers.get(name)), -1))
    giver = ways.givers.get(last)
    tensor = ways.trace.tensors.get(last)
    size = tensor.shape if tensor is not None and isinstance(tensor.shape, tuple) else ()
    branches = steps(ways.path(first, [last])), steps(ways.path(second, [last]))
    return Fork(giver.name if giver is not None else last, size, (_name(ways, first), _name(ways, second)), branches)


def _name(ways: Ways, value: str) -> str:
    giver = ways.givers.get(value)
    return giver.name if giver is not None else value


def amount(step: Step) -> str:
    """How much a division leaves over: ``62.25, rounded down to 62: one row and one column never seen``."""
    slide = step.uneven
    if slide is None:
        return "whole"
    size = slide.window.size(slide.n)
    text = f"{decimal(slide.quotient)}, rounded {'up' if int(size) > slide.quotient else 'down'} to {size}"
    if step.lost:
        nouns = [noun for noun, _ in SIDES[-len(step.slides) :]]
        sides = zip(step.slides, nouns, strict=False)
        return f"{text}: {' and '.join(count(s.lost, noun) for s, noun in sides if s.lost)} never seen"
    over = -slide.window.unused(slide.n)
    return f"{text}: the last window hangs over by {over}" if over > 0 else f"{text}: only padding is left over"
