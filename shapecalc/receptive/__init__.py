"""Receptive field, jump, start and alignment of every value: how much of the input one element sees, and from where.

`field` is the arithmetic of one axis, `rules` what operators do, `analyse` the walk over a net. Never approximate in
silence: where what elements see cannot be said, the reason is kept, and so it is for all that is computed from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from ..dims import Shape, Unknown
from ..graph import Tensor
from ..ops import MALFORMED, Call, MissingInputError, OpenRankError, find
from .field import Field, UnseenError, join, pixels
from .rules import Fields, View, rule_of, spatial_axes

__all__ = ["Field", "Fields", "Seen", "UnseenError", "View", "analyse", "join", "pixels"]

#: What is known of a value: its view, or why there is none.
Seen: TypeAlias = View | Unknown
#: The axes' order in which exports of TensorFlow turn their input, which so far was NHWC.
FROM_NHWC = (0, 3, 1, 2)
#: Operators before which the axes lie in another order, or that give sizes: readers of theirs tell nothing.
ELSEWHERE = frozenset({"Shape", "Size", "Transpose", "Permute", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})

#: Operators of whose first input only the sizes matter: what they give sees nothing of the image.
BY_SIZE = frozenset({"PriorBox"})


def analyse(
    calls: Iterable[tuple[Call, Sequence[Tensor]]],
    inputs: Mapping[str, Tensor],
    declared: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Seen]:
    """Value name -> what its elements see, or why that is not known, for every value that an image reaches.

    ``calls`` are nodes meeting their inputs, in graph order, each with its outputs; ``inputs`` the values fed, and
    ``declared`` their layouts where nothing that reads them tells.
    """
    calls = list(calls)
    layouts = {**declared, **_layouts(calls)}
    views = {
        name: _image(name, tensor.shape, layouts.get(name, "NCHW"))
        for name, tensor in inputs.items()
        if isinstance(tensor.shape, tuple) and len(tensor.shape) > 2
    }
    for call, outputs in calls:
        arriving = {i: views[name] for i, name in enumerate(call.node.inputs) if name in views}
        if not arriving or call.node.op in BY_SIZE:
            continue
        lost = next((view for view in arriving.values() if isinstance(view, Unknown)), None)
        known = {i: view for i, view in arriving.items() if isinstance(view, View)}
        for name, tensor in zip(call.node.outputs, outputs, strict=False):
            if name and tensor.contents is None:  # small tensors that carry sizes see nothing of the image
                views[name] = _through(call, known, tensor.shape) if lost is None else lost
    return views


def _layouts(calls: Sequence[tuple[Call, Sequence[Tensor]]]) -> dict[str, str]:
    """Value name -> the layout in which the first operator that cares reads it."""
    found: dict[str, str] = {}
    for call, _ in reversed(calls):
        layout = _layout(call)
        if layout is None and call.node.op not in ELSEWHERE:
            layout = next((found[name] for name in call.node.outputs if name in found), None)
        if layout is not None:
            found |= dict.fromkeys(call.node.inputs, layout)
    return found


def _layout(call: Call) -> str | None:
    """The layout an operator reads, None for one that works in any."""
    row = find(call.node.op, call.node.domain)
    if call.attr("perm") == FROM_NHWC:
        return "NHWC"
    slides = row is not None and (row.windows is not None or row.images) and call.node.op != "Pad"
    return call.layout if slides else None


def _image(name: str, shape: Shape, layout: str) -> Seen:
    axes = spatial_axes(len(shape), layout)
    sizes = [n for n in (shape[axis] for axis in axes) if isinstance(n, int)]
    if len(sizes) < len(axes):
        return Unknown(f"{name}: its size is free")
    return View(axes, tuple(map(pixels, sizes)))


def _through(call: Call, arriving: dict[int, View], out: Shape | Unknown) -> Seen:
    if isinstance(out, Unknown):
        return out
    try:
        return rule_of(call)(call, arriving, out)
    except (UnseenError, MissingInputError, OpenRankError, *MALFORMED) as error:
        return Unknown(f"{call.name}: {error}")
