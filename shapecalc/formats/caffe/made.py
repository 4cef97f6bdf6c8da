"""What a row of the layer tables gives: an operator, its attributes, its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from .layer import Layer
from .view import View


class Weight(NamedTuple):
    """A parameter, named ``<layer>/<name>``; ``trained`` is False for statistics that are not learned."""

    name: str
    trained: bool = True
    contents: tuple[Any, ...] | None = None


class Made(NamedTuple):
    """A node to be: its inputs are the bottoms, then ``weights`` in Caffe's order (None: an input left out).

    ``domain`` "caffe" marks operators ONNX does not have (`shapecalc.ops.vision`). A parameter with ``contents`` is a
    constant of one element.
    """

    op: str
    attrs: Mapping[str, Any] = {}
    weights: tuple[Weight | None, ...] = ()
    domain: str = ""


Row: TypeAlias = Callable[[Layer], Made]

BIAS = Weight("bias")


def outputs(layer: Layer, view: View) -> int:
    """``num_output``, which no layer with weights goes without."""
    count = view.count("num_output", 0)
    if count < 1:
        raise layer.refuse("num_output must be at least 1", hint="write num_output: 64")
    return count


def plain(op: str, domain: str = "") -> Row:
    """An operator without settings."""
    return lambda layer: Made(op, domain=domain)


def computed(reason: str) -> Row:
    """A layer whose output nobody can know before it runs."""
    return lambda layer: Made("Computed", {"reason": reason}, domain="caffe")


def reals(op: str, message: str, domain: str = "", /, **defaults: float) -> Row:
    """An operator whose attributes are numbers of the same name."""

    def make(layer: Layer) -> Made:
        view = layer.param(message)
        return Made(op, {name: view.real(name, default) for name, default in defaults.items()}, domain=domain)

    return make
