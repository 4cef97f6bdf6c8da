"""An image of any size made one that the net takes, by a layer in front: nothing behind it changes.

Other repairs let the net see more or fewer pixels; this one shows it the same number. It is never chosen unasked.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..dims import Shape, all_numbers, show
from ..graph import Graph, Node, Param, places
from ..source import Origin
from ..trace import Trace, first_input
from .channels import put_in_front
from .names import free_name

#: The opset from which Resize names its axes, and smooths an image that it makes smaller as image libraries do.
AXES_SINCE = 18
#: The opset from which Resize takes sizes.
SIZES_SINCE = 11


class ResizeInput(NamedTuple):
    """An input scaled bilinearly to the size the net takes; ``sizes`` are height and width that come in and go on."""

    input: str
    sizes: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def layer(self) -> str:
        """The input's name."""
        return self.input

    def apply(self, graph: Graph) -> Graph:
        """The graph with the scaling in front of everything that reads the input."""
        given = next(item for item in graph.inputs if item.name == self.input)
        node, params = scaled(graph, free_name(graph, f"{self.input}_resized"), self.input, self.sizes, given.layout)
        return put_in_front(graph, self.input, [node], params)

    def describe(self) -> str:
        """One line for people."""
        before, after = (show(size) for size in self.sizes)
        return f"resize {self.input} in front, bilinearly: {before} → {after}; the net itself runs at {after}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "resize-input", "layer": self.input, "sizes": [list(size) for size in self.sizes]}


def scaled(
    graph: Graph, name: str, value: str, sizes: tuple[tuple[int, ...], tuple[int, ...]], layout: str
) -> tuple[Node, list[Param]]:
    """A Resize that takes height and width of a map from one of the sizes to the other, and what it reads."""
    axes = (1, 2) if layout == "NHWC" else (2, 3)
    attrs: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if graph.format != "onnx" or graph.opset >= AXES_SINCE:
        shrinks = any(after < before for before, after in zip(*sizes, strict=True))
        attrs |= {"axes": axes} | ({"antialias": 1} if shrinks else {})
        params = [Param(f"{name}/sizes", (2,), "int64", contents=sizes[1], trained=False)]
        inputs = [value, "", "", params[0].name]
    else:
        params = _by_factors(name, axes, sizes)
        inputs = [value, *(param.name for param in params)]
    return Node(name, "Resize", inputs, (name,), attrs, origin=Origin(op="inserted")), params


def _by_factors(name: str, axes: tuple[int, int], sizes: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Param]:
    """What older files are told: a region, which must be there and is not used, and a factor for each axis."""
    factors = dict(zip(axes, map(_factor, *sizes), strict=True))
    region = Param(f"{name}/roi", (8,), "float32", contents=(0.0,) * 4 + (1.0,) * 4, trained=False)
    contents = tuple(factors.get(axis, 1.0) for axis in range(4))
    return [region, Param(f"{name}/scales", (4,), "float32", contents=contents, trained=False)]


def _factor(before: int, after: int) -> float:
    """The float32 that makes ``before`` to ``after`` exactly, however the product is rounded before it is cut off.

    >>> _factor(24, 20) * 24 >= 20
    True
    """
    bits: int = struct.unpack("<I", struct.pack("<f", after / before))[0]
    factors: list[float] = [struct.unpack("<f", struct.pack("<I", bits + step))[0] for step in (0, 1)]
    return next(factor for factor in factors if factor * before >= after)


def resize(wanted: Trace, natives: Mapping[str, Shape]) -> ResizeInput | None:
    """The edit that takes the first input from the size of ``wanted`` to its native one.

    None where one of them is not known, where they are the same, or where the file is too old to scale.
    """
    given = first_input(wanted.graph)
    if given is None or given.name not in wanted.feeds:
        return None
    before, after = wanted.feeds[given.name].shape, natives.get(given.name)
    if not isinstance(before, tuple) or after is None or len(before) != 4 or len(after) != 4:
        return None
    sizes = places(before, given.layout), places(after, given.layout)
    old = wanted.graph.format == "onnx" and wanted.graph.opset < SIZES_SINCE
    if old or sizes[0] == sizes[1] or not all(map(all_numbers, sizes)):
        return None
    return ResizeInput(given.name, sizes)
