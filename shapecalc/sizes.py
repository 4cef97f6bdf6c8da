"""Backward: which input sizes a net accepts.

Every window is monotone in its input's size, so the sizes that give an allowed output form an interval, and walking
the graph from its last layer to its first turns "fc6 wants a 6×6 map" into "the input is 199 to 230". `bounds` is that
walk. Joins can forbid sizes inside the interval, so `valid_sizes` asks the forward rules as well, for all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .definition import Definition
from .dims import Dim, Expr
from .errors import UsageError
from .graph import Tensor
from .intervals import Interval, SizeSet
from .literal import AXIS_NAMES
from .ops import AnyWindow, Call, find
from .trace import Layer, Trace, first_input, trace

#: Sizes asked of the forward rules when nobody says a limit.
LIMIT = 4096


class Bound(NamedTuple):
    """The sizes a value may have along one axis, and the layers that set the lower and the upper end."""

    sizes: Interval
    lower: str = ""
    upper: str = ""

    def narrow(self, other: Bound) -> Bound:
        """Both conditions together; the layer of the tighter one is named at each end."""
        sizes = self.sizes.intersect(other.sizes)
        return Bound(
            sizes,
            self.lower if sizes.low == self.sizes.low else other.lower,
            self.upper if sizes.high == self.sizes.high else other.upper,
        )


ANY = Bound(Interval(1, None))


def bounds_of_values(fitting: Trace, axis: int) -> dict[str, Bound]:
    """Value name -> the sizes along spatial ``axis`` (0 height, 1 width) that every layer behind it can take.

    ``fitting`` is a trace without problems: where the net leaves maps behind (Flatten, Reshape, a fully connected
    layer), the size of the map there is the one the weights were made for.
    """
    allowed: dict[str, Bound] = {}
    for layer in reversed(fitting.layers):
        wanted = ANY
        for name in layer.node.outputs:
            wanted = wanted.narrow(allowed.get(name, ANY))
        for name, bound in _before(layer, axis, wanted):
            allowed[name] = allowed.get(name, ANY).narrow(bound)
    return allowed


def bounds(fitting: Trace, axis: int) -> Bound:
    """The input sizes along spatial ``axis`` for which every layer's own condition can hold."""
    given = first_input(fitting.graph)
    return bounds_of_values(fitting, axis).get(given.name, ANY) if given is not None else ANY


def _before(layer: Layer, axis: int, wanted: Bound) -> Iterator[tuple[str, Bound]]:
    """What a layer's inputs must be for its outputs to be ``wanted``."""
    call = layer.call
    row = find(layer.op, layer.node.domain)
    params = {value.name for value in layer.weights}
    for index, (name, tensor) in enumerate(zip(layer.node.inputs, call.inputs, strict=False)):
        if tensor is None or name in params or not _is_map(tensor, call, axis):
            continue
        if _leaves_maps(layer):
            size = call.spatial[axis] if index == 0 else None
            if isinstance(size, int):
                yield name, Bound(Interval(size, size), layer.name, layer.name)
        else:
            windows = row.windows(call) if row is not None and row.windows is not None and index == 0 else ()
            yield name, _through(layer, windows[axis], wanted) if windows else wanted


def _through(layer: Layer, window: AnyWindow, wanted: Bound) -> Bound:
    if layer.op.startswith("Global") or layer.call.attr("global_pooling") or layer.call.attr("refers"):
        return ANY if wanted.sizes.low <= 1 else Bound(Interval(1, 0), layer.name, layer.name)
    sizes = window.preimage(wanted.sizes)
    return Bound(sizes, wanted.lower or layer.name, wanted.upper)


def _is_map(tensor: Tensor, call: Call, axis: int) -> bool:
    return isinstance(tensor.shape, tuple) and len(tensor.shape) == 4 and axis < 2


def _leaves_maps(layer: Layer) -> bool:
    """Whether a map goes in and something that is no map comes out, with all its places kept."""
    if layer.op.startswith("Reduce"):
        return False
    shape = layer.tensors[0].shape if layer.tensors else ()
    return layer.op in ("Gemm", "Flatten", "Reshape") and isinstance(shape, tuple) and len(shape) < 4


class Sizes:
    """The square sizes a net accepts up to ``limit``, and which layer forbids the smaller and the larger ones.

    >>> from shapecalc import load
    >>> sizes = load("alexnet").sizes(limit=512)
    >>> 227 in sizes, sizes.nearest(256), str(sizes)
    (True, 230, '199 to 230')
    """

    def __init__(self, found: SizeSet, limit: int, lower: str = "", upper: str = "") -> None:
        self.found = found
        self.limit = limit
        self.lower = lower
        self.upper = upper

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The sizes as disjoint intervals."""
        return self.found.intervals

    def nearest(self, size: int) -> int | None:
        """The accepted size closest to ``size``; None if there is none up to the limit."""
        return self.found.nearest(size)

    def intersect(self, other: Sizes) -> Sizes:
        """The sizes both nets accept."""
        return Sizes(self.found.intersect(other.found), min(self.limit, other.limit), self.lower, self.upper)

    def to_dict(self) -> dict[str, Any]:
        """The sizes as JSON prints them."""
        return {
            "schema": "shapecalc.sizes/1",
            "limit": self.limit,
            "intervals": [list(interval) for interval in self.intervals],
            "forbids_smaller": self.lower,
            "forbids_larger": self.upper,
        }

    def __contains__(self, size: object) -> bool:
        return size in self.found

    def __iter__(self) -> Iterator[int]:
        return iter(self.found)

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        return str(self.found)

    def __repr__(self) -> str:
        return f"Sizes({self.found}, limit={self.limit})"


def reference(model: Definition, dialect: str | None = None) -> Trace | None:
    """A trace without problems to read the sizes of the maps from: at the native input; None where there is none."""
    try:
        found = model.trace(None, dialect=dialect)
    except UsageError:
        return None
    if found.ok:
        return found
    found = model.trace(
        None
    )  # another dialect does not even take the native size: pin the maps the weights were made for
    return found if found.ok else None


def square_bounds(model: Definition, dialect: str | None = None) -> Bound | None:
    """The interval of square sizes every layer can accept; None where no native size is known. Needs no numpy."""
    fitting = reference(model, dialect)
    if fitting is None:
        return None
    return bounds(fitting, 0).narrow(bounds(fitting, 1))


def valid_sizes(model: Definition, *, limit: int | None = None, dialect: str | None = None) -> Sizes:
    """Every square size up to ``limit`` that the net accepts, from the forward rules over all sizes at once.

    Raises UsageError where the net takes no image or is open about what it was made for.
    """
    import numpy

    limit = limit or LIMIT
    given = first_input(model.graph)
    if given is None or given.native is None or len(given.native) != 4:
        raise UsageError(
            f"{model.name} does not say what image it takes", "E207", hint="give --input once, to trace it"
        )
    every = numpy.arange(1, limit + 1)
    layout = AXIS_NAMES[given.layout]
    # a free batch is one item here: symbols and arrays do not mix
    feeds = {name: tuple(1 if isinstance(d, Expr) else d for d in shape) for name, shape in model.feeds(None).items()}
    shape: list[Dim] = list(feeds[given.name])
    shape[layout.index("H")] = shape[layout.index("W")] = every
    sized, wanted = model.sized()
    with numpy.errstate(all="ignore"):
        result = trace(model.graph, {**feeds, given.name: tuple(shape)}, dialect=dialect, sized=sized, wanted=wanted)
    fits = numpy.broadcast_to(numpy.asarray(result.fits), every.shape) & result.ok
    bound = square_bounds(model, dialect) or ANY
    return Sizes(SizeSet(Interval(int(n), int(n)) for n in every[fits]), limit, bound.lower, bound.upper)
