"""From a trace to sentences: where pixels are lost, and what the net is worth in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .dims import Dim
from .ops import MissingInputError, OpenRankError, find
from .ops.training import TRAINING
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


def misaligned(trace: Trace) -> list[Note]:
    """The joins whose branches are centred on unlike pixels, with how many layers behind them inherit that."""
    heard = [layer for layer in trace.layers if layer.misaligned]
    behind = {name for layer in heard for name in layer.node.outputs}
    first = [layer for layer in heard if behind.isdisjoint(layer.node.inputs)]
    more = len(heard) - len(first)
    inherit = f"; so it is in {count(more, 'layer')} behind {'it' if len(first) == 1 else 'them'}" if more else ""
    return [Note(layer.name, f"misaligned: {layer.misaligned}{inherit}") for layer in first]


def unseen(trace: Trace) -> list[Note]:
    """The layers from which on it is not known what places see, each with the reason and how many are behind it."""
    reasons: dict[str, list[Layer]] = {}
    for layer in trace.layers:
        if layer.unseen and layer.op not in TRAINING:
            reasons.setdefault(layer.unseen, []).append(layer)
    found = []
    for reason, layers in reasons.items():
        name, _, words = reason.partition(": ")
        more = f"; the same of {count(len(layers) - 1, 'layer')} behind it" if len(layers) > 1 else ""
        found.append(Note(name, f"not known: {words}{more}"))
    return found


class Slide(NamedTuple):
    """A window meeting one axis of ``n`` elements."""

    window: Window
    n: int

    @property
    def whole(self) -> bool:
        """Whether the division leaves nothing over; windows with gaps step over elements by design."""
        return self.window.same or self.window.stride == 1 or gaps(self.window) or self.window.remainder(self.n) == 0

    @property
    def quotient(self) -> float:
        """The number of places before rounding."""
        return self.window.quotient(self.n)

    @property
    def lost(self) -> int:
        """Elements of the input, padding not counted, that no window reaches at the far end."""
        return _lost(self.window, self.n)


def slides_of(layer: Layer) -> list[tuple[Window, Dim]]:
    """The sliding windows of a layer, each with the size of its axis; empty where it has none."""
    row = find(layer.op, layer.node.domain)
    if row is None or row.windows is None:
        return []
    try:
        windows, spatial = row.windows(layer.call), layer.call.spatial
    except (OpenRankError, MissingInputError, *MALFORMED):
        return []
    pairs = [(w, n) for w, n in zip(windows, spatial, strict=False) if isinstance(w, Window) and w.stride > 0]
    return pairs if len(pairs) == len(windows) else []


def slides(layer: Layer) -> list[Slide]:
    """The windows of a layer on their axes; empty where it has none or a size is not a number."""
    pairs = slides_of(layer)
    if any(not isinstance(n, int) or not isinstance(w.kernel, int) for w, n in pairs):
        return []
    return [Slide(window, n) for window, n in pairs if isinstance(n, int)]


def _layer_notes(layer: Layer) -> Iterator[Note]:
    lost = [(w, n, _lost(w, n)) for w, n in slides(layer)] if layer.fields else []
    if len(lost) > len(SIDES):
        return
    if not any(pixels for _, _, pixels in lost):
        return
    sides = zip(lost, SIDES[-len(lost) :], strict=True)
    parts = [f"{count(pixels, noun)} {where}" for (_, _, pixels), (noun, where) in sides if pixels]
    window, n, _ = next(found for found in lost if found[2])
    verb = "is" if sum(pixels for _, _, pixels in lost) == 1 else "are"
    yield Note(layer.name, f"{_division(window, n)}, {' and '.join(parts)} {verb} never seen")


def _division(window: Window, n: int) -> str:
    begin, end = window.pad_begin, window.pad_end
    pad = f"2·{begin}" if begin == end else f"{begin} + {end}"
    top = f"({n} + {pad} − {window.extent})/{window.stride} + 1"
    return f"{top} = {decimal(window.quotient(n))} is not whole: floor to {window.size(n)}"


def _lost(window: Window, n: int) -> int:
    """Pixels (not padding) at the far end that no window reaches."""
    if window.same or window.stride == 1 or gaps(window):  # a strided 1x1 steps over pixels everywhere, by design
        return 0
    return max(0, window.unused(n) - int(window.pad_end)) if window.size(n) >= 1 else 0


def last_map(trace: Trace) -> Layer | None:
    """The last layer that still gives a map: its receptive field and jump are the net's."""
    for layer in reversed(trace.layers):
        shape = layer.outputs[0].shape if layer.outputs else None
        if shape is not None and any(shape[axis] != 1 for axis in layer.axes):
            return layer
    return None
