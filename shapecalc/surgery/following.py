"""Where the classes of a layer end up: its channels followed through reshapes, joins and cuts, by arithmetic alone.

A layer of a detector gives ``anchors · (sides + classes)`` channels, which later layers take apart. A `Block` says
where the classes are on one axis of a value; `follow` carries it from layer to layer and lists the constants that hold
the old number. What mixes classes with anything else ends it: then the layer is none that holds classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import NamedTuple

from ..dims import Expr
from ..graph import Node
from ..trace import Trace
from ..trace import trace as traced
from .exports.retable import SetConstant
from .stored import stored

#: The numbers that stand for a free batch, and for a free height or width, while classes are followed.
ROWS, FREE = 2, 256
Sizes = tuple[int, ...]


def concrete(trace: Trace) -> Trace:
    """The trace with numbers for what is free, so that channels can be followed."""
    feeds = {name: tensor.shape for name, tensor in trace.feeds.items() if isinstance(tensor.shape, tuple)}
    bound = {
        name: tuple((FREE if axis else ROWS) if isinstance(d, Expr) else d for axis, d in enumerate(shape))
        for name, shape in feeds.items()
    }
    return trace if bound == feeds else traced(trace.graph, bound)


class Block(NamedTuple):
    """An axis of ``outer`` blocks of ``size`` numbers, each ``inner`` times in a row; classes start at ``begin``."""

    axis: int
    outer: int
    size: int
    inner: int
    begin: int
    many: int  # classes

    @property
    def alone(self) -> bool:
        """Whether the axis is one block and nothing else."""
        return self.outer == self.inner == 1

    def grown(self, more: int) -> int:
        """How long the axis is with so many more classes."""
        return self.outer * (self.size + more) * self.inner


class MixedError(Exception):
    """The classes cannot be followed further: ``sides`` tells that numbers in front of them are cut off one by one."""

    def __init__(self, node: Node, cuts: Sequence[int] = ()) -> None:
        super().__init__(f"{node.name} ({node.op}) mixes them")
        self.cuts = tuple(cuts)


class Followed(NamedTuple):
    """What came of it: values and where the classes are in them, the layers that end it, what is to be rewritten."""

    blocks: dict[str, Block]
    ends: tuple[Node, ...] = ()
    constants: tuple[SetConstant, ...] = ()
    renewed: tuple[tuple[str, int, int], ...] = ()  # (node, input, axis) of stored numbers with one for each class
    picks: tuple[Node, ...] = ()  # what takes single numbers out of the block
    mixes: tuple[Node, ...] = ()  # what something else was made of them by, where the others were followed on


class Walk:
    """Follows the blocks of some values through the nodes behind them; ``more`` classes are to come.

    ``alone``: of one layer of several, so that what its classes are stacked with need not be followed. ``past``: what
    mixes them ends that way alone, and the others are followed on.
    """

    def __init__(
        self, trace: Trace, blocks: Mapping[str, Block], more: int, *, alone: bool = False, past: bool = False
    ) -> None:
        self.trace, self.graph, self.more, self.alone, self.past = trace, trace.graph, more, alone, past
        self.blocks = dict(blocks)
        self.ends: list[Node] = []
        self.constants: list[SetConstant] = []
        self.renewed: list[tuple[str, int, int]] = []
        self.picks: list[Node] = []
        self.mixes: list[Node] = []

    def run(self) -> Followed:
        """Raises MixedError at the first layer that does something else with the classes than moving them."""
        givers = self.graph.producers()
        first = min(self.graph.nodes.index(givers[value]) for value in self.blocks)
        for node in self.graph.nodes[first + 1 :]:
            held = [(i, self.blocks[name]) for i, name in enumerate(node.inputs) if name in self.blocks]
            if held and node.op not in MEASURES:
                self._step(node, held)
        noted = (self.ends, self.constants, self.renewed, self.picks, self.mixes)
        return Followed(self.blocks, *map(tuple, noted))  # type: ignore[arg-type]

    def _step(self, node: Node, held: Held) -> None:
        try:
            STEPS.get(node.op, _mixed)(self, node, held)
        except MixedError:
            if not self.past:
                raise
            self.mixes.append(node)

    def shape(self, value: str) -> Sizes | None:
        """The shape of a value in numbers."""
        tensor = self.trace.tensors.get(value)
        return tensor.sizes if tensor is not None else None

    def numbers(self, node: Node, place: int, attribute: str) -> Sizes | None:
        """A constant of a node, an input or, in old files, an attribute; None where it is computed or not there."""
        held = node.attrs.get(attribute)
        if held is None and node.input(place):
            tensor = self.trace.tensors.get(node.input(place))
            held = tensor.contents if tensor is not None and stored(self.graph, node.input(place)) else None
        if held is None or not all(isinstance(n, int) for n in held):
            return None
        return tuple(held)

    def rewrite_entry(self, node: Node, place: int, attribute: str, index: int, size: int) -> None:
        """Notes another number in a constant, or in the piece of it that a Concat reads; what is computed follows."""
        whole = self.numbers(node, place, attribute)
        if whole is not None:
            if index < len(whole) and whole[index] > 0:
                self.rewrite(node, place, attribute, whole, _with(whole, index, size))
            return
        join = self.graph.producers().get(node.input(place))
        for i, name in enumerate(join.inputs if join is not None and join.op == "Concat" else ()):
            tensor = self.trace.tensors.get(name)
            length = len(tensor.contents) if tensor is not None and tensor.contents is not None else 0
            piece = self.numbers(join, i, "") if join is not None else None
            if index < length and join is not None and piece is not None and piece[index] > 0:
                self.rewrite(join, i, attribute, piece, _with(piece, index, size))
            if index < length or not length:
                return
            index -= length

    def rewrite(self, node: Node, place: int, attribute: str, before: Sizes, after: Sizes) -> None:
        """Notes another constant."""
        if before != after:
            self.constants.append(SetConstant(node.name, place, attribute, after, before))


Held = list[tuple[int, Block]]


def _with(numbers: Sizes, index: int, number: int) -> Sizes:
    return tuple(number if i == index else n for i, n in enumerate(numbers))


def follow(trace: Trace, starts: Mapping[str, Block], more: int, *, alone: bool = False) -> Followed:
    """The blocks of ``starts`` (value -> block) followed to the end. Raises MixedError where that cannot be done."""
    return Walk(trace, starts, more, alone=alone).run()


def followed_past(trace: Trace, value: str, block: Block) -> Followed:
    """What becomes of a block, whatever else something makes of it."""
    return Walk(trace, {value: block}, 0, alone=True, past=True).run()


def _mixed(walk: Walk, node: Node, held: Held) -> None:
    raise MixedError(node)


def _kept(walk: Walk, node: Node, held: Held) -> None:
    walk.blocks[node.outputs[0]] = held[0][1]


def _ended(walk: Walk, node: Node, held: Held) -> None:
    walk.ends.append(node)


def _softmax(walk: Walk, node: Node, held: Held) -> None:
    walk.ends.append(node)
    _kept(walk, node, held)


def _turned(walk: Walk, node: Node, held: Held) -> None:
    block, shape = held[0][1], walk.shape(node.inputs[0])
    if shape is None:
        raise MixedError(node)
    perm = node.attrs.get("perm") or tuple(reversed(range(len(shape))))
    walk.blocks[node.outputs[0]] = block._replace(axis=list(perm).index(block.axis))


def spread(before: Sizes, block: Block, after: Sizes) -> Block | None:
    """Where a block is once the same numbers have another shape; None where no one axis holds it.

    >>> spread((2, 75, 4, 4), Block(1, 3, 25, 1, 5, 20), (2, 3, 25, 4, 4))
    Block(axis=2, outer=1, size=25, inner=1, begin=5, many=20)
    """
    step = block.inner * prod(before[block.axis + 1 :])
    for axis, size in enumerate(after):
        own = prod(after[axis + 1 :])
        whole = own * size
        if (
            size > 1
            and own <= step
            and step * block.size <= whole
            and step % own == 0
            and whole % (step * block.size) == 0
        ):
            return block._replace(axis=axis, outer=whole // (step * block.size), inner=step // own)
    return None


def _reshaped(walk: Walk, node: Node, held: Held) -> None:
    before, after, block = walk.shape(node.inputs[0]), walk.shape(node.outputs[0]), held[0][1]
    found = spread(before, block, after) if before is not None and after is not None else None
    if found is None or after is None:
        raise MixedError(node)
    walk.blocks[node.outputs[0]] = found
    if node.op == "Reshape":
        walk.rewrite_entry(node, 1, "shape", found.axis, found.grown(walk.more))


def _axis_of(walk: Walk, node: Node, default: int = 0) -> int:
    rank = len(walk.shape(node.outputs[0]) or walk.shape(node.inputs[0]) or ())
    return int(node.attrs.get("axis", default)) % max(rank, 1)


def _joined(walk: Walk, node: Node, held: Held) -> None:
    block = held[0][1]
    if _axis_of(walk, node) != block.axis:
        if (len(held) != len(node.inputs) and not walk.alone) or len({each for _, each in held}) != 1:
            raise MixedError(node)
        walk.blocks[node.outputs[0]] = block
        return
    shapes = [walk.shape(name) for name in node.inputs]
    if len(held) != 1 or not block.alone or None in shapes:
        raise MixedError(node)
    sizes = [shape[block.axis] for shape in shapes if shape is not None]
    begin = block.begin + sum(sizes[: held[0][0]])
    walk.blocks[node.outputs[0]] = block._replace(size=sum(sizes), begin=begin)


def _split(walk: Walk, node: Node, held: Held) -> None:
    block = held[0][1]
    shapes = [walk.shape(name) for name in node.outputs]
    if None in shapes:
        raise MixedError(node)
    if _axis_of(walk, node) != block.axis:
        walk.blocks |= dict.fromkeys(node.outputs, block)
        return
    sizes = [shape[block.axis] for shape in shapes if shape is not None]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    place = next((i for i, (a, n) in enumerate(zip(starts, sizes, strict=True)) if _within(block, a, a + n)), None)
    written = walk.numbers(node, 1, "split")
    if place is None or not block.alone or written is None:
        raise MixedError(node, starts[1:])
    walk.blocks[node.outputs[place]] = block._replace(size=sizes[place], begin=block.begin - starts[place])
    wanted = tuple(n + walk.more if i == place else n for i, n in enumerate(written))
    walk.rewrite(node, 1, "split", written, wanted)


def _within(block: Block, start: int, end: int) -> bool:
    return start <= block.begin and block.begin + block.many <= end


def _sliced(walk: Walk, node: Node, held: Held) -> None:
    block, shape = held[0][1], walk.shape(node.inputs[0])
    starts, ends = (walk.numbers(node, i, name) for i, name in ((1, "starts"), (2, "ends")))
    if shape is None or starts is None or ends is None:
        raise MixedError(node)
    axes = walk.numbers(node, 3, "axes") or tuple(range(len(starts)))
    steps = walk.numbers(node, 4, "steps") or (1,) * len(starts)
    axes = tuple(axis % len(shape) for axis in axes)
    if block.axis not in axes:
        walk.blocks[node.outputs[0]] = block
        return
    at, length = axes.index(block.axis), shape[block.axis]
    start, end = (min(n + length if n < 0 else n, length) for n in (starts[at], ends[at]))
    if steps[at] != 1 or not block.alone:
        raise MixedError(node)
    if _within(block, start, end):
        walk.blocks[node.outputs[0]] = block._replace(size=end - start, begin=block.begin - start)
    elif start < block.begin + block.many and block.begin < end:
        raise MixedError(node, (start, end))
    for place, name, held_there in ((1, "starts", starts), (2, "ends", ends)):
        beyond = held_there[at] >= block.begin + block.many and held_there[at] <= length
        wanted = tuple(n + walk.more if beyond and i == at else n for i, n in enumerate(held_there))
        walk.rewrite(node, place, name, held_there, wanted)


def _picked(walk: Walk, node: Node, held: Held) -> None:
    block, axis = held[0][1], int(node.attrs.get("axis", 0))
    shape, indices = walk.shape(node.inputs[0]), walk.numbers(node, 1, "")
    picked = walk.shape(node.inputs[1])
    if held[0][0] != 0 or shape is None or picked is None:
        raise MixedError(node)
    axis %= len(shape)
    if axis == block.axis:
        walk.picks += [node] if indices else []
        if indices is None or any(not 0 <= n < block.begin for n in indices):
            raise MixedError(node, indices or ())
        return  # a number in front of the classes
    walk.blocks[node.outputs[0]] = block._replace(axis=block.axis + (len(picked) - 1 if axis < block.axis else 0))


def _elements(walk: Walk, node: Node, held: Held) -> None:
    """The best boxes, all classes of each: their places are repeated once for each class (torch.gather)."""
    block, shape = held[0][1], walk.shape(node.inputs[0])
    giver = walk.graph.producers().get(node.inputs[1])
    if held[0][0] != 0 or shape is None or int(node.attrs.get("axis", 0)) % len(shape) == block.axis:
        raise MixedError(node)
    if walk.shape(node.inputs[1]) != walk.shape(node.outputs[0]) or giver is None or giver.op not in REPEATS:
        raise MixedError(node)
    once = walk.shape(giver.inputs[0])
    if once is None or len(once) != len(shape) or once[block.axis] != 1:
        raise MixedError(node)
    walk.blocks[node.outputs[0]] = block
    walk.rewrite_entry(giver, 1, REPEATS[giver.op], block.axis, block.grown(walk.more))


def _per_element(walk: Walk, node: Node, held: Held) -> None:
    """Two values place by place: both hold the classes, or one holds a number for all, or stored ones for each."""
    block, made = held[0][1], walk.shape(node.outputs[0])
    shapes = [walk.shape(name) for name in node.inputs]
    if made is None or None in shapes:
        raise MixedError(node)
    places = {i: block.axis + len(made) - len(shapes[i] or ()) for i, block in held}
    if len(set(places.values())) > 1 or len({each._replace(axis=0) for _, each in held}) > 1:
        raise MixedError(node)
    axis = places[held[0][0]]
    for i, shape in enumerate(shapes):
        own = axis - (len(made) - len(shape or ()))
        if i in places or own < 0 or shape is None or shape[own] == 1:
            continue
        if stored(walk.graph, node.inputs[i]) is None:
            if walk.alone and node.op not in WEIGHS:
                continue
            raise MixedError(node)
        walk.renewed.append((node.name, i, own))
    walk.blocks[node.outputs[0]] = block._replace(axis=axis)


def _reduced(walk: Walk, node: Node, held: Held) -> None:
    block, shape = held[0][1], walk.shape(node.inputs[0])
    axes = walk.numbers(node, 1, "axes")
    if shape is None:
        raise MixedError(node)
    gone = {axis % len(shape) for axis in axes} if axes is not None else {*range(len(shape))}
    if block.axis in gone:
        if not block.alone or block.many != block.size:
            raise MixedError(node)
        walk.ends.append(node)
        return
    before = 0 if node.attrs.get("keepdims", 1) else sum(axis < block.axis for axis in gone)
    walk.blocks[node.outputs[0]] = block._replace(axis=block.axis - before)


def _chosen(walk: Walk, node: Node, held: Held) -> None:
    """The largest along an axis: of the classes, which ends it, or of the boxes, one class at a time."""
    block = held[0][1]
    if _axis_of(walk, node, -1 if node.op == "TopK" else 0) != block.axis:
        raise MixedError(node)
    if not block.alone or block.many != block.size:
        raise MixedError(node)
    walk.ends.append(node)


def _enlarged(walk: Walk, node: Node, held: Held) -> None:
    block = held[0][1]
    walk.blocks[node.outputs[0]] = block
    walk.rewrite_entry(node, 3, "sizes", block.axis, block.grown(walk.more))


Step = Callable[[Walk, Node, Held], None]
#: What weighs one number by another: weights of a sum, as attention's, are no classes.
WEIGHS = frozenset({"Mul", "Div", "Pow"})
#: What only asks for the shape.
MEASURES = frozenset({"Shape", "Size"})
#: What tells the best of the classes.
CHOOSE = frozenset({"ReduceMax", "ArgMax", "TopK"})
#: What puts the same numbers side by side, and what its second input holds.
REPEATS = {"Expand": "shape", "Tile": "repeats"}
#: Operator -> what it does to a block.
STEPS: Mapping[str, Step] = {
    **dict.fromkeys(
        "Sigmoid Relu Identity Cast Dropout LeakyRelu Clip Tanh Exp Log HardSigmoid Softplus Sqrt Neg Abs".split(),
        _kept,
    ),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshaped),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow"), _per_element),
    **dict.fromkeys(("ReduceMax", "ReduceSum", "ReduceMean", "ReduceMin"), _reduced),
    **dict.fromkeys(("ArgMax", "TopK"), _chosen),
    **dict.fromkeys(("Resize", "Upsample"), _enlarged),
    "NonMaxSuppression": _ended,
    "Transpose": _turned,
    "Concat": _joined,
    "Split": _split,
    "Slice": _sliced,
    "Gather": _picked,
    "GatherElements": _elements,
}
