"""Maps cut into patches whose pixels attend across patches (MobileViT), at maps that the patches do not fill.

A map of 9×9 is no whole number of patches of 2×2. MobileViT (Mehta and Rastegari 2022) scales it to 10×10 in front of
the cut and back behind; its second version scales what comes into the block, corners on corners, and goes on with the
larger map. An exporter writes nothing of it down where the patches fill the map, so it is put in where they do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...dims import show
from ...graph import Graph, Node
from ...trace import Layer
from ..edits import exchanged, renamed
from ..front import SIZES_SINCE, scaled
from ..names import free_name
from .follow import shape_of
from .regroup import Sizes

#: Axes of a map, and what turns its pixels in front of its patches: cut rows first (version 1), or all at once (2).
MAP = 4
TURNS = {1: (0, 2, 1, 3), 2: (0, 1, 3, 5, 2, 4)}
#: Nodes that are looked at between a map's patches and the map again; nodes between a block's two convolutions.
MOST_BETWEEN, MOST_FRONT = 1_000, 6


class Patching(NamedTuple):
    """One map cut into patches: the layers that do it, and the patch."""

    version: int
    cut: str
    front: str  # the layer in front of which the map is scaled
    patch: tuple[int, int]
    join: str = ""  # the reshape that gives the map again
    forms: Mapping[str, int] = {}  # reshape -> which of `_forms` it gives; of version 1 alone

    def filled(self, size: Sizes) -> tuple[int, int]:
        """Height and width of a map of (N, C, height, width), up to whole patches."""
        high, wide = (-(-n // side) * side for n, side in zip(size[2:], self.patch, strict=True))
        return high, wide


def _forms(shape: Sizes, patch: tuple[int, int]) -> tuple[Sizes, ...]:
    """What the reshapes of version 1 give of a map of (N, C, height, width), in order."""
    items, channels, high, wide = shape[0], shape[1], shape[2] // patch[0], shape[3] // patch[1]
    rows, patches, pixels = items * channels * high, high * wide, patch[0] * patch[1]
    return (
        (rows, patch[0], wide, patch[1]),
        (items, channels, patches, pixels),
        (items * pixels, patches, channels),
        (items, pixels, patches, channels),
        (rows, wide, *patch),
        shape,
    )


def patchings(graph: Graph, before: Mapping[str, Layer]) -> Iterator[Patching]:
    """Every map that is cut into patches, in order."""
    producers, users = graph.producers(), graph.users()
    for index, node in enumerate(graph.nodes):
        layer = before.get(node.name)
        size, cut = (shape_of(layer), shape_of(layer, output=True)) if layer is not None else (None, None)
        if node.op != "Reshape" or size is None or cut is None or len(size) != MAP:
            continue
        turns = {tuple(user.attrs.get("perm") or ()) for user in users.get(node.outputs[0], ())}
        version = next((version for version, turn in TURNS.items() if turn in turns), 0)
        patch = _patch(version, size, cut)
        if patch is None:
            continue
        if version == 1:
            forms = _given(node, graph.nodes[index:][:MOST_BETWEEN], before, _forms(size, patch))
            join = [*forms][-1]
            if forms[join] == len(_forms(size, patch)) - 1:
                yield Patching(1, node.name, node.name, patch, join, forms)
        elif front := _front(node, producers, before):
            yield Patching(2, node.name, front, patch)


def _patch(version: int, size: Sizes, cut: Sizes) -> tuple[int, int] | None:
    """The sides of the patches that a reshape cuts a map into; None where it does something else."""
    if version == 1 and len(cut) == MAP and cut[0] * cut[1] == size[0] * size[1] * size[2]:
        patch = cut[1], cut[3]
        return patch if min(patch) > 1 and size[2] % patch[0] == 0 and _forms(size, patch)[0] == cut else None
    if version == 2 and len(cut) == len(TURNS[2]) and cut[:2] == size[:2]:
        whole = (cut[2] * cut[3], cut[4] * cut[5]) == size[2:]
        return (cut[3], cut[5]) if whole and min(cut[3], cut[5]) > 1 else None
    return None


def _given(cut: Node, later: Sequence[Node], before: Mapping[str, Layer], forms: Sequence[Sizes]) -> dict[str, int]:
    """Reshape -> the form it gives, of those behind a cut up to the one that gives the map again."""
    made, found, reached = {*cut.inputs[:1]}, dict[str, int](), 0
    for node in later:
        layer = before.get(node.name)
        if layer is None or made.isdisjoint(node.inputs):
            continue
        made.update(node.outputs)
        shape = shape_of(layer, output=True)
        if node.op == "Reshape" and shape in forms[reached : reached + 2]:
            reached = forms.index(shape, reached)
            found[node.name] = reached
            if reached == len(forms) - 1:
                break
    return found


def _front(cut: Node, producers: Mapping[str, Node], before: Mapping[str, Layer]) -> str:
    """The first convolution of a block of version 2: behind it another and the cut; "" where there is none."""
    convolutions = list[str]()
    value = cut.inputs[0]
    for _ in range(MOST_FRONT):
        node = producers.get(value)
        layer = before.get(node.name) if node is not None else None
        if node is None or layer is None:
            break
        if node.op == "Conv":
            given, made = shape_of(layer), shape_of(layer, output=True)
            if given is None or made is None or given[2:] != made[2:]:
                break
            convolutions.append(node.name)
            if len(convolutions) == 2:
                return node.name
        value = node.inputs[0]
    return ""


class Patches:
    """What becomes of a net's patches while it is traced at another size; the state of one tracing."""

    def __init__(self, graph: Graph, before: Mapping[str, Layer]) -> None:
        found = [*patchings(graph, before)] if graph.opset >= SIZES_SINCE else []
        self.fronts = {patching.front: patching for patching in found}
        self.reshapes = {name: patching for patching in found for name in patching.forms}
        self.maps: dict[str, Sizes] = {}  # cut -> its map before it was scaled
        self.done: set[str] = set()

    def edit(self, old: Layer, layer: Layer, graph: Graph) -> FillMap | None:
        """The scaling in front of a layer, or behind it; None where the patches fill their map."""
        size = shape_of(layer)
        patching = self.fronts.get(layer.name)
        if patching is not None and size is not None and patching.cut not in self.maps:
            self.maps[patching.cut] = size
            if patching.filled(size) != size[2:] and shape_of(old) != size:
                return _fill(layer.name, layer.node.inputs[0], size, patching, graph)
        patching = self.reshapes.get(layer.name)
        if patching is not None and layer.name == patching.join and not {layer.name} & self.done:
            return self._behind(patching, layer, graph)
        return None

    def _behind(self, patching: Patching, layer: Layer, graph: Graph) -> FillMap | None:
        """The scaling back, once the join gives the map of whole patches."""
        size, made = self.maps.get(patching.cut), shape_of(layer, output=True)
        if layer.problems or size is None or made == size or made != (*size[:2], *patching.filled(size)):
            return None
        self.done.add(layer.name)
        return _fill(layer.name, layer.node.outputs[0], size, patching, graph, behind=True)

    def target(self, layer: Layer) -> Sizes | None:
        """What a reshape of patches of version 1 should give; None for any other."""
        patching = self.reshapes.get(layer.name)
        size = self.maps.get(patching.cut) if patching is not None else None
        if patching is None or size is None:
            return None
        return _forms((*size[:2], *patching.filled(size)), patching.patch)[patching.forms[layer.name]]


def _fill(layer: str, value: str, size: Sizes, patching: Patching, graph: Graph, *, behind: bool = False) -> FillMap:
    own, filled = (size[2], size[3]), patching.filled(size)
    sizes = (filled, own) if behind else (own, filled)
    name = free_name(graph, f"{value}_filled")
    return FillMap(layer, value, name, sizes, patching.patch, patching.version == 2, behind)


class FillMap(NamedTuple):
    """A map scaled bilinearly to whole patches before a layer reads it, or ``behind`` the layer that joins them."""

    layer: str
    value: str
    name: str  # of the scaled map, or of what comes before it is scaled back
    sizes: tuple[tuple[int, int], tuple[int, int]]
    patch: tuple[int, int]
    corners: bool  # whether corners lie on corners
    behind: bool = False

    def apply(self, graph: Graph) -> Graph:
        """The graph with the scaling in front of the layer, or behind it."""
        old = graph.node(self.layer)
        given, made = (self.name, self.value) if self.behind else (self.value, self.name)
        node, params = scaled(graph, free_name(graph, made), given, self.sizes, "NCHW")
        attrs = {name: value for name, value in node.attrs.items() if name != "antialias"}
        if self.corners:
            attrs["coordinate_transformation_mode"] = "align_corners"
        node = node.replace(attrs=attrs, outputs=(made,))
        around = (old.replace(outputs=(self.name,)), node) if self.behind else (node, renamed(old, {given: made}))
        held = {param.name: param for param in params}
        return graph.replace(nodes=exchanged(graph, old, *around), params={**graph.params, **held})

    def told(self) -> tuple[str, str, str]:
        """The patch, and the map's size before and after, in words."""
        return show(self.patch), show(self.sizes[0]), show(self.sizes[1])

    def describe(self) -> str:
        """One line for people."""
        patch, before, after = self.told()
        if self.behind:
            return f"{self.layer}: scaled back bilinearly, {before} → {after}"
        return f"{self.layer}: {self.value} scaled to whole patches of {patch}, {before} → {after}"

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON."""
        return {
            "edit": "fill",
            "layer": self.layer,
            "name": self.name,
            "sizes": [list(size) for size in self.sizes],
            "patch": list(self.patch),
            "corners": self.corners,
            "behind": self.behind,
            "what": "patches that do not fill their map",
        }
