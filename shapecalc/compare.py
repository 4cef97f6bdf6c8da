"""The same net under several frameworks' rules: where sizes part, and what changes when it is ported.

A layer's row holds what it gives under each dialect. Rows differ where shapes do, or where one dialect objects; the
first differing layer on a way is where the rules differ, those behind it follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from . import literal
from .definition import Definition
from .dialects import get_dialect
from .errors import UsageError
from .explain import slides
from .graph import places
from .trace import Layer, Trace

if TYPE_CHECKING:
    from .sizes import Sizes


class Row(NamedTuple):
    """One layer under each dialect, in the order they were asked."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def shapes(self) -> tuple[Any, ...]:
        """The first output's shape under each dialect."""
        return tuple(layer.outputs[0].shape if layer.outputs else None for layer in self.layers)

    @property
    def differs(self) -> bool:
        """Whether the shapes differ, or one dialect objects and another does not."""
        objects = [tuple(problem.code for problem in layer.problems) for layer in self.layers]
        return len(set(self.shapes)) > 1 or len(set(objects)) > 1

    @property
    def padding(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The padding each dialect really uses, along each axis; empty where no window slides."""
        return tuple(tuple(slide.window.pads(slide.n) for slide in slides(layer)) for layer in self.layers)

    @property
    def alike_before(self) -> bool:
        """Whether the inputs are the same under every dialect, so that a difference begins here."""
        return len({tuple(value.shape for value in layer.inputs) for layer in self.layers}) == 1

    @property
    def begins(self) -> bool:
        """Whether dialects part at this layer."""
        return self.alike_before and (self.differs or len(set(self.padding)) > 1)


class Comparison:
    """Traces of one net at one input, one for each dialect."""

    schema = "shapecalc.compare/1"

    def __init__(self, model: Definition, traces: Mapping[str, Trace], sizes: Mapping[str, Sizes]) -> None:
        self.model = model
        self.traces = dict(traces)
        self.sizes = dict(sizes)  # by dialect; empty where the net takes no image

    @property
    def dialects(self) -> tuple[str, ...]:
        """The dialects, as asked."""
        return tuple(self.traces)

    @property
    def ok(self) -> bool:
        """Whether the input fits under every dialect."""
        return all(trace.ok for trace in self.traces.values())

    @cached_property
    def rows(self) -> list[Row]:
        """One row a layer."""
        columns = zip(*(trace.layers for trace in self.traces.values()), strict=True)
        return [Row(layers[0].name, layers) for layers in columns]

    @property
    def common(self) -> Sizes | None:
        """The square sizes that fit under every dialect."""
        found: Sizes | None = None
        for sizes in self.sizes.values():
            found = sizes if found is None else found.intersect(sizes)
        return found

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Where dialects part: the layer, and for each way of doing it who does so, its formula and its shape."""
        return [
            {"layer": row.name, "ways": self._ways(row), "location": row.layers[0].location}
            for row in self.rows
            if row.begins
        ]

    def _ways(self, row: Row) -> list[dict[str, Any]]:
        ways: dict[tuple[Any, ...], list[str]] = {}
        for dialect, layer, shape, padding in zip(self.dialects, row.layers, row.shapes, row.padding, strict=True):
            objection = layer.problems[0].message if layer.problems else ""
            ways.setdefault((layer.formula, shape, padding, objection), []).append(dialect)
        return [
            {
                "dialects": names,
                "formula": formula,
                "places": list(places(shape, row.layers[0].call.layout)) if shape and len(shape) > 2 else [],
                "padding": [list(pair) for pair in padding],
                "objection": objection or None,
            }
            for (formula, shape, padding, objection), names in ways.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        common = self.common
        return {
            "schema": self.schema,
            "model": self.model.name,
            "dialects": list(self.dialects),
            "ok": {dialect: trace.ok for dialect, trace in self.traces.items()},
            "layers": [
                {
                    "name": row.name,
                    "differs": row.differs,
                    "outputs": dict(zip(self.dialects, (_plain(shape) for shape in row.shapes), strict=True)),
                    "formulas": dict(zip(self.dialects, (layer.formula for layer in row.layers), strict=True)),
                }
                for row in self.rows
            ],
            "changes": self.changes,
            "problems": {name: [p.to_dict() for p in trace.problems] for name, trace in self.traces.items()},
            "sizes": {name: _listed(found) for name, found in self.sizes.items()},
            "common": None if common is None else _listed(common),
        }


def _plain(shape: Any) -> list[Any] | None:
    return None if shape is None else [d if d is None or isinstance(d, int) else str(d) for d in shape]


def _listed(sizes: Sizes) -> list[list[int | None]]:
    return [list(interval) for interval in sizes.intervals]


def compare(
    model: Definition,
    input: literal.Spec,  # noqa: A002  the contract's word
    dialects: list[str],
    *,
    fresh: bool = False,
) -> Comparison:
    """One trace for each dialect, with the square sizes each accepts. Raises UsageError for a dialect there is not."""
    names = [get_dialect(name.strip()).name for name in dialects]
    if len(set(names)) < 2:
        raise UsageError("one dialect cannot be compared", "E002", hint="name several: --dialect caffe,onnx")
    traces = {name: model.trace(input, fresh=fresh, dialect=name) for name in dict.fromkeys(names)}
    return Comparison(model, traces, _sizes(model, traces) if not fresh else {})


def _sizes(model: Definition, traces: Mapping[str, Trace]) -> dict[str, Sizes]:
    from .sizes import valid_sizes

    try:
        return {name: valid_sizes(model, dialect=name) for name in traces}
    except UsageError:  # it takes no image, or does not say which
        return {}
