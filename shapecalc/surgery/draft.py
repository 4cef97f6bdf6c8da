"""A net while it is edited: the edits so far, the graph they give, the shapes that go in, and what was promised."""

from __future__ import annotations

from collections.abc import Mapping

from ..definition import Definition
from ..dims import Shape
from ..graph import Graph
from ..sizes import reference
from ..trace import Trace
from .edits import Edit
from .promises import Kept, followed, promise_of


class Draft:
    """``graph`` with the ``edits`` done; ``feeds`` are the shapes wanted at its inputs, ``native`` those it is for.

    ``kept`` lists the promises of the edits, each with the traces it is about.
    """

    def __init__(self, model: Definition, feeds: Mapping[str, Shape]) -> None:
        self.model = model
        self.graph: Graph = model.graph
        self.asked: Mapping[str, Shape] = dict(feeds)  # as it was asked for, before any edit
        self.unrepaired: Trace | None = None  # at those shapes, with every edit but a repair
        self.feeds = dict(feeds)
        fitting = reference(model)
        self.native: dict[str, Shape] = _shapes(fitting) if fitting is not None else dict(feeds)
        self.edits: list[Edit] = []
        self.kept: list[Kept] = []
        self.about: dict[str, str] = {}
        self._trace: Trace | None = fitting

    @property
    def trace(self) -> Trace:
        """The trace of the net as it stands, at the shapes it is made for."""
        if self._trace is None:
            self._trace = self.model.retrace(self.graph, self.native)
        return self._trace

    def at_feeds(self) -> Trace:
        """The trace of the net as it stands, at the shapes wanted."""
        return self.model.retrace(self.graph, self.feeds)

    def do(self, edit: Edit) -> None:
        """Carries out an edit and notes what it promises."""
        graph, promise = edit.apply(self.graph), promise_of(edit, self.graph)
        before = self.trace if promise is not None else None  # a net of a hundred edits is not traced after each
        self.feeds = followed(self.feeds, self.graph, graph)
        self.native = followed(self.native, self.graph, graph)
        self.graph, self._trace = graph, None
        self.edits.append(edit)
        if promise is not None and before is not None:
            self.kept.append(Kept(promise, before, self.trace))


def _shapes(trace: Trace) -> dict[str, Shape]:
    return {name: tensor.shape for name, tensor in trace.feeds.items() if isinstance(tensor.shape, tuple)}
