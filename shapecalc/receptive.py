"""Receptive field, jump and start of every value: how much of the input one element sees, and from where.

Along one axis, a window of extent E, stride S and padding P turns (field r, jump j, start c) into

    r' = r + (E - 1)*j        j' = j*S        c' = c + ((E - 1)/2 - P)*j

in input pixels; ``start`` is the centre of the first element's field (Araujo, Norris, Sim: Computing receptive fields
of convolutional neural networks, Distill 2019). Where branches meet that step alike, the field is the hull of theirs.

Never approximate in silence: a field that these three numbers cannot say exactly is lost (an empty tuple), and so is
every field computed from it. Behind a strided transposed convolution neighbours see unlike intervals: its own field is
the largest of them, and what slides over it further is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .dims import Shape, Unknown
from .graph import Tensor, places
from .ops import MALFORMED, AnyWindow, Call, MissingInputError, OpenRankError, find
from .window import TransposedWindow

if TYPE_CHECKING:
    from fractions import Fraction


#: Operators without windows that mix places of a map whose size they keep.
MIXING = {"InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization", "NonMaxSuppression"}


class LostError(Exception):
    """What an element sees is not one interval, a jump from its neighbour's."""


class Field(NamedTuple):
    """What one element sees along one axis, in input pixels: field ``size``, ``jump`` to the next.

    ``twice_start`` is twice the centre of the first element's field: centres lie on whole or half pixels, so it stays a
    whole number (a fraction behind a transposed convolution, as ``jump``). ``aligned``: the branches that met here had
    the same jump and start. ``even``: all elements see equally many pixels, equally far apart.
    """

    size: int
    jump: int | Fraction
    twice_start: int | Fraction
    aligned: bool = True
    even: bool = True

    @property
    def start(self) -> float:
        """Centre of the first element's field, in input pixels."""
        return float(self.twice_start) / 2

    def through(self, window: AnyWindow, n: int) -> Field:
        """The field after a window on an axis of ``n`` elements. Raises LostError where it is not one of these."""
        extent = int(window.extent)
        if not self.even and (extent, window.stride) != (1, 1):
            raise LostError
        if isinstance(window, TransposedWindow):
            seen = -(-extent // window.stride)  # input elements that reach one output element
            jump = _ratio(self.jump, window.stride)
            shift = (extent - 1 - 2 * int(window.pad_begin)) * jump
            return Field(
                self.size + int((seen - 1) * self.jump),
                jump,
                self.twice_start - shift,
                self.aligned,
                window.stride == 1,
            )
        begin, _ = window.pads(n)
        size = self.size + int((extent - 1) * self.jump)
        shift = (extent - 1 - 2 * begin) * self.jump
        return self._replace(size=size, jump=self.jump * window.stride, twice_start=self.twice_start + shift)

    def over(self, n: int) -> Field:
        """The field of something that sees all ``n`` elements of the axis. Raises LostError."""
        if not self.even and n > 1:
            raise LostError
        return Field(self.size + int((n - 1) * self.jump), self.jump, self.twice_start, self.aligned)


Fields = tuple[Field, ...]
PIXEL = Field(1, 1, 0)


def _ratio(value: int | Fraction, stride: int) -> int | Fraction:
    """``value / stride``, whole where it is."""
    if isinstance(value, int) and value % stride == 0:
        return value // stride
    from fractions import Fraction

    return Fraction(value, stride)


def join(parts: Iterable[Fields]) -> Fields:
    """The field where branches meet: their hull; aligned only where jumps and starts agree. Raises LostError."""
    distinct = list(dict.fromkeys(parts))
    return distinct[0] if len(distinct) == 1 else tuple(_joined(axis) for axis in zip(*distinct, strict=True))


def _joined(axis: Sequence[Field]) -> Field:
    """The hull of fields along one axis; of unlike jumps the largest field, which is then not aligned."""
    widest = max(axis, key=lambda f: f.size)
    if all(f == widest for f in axis):
        return widest
    if not all(f.even for f in axis):
        raise LostError
    same = all(f.jump == widest.jump and f.twice_start == widest.twice_start and f.aligned for f in axis)
    if same or any(f.jump != widest.jump for f in axis):
        return widest._replace(aligned=same)
    low = min(f.twice_start - f.size for f in axis)  # twice the interval's ends
    high = max(f.twice_start + f.size for f in axis)
    return widest._replace(size=int(high - low) // 2, twice_start=_ratio(low + high, 2), aligned=False)


def analyse(calls: Iterable[tuple[Call, Sequence[Tensor]]], inputs: Mapping[str, Tensor]) -> dict[str, Fields]:
    """Value name -> its field along each spatial axis, for every value that depends on an image; empty where lost.

    ``calls`` are nodes meeting their inputs, in graph order, each with its outputs; ``inputs`` the values fed.
    """
    fields: dict[str, Fields] = {
        name: (PIXEL,) * (len(t.shape) - 2)
        for name, t in inputs.items()
        if isinstance(t.shape, tuple) and len(t.shape) > 2
    }
    for call, outputs in calls:
        arriving = [fields[name] for name in call.node.inputs if name in fields]
        if not arriving:
            continue
        try:
            field = _through(call, join(arriving), outputs) if all(arriving) else ()
        except LostError:
            field = ()
        for name in call.node.outputs:
            if name:
                fields[name] = field
    return fields


def _through(call: Call, field: Fields, outputs: Sequence[Tensor]) -> Fields:
    tensor = call.inputs[0] if call.inputs else None
    shape = tensor.shape if tensor is not None else Unknown("no input")
    row = find(call.node.op, call.node.domain)
    if isinstance(shape, Unknown) or row is None:
        return ()
    if row.windows is not None:
        try:
            windows = row.windows(call)
        except (MissingInputError, OpenRankError, *MALFORMED):
            return ()
        pairs = list(zip(field, windows, call.spatial, strict=False)) if windows else []
        if not all(isinstance(n, int) for _, _, n in pairs):
            return ()
        if pairs:
            return tuple(f.through(w, n) for f, w, n in pairs)
    rank = len(outputs[0].shape) if outputs and isinstance(outputs[0].shape, tuple) else None
    if rank == len(shape):
        return field if row.elementwise or _keeps_places(call, shape, outputs[0].shape) else ()
    spatial = places(shape, call.layout)
    if rank is not None and rank < 3 <= len(shape) and all(isinstance(n, int) for n in spatial):
        return tuple(f.over(int(n)) for f, n in zip(field, spatial, strict=False))  # flattened: it sees the whole map
    return field if rank is not None and rank < 3 and len(shape) < 3 else ()  # tokens lie on no axis of the image


def _keeps_places(call: Call, before: Shape, after: Shape | Unknown) -> bool:
    """Whether an operator without windows leaves every place of a map where it was."""
    op = call.node.op
    if op in MIXING or len(before) < 3 or isinstance(after, Unknown):
        return op not in MIXING
    if op == "Slice" and any(not isinstance(step, int) or step < 0 for step in call.contents(4) or ()):
        return False
    return op in ("Transpose", "Permute") or places(before, call.layout) == places(after, call.layout)
