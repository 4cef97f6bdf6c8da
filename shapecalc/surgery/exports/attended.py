"""Maps that are cut with their channels first, at another size: which numbers of the cut stay, by what is attended to.

torchvision's MaxViT cuts a map of 56×56 into 8×8 windows of 7×7, and again into a grid of 7×7 places, 8 apart, by a
reshape to (7, 8, 7, 8). Both attend to 49 places, for which there is a learned bias: of the numbers that a reshape may
change, those whose product is what the scores behind it are for stay, for each reshape by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...graph import Graph, Node
from ...trace import Layer
from .follow import shape_of
from .regroup import Sizes

#: Axes of a map, and of one whose height and width are cut: (N, channels, down, side, across, side).
MAP, CUT = 4, 6
#: Pairs of axes that may be what is attended to.
PAIRS = ((3, 5), (2, 4))
#: Nodes that are looked at behind a cut.
MOST_BEHIND = 200


def attended(graph: Graph, before: Mapping[str, Layer]) -> dict[str, tuple[int, int]]:
    """Reshape -> the two axes of its cut map that are attended to, where a stored table is for that many places."""
    found: dict[str, tuple[int, int]] = {}
    for index, node in enumerate(graph.nodes):
        layer = before.get(node.name)
        if node.op != "Reshape" or layer is None:
            continue
        size, cut = shape_of(layer), shape_of(layer, output=True)
        if size is None or cut is None or not _cuts(size, cut):
            continue
        places = _places(node, graph.nodes[index + 1 : index + MOST_BEHIND], graph, before)
        pairs = [pair for pair in PAIRS if cut[pair[0]] * cut[pair[1]] == places]
        if len(pairs) == 1:
            found[node.name] = pairs[0]
    return found


def kept(ways: Sequence[Sizes], old: Layer, pair: tuple[int, int]) -> list[Sizes]:
    """The ways in which a cut keeps the numbers of a pair of axes; all where none does."""
    cut = shape_of(old, output=True) or ()
    found = [way for way in ways if len(way) == len(cut) and all(way[axis] == cut[axis] for axis in pair)]
    return found or [*ways]


def _cuts(size: Sizes, cut: Sizes) -> bool:
    """Whether a reshape cuts height and width of a map into two each, its channels first."""
    if len(size) != MAP or len(cut) != CUT or size[:2] != cut[:2]:
        return False
    return cut[2] * cut[3] == size[2] and cut[4] * cut[5] == size[3]


def _places(cut: Node, later: Sequence[Node], graph: Graph, before: Mapping[str, Layer]) -> int:
    """How many places the next scores are for to which a stored table is added; 0 where there are none."""
    made = {*cut.outputs}
    for node in later:
        if made.isdisjoint(node.inputs):
            continue
        made.update(node.outputs)
        layer = before.get(node.name)
        if node.op == "Add" and layer is not None:
            scores = (shape_of(layer, output=True) or ())[-2:]
            tables = [graph.params[name].shape or () for name in node.inputs if name in graph.params]
            if len(scores) == 2 and scores[0] == scores[1] and any(table[-2:] == scores for table in tables):
                return scores[0]
        if node.op == "Softmax":
            return 0
    return 0
