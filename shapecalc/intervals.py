"""Intervals of whole numbers and unions of them: the answers of backward questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Interval(NamedTuple):
    """All whole numbers from ``low`` to ``high``, both included; ``high`` None is no upper end."""

    low: int
    high: int | None

    def __contains__(self, size: object) -> bool:
        return isinstance(size, int) and self.low <= size and (self.high is None or size <= self.high)

    @property
    def empty(self) -> bool:
        """Whether no number is inside."""
        return self.high is not None and self.high < self.low

    def intersect(self, other: Interval) -> Interval:
        """The numbers in both."""
        ends = [end for end in (self.high, other.high) if end is not None]
        return Interval(max(self.low, other.low), min(ends) if ends else None)

    def __str__(self) -> str:
        if self.empty:
            return "none"
        if self.high is None:
            return f"{self.low} and up"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


class SizeSet:
    """A union of disjoint intervals, kept sorted and merged.

    >>> 227 in SizeSet([Interval(199, 230)])
    True
    """

    __slots__ = ("intervals",)

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        merged: list[Interval] = []
        for interval in sorted((i for i in intervals if not i.empty), key=lambda i: i.low):
            last = merged[-1] if merged else None
            if last is not None and (last.high is None or interval.low <= last.high + 1):
                high = None if last.high is None or interval.high is None else max(last.high, interval.high)
                merged[-1] = Interval(last.low, high)
            else:
                merged.append(interval)
        self.intervals = tuple(merged)

    def __contains__(self, size: object) -> bool:
        return any(size in interval for interval in self.intervals)

    def __iter__(self) -> Iterator[int]:
        for interval in self.intervals:
            size = interval.low
            while interval.high is None or size <= interval.high:
                yield size
                size += 1

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SizeSet) and self.intervals == other.intervals

    def __hash__(self) -> int:
        return hash(self.intervals)

    def intersect(self, other: SizeSet) -> SizeSet:
        """The numbers in both."""
        return SizeSet(a.intersect(b) for a in self.intervals for b in other.intervals)

    def nearest(self, size: int) -> int | None:
        """The member closest to ``size``, the smaller of two equally close; None if the set is empty."""
        ends = [
            max(interval.low, size if interval.high is None else min(size, interval.high))
            for interval in self.intervals
        ]
        return min(ends, key=lambda end: (abs(end - size), end), default=None)

    def __str__(self) -> str:
        return ", ".join(map(str, self.intervals)) or "none"

    def __repr__(self) -> str:
        return f"SizeSet({self})"
