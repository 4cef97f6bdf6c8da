"""What does not fit: the layer, the numbers, the reason, and the constant of an export that is behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .errors import details, headline


class Baked(NamedTuple):
    """A number that an export wrote down for one input size, behind a misfit at another.

    ``layer`` reads it under the name ``constant``, as ``value``; ``numbers`` says which part of it belongs to
    ``made_for``, the input at which everything fits, and what comes in instead. ``chain`` are the layers from there to
    the one that fails.
    """

    constant: str
    layer: str
    value: str
    numbers: str
    made_for: str
    chain: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The constant as JSON prints it."""
        return {**self._asdict(), "chain": list(self.chain)}

    def __str__(self) -> str:
        name = f" ({self.constant})" if self.constant != self.layer else ""
        return f"{self.layer}'s {self.value}{name} was written down at {self.made_for}: {self.numbers}{self._way()}"

    def _way(self) -> str:
        """The layers between, the middle of many left out."""
        names = self.chain[1:]
        if not names:
            return ""
        between = names[:-1]
        shown = [*between[:1], f"{len(between) - 2} layers", *between[-1:]] if len(between) > 3 else between
        return f"; it reaches {names[-1]}{' by way of ' if shown else ''}{', '.join(shown)}"


class Problem:
    """Something that does not fit: the layer, the numbers, the reason and the way out.

    ``also`` names the other layers involved (the ones that gave the misfitting values), ``location`` is ``file:line``.
    ``find`` looks for the constant of the file that is behind it.
    """

    __slots__ = ("actual", "also", "code", "expected", "find", "hint", "layer", "location", "message")
    FIELDS = ("actual", "also", "code", "expected", "hint", "layer", "location", "message")

    def __init__(
        self,
        code: str,
        layer: str,
        message: str,
        *,
        also: Sequence[str] = (),
        expected: str = "",
        actual: str = "",
        hint: str = "",
        location: str | None = None,
    ) -> None:
        self.code = code
        self.layer = layer
        self.message = message
        self.also = tuple(also)
        self.expected = expected
        self.actual = actual
        self.hint = hint
        self.location = location
        self.find: Callable[[Problem], Baked | None] | None = None

    @property
    def cause(self) -> Baked | None:
        """What an export wrote down for another input size and this comes from; None where nothing is found."""
        return None if self.find is None else self.find(self)

    @property
    def headline(self) -> str:
        """``file:line: error[E101 fan-in]: fc6 expects 9216 inputs, pool5 gives 12544``."""
        return headline(self.code, self.message, self.location)

    def inside(self, layer: str) -> Problem:
        """The problem with the layer around it, whose subgraph it was found in."""
        fields = {key: getattr(self, key) for key in self.FIELDS}
        return Problem(**{**fields, "also": (*self.also, layer)})

    def to_dict(self) -> dict[str, Any]:
        """The problem as JSON prints it."""
        fields = {key: getattr(self, key) for key in self.FIELDS}
        cause = self.cause
        return {**fields, "also": list(self.also), "cause": cause.to_dict() if cause is not None else None}

    def __str__(self) -> str:
        because = str(self.cause) if self.cause is not None else None
        return "\n".join([self.headline, *details(self.expected, self.actual, because, self.hint)])

    def __repr__(self) -> str:
        return f"Problem({self.code}, {self.layer!r}, {self.message!r})"
