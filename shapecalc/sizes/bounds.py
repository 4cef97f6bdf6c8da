"""Backward: which input sizes a net accepts.

Every window is monotone in its input's size, so the sizes that give an allowed output form an interval, and walking
the graph from its last layer to its first turns "fc6 wants a 6×6 map" into "the input is 199 to 230". `bounds` is that
walk. Joins can forbid sizes inside the interval, so `valid_sizes` asks the forward rules as well, for all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..definition import Definition
from ..errors import UsageError
from ..graph import Tensor
from ..intervals import Interval
from ..literal import AXIS_NAMES
from ..ops import AnyWindow, Call, find
from ..trace import Layer, Trace, first_input


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


def native_size(model: Definition) -> tuple[int, int] | None:
    """(height, width) the definition was made for, None where it does not say."""
    given, fitting = first_input(model.graph), reference(model)
    if given is None or fitting is None:
        return None
    shape = fitting.feeds[given.name].shape
    layout = AXIS_NAMES[given.layout]
    if not isinstance(shape, tuple) or len(shape) != 4:
        return None
    height, width = shape[layout.index("H")], shape[layout.index("W")]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
