"""A height or width that is left free: the net must follow it without end, whatever its export wrote down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..definition import Definition
from ..dims import Shape, all_numbers, show
from ..errors import RefusedError
from ..graph import Graph, places
from ..sizes import reference
from ..trace import first_input
from .draft import Draft
from .edits import Edit
from .promises import Kept, Pair, Promise
from .repairs import told

#: Sizes at which the free net is compared with the net written for them alone.
COMPARED = 4


def leave_free(draft: Draft, natives: Mapping[str, Shape]) -> None:
    """What a net needs to follow a height and width that the draft's feeds leave free, if they do.

    What an ONNX export wrote down for one size is computed when it runs. Raises RefusedError where that cannot be, or
    where the net takes some sizes alone for another reason.
    """
    given = first_input(draft.graph)
    shape = draft.feeds.get(given.name, ()) if given is not None else ()
    size = places(shape, given.layout) if given is not None and len(shape) == 4 else ()
    if all_numbers(size):
        return
    if draft.graph.format == "onnx" and reference(draft.model) is not None:
        _follow(draft, natives)
    _need_room(draft, size)


def _follow(draft: Draft, natives: Mapping[str, Shape]) -> None:
    """Carries out what makes an export follow its input, with the promise that every size is as if written for it."""
    from .exports.freed import freed  # a package that definitions of other formats do without

    retrace = draft.model.retrace
    written = draft.graph
    fitting = told(retrace(written, natives, None, None), retrace)
    found = freed(written, fitting, draft.feeds, retrace)
    for edit in found.edits:
        draft.do(edit)
    if not found.edits:
        return
    native = {name: tensor.shape for name, tensor in fitting.feeds.items() if isinstance(tensor.shape, tuple)}
    draft.kept.append(_kept(draft, native, written, "at {} it gives what the original gives"))
    few = [*found.samples[: COMPARED - 1], *found.samples[COMPARED - 1 :][-1:]]
    for sample in few:
        alone = _edited(written, sample.edits)
        draft.kept.append(_kept(draft, sample.feeds, alone, "at {} it gives what the net written for that size gives"))


def _edited(graph: Graph, edits: Sequence[Edit]) -> Graph:
    for edit in edits:
        graph = edit.apply(graph)
    return graph


def _kept(draft: Draft, feeds: Mapping[str, Shape], alone: Graph, words: str) -> Kept:
    """The promise that the net as it stands and another give the same at one size."""
    given = first_input(draft.graph)
    size = places(feeds[given.name], given.layout) if given is not None else ()
    promise = Promise(words.format(show(size)), tuple(Pair(name, name) for name in alone.outputs))
    retrace = draft.model.retrace
    return Kept(promise, retrace(alone, feeds), retrace(draft.graph, feeds))


def _need_room(draft: Draft, size: Shape) -> None:
    """Raises RefusedError where a height or width that is left free is not one that the net takes without end."""
    from ..sizes import valid_sizes

    found = valid_sizes(Definition(draft.graph, draft.model.name) if draft.kept else draft.model)
    forms = {"height": found.heights, "width": found.widths}
    free = [axis for axis, wanted in zip(forms, size, strict=True) if not isinstance(wanted, int)]
    forms = {axis: forms[axis] for axis in free} if len(free) == 1 else {"height and width": found.square}
    bounded = [f"{axis} {form}" for axis, form in forms.items() if not form.endless]
    if bounded:
        raise RefusedError(
            f"{draft.model.name} cannot be left free: it takes {bounded[0]} alone",
            "E302",
            because=f"{found.upper} forbids larger ones" if found.upper else None,
            hint="--input 256 writes it for one size, with what was written down for another made anew",
        )
