"""From a trace to sentences: where pixels are lost, and what the net is worth in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .graph import places
from .ops import MissingInputError, OpenRankError, find
from .trace import MALFORMED, Layer, Trace
from .window import Window, gaps

#: (what is lost, where) along height and width.
SIDES = (("row", "at the bottom"), ("column", "on the right"))
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class Note(NamedTuple):
    """A remark on a layer that runs: it is worth knowing and nothing is wrong."""

    layer: str
    text: str


def count(number: int, noun: str) -> str:
    """``one column``, ``13 rows``."""
    word = COUNTS[number] if number < len(COUNTS) else f"{number:,}"
    return f"{word} {noun}{'' if number == 1 else 's'}"


def decimal(value: float) -> str:
    """``62.25``, ``30.667``."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def notes(trace: Trace) -> list[Note]:
    """Layers whose division is not whole so that pixels at the far side are never seen."""
    return [note for layer in trace.layers for note in _layer_notes(layer)]


def _layer_notes(layer: Layer) -> Iterator[Note]:
    row = find(layer.op, layer.node.domain)
    if row is None or row.windows is None or not layer.fields:
        return
    try:
        windows = row.windows(layer.call)
        spatial = layer.call.spatial
    except (OpenRankError, MissingInputError, *MALFORMED):
        return
    if len(windows) > len(SIDES):
        return
    lost = [(w, n, _lost(w, n)) for w, n in zip(windows, spatial, strict=False)]
    if not any(pixels for _, _, pixels in lost):
        return
    sides = zip(lost, SIDES[-len(lost) :], strict=True)
    parts = [f"{count(pixels, noun)} {where}" for (_, _, pixels), (noun, where) in sides if pixels]
    window, n, _ = next(found for found in lost if found[2])
    verb = "is" if sum(pixels for _, _, pixels in lost) == 1 else "are"
    yield Note(layer.name, f"{_division(window, n)}, {' and '.join(parts)} {verb} never seen")


def _division(window: object, n: object) -> str:
    assert isinstance(window, Window)
    assert isinstance(n, int)
    begin, end = window.pad_begin, window.pad_end
    pad = f"2·{begin}" if begin == end else f"{begin} + {end}"
    top = f"({n} + {pad} − {window.extent})/{window.stride} + 1"
    return f"{top} = {decimal(window.quotient(n))} is not whole: floor to {window.size(n)}"


def _lost(window: object, n: object) -> int:
    """Pixels (not padding) at the far end that no window reaches."""
    if not isinstance(window, Window) or window.same or not isinstance(n, int) or not isinstance(window.kernel, int):
        return 0
    if window.stride == 1 or gaps(window):  # a strided 1x1 steps over pixels everywhere, by design
        return 0
    return max(0, window.unused(n) - int(window.pad_end)) if window.size(n) >= 1 else 0


def last_map(trace: Trace) -> Layer | None:
    """The last layer that still gives a map: its receptive field and jump are the net's."""
    for layer in reversed(trace.layers):
        shape = layer.outputs[0].shape if layer.outputs else None
        seen = places(shape, layer.call.layout) if shape is not None and layer.fields else ()
        if any(d != 1 for d in seen):
            return layer
    return None
