"""The proof itself: predicted against executed shapes, and equal numbers where nothing was edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import DeviceError, RefusedError
from ..weights import Array
from .device import choose
from .run import Run, Runnable, execute

#: Largest difference allowed, relative to the largest number of the tensor: the same kernels must agree far better.
RTOL = 1e-4


class ShapeCheck(NamedTuple):
    """One tensor: what was predicted and what onnxruntime made."""

    name: str
    predicted: tuple[Any, ...] | None
    actual: tuple[int, ...]

    @property
    def ok(self) -> bool:
        """Whether they are the same."""
        return self.predicted == self.actual


class NumberCheck(NamedTuple):
    """One tensor's numbers in two runs: largest difference and largest magnitude."""

    name: str
    difference: float
    scale: float
    limit: float

    @property
    def ok(self) -> bool:
        """Whether the difference is within the limit, relative to the tensor's scale."""
        return self.difference <= self.limit * max(self.scale, 1e-30)


class Report:
    """What was proved: shapes, numbers before the edit, and CUDA against the CPU, with where and how fast it ran."""

    schema = "shapecalc.verify/1"

    def __init__(self, run: Run, shapes: list[ShapeCheck], inputs: Mapping[str, tuple[int, ...]], seed: int) -> None:
        self.run = run
        self.shapes = shapes
        self.inputs = dict(inputs)
        self.seed = seed
        self.before_edit: list[NumberCheck] | None = None  # against the original; None: nothing to compare with
        self.promises: list[Any] = []  # what edits promise, as `promises.PromiseCheck`
        self.cpu: list[NumberCheck] | None = None  # CUDA against the CPU
        self.cpu_run: Run | None = None
        self.not_cuda: str | None = None  # why "auto" is the CPU on a machine with a GPU
        self.seeded: tuple[str, ...] = ()  # parameters whose numbers were made up for the proof
        self.weights: str | None = None  # the file of trained weights that ran

    @property
    def ok(self) -> bool:
        """Whether everything that was checked held."""
        return bool(self.shapes) and not self.failures

    @property
    def failures(self) -> list[ShapeCheck | NumberCheck]:
        """The checks that did not hold."""
        promised = [check for promise in self.promises for check in promise.checks]
        numbers = [c for c in [*(self.before_edit or []), *promised, *(self.cpu or [])] if not c.ok]
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
            "weights": self.weights,
            "load_seconds": self.run.load_seconds,
            "run_seconds": self.run.run_seconds,
            "cpu_run_seconds": self.cpu_run.run_seconds if self.cpu_run else None,
            "tensors": [
                {"name": c.name, "predicted": list(c.predicted or ()), "actual": list(c.actual), "ok": c.ok}
                for c in self.shapes
            ],
            "before_edit": _numbers(self.before_edit),
            "promises": [promise.to_dict() for promise in self.promises],
            "cuda_against_cpu": _numbers(self.cpu),
        }

    def raise_for_failure(self) -> None:
        """Raises RefusedError naming the first check that did not hold."""
        if self.ok:
            return
        if not self.failures:
            raise RefusedError("nothing ran, so nothing is proved", "E401")
        first = self.failures[0]
        if isinstance(first, ShapeCheck):
            raise RefusedError(
                f"{first.name} came out with another shape than predicted",
                "E401",
                expected=str(first.predicted),
                actual=str(first.actual),
            )
        raise RefusedError(
            f"{first.name} differs by {first.difference:.3g} on a scale of {first.scale:.3g}",
            "E402",
            expected=f"at most {first.limit:g} of the scale",
        )


def _numbers(checks: list[NumberCheck] | None) -> list[dict[str, Any]] | None:
    if checks is None:
        return None
    return [{"name": c.name, "difference": c.difference, "scale": c.scale, "ok": c.ok} for c in checks]


def compare(first: Mapping[str, Array], second: Mapping[str, Array], limit: float) -> list[NumberCheck]:
    """The numbers of every tensor of the first run in the second.

    A missing tensor, another shape, a NaN in one only or no finite number at all is an infinite difference.
    """
    missing = [NumberCheck(name, float("inf"), 1.0, limit) for name in first if name not in second]
    return missing + [_compared(name, first[name], second[name], limit) for name in first if name in second]


def _compared(name: str, a: Array, b: Array, limit: float) -> NumberCheck:
    import numpy

    if a.shape != b.shape:
        return NumberCheck(name, float("inf"), 1.0, limit)
    if a.size == 0 or a.dtype.kind != "f":
        return NumberCheck(name, 0.0 if numpy.array_equal(a, b) else float("inf"), 1.0, limit)
    if not numpy.isfinite(a).any():
        return NumberCheck(name, float("inf"), 1.0, limit)
    same = (a == b) | (numpy.isnan(a) & numpy.isnan(b))
    with numpy.errstate(all="ignore"):
        apart = numpy.where(same, 0.0, numpy.abs(a.astype(numpy.float64) - b.astype(numpy.float64)))
    difference = float(numpy.nan_to_num(apart, nan=numpy.inf, posinf=numpy.inf).max())
    return NumberCheck(name, difference, float(numpy.abs(a[numpy.isfinite(a)]).max()), limit)


def prove(what: Runnable, *, device: str = "auto", seed: int = 0, rtol: float = RTOL, repeat: int = 3) -> Report:
    """Runs a model and compares every tensor's shape with the prediction; on CUDA, its numbers with the CPU's too.

    Raises DeviceError where ``device`` cannot run, RefusedError where onnxruntime refuses the model.
    """
    place = choose(device)
    reason = None
    try:
        run = execute(what, place, repeat=repeat)
    except DeviceError as error:
        if device != "auto":
            raise
        place, reason = "cpu", error.because  # auto asked for what works; why it is not CUDA is said
        run = execute(what, place, repeat=repeat)
    shapes = [ShapeCheck(n, what.predicted.get(n), tuple(v.shape)) for n, v in run.tensors.items()]
    report = Report(run, shapes, {n: tuple(v.shape) for n, v in what.inputs.items()}, seed)
    report.not_cuda = reason
    report.seeded = what.seeded
    if place == "cuda":
        report.cpu_run = execute(what, "cpu", repeat=1)
        report.cpu = compare(run.tensors, report.cpu_run.tensors, rtol)
    return report


def compare_with_original(report: Report, original: Runnable, *, rtol: float = RTOL) -> None:
    """Adds the comparison with the original's numbers, for every tensor both have, on the same device."""
    run = execute(original, report.run.device, repeat=1)
    report.before_edit = compare(run.tensors, report.run.tensors, rtol)
