"""The trace of a misfit beside one at a size that fits: which values followed the image, which stayed, which mean
nothing any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cached_property
from math import prod

from . import dims
from .definition import Definition
from .dims import Shape
from .errors import UsageError
from .graph import Tensor, places
from .kept import RULES, Counted, Places, Seen, stuck_places
from .literal import USUAL
from .ops import baked
from .sizes import reference
from .surgery.exports.follow import Held, constant
from .surgery.exports.regroup import ITEMS, Sizes
from .trace import first_input
from .traced import Layer, Trace

#: Layers looked at behind one misfit.
MOST_LAYERS = 2_000
#: Layers looked at for the map that a count of places is of, and tokens that may stand beside those places.
MOST_NEAR, MOST_TOKENS = 400, 9


class Pair:
    """A trace that does not fit (``trace``) beside one of the same net at a size that does (``fitting``)."""

    def __init__(self, model: Definition, trace: Trace) -> None:
        self.model = model
        self.trace = trace

    @cached_property
    def fitting(self) -> Trace | None:
        """A trace at a size the net takes: the one it declares, else the first usual one."""
        found = reference(self.model, self.trace.dialect)
        if found is not None and dims.all_numbers(self._image(found)):
            return found
        return next(filter(None, map(self._at, USUAL)), None)

    def _image(self, trace: Trace) -> Shape:
        """Height and width of the image, or all of another input; empty where there is none."""
        given = first_input(trace.graph)
        shape = trace.feeds[given.name].shape if given is not None and given.name in trace.feeds else ()
        if given is None or not isinstance(shape, tuple):
            return ()
        return places(shape, given.layout) if len(shape) == 4 else shape

    def _at(self, size: int) -> Trace | None:
        given = first_input(self.trace.graph)
        fed = self.trace.feeds.get(given.name) if given is not None else None
        shape = fed.shape if fed is not None else ()
        if given is None or not isinstance(shape, tuple) or len(shape) != 4:
            return None
        first = given.layout.index("H")
        feeds = {name: tensor.shape for name, tensor in self.trace.feeds.items() if isinstance(tensor.shape, tuple)}
        feeds[given.name] = (*shape[:first], size, size, *shape[first + 2 :])
        try:
            found = self.model.trace(feeds, dialect=self.trace.dialect)
        except UsageError:
            return None
        return found if found.ok else None

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """The layers of the misfit by name."""
        return {layer.name: layer for layer in self.trace.layers}

    @cached_property
    def before(self) -> dict[str, Layer]:
        """The layers where everything fits, by name."""
        return {layer.name: layer for layer in self.fitting.layers} if self.fitting is not None else {}

    @cached_property
    def givers(self) -> dict[str, Layer]:
        """The layer that gives each value."""
        return {name: layer for layer in self.trace.layers for name in layer.node.outputs if name}

    @cached_property
    def made_for(self) -> str:
        """The size of the image at which everything fits: ``224×224``."""
        return dims.show(self._image(self.fitting)) if self.fitting is not None else ""

    # -- numbers --------------------------------------------------------------------------------------------------
    @cached_property
    def items(self) -> dict[str, int]:
        """What symbols of either trace count as: where one trace knows the number, that number."""
        bound: dict[str, int] = {}
        fitting = self.fitting.feeds if self.fitting is not None else {}
        for name, tensor in fitting.items():
            other = self.trace.feeds.get(name)
            if other is None or not isinstance(tensor.shape, tuple) or not isinstance(other.shape, tuple):
                continue
            for one, two in zip(tensor.shape, other.shape, strict=False):
                for symbol, number in ((one, two), (two, one)):
                    if dims.is_symbol(symbol):
                        bound.setdefault(str(symbol), number if isinstance(number, int) else ITEMS + 2 * len(bound))
        return bound

    def numbers(self, shape: Shape) -> Sizes | None:
        """Dimensions as numbers; None where some are not known."""
        sizes = tuple(dims.substitute(d, self.items) if isinstance(d, dims.Expr) else d for d in shape)
        return sizes if all(isinstance(size, int) for size in sizes) else None

    def sizes(self, tensor: Tensor | None) -> Sizes | None:
        """A shape in numbers; None where it has none."""
        shape = tensor.shape if tensor is not None else None
        return self.numbers(shape) if isinstance(shape, tuple) else None

    def given(self, layer: Layer) -> Sizes | None:
        """The shape of a layer's first input."""
        return self.sizes(layer.call.inputs[0]) if layer.call.inputs else None

    def output(self, layer: Layer) -> Sizes | None:
        """The shape of a layer's first output."""
        return self.sizes(layer.tensors[0]) if layer.tensors else None

    def seen(self, layer: Layer, held: Held) -> Seen | None:
        """A layer at one size in numbers; None where some are not known."""
        listed, given = constant(layer, held), self.given(layer)
        numbers = self.numbers(listed) if listed is not None else None
        if numbers is None or given is None:
            return None
        return Seen(numbers, given, self.output(layer) or (), layer)

    # -- what became of values ------------------------------------------------------------------------------------
    def changed(self, name: str) -> bool | None:
        """Whether a value has another shape than where everything fits; None where that is not known."""
        fitting = self.fitting.tensors if self.fitting is not None else {}
        one, two = self.sizes(fitting.get(name)), self.sizes(self.trace.tensors.get(name))
        return None if one is None or two is None else one != two

    @cached_property
    def fed(self) -> set[str]:
        """The values that the net's inputs reach."""
        found = set(self.trace.feeds)
        for layer in self.trace.layers:
            if not found.isdisjoint(layer.node.inputs):
                found.update(layer.node.outputs)
        return found

    def stuck(self, name: str) -> bool:
        """Whether a map or a table of features stayed as it was: sizes on their way to a layer are none."""
        tensor = self.trace.tensors.get(name)
        if tensor is None or tensor.contents is not None or name not in self.fed:
            return False
        return self.changed(name) is False and prod(self.sizes(tensor) or ()) > 1

    @cached_property
    def unsound(self) -> set[str]:
        """The values whose size means nothing: a reshape kept a number, and so another one changed.

        ``[1, 197, 12, -1]`` of 401 places gives some other number of channels; who reads that is not to blame.
        """
        found: set[str] = set()
        for layer in self.trace.layers:
            if layer.node.outputs and self.changed(layer.node.outputs[0]) is not False and self._unsound(layer, found):
                found.update(layer.node.outputs)
        return found

    def _unsound(self, layer: Layer, found: set[str]) -> bool:
        if found.isdisjoint(layer.node.inputs):
            return layer.op == "Reshape" and bool(layer.problems or self.kept(layer))
        output = self.trace.tensors[layer.node.outputs[0]].shape
        sound = (name for name in layer.node.inputs if name not in found and self.changed(name))
        return not any(self.trace.tensors[name].shape == output for name in sound)

    def kept(self, layer: Layer) -> str:
        """The number of a layer's constant that did not follow its input; "" where it did."""
        seen = self._both(layer)
        return RULES[layer.op].kept(*seen) if seen is not None else ""

    def places(self, layer: Layer) -> Sizes:
        """Where in a reshape's target that number stands; empty where that is not known."""
        seen = self._both(layer) if layer.op == "Reshape" else None
        return stuck_places(*seen) if seen is not None else ()

    def _both(self, layer: Layer) -> tuple[Seen, Seen, bool, Counted] | None:
        """A layer where everything fits and now, whether it is what fails, and who counts places."""
        rule, old = RULES.get(layer.op), self.before.get(layer.name)
        if rule is None or old is None:
            return None
        then, now = self.seen(old, rule), self.seen(layer, rule)
        if then is None or now is None or then.given == now.given:
            return None
        return then, now, bool(layer.problems), lambda a, b: self.counted(layer, a, b)

    # -- places ---------------------------------------------------------------------------------------------------
    def counted(self, layer: Layer, before: int, now: int) -> Places | None:
        """Of which map above a layer ``before`` and ``now`` are the places; squares where no map has so many."""
        if before % ITEMS == 0 or now % ITEMS == 0:
            return None
        for above in self._above(layer):
            found = self._grid(above, before, now)
            if found is not None:
                return found
        then, there = baked.squares(before, now)
        return Places(then.replace("×", "·"), there.replace("×", "·"), "") if "×" in then else None

    def _above(self, layer: Layer) -> Iterator[Layer]:
        """The layers before one, the nearest first."""
        seen, waiting = {layer.name}, deque([layer])
        for _ in range(MOST_NEAR):
            if not waiting:
                return
            for name in waiting.popleft().node.inputs:
                giver = self.givers.get(name)
                if giver is not None and giver.name not in seen:
                    seen.add(giver.name)
                    waiting.append(giver)
                    yield giver

    def _grid(self, layer: Layer, before: int, now: int) -> Places | None:
        """The places of what a layer gives, where it is a map of so many, with a few tokens beside."""
        old = self.before.get(layer.name)
        one, two = (self.output(side) if side is not None else None for side in (old, layer))
        if one is None or two is None or len(one) != 4 or len(two) != 4:
            return None
        axes = {axis for axis in range(4) if one[axis] != two[axis]}
        for first in (2, 1):  # channels first, or last
            if axes and axes <= {first, first + 1}:
                then, there = one[first : first + 2], two[first : first + 2]
                tokens = before - prod(then)
                if 0 <= tokens < MOST_TOKENS and prod(there) + tokens == now:
                    extra = f" + {tokens}" if tokens else ""
                    return Places("·".join(map(str, then)) + extra, "·".join(map(str, there)) + extra, layer.name)
        return None
