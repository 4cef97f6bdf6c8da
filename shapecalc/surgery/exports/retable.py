"""Edits of what an export wrote down: the target of a reshape, a table with a row for each place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...dims import show
from ...graph import Graph, Param
from ...source import Origin
from ..edits import exchanged, renamed
from ..names import free_param

#: Numbers of a constant that people are shown.
SHOWN = 8


class SetConstant(NamedTuple):
    """Another constant in the place of what an export wrote down: a reshape's target, a slice's ends, a patch's places.

    What computed it before is read by this node no longer.
    """

    layer: str
    place: int  # the input that holds it,
    attribute: str  # or the attribute, in old files
    after: tuple[int, ...]
    before: tuple[Any, ...] | None
    shape: tuple[int, ...] = ()  # of the numbers, where it is not one axis

    def apply(self, graph: Graph) -> Graph:
        """The graph with the node reading the new numbers."""
        old = graph.node(self.layer)
        params = graph.params
        if old.attrs.get(self.attribute) is not None:
            new = old.replace(attrs={**old.attrs, self.attribute: self.after})
        else:
            name = free_param(graph, f"{self.layer}/{self.attribute}")
            constant = Param(name, self.shape or (len(self.after),), "int64", contents=self.after, trained=False)
            params = {**params, name: constant}
            new = old.replace(inputs=(*old.inputs[: self.place], name, *old.inputs[self.place + 1 :]))
        return graph.replace(nodes=exchanged(graph, old, new), params=params)

    def describe(self) -> str:
        """One line for people."""
        return f"{self.layer}: {self.attribute} {_listed(self.before or ())} → {_listed(self.after)}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "set-constant",
            "layer": self.layer,
            "input": self.place,
            "what": self.attribute,
            "before": None if self.before is None else [d if isinstance(d, int) else str(d) for d in self.before],
            "after": list(self.after),
            **({"shape": list(self.shape)} if self.shape else {}),
        }


class Resample(NamedTuple):
    """A table with an entry for each place of a map, carried over to a map of another size.

    ``recipe`` and ``arguments`` say how its numbers are made from the old ones (`shapecalc.resampling`).
    """

    layer: str  # the node that reads it
    param: str
    recipe: str
    arguments: tuple[Any, ...]
    shape: tuple[int, ...]
    what: str

    def apply(self, graph: Graph) -> Graph:
        """The graph in which this node reads the new table; the old one stays as its source."""
        old = graph.params[self.param]
        name = free_param(graph, f"{self.param}_{show(self.shape, 'x')}")
        made = Param(
            name, self.shape, old.dtype, recipe=self.recipe, arguments=self.arguments, sources=(self.param,),
            trained=old.trained, origin=Origin(op="resampled"),
        )  # fmt: skip
        reader = graph.node(self.layer)
        nodes = exchanged(graph, reader, renamed(reader, {self.param: name}))
        return graph.replace(nodes=nodes, params={**graph.params, name: made})

    def describe(self) -> str:
        """One line for people."""
        return f"{self.param}: {self.what}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "resample",
            "layer": self.layer,
            "param": self.param,
            "recipe": self.recipe,
            "arguments": [list(a) if isinstance(a, tuple) else a for a in self.arguments],
            "shape": list(self.shape),
            "what": self.what,
        }


#: How a library interpolates -> what it says of each recipe that it has another way for.
INTERPOLATIONS: Mapping[str, Mapping[str, str]] = {
    "timm": {},
    "huggingface": {
        "map": "without antialiasing, as HuggingFace does",
        "places": "without antialiasing, as HuggingFace does",
        "relative": "bilinearly, as HuggingFace does",
    },
    "torchvision": {"places": "corners on corners, without antialiasing, as torchvision does"},
}


def interpolated(edit: Any, how: str) -> Any:
    """An edit of a table, its numbers interpolated as another library does; any other edit as it is."""
    recipe = getattr(edit, "recipe", "")
    words = INTERPOLATIONS[how].get(recipe)
    return edit if words is None else edit._replace(recipe=f"{recipe} {how}", what=f"{edit.what}, {words}")


def _listed(target: tuple[Any, ...]) -> str:
    shown = [*target[:SHOWN], "…", target[-1]] if len(target) > SHOWN + 2 else [*target]
    return "[" + ", ".join(map(str, shown)) + "]"


STAYS = (
    "{}, an output, is made of constants alone and stays as it was: boxes or places that were written down for the old "
    "size do not follow the new one"
)


def left_behind(graph: Graph, fed: Iterable[str]) -> list[str]:
    """What is said of outputs that no input reaches, as the boxes of a detector that was written for one size."""
    inputs = set(fed)
    reached = {name: any(node.reads() & inputs for node in graph.ancestors([name])) for name in graph.outputs}
    return [STAYS.format(name) for name, found in reached.items() if not found]
