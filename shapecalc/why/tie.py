"""A text tied to its model: which layer it is about, and which square inputs give its numbers.

The layer is the one the text names, else the one whose weights or window have the text's numbers. The sizes come from
one trace over all of them at once: those at which that layer meets exactly what the text says it was given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..definition import Definition
from ..dims import Expr, Shape, equal, product
from ..explain import slides_of
from ..graph import places
from ..intervals import Interval, SizeSet
from ..literal import AXIS_NAMES, USUAL
from ..ops import MissingInputError, OpenRankError
from ..said import Said
from ..said.row import CHANNELS, FAN_IN, INPUT, JOIN, KERNEL, PROFILE, RESHAPE, WEIGHTS
from ..trace import Layer, Trace, first_input, trace

#: Square sizes that are tried.
LARGEST = 2048


class Tie(NamedTuple):
    """What a text is about: a layer, the square sizes that give its numbers, and the input to look at."""

    layer: str | None
    sizes: SizeSet | None
    spec: Any
    note: str

    def to_dict(self) -> dict[str, Any]:
        """The tie as JSON prints it."""
        sizes = None if self.sizes is None else [list(interval) for interval in self.sizes.intervals]
        return {"layer": self.layer, "sizes": sizes, "note": self.note}


def tie(model: Definition, said: Said, spec: Any, dialect: str | None) -> Tie:
    """Ties a text to a model; ``spec`` is the input that was given, None for none."""
    if said.kind == WEIGHTS:
        return _weights(model, said, spec)
    if said.kind in (INPUT, PROFILE):
        return _input(model, said, spec)
    if said.kind == CHANNELS and spec is None and len(said.given) == 1:
        return _channels(model, said, dialect)
    swept = sweep(model, dialect)
    if swept is None or said.kind not in MEETINGS:
        return Tie(_named(model, said), None, spec, "")
    return _sized(model, said, spec, swept)


def _sized(model: Definition, said: Said, spec: Any, swept: Trace) -> Tie:
    candidates = [layer for layer in swept.layers if _could_name(layer, said)] or swept.layers
    found: list[tuple[Layer, SizeSet]] = []
    for layer in candidates:
        meets = _met(layer, said)
        if meets is not None:
            found.append((layer, meets))
    with_sizes = [(layer, sizes) for layer, sizes in found if sizes]
    if not with_sizes:
        name = found[0][0].name if found else _named(model, said)
        asked = f"gives {said.given[0]:,} in {name}" if name and len(said.given) == 1 else "gives the text's numbers"
        note = f"no square input up to {LARGEST} {asked}: another net, another edit of it, or an image not square"
        return Tie(name, None, spec, note if said.given or said.wanted else "")
    layer, sizes = with_sizes[0]
    if spec is not None:
        return Tie(layer.name, sizes, spec, f"square inputs of {sizes} give the text's numbers")
    size = _likely(model, sizes)
    return Tie(layer.name, sizes, size, f"square inputs of {sizes} give the text's numbers; {size} is looked at")


def _likely(model: Definition, sizes: SizeSet) -> int:
    """The size people feed most, of those that give the numbers; else the one nearest to the native one."""
    usual = next((size for size in USUAL if size in sizes), None)
    if usual is not None:
        return usual
    given = first_input(model.graph)
    native = places(given.native, given.layout) if given is not None and given.native is not None else ()
    found = sizes.nearest(int(native[0]) if native and isinstance(native[0], int) else USUAL[0])
    assert found is not None
    return found


def sweep(model: Definition, dialect: str | None) -> Trace | None:
    """A trace over all square sizes at once; None where the model takes no image."""
    import numpy

    given = first_input(model.graph)
    if given is None or given.native is None or len(given.native) != 4:
        return None
    native = {i.name: i.native for i in model.graph.inputs if i.native is not None}
    feeds = {name: tuple(1 if isinstance(d, Expr) else d for d in shape) for name, shape in native.items()}
    every = numpy.arange(1, LARGEST + 1)
    layout = AXIS_NAMES[given.layout]
    shape = tuple(every if axis in "HW" else d for axis, d in zip(layout, feeds[given.name], strict=True))
    sized, wanted = model.sized()
    with numpy.errstate(all="ignore"):
        return trace(model.graph, {**feeds, given.name: shape}, dialect=dialect, sized=sized, wanted=wanted)


# -- where a layer meets the text's numbers ---------------------------------------------------------------------------


def _met(layer: Layer, said: Said) -> SizeSet | None:
    """The sizes at which a layer meets the numbers; None where it is not such a layer."""
    try:
        verdict = MEETINGS[said.kind](layer, said)
    except (MissingInputError, OpenRankError, IndexError, KeyError, TypeError, ValueError):
        return None
    if verdict is None or verdict is False:
        return None if verdict is None else SizeSet()
    return _where(verdict)


def _where(verdict: Any) -> SizeSet:
    import numpy

    mask = numpy.broadcast_to(numpy.asarray(verdict, dtype=bool), (LARGEST,))
    return SizeSet(Interval(int(n) + 1, int(n) + 1) for n in numpy.flatnonzero(mask))


def _all(verdicts: Iterable[Any]) -> Any:
    """All of several verdicts, each a bool or one for each size."""
    result: Any = True
    for verdict in verdicts:
        if verdict is None:
            return None
        result = result & verdict
    return result


def _fan_in(layer: Layer, said: Said) -> Any:
    if layer.op not in ("Gemm", "MatMul") or not layer.weights:
        return None
    call = layer.call
    weight = layer.weights[0].tensor.shape
    given = call.shape()
    if not isinstance(weight, tuple) or len(weight) != 2:
        return None
    axis = int(call.attr("axis", len(given) - 1))
    fan_in = weight[1] if layer.op == "Gemm" and call.attr("transB", 0) else weight[0]
    if said.wanted and equal(fan_in, said.wanted[0]) is not True:
        return None
    arrived = product(given[axis:])
    return equal(arrived, said.given[0]) if said.given else False


def _join(layer: Layer, said: Said) -> Any:
    maps = [v.tensor.shape for v in layer.inputs if isinstance(v.tensor.shape, tuple) and len(v.tensor.shape) > 2]
    if len(layer.call.inputs) < 2 or not maps or not said.wanted:
        return None
    shapes = [t.shape for t in layer.call.inputs if t is not None and isinstance(t.shape, tuple)]
    found: Any = False
    for first, second in itertools.pairwise(shapes):
        for a, b in ((said.wanted, said.given), (said.given, said.wanted)):
            found = found | _pair(first, second, a, b)
    return found


def _pair(first: Shape, second: Shape, a: tuple[int, ...], b: tuple[int, ...]) -> Any:
    """Where two shapes are (or have, on some axis) two numbers."""
    if len(a) == 1:
        found: Any = False
        for x, y in zip(first, second, strict=False):
            both = _all([equal(x, a[0]), equal(y, b[0])])
            found = found | (False if both is None else both)
        return found
    tails = zip((*first, *second), (*_tail(first, a), *_tail(second, b)), strict=False)
    both = _all(equal(x, y) for x, y in tails if y is not None)
    return False if both is None else both


def _tail(shape: Shape, numbers: tuple[int, ...]) -> tuple[int | None, ...]:
    """The numbers beside the last axes of a shape: a text may leave the batch out."""
    missing = len(shape) - len(numbers)
    return (*[None] * missing, *numbers) if missing >= 0 else numbers[-len(shape) :]


def _kernel(layer: Layer, said: Said) -> Any:
    windows = slides_of(layer)
    if not windows:
        return None
    numbers = said.wanted or said.given or said.output
    if not numbers and not said.layer:
        return _all(window.size(n) < 1 for window, n in windows)
    found: Any = True
    for (window, n), index in zip(windows, range(-len(windows), 0), strict=True):
        if said.wanted:
            found = _all([found, equal(window.extent, _of(said.wanted, index))])
        if said.given:
            found = _all([found, equal(window.numerator(n) + window.extent, _of(said.given, index))])
        if said.output:
            found = _all([found, equal(window.size(n), _of(said.output, index))])
        if not numbers:
            found = _all([found, window.size(n) < 1])
    return found


def _of(numbers: tuple[int, ...], index: int) -> int:
    return numbers[index] if len(numbers) >= -index else numbers[-1]


def _reshape(layer: Layer, said: Said) -> Any:
    if layer.op != "Reshape":
        return None
    target = layer.call.contents(1) if layer.call.has(1) else layer.call.attr("shape")
    if not said.layer and tuple(target or ()) != said.wanted:
        return None
    given = layer.call.shape()
    if len(said.given) > 1:
        return (
            _all(equal(d, n) for d, n in zip(given, said.given, strict=False))
            if len(given) == len(said.given)
            else None
        )
    return equal(product(given), said.given[0]) if said.given else False


MEETINGS: dict[str, Callable[[Layer, Said], Any]] = {
    FAN_IN: _fan_in,
    JOIN: _join,
    KERNEL: _kernel,
    RESHAPE: _reshape,
}


# -- texts that name things -------------------------------------------------------------------------------------------


def _could_name(layer: Layer, said: Said) -> bool:
    return bool(said.layer) and said.layer in (layer.name, *layer.node.outputs)


def _named(model: Definition, said: Said) -> str | None:
    """The layer a text names, by its own name or by that of a parameter (``fc.weight``)."""
    if not said.layer:
        return None
    for node in model.graph.nodes:
        if said.layer in (node.name, *node.outputs, *node.inputs):
            return node.name
    stem = said.layer.rsplit(".", 1)[0].split("/")[0]
    return next((node.name for node in model.graph.nodes if node.name == stem), None)


def _weights(model: Definition, said: Said, spec: Any) -> Tie:
    name = _named(model, said)
    if name is None:
        return Tie(None, None, spec, f"{model.name} has no layer or parameter {said.layer}" if said.layer else "")
    node = model.graph.node(name)
    tensors = model.trace(spec).tensors
    shapes = [tensors[i].shape for i in node.inputs if i in model.graph.params and i in tensors]
    own = next((s for s in shapes if isinstance(s, tuple) and len(s) > 1), ())
    for side, numbers in (("the model's", said.wanted), ("the file's", said.given)):
        if tuple(own) == numbers:
            return Tie(name, None, spec, f"{name} of {model.name} has {side} shape")
    shown = "×".join(map(str, own))
    return Tie(name, None, spec, f"{name} of {model.name} has {shown}, neither the model's nor the file's of the text")


def _input(model: Definition, said: Said, spec: Any) -> Tie:
    """What was fed becomes the input to look at: whether the net behind its declared input could take it."""
    given = first_input(model.graph)
    if spec is not None or given is None or not said.given or given.native is None or len(given.native) != 4:
        return Tie(None, None, spec, "")
    sizes = said.given[-3:] if len(said.given) > 1 else said.given
    axis = said.axis if said.axis is not None else 2
    if len(sizes) == 1 and axis < 2:
        shape = (*given.native[:axis], sizes[0], *given.native[axis + 1 :])
        spec = {given.name: tuple(1 if isinstance(d, Expr) else d for d in shape)}
    elif len(said.given) == 4:
        spec = {given.name: said.given}
    else:
        spec = sizes[0] if len(sizes) == 1 else sizes
    return Tie(given.name, None, spec, "the runtime compares with what the file declares; this asks the net behind it")


def _channels(model: Definition, said: Said, dialect: str | None) -> Tie:
    given = first_input(model.graph)
    native = given.native if given is not None else None
    if given is None or native is None or len(native) != 4 or given.layout != "NCHW":
        return Tie(_named(model, said), None, None, "")
    shape = tuple(1 if isinstance(d, Expr) else d for d in (native[0], said.given[0], *native[2:]))
    found = model.trace({given.name: shape}, dialect=dialect)
    layer = next((problem.layer for problem in found.problems if problem.code in ("E102", "E104")), None)
    note = "" if layer else f"{model.name} takes {said.given[0]} channels"
    return Tie(layer, None, {given.name: shape} if layer else None, note)
