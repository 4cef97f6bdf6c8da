"""What frameworks say when shapes do not fit: texts recognised, numbers taken out of them, and what they mean.

>>> said = recognise("mat1 and mat2 shapes cannot be multiplied (1x6400 and 9216x4096)")
>>> said.framework, said.kind, said.wanted, said.given
('PyTorch', 'fan-in', (9216,), (6400,))
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from . import running, tensorflow, training
from .row import FAN_IN, KINDS, WEIGHTS, Row

__all__ = ["FRAMEWORKS", "KINDS", "ROWS", "Row", "Said", "recognise"]

ROWS: tuple[Row, ...] = (*training.ROWS, *tensorflow.ROWS, *running.ROWS)
FRAMEWORKS = tuple(dict.fromkeys(row.framework for row in ROWS))

#: Characters of a text that are looked at: the end of a long log.
LONGEST = 50_000


class Said(NamedTuple):
    """A recognised text: who said it, what kind of misfit it is, and its numbers.

    ``wanted`` and ``given`` are one number, or a shape; empty where the text does not say. ``layer`` is the layer,
    node, input or parameter it names. ``more``: how often the same is said again, of other layers.
    """

    row: Row
    wanted: tuple[int, ...] = ()
    given: tuple[int, ...] = ()
    layer: str = ""
    axis: int | None = None
    rows: int | None = None
    low: int | None = None
    high: int | None = None
    output: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    more: int = 0
    rank: int | None = None

    @property
    def framework(self) -> str:
        """Whose text it is."""
        return self.row.framework

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self.row.kind

    def to_dict(self) -> dict[str, Any]:
        """The text as JSON prints it."""
        return {
            "framework": self.framework,
            "kind": self.kind,
            "layer": self.layer or None,
            "axis": self.axis,
            "wanted": list(self.wanted),
            "given": list(self.given),
            "source": self.row.url or self.row.source,
        }


def recognise(text: str) -> Said | None:
    """The first row of the table that a text matches, with its numbers; None where no row does."""
    plain = re.sub(r"\s+", " ", text[-LONGEST:])
    for row in ROWS:
        found = [_said(row, match) for match in re.finditer(row.pattern, plain)]
        if found:
            first = _telling(found)
            return first._replace(more=len({(said.layer, said.wanted, said.given) for said in found}) - 1)
    return None


def _telling(found: list[Said]) -> Said:
    """Of several weights the one with most axes: a bias only repeats what its matrix says."""
    return max(found, key=lambda said: len(said.wanted)) if found[0].kind == WEIGHTS else found[0]


def _said(row: Row, match: re.Match[str]) -> Said:
    groups = {key: value for key, value in match.groupdict().items() if value is not None}
    given, wanted = numbers(groups.get("given", "")), numbers(groups.get("wanted", groups.get("elements", "")))
    if "weight" in groups:  # a matrix [N, K] or [K, N]: the side that is not the number of outputs
        outputs = int(groups["outputs"])
        sides = [side for side in numbers(groups["weight"]) if side != outputs]
        wanted = (sides[0] if sides else outputs,)
    if row.kind == FAN_IN and len(given) > 1:
        given = given[-1:]
    return Said(
        row,
        wanted,
        given,
        groups.get("layer", "").strip(),
        _int(groups, "axis"),
        _int(groups, "rows"),
        _int(groups, "low"),
        _int(groups, "high"),
        numbers(groups.get("output", "")),
        numbers(groups.get("shape", "")),
        rank=_int(groups, "rank"),
    )


def numbers(text: str) -> tuple[int, ...]:
    """The whole numbers in a text, signs kept: ``(None, 224, 224, 3)`` is (224, 224, 3)."""
    return tuple(int(word) for word in re.findall(r"-?\d+", text))


def _int(groups: dict[str, str], name: str) -> int | None:
    return int(groups[name]) if name in groups else None
