"""What an edit promises, as a value that can be measured: feed the nets before and after it, compare their tensors.

An edit says what it keeps; running says whether that is so (`shapecalc.verify.promises`). Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..dims import Shape
from ..graph import Graph
from ..trace import Trace
from .edits import Edit

#: One thing done to an array: a name of `shapecalc.verify.promises.STEPS` and what it is called with.
Step = tuple[Any, ...]


class Pair(NamedTuple):
    """A value of the net before and one of the net after, which holds the same numbers once the steps are done."""

    before: str
    after: str
    steps: tuple[Step, ...] = ()


class Promise(NamedTuple):
    """``words`` for people; ``pairs`` are values of the net before and after the edit that hold the same numbers.

    Both nets are fed from one image of the shape that the input ``image`` has in the net before ("before") or after the
    edit: ``before`` and ``after`` say what is done to it on its way; other inputs get the same. ``rows``: the net
    before gets the image in batches of its own size.
    """

    words: str
    pairs: tuple[Pair, ...]
    image: str = ""
    shaped: str = "after"
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    rows: bool = False


class Kept(NamedTuple):
    """A promise with the traces of the nets before and after the edit."""

    promise: Promise
    before: Trace
    after: Trace


def promise_of(edit: Edit, graph: Graph) -> Promise | None:
    """The promise of an edit, None where it makes none."""
    made = getattr(edit, "promise", None)
    return None if made is None else made(graph)


def followed(feeds: Mapping[str, Shape], before: Graph, after: Graph) -> dict[str, Shape]:
    """Shapes to feed after an edit: a size that the edit gave an input, and all others as they were."""
    old = {given.name: given.native for given in before.inputs}
    found: dict[str, Shape] = {}
    for given in after.inputs:
        shape, was, now = feeds.get(given.name), old.get(given.name), given.native
        if shape is None:
            if now is not None:
                found[given.name] = now
            continue
        if was is not None and now is not None and len(was) == len(now) == len(shape):
            shape = tuple(n if n != w else s for s, w, n in zip(shape, was, now, strict=True))
        found[given.name] = shape
    return found
