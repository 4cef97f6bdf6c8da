"""Sets of sizes in closed form: what is so up to a threshold, then what repeats.

Printed, a set is intervals, congruences and exceptions: ``199 to 230``; ``N ≡ 3 (mod 32)``;
``33 and up, N ≡ 0 (mod 32)``; ``every size but 7``. It has no upper end unless it says so (``horizon``).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import accumulate, chain, compress, cycle, pairwise
from typing import Any

from ..intervals import Interval
from .line import HORIZON, LONGEST

#: Exceptions and pieces named one by one.
NAMED = 8


class Form:
    """The sizes n with ``mask[n - 1]`` for n up to ``threshold``, and beyond it those whose residue is a member.

    ``mask`` holds threshold + period zeros and ones; n > threshold stands at ``threshold + (n - threshold - 1) %
    period``. ``horizon`` is the last size that is known; None: the set is known for all.
    """

    __slots__ = ("__dict__", "horizon", "mask", "threshold")

    def __init__(self, mask: bytes, threshold: int, horizon: int | None = None) -> None:
        self.mask, self.threshold = _shortest(mask, threshold)
        self.horizon = horizon

    @property
    def period(self) -> int:
        """Sizes after which membership repeats."""
        return len(self.mask) - self.threshold

    # -- asking -------------------------------------------------------------------------------------------------------
    def __contains__(self, size: object) -> bool:
        if not isinstance(size, int) or size < 1:
            return False
        if size <= self.threshold:
            return bool(self.mask[size - 1])
        return bool(self.mask[self.threshold + (size - self.threshold - 1) % self.period])

    def __bool__(self) -> bool:
        return any(self.mask)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and (self.mask, self.threshold) == (other.mask, other.threshold)

    def __hash__(self) -> int:
        return hash((self.mask, self.threshold))

    @property
    def endless(self) -> bool:
        """Whether it has members beyond every size."""
        return any(self.mask[self.threshold :])

    def between(self, low: int, high: int) -> Iterator[int]:
        """The members from ``low``, at least 1, to ``high``."""
        at = low - 1 if low <= self.threshold else self.threshold + (low - self.threshold - 1) % self.period
        return compress(range(low, high + 1), chain(self.mask[at:], cycle(self.mask[self.threshold :])))

    def upto(self, limit: int) -> Iterator[int]:
        """The members from 1 to ``limit``."""
        return self.between(1, limit)

    def below(self, size: int) -> int | None:
        """The largest member up to ``size``."""
        last = size if self.endless else min(size, self.threshold)
        low = last - self.period if last > self.threshold + self.period else 0
        return max(self.between(low + 1, last), default=None)

    def above(self, size: int) -> int | None:
        """The smallest member from ``size`` on."""
        return next(self.between(max(size, 1), max(size, self.threshold) + self.period), None)

    def nearest(self, size: int) -> int | None:
        """The member closest to ``size``, the smaller of two equally close; None if the set is empty."""
        found = [n for n in (self.below(size), self.above(size)) if n is not None]
        return min(found, key=lambda n: (abs(n - size), n), default=None)

    def intervals(self, limit: int) -> list[Interval]:
        """The members up to ``limit`` as intervals."""
        return _runs(n for n in self.upto(limit))

    # -- combining ----------------------------------------------------------------------------------------------------
    def members(self, count: int) -> int:
        """Membership of the sizes up to ``count``, a byte for each, as one number: combined in one step."""
        times = -(-max(count - self.threshold, 0) // self.period)
        return int.from_bytes((self.mask + self.mask[self.threshold :] * times)[:count], "big")

    def combine(self, other: Form, rule: Callable[[int, int], int]) -> Form:
        """Membership by a rule on both memberships, bit by bit; a set of too long a period ends, as lines do."""
        ends = [form.horizon for form in (self, other) if form.horizon is not None]
        threshold = max(self.threshold, other.threshold)
        count = threshold + math.lcm(self.period, other.period)
        if count > LONGEST:
            known = min([HORIZON, *ends])
            return Form(self._combined(other, rule, known) + b"\0", known, known)
        return Form(self._combined(other, rule, count), threshold, min(ends, default=None))

    def _combined(self, other: Form, rule: Callable[[int, int], int], count: int) -> bytes:
        return rule(self.members(count), other.members(count)).to_bytes(count, "big")

    def __and__(self, other: Form) -> Form:
        return self.combine(other, lambda a, b: a & b)

    def __or__(self, other: Form) -> Form:
        return self.combine(other, lambda a, b: a | b)

    def __sub__(self, other: Form) -> Form:
        return self.combine(other, lambda a, b: a & ~b)

    def __invert__(self) -> Form:
        return Form(bytes(1 - member for member in self.mask), self.threshold, self.horizon)

    # -- saying -------------------------------------------------------------------------------------------------------
    @cached_property
    def parts(self) -> tuple[list[Interval], int, list[Interval], list[int]]:
        """(intervals before it, first size, residues of the repeating part as runs, exceptions from there on)."""
        every = list(self.upto(self.threshold))
        if not self.endless:
            return _runs(every), 0, [], []
        residues = {n % self.period for n in self.upto(self.threshold + self.period) if n > self.threshold}
        starts = [1, *(n + 1 for n in range(1, self.threshold + 1) if (n in self) != (n % self.period in residues))]
        wrong = [n - 1 for n in starts[1:]]
        before, behind = _run_counts(every), _run_counts([-n for n in reversed(wrong)])
        best = min(
            starts,
            key=lambda s: (
                before[bisect_left(every, s)] + behind[len(wrong) - bisect_left(wrong, s)] + (s > 1),
                -s,
            ),
        )
        return (
            _runs(n for n in every if n < best),
            best,
            _cyclic(residues, self.period),
            [n for n in wrong if n >= best],
        )

    def __str__(self) -> str:
        before, first, residues, exceptions = self.parts
        pieces = _listed(before)
        if residues:
            pieces.append(self._repeating(first, residues))
        text = ", ".join(pieces) or "none"
        added, left_out = ([n for n in exceptions if (n in self) is side] for side in (True, False))
        if left_out:
            text += f", but not {', '.join(_listed(_runs(left_out)))}"
        if added:
            text += f", and {', '.join(_listed(_runs(added)))}"
        return text if self.horizon is None else f"{text} (known up to {self.horizon:,})"

    def _repeating(self, first: int, residues: list[Interval]) -> str:
        period = self.period
        start = self.above(first) or first
        if period == 1:
            return "every size" if start == 1 else f"{start} and up"
        named = [_residue(run, period) for run in residues]
        if len(named) > NAMED:
            named = [*named[:NAMED], f"… ({len(residues)} runs)"]
        lead = "" if start <= period and first == 1 else f"{start} and up, "
        return f"{lead}N ≡ {', '.join(named)} (mod {period})"

    def to_dict(self) -> dict[str, Any]:
        """The set as JSON prints it."""
        before, first, residues, exceptions = self.parts
        return {
            "text": str(self),
            "intervals": [list(run) for run in before],
            "from": first if residues else None,
            "period": self.period if residues else None,
            "residues": sorted({n % self.period for run in residues for n in range(run.low, int(run.high or 0) + 1)}),
            "exceptions": exceptions,
            "known_up_to": self.horizon,
        }

    def __repr__(self) -> str:
        return f"Form({self})"


def only(sizes: set[int]) -> Form:
    """A finite set."""
    last = max(sizes, default=0)
    return Form(bytes(n in sizes for n in range(1, last + 1)) + b"\0", last)


def _shortest(mask: bytes, threshold: int) -> tuple[bytes, int]:
    """The same set with the smallest period, then the smallest threshold."""
    tail = mask[threshold:]
    period = (tail + tail).find(tail, 1)
    before = (tail[-period:] * (threshold // period + 1))[-threshold:] if threshold else b""
    apart = int.from_bytes(mask[:threshold], "big") ^ int.from_bytes(before, "big")
    same = ((apart & -apart).bit_length() - 1) // 8 if apart else threshold  # bytes alike at the end
    return mask[: threshold - same + period], threshold - same


def _runs(members: Any) -> list[Interval]:
    """Increasing numbers as intervals."""
    found: list[Interval] = []
    for n in members:
        if found and found[-1].high == n - 1:
            found[-1] = Interval(found[-1].low, n)
        else:
            found.append(Interval(n, n))
    return found


def _run_counts(members: list[int]) -> list[int]:
    """How many runs the first 0, 1, 2, … of increasing numbers make."""
    starts = (int(i == 0 or n != members[i - 1] + 1) for i, n in enumerate(members))
    return list(accumulate(starts, initial=0))


def _cyclic(residues: set[int], period: int) -> list[Interval]:
    """Residues as runs; a run over the end (31, 0, 1) is written from its start, ``Interval(31, 33)``."""
    runs = _runs(sorted(residues))
    if len(runs) > 1 and runs[0].low == 0 and runs[-1].high == period - 1:
        runs = [*runs[1:-1], Interval(runs[-1].low, period + int(runs[0].high or 0))]
    return runs


def _residue(run: Interval, period: int) -> str:
    low, high = run.low, int(run.high or 0)
    if high < period:
        return str(low) if low == high else f"{low} to {high}"
    return f"{_residue(Interval(low, period - 1), period)}, {_residue(Interval(0, high - period), period)}"


def _listed(runs: list[Interval]) -> list[str]:
    """Intervals in words; many alike in short: ``6, 14, 22, … 62``."""
    if len(runs) <= NAMED:
        return [str(run) for run in runs]
    steps = {b.low - a.low for a, b in pairwise(runs)}
    step = f" in steps of {steps.pop()}" if len(steps) == 1 else f" ({len(runs)} in all)"
    return [*map(str, runs[:3]), f"… {runs[-1]}{step}"]


EVERY = Form(b"\x01", 0)
NOTHING = Form(b"\x00", 0)
