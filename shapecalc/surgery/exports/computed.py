"""Constants that an export wrote down for one size, computed while the net runs: for a height and a width left free.

A number of a reshape's target is a size of some value that comes before it, or a product of such: read by a `Shape` and
a `Gather`. Nodes that compute the same are made once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...graph import Graph, Node, Param
from ...source import Origin
from ..edits import exchanged, renamed
from ..names import free_param, unused

#: The end of an axis of any length.
END = (1 << 63) - 1


class How(NamedTuple):
    """What is made of a number n and the side s of the windows that a map of n is cut into, in words and in numbers."""

    words: str
    of: Callable[[int, int], int]


#: A window is no wider than its map, or (pad) as wide as ever; a map is padded to whole windows, cut into so many of
#: them, and shifted by half of one where there are several.
HOWS: Mapping[str, How] = {
    "least": How("min({n}, {s})", min),
    "fill": How("-{n} mod min({n}, {s})", lambda n, s: -n % min(n, s)),
    "pad": How("-{n} mod {s}", lambda n, s: -n % s),
    "many": How("{n}/min({n}, {s})", lambda n, s: n // min(n, s)),
    "half": How("({s}//2 where {n} > {s})", lambda n, s: s // 2 if n > s else 0),
}


class Size(NamedTuple):
    """A number that follows the input: ``times`` · the product of ``factors`` // ``over`` + ``plus``.

    A factor is (value, axis), the size of that value along that axis. Without factors it is ``plus``, always.
    ``how`` (`HOWS`) and ``by``: what is made of that number with the side of a window.
    """

    factors: tuple[tuple[str, int], ...] = ()
    times: int = 1
    over: int = 1
    plus: int = 0
    how: str = ""
    by: int = 0

    def __str__(self) -> str:
        if not self.factors:
            return "end" if self.plus == END else str(self.plus)
        words = [f"{value}[{axis}]" for value, axis in self.factors]
        text = "·".join([*([str(self.times)] if self.times != 1 else []), *words])
        text += (f"/{self.over}" if self.over != 1 else "") + (f"{self.plus:+}" if self.plus else "")
        return HOWS[self.how].words.format(n=text, s=self.by) if self.how else text


class Work:
    """Nodes put in front of a layer; one that computes what a node of the graph does is that node."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.made: dict[str, Node] = {}
        self.params: dict[str, Param] = {}

    def numbers(self, name: str, contents: Sequence[float], dtype: str = "int64", shape: Any = None) -> str:
        """The name of a constant."""
        wanted = tuple(contents)
        known = self.params.get(name) or self.graph.params.get(name)
        if known is not None and known.contents == wanted:
            return name
        name = unused(name, {*self.graph.params, *self.params})
        sizes = (len(wanted),) if shape is None else shape
        self.params[name] = Param(name, sizes, dtype, contents=wanted, trained=False)
        return name

    def add(self, name: str, op: str, inputs: Sequence[str], attrs: Mapping[str, Any] | None = None) -> str:
        """The name of a node's value; of the one that is there already, where one of that name computes the same."""
        known = self.made.get(name) or self.graph.producers().get(name)
        if known is not None and (known.op, known.inputs, known.attrs) == (op, tuple(inputs), dict(attrs or {})):
            return name
        name = unused(name, {*self.graph.producers(), *self.graph.params, *self.made})
        self.made[name] = Node(name, op, inputs, (name,), attrs, origin=Origin(op="inserted"))
        return name

    def side(self, value: str, axis: int) -> str:
        """The size of a value along an axis, as a list of one number."""
        shape = self.add(f"{value}/shape", "Shape", (value,))
        return self.add(f"{value}/size_{axis}", "Gather", (shape, self.numbers(f"axis/{axis}", (axis,))), {"axis": 0})

    def size(self, size: Size) -> str:
        """A computed size, as a list of one number."""
        if not size.factors:
            return self.numbers(f"number/{size.plus}", (size.plus,))
        if size.how:
            return self._windowed(self.size(size._replace(how="", by=0)), size)
        made, name = self.side(*size.factors[0]), str(size)
        for place, factor in enumerate(size.factors[1:]):
            made = self.add(f"{name}/product_{place}", "Mul", (made, self.side(*factor)))
        for op, number, idle in (("Mul", size.times, 1), ("Div", size.over, 1), ("Add", size.plus, 0)):
            if number != idle:
                made = self.add(f"{name}/{op.lower()}", op, (made, self.numbers(f"number/{number}", (number,))))
        return made

    def _windowed(self, number: str, size: Size) -> str:
        name, side = str(size), self.numbers(f"number/{size.by}", (size.by,))
        if size.how == "half":
            several = self.add(f"{name}/several", "Less", (side, number))
            shift, none = (self.numbers(f"number/{n}", (n,)) for n in (size.by // 2, 0))
            return self.add(name, "Where", (several, shift, none))
        wide = self.least(f"min({number}, {size.by})", number, side) if size.how != "pad" else side
        if size.how == "least":
            return wide
        if size.how == "many":
            return self.add(name, "Div", (number, wide))
        rest = self.add(f"{name}/rest", "Mod", (number, wide))
        return self.add(name, "Mod", (self.add(f"{name}/missing", "Sub", (wide, rest)), wide))

    def least(self, name: str, first: str, second: str) -> str:
        """The smaller of two integers; `Min` takes none before opset 12."""
        return self.add(name, "Where", (self.add(f"{name}/less", "Less", (first, second)), first, second))

    def scalar(self, size: Size) -> str:
        """A computed size as a number without axes."""
        return self.shaped(f"{size}/scalar", self.size(size), ())

    def counted(self, size: Size) -> str:
        """The numbers 0, 1, … below a size."""
        first, step = (self.numbers(f"count/{end}", (end,), "int64", ()) for end in (0, 1))
        return self.add(f"{size}/range", "Range", (first, self.scalar(size), step))

    def floats(self, value: str) -> str:
        """Integers as floats."""
        return self.add(f"{value}/float", "Cast", (value,), {"to": "float32"})

    def shaped(self, name: str, value: str, shape: tuple[int, ...]) -> str:
        """A value in another, known shape."""
        return self.add(name, "Reshape", (value, self.numbers(f"{name}/shape", shape)))

    def listed(self, name: str, sizes: Sequence[Size]) -> str:
        """Computed sizes as one list."""
        if not any(size.factors for size in sizes):
            return self.numbers(name, [size.plus for size in sizes])
        return self.add(name, "Concat", [self.size(size) for size in sizes], {"axis": 0})

    def before(self, old: Node, new: Node) -> Graph:
        """The graph with the nodes made so far in front of ``new``, which stands in the place of ``old``."""
        nodes = exchanged(self.graph, old, *self.made.values(), new)
        return self.graph.replace(nodes=nodes, params={**self.graph.params, **self.params})


class Computed(NamedTuple):
    """The numbers that a node reads, computed from the sizes of what comes before it."""

    layer: str
    place: int  # the input that holds them
    what: str
    sizes: tuple[Size, ...]

    def apply(self, graph: Graph) -> Graph:
        """The graph with the node reading what is computed."""
        old, work = graph.node(self.layer), Work(graph)
        name = work.listed(free_param(graph, f"{self.layer}/{self.what}"), self.sizes)
        return work.before(old, old.replace(inputs=(*old.inputs[: self.place], name, *old.inputs[self.place + 1 :])))

    def describe(self) -> str:
        """One line for people."""
        when = "computed when it runs, " if any(size.factors for size in self.sizes) else ""
        return f"{self.layer}: {self.what} {when}[{', '.join(map(str, self.sizes))}]"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        what = f"{self.what} computed when it runs"
        return {
            "edit": "compute",
            "layer": self.layer,
            "input": self.place,
            "what": what,
            "sizes": [*map(str, self.sizes)],
        }


class CropToFit(NamedTuple):
    """A map cut to the smallest of those that a layer joins, whichever that is at the size at hand."""

    layer: str
    value: str
    maps: tuple[str, ...]  # all that are joined
    axes: tuple[int, int]

    def apply(self, graph: Graph) -> Graph:
        """The graph with a slice in front of the join."""
        old, work = graph.node(self.layer), Work(graph)
        ends = []
        for axis in self.axes:
            least, *others = (work.side(value, axis) for value in self.maps)
            for place, side in enumerate(others):
                least = work.least(f"{self.layer}/least_{axis}_{place}", least, side)
            ends.append(least)
        starts, axes = work.numbers("crop/starts", (0, 0)), work.numbers(f"crop/axes_{self.axes[0]}", self.axes)
        end = work.add(f"{self.layer}/ends", "Concat", ends, {"axis": 0})
        crop = work.add(f"{self.value}_crop", "Slice", (self.value, starts, end, axes))
        return work.before(old, renamed(old, {self.value: crop}))

    def describe(self) -> str:
        """One line for people."""
        return f"crop {self.value} to what {self.layer} joins it with, when it runs"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {"edit": "crop-to-fit", "layer": self.layer, "value": self.value, "what": "cropped when it runs"}
