"""A definition that was read: its graph, the shapes its weights were trained at, and its traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from . import dims, literal
from .dims import Shape
from .errors import UsageError
from .formats import Source
from .graph import Graph
from .trace import Trace, first_input, open_params, trace


class Definition:
    """A network definition that was read.

    ``name`` is what people call it, ``graph`` its nodes and parameters.
    """

    def __init__(
        self,
        graph: Graph,
        name: str,
        *,
        path: Path | None = None,
        zoo_name: str | None = None,
        source: Source | None = None,
    ) -> None:
        self.graph = graph
        self.name = name
        self.path = path
        self.source = source  # what was read, for formats that are patched
        self.zoo_name = zoo_name
        self._sized: tuple[dict[str, Shape], dict[str, str]] | None = None

    @property
    def argument(self) -> str:
        """What a person types to open it again."""
        return self.zoo_name or (str(self.path) if self.path is not None else self.name)

    def feeds(self, input: literal.Spec = None) -> dict[str, Shape]:  # noqa: A002  the contract's word
        """Input name -> shape for a shape in any of the accepted forms; None is the declared input."""
        shapes = literal.feeds(self.graph, input, first_input(self.graph))
        missing = [i.name for i in self.graph.inputs if i.role != "label" and not _told(shapes.get(i.name))]
        if missing:
            raise UsageError(
                f"{self.name} does not say the size of its input {missing[0]!r}",
                "E207",
                hint="give it: --input 224, or --input 3x224x224",
            )
        return shapes

    def trace(
        self,
        input: literal.Spec = None,  # noqa: A002  the contract's word
        *,
        fresh: bool = False,
        dialect: str | None = None,
    ) -> Trace:
        """Every layer's shape when ``input`` goes in.

        ``input`` is an int (square), (H, W), (C, H, W), (N, C, H, W), a shape literal, {input name: shape}, or None for
        the declared input. Weights a definition leaves open are sized by the native input unless ``fresh``. ``dialect``
        names the framework whose rounding holds; None is the definition's own. Raises UsageError for a shape that makes
        no sense; what does not fit is in ``problems``.
        """
        sized, wanted = ({}, {}) if fresh else self.sized()
        return trace(self.graph, self.feeds(input), dialect=dialect, sized=sized, wanted=wanted)

    def retrace(self, graph: Graph, feeds: Mapping[str, Shape], dialect: str | None = None) -> Trace:
        """An edited graph at ``feeds``, its untouched weights as trained at the original's native input."""
        sized, wanted = self.sized()
        return trace(graph, feeds, dialect=dialect, sized=sized, wanted=wanted)

    def sized(self) -> tuple[dict[str, Shape], dict[str, str]]:
        """Shapes of the weights the definition leaves open, as trained at the native input, and how they factor."""
        if self._sized is None:
            names = open_params(self.graph)
            native = self._native() if names else None
            self._sized = ({}, {}) if native is None else _sizes_of(native, names)
        return self._sized

    def _native(self) -> Trace | None:
        try:
            return trace(self.graph, self.feeds(None))
        except UsageError:
            return None

    @property
    def native(self) -> dict[str, Shape]:
        """Input name -> the shape the definition was made for, where it says so."""
        return {given.name: given.native for given in self.graph.inputs if given.native is not None}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.graph.format}, {len(self.graph.nodes)} layers)"


def _told(shape: Shape | None) -> bool:
    """Whether a shape says every size: what a definition leaves to its data is asked for, never guessed."""
    return shape is not None and not any(isinstance(d, dims.Unknown) for d in shape)


def _sizes_of(native: Trace, names: list[str]) -> tuple[dict[str, Shape], dict[str, str]]:
    shapes: dict[str, Shape] = {}
    wanted: dict[str, str] = {}
    for layer in native.layers:
        for name in layer.node.inputs:
            shape = native.tensors[name].shape if name in names and name in native.tensors else None
            if isinstance(shape, tuple) and not any(isinstance(d, dims.Unknown) for d in shape):
                shapes[name] = shape
                given = layer.call.inputs[0].shape if layer.call.inputs[0] is not None else ()
                if layer.op == "Gemm" and len(shape) == 2 and isinstance(given, tuple) and len(given) > 2:
                    wanted[name] = "·".join(str(d) for d in given[int(layer.call.attr("axis", 1)) :])
    return shapes, wanted
