"""A definition that was read, and the questions it answers."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import dims, literal, zoo
from .dims import Shape
from .errors import ModelError, UsageError
from .formats import Options, Source, read
from .graph import Graph
from .trace import Trace, first_input, open_params, trace

if TYPE_CHECKING:
    from .sizes import Sizes
    from .surgery.plan import Plan

#: Smaller files are read, larger ones mapped: their weights stay on disk.
MAPPED_FROM = 1 << 20


class Model:
    """A network definition: trace it, ask which sizes fit, retarget it.

    ``name`` is what people call it, ``graph`` its nodes and parameters.
    """

    def __init__(self, graph: Graph, name: str, *, path: Path | None = None, zoo_name: str | None = None) -> None:
        self.graph = graph
        self.name = name
        self.path = path
        self.zoo_name = zoo_name
        self._sized: tuple[dict[str, Shape], dict[str, str]] | None = None

    def feeds(self, input: literal.Spec = None) -> dict[str, Shape]:  # noqa: A002  the contract's word
        """Input name -> shape for a shape in any of the accepted forms; None is the declared input."""
        shapes = literal.feeds(self.graph, input, first_input(self.graph))
        missing = [i.name for i in self.graph.inputs if i.name not in shapes and i.role != "label"]
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

    def sizes(self, *, limit: int | None = None, dialect: str | None = None) -> Sizes:
        """Every square input size that fits, as intervals, with the layer that forbids the rest."""
        from .sizes import valid_sizes

        return valid_sizes(self, limit=limit, dialect=dialect)

    def retarget(
        self,
        *,
        classes: int | None = None,
        input: literal.Spec = None,  # noqa: A002
        repair: str | None = None,
        plan: int = 1,
    ) -> Plan:
        """A plan for another number of classes or another input size; nothing is written until ``Plan.save``.

        Raises RefusedError where no head is found or no weightless repair makes the size fit.
        """
        from .surgery.plan import make_plan

        return make_plan(self, classes=classes, input=input, repair=repair, choice=plan)

    def __repr__(self) -> str:
        return f"Model({self.name!r}, {self.graph.format}, {len(self.graph.nodes)} layers)"


def _sizes_of(native: Trace, names: list[str]) -> tuple[dict[str, Shape], dict[str, str]]:
    shapes: dict[str, Shape] = {}
    wanted: dict[str, str] = {}
    for layer in native.layers:
        for name in layer.node.inputs:
            shape = native.tensors[name].shape if name in names and name in native.tensors else None
            if isinstance(shape, tuple) and not any(isinstance(d, dims.Unknown) for d in shape):
                shapes[name] = shape
                given = layer.call.inputs[0].shape if layer.call.inputs[0] is not None else ()
                if layer.op == "Gemm" and isinstance(given, tuple) and len(given) > 2:
                    wanted[name] = "·".join(str(d) for d in given[int(layer.call.attr("axis", 1)) :])
    return shapes, wanted


def load(
    model: Any,
    *,
    format: str | None = None,  # noqa: A002  the contract's word
    phase: str = "TEST",
    stages: tuple[str, ...] = (),
    class_name: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Model:
    """Opens a definition: a path, a zoo name, bytes (with ``format``) or an onnx ModelProto.

    ``phase`` and ``stages`` choose the layers of a Caffe net, ``class_name`` and ``arguments`` the class of a Chainer
    file and what its constructor is called with. Nothing read is executed. Raises ModelError.
    """
    options = Options(phase.upper(), tuple(stages), class_name, dict(arguments or {}))
    if hasattr(model, "SerializeToString"):
        data = model.SerializeToString()
        graph = read(Source("model", None, data), options, "onnx")
        return Model(graph, graph.name or "model")
    if isinstance(model, (bytes, bytearray, memoryview)):
        graph = read(Source("<bytes>", None, bytes(model)), options, format)
        return Model(graph, graph.name or "model")
    name = str(model)
    path = Path(name)
    entry = None
    if not path.is_file():
        entry = zoo.find(name)
        if entry is None:
            raise _no_such(path, name)
        path = entry.path
    shown = f"zoo/{path.name}" if entry is not None else name
    graph = read(Source(shown, path, _contents(path, shown)), options, format)
    return Model(graph, entry.name if entry else path.stem, path=path, zoo_name=entry.name if entry else None)


def loads(text: str | bytes, *, format: str, name: str | None = None, **options: Any) -> Model:  # noqa: A002
    """Opens a definition given as text; see `load`."""
    data = text.encode() if isinstance(text, str) else text
    chosen = Options(
        str(options.pop("phase", "TEST")).upper(),
        tuple(options.pop("stages", ())),
        options.pop("class_name", None),
        dict(options.pop("arguments", None) or {}),
    )
    if options:
        raise TypeError(f"loads() got an unexpected argument {next(iter(options))!r}")
    graph = read(Source(name or f"<{format}>", None, data), chosen, format)
    return Model(graph, name or graph.name or format)


def _no_such(path: Path, name: str) -> ModelError:
    if path.is_dir():
        return ModelError("this is a folder, not a definition", "E202", location=name, hint="name a file inside it")
    return zoo.unknown(name)


def _contents(path: Path, shown: str) -> Any:
    try:
        with open(path, "rb") as file:
            if path.stat().st_size < MAPPED_FROM:
                return file.read()
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", "E202", location=shown) from None
