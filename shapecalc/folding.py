"""Numbers of a value that a graph computes from weights alone: a bias that is looked up, turned and joined on the way.

An export may keep a table as it was trained and lead it through a dozen operators before it is added to what follows
the image. What they make of it is computed here, so that it can be carried over as a whole (`shapecalc.resampling`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from .errors import RefusedError
from .resampling import TABLES, Array

#: Dimensions of a target that mean something else: the rest, and as it was.
REST, KEPT = -1, 0


def _reshape(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    table, target = values[0], [int(n) for n in values[1]]
    zero = not attrs.get("allowzero")
    return table.reshape([table.shape[i] if n == KEPT and zero else n for i, n in enumerate(target)])


def _axes(values: list[Array], attrs: Mapping[str, Any]) -> tuple[int, ...]:
    """Axes given as an input, or in old files as an attribute."""
    return tuple(int(axis) for axis in (values[1] if len(values) > 1 else attrs.get("axes", ())))


def _unsqueeze(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    return numpy.expand_dims(values[0], _axes(values, attrs))


def _squeeze(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    return numpy.squeeze(values[0], _axes(values, attrs) or None)


def _gather_nd(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    if attrs.get("batch_dims"):
        raise KeyError("GatherND with batch_dims")
    table, places = values
    return numpy.asarray(table[tuple(numpy.moveaxis(places, -1, 0))])


def _split(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    """One part of a Split: of equal ones where no sizes are given."""
    given = [int(n) for n in values[1]] if len(values) > 1 else attrs.get("split")
    ends = list(numpy.cumsum(given)[:-1]) if given is not None else attrs["of"]
    return numpy.asarray(numpy.split(values[0], ends, axis=attrs.get("axis", 0))[attrs["part"]])


#: What is computed of weights, as ONNX says it.
OPERATORS: Mapping[str, Callable[[list[Array], Mapping[str, Any]], Array]] = {
    "Identity": lambda values, attrs: values[0],
    "Cast": lambda values, attrs: values[0].astype(attrs["to"]),
    "Reshape": _reshape,
    "Transpose": lambda values, attrs: values[0].transpose(attrs.get("perm")),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Gather": lambda values, attrs: numpy.take(values[0], values[1], attrs.get("axis", 0)),
    "GatherND": _gather_nd,
    "Split": _split,
    "Einsum": lambda values, attrs: numpy.einsum(attrs["equation"], *values),
    "MatMul": lambda values, attrs: values[0] @ values[1],
    "Add": lambda values, attrs: values[0] + values[1],
    "Mul": lambda values, attrs: values[0] * values[1],
    "Div": lambda values, attrs: values[0] / values[1],
    "Relu": lambda values, attrs: numpy.maximum(values[0], 0),
    "Sigmoid": lambda values, attrs: 1 / (1 + numpy.exp(-values[0])),
}


def folded(*given: Any) -> Array:
    """(the sources, the steps, a recipe of `TABLES` or "", its arguments): what the steps make, carried over.

    Raises RefusedError where a step cannot be computed.
    """
    *values, steps, recipe, arguments = given
    for op, reads, attrs in steps:
        try:
            values.append(OPERATORS[op]([values[i] for i in reads], dict(attrs)))
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise RefusedError(
                f"what {op} makes of weights cannot be computed",
                "E303",
                because=f"its numbers and attributes do not go together: {error}",
                hint="fold the constants of the file first, or repair its weights",
            ) from None
    return numpy.ascontiguousarray(TABLES[recipe](values[-1], *arguments) if recipe else values[-1])


def tried(
    sources: Sequence[tuple[tuple[int, ...], tuple[Any, ...] | None]], steps: Any, recipe: str, arguments: Any
) -> bool:
    """Whether `folded` takes sources of these (shape, contents): any numbers where the contents are not known."""
    noise = numpy.random.default_rng(0)
    arrays = [
        noise.random(shape) if contents is None else numpy.array(contents).reshape(shape) for shape, contents in sources
    ]
    try:
        folded(*arrays, steps, recipe, arguments)
    except RefusedError:
        return False
    return True
