"""What a dotted name of Chainer, numpy or Python's library stands for in a definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .chains import BASES
from .composites import COMPOSITES
from .functions import FUNCTIONS
from .links import LINKS
from .methods import OUTSIDE
from .text import Site, Text
from .use import NUMBER, Row
from .values import Arguments, Layer, Native, Value

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
    if dotted.startswith(("chainer.links.", "chainer.functions.")) and last in LINKS:  # F.Convolution2D: Chainer 1.3
        return link(LINKS[last])
    if dotted.startswith(("chainer.links.", "chainer.functions.")) and last in COMPOSITES:
        return composite(run, last)
    if last in BASES:
        return BASES[last]
    if last in _SAME:
        return Native(last, lambda run, arguments, site: arguments.positional[0] if arguments.positional else None)
    return _FACTS.get(dotted)


def function(row: Row) -> Native:
    """A function of chainer.functions as a value."""
    return Native(row.name, lambda run, arguments, site: run.apply(row, arguments, site))


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


def _partial(run: Run, arguments: Arguments, site: Site) -> Value:
    if not arguments.positional:
        raise site.error(f"{site.quote()}: partial takes a function")
    wrapped, *first = arguments.positional
    named = arguments.keywords

    def call(run: Run, more: Arguments, at: Site) -> Value:
        return run.call(wrapped, Arguments([*first, *more.positional], {**named, **more.keywords}), at)

    return Native("partial", call)
