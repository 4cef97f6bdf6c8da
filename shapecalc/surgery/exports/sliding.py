"""Windows of a map whose height and width are left free: rolled, masked and trimmed by numbers that are computed.

What `shapecalc.surgery.exports.shifting` writes for one size (Swin, Liu et al. 2021; Twins, Chu et al. 2021) is
computed from the sides of the map: by how much it is rolled, which places were no neighbours before, what was padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...dims import show
from ...graph import Graph
from ..edits import Edit, exchanged, renamed
from ..names import free_name
from .computed import END, Size, Work
from .retable import Resample
from .shifting import FAR, MaskWindows, RollMap, TrimMap

if TYPE_CHECKING:
    from .freeing import Freeing
    from .windows import Partition

Shift = tuple[Size, Size]
NO_SHIFT: Shift = (Size(), Size())
#: Height and width of a map with its channels last, and what its windows are cut to: numbers and sides.
SIDES, MANY, WIDE = (1, 2), (1, 3), (2, 4)


class RollToFit(NamedTuple):
    """A map rolled before a layer reads it, where it is cut into several windows."""

    layer: str
    value: str
    shift: Shift

    def apply(self, graph: Graph) -> Graph:
        """The graph with slices and joins in front of the layer."""
        reader, work = graph.node(self.layer), Work(graph)
        rolled = _rolled(work, self.value, f"{self.layer}/shifted", self.shift, back=False)
        return work.before(reader, renamed(reader, {self.value: rolled}))

    def describe(self) -> str:
        """One line for people."""
        return f"{self.layer}: its windows are shifted where it has several, by {_shown(self.shift)}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        what = "windows are shifted when it runs"
        return {"edit": "roll-to-fit", "layer": self.layer, "shift": [*map(str, self.shift)], "what": what}


class TrimToFit(NamedTuple):
    """A map behind its windows: what was padded is taken off, and a shift undone."""

    layer: str
    value: str
    map: str  # the map before it was padded
    channels: int
    shift: Shift = NO_SHIFT
    flat: bool = False  # whether its places are one axis behind

    def apply(self, graph: Graph) -> Graph:
        """The graph with a slice behind the layer, and the roll back; whatever read the layer reads what they give."""
        whole = free_name(graph, f"{self.value}/padded")
        old = graph.node(self.layer).replace(outputs=(whole,))
        work = Work(graph.replace(nodes=exchanged(graph, graph.node(self.layer), old)))
        back = self.shift != NO_SHIFT
        trimmed = free_name(graph, f"{self.value}/trimmed") if back or self.flat else self.value
        rows, axes = work.numbers("crop/starts", (0, 0)), work.numbers("crop/axes_1", SIDES)
        ends = work.add(f"{self.map}/sides", "Concat", [work.side(self.map, axis) for axis in SIDES], {"axis": 0})
        work.add(trimmed, "Slice", (whole, rows, ends, axes))
        value = trimmed
        if back:
            value = _rolled(work, value, f"{self.value}/map" if self.flat else self.value, self.shift, back=True)
        if self.flat:
            target = work.numbers(f"{self.value}/places", (0, -1, self.channels))
            work.add(self.value, "Reshape", (value, target))
        nodes = exchanged(work.graph, old, old, *work.made.values())
        return graph.replace(nodes=nodes, params={**graph.params, **work.params})

    def describe(self) -> str:
        """One line for people."""
        undone = ", the shift undone" if self.shift != NO_SHIFT else ""
        return f"{self.layer}: what was padded taken off{undone} when it runs, to the map of {self.map}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "trim-to-fit",
            "layer": self.layer,
            "map": self.map,
            "shift": [*map(str, self.shift)],
            **({"flat": True} if self.flat else {}),
            "what": "trimmed when it runs",
        }


class MaskToFit(NamedTuple):
    """Places of shifted windows that were no neighbours before do not see each other: a mask that is computed.

    It stands in the place of a mask that was written down, or (``heads``) is added to the scores that a softmax reads.
    """

    layer: str
    value: str
    cut: str  # the value that is a map cut into windows
    shift: Shift
    masked: float
    front: int = 0  # axes of 1 before the windows
    between: int = 0  # axes of 1 behind them
    scores: bool = False
    heads: tuple[int, ...] = ()
    map: str = ""  # the map before it was padded, of which
    least: tuple[int, int] = (0, 0)  # fewer rows or columns are refused when it runs

    def apply(self, graph: Graph) -> Graph:
        """The graph with the mask computed in front of the layer."""
        reader, work = graph.node(self.layer), Work(graph)
        mask = self._mask(work)
        if self.scores:
            mask = self._added(work, mask)
        return work.before(reader, renamed(reader, {self.value: mask}))

    def _mask(self, work: Work) -> str:
        name, rows = f"{self.layer}/mask", _regions(work, self.cut, self.shift)
        ones = (1,) * self.between
        sides = (work.shaped(f"{name}/{word}", rows, (0, *ones, *ends)) for word, ends in PAIRS)
        near = work.add(f"{name}/near", "Equal", tuple(sides))
        none, masked = (work.numbers(f"number/{number}", (number,), "float32") for number in (0.0, self.masked))
        if any(self.least):
            none = self._guarded(work, none)
        mask = work.add(name, "Where", (near, none, masked))
        if not self.front:
            return mask
        front = work.numbers(f"{name}/front", (1,) * self.front)
        shape = work.add(f"{name}/shape", "Concat", (front, work.add(f"{name}/windows", "Shape", (mask,))), {"axis": 0})
        return work.add(f"{name}/laid_out", "Reshape", (mask, shape))

    def _guarded(self, work: Work, number: str) -> str:
        """The number, read at a place that there is; at one that there is not, where the map is too small."""
        less = []
        for axis, least in zip(SIDES, self.least, strict=True):
            wanted = work.numbers(f"number/{least}", (least,))
            less.append(work.add(f"{self.map}/{axis}_below_{least}", "Less", (work.side(self.map, axis), wanted)))
        below = work.add(f"{self.map}/below_{show(self.least)}", "Or", tuple(less))
        place = work.add(f"{self.map}/is_below_{show(self.least)}", "Cast", (below,), {"to": "int64"})
        return work.add(f"{self.layer}/needs_a_map_of_{show(self.least)}", "Gather", (number, place), {"axis": 0})

    def _added(self, work: Work, mask: str) -> str:
        """The scores with the mask added, the windows of each image apart for that."""
        name, sizes = f"{self.layer}/masked", [work.side(mask, axis) for axis in (0, -1)]
        all_images, heads = work.numbers("number/-1", (-1,)), [work.numbers(f"{name}/heads", self.heads)] * self.between
        target = (all_images, sizes[0], *heads, sizes[1], sizes[1])
        shape = work.add(f"{name}/apart_shape", "Concat", target, {"axis": 0})
        added = work.add(f"{name}/added", "Add", (work.add(f"{name}/apart", "Reshape", (self.value, shape)), mask))
        return work.add(name, "Reshape", (added, work.add(f"{self.value}/shape", "Shape", (self.value,))))

    def describe(self) -> str:
        """One line for people."""
        least = f", which refuses maps below {show(self.least)}" if any(self.least) else ""
        return f"{self.layer}: a mask for windows shifted by {_shown(self.shift)}, computed when it runs{least}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "mask-to-fit",
            "layer": self.layer,
            "value": self.value,
            "cut": self.cut,
            "shift": [*map(str, self.shift)],
            "least": list(self.least),
            "what": "a mask computed when it runs",
        }


#: A place that looks and a place that is looked at, behind the windows.
PAIRS = (("asking", (-1, 1)), ("asked", (1, -1)))


def _shown(shift: Shift) -> str:
    return "×".join(dict.fromkeys(map(str, shift)))


def _rolled(work: Work, value: str, name: str, shift: Shift, *, back: bool) -> str:
    """A map rolled by so many rows and columns, towards the first or ``back``: the last part comes first."""
    none, end = (work.numbers(f"number/{number}", (number,)) for number in (0, END))
    for axis, size in zip(SIDES, shift, strict=True):
        if size == Size():
            continue
        at, along = work.size(size), work.numbers(f"number/{axis}", (axis,))
        if back:
            at = work.add(f"{at}/back", "Neg", (at,))
        tail = work.add(f"{name}/tail_{axis}", "Slice", (value, at, end, along))
        front = work.add(f"{name}/front_{axis}", "Slice", (value, none, at, along))
        last = axis == SIDES[-1] or shift[-1] == Size()
        value = work.add(name if last else f"{name}/rolled_{axis}", "Concat", (tail, front), {"axis": axis})
    return value


def _regions(work: Work, cut: str, shift: Shift) -> str:
    """(windows, places) of numbers that tell apart what was not near before the shift, of a map cut into windows."""
    down, across = (_strips(work, cut, axis, size) for axis, size in enumerate(shift))
    name = f"{cut}/regions/{down}/{across}"
    tripled = work.add(
        f"{down}/tripled", "Mul", (work.shaped(f"{down}/rows", down, (-1, 1)), work.numbers("number/3", (3,)))
    )
    whole = work.add(name, "Add", (tripled, work.shaped(f"{across}/columns", across, (1, -1))))
    sides = [work.side(cut, axis) for pair in zip(MANY, WIDE, strict=True) for axis in pair]
    apart = work.add(f"{name}/cut", "Reshape", (whole, work.add(f"{cut}/sides", "Concat", sides, {"axis": 0})))
    turned = work.add(f"{name}/turned", "Transpose", (apart,), {"perm": (0, 2, 1, 3)})
    places = work.add(f"{cut}/window_places", "Mul", tuple(work.side(cut, axis) for axis in WIDE))
    shape = work.add(f"{cut}/windows_shape", "Concat", (work.numbers("number/-1", (-1,)), places), {"axis": 0})
    return work.add(f"{name}/windows", "Reshape", (turned, shape))


def _strips(work: Work, cut: str, axis: int, shift: Size) -> str:
    """The rows of a padded map, counted by how many of the last window and of the shift's ends lie behind them."""
    name, wide = f"{cut}/strips_{axis}", work.side(cut, WIDE[axis])
    count = work.add(f"{name}/count", "Mul", (work.side(cut, MANY[axis]), wide))
    first, step = (work.numbers(f"count/{end}", (end,), "int64", ()) for end in (0, 1))
    rows = work.add(f"{name}/range", "Range", (first, work.shaped(f"{name}/scalar", count, ()), step))
    before = []
    for word, gap in (("last_window", wide), ("end", work.size(shift))):
        less = work.add(f"{name}/before_{word}", "Less", (rows, work.add(f"{name}/{word}", "Sub", (count, gap))))
        before.append(work.add(f"{name}/is_before_{word}", "Cast", (less,), {"to": "int64"}))
    return work.add(name, "Add", tuple(before))


def rolled(freeing: Freeing, edit: RollMap) -> Edit:
    """The shift of a partition that had one window."""
    part = next(part for part in freeing.windows if part.pad == edit.layer)
    return RollToFit(edit.layer, edit.value, _half(freeing, part))


def trimmed(freeing: Freeing, edit: TrimMap) -> Edit:
    """What is taken off behind windows, for any map."""
    part = next(part for part in freeing.windows if part.join == edit.layer)
    shift = _half(freeing, part) if _newly_shifted(freeing, part) else NO_SHIFT
    given = _map(freeing, part)
    return TrimToFit(edit.layer, edit.value, given, part.shape[3], shift, edit.flat)


def masked(freeing: Freeing, edit: MaskWindows) -> Edit:
    """The mask of a partition that had one window."""
    part = next(part for part in freeing.windows if part.softmax == edit.layer)
    heads = edit.scores[1:-2]
    cut = freeing.graph.node(part.split).outputs[0]
    return MaskToFit(
        edit.layer, edit.value, cut, _half(freeing, part), FAR, between=len(heads), scores=True, heads=heads,
        map=_map(freeing, part), least=_least(freeing, part),
    )  # fmt: skip


def remasked(freeing: Freeing, edit: Resample) -> Edit:
    """A mask that was written down, for any map."""
    from ...folding import numbers  # numpy, which a trace does without
    from ...resampling import window_shift

    axis, before, _, window, *_ = edit.arguments
    shape, held = freeing.table(edit.param), numbers(freeing.graph.params[edit.param])
    part = _last(freeing, edit.layer, window, shape[axis])
    shift = window_shift(held, axis, before, window) if held is not None else None
    if part is None or held is None or shift is None:
        raise freeing.refused(f"{edit.describe()}: it is not known which map is cut into those windows, or how shifted")
    high, wide = (Size(plus=step) for step in shift)
    cut = freeing.graph.node(part.split).outputs[0]
    between = len(shape) - axis - 3
    return MaskToFit(
        edit.layer, edit.param, cut, (high, wide), float(held.min()), axis, between,
        map=_map(freeing, part), least=_least(freeing, part),
    )  # fmt: skip


def _last(freeing: Freeing, layer: str, window: tuple[int, int], count: int) -> Partition | None:
    """The last partition before a layer, if it cuts a map into so many windows of this side."""
    before = [part for part in freeing.windows if freeing.order[part.split] < freeing.order[layer]]
    part = before[-1] if before else None
    if part is None or [part.before[side] for side in part.sides] != [*window]:
        return None
    return part if part.before[part.counts[0]] * part.before[part.counts[1]] == count else None


def _half(freeing: Freeing, part: Partition) -> Shift:
    """Half a window's side along each axis on which the map is cut into several."""
    given = _map(freeing, part)
    high, wide = (
        Size(((given, axis),), how="half", by=part.before[side]) for axis, side in zip(SIDES, part.sides, strict=True)
    )
    return high, wide


def guarded(freeing: Freeing, edits: Sequence[Edit]) -> None:
    """Raises RefusedError where windows shrink with the map, were not seen to, and no mask refuses such maps."""
    cuts = {edit.cut for edit in edits if isinstance(edit, MaskToFit)}
    told = {part.shape for part in freeing.windows if freeing.graph.node(part.split).outputs[0] in cuts}
    for part in freeing.windows:
        if part.pad and part.shrinks and any(_least(freeing, part)) and part.shape not in told:
            raise freeing.refused(f"{part.split}: nothing would tell that a map is smaller than its windows")


def _newly_shifted(freeing: Freeing, part: Partition) -> bool:
    """Whether a partition of one window is shifted at any of the sizes."""
    made = (edit for sample in freeing.samples for edit in sample.edits)
    return any(isinstance(edit, RollMap) and edit.layer == part.pad for edit in made)


def _map(freeing: Freeing, part: Partition) -> str:
    """The map before it was padded."""
    return freeing.graph.node(part.pad).inputs[0]


def _least(freeing: Freeing, part: Partition) -> tuple[int, int]:
    """The rows and columns that a map must have; 0 where windows were seen to become smaller with it.

    A map of one window is not shifted, and what the export has of rolls and masks stays.
    """
    high, wide = (part.before[axis] + part.rolled if not _shrinks(freeing, part, axis) else 0 for axis in part.sides)
    return high, wide


def _shrinks(freeing: Freeing, part: Partition, axis: int) -> bool:
    cuts = (layers[part.split].tensors[0].sizes for layers in freeing.layers)
    return any(cut is not None and cut[axis] < part.before[axis] for cut in cuts)
