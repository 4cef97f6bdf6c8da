"""Which number of a file is behind a misfit: what an export wrote down for the one size it was made at.

An exporter runs the net once, on one image, and may write the shapes it saw into the file: ``Reshape → [1, 49, 512]``
of the 7×7 map that a 224 pixel image gives. At another size the layer that fails is that reshape, or one further on,
where what did not follow the image meets what did. So the trace of the misfit is laid beside one at a size that fits.
From the layer that fails the walk goes up the side that did not follow, to the layer that kept a number while its input
changed. What such a layer gives may be of a size that means nothing; then no layer behind it is to blame, and the walk
goes on up to it. The layers from the cause on are the chain.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from . import dims
from .definition import Definition
from .dims import Dim
from .graph import Tensor
from .kept import MAKERS, RULES, equal, made, padded
from .ops import baked
from .pair import Pair
from .problem import Baked, Problem
from .surgery.exports.follow import Held, Place, constant
from .surgery.exports.regroup import Sizes
from .traced import Layer, Trace

#: Problems of a layer whose weight, or table, does not go with what comes in.
MEETINGS = frozenset({"E101", "E102", "E105"})
#: Layers looked at behind one misfit.
MOST_LAYERS = 2_000
#: Numbers of a constant that are shown.
MOST_SHOWN = 12
#: Where Pad has its amounts.
PADS = Place(1, "pads")


class Said(NamedTuple):
    """A layer's constant: its name, the layer, what it holds, and which number belongs to another size."""

    constant: str
    layer: str
    value: str
    numbers: str


class Finder:
    """Finds the causes of one trace's problems; the trace at a size that fits is made when it is first asked for."""

    def __init__(self, model: Definition, trace: Trace) -> None:
        self.pair = Pair(model, trace)
        self.trace = trace
        self._found: dict[int, Baked | None] = {}

    def cause(self, problem: Problem) -> Baked | None:
        """The constant behind a problem; None where none is, or no size is known that fits."""
        if id(problem) not in self._found:
            self._found[id(problem)] = self._cause(problem)
        return self._found[id(problem)]

    def _cause(self, problem: Problem) -> Baked | None:
        layer = self.pair.layers.get(problem.layer)
        if layer is None or self.pair.fitting is None or layer.name not in self.pair.before:
            return None
        return self._behind(layer)

    # -- the walk -------------------------------------------------------------------------------------------------
    def _behind(self, failing: Layer) -> Baked | None:
        """The first layer from ``failing`` up the side at fault that kept a number while what comes in changed."""
        came: dict[str, Layer | None] = {failing.name: None}
        waiting = deque([failing])
        missed = self._missed(failing, True)
        for _ in range(MOST_LAYERS):
            if not waiting:
                break
            layer = waiting.popleft()
            said = self._said(layer, missed)
            if said is not None:
                return Baked(*said, self.pair.made_for, _chain(layer, came))
            for name in self._at_fault(layer):
                giver = self.pair.givers[name]
                if giver.name not in came:
                    came[giver.name] = layer
                    waiting.append(giver)
        return self._added(failing, self._missed(failing, False))

    def _at_fault(self, layer: Layer) -> list[str]:
        """The inputs to go on to: those of a size that means nothing, else those that stayed, else all."""
        names = [name for name in layer.node.inputs if name in self.pair.givers]
        unsound = [name for name in names if name in self.pair.unsound]
        return unsound or [name for name in names if self.pair.stuck(name)] or names

    def _said(self, layer: Layer, missed: Mapping[int, int]) -> Said | None:
        """What a layer kept; nothing where what comes in means nothing: an earlier layer is to blame."""
        if not self.pair.unsound.isdisjoint(layer.node.inputs):
            return None
        return self._kept(layer) or (self._met(layer) if layer.problems else None) or self._made(layer, missed)

    def _missed(self, failing: Layer, stayed: bool) -> dict[int, int]:
        """Sizes that two inputs of a join do not share, each with the other one: those that ``stayed`` as they were."""
        if all(problem.code != "E105" for problem in failing.problems):
            return {}
        old = self.pair.before[failing.name]
        sides = [(self.pair.sizes(now), self.pair.sizes(then)) for now, then in _tensors(failing, old)]
        joined = failing.call.attr("axis") if failing.op == "Concat" else None
        found: dict[int, int] = {}
        for (one, before), (two, _) in itertools.permutations(sides, 2):
            if one is None or two is None or before is None or len(before) != len(one):
                continue
            for back, (a, b, was) in enumerate(zip(reversed(one), reversed(two), reversed(before), strict=False)):
                along = joined is not None and len(one) - 1 - back == joined % len(one)
                if a != b and 1 not in (a, b) and not along and (a == was) is stayed:
                    found.setdefault(a, b)
        return found

    def _kept(self, layer: Layer) -> Said | None:
        """The constant of a layer that did not follow its input."""
        numbers = self.pair.kept(layer)
        return self._of(layer, RULES[layer.op], numbers, self.pair.places(layer)) if numbers else None

    def _made(self, layer: Layer, missed: Mapping[int, int]) -> Said | None:
        """The constant from which a layer makes a size that is missed further on."""
        held, old = MAKERS.get(layer.op), self.pair.before.get(layer.name)
        if held is None or old is None or not missed or self.pair.output(old) != self.pair.output(layer):
            return None
        now, then = self.pair.seen(layer, held), self.pair.seen(old, held)
        numbers = made(now, missed) if now is not None and then is not None and now.constant == then.constant else ""
        return self._of(layer, held, numbers) if numbers else None

    def _added(self, failing: Layer, missed: Mapping[int, int]) -> Baked | None:
        """The padding that an input of a join got to fit the other one, where nothing else is behind the misfit."""
        for name in failing.node.inputs if missed else ():
            way = list(self._unchanged(name))
            pad, old = (way[-1], self.pair.before.get(way[-1].name)) if way else (None, None)
            if pad is None or old is None or pad.op != "Pad":
                continue
            then, now = self.pair.seen(old, PADS), self.pair.seen(pad, PADS)
            numbers = padded(then, now, missed) if then is not None and now is not None else ""
            if numbers:
                chain = (*(layer.name for layer in reversed(way)), failing.name)
                return Baked(*self._of(pad, PADS, numbers), self.pair.made_for, chain)
        return None

    def _unchanged(self, name: str) -> Iterator[Layer]:
        """The layers above a value that give the shape they take, and the first that does not."""
        for _ in range(MOST_LAYERS):
            layer = self.pair.givers.get(name)
            if layer is None:
                return
            yield layer
            if not layer.node.inputs or self.pair.given(layer) != self.pair.output(layer):
                return
            name = layer.node.inputs[0]

    def _of(self, layer: Layer, held: Held, numbers: str, places: Sizes = ()) -> Said:
        """The constant of a layer in words; of a shape that is computed, the numbers that are not, of these places."""
        name = baked.constant(layer.call, held.place)
        listed = constant(layer, held) or ()
        shown = [str(number) for number in listed[:MOST_SHOWN]] + ["…"] * (len(listed) > MOST_SHOWN)
        value = f"[{', '.join(shown)}]"
        if name is None and (fixed := self._fixed(layer, held, listed, places)):
            told = re.findall(r"\d+", numbers.split(",")[0].rpartition(": ")[2])
            said = [number for number in fixed if number in told] or list(fixed)
            name, value = fixed[said[0]], f"{' and '.join(said)} in {value}"
        return Said(name or layer.name, layer.name, value, numbers)

    def _fixed(self, layer: Layer, held: Held, listed: Sequence[Dim], places: Sizes) -> dict[str, str]:
        """The numbers that are constants of the file: of these places, where there are any, else of all."""
        return baked.written_down(layer.call, held.place, listed, places) or baked.written_down(
            layer.call, held.place, listed
        )

    # -- a weight -------------------------------------------------------------------------------------------------
    def _met(self, layer: Layer) -> Said | None:
        """As `_kept`, of the weight, or the tensor made of constants alone, that does not go with what comes in."""
        old = self.pair.before.get(layer.name)
        if old is None or MEETINGS.isdisjoint(problem.code for problem in layer.problems) or self._fed(layer):
            return None
        changed = next((pair for pair in _tensors(old, layer) if self._changed(*pair)), None)
        if changed is None:
            return None
        names = [baked.constant(layer.call, index) for index in range(len(layer.call.inputs))]
        index = next((i for i, name in enumerate(names) if name is not None), None)
        tensor = layer.call.inputs[index] if index is not None else None
        if index is None or tensor is None or not tensor.shape or self._open(names[index] or ""):
            return None
        return Said(names[index] or "", layer.name, dims.show(tensor.shape), self._places(layer, *changed))

    def _fed(self, layer: Layer) -> bool:
        """Whether a layer reads the image itself and misses channels: those are the caller's, no size of a file."""
        given = layer.node.inputs[:1]
        return given[0] in self.trace.feeds and any(problem.code == "E102" for problem in layer.problems)

    def _open(self, name: str) -> bool:
        """Whether the definition leaves the size of a weight open: nothing was written down."""
        param = self.trace.graph.params.get(name)
        return param is not None and param.shape is None

    def _places(self, layer: Layer, then: Tensor | None, now: Tensor | None) -> str:
        """What came in where everything fits, and what comes in now: as a map's places where it was one."""
        one, two = self.pair.sizes(then) or (), self.pair.sizes(now) or ()
        pairs = [pair for pair in zip(one, two, strict=False) if pair[0] != pair[1]]
        if not pairs or len({*pairs}) > 2:
            return f"{dims.show(one)} came in, {dims.show(two)} now"
        places = self.pair.counted(layer, *pairs[0])
        if len(pairs) == 2 and (places is None or not places.layer):  # a map's height and width
            was, there = ("×".join(map(str, side)) for side in zip(*pairs, strict=True))
            return f"{was} places, {there} now"
        maps = [self._map(side, layer) for side in (self.pair.before, self.pair.layers)]
        if maps[0] and maps[1] and (prod(maps[0]), prod(maps[1])) == pairs[0]:
            return f"{equal(pairs[0][:1], maps[0])}, {equal(maps[1])} now"
        was, there = (places.then.replace("·", "×"), places.now.replace("·", "×")) if places else map(str, pairs[0])
        return f"{was} places{places.whose if places else ''}, {there} now"

    def _map(self, layers: Mapping[str, Layer], layer: Layer) -> Sizes | None:
        """The last map before a layer, without its batch, of the same elements."""
        name = layer.node.inputs[0]
        for _ in range(MOST_LAYERS):
            giver = self.pair.givers.get(name)
            found = layers.get(giver.name) if giver is not None else None
            sizes = self.pair.given(found) if found is not None else None
            if giver is None or found is None or sizes is None or prod(sizes) != prod(self.pair.output(found) or ()):
                return None
            if len(sizes) == 4:
                return sizes[1:]
            name = giver.node.inputs[0]
        return None

    def _changed(self, old: Tensor | None, new: Tensor | None) -> bool:
        sizes = [self.pair.sizes(tensor) for tensor in (old, new)]
        return None not in sizes and sizes[0] != sizes[1]


def _tensors(one: Layer, other: Layer) -> list[tuple[Tensor | None, Tensor | None]]:
    """What two layers of a name read, side by side."""
    return list(zip(one.call.inputs, other.call.inputs, strict=False))


def _chain(layer: Layer, came: Mapping[str, Layer | None]) -> tuple[str, ...]:
    """The names from the cause to the layer that fails, in order."""
    names = [layer.name]
    while (following := came[names[-1]]) is not None:
        names.append(following.name)
    return tuple(names)
