"""Which number of a file is behind a misfit: what an export wrote down for the one size it was made at.

An exporter runs the net once, on one image, and may write the shapes it saw into the file: ``Reshape → [1, 49, 512]``
of the 7×7 map that a 224 pixel image gives. At another size the layer that fails is that reshape, or one further on,
where what did not follow the image meets what did. So the trace of the misfit is laid beside one at a size that fits,
and the nearest layer that kept a number while its input changed is the cause; the layers from there on are the chain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from math import prod
from typing import NamedTuple

from . import dims
from .definition import Definition
from .dims import Shape
from .errors import UsageError
from .graph import Tensor, places
from .literal import USUAL
from .ops import baked
from .sizes import reference
from .surgery.exports.follow import constant
from .surgery.exports.regroup import ITEMS, Group, Sizes, batched, groups
from .trace import first_input
from .traced import Baked, Layer, Problem, Trace

#: Operators that keep every element of a map.
FLATTENING = frozenset({"Flatten", "Reshape", "Dropout", "Identity", "Squeeze"})
#: What a window asks of its input, whatever the size a file was made for: room, and groups.
WINDOWS = frozenset({"E103", "E104"})
#: Layers looked at behind one misfit.
MOST_LAYERS = 2_000


class Seen(NamedTuple):
    """A layer at one size: the contents of its constant, the shape of its input and of its output, all numbers."""

    constant: Sizes
    given: Sizes
    output: Sizes
    layer: Layer


class Rule(NamedTuple):
    """The input (or, in old files, the attribute) that may hold a number of one size, and how to tell that it does.

    ``kept`` sees the layer where everything fits and where something does not, and whether it is itself what fails; it
    says which number did not follow what came in, or nothing.
    """

    place: int
    attribute: str
    kept: Callable[[Seen, Seen, bool], str]


def _reshape(old: Seen, new: Seen, fails: bool) -> str:
    """Axes that became one, or were split, into numbers that stayed while their product changed."""
    if len(new.given) != len(old.given) or len(new.constant) != len(old.constant):
        return ""
    for leading in (False, True):
        for group in groups(old.given, old.output, leading=leading):
            said = _group(old.given[group.inputs], new.given[group.inputs], *_targets(old, new, group), fails)
            if said:
                return said
    return ""


def _targets(old: Seen, new: Seen, group: Group) -> tuple[Sizes, Sizes, Sizes]:
    return old.output[group.outputs], old.constant[group.outputs], new.constant[group.outputs]


def _group(before: Sizes, now: Sizes, after: Sizes, old: Sizes, new: Sizes, fails: bool) -> str:
    """One group of axes: ``before`` became ``after`` by the targets ``old``; now ``now`` comes in, ``new`` is asked."""
    if prod(before) == prod(now) or not any(a == b > 1 for a, b in zip(old, new, strict=True)):
        return ""
    fixed = [n for n, target in zip(after, old, strict=True) if target > 0]
    rest = [n for n, target in zip(after, old, strict=True) if target <= 0 and n != 1]
    if old == new and not rest:
        return f"{_equal(fixed, before)}, {_equal(now)} now"
    if fails and rest and old == new and prod(now) % prod(fixed):
        return f"{_equal(before)} split by {_equal(fixed)}, {_equal(now)} now"
    if fails and old != new and not rest and prod(now) != prod(new):
        return f"{_equal(fixed, before)}, {_equal(now)} now"
    return ""


def _equal(*sides: Iterable[int]) -> str:
    """``49 = 7·7``: both sides as products, one where they read alike."""
    texts = ["·".join(str(n) for n in batched(tuple(n for n in side if n != 1)) or (1,)) for side in sides]
    return " = ".join(dict.fromkeys(texts))


def _slice(old: Seen, new: Seen, fails: bool) -> str:
    """An end that was the whole axis, and is less than it now."""
    axes = new.layer.call.contents(3) or new.layer.call.attr("axes") or range(len(new.constant))
    for end, same, axis in zip(old.constant, new.constant, axes, strict=False):
        if end == same == old.given[axis] < new.given[axis]:
            return f"{end} was all of the axis, which has {new.given[axis]} now"
    return ""


def _resize(old: Seen, new: Seen, fails: bool) -> str:
    """Sizes that stayed while the map that is resized changed."""
    kept = old.constant == new.constant and len(old.given) == len(new.given) == len(new.constant)
    pairs = zip(new.constant, old.given, new.given, strict=True) if kept else ()
    changed = [(size, a, b) for size, a, b in pairs if a != b]
    if not changed:
        return ""
    sizes, before, now = ("×".join(map(str, side)) for side in zip(*changed, strict=True))
    return f"{sizes} from {before}, {now} now"


def _split(old: Seen, new: Seen, fails: bool) -> str:
    """Parts that add up to what the axis was."""
    axis = int(new.layer.call.attr("axis", 0))
    if old.constant == new.constant and sum(old.constant) == old.given[axis] != new.given[axis]:
        return f"{' + '.join(map(str, new.constant))} = {old.given[axis]}, {new.given[axis]} now"
    return ""


RULES = {
    "Reshape": Rule(1, "shape", _reshape),
    "Slice": Rule(2, "ends", _slice),
    "Resize": Rule(3, "sizes", _resize),
    "Split": Rule(1, "split", _split),
}


class Finder:
    """Finds the causes of one trace's problems; the trace at a size that fits is made when it is first asked for."""

    def __init__(self, model: Definition, trace: Trace) -> None:
        self.model = model
        self.trace = trace
        self._found: dict[int, Baked | None] = {}

    def cause(self, problem: Problem) -> Baked | None:
        """The constant behind a problem; None where none is, or no size is known that fits."""
        if id(problem) not in self._found:
            self._found[id(problem)] = self._cause(problem)
        return self._found[id(problem)]

    def _cause(self, problem: Problem) -> Baked | None:
        layer = self.layers.get(problem.layer)
        if layer is None or self.fitting is None or layer.name not in self.before:
            return None
        return self._behind(layer)

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

    @cached_property
    def made_for(self) -> str:
        """The size of the image at which everything fits: ``224×224``."""
        return dims.show(self._image(self.fitting)) if self.fitting is not None else ""

    # -- the walk -------------------------------------------------------------------------------------------------
    def _behind(self, failing: Layer) -> Baked | None:
        """The nearest layer at or above ``failing`` that kept a number, or met a weight, while its input changed."""
        came: dict[str, Layer | None] = {failing.name: None}
        waiting = deque([failing])
        for _ in range(MOST_LAYERS):
            if not waiting:
                break
            layer = waiting.popleft()
            said = self._kept(layer) or (self._met(layer) if layer.problems else None)
            if said is not None:
                return Baked(*said, self.made_for, _chain(layer, came))
            for name in layer.node.inputs:
                giver = self.givers.get(name)
                if giver is not None and giver.name not in came:
                    came[giver.name] = layer
                    waiting.append(giver)
        return None

    def _kept(self, layer: Layer) -> tuple[str, str, str, str] | None:
        """(constant, layer, value, numbers) where a layer's constant did not follow its input."""
        rule, old = RULES.get(layer.op), self.before.get(layer.name)
        if rule is None or old is None:
            return None
        sides = [self._seen(one, rule) for one in (old, layer)]
        if sides[0] is None or sides[1] is None or sides[0].given == sides[1].given:
            return None
        numbers = rule.kept(sides[0], sides[1], bool(layer.problems))
        if not numbers:
            return None
        name = baked.constant(layer.call, rule.place) or layer.name
        return name, layer.name, "[" + ", ".join(map(str, constant(layer, rule) or ())) + "]", numbers

    def _seen(self, layer: Layer, rule: Rule) -> Seen | None:
        """A layer at one size in numbers; None where some are not known."""
        listed, given = constant(layer, rule), self._sizes(layer)
        numbers = self._numbers(listed) if listed is not None else None
        if numbers is None or given is None:
            return None
        return Seen(numbers, given, self._sizes(layer, output=True) or (), layer)

    def _sizes(self, layer: Layer, output: bool = False) -> Sizes | None:
        """The first input's or output's shape in numbers; None where it has none."""
        tensors = layer.tensors if output else layer.call.inputs
        shape = tensors[0].shape if tensors and tensors[0] is not None else None
        return self._numbers(shape) if isinstance(shape, tuple) else None

    def _numbers(self, shape: Shape) -> Sizes | None:
        sizes = tuple(dims.substitute(d, self.items) if isinstance(d, dims.Expr) else d for d in shape)
        return sizes if all(isinstance(size, int) for size in sizes) else None

    # -- a weight -------------------------------------------------------------------------------------------------
    def _met(self, layer: Layer) -> tuple[str, str, str, str] | None:
        """As `_kept`, of the weight, or the tensor made of constants alone, that does not go with what comes in."""
        old = self.before.get(layer.name)
        if old is None or all(problem.code in WINDOWS for problem in layer.problems) or self._fed(layer):
            return None
        changed = [self._changed(a, b) for a, b in zip(old.call.inputs, layer.call.inputs, strict=False)]
        if True not in changed:
            return None
        then, now = (one.call.inputs[changed.index(True)] for one in (old, layer))
        names = [baked.constant(layer.call, index) for index in range(len(layer.call.inputs))]
        index = next((i for i, name in enumerate(names) if name is not None), None)
        tensor = layer.call.inputs[index] if index is not None else None
        if index is None or tensor is None or not tensor.shape or self._open(names[index] or ""):
            return None
        return names[index] or "", layer.name, dims.show(tensor.shape), self._places(layer, then, now)

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
        shapes = [tensor.shape for tensor in (then, now) if tensor is not None and isinstance(tensor.shape, tuple)]
        pairs = list(dict.fromkeys(pair for pair in zip(*shapes, strict=False) if dims.equal(*pair) is False))
        maps = [self._map(one, layer) for one in (self.before, self.layers)] if len(pairs) == 1 else []
        if maps and maps[0] and maps[1] and prod(maps[0]) == pairs[0][0] and prod(maps[1]) == pairs[0][1]:
            return f"{_equal(pairs[0][:1], maps[0])}, {_equal(maps[1])} now"
        if len(pairs) == 1:
            return "{} places, {} now".format(*baked.squares(*pairs[0]))
        return "{} came in, {} now".format(*map(dims.show, shapes)) if len(shapes) == 2 else ""

    def _map(self, layers: Mapping[str, Layer], layer: Layer) -> Sizes | None:
        """The last map before a layer, without its batch, of the same elements."""
        name = layer.node.inputs[0]
        for _ in range(MOST_LAYERS):
            giver = self.givers.get(name)
            found = layers.get(giver.name) if giver is not None else None
            if giver is None or found is None or giver.op not in FLATTENING:
                return None
            sizes = self._sizes(found)
            if sizes is not None and len(sizes) == 4:
                return sizes[1:]
            name = giver.node.inputs[0]
        return None

    def _changed(self, old: object, new: object) -> bool:
        shapes = [getattr(tensor, "shape", None) for tensor in (old, new)]
        sizes = [self._numbers(shape) for shape in shapes if isinstance(shape, tuple)]
        return len(sizes) == 2 and None not in sizes and sizes[0] != sizes[1]


def _chain(layer: Layer, came: Mapping[str, Layer | None]) -> tuple[str, ...]:
    """The names from the cause to the layer that fails, in order."""
    names = [layer.name]
    while (following := came[names[-1]]) is not None:
        names.append(following.name)
    return tuple(names)
