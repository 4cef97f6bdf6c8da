"""Measuring what edits promise: the nets before and after an edit run on one image, and their tensors are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy

from ..definition import Definition
from ..dims import Expr, Shape
from ..layout import FIRST, channels_last
from ..surgery.promises import Kept, Promise, Step
from ..trace import Trace
from ..weights import Array
from .noise import held, shaken
from .parts import runs
from .proof import NumberCheck, compare
from .run import Runnable, runnable

#: Rows of a free batch in a proof: more than one, and no number that a shape is likely to hold by chance.
ROWS = 3


def _pool(image: Array, kind: str, axes: tuple[int, ...]) -> Array:
    pooled = image.mean(axis=axes, keepdims=True) if kind == "avg" else image.max(axis=axes, keepdims=True)
    return numpy.asarray(pooled)


def _take(image: Array, axis: int, indices: tuple[int, ...]) -> Array:
    return numpy.ascontiguousarray(numpy.take(image, indices, axis))


def _normalised(image: Array, axis: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Array:
    shape = [-1 if i == axis else 1 for i in range(image.ndim)]
    moved = image - numpy.reshape(numpy.asarray(mean, image.dtype), shape)
    return numpy.asarray(moved / numpy.reshape(numpy.asarray(std, image.dtype), shape), image.dtype)


def _pixels(image: Array) -> Array:
    """Noise on the scale of an image of bytes."""
    return numpy.clip(numpy.round(image * 50 + 128), 0, 255).astype(image.dtype)


#: What a step of a promise does to an array.
STEPS: Mapping[str, Callable[..., Array]] = {
    "pool": _pool,
    "flatten": lambda image: image.reshape(image.shape[0], -1),
    "take": _take,
    "normalise": _normalised,
    "pixels": _pixels,
    "reshape": lambda image, shape: image.reshape(shape),
}


class PromiseCheck(NamedTuple):
    """A promise and how far each of its tensors is from it."""

    words: str
    checks: list[NumberCheck]

    @property
    def ok(self) -> bool:
        """Whether there was something to compare and all of it held."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def worst(self) -> NumberCheck:
        """The tensor that is furthest from it, by its scale."""
        return max(self.checks, key=lambda check: check.share)

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        worst = self.worst
        return {"promise": self.words, "difference": worst.difference, "scale": worst.scale, "ok": self.ok}


def measured(model: Definition, kept: Kept, *, device: str, seed: int, rtol: float) -> PromiseCheck:
    """What came of a promise. Raises RefusedError where onnxruntime refuses one of the nets."""
    promise = kept.promise
    after = _runnable(model, kept.after, seed, ROWS)
    before = _runnable(model, kept.before, seed, 1 if promise.rows else ROWS, after.arrays)
    images = dict(after.inputs if promise.shaped == "after" else before.inputs)
    fed_after = _fed(after, images, promise, promise.after)
    fed_before = _fed(before, images, promise, promise.before)
    got = _made(after, fed_after, {pair.after for pair in promise.pairs}, device)
    shapes = {pair.before: got[pair.after].shape for pair in promise.pairs}
    expected = _expected(before, fed_before, promise, device, shapes)
    checks = []
    for pair in promise.pairs:
        wanted = _done(expected[pair.before], pair.steps)
        checks += compare({pair.after: wanted}, {pair.after: got[pair.after]}, rtol)
    found = PromiseCheck(promise.words, checks)
    plain = all(pair.before == pair.after and not pair.steps for pair in promise.pairs)
    if found.ok or not plain or any(check.why for check in checks):
        return found
    return _beside_roundings((before, fed_before), (after, fed_after), promise, found, device, rtol)


Fed = tuple[Runnable, dict[str, Array]]


def _beside_roundings(
    before: Fed, after: Fed, promise: Promise, found: PromiseCheck, device: str, rtol: float
) -> PromiseCheck:
    """A promise that failed, each tensor beside what the net before makes of a rounding of its image (`noise`)."""
    net, fed = before
    own = [check.name for check in found.checks]
    got = _all(*after, device)

    def made(images: dict[str, Array]) -> dict[str, Array]:
        return _in_rows(net, images, promise, got, device) if promise.rows else _all(net, images, device)

    eased = held(made(fed), got, lambda seed: made(shaken(fed, seed)), rtol, own)
    if eased is None:
        return found
    checks, answer = eased
    words = f"{found.words}; the net itself answers a rounding of its image with {answer:.2g} of the scale"
    return PromiseCheck(words, checks)


def _all(net: Runnable, fed: dict[str, Array], device: str) -> dict[str, Array]:
    """Every tensor of one run."""
    return {
        name: made for run in runs(net._replace(inputs=fed), device, repeat=0) for name, made in run.tensors.items()
    }


def _in_rows(
    net: Runnable, fed: dict[str, Array], promise: Promise, after: Mapping[str, Array], device: str
) -> dict[str, Array]:
    """Every tensor of runs with batches of the net's own size, their rows joined as they lie in the batch after."""
    own, rows = net.inputs[promise.image].shape[0], fed[promise.image].shape[0]
    runs_of = [_all(net, _rows(fed, start, own, rows), device) for start in range(0, rows, own)]
    return {
        name: _stacked([run[name] for run in runs_of], after[name].shape)
        for name in runs_of[0]
        if name in after and all(name in run for run in runs_of)
    }


def _stacked(single: list[Array], shape: tuple[int, ...]) -> Array:
    """What runs gave, one behind another where that has the shape; what is the same for all rows, once."""
    if single[0].shape == shape and all(numpy.array_equal(single[0], each) for each in single):
        return single[0]
    whole = numpy.concatenate(single) if single[0].ndim else single[0]
    return whole[: shape[0]] if shape and whole.shape[1:] == shape[1:] else whole


def _runnable(
    model: Definition, traced: Trace, seed: int, batch: int, given: Mapping[str, Array] | None = None
) -> Runnable:
    feeds = {n: t.shape for n, t in traced.feeds.items() if isinstance(t.shape, tuple)}
    several = {name: _several(shape, batch) for name, shape in feeds.items()}
    if several != feeds:
        traced = model.retrace(traced.graph, several)
    return runnable(model, traced.graph, traced, seed, given)


def _several(shape: Shape, batch: int) -> Shape:
    """A free batch as so many rows."""
    return (batch, *shape[1:]) if shape and isinstance(shape[0], Expr) else shape


def _fed(net: Runnable, images: Mapping[str, Array], promise: Promise, steps: tuple[Step, ...]) -> dict[str, Array]:
    """The inputs of a net: the one the promise is about with the steps done, others the same for both."""
    found = {name: images.get(name, own) for name, own in net.inputs.items()}
    if promise.image in found:
        found[promise.image] = _done(found[promise.image], steps)
    return found


def _done(image: Array, steps: tuple[Step, ...]) -> Array:
    for name, *arguments in steps:
        image = STEPS[name](image, *arguments)
    return image


def _as_it_lies(tensors: Mapping[str, Array], name: str) -> Array:
    """A value as the definition has it: where channels come last, most run channels first under another name."""
    if name in tensors:
        return tensors[name]
    first = tensors[f"{name}/{FIRST}"]
    return first.transpose(channels_last(first.ndim))


def _expected(
    net: Runnable, fed: dict[str, Array], promise: Promise, device: str, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    """The tensors of the net before; where rows are promised, of runs with batches of its own size, joined."""
    names = {pair.before for pair in promise.pairs}
    if not promise.rows:
        return _made(net, fed, names, device)
    own = net.inputs[promise.image].shape[0]
    rows = fed[promise.image].shape[0]
    made = [_made(net, _rows(fed, start, own, rows), names, device) for start in range(0, rows, own)]
    return {name: _joined([run[name] for run in made], rows, shapes[name]) for name in names}


def _joined(single: list[Array], rows: int, shape: tuple[int, ...]) -> Array:
    """The rows of single runs; of what holds for all rows, as the boxes that a size gives, that of each run."""
    if single[0].shape == shape and all(numpy.array_equal(single[0], each) for each in single):
        return single[0]
    return numpy.concatenate(single)[:rows]


def _made(net: Runnable, fed: dict[str, Array], names: set[str], device: str) -> dict[str, Array]:
    """Some tensors of one run, as they lie in the definition; no other is kept."""
    forms = names | {f"{name}/{FIRST}" for name in names}
    kept: dict[str, Array] = {}
    for run in runs(net._replace(inputs=fed), device, repeat=0):
        kept |= {name: run.tensors[name] for name in run.tensors.keys() & forms}
    return {name: _as_it_lies(kept, name) for name in names}


def _rows(fed: Mapping[str, Array], start: int, count: int, rows: int) -> dict[str, Array]:
    """So many rows from ``start`` on, of every input that has a row for each; from the first again at the end."""
    chosen = [(start + i) % rows for i in range(count)]
    return {name: image[chosen] if image.ndim and image.shape[0] == rows else image for name, image in fed.items()}
