"""A height or width that is left free: the net must follow it without end, whatever its export wrote down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..definition import Definition
from ..dims import Shape, all_numbers, show
from ..errors import RefusedError
from ..graph import Graph, places
from ..sizes import reference
from ..trace import Trace, first_input
from .draft import Draft
from .edits import applied
from .promises import Kept, Pair, Promise
from .repairs import told

if TYPE_CHECKING:
    from ..sizes import Sizes

#: Sizes at which the free net is compared with the net written for them alone.
COMPARED = 4
#: An image so many times as large must fit too.
FAR = 6
ONE_SIZE = "--input 256 writes it for one size"
ANY_SIZE = "--convolutional makes its fully connected layers ones that take larger images"


def leave_free(draft: Draft, natives: Mapping[str, Shape], how: str = "") -> None:
    """What a net needs to follow a height and width that the draft's feeds leave free, if they do.

    What an ONNX export wrote down for one size is computed when it runs, tables interpolated as the library ``how``
    does. Raises RefusedError where that cannot be, or
    where the net takes some sizes alone for another reason.
    """
    given = first_input(draft.graph)
    shape = draft.feeds.get(given.name, ()) if given is not None else ()
    size = places(shape, given.layout) if given is not None and len(shape) == 4 else ()
    if all_numbers(size):
        return
    if draft.graph.format != "onnx" or reference(draft.model) is None or not _follow(draft, natives, how or "timm"):
        _need_room(draft.model, size)


def _follow(draft: Draft, natives: Mapping[str, Shape], how: str) -> bool:
    """Carries out what makes an export follow its input, with the promise that every size is as if written for it.

    False where nothing needs to be done.
    """
    from .exports.freed import TABLES, freed  # a package that definitions of other formats do without
    from .exports.retable import interpolated

    retrace = draft.model.retrace
    written = draft.graph
    fitting = told(retrace(written, natives, None, None), retrace)
    found = freed(written, fitting, draft.feeds, retrace)
    for edit in found.edits:
        draft.do(edit._replace(way=how) if isinstance(edit, TABLES) else edit)
    if not found.edits:
        return False
    native = {name: tensor.shape for name, tensor in fitting.feeds.items() if isinstance(tensor.shape, tuple)}
    draft.kept.append(_kept(draft, native, written, "at {} it gives what the original gives"))
    few = [*found.samples[: COMPARED - 1], *found.samples[COMPARED - 1 :][-1:]]
    for sample in few:
        alone = applied([interpolated(edit, how) for edit in sample.edits], written)
        draft.kept.append(_kept(draft, sample.feeds, alone, "at {} it gives what the net written for that size gives"))
    _check(draft, [kept.after for kept in draft.kept[-len(few) :]], found.samples[0].feeds)
    return True


def _check(draft: Draft, traces: Sequence[Trace], feeds: Mapping[str, Shape]) -> None:
    """Raises RefusedError where the net does not fit one of the traces, or an image larger than all of them."""
    given = first_input(draft.graph)
    far = {**feeds, given.name: _beyond(feeds[given.name], draft.feeds[given.name])} if given is not None else feeds
    problems = [problem for traced in (*traces, draft.model.retrace(draft.graph, far)) for problem in traced.problems]
    if problems:
        raise RefusedError(
            f"{draft.model.name} cannot be left free: {problems[0].message}",
            "E302",
            because=f"{problems[0].layer} still is for one size",
            hint=ONE_SIZE,
        )


def _beyond(shape: Shape, asked: Shape) -> Shape:
    """The shape with sizes that are left free at `FAR` times what they are."""
    return tuple(
        n * FAR if isinstance(n, int) and not isinstance(free, int) and axis else n
        for axis, (n, free) in enumerate(zip(shape, asked, strict=True))
    )


def _kept(draft: Draft, feeds: Mapping[str, Shape], alone: Graph, words: str) -> Kept:
    """The promise that the net as it stands and another give the same at one size."""
    from .exports.freed import SHOWN

    given = first_input(draft.graph)
    size = places(feeds[given.name], given.layout) if given is not None else ()
    readers = [draft.graph.node(edit.layer) for edit in draft.edits if isinstance(edit, SHOWN)]
    added = [
        name for node in readers for name in node.outputs if name
    ]  # what a table is added to tells more than scores
    promise = Promise(
        words.format(show(size)), tuple(Pair(name, name) for name in dict.fromkeys([*alone.outputs, *added]))
    )
    retrace = draft.model.retrace
    return Kept(promise, retrace(alone, feeds), retrace(draft.graph, feeds))


def _need_room(model: Definition, size: Shape) -> None:
    """Raises RefusedError where a height or width that is left free is not one that the net takes without end."""
    from ..sizes import valid_sizes

    found = valid_sizes(model)
    forms = {"height": found.heights, "width": found.widths}
    free = [axis for axis, wanted in zip(forms, size, strict=True) if not isinstance(wanted, int)]
    forms = {axis: forms[axis] for axis in free} if len(free) == 1 else {"height and width": found.square}
    bounded = [f"{axis} {form}" for axis, form in forms.items() if not form.endless]
    if bounded:
        raise RefusedError(
            f"{model.name} cannot be left free: it takes {bounded[0]} alone",
            "E302",
            because=f"{found.upper} forbids larger ones" if found.upper else "its size is written down in it",
            hint=_instead(model, found, free),
        )


def _instead(model: Definition, found: Sizes, free: Sequence[str]) -> str:
    """What to ask for where height, width or both cannot be left free."""
    if len(free) > 1 and found.independent and found.widths.endless:
        return f"--input {found.heights.above(1)}x? leaves its width free"
    if len(free) > 1 and found.independent and found.heights.endless:
        return f"--input ?x{found.widths.above(1)} leaves its height free"
    return f"{ONE_SIZE}; {ANY_SIZE}" if _fully_connected(model, found.upper) else ONE_SIZE


def _fully_connected(model: Definition, layer: str | None) -> bool:
    return any(node.name == layer and node.op == "Gemm" for node in model.graph.nodes)
