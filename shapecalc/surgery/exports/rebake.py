"""What an export wrote down for one input size, written anew for another: targets of reshapes, tables of positions.

An exporter runs the net once and writes down what it saw: ``Reshape → [-1, 192, 196]`` for the 14×14 map of a 224
pixel image, a position embedding with a row for each of those places, the mask of Swin's shifted windows. The net is
traced at a size it takes, then at the new one; each layer that did not follow its input is mended before the next is
looked at, until everything follows or something is met that no rule can carry over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ...dims import Shape
from ...graph import Graph, Node, Param, places
from ...trace import Layer, Trace
from ..crop import Retrace, cropped
from ..edits import Edit, applied, carried_out
from .attended import attended, kept
from .follow import RULES, constant, expanded, mended, shape_of, shown
from .lookup import looked_up
from .offsets import offsets
from .patches import Patches
from .pooling import grids, pooled
from .positions import Seen, resampled
from .regroup import ITEMS, Scale, Sizes, batched
from .retable import SetConstant
from .rolls import halves, rolled
from .same import followed, padded
from .states import once, restarted
from .unfolded import unfolded
from .whole import AttendInWindows, following, windowed
from .windows import Partition, Windows

#: Edits of one net; a hostile file could ask for any number.
MOST_EDITS = 5_000


class Rebaked(NamedTuple):
    """What was written anew, and the trace that it gives: with problems where something could not be carried over."""

    edits: tuple[Edit, ...]
    trace: Trace
    windows: tuple[Partition, ...] = ()  # that its maps are cut into


def rebake(graph: Graph, fitting: Trace, feeds: Mapping[str, Shape], retrace: Retrace) -> Rebaked:
    """The edits after which ``graph`` takes ``feeds``, as far as there are any.

    ``fitting`` is a trace of the net at a size it takes; ``retrace`` traces a graph at given shapes.
    """
    first = _Rebaking(graph, fitting, feeds, retrace, 0)
    found = first.done()
    cut = windowed(first.windows.wholes, first.windows.sides, found.trace) if first.windows.sides is not None else []
    if cut:
        return _Rebaking(graph, fitting, feeds, retrace, 0, cut).done()
    return found if found.trace.ok else min(found, _Rebaking(graph, fitting, feeds, retrace, -1).done(), key=_misfits)


def _misfits(found: Rebaked) -> int:
    return len(found.trace.problems)


class _Rebaking:
    """The state of `rebake`. Of several ways one constant may follow, all layers take the first or all the last.

    The first keeps the inner numbers of a split (windows of a side, more of them), the last the outer ones.
    """

    def __init__(
        self,
        graph: Graph,
        fitting: Trace,
        feeds: Mapping[str, Shape],
        retrace: Retrace,
        preferred: int,
        cut: Sequence[AttendInWindows] = (),
    ) -> None:
        natives = {name: _items(t.shape) for name, t in fitting.feeds.items() if isinstance(t.shape, tuple)}
        self.feeds = {name: _items(shape) for name, shape in feeds.items()}
        self.before = {layer.name: layer for layer in retrace(fitting.graph, natives, fitting.dialect, None).layers}
        self.rolls = halves(fitting.graph)
        self.grids = grids(self.before)
        self.attended = attended(fitting.graph, self.before)
        self.pads = padded(fitting.graph, self.before)
        self.following = following(fitting.graph)
        self.retrace, self.dialect = retrace, fitting.dialect
        self.graph = applied(cut, graph)
        self.preferred = preferred
        self.edits: list[Edit] = [*cut]
        self.within = {name: edit for edit in cut for name in edit.inside}
        pairs = [(natives[name], shape) for name, shape in self.feeds.items() if name in natives]
        images = [
            (places(natives[given.name], given.layout), places(self.feeds[given.name], given.layout))
            for given in graph.inputs
            if given.name in natives and given.name in self.feeds
        ]
        self.seen = Seen({}, [], _scale(images), {})
        self.patches = Patches(fitting.graph, self.before)
        self.windows = Windows(fitting.graph, self.before, self.seen.scale)
        for pair in pairs:
            self.seen.note(*pair)
        self.seen.maps.extend((edit.side, edit.window) for edit in cut if edit.side != edit.window)

    def done(self) -> Rebaked:
        """One trace, in which each layer that does not follow is mended before the next is looked at."""
        now = self.retrace(self.graph, self.feeds, self.dialect, self.mend)
        return Rebaked(tuple(self.edits), now, tuple(self.windows.all))

    def mend(self, layer: Layer) -> tuple[list[Node], dict[str, Param]] | None:
        """The nodes to trace in a layer's place; None where it follows its input, or nothing is known that would."""
        old = self.before.get(layer.name)
        edit = self.edit(old, layer) if old is not None else None
        if old is None or edit is None or len(self.edits) >= MOST_EDITS:
            if old is not None and not layer.problems and layer.name not in self.within:
                self.seen.learn(old, layer)
            return None
        self.edits.append(edit)
        self.graph, changed, params = carried_out(edit, self.graph)
        again = changed if any(node.name == layer.name for node in changed) else [*changed, layer.node]
        return again, params

    def edit(self, old: Layer, layer: Layer) -> Edit | None:
        """The edit of one layer."""
        rule = RULES.get(layer.op)
        special = next((edit for edit in self._special(old, layer) if edit is not None), None)
        if special is not None:
            return special
        if rule is not None and shape_of(old) != shape_of(layer):
            cut = self._target(old, layer) if layer.op == "Reshape" else None
            ways = rule.ways(old, layer, self.seen) if cut is None else mended(layer, cut)
            if layer.name in self.attended:
                ways = kept(ways, old, self.attended[layer.name])
            if ways and ways[self.preferred] == constant(layer, rule):
                return None  # it is what it should be, and does not fit
            before = batched(constant(old, rule))
            return SetConstant(layer.name, rule.place, rule.attribute, ways[self.preferred], before) if ways else None
        if layer.op == "Resize" and (ways := shown(old, layer, self.seen)):
            return SetConstant(layer.name, 3, "sizes", ways[0], constant(old, RULES["Resize"]))
        if any(problem.code == "E105" for problem in layer.problems):
            table = looked_up(layer, self.seen, self.graph) or resampled(layer, self.seen, self.graph)
            number = once(layer, self.graph) if table is None else None  # a table may be one number, not trained yet
            return table or number or expanded(layer, self.graph) or cropped(layer, self.graph)
        return None

    def _special(self, old: Layer, layer: Layer) -> Iterator[Edit | None]:
        """The edits of layers of which more is known than what a rule of its operator sees, the first first."""
        yield self.windows.edit(old, layer)
        yield self.patches.edit(old, layer, self.graph)
        if layer.name in self.rolls:
            yield rolled(old, layer, self.windows.turns(shape_of(old)))
        if layer.name in self.grids:
            yield pooled(old, layer, self.grids[layer.name])
        if layer.name in self.pads:
            yield followed(old, layer, self.pads[layer.name])
        if layer.op == "Gather":
            yield unfolded(old, layer)
        yield offsets(old, layer, self.seen, self.graph, self.following)
        yield restarted(layer, self.graph)

    def _target(self, old: Layer, layer: Layer) -> Sizes | None:
        """What a reshape should give that belongs to patches or windows; None for any other."""
        if layer.name in self.within:
            return self.within[layer.name].target(shape_of(old), shape_of(old, output=True), shape_of(layer))
        return self.patches.target(layer) or self.windows.target(old, layer, self.seen)


def _scale(images: list[tuple[Shape, Shape]]) -> Scale:
    """What height and width of the first input that changed were multiplied by."""
    for before, now in images:
        if before != now and len(before) == len(now):
            factors = [b / a for a, b in zip(before, now, strict=True)]
            return (factors[0], factors[-1])
    return (1.0, 1.0)


def _items(shape: Shape) -> Shape:
    return tuple(d if isinstance(d, int) else ITEMS for d in shape)
