"""What is known of a net that was written for several sizes, and the rules that give its numbers at any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...dims import Shape, all_numbers
from ...errors import RefusedError
from ...graph import Graph
from ...trace import Layer, Trace
from ..crop import CropMap, Retrace
from ..edits import Edit
from .computed import HOWS, Computed, CropToFit, Size
from .regroup import ITEMS
from .retable import SetConstant
from .rules import Known, Vector, from_the_end, rules, shared
from .shifting import TrimMap
from .windows import Partition

#: What windows make of a map's sides where they are no wider than it, and where they are as wide as ever (`HOWS`).
SHRINKING, STAYING = ("least", "fill", "many"), ("pad",)

#: How maps are padded: a map of one smaller window is not, where that was seen.
PADDING = ("pad", "fill")


class Sample(NamedTuple):
    """The net written for one size: what goes in, the edits, the trace that they give, and the windows that it has."""

    feeds: Mapping[str, Shape]
    edits: tuple[Edit, ...]
    trace: Trace
    windows: tuple[Partition, ...] = ()


def refused(graph: Graph, because: str) -> RefusedError:
    """What is said where something of a net cannot be computed for any size."""
    return RefusedError(
        f"{graph.name or 'the net'} cannot be left free: not all that its export wrote down can be computed",
        "E302",
        because=because,
        hint="--input 256 writes it for one size; --repair resize scales every image in front",
    )


class Freeing:
    """The samples of a net, and which of its values has which sizes in them."""

    def __init__(self, graph: Graph, samples: Sequence[Sample], retrace: Retrace) -> None:
        self.graph = graph
        self.samples = samples
        first = {name: _items(shape) for name, shape in samples[0].feeds.items()}
        self.traces = [retrace(graph, first, samples[0].trace.dialect, None), *(sample.trace for sample in samples[1:])]
        self.layers = [{layer.name: layer for layer in traced.layers} for traced in self.traces]
        self.order = {node.name: place for place, node in enumerate(graph.nodes)}
        self.windows = next((sample.windows for sample in samples if sample.windows), ())
        self.wide = sorted(
            {
                (how, part.before[side])
                for part in self.windows
                if part.pad
                for side in part.sides
                for how in (SHRINKING if part.shrinks else STAYING)
            }
        )
        self.sides: dict[Vector, tuple[int, tuple[str, int]]] = {}
        self.made = {value: place for place, value in self._values()}
        self.found: dict[Vector, Size] = {}
        for value, place in self.made.items():
            self._note(place, value)

    def _values(self) -> Iterator[tuple[int, str]]:
        yield from ((-1, given.name) for given in self.graph.inputs)
        yield from ((place, name) for place, node in enumerate(self.graph.nodes) for name in node.outputs if name)

    def _note(self, place: int, value: str) -> None:
        """Takes note of the sizes of a value, the first one that has them."""
        shapes = [shape_in(traced, value) for traced in self.traces]
        known = [shape for shape in shapes if shape is not None]
        if len(known) == len(shapes) and len({len(shape) for shape in known}) == 1:
            for axis, vector in enumerate(zip(*known, strict=True)):
                self.sides.setdefault(vector, (place, (value, axis)))

    def refused(self, because: str) -> RefusedError:
        """The refusal of this net."""
        return refused(self.graph, because)

    def size(self, vector: Vector, edit: Edit) -> Size:
        """The rule that gives these numbers, the simplest first. Raises RefusedError where there is none."""
        near = next(shared(vector, self._near(edit.layer)), None)
        if near is not None:
            return near
        kept = self.found.get(vector)
        if kept is not None and all(self.made[value] < self.order[edit.layer] for value, _ in kept.factors):
            return kept
        self.found[vector] = found = self._size(vector, edit)
        return found

    def _near(self, layer: str) -> Known:
        """The sizes of what a layer itself reads first: other maps are like it by chance at a few sizes."""
        node = self.graph.node(layer)
        shapes = [shape_in(traced, node.inputs[0]) for traced in self.traces] if node.inputs else []
        known = [shape for shape in shapes if shape is not None]
        if not known or len(known) < len(shapes) or len({len(shape) for shape in known}) != 1:
            return {}
        sides = {vector: (node.inputs[0], axis) for axis, vector in enumerate(zip(*known, strict=True))}
        return {v: side for v, side in sides.items() if len(set(v)) > 1 and any(number % ITEMS for number in v)}

    def _size(self, vector: Vector, edit: Edit) -> Size:
        known = {v: factor for v, (place, factor) in self.sides.items() if place < self.order[edit.layer]}
        batch = known.get((ITEMS,) * len(vector))
        known = {v: factor for v, factor in known.items() if any(number % ITEMS for number in v)}
        if batch is not None and any(vector) and all(number % ITEMS == 0 for number in vector):
            found = next(rules(tuple(number // ITEMS for number in vector), known, self.wide), None)
            if found is not None and not (found.how or (found.plus and found.factors)):
                times = found.times if found.factors else found.plus
                return found._replace(factors=(batch, *found.factors), times=times, plus=0)
        found = next(rules(vector, known, self.wide), None)
        if found is None:
            numbers = ", ".join(map(str, vector))
            raise self.refused(f"{edit.describe()}: no product of sizes before it gives {numbers}")
        return found

    def grids(self, edit: Edit, grid_of: Any, native: tuple[int, int]) -> tuple[Size, Size]:
        """The map that a table is carried over to: ``grid_of`` the edit of a sample, ``native`` where there is none."""
        found = [
            next((grid_of(made) for made in sample.edits if subject(made) == subject(edit)), native)
            for sample in self.samples
        ]
        high, wide = (self.size(tuple(side), edit) for side in zip(*found, strict=True))
        return high, wide

    def table(self, value: str) -> tuple[int, ...]:
        """The shape of a table. Raises RefusedError where it is not known, or its numbers are of another precision."""
        shape = shape_in(self.traces[0], value)
        tensor = self.traces[0].tensors.get(value)
        param = self.graph.params.get(value)
        shape = shape if shape is not None or param is None else param.shape
        kind = tensor.dtype if tensor is not None else param.dtype if param is not None else ""
        if shape is None or kind != "float32":
            raise self.refused(f"{value} is no table of single precision of known size")
        return shape

    # -- numbers ------------------------------------------------------------------------------------------------------
    def constant(self, edit: SetConstant) -> Edit:
        """Numbers of a reshape, a slice, a padding."""
        layers = [layers.get(edit.layer) for layers in self.layers]
        if None in layers or edit.shape:
            raise self.refused(f"{edit.describe()}: these are places, no sizes")
        known = [layer for layer in layers if layer is not None]
        if known[0].call.attr(edit.attribute) is not None:
            raise self.refused(f"{edit.layer} holds its {edit.attribute} as an attribute, as old files do")
        contents = self._joined(edit) or [tuple(self._contents(layer, edit)) for layer in known]
        if len({len(numbers) for numbers in contents}) != 1:
            raise self.refused(f"{edit.describe()}: it has as many numbers at some sizes, and others at others")
        vectors = [*zip(*contents, strict=True)]
        sizes = self._padding(edit, vectors) or [
            self._entry(vector, known, edit, place) for place, vector in enumerate(vectors)
        ]
        if known[0].op == "Reshape" and all(size.plus != -1 or size.factors for size in sizes):
            rest = max(range(len(sizes)), key=lambda place: len(sizes[place].factors))
            if sizes[rest].factors:
                sizes[rest] = Size(plus=-1)
        return Computed(edit.layer, edit.place, edit.attribute, tuple(sizes))

    def _padding(self, edit: SetConstant, vectors: Sequence[Vector]) -> list[Size] | None:
        """What is padded below and right of a map to fill windows, told by the map itself; None for other numbers."""
        part = next((part for part in self.windows if part.pad == edit.layer), None)
        if part is None or len(vectors) != 2 * len(part.shape):
            return None
        given = self.graph.node(part.pad).inputs[0]
        shapes = [shape_in(traced, given) or part.shape for traced in self.traces]
        sizes = [Size()] * len(vectors)
        for place, axis, side in zip((5, 6), (1, 2), part.sides, strict=True):
            wide = part.before[side]
            ways = (how for how in PADDING if vectors[place] == tuple(HOWS[how].of(n[axis], wide) for n in shapes))
            how = next(ways, None)
            if how is None:
                return None
            sizes[place] = Size(((given, axis),), how=how, by=wide)
        return sizes if all(set(vectors[place]) == {0} for place in (0, 1, 2, 3, 4, 7)) else None

    def _joined(self, edit: SetConstant) -> list[Vector] | None:
        """The padded map that windows give again, where some samples join them to one axis of places at once."""
        part = next((part for part in self.windows if part.flat and part.join == edit.layer), None)
        if part is None or not any(isinstance(made, TrimMap) for sample in self.samples for made in sample.edits):
            return None
        whole = [shape_in(traced, self.graph.node(part.pad).outputs[0]) for traced in self.traces]
        return [shape for shape in whole if shape is not None]

    def _contents(self, layer: Layer, edit: SetConstant) -> Sequence[int]:
        tensor = layer.call.inputs[edit.place] if layer.call.has(edit.place) else None
        shape = layer.tensors[0].shape
        if layer.op == "Reshape" and isinstance(shape, tuple) and all_numbers(shape):
            return tuple(map(int, shape))
        contents = tensor.contents if tensor is not None else None
        if contents is None or not all_numbers(contents):
            raise self.refused(f"{edit.layer}: its {edit.attribute} is not known")
        return tuple(map(int, contents))

    def _entry(self, vector: Vector, layers: list[Layer], edit: SetConstant, place: int) -> Size:
        """One number of a constant."""
        if layers[0].op == "Slice":
            size = from_the_end(vector, layers, place)
            if size is not None:
                return size
        if layers[0].op == "Expand" and set(vector[1:]) == {1}:
            return Size(plus=1)  # an axis that is kept, at every size
        return self.size(vector, edit)

    def crop(self, edit: CropMap) -> Edit:
        """A join of maps that branches round apart."""
        layer = self.layers[0][edit.layer]
        maps = tuple(name for name in layer.node.inputs if name not in self.graph.params)
        return CropToFit(edit.layer, edit.value, maps, (1, 2) if edit.layout == "NHWC" else (2, 3))


def subject(edit: Edit) -> tuple[Any, ...]:
    """What an edit is about: edits of one subject at several sizes are one edit of the free net."""
    about = next((getattr(edit, name) for name in ("place", "param", "value") if hasattr(edit, name)), "")
    return (type(edit), edit.layer, about)


def shape_in(traced: Trace, value: str) -> Vector | None:
    """The shape of a value where all of it is numbers."""
    tensor = traced.tensors.get(value)
    return tensor.sizes if tensor is not None else None


def _items(shape: Shape) -> Shape:
    return tuple(size if isinstance(size, int) else ITEMS for size in shape)
