"""From what the layers ask to sets of sizes: who refuses which squares, and what ties height and width together."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy

from ..dims import Dim
from . import line as lines
from .every import BOTH, HEIGHT, WIDTH, Every, axes_of, line_of, value_at
from .form import EVERY, NOTHING, Form
from .sweeps import Case

#: A map of more places is not written as every height times width that gives it.
LARGEST_MAP = 1 << 24


class Refusal(NamedTuple):
    """Sizes that a layer is the first to refuse, with the code of its problem."""

    layer: str
    code: str
    sizes: Form


class Coupling(NamedTuple):
    """A requirement on height and width together.

    ``product`` is the number that the layer's height times width must be, None for another requirement; ``pairs`` are
    the ways to write it as such a product, each with the heights and widths that give it.
    """

    layer: str
    code: str
    product: int | None
    pairs: list[tuple[int, int, Form, Form]]


def form_of(verdict: Any) -> Form:
    """The sizes of its axis (of both: the squares) at which a verdict holds."""
    if not isinstance(verdict, Every):
        return EVERY if verdict else NOTHING
    line = line_of(verdict)
    if line.tail is None:
        return Form(line.head.astype(bool).tobytes() + b"\0", line.threshold, line.threshold)
    values = line.values(line.threshold + line.period)
    return Form(values.astype(bool).tobytes(), line.threshold)


def squares(cases: list[Case]) -> tuple[Form, list[Refusal]]:
    """The squares that fit in one of the cases, and who refuses the others first."""
    total, refusals = NOTHING, []
    for case in cases:
        left = form_of(case.path)
        found: dict[tuple[str, str], Form] = {}
        for layer, code, verdict in case.asked:
            held = form_of(verdict)
            gone, left = left - held, left & held
            if gone:
                found[layer, code] = found.get((layer, code), NOTHING) | gone
        refusals += [Refusal(layer, code, sizes) for (layer, code), sizes in found.items()]
        total = total | left
    return total, refusals


def axes(groups: list[list[Case]]) -> tuple[Form, Form, list[Coupling], bool]:
    """(heights, widths, what ties them, whether the rest is a product of the two)."""
    heights = widths = EVERY
    joint: list[tuple[str, str, Every]] = []
    plain = all(len(cases) == 1 for cases in groups)
    for cases in groups:
        for layer, code, verdict in cases[0].asked if len(cases) == 1 else ():
            axes = axes_of(verdict)
            if axes == BOTH and verdict.terms is not None and len(verdict.pairs) == 1:
                rows, columns = verdict.pairs[0]  # one condition on each axis
                heights, widths = heights & form_of(rows), widths & form_of(columns)
            elif axes == BOTH:
                joint.append((layer, code, verdict))
            elif axes == WIDTH:
                widths = widths & form_of(verdict)
            else:
                heights = heights & form_of(verdict)
                widths = widths & (EVERY if axes == HEIGHT else form_of(verdict))
    couplings: dict[Any, Coupling] = {}
    for layer, code, verdict in joint:
        row = _coupling(layer, code, verdict, heights, widths)
        if row is not None and len(row.pairs) == 1:  # one way to write it: a condition on each axis
            heights, widths = row.pairs[0][2:]
        elif row is not None:
            couplings.setdefault(_identity(row), row)
    return heights, widths, list(couplings.values()), plain


def _identity(row: Coupling) -> Any:
    return (row.product, tuple((a, b, str(h), str(w)) for a, b, h, w in row.pairs)) if row.pairs else row.layer


def _coupling(layer: str, code: str, verdict: Every, heights: Form, widths: Form) -> Coupling | None:
    """A requirement on both axes in words; None where it is met wherever height and width are by themselves."""
    if verdict.terms is not None and _always(verdict, heights, widths):
        return None
    known = _as_product(verdict)
    if known is None or known[2] > LARGEST_MAP:
        return Coupling(layer, code, None, [])
    height, width, product = known
    pairs = []
    for a in (n for n in range(1, product + 1) if product % n == 0):
        rows, columns = heights & form_of(height == a), widths & form_of(width == product // a)
        if rows and columns:
            pairs.append((a, product // a, rows, columns))
    return Coupling(layer, code, product, pairs)


def _always(verdict: Every, heights: Form, widths: Form) -> bool:
    """Whether a verdict made of lines holds for all pairs of these heights and widths: one pair of each class tells."""
    rows, columns = (_samples(verdict, form, axis) for form, axis in ((heights, 0), (widths, 1)))
    if rows is None or columns is None:
        return False
    return bool(value_at(verdict, rows[:, None], columns[None, :]).all())


def _samples(verdict: Every, form: Form, place: int) -> Any:
    """A size of every class of the lines and the set; None where the lines say nothing for all sizes."""
    used = [pair[place] for pair in verdict.pairs if isinstance(pair[place], Every)]
    found = [line_of(value) for value in used]
    if any(line.tail is None or line.degree for line in found):
        return None
    threshold = max([form.threshold, *(line.threshold for line in found)])
    count = threshold + math.lcm(form.period, *(line.period for line in found))
    return numpy.array(list(form.upto(count)), "int64") if count <= 8192 else None


def _as_product(verdict: Every) -> tuple[Dim, Dim, int] | None:
    """(line of the height, line of the width, number) of a verdict that says their product is that number."""
    made = verdict.made
    if made is None:
        return None
    rule, a, b = made
    if rule == "|":  # a join: equal, or of size 1
        found = [row for row in map(_as_product, (x for x in (a, b) if isinstance(x, Every))) if row is not None]
        return max(found, key=lambda row: row[2], default=None)
    if rule != "==":
        return None
    pairs = {key_w: pair for pair in (a - b).pairs for key_w in [isinstance(pair[1], int)]} if _sums(a, b) else {}
    if set(pairs) != {True, False} or len((a - b).pairs) != 2:
        return None
    (height, width), (rest, _) = pairs[False], pairs[True]
    if not isinstance(height, Every) or not isinstance(rest, int):
        return None
    factor = lines.factor_of(height.line) or 1
    return (height // factor, width, -rest // factor) if -rest > 0 and rest % factor == 0 else None


def _sums(a: Dim, b: Dim) -> bool:
    return isinstance(a - b, Every) and (a - b).terms is not None
