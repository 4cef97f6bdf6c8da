"""The forward rules over all heights and widths at once: what every layer asks, case by case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy

from ..definition import Definition
from ..dims import Dim, Expr, Unknown
from ..errors import UsageError
from ..literal import AXIS_NAMES, Spec
from ..ops import find
from ..trace import Layer, Trace, first_input, trace
from ..window import Window
from .every import Sweep

#: Traces made where rules ask for answers that differ from size to size.
MOST_SIDES = 64


class Case(NamedTuple):
    """One trace of a sweep: where it counts, what it asks, in order, and its layers."""

    path: Any
    asked: list[tuple[str, str, Any]]
    layers: list[Layer]

    def exactly(self) -> Case:
        """The same with every division asked to be whole."""
        whole = [(layer.name, "", verdict) for layer in self.layers for verdict in _whole(layer)]
        return self._replace(asked=[*self.asked, *whole])


def all_cases(model: Definition, input: Spec, dialect: str | None, held: Mapping[str, int]) -> list[Case]:  # noqa: A002
    """A trace of all sizes for every way in which the rules' questions can be answered."""
    todo: list[tuple[bool, ...]] = [()]
    cases: list[Case] = []
    while todo:
        if len(cases) == MOST_SIDES:
            raise UsageError(f"{model.name} asks for too many different answers to be followed for all sizes", "E207")
        sweep, found = swept(model, input, dialect, todo.pop(), held)
        cases.append(_case(sweep, found))
        todo += sweep.open
    return cases


def swept(
    model: Definition,
    spec: Spec,
    dialect: str | None = None,
    sides: tuple[bool, ...] = (),
    held: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Sweep, Trace]:
    """The trace at every height and width, but for an axis ``held``, with the sides of `Sweep.decide`."""
    feeds, given, layout = _feeds(model, spec)
    told = model.told(feeds)
    sized, wanted = told.sized()
    sweep = Sweep(sides)
    shape: list[Dim] = list(feeds[given])
    for axis, every in (("H", sweep.height), ("W", sweep.width)):
        shape[layout.index(axis)] = held.get(axis, every)
    with numpy.errstate(all="ignore"):
        fed = {**feeds, given: tuple(shape)}
        return sweep, trace(told.graph, fed, dialect=dialect, sized=sized, wanted=wanted)


def _feeds(model: Definition, spec: Spec) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """(shapes with batches of one, the image's name, its layout)."""
    given = first_input(model.graph)
    if given is None:
        raise UsageError(f"{model.name} does not say what image it takes", "E207", hint="give it with --input")
    shapes = model.feeds(spec)
    feeds = {name: tuple(1 if isinstance(d, Expr) else d for d in shape) for name, shape in shapes.items()}
    if len(feeds.get(given.name, ())) != 4:
        raise UsageError(f"{model.name} does not take images: its input {given.name!r} is no map", "E207")
    return feeds, given.name, AXIS_NAMES[given.layout]


def _case(sweep: Sweep, found: Trace) -> Case:
    asked: list[tuple[str, str, Any]] = [(row.layer, row.code, row.verdict) for row in found.conditions]
    asked += [(problem.layer, problem.code, False) for problem in found.problems]
    return Case(sweep.path, asked, found.layers)


def _whole(layer: Layer) -> Iterator[Any]:
    """Whether the divisions of a window are whole."""
    row = find(layer.op, layer.node.domain)
    if row is None or row.windows is None or layer.op in ("Resize", "Upsample") or layer.call.attr("global_pooling"):
        return
    if layer.op.startswith("Global"):
        return
    for window, size in zip(row.windows(layer.call), layer.call.spatial, strict=False):
        if isinstance(window, Window) and window.stride > 1 and not isinstance(size, Unknown):
            top = size if window.same else window.numerator(size)
            yield top % window.stride == 0
