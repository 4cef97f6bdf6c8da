"""What a dotted name of Chainer, numpy or Python's library stands for in a definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ...dims import Expr
from .bases import LINKS_AS_BASES
from .chainercv import CHAINERCV
from .chains import BASES, sizes
from .composites import COMPOSITES
from .functions import FUNCTIONS
from .links import LINKS
from .methods import OUTSIDE
from .operators import attribute
from .text import Site, Text
from .use import NUMBER, Row
from .values import Arguments, Array, Layer, Native, Opaque, Parameter, Value, Variable

if TYPE_CHECKING:
    from ...source import Span
    from .interpreter import Run

#: Wrappers that give the value they are given.
_SAME = frozenset("Variable as_variable as_array to_gpu to_cpu identity copy forget_".split())
#: Facts of a reading on a machine that runs nothing.
_FACTS = {
    "chainer.config.enable_backprop": False,
    "chainer.config.debug": False,
    "chainer.cuda.available": False,
    "chainer.backends.cuda.available": False,
    "chainer.__version__": "7.8.1",
}


def lookup(run: Run, dotted: str) -> Value:
    """The value of a name from outside the definition; None where nothing is known of it."""
    if dotted in OUTSIDE:
        return OUTSIDE[dotted]
    if dotted == "functools.partial":
        return Native("partial", _partial)
    if dotted.endswith((".get_array_module", "cuda.cupy", "backends.cuda.cupy")):
        numpy = Opaque("numpy")
        return numpy if dotted.endswith("cupy") else Native("get_array_module", lambda run, arguments, site: numpy)
    if dotted.startswith(_RANDOM):
        return Native(dotted, _drawn)
    if dotted in _LIKE:
        return Native(dotted, _like(_LIKE[dotted]))
    if dotted in _FILLED:
        return Native(dotted, _filled(_FILLED[dotted]))
    root, _, rest = dotted.partition(".")
    if root == "chainercv":
        return _of_chainercv(run, dotted)
    if root != "chainer" or not rest:
        return None
    if dotted in ("chainer.config.train", "chainer.configuration.config.train", "chainer.global_config.train"):
        return run.train
    return _of_chainer(run, dotted)


def _of_chainer(run: Run, dotted: str) -> Value:
    last = dotted.rpartition(".")[2]
    if dotted.startswith("chainer.functions.") and last in FUNCTIONS:
        return function(FUNCTIONS[last])
    if dotted.startswith("chainer.functions.") and last in CLASSES:
        return _function_class(run, last)
    if dotted.startswith(("chainer.links.", "chainer.functions.")) and last in LINKS:  # F.Convolution2D: Chainer 1.3
        return link(LINKS[last])
    if dotted.startswith("chainer.links.") and last.islower():
        return None  # a module: chainer.links.connection.lstm
    if dotted.startswith(("chainer.links.", "chainer.functions.")) and last in COMPOSITES:
        return composite(run, last)
    if last in BASES:
        return BASES[last]
    if last == "generate_array":  # chainer.initializers: of an initializer and a shape
        return Native(last, lambda run, arguments, site: _drawn(run, Arguments(arguments.positional[1:2]), site))
    if dotted in ("chainer.Parameter", "chainer.parameter.Parameter", "chainer.variable.Parameter"):
        return Native("Parameter", _parameter)
    if last == "is_debug":
        return Native("is_debug", lambda run, arguments, site: False)
    if last in _SAME:
        return Native(last, lambda run, arguments, site: arguments.positional[0] if arguments.positional else None)
    return _FACTS.get(dotted)


def function(row: Row) -> Native:
    """A function of chainer.functions as a value."""
    return Native(row.name, lambda run, arguments, site: run.apply(row, arguments, site))


#: Chainer 1's functions as objects: made with settings, called with the value. ``name`` -> the function of today.
CLASSES = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ClippedReLU": "clipped_relu",
    "ELU": "elu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "Softplus": "softplus",
    "Dropout": "dropout",
    "Concat": "concat",
    "Reshape": "reshape",
    "MaxPooling2D": "max_pooling_2d",
    "AveragePooling2D": "average_pooling_2d",
    "Unpooling2D": "unpooling_2d",
    "Upsampling2D": "upsampling_2d",
    "LocalResponseNormalization": "local_response_normalization",
    "SpatialPyramidPooling2D": "spatial_pyramid_pooling_2d",
    "SoftmaxCrossEntropy": "softmax_cross_entropy",
    "Accuracy": "accuracy",
    "MeanSquaredError": "mean_squared_error",
}


def _function_class(run: Run, name: str) -> Native:
    """``F.MaxPooling2D(3, 2)``: a function that waits for its value; settings of the time are left out."""

    def make(run: Run, settings: Arguments, site: Site) -> Value:
        def call(run: Run, values: Arguments, at: Site) -> Value:
            wanted = lookup(run, f"chainer.functions.{CLASSES[name]}")
            given = settings
            for value in reversed(values.positional):
                given = given.after(value)
            return run.call(wanted, given, at)

        return Native(name, call)

    return Native(name, make)


def link(row: Row) -> Native:
    """A link of chainer.links as a value: calling it makes a layer."""

    def make(run: Run, arguments: Arguments, site: Site) -> Layer:
        given, parts = row.bind(arguments, site)
        return Layer(row, given, run.origin(site, row.name, _with_channels(given, parts)))

    return Native(row.name, make)


def _with_channels(given: dict[str, Value], parts: dict[str, Span]) -> dict[str, Span]:
    """The argument that is the number of outputs, under one name for all links, shifted or not."""
    if "out_size" in given:
        name = "in_size" if given["out_size"] is None else "out_size"
    elif "out_channels" in given:
        name = "in_channels" if given["ksize"] is None else "out_channels"
    else:
        return parts
    return parts | {f"channels{end}": parts[name + end] for end in ("", NUMBER) if name + end in parts}


def composite(run: Run, name: str, texts: Mapping[str, str] = COMPOSITES, library: str = "chainer") -> Value:
    """A link or function of a library made of others, read from shapecalc's own definition of it.

    Names of one text are read together, so that one of them can be the base of another.
    """
    key = f"{library} {name}"
    if key not in run.composites:
        scope = run.module(Text(key, texts[name], own=False))
        run.composites |= {f"{library} {n}": scope.names[n] for n, text in texts.items() if text == texts[name]}
    return run.composites[key]


def extended(run: Run, base: Value) -> Value:
    """A base of a class: a link that is one layer as a class, anything else as it is."""
    if isinstance(base, Native) and base.name in LINKS_AS_BASES:
        return composite(run, base.name, LINKS_AS_BASES, "chainer.links")
    return base


def _of_chainercv(run: Run, dotted: str) -> Value:
    """A link of ChainerCV by the name it is exported under, from whichever of its modules."""
    last = dotted.rpartition(".")[2]
    if last not in CHAINERCV or not dotted.startswith(("chainercv.links.", "chainercv.utils.")):
        return None
    return composite(run, last, CHAINERCV, "chainercv")


#: Functions of numpy that make an array of one number.
_FILLED = {"numpy.zeros": 0.0, "numpy.ones": 1.0, "cupy.zeros": 0.0, "cupy.ones": 1.0}


#: Functions of numpy that draw an array; its numbers are those of a snapshot where it is registered, else not known.
_RANDOM = ("numpy.random.", "cupy.random.")


def _drawn(run: Run, arguments: Arguments, site: Site) -> Value:
    """``normal(loc, scale, size)``, ``uniform(low, high, size)``, ``randn(2, 3)``."""
    given = arguments.positional
    first = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    shape = arguments.keywords.get("size", tuple(first))
    known = sizes(shape)
    return Opaque(site.quote(), site) if known is None else Array(site.quote(), known, None, site)


#: Functions of numpy that make one as large as another value.
_LIKE = {f"{name}_like": number for name, number in _FILLED.items()}


def _like(number: float) -> Callable[[Run, Arguments, Site], Value]:
    def make(run: Run, arguments: Arguments, site: Site) -> Value:
        first = arguments.positional[0] if arguments.positional else None
        shape = attribute(run, first, "shape", site) if isinstance(first, Variable) else getattr(first, "shape", None)
        return Array(site.quote(), shape, number, site) if isinstance(shape, tuple) else Opaque(site.quote(), site)

    return make


def _filled(number: float) -> Callable[[Run, Arguments, Site], Value]:
    def make(run: Run, arguments: Arguments, site: Site) -> Value:
        shape, *_ = (*arguments.positional, arguments.keywords.get("shape"))
        given = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
        if not all(isinstance(size, (int, Expr)) for size in given):
            return Opaque(site.quote(), site)
        return Array(site.quote(), given, number, site)

    return make


def _parameter(run: Run, arguments: Arguments, site: Site) -> Value:
    """``chainer.Parameter(initializer, shape, name)``; an array is its own shape."""
    first, shape, *_ = (*arguments.positional, arguments.keywords.get("shape"), None, None)
    first = arguments.keywords.get("initializer", first)
    shape = first.shape if isinstance(first, Array) else shape
    return Parameter(None if shape is None else sizes(shape), run.origin(site, "Parameter", {}))


def _partial(run: Run, arguments: Arguments, site: Site) -> Value:
    if not arguments.positional:
        raise site.error(f"{site.quote()}: partial takes a function")
    wrapped, *first = arguments.positional
    named = arguments.keywords

    def call(run: Run, more: Arguments, at: Site) -> Value:
        return run.call(wrapped, Arguments([*first, *more.positional], {**named, **more.keywords}), at)

    return Native("partial", call)
