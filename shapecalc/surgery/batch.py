"""Another batch: the inputs declare it, and what an export wrote down for the old one follows.

A target of a reshape that holds the batch holds it in the entry in which the input's own batch axis ends up: the one
that starts at as many elements as stand before that axis. A weight that is put beside every image, as the class token
of a transformer, or from which a recurrent layer starts, stands there once for a batch of one; it is repeated. So is a
constant of one image that is laid out, or looked up, for as many as come in: the mask and the positions of DETR. All
rows of the new batch must equal single runs of the original, which is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple, Self

from ..dims import Dim, show
from ..errors import RefusedError
from ..graph import Graph, Input, Node, Param, Tensor
from ..lower import scores
from ..ops.baked import constant
from ..source import Origin
from ..trace import Layer, Trace, trace
from .names import free_name
from .promises import Pair, Promise
from .stored import swept

INSERTED = Origin(op="inserted")
#: The batch that the net is traced at to see where the old one stays: no number that a shape holds by chance.
PROBE = 10_007
#: Which input of an operator is the shape that it makes.
TARGETS = {"Reshape": 1, "Resize": 3}

#: Which axis of what a recurrent layer reads is the batch, and which of its inputs are states it starts from.
STEPS_FIRST, STATES = 1, (5, 6)
RECURRENT = frozenset({"RNN", "GRU", "LSTM"})


#: A weight that a layer has once for a batch of one: the layer, the input, and how many axes it has.
Repeated = tuple[str, int, int]
#: (value, axis) -> its repetition, which all that read it share.
Copies = dict[tuple[str, int], str]


class SetBatch(NamedTuple):
    """Inputs of another batch, and the constants that held the old one: (layer, before, after).

    ``repeated`` are the weights that are there for one image, and now for each: (layer, input, rank).
    """

    inputs: tuple[str, ...]
    before: Dim
    after: Dim
    targets: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    repeated: tuple[Repeated, ...] = ()

    @property
    def layer(self) -> str:
        """The inputs."""
        return ", ".join(self.inputs)

    @classmethod
    def make(cls, native: Trace, size: Dim) -> list[Self]:
        """The edit, none where the batch is that already. Raises RefusedError where something keeps the old one."""
        graph = native.graph
        image = next((i for i in graph.inputs if i.role == "image" and i.native), None)
        if image is None or image.native is None:
            raise RefusedError(
                f"{graph.name} takes no image whose first axis is a batch",
                "E303",
                because=fed(graph),
                hint="--input NAME:SHAPE gives another shape of an input",
            )
        before = image.native[0]
        if before == size:
            return []
        names = tuple(i.name for i in graph.inputs if i.native and i.native[0] == before and i.role != "other")
        edit = cls(names, before, size)
        return [edit.followed(native) if isinstance(before, int) else edit]

    def followed(self, native: Trace) -> Self:
        """With the constants to rewrite, found by tracing the net at a batch that nothing can hold by chance."""
        old = {layer.name: layer for layer in native.layers}
        feeds = {name: t.shape for name, t in native.feeds.items() if isinstance(t.shape, tuple)}
        feeds |= {name: (PROBE, *feeds[name][1:]) for name in self.inputs if name in feeds}
        sized = {name: t.shape for name, t in native.tensors.items() if isinstance(t.shape, tuple)}
        sized = {name: shape for name, shape in sized.items() if name in native.graph.params}
        found: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        repeated: list[Repeated] = []
        for _ in range(len(native.layers)):
            edit = self._found(found, repeated)._replace(after=PROBE)
            now = trace(edit.apply(native.graph), feeds, sized=sized)
            late = next(
                (x for x in now.layers if x.name not in found and _holds(old.get(x.name), x, self.before)), None
            )
            if late is not None:
                found[late.name] = _target(old[late.name], late, self.before)
            elif alone := [place for x in now.layers for place in _alone(x) if place not in repeated]:
                repeated += alone
            elif flat := [place for place in _flattened(now) if place not in repeated]:
                repeated += flat
            else:
                break
        lost = _lost(now)
        if lost is not None:
            came, made = _shape(lost.call.inputs[0]), lost.outputs[0].shape
            because = f"it ({lost.source_op}) makes {_counted(made)} of {_counted(came)}"
            raise self._kept(now.graph, lost.name, because, lost)
        if not now.ok:
            because = now.problems[0].message.replace(str(PROBE), "N").replace(f"{PROBE:,}", "N")
            raise self._kept(now.graph, now.problems[0].layer, because)
        return self._found(found, repeated)

    def _kept(self, graph: Graph, layer: str, because: str, lost: Layer | None = None) -> RefusedError:
        """The refusal where a layer keeps the old batch; in the cause the new one is called N."""
        return RefusedError(
            f"{layer} keeps the batch of {self.before} that the file was made for",
            "E303",
            location=lost.location if lost is not None else None,
            because=f"{because}, where N is the new batch",
            hint=_elsewhere(graph),
        )

    def _found(
        self, targets: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], repeated: Sequence[Repeated]
    ) -> Self:
        return self._replace(targets=tuple((n, *row) for n, row in targets.items()), repeated=tuple(repeated))

    def apply(self, graph: Graph) -> Graph:
        """The graph with the batch declared and the constants that held the old one rewritten."""
        params = dict(graph.params)
        targets = {name: after for name, _, after in self.targets}
        nodes: list[Node] = []
        copies: Copies = {}
        for node in graph.nodes:
            *sized, made = self._rewritten(graph, node, targets[node.name], params) if node.name in targets else [node]
            nodes += [*sized, *self._beside(graph, made, params, copies)]
        inputs = tuple(self._declared(given) if given.name in self.inputs else given for given in graph.inputs)
        return swept(graph, graph.replace(nodes=tuple(nodes), params=params, inputs=inputs))

    def _rewritten(self, graph: Graph, node: Node, target: tuple[int, ...], params: dict[str, Param]) -> list[Node]:
        """The node that makes ``target`` for the new batch, behind what counts its items where no constant says it."""
        numbers, place = self._numbers(target), TARGETS[node.op]
        if len(node.inputs) <= place:
            return [node.replace(attrs={**node.attrs, "shape": numbers})]
        name = free_name(graph, f"{node.name}/shape")
        made = node.replace(inputs=(*node.inputs[:place], name, *node.inputs[place + 1 :]))
        if node.op == "Resize" and not isinstance(self.after, int):
            return [*_with_items(name, node.inputs[0], numbers[1:], params), made]
        params[name] = Param(name, (len(numbers),), "int64", contents=numbers, trained=False)
        return [made]

    def _beside(self, graph: Graph, node: Node, params: dict[str, Param], copies: Copies) -> list[Node]:
        """A layer, behind the repetition of each weight that it puts beside every image or starts from."""
        nodes, inputs, axis = [], list(node.inputs), int(node.op in RECURRENT)
        for index, rank in ((index, rank) for name, index, rank in self.repeated if name == node.name):
            once = node.inputs[index]
            if (once, axis) not in copies:
                value = copies[once, axis] = free_name(graph, f"{once}/repeated")
                nodes += self._times(f"{value}/times", axis, rank, params)
                nodes.append(Node(value, "Expand", (once, f"{value}/times"), (value,), origin=INSERTED))
            inputs[index] = copies[once, axis]
        return [*nodes, node.replace(inputs=inputs)] if tuple(inputs) != node.inputs else [node]

    def _times(self, times: str, axis: int, rank: int, params: dict[str, Param]) -> list[Node]:
        """What makes ``times``, the batch among ones: a constant, or nodes where the batch is free."""
        before, rest = (1,) * axis, (1,) * (rank - axis - 1)
        if not isinstance(self.after, int):
            return _with_items(times, self.inputs[0], rest, params, before)
        params[times] = Param(times, (rank,), "int64", contents=(*before, self.after, *rest), trained=False)
        return []

    def _numbers(self, target: tuple[int, ...]) -> tuple[int, ...]:
        """The entry that holds the batch is a multiple of the probe: that of the new one, or what is left over."""
        free = not isinstance(self.after, int)
        return tuple((-1 if free else n // PROBE * int(self.after)) if n % PROBE == 0 and n else n for n in target)

    def _declared(self, given: Input) -> Input:
        shape = (self.after, *(given.native or (0,))[1:])
        return Input(given.name, shape, dtype=given.dtype, layout=given.layout, role=given.role, origin=given.origin)

    def promise(self, graph: Graph) -> Promise | None:
        """The rows of a batch are what the original gives for each alone."""
        pairs = tuple(Pair(name, name) for name in scores(graph))
        return Promise("every row of the batch equals the original's run of it", pairs, self.inputs[0], rows=True)

    def describe(self) -> str:
        """One line for people."""
        baked = f"; {len(self.targets)} baked shapes rewritten" if self.targets else ""
        once = f"; {len(self.repeated)} weights repeated" if self.repeated else ""
        return f"batch of {self.layer}: {show((self.before,))} → {show((self.after,))}{baked}{once}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        plain = [d if isinstance(d, int) else str(d) for d in (self.before, self.after)]
        return {
            "edit": "set-batch",
            "layer": self.layer,
            "before": plain[0],
            "after": plain[1],
            "targets": [[name, list(before), list(after)] for name, before, after in self.targets],
            "repeated": [list(place) for place in self.repeated],
        }


def _elsewhere(graph: Graph) -> str:
    """What to do where a layer keeps its batch: an export can be made anew, a definition is written by hand."""
    if graph.format == "onnx":
        return "export it with a free batch"
    return "change that layer in the definition, or run it once for each image"


def fed(graph: Graph) -> str:
    """What goes into a net, in words."""
    shapes = [f"{given.name} ({'size open' if given.native is None else show(given.native)})" for given in graph.inputs]
    return f"its inputs are {', '.join(shapes)}" if shapes else "it has no input"


def _with_items(
    made: str, counted: str, rest: tuple[int, ...], params: dict[str, Param], before: tuple[int, ...] = ()
) -> list[Node]:
    """Nodes that make the shape ``made`` when the net runs: the items of ``counted`` between numbers that are known."""
    first, front, behind, shape, batch = (f"{made}/{part}" for part in ("first", "front", "rest", "of", "batch"))
    known = {front: before, behind: rest}
    for name, contents in ((first, (0,)), *known.items()):
        if contents:
            params[name] = Param(name, (len(contents),), "int64", contents=contents, trained=False)
    parts = [part for part in (front, batch, behind) if known.get(part, (1,))]
    return [
        Node(shape, "Shape", (counted,), (shape,), origin=INSERTED),
        Node(batch, "Gather", (shape, first), (batch,), {"axis": 0}, origin=INSERTED),
        Node(made, "Concat", tuple(parts), (made,), {"axis": 0}, origin=INSERTED),
    ]


def _alone(layer: Layer) -> list[Repeated]:
    """(layer, input, rank) of the constants of one row where a join, a recurrence or a reshape has the probe's."""
    shapes = [_shape(tensor) for tensor in layer.call.inputs]
    if layer.op in RECURRENT and not layer.call.attr("layout"):
        places, axis = [*STATES], STEPS_FIRST
    elif layer.op == "Concat" and layer.problems and layer.call.attr("axis") not in (0, None):
        places, axis = [*range(len(shapes))], 0
    elif layer.op == "Reshape" and layer.problems and layer.call.has(1):
        target = layer.call.contents(1) or ()
        return [(layer.name, 0, layer.call.rank(0) or 0)] if _one_laid_out(layer, target) else []
    else:
        return []
    if not any(shape and shape[axis:][:1] == (PROBE,) for shape in shapes):
        return []
    held = [i for i in places if i < len(shapes) and constant(layer.call, i)]
    return [(layer.name, i, layer.call.rank(i) or 0) for i in held if (shapes[i] or ())[axis:][:1] == (1,)]


def _one_laid_out(layer: Layer, target: Sequence[Any]) -> bool:
    """Whether one row of a constant is to be laid out for as many images as the probe has."""
    return (_shape(layer.call.inputs[0]) or ())[:1] == (1,) and target[:1] == (PROBE,) and bool(constant(layer.call, 0))


#: What may stand between a constant for each image, flattened over all of them, and the layer that picks from it.
FLATTENS = frozenset({"Flatten", "Reshape"})
HANDS_ON = frozenset({"Cast", "Identity", "Squeeze", "Unsqueeze"})


def _flattened(now: Trace) -> list[Repeated]:
    """(layer, 0, rank) of what flattens one row of a constant, from which rows of the probe's images are picked.

    DETR looks up the mask of an image's pixels so, at batch · places + place: an export without a mask has it once.
    """
    found = []
    producers = now.graph.producers()
    for layer in now.layers:
        if layer.op != "Gather" or layer.call.attr("axis", 0) != 0 or len(layer.call.inputs) < 2:
            continue
        if _batched(layer.call.inputs[0]) or not _batched(layer.call.inputs[1]):
            continue
        node = producers.get(layer.node.inputs[0])
        while node is not None and node.op in HANDS_ON:
            node = producers.get(node.inputs[0])
        shape = _shape(now.tensors.get(node.inputs[0])) if node is not None and node.op in FLATTENS else None
        if node is not None and shape and len(shape) > 1 and shape[0] == 1 and constant(now.layer(node.name).call, 0):
            found.append((node.name, 0, len(shape)))
    return found


def _lost(now: Trace) -> Layer | None:
    """The layer behind which the probed batch is in no value that a score, or the first misfit, comes from.

    None where it is, or where the misfit has it from another side.
    """
    graph = now.graph
    if now.ok and any(_batched(now.tensors.get(name)) for name in scores(graph)):
        return None
    ends = scores(graph) if now.ok else graph.node(now.problems[0].layer).inputs
    behind = {node.name for node in graph.ancestors(ends)}
    losing = (x for x in now.layers if x.name in behind and x.op != "Shape" and x.call.inputs)
    return next((x for x in losing if _batched(x.call.inputs[0]) and not any(map(_batched, x.tensors))), None)


def _batched(tensor: Any) -> bool:
    return any(isinstance(n, int) and n and n % PROBE == 0 for n in _shape(tensor) or ())


def _counted(shape: Any) -> str:
    """A shape at the probed batch, in words: ``N×512×1×1``, ``512·N``; what a run decides is ``?`` or its symbol."""
    return "×".join(map(_counted_one, shape)) if isinstance(shape, tuple) else "?"


def _counted_one(n: Any) -> str:
    if not isinstance(n, int):
        return "?" if n is None else str(n)
    return "N" if n == PROBE else f"{n // PROBE}·N" if n and n % PROBE == 0 else str(n)


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return tensor.sizes if tensor is not None else None


def _holds(old: Any, now: Any, batch: Any) -> bool:
    """Whether what has a constant target does not carry on the batch that comes in."""
    if old is None or now.op not in TARGETS or not now.call.inputs or _computed(old, now):
        return False
    if now.op == "Resize" and not now.call.has(TARGETS["Resize"]):
        return False
    before, given, made = _shape(old.call.inputs[0]), _shape(now.call.inputs[0]), _shape(now.tensors[0])
    if before is None or given is None or _shape(old.tensors[0]) is None:
        return False
    axes = [i for i, (a, b) in enumerate(zip(before, given, strict=True)) if a != b]
    return len(axes) == 1 and made != _target(old, now, batch)[1]


def _computed(old: Layer, now: Layer) -> bool:
    """Whether the target is another one at another batch: nothing else changed, so it is computed from it."""
    place = TARGETS[now.op]
    before, after = (layer.call.contents(place) if layer.call.has(place) else None for layer in (old, now))
    return before is not None and after is not None and before != after and not now.problems


def _target(old: Any, now: Any, batch: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The target before, and the one that carries the batch on (`_numbers` makes it one for any batch)."""
    before, given = _shape(old.call.inputs[0]) or (), _shape(now.call.inputs[0]) or ()
    after = _shape(old.tensors[0]) or ()
    axis = next(i for i, (a, b) in enumerate(zip(before, given, strict=True)) if a != b)
    lead, own = prod(before[:axis]), before[axis]
    starts = [prod(after[:i]) for i in range(len(after))]
    exact = [i for i, start in enumerate(starts) if start == lead and after[i] == own]
    exact = [i for i, start in enumerate(starts) if start == lead and after[i] == 1 and i + 1 in exact] or exact
    apart = [i for i, start in enumerate(starts) if start == lead and after[i] == batch]  # heads stood beside it
    inside = [i for i, start in enumerate(starts) if lead % start == 0 and start * after[i] >= lead * own]
    chosen = next(iter([*exact, *apart, *inside]), 0)
    made = tuple(n * given[axis] // own if i == chosen else n for i, n in enumerate(after))
    return tuple(int(n) for n in after), tuple(int(n) for n in made)
