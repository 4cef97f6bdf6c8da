"""Ways out of a misfit, each of them run: traced at the input, and executed in onnxruntime where that is possible."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from .. import literal
from ..definition import Definition
from ..dims import Shape, all_numbers, product, show
from ..errors import ShapecalcError, UsageError
from ..graph import Graph, Input, places
from ..sizes import Sizes
from ..surgery.repairs import Repair
from ..trace import Trace, first_input
from ..verify.proof import prove
from ..verify.run import runnable

#: Edits that are run; each costs a load of all weights.
EDITS = 3
#: An input so many times as large as the one asked about is not executed: all of its tensors are held at once.
HEAVY = 2


class Tried(NamedTuple):
    """One way out: what it is, and what came of tracing and of executing it.

    ``ran`` is None where it was not executed, ``reason`` then says why, or what onnxruntime objected to.
    """

    kind: str  # "input" or "edit"
    text: str
    command: str
    size: Shape
    traced: bool
    ran: bool | None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """``ran``, ``traced``, or that it failed."""
        if self.ran:
            return "ran in onnxruntime"
        return f"traced; onnxruntime refused it: {self.reason}" if self.ran is False else f"traced, {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """The try as JSON prints it."""
        return {
            "kind": self.kind,
            "text": self.text,
            "command": self.command,
            "input": list(self.size),
            "traced": self.traced,
            "ran": self.ran,
            "reason": self.reason or None,
        }


def nearest_inputs(model: Definition, misfit: Trace, sizes: Sizes) -> list[Trace]:
    """Traces at inputs that fit: the next smaller and larger along each axis, nearest first; then the native one."""
    given = first_input(misfit.graph)
    shape = misfit.feeds[given.name].shape if given is not None else ()
    if given is None or not isinstance(shape, tuple) or len(shape) != 4 or not all_numbers(shape):
        return []
    asked = places(shape, given.layout)
    native = places(given.native, given.layout) if given.native is not None and len(given.native) == 4 else asked
    ends = [tuple(_next(sizes, int(size), below) for size in asked) for below in (True, False)]
    near = sorted(ends, key=lambda end: _distance(end, asked))
    found: list[Trace] = []
    for chosen in dict.fromkeys((*near, native)):
        if chosen != asked and all_numbers(chosen):
            found += _fitting(model, misfit, given, chosen)
    return found


def _fitting(model: Definition, misfit: Trace, given: Input, chosen: Shape) -> Iterator[Trace]:
    """The trace at these places, if it fits."""
    shape = misfit.feeds[given.name].shape
    assert isinstance(shape, tuple)
    spatial = iter(chosen)
    axes = literal.AXIS_NAMES[given.layout]
    fed = tuple(next(spatial) if axis in "HW" else d for axis, d in zip(axes, shape, strict=True))
    feeds = {name: tensor.shape for name, tensor in misfit.feeds.items() if isinstance(tensor.shape, tuple)}
    try:
        found = model.trace({**feeds, given.name: fed}, dialect=misfit.dialect)
    except UsageError:
        return
    if found.ok:
        yield found


def _distance(chosen: tuple[int | None, ...], asked: Shape) -> float:
    if None in chosen:
        return math.inf
    return max(abs(int(a) - int(b)) for a, b in zip(chosen, asked, strict=True))  # type: ignore[arg-type]


def _next(sizes: Sizes, size: int, below: bool) -> int | None:
    """The nearest member below (above) ``size``; the size itself where it fits."""
    if size in sizes:
        return size
    ends = [end for low, high in sizes.intervals for end in (low, high) if end is not None]
    wanted = [end for end in ends if (end < size) == below]
    return (max(wanted) if below else min(wanted)) if wanted else None


def execute(model: Definition, graph: Graph, traced: Trace) -> tuple[bool | None, str]:
    """Whether a graph runs at the input of its trace with every tensor as predicted, and why it does not."""
    try:
        report = prove(runnable(model, graph, traced, 0), device="cpu", seed=0, repeat=1)
    except ShapecalcError as error:
        return False, error.message
    return report.ok, "" if report.ok else str(report.failures[0])


def try_inputs(model: Definition, misfit: Trace, sizes: Sizes, run: bool) -> Iterator[Tried]:
    """The nearest fitting inputs, each traced and, if wanted, executed."""
    for found in nearest_inputs(model, misfit, sizes):
        given = first_input(found.graph)
        shape = found.feeds[given.name].shape if given is not None else ()
        assert given is not None
        assert isinstance(shape, tuple)
        fed = places(shape, given.layout)
        native = places(given.native, given.layout) if given.native is not None else ()
        text = f"feed {show(fed)}{', which it was made for' if fed == native else ''}"
        ran, reason = _executed(model, found.graph, found, run and not _heavy(shape, misfit))
        yield Tried("input", text, "", shape, True, ran, reason)


def _heavy(shape: Shape, misfit: Trace) -> bool:
    """Whether an input is so much larger than what was asked that running it for a hint is too much."""
    asked = max((product(t.shape) for t in misfit.feeds.values() if isinstance(t.shape, tuple)), key=str)
    return isinstance(asked, int) and isinstance(size := product(shape), int) and size > HEAVY * asked


def try_edits(model: Definition, repairs: list[Repair], size: Shape, command: str, run: bool) -> Iterator[Tried]:
    """The best repairs, each traced when it was proposed and, if wanted, executed."""
    for number, repair in enumerate(repairs[:EDITS], 1):
        ran, reason = _executed(model, repair.trace.graph, repair.trace, run)
        plan = f" --plan {number}" if number > 1 else ""
        yield Tried("edit", repair.describe(), command + plan, size, True, ran, reason)


def _executed(model: Definition, graph: Graph, traced: Trace, run: bool) -> tuple[bool | None, str]:
    if not run:
        return None, "not executed"
    own = "onnxruntime" if graph.format == "onnx" else graph.dialect
    if traced.dialect != own:
        return None, f"not executed: {traced.dialect} rules are not the file's own"
    return execute(model, graph, traced)
