"""From a file to a graph: which class, called with what, and what its ``forward`` is fed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from ...dims import Dim, Shape, Unknown, symbol
from ...errors import ModelError
from ...graph import Graph, Input, Node
from ...source import Origin, Span
from .. import Options, Source
from .chains import is_link, paths
from .choosing import choose, makers
from .interpreter import Run
from .modules import Modules
from .tape import RankError
from .text import Site, Text
from .use import LARGEST, describe
from .values import Arguments, Bound, Class, Function, Instance, Native, Opaque, Placed, Scope, Value, Variable

#: Arguments of ``forward`` that switch training on and off (Chainer 1).
SWITCHES = {"train": True, "test": False}
#: Axes of an image, which an input is taken to be.
IMAGE = 4


class Reading:
    """One definition being read: its file, those beside it that it imports, and what the caller asked for."""

    def __init__(self, source: Source, options: Options, ranks: Mapping[str, int]) -> None:
        self.source = source
        self.ranks = ranks
        self.given = {name: _literal(value) for name, value in options.arguments.items()}
        self.text = Text(source.name, source.text())
        self.class_name, train = _phased(options, self.text)
        self.run = Run(train=train, arguments=self.given)
        self.run.text = self.text
        self.forward: Span | None = None  # where it stands, if in this file
        self.modules = Modules(self.run, source.name, source.path, options.path)
        self.run.load = self.modules.load

    # -- the model ------------------------------------------------------------------------------------------------
    def graph(self) -> Graph:
        """The graph of the definition."""
        scope = self.run.module(self.text)
        model = self.construct(choose(scope, self.class_name, self.source), scope)
        kind = model.kind
        self.run.tape.reserved = frozenset(paths(model))
        outputs = self.follow(model)
        tape = self.run.tape
        return Graph(
            kind.name,
            self.inputs(kind, model),
            tape.nodes,
            outputs,
            tape.params,
            dialect="chainer",
            format="chainer",
            meta={
                "class": kind.name,
                "text": self.text.text,
                "forward": self.forward,
                "scores": tuple(tape.scores),
                "written": {value: tuple(spans) for value, spans in tape.written.items()},
            },
            warnings=tape.warnings,
        )

    def construct(self, maker: Class | Function, scope: Scope) -> Instance:
        """The model: its class, or a function that makes one, called with what the caller gave."""
        init = maker if isinstance(maker, Function) else maker.find("__init__")
        site = Site(maker.scope.text, maker.node) if isinstance(maker, Function) else maker.site
        assert site is not None
        names = _parameters(init)[isinstance(maker, Class) :] if isinstance(init, Function) else []
        further = isinstance(init, Function) and init.signature.extra is not None
        passed = {name: value for name, value in self.given.items() if name in names or (further and "." not in name)}
        missing = [name for name in names if name not in passed and name not in _defaults(init)]
        if missing:
            asked = " ".join(f"--arg {name}=…" for name in missing)
            made = makers(self.run, scope, maker) if isinstance(maker, Class) else []
            raise site.error(
                f"{maker.name} is made with {', '.join(missing)}, which the definition leaves open",
                "E205",
                hint=f"{asked}, or --class-name {made[0]}, which makes one" if made else asked,
            )
        made_model = self.run.call(maker, Arguments((), passed), site)
        if not is_link(made_model) or not isinstance(made_model, Instance):
            raise site.error(f"{maker.name} gives no chain", "E202")
        self.run.model = made_model
        return made_model

    def follow(self, model: Instance) -> list[str]:
        """Follows ``forward``, its arguments without defaults fed; the names of what it returns."""
        forward = model.kind.find("__call__") or model.kind.find("forward")
        assert model.kind.site is not None
        if not isinstance(forward, (Function, Native)):
            raise model.kind.site.error(f"{model.kind.name} has no forward", "E204")
        site = Site(forward.scope.text, forward.node) if isinstance(forward, Function) else model.kind.site
        self.forward = site.span if isinstance(forward, Function) and forward.scope.text is self.text else None
        result = self.run.call(Bound(forward, model), self.fed(forward, site), site)
        outputs = list(dict.fromkeys(_results(result)))
        if not outputs:
            outputs = [name for node in self.run.tape.nodes[-1:] for name in node.outputs]
        if isinstance(result, Opaque) and not outputs:
            raise site.error(f"the forward of {model.kind.name} gives {describe(result)}")
        if not self.run.tape.nodes or not outputs:
            raise site.error(f"the forward of {model.kind.name} computes nothing from its input")
        return outputs

    def fed(self, forward: Function | Native, site: Site) -> Arguments:
        """The arguments of ``forward``: what the caller gave, Chainer 1's switches, and an input for each other."""
        names = _parameters(forward)[1:] if isinstance(forward, Function) else ["x"]
        defaults = _defaults(forward)
        passed: dict[str, Value] = {}
        for name in names:
            if name in self.given:
                passed[name] = self.given[name]
            elif name in SWITCHES:
                passed[name] = self.run.train == SWITCHES[name]
            elif name not in defaults:
                passed[name] = self.feed(name, site)
        rest = forward.signature.rest if isinstance(forward, Function) else None
        if (
            isinstance(forward, Function)
            and rest is not None
            and not any(isinstance(value, Variable) for value in passed.values())
        ):
            first = [passed.get(name, defaults.get(name)) for name in forward.signature.names[1:]]
            return Arguments((*first, self.feed(rest, site)))  # forward(self, *xs) of one value
        return Arguments((), passed) if isinstance(forward, Function) else Arguments(passed.values())

    def feed(self, name: str, site: Site) -> Variable:
        """An image fed from outside, or what the definition takes apart otherwise."""
        self.run.tape.feed(Input(name, origin=self.run.origin(site, "Input", {})))
        return Variable(name, self.ranks.get(name, IMAGE))

    # -- inputs ---------------------------------------------------------------------------------------------------
    def inputs(self, kind: Class, model: Instance) -> Iterable[Input]:
        """The inputs with what is known of their shapes."""
        tape = self.run.tape
        for name, given in tape.inputs.items():
            if name in tape.labels:
                yield Input(name, (symbol("N"),), native=(1,), dtype="int32", role="label", origin=given.origin)
                continue
            if self.ranks.get(name, IMAGE) != IMAGE:
                unknown = Unknown(f"{kind.name} does not say how long the axes of {name} are")
                yield Input(name, (1, *[unknown] * (self.ranks[name] - 1)), role="other", origin=given.origin)
                continue
            named = _of_regions(tape.nodes, name)
            if named is not None:
                yield Input(name, (symbol("R"), *named), native=(1, *named), role="other", origin=given.origin)
                continue
            reader = first_reader(tape.nodes, name)
            size = None if reader is None else _fan_in(self.run, reader)
            if size is not None:  # it flattens what it is given, of any rank
                yield Input(name, native=(1, size), origin=given.origin)
            else:
                yield Input(name, self.shape(name, reader, kind, model), origin=_with_insize(given.origin, kind, model))

    def shape(self, name: str, reader: Node | None, kind: Class, model: Instance) -> Shape:
        """One image: channels from the first layer, height and width from ``insize``, asked for where it says none."""
        channels = None if reader is None or reader.op == "Gemm" else _input_channels(self.run, reader)
        if channels is None:
            channels = 3
            self.run.tape.warnings.setdefault(
                f"{self.source.name}: the definition does not say how many channels {name} has; 3 are assumed"
            )
        sides = _insize(kind, model, self.given.get("insize"))
        if len(sides) == 2 and all(isinstance(side, int) and 0 < side <= LARGEST for side in sides):
            return (1, channels, *map(int, sides))
        unknown = Unknown(f"{kind.name} has no insize (--arg insize=… says the size it was made for)")
        return (1, channels, unknown, unknown)


def read(source: Source, options: Options) -> Graph:
    """The graph of a Chainer definition; raises ModelError. Nothing of the file is executed."""
    ranks: dict[str, int] = {}
    try:
        while True:
            reading = Reading(source, options, ranks)
            try:
                return reading.graph()
            except RankError as error:  # once an input, as each is asked for one rank
                if error.fed in ranks:
                    raise
                ranks[error.fed] = error.rank
            except ModelError as error:
                error.hint = error.hint or reading.modules.way_out(error.message)
                raise
    except (RecursionError, MemoryError):
        raise ModelError("its expressions are nested too deeply", "E202", location=source.name) from None


def _phased(options: Options, text: Text) -> tuple[str | None, bool]:
    """The class asked for and whether it trains: ``GoogLeNet_train`` is GoogLeNet in training, whatever the phase."""
    name = options.class_name
    defined = {node.name for node in text.tree.body if isinstance(node, ast.ClassDef)}
    if name is not None and name not in defined and name.removesuffix("_train") in defined:
        return name.removesuffix("_train"), True
    return name, options.phase == "TRAIN"


# -- arguments --------------------------------------------------------------------------------------------------------


def _literal(value: Any) -> Value:
    """An argument from a command line: ``13`` is a number, ``max`` a text."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _parameters(function: Function | Native) -> list[str]:
    if isinstance(function, Native):
        return []
    return [*function.signature.names, *function.signature.keyword_only]


def _defaults(function: Value) -> Mapping[str, Value]:
    return function.signature.defaults if isinstance(function, Function) else {}


# -- shapes -----------------------------------------------------------------------------------------------------------


def _results(result: Value) -> list[str]:
    """Names of the values in what ``forward`` returns: one, several, or a dict of them."""
    if isinstance(result, Variable):
        return [result.name]
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return [part.name for part in result if isinstance(part, Variable)]
    return []


def _insize(kind: Class, model: Instance, given: Value = None) -> tuple[Value, ...]:
    """Height and width that the class was made for: its ``insize``, one number or two, else what the caller gave."""
    insize = model.attributes.get("insize", kind.find("insize"))
    insize = given if insize is None else insize
    return tuple(insize[-2:]) if isinstance(insize, (tuple, list)) else (insize, insize)


def _with_insize(origin: Origin | None, kind: Class, model: Instance) -> Origin | None:
    """The origin of an input with the places of the numbers of ``insize``."""
    sides = [side.span for side in _insize(kind, model) if isinstance(side, Placed)]
    if origin is None or len(sides) != 2:
        return origin
    parts = dict(zip(("insize.height", "insize.width"), sides, strict=True))
    return Origin(origin.file, origin.line, origin.op, origin.span, parts)


#: Operators that leave the channels as they are, so the layer after them tells the input's.
_TRANSPARENT = frozenset("Power Add Sub Mul Identity MaxPool AveragePool Relu Dropout LRN Neg Cast".split())
_TELLING = {"Conv": 1, "ConvTranspose": 0, "BatchNormalization": 0}


def first_reader(nodes: Iterable[Node], name: str) -> Node | None:
    """The first layer with weights that reads a value, through layers that leave its channels alone."""
    names = {name}
    for node in nodes:
        if not names.intersection(node.inputs[:1]):
            continue
        if node.op in _TELLING or node.op == "Gemm":
            return node
        if node.op in _TRANSPARENT:
            names.update(node.outputs)
    return None


def _of_regions(nodes: Iterable[Node], name: str) -> tuple[int, ...] | None:
    """What a region is told by, where a value names regions: 4 or 5 numbers, or the number of its image."""
    for node in nodes:
        if node.op == "Regions" and name in node.inputs[1:]:
            rows = (5,) if len(node.inputs) == 2 else (4,)
            return rows if name == node.inputs[1] else ()
    return None


def _weight_axis(run: Run, node: Node, axis: int) -> Dim | None:
    shapes = (run.tape.params[name].shape for name in node.inputs[1:] if name in run.tape.params)
    shape = next(shapes, None)
    return shape[axis] if shape is not None and len(shape) > axis else None


def _fan_in(run: Run, node: Node) -> Dim | None:
    """What a fully connected layer takes from each image, where the definition says it."""
    return _weight_axis(run, node, 1) if node.op == "Gemm" and node.attrs["axis"] == 1 else None


def _input_channels(run: Run, node: Node) -> Dim | None:
    axis = _TELLING[node.op]
    size = _weight_axis(run, node, axis)
    if size is None or node.op != "Conv":
        return size
    group = node.attrs.get("group", 1)
    return size * group if isinstance(group, int) else None
