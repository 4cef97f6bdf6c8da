"""A model held against its original: on the same inputs, what has the same shape must hold the same numbers.

Outputs are paired by name, those of other names in their order; tensors inside by name. Where a head was replaced the
outputs have other shapes: then the tensors inside that both have are what is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..definition import Definition
from ..dims import show
from ..errors import RefusedError, UsageError
from ..weights import Array
from .parts import runs, side_by_side
from .proof import NumberCheck, compare
from .run import Runnable, runnable


class Apart(NamedTuple):
    """A tensor that both have in different shapes."""

    name: str
    shape: tuple[int, ...]
    original: tuple[int, ...]


class Against(NamedTuple):
    """What came of the comparison with ``original``: outputs, tensors inside, and those of other shapes."""

    original: str
    outputs: list[NumberCheck]
    inside: list[NumberCheck]
    apart: list[Apart]

    @property
    def failures(self) -> list[NumberCheck]:
        """The outputs that differ; where no output has the shape of the original's, the tensors inside."""
        return [check for check in self.outputs or self.inside if not check.ok]

    @property
    def first(self) -> NumberCheck | None:
        """The first tensor of the net that differs, outputs and all."""
        return next((check for check in [*self.inside, *self.outputs] if not check.ok), None)

    @property
    def worst(self) -> NumberCheck:
        """The largest difference, beside its scale, of those that count."""
        return max(self.outputs or self.inside, key=lambda check: check.share)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON prints it."""
        return {
            "original": self.original,
            "ok": not self.failures,
            "largest_difference": self.worst.difference,
            "scale": self.worst.scale,
            "tensor": self.worst.name,
            "outputs": [check.to_dict() for check in self.outputs],
            "inside": [check.to_dict() for check in self.inside],
            "other_shapes": [
                {"name": row.name, "shape": list(row.shape), "original": list(row.original)} for row in self.apart
            ],
        }


def held_against(
    model: Definition, what: Runnable, original: Definition, *, device: str, seed: int, rtol: float
) -> Against:
    """Runs both and compares them. Raises RefusedError where the original does not take the input, or nothing is alike.

    ``what`` is the model as something that runs, with the inputs that both get.
    """
    names = paired([*what.inputs], [given.name for given in original.graph.inputs])
    given = {names[name]: array for name, array in what.inputs.items() if name in names}
    try:
        found = original.trace({name: array.shape for name, array in given.items()})
    except UsageError as error:
        raise _other_input(original, error.message) from None
    if not found.ok:
        raise _other_input(original, found.problems[0].message)
    first = runnable(original, original.graph, found, seed)
    fed = {name: given[name].astype(own.dtype) if name in given else own for name, own in first.inputs.items()}
    return compared(model, what, original, first._replace(inputs=fed), device=device, rtol=rtol)


def compared(
    model: Definition, what: Runnable, original: Definition, first: Runnable, *, device: str, rtol: float
) -> Against:
    """Two models that run, compared tensor by tensor as they pass."""
    results = paired(model.graph.outputs, original.graph.outputs)
    renamed = {theirs: ours for ours, theirs in results.items()}
    theirs = _renamed(runs(first, device, repeat=0), renamed)
    ours = (run.tensors for run in runs(what, device, repeat=0))
    found = Against(original.argument, [], [], [])
    for name, a, b in side_by_side(theirs, ours):
        if b is None:
            continue
        if a.shape != b.shape:
            found.apart.append(Apart(name, b.shape, a.shape))
            continue
        (found.outputs if name in results else found.inside).extend(compare({name: a}, {name: b}, rtol))
    if not found.outputs and not found.inside:
        raise RefusedError(
            f"nothing of {model.name} has the name and shape of anything in {original.name}",
            "E402",
            because=_shapes(found.apart) or "their outputs are of different numbers and names",
            hint="name the model that it was made from: --against ORIGINAL",
        )
    return found


def _shapes(apart: Sequence[Apart]) -> str:
    return ", ".join(f"{row.name} is {show(row.shape)} and was {show(row.original)}" for row in apart[-3:])


def _other_input(original: Definition, words: str) -> RefusedError:
    return RefusedError(
        f"{original.argument} does not take the same input, so there is nothing to compare",
        "E402",
        because=words,
        hint="--input SHAPE gives one that both take",
    )


def paired(ours: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Names that both have, then the others in their order.

    >>> paired(["a", "new"], ["old", "a"])
    {'a': 'a', 'new': 'old'}
    """
    same = [name for name in ours if name in theirs]
    left = [name for name in ours if name not in same], [name for name in theirs if name not in same]
    return {**{name: name for name in same}, **dict(zip(*left, strict=False))}


def _renamed(made: Iterator[Any], names: Mapping[str, str]) -> Iterator[dict[str, Array]]:
    """The tensors of runs, outputs under the names they have in the other model; what had such a name is left out."""
    taken = {new for old, new in names.items() if old != new}
    for run in made:
        yield {
            names.get(name, name): array for name, array in run.tensors.items() if name in names or name not in taken
        }
