"""What a dotted name of Chainer, numpy or Python's library stands for in a definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...dims import Expr
from .chains import BASES, sizes
from .composites import COMPOSITES
from .functions import FUNCTIONS
from .links import LINKS
from .methods import OUTSIDE
from .text import Site, Text
from .use import NUMBER, Row
from .values import Arguments, Array, Layer, Native, Opaque, Parameter, Value

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
    if dotted in _FILLED:
        return Native(dotted, _filled(_FILLED[dotted]))
    root, _, rest = dotted.partition(".")
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
    if dotted.startswith(("chainer.links.", "chainer.functions.")) and last in COMPOSITES:
        return composite(run, last)
    if last in BASES:
        return BASES[last]
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


def composite(run: Run, name: str) -> Value:
    """A link or function of Chainer made of others, read from shapecalc's own definition of it."""
    if name not in run.composites:
        run.composites[name] = run.module(Text(f"chainer {name}", COMPOSITES[name], own=False)).names[name]
    return run.composites[name]


#: Functions of numpy that make an array of one number.
_FILLED = {"numpy.zeros": 0.0, "numpy.ones": 1.0, "cupy.zeros": 0.0, "cupy.ones": 1.0}


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
