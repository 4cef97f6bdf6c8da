"""What is taken to be meant where an export does not say it: whether windows follow the image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...dims import show
from ...graph import Graph
from ...trace import Trace
from .follow import shape_of
from .growing import computed, unread
from .patches import FillMap
from .regroup import Sizes
from .retable import INTERPOLATIONS, SetConstant
from .whole import AttendInWindows
from .windows import WINDOWS, is_cut, sides_turned

GREW = (
    "{}: its windows of {} became windows of {}, as many as before, as nets have it that fit windows to the map "
    "(MaxViT, GCViT, NesT); the file does not say so, and nets that keep the side and pad the map differ at this size"
)
FOLLOWED = (
    "{}: its windows of {} became windows of {}, as many as before, for their biases are computed from distances and "
    "have no side (SwinV2-CR of timm); the file does not say so, and a net that keeps windows of the old side differs "
    "at this size"
)
KEPT = (
    "{}: its windows stay {} and the map is padded; their biases are computed from distances, and a net that fits its "
    "windows to the image (SwinV2-CR of timm) differs at this size; at one where {} scales to whole numbers they are "
    "fitted here too"
)
UNREAD = (
    "{} may hold distances from which biases of windows are computed, and its numbers are not to be had: the windows "
    "stay as large as they were, where from a file they might follow the image (SwinV2-CR of timm); load the file by "
    "its path"
)
WHOLE = (
    "{}: what attended to a map of {} as a whole attends to {} as a whole, with interpolated biases; the net's windows "
    "have that side and stay, and a net that cuts this map into windows too once it is larger differs at this size"
)
APART = (
    "{}: attended to in windows of {}, padded to whole ones, for the net's biases are looked up by distance (TinyViT, "
    "EfficientViT); the file does not say so. EfficientViT takes the side from the image over its stride rounded down: "
    "where no stride divides the image, it may differ"
)
FILLED = (
    "{}: patches of {} do not fill a map of {}, so it is scaled to {}, as MobileViT does; the file does not say so, "
    "and a net that pads or crops its map differs at this size"
)
INTERPOLATED = (
    "{}: positions are interpolated as timm does; HuggingFace's (but DINOv2) and torchvision's ViT have other ways: "
    "--interpolate huggingface, --interpolate torchvision"
)


class Cut(NamedTuple):
    """A map cut into windows: the axes of their sides, and the shape of the cut map."""

    sides: tuple[int, int]
    shape: Sizes

    def of(self, shape: Sizes) -> tuple[int, int]:
        """The windows' height and width in a cut map."""
        return (shape[self.sides[0]], shape[self.sides[1]])


def remarks(edits: Sequence[Any], graph: Graph, traced: Trace) -> list[str]:
    """A line for each; ``graph`` is the net as it was, ``traced`` the trace of what it became."""
    if not any(edit.to_dict()["edit"] == "set-input" for edit in edits):
        return []
    cuts = _cuts(traced)
    told = grown(edits, cuts)
    found = list[str]()
    if told is not None:
        layer, before, after = told
        words = FOLLOWED if computed(graph, [before]) else GREW
        found.append(words.format(layer, show(before), show(after)))
    else:
        found += kept(cuts, graph)
    found += next(([APART.format(e.layer, show(e.window))] for e in edits if isinstance(e, AttendInWindows)), [])
    found += next(([FILLED.format(edit.layer, *edit.told())] for edit in edits if isinstance(edit, FillMap)), [])
    other = INTERPOLATIONS["huggingface"]
    found += next(([INTERPOLATED.format(e.layer)] for e in edits if getattr(e, "recipe", "") in other), [])
    return [*found, *wholes(edits, {cut.of(cut.shape) for cut in cuts.values()})]


def _cuts(traced: Trace) -> dict[str, Cut]:
    """Layer name -> what it cuts a map into, of reshapes whose result is turned into windows."""
    users = traced.graph.users()
    found: dict[str, Cut] = {}
    for layer in traced.layers:
        given, made = (shape_of(layer), shape_of(layer, output=True)) if layer.op == "Reshape" else (None, None)
        if given is None or made is None or not is_cut(given, made):
            continue
        for user in users.get(layer.node.outputs[0], ()):
            sides = sides_turned(user) if user.op == "Transpose" else ()
            if sides:
                found[layer.name] = Cut(sides, made)
    return found


def grown(edits: Iterable[Any], cuts: Mapping[str, Cut]) -> tuple[str, tuple[int, int], tuple[int, int]] | None:
    """The first layer whose windows became larger or smaller, as many as before, and their sides before and now.

    None where there is none, or where windows of places that stand apart grew too (MaxViT's grid): no net pads those.
    """
    first = None
    for edit in edits:
        cut = cuts.get(edit.layer) if isinstance(edit, SetConstant) else None
        if cut is None or len(edit.before or ()) != WINDOWS:
            continue
        changed = {axis for axis, (a, b) in enumerate(zip(edit.before, edit.after, strict=True)) if a != b}
        if changed and changed <= {1, 3} and cut.sides == (1, 3):
            return None
        if first is None and changed and changed <= {2, 4}:
            first = (edit.layer, cut.of(edit.before), cut.of(edit.after))
    return first


def kept(cuts: Mapping[str, Cut], graph: Graph) -> list[str]:
    """Of windows that could follow the image and do not."""
    all_sides = {cut.of(cut.shape) for cut in cuts.values()}
    table = unread(graph, all_sides)
    if table is not None:
        return [UNREAD.format(table)]
    sides = computed(graph, all_sides)
    first = next(((name, cut.of(cut.shape)) for name, cut in cuts.items() if cut.of(cut.shape) in sides), None)
    return [KEPT.format(first[0], show(first[1]), show(first[1]))] if first is not None else []


def wholes(edits: Iterable[Any], windows: set[tuple[int, int]]) -> list[str]:
    """Of the first map that was as large as the net's windows, and is larger now."""
    for edit in edits:
        if "relative" in getattr(edit, "recipe", ""):
            _, before, now, *_ = edit.arguments
            if tuple(before) in windows and any(b > a for a, b in zip(before, now, strict=True)):
                return [WHOLE.format(edit.layer, show(before), show(now))]
    return []
