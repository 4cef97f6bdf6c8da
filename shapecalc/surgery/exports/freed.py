"""Height and width left free in a net whose export wrote down one size: each such number becomes a computed one.

The net is written anew for several sizes (`rebake`), and what differs between them is told: a number that is at every
one of them a size of some value before it, or a product of such, is read off that value when the net runs. What no such
rule gives stands in the way, and is named. The result at each of those sizes must be what it is written for that size
alone; that is a promise, which is measured like every other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...dims import Shape
from ...graph import Graph, places
from ...trace import Trace, first_input
from ..crop import Retrace
from ..edits import Edit
from .distant import LookUpToFit, distant
from .freeing import Freeing, Sample, refused, subject
from .rebake import rebake
from .sliding import guarded, masked, remasked, rolled, trimmed
from .spread import Spread, spread
from .stretched import Stretch, stretched
from .waved import Waved, from_waves

#: Rectangles that are looked at, until there are enough: what maps are halved to is whole, can be cut into pairs, into
#: windows of 7, is larger than what most nets are made for.
RECTANGLES = (
    ((192, 256), (256, 160), (224, 288), (160, 224), (288, 192)),
    ((192, 256), (256, 128), (320, 192), (128, 320)),
    ((224, 448), (448, 224), (448, 672)),
    ((448, 512), (512, 416), (416, 608), (544, 480), (608, 544)),
)
#: Sizes at which branches round apart.
ODD = ((259, 331), (237, 285))
#: Sizes at which windows of 4 do not fill the maps of few stages, down or across.
FINE = ((196, 276), (208, 268))
#: So many sizes tell a rule from chance.
ENOUGH = 3

#: What an edit does to a net of one size -> what does so when the net runs.
FREE: Mapping[str, Callable[[Freeing, Any], Edit]] = {
    "SetConstant": Freeing.constant,
    "CropMap": Freeing.crop,
    "places": stretched,
    "map": stretched,
    "computed places": from_waves,
    "relative": spread,
    "Lookup": distant,
    "windows": remasked,
    "MaskWindows": masked,
    "RollMap": rolled,
    "TrimMap": trimmed,
}
#: Edits of tables, which are interpolated as one library or another does.
TABLES = (Stretch, Spread, LookUpToFit)
#: Edits of which it is compared what their layer gives: it tells more than scores.
SHOWN = (*TABLES, Waved)


class Freed(NamedTuple):
    """The edits that leave height and width free, and the net written for each of some sizes, to be compared with."""

    edits: tuple[Edit, ...]
    samples: tuple[Sample, ...]


def freed(graph: Graph, fitting: Trace, feeds: Mapping[str, Shape], retrace: Retrace) -> Freed:
    """What makes ``graph`` follow a height and width that ``feeds`` leaves free; no edits where it does already.

    ``fitting`` is a trace at a size it takes. Raises RefusedError (E302) where something stays written for one size.
    """
    native = Sample({n: t.shape for n, t in fitting.feeds.items() if isinstance(t.shape, tuple)}, (), fitting)
    samples = [*_samples(graph, fitting, feeds, retrace)]
    if not any(sample.edits for sample in samples):
        return Freed((), ())
    if len(samples) < ENOUGH:
        raise refused(graph, "it can be written for too few sizes to tell how it follows them")
    freeing = Freeing(graph, [native, *samples], retrace)
    edits = _edits(freeing)
    guarded(freeing, edits)
    return Freed(tuple(edits), tuple(samples))


def _samples(graph: Graph, fitting: Trace, feeds: Mapping[str, Shape], retrace: Retrace) -> Iterator[Sample]:
    """The net written for the first rectangles for which that can be done, and for odd ones where it can.

    Windows that do not fill their map are counted in steps: more sizes tell such rules apart.
    """
    for sizes in RECTANGLES:
        found = [*_written(graph, fitting, feeds, retrace, sizes)]
        if len(found) >= ENOUGH:
            yield from found
            padded = any(part.pad for sample in found for part in sample.windows)
            for more in (ODD, *((FINE, RECTANGLES[-1]) if padded else ())):
                yield from _written(graph, fitting, feeds, retrace, more)
            return


def _written(
    graph: Graph, fitting: Trace, feeds: Mapping[str, Shape], retrace: Retrace, sizes: Sequence[tuple[int, int]]
) -> Iterator[Sample]:
    given = first_input(graph)
    for size in sizes:
        at = dict(feeds)
        if given is not None:
            shape = list(feeds[given.name])
            for place, axis in enumerate(places(tuple(range(4)), given.layout)):
                shape[axis] = shape[axis] if isinstance(shape[axis], int) else size[place]  # one may be given
            at[given.name] = tuple(shape)
        made = rebake(graph, fitting, at, retrace)
        for edit in made.edits:
            if _kind(edit) not in FREE:
                raise refused(graph, f"{edit.describe()}: no few operators compute that for any size")
        if made.trace.ok:
            yield Sample(at, made.edits, made.trace, made.windows)


def _kind(edit: Edit) -> str:
    return getattr(edit, "recipe", type(edit).__name__)


def _edits(freeing: Freeing) -> list[Edit]:
    """One edit for each thing that was written anew at any of the sizes, in the order of the layers."""
    kinds: dict[tuple[Any, ...], Edit] = {}
    for sample in freeing.samples:
        for edit in sample.edits:
            kinds.setdefault(subject(edit), edit)
    found = sorted(kinds.values(), key=lambda edit: freeing.order.get(edit.layer, len(freeing.order)))
    return [FREE[_kind(edit)](freeing, edit) for edit in found]
