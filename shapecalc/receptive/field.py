"""What places see: the pixels that each element of a map depends on, along one axis.

Behind windows, neighbours see intervals of one length, a jump apart. A window of extent E, stride S and padding P turns
(field r, jump j, centre c of the first) into

    r' = r + (E - 1)*j        j' = j*S        c' = c + ((E - 1)/2 - P)*j

in input pixels (Araujo, Norris, Sim: Computing receptive fields of convolutional neural networks, Distill 2019). Behind
transposed convolutions and resizes neighbours see unlike intervals that repeat after some elements, so a `Field` holds
one interval a *phase*: element ``p + q*period`` sees pixels ``lows[p] + q*shift`` to ``highs[p] + q*shift``.

What lies outside a map is padding and sees nothing: ``least`` and ``most`` are the outermost pixels that any element
really sees, ``real`` the elements that see any, ``clean`` those whose windows stay inside every map on the way. An
interval is a hull: of a dilated kernel it holds the pixels between its taps as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ops import AnyWindow
from ..window import TransposedWindow

if TYPE_CHECKING:
    from fractions import Fraction

#: Intervals that repeat after more elements are not followed.
LONGEST_PERIOD = 4096
#: Spans of elements: the first alone, and none.
ONE, NONE = (0, 0), (0, -1)


class UnseenError(Exception):
    """What an element sees cannot be said; the message says why."""


def check_period(places: int) -> None:
    """Raises UnseenError where intervals repeat after more places than are followed."""
    if places > LONGEST_PERIOD:
        raise UnseenError(f"what its places see repeats after {places} places only")


class Reads(NamedTuple):
    """The first and last element that each output reads: those of ``spans`` for the first ``len(spans)`` outputs,
    ``inputs`` elements further on for the next as many, and so on.

    ``held``: so many elements there are, and the ones at the ends stand for those beyond; None: beyond is padding.
    """

    spans: tuple[tuple[int, int], ...]
    inputs: int
    held: int | None = None

    def span(self, output: int) -> tuple[int, int]:
        """First and last element that an output reads."""
        rounds, phase = divmod(output, len(self.spans))
        first, last = self.spans[phase]
        return first + rounds * self.inputs, last + rounds * self.inputs

    def inside(self, output: int) -> tuple[int, int]:
        """As `span`, the ends put for what is beyond where they are held."""
        first, last = self.span(output)
        if self.held is None:
            return first, last
        return min(max(first, 0), self.held - 1), min(max(last, 0), self.held - 1)


def of_window(window: AnyWindow, n: int) -> Reads:
    """What the places of a window read on ``n`` elements. Raises UnseenError where some read nothing."""
    extent = int(window.extent)
    if not isinstance(window, TransposedWindow):
        begin, _ = window.pads(n)
        return Reads(((-begin, extent - 1 - begin),), window.stride)
    # element e puts its kernel at e*stride, e*stride + dilation, …
    taps = range(0, extent, window.dilation)
    check_period(max(window.stride, len(taps)))
    spans = []
    for output in range(window.stride):
        place = output + int(window.pad_begin)
        reading = [(place - tap) // window.stride for tap in taps if (place - tap) % window.stride == 0]
        if not reading:
            raise UnseenError("its stride is larger than its kernel, so some places see nothing")
        spans.append((min(reading), max(reading)))
    return Reads(tuple(spans), 1)


class Field(NamedTuple):
    """What the elements of a map see along one axis, in input pixels; see the module.

    ``misaligned`` says how the centres of branches that met on the way differ, "" where they agree. ``edges``: cutting
    the intervals at ``least`` and ``most`` is exact for the elements at the borders too.
    """

    lows: tuple[int, ...]
    highs: tuple[int, ...]
    shift: int
    least: int
    most: int
    real: tuple[int, int]  # first and last element; empty where the first is larger
    clean: tuple[int, int]  # likewise
    misaligned: str = ""
    edges: bool = True

    @property
    def period(self) -> int:
        """After how many elements the intervals repeat, ``shift`` pixels on."""
        return len(self.lows)

    @property
    def size(self) -> int:
        """Pixels that one element sees; the most, where neighbours see unlike many."""
        return max(high - low + 1 for low, high in zip(self.lows, self.highs, strict=True))

    @property
    def jump(self) -> int | Fraction:
        """Pixels from an element's interval to its neighbour's, on the average over a period."""
        if self.shift % self.period == 0:
            return self.shift // self.period
        from fractions import Fraction

        return Fraction(self.shift, self.period)

    @property
    def start(self) -> float:
        """Centre of the first element's interval."""
        return (self.lows[0] + self.highs[0]) / 2

    @property
    def padding(self) -> int:
        """Pixels by which the first element's interval begins before the image: the effective padding."""
        return -self.lows[0]

    @property
    def aligned(self) -> bool:
        """Whether all branches that met on the way had the same centres."""
        return not self.misaligned

    def hull(self, element: int) -> tuple[int, int]:
        """The interval of an element, as if the image went on beyond its borders."""
        rounds, phase = divmod(element, self.period)
        return self.lows[phase] + rounds * self.shift, self.highs[phase] + rounds * self.shift

    def seen(self, element: int) -> tuple[int, int]:
        """First and last pixel of the image an element depends on; the first is larger where it sees padding only."""
        low, high = self.hull(element)
        if not self.real[0] <= element <= self.real[1]:
            return 0, -1
        return max(low, self.least), min(high, self.most)

    def padded(self, n: int) -> float:
        """The share of ``n`` elements whose windows reach out of the image or of a map on the way."""
        first, last = self.clean
        return 1 - max(0, min(last, n - 1) - first + 1) / n

    # -- operators ----------------------------------------------------------------------------------------------------
    def through(self, window: AnyWindow, n: int) -> Field:
        """Behind a window on an axis of ``n`` elements. Raises UnseenError."""
        found = self.read(of_window(window, n), int(window.size(n)))
        inside = isinstance(window, TransposedWindow) or window.dilation == 1 or window.pads(n) == (0, 0)
        return found if inside else found._replace(edges=False)  # a tap beyond the border leaves a hole, not an end

    def read(self, reads: Reads, out: int) -> Field:
        """Behind something that reads the elements and gives ``out``. Raises UnseenError."""
        repeats = self.period // math.gcd(self.period, reads.inputs)
        period = len(reads.spans) * repeats
        check_period(period)
        spans = [reads.span(output) for output in range(period)]
        lows = tuple(self._lowest(first, last) for first, last in spans)
        highs = tuple(self._highest(first, last) for first, last in spans)
        shift = self.shift * reads.inputs * repeats // self.period
        found = self._replace(**_shortest(lows, highs, shift), real=_reading(reads, self.real, out), clean=NONE)
        first, last = found.real
        if first > last:
            return found
        least, most = max(found._lowest(first, last), self.least), min(found._highest(first, last), self.most)
        edges = self.edges and all(reads.span(o) == reads.inside(o) for o in _beyond(reads, out))
        return found._replace(least=least, most=most, clean=_within(reads, self.clean, out), edges=edges)

    def _lowest(self, first: int, last: int) -> int:
        """The first pixel that any of some elements sees; those of one period tell."""
        return min(self.hull(element)[0] for element in range(first, min(last + 1, first + self.period)))

    def _highest(self, first: int, last: int) -> int:
        """The last pixel that any of some elements sees."""
        return max(self.hull(element)[1] for element in range(max(first, last + 1 - self.period), last + 1))

    def over(self, n: int) -> Field:
        """One value that sees all ``n`` elements of the axis."""
        low, high = self._lowest(0, n - 1), self._highest(0, n - 1)
        real = ONE if self.real[0] <= self.real[1] else NONE
        clean = ONE if self.clean == (0, n - 1) else NONE
        return self._replace(lows=(low,), highs=(high,), shift=int(self.jump), real=real, clean=clean)

    def still(self, n: int) -> Field:
        """The interval of a single value for each of the ``n`` places that read it."""
        real, clean = ((0, n - 1) if span == ONE else NONE for span in (self.real, self.clean))
        return self._replace(lows=self.lows[:1], highs=self.highs[:1], shift=0, real=real, clean=clean)


def pixels(n: int) -> Field:
    """The image itself, ``n`` pixels: each sees itself."""
    return Field((0,), (0,), 1, 0, n - 1, (0, n - 1), (0, n - 1))


def _shortest(lows: tuple[int, ...], highs: tuple[int, ...], shift: int) -> dict[str, Any]:
    """The same intervals with the shortest period they have, as the parts of a `Field`."""
    count = len(lows)
    for period in (p for p in range(1, count) if count % p == 0 and shift * p % count == 0):
        step = shift * period // count
        pairs = ((side[i], side[i - period]) for side in (lows, highs) for i in range(period, count))
        if all(later == earlier + step for later, earlier in pairs):
            return {"lows": lows[:period], "highs": highs[:period], "shift": step}
    return {"lows": lows, "highs": highs, "shift": shift}


def _within(reads: Reads, inside: tuple[int, int], out: int) -> tuple[int, int]:
    """The outputs that read none but these elements; an interval, as later outputs read later elements."""
    low, high = inside
    if low > high:
        return NONE
    return _least(lambda o: reads.inside(o)[0] >= low, out), _least(lambda o: reads.inside(o)[1] > high, out) - 1


def _reading(reads: Reads, inside: tuple[int, int], out: int) -> tuple[int, int]:
    """The outputs that read any of these elements."""
    low, high = inside
    if low > high:
        return NONE
    return _least(lambda o: reads.inside(o)[1] >= low, out), _least(lambda o: reads.inside(o)[0] > high, out) - 1


def _beyond(reads: Reads, out: int) -> list[int]:
    """The outputs that may read beyond the ends alone, where these are held: those of a period at either end."""
    if reads.held is None:
        return []
    count = min(len(reads.spans), out)
    ends = {*range(count), *range(out - count, out)}
    return [o for o in ends if reads.span(o)[1] < 0 or reads.span(o)[0] > reads.held - 1]


def _least(holds: Callable[[int], bool], out: int) -> int:
    """The smallest output for which a condition holds that goes on holding; ``out`` where none does."""
    low, high = 0, out
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


# -- joins ------------------------------------------------------------------------------------------------------------


def join(branches: Sequence[Field], n: int) -> Field:
    """What ``n`` places see where branches meet: their hull. Raises UnseenError where they move at unlike rates."""
    distinct = list(dict.fromkeys(branches))
    if len(distinct) == 1:
        return distinct[0]
    moving = [field for field in distinct if field.shift]
    if len(moving) < len(distinct):
        return _with_still(distinct, moving, n)
    rates = {field.jump for field in moving}
    if len(rates) > 1:
        steps = " and ".join(str(rate) for rate in sorted(rates, key=float))
        raise UnseenError(f"its branches step {steps} pixels, so their places do not lie over each other")
    return _side_by_side(moving, n)


def _side_by_side(branches: Sequence[Field], n: int) -> Field:
    period = math.lcm(*(field.period for field in branches))
    check_period(period)
    hulls = [[field.hull(element) for field in branches] for element in range(period)]
    shift = branches[0].shift * period // branches[0].period
    least, most, exact = _borders(branches)
    return Field(
        tuple(min(low for low, _ in hull) for hull in hulls),
        tuple(max(high for _, high in hull) for hull in hulls),
        shift,
        least,
        most,
        _either([field.real for field in branches]),
        _both([field.clean for field in branches]),
        next((field.misaligned for field in branches if field.misaligned), "") or _apart(branches, period),
        exact and all(field.edges for field in branches),
    )


def _apart(branches: Sequence[Field], period: int) -> str:
    """How the centres of branches differ, "" where they agree."""
    if len({tuple(sum(field.hull(element)) for element in range(period)) for field in branches}) == 1:
        return ""
    starts = sorted({field.start for field in branches})
    if len(starts) == 1:
        return "the places of its branches are centred on unlike pixels"
    return f"the first places of its branches are centred on pixels {' and '.join(f'{start:g}' for start in starts)}"


def _both(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return max(first for first, _ in spans), min(last for _, last in spans)


def _either(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    known = [span for span in spans if span[0] <= span[1]] or [NONE]
    return min(first for first, _ in known), max(last for _, last in known)


def _borders(branches: Sequence[Field]) -> tuple[int, int, bool]:
    """The outermost pixels seen, and whether cutting the joined intervals there is exact for every place."""
    lefts, rights = _ends(branches, 0), _ends(branches, 1)
    least, most = min(seen for seen, _ in lefts), max(seen for seen, _ in rights)
    cut = {seen for seen, was_cut in lefts if was_cut}, {seen for seen, was_cut in rights if was_cut}
    alike = len({field.real for field in branches}) == 1
    return least, most, alike and cut[0] <= {least} and cut[1] <= {most}


def _ends(branches: Sequence[Field], side: int) -> list[tuple[int, bool]]:
    """(outermost pixel seen, whether that is the border's doing) of each branch."""
    reach = (Field._lowest, Field._highest)[side]
    outermost = [(field, reach(field, *field.real) if field.real[0] <= field.real[1] else 0) for field in branches]
    ends = [(max(end, field.least), min(end, field.most))[side] for field, end in outermost]
    return [(end, end != reached) for end, (_, reached) in zip(ends, outermost, strict=True)]


def _with_still(branches: Sequence[Field], moving: Sequence[Field], n: int) -> Field:
    """A value that all places read, beside values of their own: known where it sees all that the others see."""
    fixed = [field for field in branches if not field.shift]
    low, high = min(field.lows[0] for field in fixed), max(field.highs[0] for field in fixed)
    least, most = min(field.least for field in branches), max(field.most for field in branches)
    if any(field.least < max(low, least) or field.most > min(high, most) for field in moving):
        raise UnseenError("it joins places with one value that sees less than they do together")
    reason = next((field.misaligned for field in branches if field.misaligned), "")
    low, high = min([low, *(f.over(n).lows[0] for f in moving)]), max([high, *(f.over(n).highs[0] for f in moving)])
    real, clean = _either([field.real for field in branches]), _both([field.clean for field in branches])
    return Field((low,), (high,), 0, least, most, real, clean, reason)
