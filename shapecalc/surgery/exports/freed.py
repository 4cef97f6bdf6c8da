"""Height and width left free in a net whose export wrote down one size: each such number becomes a computed one.

The net is written anew for several sizes (`rebake`), and what differs between them is told: a number that is at every
one of them a size of some value before it, or a product of such, is read off that value when the net runs. What no such
rule gives stands in the way, and is named. The result at each of those sizes must be what it is written for that size
alone; that is a promise, which is measured like every other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import prod
from typing import Any, NamedTuple

from ...dims import Shape, all_numbers
from ...errors import RefusedError
from ...graph import Graph, places
from ...trace import Layer, Trace, first_input
from ..crop import CropMap, Retrace
from ..edits import Edit
from .computed import END, Computed, CropToFit, Size
from .folded import Fold, in_waves
from .follow import shape_of
from .rebake import rebake
from .regroup import ITEMS
from .retable import Resample, SetConstant
from .stretched import Stretch

#: Rectangles that are looked at, until there are enough: what maps are halved to is whole, can be cut into pairs, into
#: windows of 7.
RECTANGLES = (
    ((192, 256), (256, 160), (224, 288), (160, 224), (288, 192)),
    ((192, 256), (256, 128), (320, 192), (128, 320)),
    ((224, 448), (448, 224), (448, 672)),
)
#: Sizes at which branches round apart.
ODD = ((259, 331), (237, 285))
#: So many sizes tell a rule from chance.
ENOUGH = 3

#: Why rotary embeddings are not left free.
WAVES = (
    "waves of the row and the column (rotary or sinusoidal positions): interpolated they are others, and they are "
    "computed for a size that is known"
)

Vector = tuple[int, ...]


class Sample(NamedTuple):
    """The net written for one size: what goes in, the edits, and the trace that they give."""

    feeds: Mapping[str, Shape]
    edits: tuple[Edit, ...]
    trace: Trace


class Freed(NamedTuple):
    """The edits that leave height and width free, and the net written for each of some sizes, to be compared with."""

    edits: tuple[Edit, ...]
    samples: tuple[Sample, ...]


def freed(graph: Graph, fitting: Trace, feeds: Mapping[str, Shape], retrace: Retrace) -> Freed:
    """What makes ``graph`` follow a height and width that ``feeds`` leaves free; no edits where it does already.

    ``fitting`` is a trace at a size it takes. Raises RefusedError (E302) where something stays written for one size.
    """
    native = Sample({n: t.shape for n, t in fitting.feeds.items() if isinstance(t.shape, tuple)}, (), fitting)
    samples = [*_samples(graph, fitting, feeds, retrace)]
    if not any(sample.edits for sample in samples):
        return Freed((), ())
    if len(samples) < ENOUGH:
        raise _refused(graph, "it can be written for too few sizes to tell how it follows them")
    return Freed(tuple(_Freeing(graph, [native, *samples], retrace).edits()), tuple(samples))


def _refused(graph: Graph, because: str) -> RefusedError:
    return RefusedError(
        f"{graph.name or 'the net'} cannot be left free: not all that its export wrote down can be computed",
        "E302",
        because=because,
        hint="--input 256 writes it for one size",
    )


def _samples(graph: Graph, fitting: Trace, feeds: Mapping[str, Shape], retrace: Retrace) -> Iterator[Sample]:
    """The net written for the first rectangles for which that can be done, and for odd ones where it can."""
    for sizes in RECTANGLES:
        found = [*_written(graph, fitting, feeds, retrace, sizes)]
        if len(found) >= ENOUGH:
            yield from found
            yield from _written(graph, fitting, feeds, retrace, ODD)
            return


def _written(
    graph: Graph, fitting: Trace, feeds: Mapping[str, Shape], retrace: Retrace, sizes: Sequence[tuple[int, int]]
) -> Iterator[Sample]:
    given = first_input(graph)
    for size in sizes:
        at = dict(feeds)
        if given is not None:
            shape = list(feeds[given.name])
            for place, axis in enumerate(places(tuple(range(4)), given.layout)):
                shape[axis] = shape[axis] if isinstance(shape[axis], int) else size[place]  # one may be given
            at[given.name] = tuple(shape)
        made = rebake(graph, fitting, at, retrace)
        for edit in made.edits:
            if not _computable(edit):
                raise _refused(graph, f"{edit.describe()}: no few operators compute that for any size")
        if made.trace.ok:
            yield Sample(at, made.edits, made.trace)


class _Freeing:
    """The state of `freed`: the samples, and which value has which sizes in them."""

    def __init__(self, graph: Graph, samples: Sequence[Sample], retrace: Retrace) -> None:
        self.graph = graph
        self.samples = samples
        first = {name: _items(shape) for name, shape in samples[0].feeds.items()}
        self.traces = [retrace(graph, first, samples[0].trace.dialect, None), *(sample.trace for sample in samples[1:])]
        self.layers = [{layer.name: layer for layer in traced.layers} for traced in self.traces]
        self.order = {node.name: place for place, node in enumerate(graph.nodes)}
        self.sides: dict[Vector, tuple[int, tuple[str, int]]] = {}
        for place, value in self._values():
            self._note(place, value)

    def _values(self) -> Iterator[tuple[int, str]]:
        yield from ((-1, given.name) for given in self.graph.inputs)
        yield from ((place, name) for place, node in enumerate(self.graph.nodes) for name in node.outputs if name)

    def _note(self, place: int, value: str) -> None:
        """Takes note of the sizes of a value, the first one that has them."""
        shapes = [_shape(traced, value) for traced in self.traces]
        known = [shape for shape in shapes if shape is not None]
        if len(known) == len(shapes) and len({len(shape) for shape in known}) == 1:
            for axis, vector in enumerate(zip(*known, strict=True)):
                self.sides.setdefault(vector, (place, (value, axis)))

    # -- edits --------------------------------------------------------------------------------------------------------
    def edits(self) -> list[Edit]:
        """One edit for each thing that was written anew at any of the sizes, in the order of the layers."""
        kinds: dict[tuple[Any, ...], list[Edit]] = {}
        for sample in self.samples:
            for edit in sample.edits:
                kinds.setdefault(_subject(edit), []).append(edit)
        found = sorted(kinds.values(), key=lambda alike: self.order.get(alike[0].layer, len(self.order)))
        return [self._edit(alike[0], alike) for alike in found]

    def _edit(self, edit: Edit, alike: list[Edit]) -> Edit:
        if isinstance(edit, SetConstant):
            return self._constant(edit)
        if isinstance(edit, CropMap):
            layer = self.layers[0][edit.layer]
            maps = tuple(name for name in layer.node.inputs if name not in self.graph.params)
            return CropToFit(edit.layer, edit.value, maps, (1, 2) if edit.layout == "NHWC" else (2, 3))
        table = _table(edit)
        assert table is not None  # `_computable`
        return self._stretch(edit, table)

    def _constant(self, edit: SetConstant) -> Edit:
        layers = [layers.get(edit.layer) for layers in self.layers]
        if None in layers or edit.shape:
            raise _refused(self.graph, f"{edit.describe()}: these are places, no sizes")
        known = [layer for layer in layers if layer is not None]
        if known[0].call.attr(edit.attribute) is not None:
            raise _refused(self.graph, f"{edit.layer} holds its {edit.attribute} as an attribute, as old files do")
        vectors = [*zip(*(self._contents(layer, edit) for layer in known), strict=True)]
        sizes = [self._entry(vector, known, edit, place) for place, vector in enumerate(vectors)]
        if known[0].op == "Reshape" and all(size.plus != -1 or size.factors for size in sizes):
            rest = max(range(len(sizes)), key=lambda place: len(sizes[place].factors))
            if sizes[rest].factors:
                sizes[rest] = Size(plus=-1)
        return Computed(edit.layer, edit.place, edit.attribute, tuple(sizes))

    def _contents(self, layer: Layer, edit: SetConstant) -> Sequence[int]:
        tensor = layer.call.inputs[edit.place] if layer.call.has(edit.place) else None
        shape = layer.tensors[0].shape
        if layer.op == "Reshape" and isinstance(shape, tuple) and all_numbers(shape):
            return tuple(map(int, shape))
        contents = tensor.contents if tensor is not None else None
        if contents is None or not all_numbers(contents):
            raise _refused(self.graph, f"{edit.layer}: its {edit.attribute} is not known")
        return tuple(map(int, contents))

    def _entry(self, vector: Vector, layers: list[Layer], edit: SetConstant, place: int) -> Size:
        """One number of a constant."""
        if layers[0].op == "Slice":
            size = _from_the_end(vector, layers, place)
            if size is not None:
                return size
        return self._size(vector, edit)

    def _size(self, vector: Vector, edit: Edit) -> Size:
        """The rule that gives these numbers, the simplest first. Raises RefusedError where there is none."""
        known = {v: factor for v, (place, factor) in self.sides.items() if place < self.order[edit.layer]}
        batch = known.get((ITEMS,) * len(vector))
        if batch is not None and any(vector) and all(number % ITEMS == 0 for number in vector):
            found = next(_rules(tuple(number // ITEMS for number in vector), known), None)
            if found is not None and not (found.plus and found.factors):
                times = found.times if found.factors else found.plus
                return found._replace(factors=(batch, *found.factors), times=times, plus=0)
        found = next(_rules(vector, known), None)
        if found is None:
            numbers = ", ".join(map(str, vector))
            raise _refused(self.graph, f"{edit.describe()}: no product of sizes before it gives {numbers}")
        return found

    def _stretch(self, edit: Edit, table: _Table) -> Stretch:
        shape = _shape(self.traces[0], table.value)
        if shape is None or self.traces[0].tensors[table.value].dtype != "float32":
            raise _refused(self.graph, f"{table.value} is no table of single precision of known size")
        if table.flat and in_waves(self.graph, table.value, table.axis, table.grid, table.tokens):
            raise _refused(self.graph, f"{table.value} holds {WAVES}")
        grids = [next(_grids(sample, edit), table.grid) for sample in self.samples]
        high, wide = (self._size(tuple(side), edit) for side in zip(*grids, strict=True))
        about = (edit.layer, table.value, table.axis, shape, table.grid)
        return Stretch(*about, (high, wide), table.tokens, table.flat)


class _Table(NamedTuple):
    """What of a table's edit says how it lies: see `Stretch`."""

    value: str
    axis: int
    grid: tuple[int, int]
    now: tuple[int, int]
    tokens: int
    flat: bool


def _table(edit: Edit) -> _Table | None:
    """The table that an edit interpolates over a map; None where it does something else."""
    if not isinstance(edit, (Resample, Fold)) or edit.recipe not in ("places", "map"):
        return None
    axis, grid, now, *tokens = edit.arguments
    value = edit.param if isinstance(edit, Resample) else edit.value
    return _Table(value, axis, tuple(grid), tuple(now), tokens[0] if tokens else 0, edit.recipe == "places")


def _grids(sample: Sample, about: Edit) -> Iterator[tuple[int, int]]:
    """The map that a table is carried over to in a sample."""
    tables = (_table(edit) for edit in sample.edits if _subject(edit) == _subject(about))
    return (table.now for table in tables if table is not None)


def _shape(traced: Trace, value: str) -> Vector | None:
    """The shape of a value where all of it is numbers."""
    tensor = traced.tensors.get(value)
    return tensor.sizes if tensor is not None else None


def _computable(edit: Edit) -> bool:
    """Whether what an edit writes for one size can be computed for any."""
    return isinstance(edit, (SetConstant, CropMap)) or _table(edit) is not None


def _subject(edit: Edit) -> tuple[Any, ...]:
    """What an edit is about: edits of one subject at several sizes are one edit of the free net."""
    about = next((getattr(edit, name) for name in ("place", "param", "value") if hasattr(edit, name)), "")
    return (type(edit), edit.layer, about)


def _items(shape: Shape) -> Shape:
    return tuple(size if isinstance(size, int) else ITEMS for size in shape)


def _from_the_end(vector: Vector, layers: list[Layer], place: int) -> Size | None:
    """A number of a slice that lies as far from the end of its axis at every size; None for any other."""
    axes = layers[0].call.inputs[3].contents if layers[0].call.has(3) and layers[0].call.inputs[3] is not None else None
    axis = int(axes[place]) if axes is not None else place
    shapes = [shape_of(layer) for layer in layers]
    known = [shape[axis] for shape in shapes if shape is not None]
    gaps = {number - side for number, side in zip(vector, known, strict=False)} if len(known) == len(shapes) else set()
    gap = gaps.pop() if len(gaps) == 1 and len(set(vector)) > 1 else 1
    return None if gap > 0 else Size(plus=gap or END)


def _rules(vector: Vector, known: Mapping[Vector, tuple[str, int]]) -> Iterator[Size]:
    """Rules that give these numbers from known sizes: one, two multiplied, a share, with a few tokens more."""
    if len(set(vector)) == 1:
        yield Size(plus=vector[0])
    if vector in known:
        yield Size((known[vector],))
    moving = {v: factor for v, factor in known.items() if len(set(v)) > 1}
    for vectors in (*((vector,) for vector in moving), *combinations(moving, 2)):
        factors = tuple(moving[vector] for vector in vectors)
        products = [prod(numbers) for numbers in zip(*vectors, strict=True)]
        shares = {Fraction(number, product) for number, product in zip(vector, products, strict=True) if product}
        gaps = {number - product for number, product in zip(vector, products, strict=True)}
        if len(shares) == 1:
            share = shares.pop()
            yield Size(factors, share.numerator, share.denominator)
        elif len(gaps) == 1:
            yield Size(factors, plus=gaps.pop())
