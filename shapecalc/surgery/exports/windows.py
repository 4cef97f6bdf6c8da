"""Maps cut into windows before attention, at another size: which number stays, what is padded, which are shifted.

A net that pads its maps first (Swin, Liu et al. 2021; Twins, Chu et al. 2021) keeps the side of its windows and has
more of them; exporters write the padding down as nothing where none was needed. A map smaller than a window is one
window. A net that does not pad (MaxViT, Tu et al. 2022) keeps how many windows there are, and their sides grow; so
does one that pads and computes its biases from distances alone (`growing`).
Swin shifts every second partition of a stage, unless its map is one window: where it no longer is, the shift is put in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from ...graph import Graph, Node
from ...trace import Layer
from .follow import Place, constant, shape_of
from .growing import computed, followed
from .positions import Seen
from .regroup import Scale, Sizes
from .retable import SetConstant
from .shifting import MaskWindows, PadWindows, RollMap, TrimMap
from .whole import Sides, Whole, by_distance, wholes

#: Axes of a map with its channels last, of one with one axis of places, and of its windows: (N, windows down, side,
#: windows across, side, channels).
MAP, FLAT, WINDOWS = 4, 3, 6
#: Axes of the scores of places: (windows, heads, places, places), or without heads.
SCORES = (3, 4)
#: What of a Pad holds how much.
PADDING = Place(1, "pads")
#: A map is rolled along height and along width.
MOST_ROLLS = 2
#: Nodes that are looked at between a map's windows and the map again.
MOST_BETWEEN = 1_000

Edit = SetConstant | RollMap | TrimMap | MaskWindows | PadWindows


class Partition(NamedTuple):
    """One map cut into windows: the layers that do it, and the axes of the windows' sides among the cut ones."""

    split: str
    pad: str
    softmax: str
    join: str  # the reshape that gives the map again
    sides: tuple[int, int]
    before: Sizes  # the cut map, as the net was made
    rolled: bool
    shape: Sizes  # of the map that is cut
    between: tuple[str, ...] = ()  # reshapes of windows, from the cut map to the one that is joined
    flat: bool = False  # whether the map that is joined has one axis of places
    shrinks: bool = False  # whether a map that is smaller than a window is one, as in nets that shift windows
    grown: tuple[int, int] | None = None  # the windows' new sides, where they follow the image
    late: bool = False  # whether a map is padded before it is rolled (torchvision, HuggingFace), not behind (timm)
    trim: str = ""  # the layer behind which the map is whole again: the join, or the roll back
    kept: Sides | None = None  # where biases are looked up by distance: the windows keep their side, padded for or not

    @property
    def counts(self) -> tuple[int, int]:
        """The axes of the windows' numbers."""
        return (1, 3) if self.sides == (2, 4) else (2, 4)

    @property
    def wide(self) -> tuple[int, int]:
        """The sides of the windows of a map that is padded to whole ones."""
        return self.grown or (self.before[self.sides[0]], self.before[self.sides[1]])

    @property
    def pads(self) -> bool:
        """Whether maps are padded to whole windows."""
        return bool(self.pad) or self.kept is not None

    def window(self, size: Sizes) -> tuple[int, int]:
        """The sides of the windows of a map of (N, height, width, C), padded or not."""
        if self.kept is not None:
            return self.kept.window(self.wide, (size[1], size[2]))
        if self.shrinks:
            return min(self.wide[0], size[1]), min(self.wide[1], size[2])
        return self.wide

    def cut(self, size: Sizes) -> Sizes | None:
        """(N, …, C) of a map of (N, height, width, C), cut; None where it comes out whole in no way."""
        found = [size[0], 0, 0, 0, 0, size[3]]
        for place, (side, count) in enumerate(zip(self.sides, self.counts, strict=True)):
            now, many = size[1 + place], self.before[count]
            as_many = self.before[side] if now % many else now // many
            wide = self.window(size)[place] if self.pads else as_many
            if now % wide:
                return None
            found[side], found[count] = wide, now // wide
        return tuple(found)

    def uncut(self, after: Sizes, now: Sizes, whole: Sizes) -> Sizes | None:
        """What a reshape of windows that gave ``after`` gives of ``now``, where the padded map ``whole`` was cut."""
        cut = self.cut(whole)
        if cut is None:
            return None
        olds, news = ([given[side] for side in self.sides] for given in (self.before, cut))
        if after == _turned(self.before):
            return _turned(cut)
        many, more = (given[self.counts[0]] * given[self.counts[1]] for given in (self.before, cut))
        made = list(after)
        for axis, size in enumerate(after):
            if axis and size == prod(olds):
                made[axis] = prod(news)
            elif axis and [*after[axis : axis + 2]] == olds:
                made[axis : axis + 2] = news
        if after[0] == self.before[0] and many > 1 and many in after[1:]:
            made[after.index(many, 1)] = more
        rest = prod(made[1:])
        return (prod(now) // rest, *made[1:]) if prod(now) % rest == 0 else None

    def padded(self, size: Sizes) -> Sizes:
        """Rows and columns to add to a map of (N, height, width, C), so that windows of the old side fill it."""
        return tuple(-now % side for now, side in zip(size[1:3], self.window(size), strict=True))


def _turned(cut: Sizes) -> Sizes:
    """A cut map with its windows' numbers in front of their sides."""
    return (cut[0], cut[1], cut[3], cut[2], cut[4], cut[5])


def partitions(graph: Graph, before: Mapping[str, Layer]) -> Iterator[Partition]:
    """Every map that is cut into windows, in order."""
    producers, users = graph.producers(), graph.users()
    for index, node in enumerate(graph.nodes):
        layer = before.get(node.name)
        if node.op != "Reshape" or layer is None:
            continue
        shape, cut = shape_of(layer), shape_of(layer, output=True)
        if shape is None or cut is None or not is_cut(shape, cut):
            continue
        turn = next((user for user in users.get(node.outputs[0], ()) if user.op == "Transpose"), None)
        sides = sides_turned(turn) if turn is not None else ()
        if turn is None or len(sides) != 2:
            continue
        softmax, join, between = _inside(turn, shape, graph.nodes[index + 1 : index + MOST_BETWEEN], before)
        flat = bool(join) and len(shape_of(before[join], output=True) or ()) == FLAT
        whole, late = _unrolled(node.inputs[0], producers)
        pad = producers.get(whole)
        if join:
            padding = pad.name if pad is not None and pad.op == "Pad" and sides == (2, 4) else ""
            maker = producers.get(pad.inputs[0]) if pad is not None and padding else None
            late = late and bool(padding)
            rolled = late or (maker is not None and maker.op == "Concat")
            trim = _rolled_back(graph.node(join).outputs[0], users) if late else ""
            yield Partition(
                node.name,
                padding,
                softmax,
                join,
                sides,
                cut,
                rolled,
                shape,
                between,
                flat,
                late=late,
                trim=trim or join,
            )


def _unrolled(value: str, producers: Mapping[str, Node]) -> tuple[str, bool]:
    """The value that was rolled, and whether it was: two parts of one value, joined the other way round."""
    rolled = False
    for _ in range(MOST_ROLLS):
        join = producers.get(value)
        parts = [producers.get(part) for part in join.inputs] if join is not None and join.op == "Concat" else []
        wholes = {part.inputs[0] if part is not None and part.op == "Slice" else "" for part in parts}
        if len(parts) != 2 or len(wholes) != 1 or "" in wholes:
            break
        value, rolled = wholes.pop(), True
    return value, rolled


def _rolled_back(value: str, users: Mapping[str, Sequence[Node]]) -> str:
    """The last layer of a roll of a value; "" where it is not rolled."""
    last = ""
    for _ in range(MOST_ROLLS):
        parts = [user for user in users.get(value, ()) if user.op == "Slice"]
        joins = {join.name: join for part in parts for join in users.get(part.outputs[0], ()) if join.op == "Concat"}
        if len(parts) != 2 or len(joins) != 1:
            break
        last, join = joins.popitem()
        value = join.outputs[0]
    return last


def sides_turned(turn: Node) -> tuple[int, int] | tuple[()]:
    """The axes of a cut map that a transposition makes the sides of windows; () where it makes no windows.

    (2, 4) of windows of neighbours, (1, 3) of windows whose places stand apart (MaxViT's grid).
    """
    perm = tuple(turn.attrs.get("perm") or ())
    if len(perm) != WINDOWS or perm[5] != WINDOWS - 1:
        return ()
    return sides if (sides := (perm[3], perm[4])) in ((1, 3), (2, 4)) else ()


def is_cut(shape: Sizes, cut: Sizes) -> bool:
    """Whether a reshape cuts height and width of a map into two each."""
    if len(shape) != MAP or len(cut) != WINDOWS or (shape[0], shape[3]) != (cut[0], cut[5]):
        return False
    return cut[1] * cut[2] == shape[1] and cut[3] * cut[4] == shape[2]


def _inside(
    turn: Node, shape: Sizes, later: Sequence[Node], before: Mapping[str, Layer]
) -> tuple[str, str, tuple[str, ...]]:
    """The softmax over the places of the windows, the reshape that gives the map again, and those between.

    "" for what is not found.
    """
    made, softmax, between = {*turn.outputs}, "", list[str]()
    for node in later:
        layer = before.get(node.name)
        if layer is None or made.isdisjoint(node.inputs):
            continue
        made.update(node.outputs)
        if node.op == "Softmax":
            softmax = softmax or node.name
        if node.op != "Reshape":
            continue
        wholes = (shape, (shape[0], shape[1] * shape[2], shape[3]))
        if softmax and len(shape_of(layer) or ()) == WINDOWS and shape_of(layer, output=True) in wholes:
            return softmax, node.name, tuple(between)
        between.append(node.name)
    return softmax, "", ()


class Windows:
    """What becomes of a net's windows while it is traced at another size; the state of one tracing."""

    def __init__(self, graph: Graph, before: Mapping[str, Layer], scale: Scale = (1.0, 1.0)) -> None:
        found = [*partitions(graph, before)]
        self.wholes, self.sides = _looked_up(graph, before, found)
        found = [part._replace(kept=self.sides) for part in found] if self.sides is not None else found
        padded = [part for part in found if part.pad]
        follow = computed(graph, {part.wide for part in padded}) if scale != (1.0, 1.0) else frozenset()
        grown = [followed(part.wide, scale) if part.wide in follow else None for part in padded]
        self.late = any(part.late for part in found)
        shrinks = any(part.rolled for part in found) and not self.late
        wholly = grown and None not in grown  # some that follow and some that do not are no net's
        sides = dict(zip(padded, grown, strict=True)) if wholly else {}
        self.all = [part._replace(shrinks=shrinks, grown=sides.get(part)) for part in found]
        self.splits = {part.split: part for part in self.all}
        self.pads = {part.pad: part for part in self.all if part.pad}
        self.joins = {part.join: part for part in self.all if part.pads}
        self.trims = {part.trim: part for part in self.all if part.pads}
        self.softmaxes = {part.softmax: part for part in self.all if part.pad}
        self.reshapes = {name: part for part in self.all if part.pads for name in part.between}
        self.shifted = _to_be_shifted(self.all)
        self.maps: dict[str, Sizes] = {}  # the map before it was padded, by the partition's split
        self.shifts: dict[str, tuple[int, int]] = {}
        self.done: set[str] = set()

    def edit(self, old: Layer, layer: Layer) -> Edit | None:
        """The edit of a layer that belongs to a partition; None where it follows, or belongs to none."""
        name = layer.name
        size = shape_of(layer)
        if size is None or not (self.maps or shape_of(old) != size):
            return None
        unpadded = self.splits.get(name)
        if unpadded is not None and not unpadded.pad and unpadded.pads and name not in self.maps:
            self.maps[name] = size
            rows = unpadded.padded(size)
            return PadWindows(name, layer.node.inputs[0], (rows[0], rows[1])) if any(rows) else None
        if unpadded is not None and self.late and name in self.shifts and name not in self.done:
            self.done.add(name)
            return self._roll(layer, name)
        if name in self.pads:
            return self._before(self.pads[name], old, layer, size)
        if name in self.softmaxes and name not in self.done:
            return self._masked(self.softmaxes[name], size, layer)
        if name in self.trims and name not in self.done:
            return self._after(self.trims[name], layer)
        return None

    def turns(self, shape: Sizes | None) -> tuple[tuple[int, int], ...]:
        """(side, side now) of height and width of windows that follow, in a map that had this shape; () elsewhere."""
        part = next((part for part in self.all if part.grown and part.shape == shape), None)
        return tuple(zip(part._replace(grown=None).wide, part.wide, strict=True)) if part is not None else ()

    def target(self, old: Layer, layer: Layer, seen: Seen) -> Sizes | None:
        """What a reshape that cuts a map, joins one or is between the two should give; None for any other.

        Windows of another side are ``seen`` as a map that became another: tables with an entry for each place follow.
        """
        size, name, after = shape_of(layer), layer.name, shape_of(old, output=True)
        if size is None or after is None:
            return None
        if name in self.splits:
            return self._cut(self.splits[name], size, seen)
        part = self.reshapes.get(name) or self.joins.get(name)
        whole = self.maps.get(part.split) if part is not None else None
        if part is None or whole is None:
            return None
        padded = self._padded(part)
        if name != part.join:
            return part.uncut(after, size, padded)
        whole_as_it_is = part.flat and padded == whole and part.split not in self.shifts
        return (whole[0], whole[1] * whole[2], whole[3]) if whole_as_it_is else padded

    def _cut(self, part: Partition, size: Sizes, seen: Seen) -> Sizes | None:
        cut = part.cut(size)
        if cut is not None:
            pair = tuple((given[part.sides[0]], given[part.sides[1]]) for given in (part.before, cut))
            if pair[0] != pair[1] and pair not in seen.maps:
                seen.maps.insert(0, (pair[0], pair[1]))  # before maps that have as many places by chance
        return cut

    def _padded(self, part: Partition) -> Sizes:
        whole = self.maps[part.split]
        return (whole[0], *(n + more for n, more in zip(whole[1:3], part.padded(whole), strict=True)), whole[3])

    def _before(self, part: Partition, old: Layer, layer: Layer, size: Sizes) -> Edit | None:
        """The shift, then the padding."""
        if part.split not in self.maps:
            self.maps[part.split] = size
            grown = [now > side for now, side in zip(size[1:3], part.wide, strict=True)]
            if part.split in self.shifted and any(grown):
                shift = [part.before[side] // 2 * grew for side, grew in zip(part.sides, grown, strict=True)]
                self.shifts[part.split] = (shift[0], shift[1])
                if not self.late:
                    return self._roll(layer, part.split)
        pads, made, was = constant(layer, PADDING), constant(old, PADDING), shape_of(old)
        rows, columns = part.padded(size)
        wanted = (0, 0, 0, 0, 0, rows, columns, 0)
        before = part._replace(grown=None)
        if pads is None or made is None or was is None or pads == wanted or tuple(made[5:7]) != before.padded(was):
            return None
        return SetConstant(layer.name, *PADDING, wanted, tuple(made))

    def _roll(self, layer: Layer, split: str) -> RollMap:
        """The shift of a partition's map in front of a layer."""
        down, across = self.shifts[split]
        return RollMap(layer.name, layer.node.inputs[0], f"{layer.name}/shifted", (-down, -across))

    def _masked(self, part: Partition, size: Sizes, layer: Layer) -> Edit | None:
        shift, whole = self.shifts.get(part.split), self.maps.get(part.split)
        self.done.add(layer.name)
        if shift is None or whole is None or len(size) not in SCORES:
            return None
        window = part.window(whole)
        return MaskWindows(layer.name, layer.node.inputs[0], size, self._padded(part)[1:3], window, shift)

    def _after(self, part: Partition, layer: Layer) -> Edit | None:
        """What was padded is taken off behind the windows, then the shift is undone."""
        whole = self.maps.get(part.split)
        made = shape_of(layer, output=True)
        if layer.problems or whole is None or made is None or made != self._padded(part):
            return None
        value = layer.node.outputs[0]
        self.done.add(layer.name)
        sizes = ((made[1], made[2]), (whole[1], whole[2]))
        shift = self.shifts.get(part.split, (0, 0))
        if sizes[0] == sizes[1] and shift == (0, 0):
            return None
        return TrimMap(layer.name, value, sizes, shift, part.flat, self.late)


def _looked_up(
    graph: Graph, before: Mapping[str, Layer], parts: Sequence[Partition]
) -> tuple[list[Whole], Sides | None]:
    """Whole maps that are windows, and the sides of all windows, of a net that looks its biases up by distance."""
    cut = [part.wide for part in parts if part.sides == (2, 4)]
    if not cut or any(part.rolled for part in parts):
        return [], None
    biased = by_distance(graph, before)
    if not {*cut} <= {*biased.values()}:
        return [], None
    found = wholes(graph, before, biased)
    return found, Sides.of(max(cut), found)


def _to_be_shifted(parts: list[Partition]) -> set[str]:
    """Partitions of one window that would be shifted on a larger map: every second of a stage, as elsewhere."""
    places: dict[str, int] = {}
    stage: list[Partition] = []
    for part in parts:
        stage = [*stage, part] if stage and stage[-1].shape == part.shape else [part]
        places[part.split] = len(stage) - 1
    several = [part for part in parts if max(part.before[count] for count in part.counts) > 1]
    alternate = all(part.rolled == bool(places[part.split] % 2) for part in several)
    if not several or not alternate or not any(part.rolled for part in several):
        return set()
    return {part.split for part in parts if part not in several and part.pad and places[part.split] % 2}
