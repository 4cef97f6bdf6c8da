"""A definition that was read: its graph, the shapes its weights were trained at, and its traces."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Self

from . import dims, literal
from .dims import Shape
from .errors import UsageError
from .formats import Options, Source
from .graph import Graph, Input, Node
from .trace import Mend, Trace, first_input, open_params, trace

if TYPE_CHECKING:
    from .formats.weights import Entry, Place, WeightFile


class Definition:
    """A network definition that was read.

    ``name`` is what people call it, ``graph`` its nodes and parameters, ``weights`` a file of trained weights that goes
    with it.
    """

    def __init__(
        self,
        graph: Graph,
        name: str,
        *,
        path: Path | None = None,
        zoo_name: str | None = None,
        source: Source | None = None,
        weights: WeightFile | None = None,
    ) -> None:
        self.graph = graph
        self.name = name
        self.path = path
        self.source = source  # what was read, for formats that are patched
        self.zoo_name = zoo_name
        self.weights = weights
        self._sized: tuple[dict[str, Shape], dict[str, str]] | None = None

    @property
    def argument(self) -> str:
        """What a person calls it to open it: its path, or its name in the zoo."""
        return self.zoo_name or (str(self.path) if self.path is not None else self.name)

    @property
    def typed(self) -> str:
        """What a person types after a command to open it again in the same way: `argument`, and the flags."""
        options = self.graph.meta.get("options", Options())
        return " ".join([quote(self.argument), *options.flags])

    def asked(self, traced: Trace) -> str:
        """What a person types to feed it as a trace of it was: ``--input 256``."""
        shapes = {name: tensor.shape for name, tensor in traced.feeds.items() if isinstance(tensor.shape, tuple)}
        said = literal.spelled(self.graph, shapes, first_input(self.graph))
        return " ".join(f"--input {quote(text)}" for text in said)

    def feeds(self, input: literal.Spec = None) -> dict[str, Shape]:  # noqa: A002  the contract's word
        """Input name -> shape for a shape in any of the accepted forms; None is the declared input."""
        shapes = literal.feeds(self.graph, input, first_input(self.graph))
        shaped = (i for i in self.graph.inputs if i.role != "label" and i.unshaped is None)
        missing = [i.name for i in shaped if not _told(shapes.get(i.name))]
        if missing:
            raise self._open_size(missing[0], shapes.get(missing[0]))
        return shapes

    def _open_size(self, name: str, shape: Shape | None) -> UsageError:
        """What a definition leaves to its data is asked for: all of an input's size, or its channels alone."""
        places = (shape or ())[2:]
        if len(places) == 2 and not any(isinstance(size, dims.Unknown) for size in places):
            size = "x".join(map(str, places))
            words, hint = (
                "how many channels its input {!r} has",
                f"give them: --input 3x{size} for colour, 1x{size} for gray",
            )
        else:
            first = first_input(self.graph)
            named = "" if first is None or first.name == name else f"{name}:"
            rank = len(shape or ())
            if rank in (0, 4):
                hint = (
                    f"give it too: --input {named}1x3x224x224"
                    if named
                    else "give it: --input 224, or --input 3x224x224"
                )
            else:
                hint = f"give all {rank} of its axes, as in --input {named}{'x'.join(['1', *['16'] * (rank - 1)])}"
            words = "the size of its input {!r}"
        return UsageError(f"{self.name} does not say {words.format(name)}", "E207", hint=hint)

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
        feeds = self.feeds(input)
        sized, wanted = ({}, {}) if fresh else self.told(feeds).sized()
        return trace(self.graph, feeds, dialect=dialect, sized=sized, wanted=wanted)

    def retrace(
        self, graph: Graph, feeds: Mapping[str, Shape], dialect: str | None = None, mend: Mend | None = None
    ) -> Trace:
        """An edited graph at ``feeds``, its untouched weights as trained at the original's native input."""
        sized, wanted = self.sized()
        return trace(graph, feeds, dialect=dialect, sized=sized, wanted=wanted, mend=mend)

    def told(self, feeds: Mapping[str, Shape]) -> Self:
        """The definition with the sizes of ``feeds`` where it leaves them to its data.

        A data layer of Caffe may say its crop and not its channels, or nothing; whoever gives them has said what it was
        trained at. A chain that leaves its size open is sized by its first call instead, whatever that is fed.
        """
        if self.graph.format != "caffe":
            return self
        inputs = tuple(_completed(given, feeds.get(given.name)) for given in self.graph.inputs)
        if inputs == self.graph.inputs:
            return self
        told = copy(self)
        told.graph, told._sized = self.graph.replace(inputs=inputs), None
        return told

    def sized(self) -> tuple[dict[str, Shape], dict[str, str]]:
        """Shapes of the weights the definition leaves open, as trained at the native input, and how they factor."""
        if self._sized is None:
            names = open_params(self.graph)
            native = self._native() if names else None
            self._sized = ({}, {}) if native is None else _sizes_of(native, names)
            if self.weights is not None:
                self._sized = self._trained(names, *self._sized)
        return self._sized

    def _trained(
        self, names: list[str], shapes: dict[str, Shape], wanted: dict[str, str]
    ) -> tuple[dict[str, Shape], dict[str, str]]:
        """As `sized`, by what the weight file holds: what was trained decides where the definition leaves it open."""
        tensors = self.untrained().tensors
        readers = {node.name: node for node in self.graph.nodes}
        follows = {place.param: _input_axis(readers[place.layer]) for place in self.places}
        for name in names:
            entry, tensor = self.given.get(name), tensors.get(name)
            if entry is None or tensor is None or not isinstance(tensor.shape, tuple):
                continue
            shape = entry.seen(len(tensor.shape))
            if shape != shapes.get(name) and _could_be(shape, tensor.shape, follows[name]):
                shapes[name] = shape
                wanted.pop(name, None)
        return shapes, wanted

    @cached_property
    def places(self) -> list[Place]:
        """Every parameter with what the weight file holds for it; empty without one. Raises ModelError."""
        if self.weights is None:
            return []
        from .formats.weights import places

        return places(self.graph, self.weights)

    @cached_property
    def given(self) -> dict[str, Entry]:
        """Parameter -> its trained numbers. Of layers that share a parameter the last counts, as in Caffe."""
        return {place.param: place.entry for place in self.places if place.entry is not None}

    def untrained(self, input: literal.Spec = None) -> Trace:  # noqa: A002
        """The trace of the definition alone, its weights as ``input`` or the native one sizes them.

        Sizes that neither says are unknown.
        """
        feeds = literal.feeds(self.graph, input, first_input(self.graph))
        open_inputs = [given.name for given in self.graph.inputs if given.name not in feeds]
        unknown = {name: dims.Unknown(f"{self.name} does not say the size of {name}") for name in open_inputs}
        return trace(self.graph, {**feeds, **unknown})

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


def _input_axis(node: Node) -> int | None:
    """The axis of a node's weight that is as long as its input is deep; None where all follow the definition."""
    if node.op == "Gemm":
        return 1 if node.attrs.get("transB", 0) else 0
    return {"Conv": 1, "ConvTranspose": 0}.get(node.op)


def _could_be(shape: Shape, wanted: Shape, free: int | None) -> bool:
    """Whether a weight of ``shape`` may have been trained for ``wanted``, at another input along the axis ``free``."""
    if len(shape) != len(wanted):
        return False
    pairs = enumerate(zip(shape, wanted, strict=True))
    return not any(axis != free and dims.failed(dims.equal(a, b)) for axis, (a, b) in pairs)


def _told(shape: Shape | None) -> bool:
    """Whether a shape says every size: what a definition leaves to its data is asked for, never guessed."""
    return shape is not None and not any(isinstance(d, dims.Unknown) for d in shape)


def _completed(given: Input, shape: Shape | None) -> Input:
    native = given.native
    if shape is None or native is None or len(native) != 4 or len(shape) != 4:
        return given
    told = tuple(now if isinstance(before, dims.Unknown) else before for before, now in zip(native, shape, strict=True))
    if told == native:
        return given
    return Input(given.name, told, dtype=given.dtype, layout=given.layout, role=given.role, origin=given.origin)


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
