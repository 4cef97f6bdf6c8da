"""The proof itself: predicted against executed shapes, and equal numbers where nothing was edited."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from .. import dims
from ..errors import DeviceError, RefusedError
from ..weights import Array
from .device import choose
from .parts import BUDGET, runs, side_by_side
from .run import Run, Runnable

#: Largest difference allowed, relative to the largest number of the tensor: the same kernels must agree far better.
RTOL = 1e-4
#: The way out of a proof that fails.
UNPROVED = "--no-verify writes the result unproved"


class ShapeCheck(NamedTuple):
    """One tensor: what was predicted and what onnxruntime made."""

    name: str
    predicted: tuple[Any, ...] | None
    actual: tuple[int, ...]

    @property
    def ok(self) -> bool:
        """Whether they are the same; of a size that nobody can predict any is right."""
        told = self.predicted
        return told is not None and len(told) == len(self.actual) and all(map(_right, told, self.actual))

    def __str__(self) -> str:
        return f"{self.name} is {self.actual}, predicted was {self.predicted}"


def _right(size: Any, came: int) -> bool:
    return size is None or bool(size == came)


def settled(predicted: tuple[Any, ...] | None, came: tuple[int, ...], bound: dict[str, int]) -> tuple[Any, ...] | None:
    """A prediction with numbers in the place of sizes that only a run decides, such as how many boxes are found.

    A symbol is what it came out as the first time, within its bounds, and that number in every later expression.
    """
    if predicted is None or len(predicted) != len(came):
        return predicted
    return tuple(_settled(size, number, bound) for size, number in zip(predicted, came, strict=True))


def _settled(size: Any, came: int, bound: dict[str, int]) -> Any:
    if not isinstance(size, dims.Expr):
        return size
    beyond = dims.at_least(size, came + 1) is True or dims.at_least(came - 1, size) is True
    if dims.is_symbol(size) and not beyond:
        return bound.setdefault(str(size), came)
    return dims.substitute(size, bound)


class NumberCheck(NamedTuple):
    """One tensor's numbers in two runs: largest difference and largest magnitude."""

    name: str
    difference: float
    scale: float
    limit: float
    why: str = ""  # where there is no difference to take, what stands in its place

    @property
    def ok(self) -> bool:
        """Whether the difference is within the limit, relative to the tensor's scale."""
        return self.difference <= self.limit * max(self.scale, 1e-30)

    @property
    def share(self) -> float:
        """The difference beside the tensor's scale."""
        return self.difference / max(self.scale, 1e-30)

    def __str__(self) -> str:
        more = f"more than {self.limit:g} of it"
        return f"{self.name} differs by {self.difference:.3g} on a scale of {self.scale:.3g}, {more}"

    def to_dict(self) -> dict[str, Any]:
        """The check as JSON prints it."""
        return {"name": self.name, "difference": self.difference, "scale": self.scale, "ok": self.ok}


class Report:
    """What was proved: shapes, numbers before the edit, and CUDA against the CPU, with where and how fast it ran."""

    schema = "shapecalc.verify/1"

    def __init__(self, run: Run, shapes: list[ShapeCheck], inputs: Mapping[str, tuple[int, ...]], seed: int) -> None:
        self.run = run  # without its tensors
        self.shapes = shapes
        self.inputs = dict(inputs)
        self.seed = seed
        self.seconds: float | None = None  # the whole proof
        self.before_edit: list[NumberCheck] | None = None  # against the original; None: nothing to compare with
        self.promises: list[Any] = []  # what edits promise, as `promises.PromiseCheck`
        self.cpu: list[NumberCheck] | None = None  # CUDA against the CPU
        self.cpu_run: Run | None = None
        self.not_cuda: str | None = None  # why "auto" is the CPU on a machine with a GPU
        self.seeded: tuple[str, ...] = ()  # parameters whose numbers were made up for the proof
        self.weights: str | None = None  # the file of trained weights that ran
        self.against: Any = None  # another model on the same inputs, as `against.Against`
        self.kept: dict[str, Array] = {}  # tensors that were asked for, as the proof made them
        self.made_by: dict[str, str] = {}  # tensor -> the layer that runs for it
        self.drawn: tuple[str, ...] = ()  # values drawn at random, the same in every net of the proof
        self.seen: Any = None  # what it says of an image, as `picture.Seen`

    def __repr__(self) -> str:
        failures = len(self.failures)
        return f"Report({self.run.device}, {len(self.shapes)} tensors, {'ok' if self.ok else f'{failures} failed'})"

    @property
    def ok(self) -> bool:
        """Whether everything that was checked held."""
        return bool(self.shapes) and not self.failures

    @property
    def failures(self) -> list[ShapeCheck | NumberCheck]:
        """The checks that did not hold."""
        promised = [check for promise in self.promises for check in promise.checks]
        numbers = [c for c in [*(self.before_edit or []), *promised, *(self.cpu or [])] if not c.ok]
        numbers += self.against.failures if self.against is not None else []
        return [*(c for c in self.shapes if not c.ok), *numbers]

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "schema": self.schema,
            "ok": self.ok,
            "device": self.run.device,
            "device_name": self.run.device_name,
            "not_cuda": self.not_cuda,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "seed": self.seed,
            "seeded_weights": bool(self.seeded),
            "drawn": list(self.drawn),
            "weights": self.weights,
            "load_seconds": self.run.load_seconds,
            "run_seconds": self.run.run_seconds,
            "seconds": self.seconds,
            "cpu_run_seconds": self.cpu_run.run_seconds if self.cpu_run else None,
            "tensors": [
                {"name": c.name, "predicted": list(c.predicted or ()), "actual": list(c.actual), "ok": c.ok}
                for c in self.shapes
            ],
            "before_edit": _numbers(self.before_edit),
            "promises": [promise.to_dict() for promise in self.promises],
            "cuda_against_cpu": _numbers(self.cpu),
            "against": self.against.to_dict() if self.against is not None else None,
            "seen": self.seen.to_dict() if self.seen is not None else None,
        }

    def raise_for_failure(self) -> None:
        """Raises RefusedError naming the first check that did not hold."""
        if self.ok:
            return
        if not self.failures:
            raise RefusedError(
                "nothing ran, so nothing is proved",
                "E401",
                because="no layer of the net computes a tensor",
                hint=UNPROVED,
            )
        apart = [check for check in self.shapes if not check.ok]
        if apart:
            raise self._other_shape(apart)
        raise next(self._unlike(words, checks) for words, checks in self._compared() if not all(c.ok for c in checks))

    def _compared(self) -> Iterator[tuple[str, list[NumberCheck]]]:
        """What was compared, in words, and how far each tensor is apart."""
        yield "a layer before the first edit, which is to compute what it did in the original", self.before_edit or []
        for promise in self.promises:
            yield f"the promise of an edit ({promise.words})", promise.checks
        yield "CUDA against the CPU", self.cpu or []
        if self.against is not None:
            yield f"an output of {self.against.original}", self.against.failures

    def _other_shape(self, apart: list[ShapeCheck]) -> RefusedError:
        first = apart[0]
        by = f"{self.made_by[first.name]} made it" if first.name in self.made_by else "onnxruntime made it"
        return RefusedError(
            f"{first.name} came out with another shape than predicted",
            "E401",
            expected=str(first.predicted),
            actual=str(first.actual),
            because=f"{by}; it is the first of {len(apart)} of {len(self.shapes)} tensors that the trace has otherwise",
            hint=f"{UNPROVED}; the trace of {first.name} is mistaken, which is worth a report",
        )

    def _unlike(self, words: str, checks: list[NumberCheck]) -> RefusedError:
        """The error for the first number that differs: in what comparison, by whose work, and how many more do."""
        apart = [check for check in checks if not check.ok]
        first = apart[0]
        amount = f"{first.name} differs by {first.difference:.3g} on a scale of {first.scale:.3g}"
        by = f"{self.made_by[first.name]} made it; " if first.name in self.made_by else ""
        why = f"{first.why}; " if first.why else ""
        ranges = sum(layer.endswith("(DynamicQuantizeLinear)") for layer in {*self.made_by.values()})
        why += f"{ranges} layers quantize by the range of all that comes, rows together; " if ranges else ""
        return RefusedError(
            f"{first.name} cannot be compared" if first.why else amount,
            "E402",
            expected=f"at most {first.limit:g} of the scale",
            because=f"{why}{by}it is {words}, the first of {len(apart)} of {len(checks)} tensors that differ",
            hint=f"--seed N proves it with other numbers; {UNPROVED}",
        )


def _numbers(checks: list[NumberCheck] | None) -> list[dict[str, Any]] | None:
    if checks is None:
        return None
    return [check.to_dict() for check in checks]


def compare(first: Mapping[str, Array], second: Mapping[str, Array], limit: float) -> list[NumberCheck]:
    """The numbers of every tensor of the first run in the second.

    A missing tensor, another shape, a NaN in one only or no finite number at all is an infinite difference.
    """
    return _compared_runs(iter([dict(first)]), iter([dict(second)]), limit)


def _compared_runs(
    first: Iterator[dict[str, Array]], second: Iterator[dict[str, Array]], limit: float
) -> list[NumberCheck]:
    return [
        _incomparable(name, limit, "only one of the nets makes it") if b is None else _compared(name, a, b, limit)
        for name, a, b in side_by_side(first, second)
    ]


#: Steps of an element type's own precision that are allowed at least: half precision has three digits.
ROUNDINGS = 16
#: Elements compared at a time: their differences are taken in float64.
CHUNK = 1 << 22


def _incomparable(name: str, limit: float, why: str) -> NumberCheck:
    return NumberCheck(name, float("inf"), 1.0, limit, why)


def _compared(name: str, a: Array, b: Array, limit: float) -> NumberCheck:
    import numpy

    if a.shape != b.shape:
        return _incomparable(
            name, limit, f"its shape is {dims.show(a.shape)} in one net and {dims.show(b.shape)} in the other"
        )
    if a.size == 0 or a.dtype.kind != "f":
        unlike = int(numpy.count_nonzero(a != b))
        return (
            _incomparable(name, limit, f"{unlike} of its {a.size} elements differ")
            if unlike
            else NumberCheck(name, 0.0, 1.0, limit)
        )
    a, b = a.reshape(-1), b.reshape(-1)
    rows = [_difference(a[i : i + CHUNK], b[i : i + CHUNK]) for i in range(0, a.size, CHUNK)]
    scale = max(scale for _, scale in rows)
    if scale < 0:
        return _incomparable(name, limit, "none of its numbers is finite, so nothing is compared")
    kind = numpy.finfo(a.dtype)
    finest = ROUNDINGS * max(float(kind.eps), float(kind.smallest_subnormal) / (scale or 1.0))
    return NumberCheck(name, max(difference for difference, _ in rows), scale, max(limit, finest))


def _difference(a: Array, b: Array) -> tuple[float, float]:
    """(largest difference, largest finite number of the first, -1 where it has none)."""
    import numpy

    finite = numpy.abs(a[numpy.isfinite(a)])
    scale = float(finite.max()) if finite.size else -1.0
    same = (a == b) | (numpy.isnan(a) & numpy.isnan(b))
    if same.all():
        return 0.0, scale
    with numpy.errstate(all="ignore"):
        apart = numpy.where(same, 0.0, numpy.abs(a.astype(numpy.float64) - b.astype(numpy.float64)))
    return float(numpy.nan_to_num(apart, nan=numpy.inf, posinf=numpy.inf).max()), scale


def prove(
    what: Runnable,
    *,
    against: Runnable | None = None,
    device: str = "auto",
    seed: int = 0,
    rtol: float = RTOL,
    repeat: int = 3,
    budget: int = BUDGET,
    keep: Collection[str] = (),
) -> Report:
    """Runs a model and compares every tensor's shape with the prediction; on CUDA, its numbers with the CPU's too.

    ``against`` is the original: the numbers of every tensor that both have are compared, on the same device. Tensors of
    more than ``budget`` bytes are made and compared in parts. The report keeps the tensors ``keep``. Raises DeviceError
    where ``device`` cannot run, RefusedError where onnxruntime refuses the model.
    """
    started = time.perf_counter()
    place, reason, made = _begun(what, device, repeat, budget)
    edited = Watched(made, what.predicted, keep)
    cpu = on_cpu = before = None
    if place == "cuda" and not what.drawn:  # the GPU draws other numbers
        on_cpu = Watched(runs(what, "cpu", repeat=1, budget=budget), {})
        cpu = _compared_runs(iter(edited), iter(on_cpu), rtol)
    if against is not None:
        original = Watched(runs(against, place, repeat=0, budget=budget), {})
        again = Watched(runs(what, place, repeat=0, budget=budget), {}) if on_cpu is not None else edited
        before = _compared_runs(iter(original), iter(again), rtol)
    for part in edited:  # what nobody compared
        part.clear()
    report = Report(edited.total(), edited.shapes, {n: tuple(v.shape) for n, v in what.inputs.items()}, seed)
    report.not_cuda, report.seeded, report.drawn = reason, what.seeded, what.drawn
    report.cpu, report.cpu_run = cpu, None if on_cpu is None else on_cpu.total()
    report.before_edit = before
    report.kept = edited.kept
    report.made_by = {
        name: f"{node.name or name} ({node.op_type})" for node in what.proto.graph.node for name in node.output
    }
    report.seconds = time.perf_counter() - started
    return report


class Watched:
    """The tensors of runs as they pass: their shapes are checked, the times added up. Whoever takes them owns them."""

    def __init__(
        self, made: Iterator[Run], predicted: Mapping[str, tuple[Any, ...] | None], keep: Collection[str] = ()
    ) -> None:
        self.made = made
        self.keep = frozenset(keep)
        self.kept: dict[str, Array] = {}
        self.predicted = predicted
        self.shapes: list[ShapeCheck] = []
        self.runs: list[Run] = []

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for run in self.made:
            bound: dict[str, int] = {}
            for name, value in run.tensors.items():
                came = tuple(value.shape)
                self.shapes.append(ShapeCheck(name, settled(self.predicted.get(name), came, bound), came))
            self.runs.append(run._replace(tensors={}))
            self.kept |= {name: array for name, array in run.tensors.items() if name in self.keep}
            yield run.tensors

    def total(self) -> Run:
        """All runs as one, without tensors."""
        first = self.runs[0]
        loaded, ran = (sum(times) for times in zip(*((r.load_seconds, r.run_seconds) for r in self.runs), strict=True))
        return first._replace(load_seconds=loaded, run_seconds=ran)


def _begun(what: Runnable, device: str, repeat: int, budget: int) -> tuple[str, str | None, Iterator[Run]]:
    """(device, why it is not CUDA, the runs, the first of them made)."""
    place = choose(device)
    reason = None
    try:
        made = runs(what, place, repeat=repeat, budget=budget)
        first = next(made)
    except DeviceError as error:
        if device != "auto":
            raise
        place, reason = "cpu", error.because  # auto asked for what works; why it is not CUDA is said
        made = runs(what, place, repeat=repeat, budget=budget)
        first = next(made)
    return place, reason, chain([first], made)
