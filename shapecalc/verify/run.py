"""A graph as something that runs: the model with every tensor as an output, its numbers, and one timed run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import memory
from ..definition import Definition
from ..dims import Expr, Shape, all_numbers, product, show
from ..errors import RefusedError
from ..formats.onnx.write import to_proto
from ..graph import Graph, Input, places
from ..layout import forms
from ..literal import USUAL
from ..lower import lower
from ..trace import Trace, trace
from ..weights import Array, Numbers, from_file, proving, trained
from . import onnx_file
from .device import device_name, make_session, refused

if TYPE_CHECKING:
    import onnx


class Runnable(NamedTuple):
    """A model onnxruntime can run: the proto, the numbers it declares, and the shapes predicted for its tensors."""

    proto: onnx.ModelProto
    arrays: dict[str, Array]
    inputs: dict[str, Array]
    predicted: dict[str, tuple[Any, ...] | None]
    folder: str | None = None  # where weights that stay in their own file lie
    seeded: tuple[str, ...] = ()  # parameters whose numbers were made up
    drawn: tuple[str, ...] = ()  # values that are drawn at random, with seeds of the proof: a second run draws others


class Run(NamedTuple):
    """What one run gave: every tensor, where it ran and how long (seconds, after one warm-up)."""

    tensors: dict[str, Array]
    device: str
    device_name: str
    load_seconds: float
    run_seconds: float


def runnable(
    model: Definition, graph: Graph, traced: Trace, seed: int, given: Mapping[str, Array] | None = None
) -> Runnable:
    """``graph``, the model's own or an edited one, at the shapes of its trace, seeded where it has no weights.

    A free batch is run as 1, a free height or width as 224, or the first usual size that fits.
    """
    traced = _concrete(model, graph, traced)
    if graph.format == "onnx":
        shapes = {name: tensor.shape for name, tensor in traced.feeds.items() if isinstance(tensor.shape, tuple)}
        loaded = onnx_file.load_edited(model, graph, traced, seed, given)
        predicted = dict(onnx_file.predictions(graph, traced))
        images = _images(graph.inputs, shapes, seed)
        made_up = tuple(loaded.arrays)
        return Runnable(loaded.proto, loaded.arrays, images, predicted, loaded.folder, made_up, loaded.drawn)
    return _from_definition(model, graph, traced, seed, given)


def _concrete(model: Definition, graph: Graph, traced: Trace) -> Trace:
    """The trace at an input of numbers: only that can run."""
    feeds = {name: tensor.shape for name, tensor in traced.feeds.items() if isinstance(tensor.shape, tuple)}
    if all(all_numbers(shape) for shape in feeds.values()):
        return traced
    return model.retrace(graph, _bound(graph, feeds, _free_size(model)))


def _free_size(model: Definition) -> int:
    """The size at which images of free height and width are run: the first usual one that the model takes.

    An export may leave them free and still hold a reshape for the one size that it saw.
    """
    fits = (size for size in USUAL if model.retrace(model.graph, _bound(model.graph, model.native, size)).ok)
    return next(fits, USUAL[0])


def _bound(graph: Graph, feeds: Mapping[str, Shape], size: int) -> dict[str, Shape]:
    """Numbers in place of free dimensions: ``size`` for height and width, 1 for others."""
    layouts = {given.name: given.layout for given in graph.inputs}
    found = {}
    for name, shape in feeds.items():
        axes = places(tuple(range(len(shape))), layouts.get(name, "NCHW")) if len(shape) == 4 else ()
        found[name] = tuple((size if i in axes else 1) if isinstance(d, Expr) else d for i, d in enumerate(shape))
    return found


def _from_definition(
    model: Definition, graph: Graph, traced: Trace, seed: int, given: Mapping[str, Array] | None
) -> Runnable:
    lowered = lower(graph, traced)
    shapes = {name: tensor.shape for name, tensor in traced.feeds.items() if isinstance(tensor.shape, tuple)}
    wanted = {i.name: shapes[i.name] for i in lowered.inputs}
    predicted = trace(lowered, wanted, dialect="onnxruntime")
    if predicted.problems:
        raise RefusedError(
            "the lowered model does not fit onnxruntime's own rules",
            "E401",
            because=predicted.problems[0].headline,
            hint="--dialect onnxruntime shows its sizes; another input may fit both",
        )
    known = dict(given or {})
    known |= trained(model, lowered, known)
    numbers = Numbers(lowered, known, make=proving, seed=seed)
    proto = to_proto(lowered, predicted, external=True, every_output=True)
    read = {name for node in lowered.nodes for name in node.inputs}
    arrays = {p.name: numbers.array(p.name) for p in lowered.params.values() if p.contents is None and p.name in read}
    names = [name for node in lowered.nodes for name in node.outputs if name]
    shown = {name: predicted.values[name] for name in names} | _promised(graph, traced, set(names))
    seeded = tuple(name for name in from_file(lowered) if name not in known)
    return Runnable(proto, arrays, _images(lowered.inputs, wanted, seed), shown, seeded=seeded)


def _promised(graph: Graph, traced: Trace, made: set[str]) -> dict[str, tuple[Any, ...] | None]:
    """The shapes the definition's own trace showed, for every value that runs under its own name.

    So the proof holds a wrong rule against what ran, and not the lowered rule against itself. Where the channels come
    last, most values run channels first, under a name that says so.
    """
    own = [name for node in graph.nodes for name in node.outputs if name in traced.values]
    shown = {form: shape for name in own for form, shape in forms(name, traced.values[name]).items()}
    return {name: shape for name, shape in shown.items() if name in made}


def _images(inputs: tuple[Input, ...], shapes: Mapping[str, tuple[Any, ...]], seed: int) -> dict[str, Array]:
    """Seeded noise for every input, on the scale of a normalised image; noughts and ones where it takes indices."""
    import numpy

    images = {}
    for index, given in enumerate(inputs):
        if given.unshaped is not None:
            raise RefusedError(
                f"input {given.name} is no tensor, and only tensors are made up",
                "E207",
                because=given.unshaped.reason,
                hint="run it with values of your own",
            )
        shape = shapes[given.name]
        if not all_numbers(shape):
            raise RefusedError(
                f"input {given.name} has a free dimension",
                "E207",
                because=f"its shape is {show(shape)}, and only numbers run",
                hint="give it: --input 1x3x224x224",
            )
        memory.check(4 * int(product(shape)), f"the numbers of input {given.name}")
        noise = numpy.random.default_rng([seed, index]).standard_normal(shape, dtype=numpy.float32)
        kind = numpy.dtype(given.dtype)
        if kind.kind == "i":  # indices, into tables of two rows at least
            noise = numpy.abs(noise) % 2
        images[given.name] = noise.astype(kind)
    return images


#: Runs are repeated for a better time until they took so many seconds.
LONG_ENOUGH = 2.0


def execute(what: Runnable, device: str, *, repeat: int = 1) -> Run:
    """Loads and runs on exactly ``device`` ("cpu" or "cuda"). Raises DeviceError, or RefusedError with the reason."""
    started = time.perf_counter()
    session = make_session(what.proto.SerializeToString(), device, what.arrays, what.folder)
    loaded = time.perf_counter() - started
    names = [output.name for output in session.get_outputs()]
    seconds: list[float] = []
    values: list[Any] = []
    for _ in range(1 if what.drawn else 1 + repeat):
        if sum(seconds) > LONG_ENOUGH:
            break
        started = time.perf_counter()
        try:
            values = session.run(names, what.inputs)
        except Exception as error:  # noqa: BLE001  onnxruntime raises a class of its own for every status
            raise refused(error) from None
        seconds.append(time.perf_counter() - started)
    tensors = {n: v for n, v in zip(names, values, strict=True) if hasattr(v, "shape")}  # the others are sequences
    return Run(tensors, device, device_name(device), loaded, min(seconds[1:] or seconds))
