"""What a definition leaves open, a ``?`` of a prototxt or an argument of a chain: the numbers that make the net fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError, UsageError
from ..graph import places
from ..intervals import Interval, SizeSet
from ..literal import Spec
from ..trace import Trace
from .solve import Solved, solve, windows

if TYPE_CHECKING:
    from ..definition import Definition

#: A number that no net means: where it fits, every number does, and its multiples show what follows from it.
PROBE = 10_007
#: Numbers tried one after another from 0; beyond them, those that the net has anyway.
TRIED = 64
#: Numbers tried at the most, and layers named.
MOST, NAMED = 1_000, 4

#: Opens the definition with values for what it leaves open; None: as it is.
Open = Callable[[Mapping[str, Any] | None], "Definition"]


class Ends(NamedTuple):
    """What a window, or the layer of a hole, takes and gives; None where it was not said."""

    before: int | None = None
    after: int | None = None


def answered(hole: str, opened: Open, spec: Spec = None, dialect: str | None = None, ends: Ends = Ends()) -> Solved:  # noqa: B008
    """The answer to ``kernel,stride``, ``fc6.fan_in``, ``pool5=6x6``, or to what the definition leaves open.

    Raises UsageError for what is none of these.
    """
    if hole.replace(" ", "") == "kernel,stride":
        return windows(*ends)
    if hole.endswith(".fan_in") or "=" in hole:
        return solve(opened(None), hole, input=spec, dialect=dialect)
    return fill_hole(opened, hole, spec, dialect, ends.after)


def fill_hole(opened: Open, hole: str, spec: Spec = None, dialect: str | None = None, to: int | None = None) -> Solved:
    """The numbers with which the definition fits at ``spec``; with ``to``, those that give the hole's layer that map.

    Raises UsageError where nothing is left open under that name, ModelError where something else is as well.
    """
    _check_open(opened, hole)
    traces = _Tries(opened, hole, spec, dialect, to)
    free = traces.fits(PROBE)
    if free is not None:
        return Solved(hole, "every whole number from 1", _followers(free))
    tried = sorted({*range(TRIED + 1), *traces.numbers})[:MOST]
    fitting = [number for number in tried if traces.fits(number) is not None]
    found = SizeSet(Interval(number, number) for number in fitting)
    more = f", and {len(tried) - TRIED - 1} numbers of the net" if len(tried) > TRIED + 1 else ""
    return Solved(hole, str(found), [f"tried: 0 to {TRIED}{more}", *traces.reasons[:NAMED]])


def _check_open(opened: Open, hole: str) -> None:
    try:
        opened({})
    except ModelError as error:
        if error.code != "E205":
            raise
        return
    raise UsageError(
        f"the definition leaves no {hole!r} open",
        "E002",
        hint="write ? in a prototxt, or ask for fc6.fan_in, pool5=6x6 or kernel,stride",
    )


class _Tries:
    """Traces with one number after another in the hole; ``numbers`` are those met on the way that could be meant."""

    def __init__(self, opened: Open, hole: str, spec: Spec, dialect: str | None, to: int | None) -> None:
        self.opened, self.hole, self.spec, self.dialect, self.to = opened, hole, spec, dialect, to
        self.numbers: set[int] = set()
        self.reasons: list[str] = []

    def fits(self, number: int) -> Trace | None:
        """The trace with this number, None where it does not fit."""
        try:
            trace = self.opened({self.hole: number}).trace(self.spec, dialect=self.dialect)
        except ModelError as error:
            if error.code == "E205":
                raise
            return None
        self.numbers.update(_met(trace))
        if number == PROBE and trace.problems:
            self.reasons = [trace.problems[0].message.replace(str(PROBE), "?")]
        return trace if trace.ok and (self.to is None or self._sized(trace)) else None

    def _sized(self, trace: Trace) -> bool:
        layer = self.hole.rpartition(".")[0]
        tensors = [row.tensors[0] for row in trace.layers if row.name == layer and row.tensors]
        shapes = [places(tensor.shape) for tensor in tensors if isinstance(tensor.shape, tuple)]
        return bool(shapes) and set(shapes[0]) == {self.to}


def _met(trace: Trace) -> Iterator[int]:
    """Channels of the net, and what its problems want; not what the probe made of them."""
    for layer in trace.layers:
        for tensor in layer.tensors:
            if isinstance(tensor.shape, tuple):
                yield from (d for d in tensor.shape[1:2] if isinstance(d, int) and 0 < d < PROBE)
    for problem in trace.problems:
        texts = re.findall(r"\d[\d,]*", f"{problem.expected} {problem.actual}")
        yield from (n for n in (int(text.replace(",", "")) for text in texts) if 0 < n < PROBE)


def _followers(trace: Trace) -> list[str]:
    """The weights whose shape has the probe in it: what follows from the number."""
    lines = []
    for layer in trace.layers:
        for weight in layer.weights[:1]:
            shape = weight.shape
            if not isinstance(shape, tuple) or not all(isinstance(d, int) for d in shape):
                continue
            fan_in = prod(shape[1:2])
            if fan_in and fan_in % PROBE == 0:
                times = fan_in // PROBE
                lines.append(f"{layer.name} then sees {'that many' if times == 1 else f'{times} times as many'}")
    return lines[:NAMED]
