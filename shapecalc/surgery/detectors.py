"""Detectors as ONNX graphs: which layers hold the classes, told by where their channels end up.

Three forms are known. Scores apart from boxes (SSD, RetinaNet, FCOS, DETR): values of ``classes`` numbers beside values
of four. Both in one layer (YOLO 2 to 7): blocks of four sides, one objectness and the classes for each anchor. Joined
behind their layers (YOLO 8 on): the classes stand behind four sides in what comes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from ..errors import RefusedError
from ..graph import Graph, Node, Param
from ..trace import Trace
from .edits import Edit, exchanged
from .families import SIDES
from .following import Block, Followed, MixedError, Sizes, Walk, concrete, follow
from .left import LAYERS, need_none_left, weighted
from .names import free_param, unused
from .stored import Stored, param_of, stored, swept

#: Numbers in front of the classes where a layer gives both: sides and objectness.
IN_FRONT = SIDES + 1
#: The one class by which a first stage chooses its boxes, where it asks for no other (deformable DETR's encoder).
FOREGROUND = 1
#: Value -> the nodes that read it.
Users = Mapping[str, Sequence[Node]]


class Scores(NamedTuple):
    """A layer that holds something of each box: its block on its own channels, and what came of it."""

    node: Node
    block: Block
    found: Followed

    @property
    def classes(self) -> int:
        """How many classes it scores."""
        return self.block.size if self.block.begin == FOREGROUND else self.block.many

    @property
    def last(self) -> list[Block]:
        """Where the block is in what nothing takes further."""
        read = {name for node in self.found.ends for name in node.inputs}
        return [block for name, block in self.found.blocks.items() if name in read] or [*self.found.blocks.values()][
            -1:
        ]


class Detector(NamedTuple):
    """Its classes now and their layers."""

    classes: int
    layers: tuple[Scores, ...]


def detector(graph: Graph, trace: Trace) -> Detector | None:
    """The detector that a graph is; None where its channels do not end up as a detector's do."""
    if graph.format != "onnx" or not trace.ok:
        return None
    whole = concrete(trace)
    users = graph.users()
    rows = _agreed([_scores(whole, users, node) for node in graph.nodes if weighted(graph, node)])
    boxes = [row for row in rows if row.block.size == SIDES and _many(whole, row)]
    behind = [row for row in rows if any(block.begin in (SIDES, IN_FRONT) for block in row.last)]
    scored = behind or [row for row in rows if boxes and row.block.size not in (1, SIDES) and _many(whole, row)]
    counts = {row.classes for row in scored if row.block.begin != FOREGROUND}
    if len(counts) != 1:
        return None
    (classes,) = counts
    return Detector(classes, tuple(row for row in scored if row.classes == classes))


def _agreed(found: Sequence[list[Scores]]) -> list[Scores]:
    """Of each layer the block of the size that most layers have: on a map of one place anchors stand alone too."""
    sizes = Counter(row.block.size for rows in found for row in rows)
    return [max(rows, key=lambda row: sizes[row.block.size]) for rows in found if rows]


def _words(row: Scores) -> str:
    block = row.block
    if block.begin == FOREGROUND:
        return "the first of them chooses the boxes and keeps its weights"
    if block.begin:
        return f"of {block.size} numbers for each box, {block.begin} of which are its sides and objectness and stay"
    if any(node.op in ("Softmax", "LogSoftmax") for node in row.found.ends):
        return "the background is one of them"
    return "beside boxes of four sides"


def _many(trace: Trace, row: Scores) -> bool:
    """Whether it ends as numbers of several boxes: a value of three axes or more."""
    return any(len(_sizes(trace, name)) > SIDES - 2 for name, block in row.found.blocks.items() if block.alone)


def _sizes(trace: Trace, value: str) -> tuple[Any, ...]:
    shape = trace.tensors[value].shape if value in trace.tensors else ()
    return shape if isinstance(shape, tuple) else ()


def _scores(trace: Trace, users: Users, node: Node) -> list[Scores]:
    """The blocks of a layer's channels that can be followed to an end, standing alone there."""
    value = node.outputs[0]
    rank = len(_sizes(trace, value))
    if not rank:
        return []
    axis = LAYERS[node.op][2] % rank
    rows: list[Scores] = []
    for block in _hypotheses(trace, users, value, axis):
        try:
            found = follow(trace, {value: block}, 0, alone=True)
        except MixedError as error:
            if block.size == SIDES and error.cuts:  # a box whose sides are gone through one by one
                rows.append(Scores(node, block, Followed({value: block})))
            continue
        row = Scores(node, block, found)
        ended = bool(found.ends or found.picks) or any(name in trace.graph.outputs for name in found.blocks)
        if ended and all(last.alone for last in row.last):
            rows.append(row)
    return rows


def _hypotheses(trace: Trace, users: Users, value: str, axis: int) -> Iterator[Block]:
    """Blocks of nothing but classes, smallest last; then blocks with sides in front, where those are cut off."""
    found = factors(trace, users, value, axis)
    yield from found
    for block in found:
        try:
            follow(trace, {value: block}, 0, alone=True)
        except MixedError as error:
            if block.size > IN_FRONT and set(error.cuts) & {2, SIDES, IN_FRONT}:
                yield block._replace(begin=IN_FRONT, many=block.size - IN_FRONT)
            if block.size not in (1, SIDES) and set(error.cuts) == {0}:
                yield block._replace(begin=FOREGROUND, many=block.size - FOREGROUND)


def factors(trace: Trace, users: Mapping[str, Sequence[Node]], value: str, axis: int) -> list[Block]:
    """How the channels of a value may be blocks of classes: as a whole, or as the axes a reshape makes of them."""
    walk = Walk(trace, {}, 0)
    shape = walk.shape(value)
    if shape is None:
        return []
    whole = Block(axis, 1, shape[axis], 1, 0, shape[axis])
    found = [whole]
    waiting = [(value, axis)]
    for name, at in waiting:
        for node in users.get(name, ()):
            before, after = walk.shape(name), walk.shape(node.outputs[0])
            if before is None or after is None:
                continue
            if node.op == "Transpose":
                perm = list(node.attrs.get("perm") or reversed(range(len(before))))
                waiting.append((node.outputs[0], perm.index(at)))
            elif node.op == "Reshape":
                found += _within_reshape(before, at, after)
            elif node.op in ("Add", "Identity", "Cast"):
                waiting.append((node.outputs[0], at + len(after) - len(before)))
    return [block._replace(axis=axis) for block in dict.fromkeys(found)]


def _within_reshape(before: Sizes, at: int, after: Sizes) -> list[Block]:
    step = prod(before[at + 1 :])
    whole = step * before[at]
    found = []
    for axis, size in enumerate(after):
        own = prod(after[axis + 1 :])
        if step <= own and own * size <= whole and size > 1 and own % step == 0 and whole % (own * size) == 0:
            found.append(Block(0, whole // (own * size), size, own // step, 0, size))
    return found


# -- the edits --------------------------------------------------------------------------------------------------------


class ReplaceScores(NamedTuple):
    """Another number of classes in a layer of a detector; what it says of sides and objectness stays as it is."""

    layer: str
    name: str
    before: int
    after: int
    block: Block
    start: str = ""
    words: str = ""
    renewed: tuple[tuple[str, int, int, Block], ...] = ()  # (node, input, axis, block) of numbers behind it

    def apply(self, graph: Graph) -> Graph:
        """The graph with the layer under its new name, its weights and what is added behind it for the new classes."""
        old = graph.node(self.layer)
        params, inputs = dict(graph.params), list(old.inputs)
        first, outputs, _ = LAYERS[old.op]
        if old.op == "Gemm" and old.attrs.get("transB"):
            outputs = 0
        inputs[first] = self._numbers(graph, params, inputs[first], outputs, self.block)
        for place in range(first + 1, len(inputs)):
            inputs[place] = self._numbers(graph, params, inputs[place], -1, self.block)
        new = old.replace(name=self.name, inputs=tuple(inputs))
        result = graph.replace(nodes=exchanged(graph, old, new), params=params)
        for name, place, axis, block in self.renewed:
            reader = result.node(name)
            inputs = list(reader.inputs)
            inputs[place] = self._numbers(result, params, inputs[place], axis, block)
            result = result.replace(
                nodes=exchanged(result, reader, reader.replace(inputs=tuple(inputs))), params=params
            )
        meta = {**result.meta, "classes": (self.before, self.after)}
        return swept(graph, result.replace(meta=meta))

    def _numbers(self, graph: Graph, params: dict[str, Param], value: str, axis: int, block: Block) -> str:
        """The name of numbers for the new classes in the place of stored ones, the same for all that read them."""
        found = stored(graph, value) if value else None
        shape = found.shape if found is not None else None
        if found is None or not shape or shape[axis % len(shape)] == 1:
            return value
        axis %= len(shape)
        name = f"{found.name}_{self.after}"
        sized = tuple(block.grown(self.after - self.before) if i == axis else n for i, n in enumerate(shape))
        if name not in params or params[name].shape != sized:
            name = free_param(graph, name) if name in params else name
            params[name] = self._param(graph, found, name, sized, axis, block)
        return name

    def _param(self, graph: Graph, found: Stored, name: str, shape: tuple[int, ...], axis: int, block: Block) -> Param:
        old = param_of(graph, found)
        dtype = old.dtype if old is not None else "float32"
        rows = self._rows(block)
        bias = len(shape) == 1
        if old is None or all(row < 0 for row in rows) or found.shape != old.shape:
            recipe = "zeros" if bias or self.start == "zeros" else {"normal": "gaussian", "framework": "torch"}
            made = recipe if isinstance(recipe, str) else recipe.get(self.start)
            return Param(name, shape, dtype, recipe=made)
        fan_in = prod(shape[:axis] + shape[axis + 1 :])
        spread = 0.0 if bias or self.start == "zeros" else (2.0 / max(1, fan_in)) ** 0.5
        return Param(name, shape, dtype, recipe="rows", sources=(old.name,), arguments=(axis, rows, spread))

    def _rows(self, block: Block) -> tuple[int, ...]:
        """For every new channel the old one whose numbers it keeps, -1 where it is a class."""
        more, end = self.after - self.before, block.begin + block.many
        rows = []
        for outer in range(block.outer):
            for place in range(block.size + more):
                new = block.begin <= place < end + more
                old = place if place < block.begin else place - more
                rows += [-1 if new else (outer * block.size + old) * block.inner + i for i in range(block.inner)]
        return tuple(rows)

    def describe(self) -> str:
        """One line for people."""
        times = self.block.outer * self.block.inner
        each = f", for each of {times} anchors" if times > 1 else ""
        return (
            f"head {self.layer} → {self.name}: {self.before} → {self.after} classes{each} ({self.words}), new weights"
        )

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "replace-scores",
            "layer": self.layer,
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "block": self.block._asdict(),
            "start": self.start,
        }


def with_classes(graph: Graph, trace: Trace, found: Detector, classes: int, start: str) -> Sequence[Edit]:
    """The edits that give a detector another number of classes, its constants first."""
    more = classes - found.classes
    if not more:
        return []
    numbered = concrete(trace)
    need_none_left(numbered, [row.node for row in found.layers], found.classes)
    try:
        whole = follow(numbered, {row.node.outputs[0]: row.block for row in found.layers}, more)
    except MixedError as error:
        raise _lost(graph, found, error) from None
    taken = {node.name for node in graph.nodes} | set(graph.params)
    edits: list[Edit] = []
    givers = _givers(graph, found)
    for index, row in enumerate(found.layers):
        name = unused(f"{row.node.name}_{classes}", taken)
        behind = tuple(
            (node, place, axis, _block_of(whole, graph.node(node)))
            for node, place, axis in whole.renewed
            if givers.get(node) == index
        )
        edits.append(ReplaceScores(row.node.name, name, found.classes, classes, row.block, start, _words(row), behind))
    return [*edits, *whole.constants]


def _lost(graph: Graph, found: Detector, error: MixedError) -> RefusedError:
    """The error for a detector whose classes end up where they cannot be told from other numbers."""
    names = ", ".join(row.node.name for row in found.layers[:3])
    return RefusedError(
        f"the {found.classes} classes of {graph.name or 'the net'} cannot be followed to its end",
        "E301",
        because=f"they come from {names}{' and others' if len(found.layers) > 3 else ''}, and {error}",
        hint="--head LAYER changes the channels of the layers that it names alone",
    )


def _givers(graph: Graph, found: Detector) -> dict[str, int]:
    """Node -> the first layer of the detector whose classes it reads."""
    givers: dict[str, int] = {}
    for index, row in enumerate(found.layers):
        for node in graph.nodes:
            if row.found.blocks.keys() & set(node.inputs):
                givers.setdefault(node.name, index)
    return givers


def _block_of(found: Followed, node: Node) -> Block:
    return next(found.blocks[name] for name in node.inputs if name in found.blocks)
