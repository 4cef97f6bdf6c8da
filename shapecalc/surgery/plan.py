"""Putting a change together: the head, the input and the repair it needs, traced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from .. import literal
from ..definition import Definition
from ..dims import Shape
from ..errors import RefusedError, UsageError
from ..graph import Graph, places
from ..sizes import reference
from ..trace import Trace
from .edits import Edit, SetInput
from .heads import replace_heads
from .repairs import Repair, propose

#: Names a user may give to ``--repair``, and "none" for no repair at all.
REPAIRS = ("insert-pool", "rounding", "window", "none")


class Surgery:
    """What will be changed, and the trace of the result; nothing is written.

    ``edits`` in order, ``graph`` the edited net, ``trace`` its trace at the wanted input, ``repairs`` every repair that
    was found, best first.
    """

    def __init__(
        self,
        model: Definition,
        edits: list[Edit],
        graph: Graph,
        traced: Trace,
        repairs: list[Repair],
        changes: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.edits = edits
        self.graph = graph
        self.trace = traced
        self.repairs = repairs
        self.changes = dict(changes)

    @classmethod
    def make(
        cls,
        model: Definition,
        *,
        classes: int | None = None,
        input: literal.Spec = None,  # noqa: A002  the contract's word
        repair: str | None = None,
        choice: int = 1,
    ) -> Self:
        """The plan for another number of classes, another input, or both."""
        if classes is None and input is None:
            raise UsageError("nothing to change", "E002", hint="give classes, input, or both")
        if classes is not None and (isinstance(classes, bool) or not isinstance(classes, int) or classes < 1):
            raise UsageError(f"{classes!r} classes make no sense", "E002", hint="a whole number, 1 or more")
        if repair is not None and repair not in REPAIRS:
            raise UsageError(f"no repair {repair!r}", "E002", hint=f"one of {', '.join(REPAIRS)}")
        feeds = model.feeds(input)
        model = model.told(feeds)
        graph = model.graph
        edits: list[Edit] = []
        changes: dict[str, Any] = {}
        if classes is not None:
            graph = _with_head(model, graph, feeds, classes, edits)
            changes["classes"] = f"{classes}classes"
        if input is not None:
            graph = _with_input(graph, feeds, edits)
            changes["input"] = _size_text(graph, feeds)
        traced = model.retrace(graph, feeds)
        repairs = _repairs(model, graph, feeds, traced, classes)
        if not traced.ok and repair != "none":
            chosen = _chosen(model, traced, repairs, repair, choice)
            edits += chosen.edits
            graph, traced = chosen.trace.graph, chosen.trace
        if not traced.ok:
            raise _refusal(model, traced)
        return cls(model, edits, graph, traced, repairs, changes)

    @property
    def name(self) -> str:
        """The result's name: ``alexnet-13classes-256``."""
        return "-".join([self.model.name, *(str(c) for c in self.changes.values())])

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON prints it."""
        return {
            "schema": "shapecalc.plan/1",
            "model": self.model.name,
            "name": self.name,
            "edits": [edit.to_dict() for edit in self.edits],
            "repairs": [{"name": r.name, "edits": [e.to_dict() for e in r.edits]} for r in self.repairs],
            "trace": self.trace.to_dict(),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {[edit.describe() for edit in self.edits]})"


def _with_head(model: Definition, graph: Graph, feeds: Mapping[str, Shape], classes: int, edits: list[Edit]) -> Graph:
    native = reference(model) or model.retrace(graph, feeds)  # a data layer leaves its size to the caller
    if not native.ok:
        raise RefusedError(
            f"{model.name} does not fit this input, so its head cannot be told",
            "E301",
            because=native.problems[0].headline,
            hint="shapecalc trace shows what does not fit",
        )
    for edit in replace_heads(graph, native, classes):
        graph = edit.apply(graph)
        edits.append(edit)
    return graph


def _with_input(graph: Graph, feeds: Mapping[str, Shape], edits: list[Edit]) -> Graph:
    for given in graph.inputs:
        wanted = feeds.get(given.name)
        if wanted is not None and wanted != given.native:
            edit = SetInput(given.name, given.native, wanted)
            graph = edit.apply(graph)
            edits.append(edit)
    return graph


def _size_text(graph: Graph, feeds: Mapping[str, Shape]) -> str:
    name, shape = next(iter(feeds.items()), ("", ()))
    layout = next((given.layout for given in graph.inputs if given.name == name), "NCHW")
    spatial = places(shape, layout) if len(shape) == 4 else shape
    return str(spatial[0]) if len(set(map(str, spatial))) == 1 and spatial else "x".join(map(str, spatial))


def _repairs(
    model: Definition, graph: Graph, feeds: Mapping[str, Shape], traced: Trace, classes: int | None
) -> list[Repair]:
    fitting = reference(model) if not traced.ok else None
    if fitting is None:
        return []
    if classes is not None:  # the head was renamed, so the sizes are read off a trace of the renamed graph
        fitting = model.retrace(graph, {name: tensor.shape for name, tensor in fitting.feeds.items()})  # type: ignore[misc]
    return propose(traced, fitting, lambda edited: model.retrace(edited, feeds))


def _chosen(model: Definition, traced: Trace, repairs: list[Repair], name: str | None, choice: int) -> Repair:
    fitting = [r for r in repairs if name is None or r.name == name]
    if not fitting:
        raise _refusal(model, traced)
    if not 1 <= choice <= len(fitting):
        raise UsageError(f"there is no plan {choice}", "E002", hint=f"1 to {len(fitting)}")
    return fitting[choice - 1]


def _refusal(model: Definition, traced: Trace) -> RefusedError:
    from ..sizes import square_bounds

    first = traced.problems[0]
    bound = square_bounds(model)
    hint = f"sizes {bound.sizes} fit without a repair" if bound is not None and not bound.sizes.empty else None
    return RefusedError(
        f"no weightless repair makes it fit: {first.message}",
        "E302",
        location=first.location,
        expected=first.expected,
        actual=first.actual,
        because=f"{first.layer} has trained weights of a fixed size" if first.code == "E101" else None,
        hint=hint or first.hint or None,
    )
