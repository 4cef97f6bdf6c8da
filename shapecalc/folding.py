"""Numbers of a value that a graph computes from weights alone: a bias that is looked up, turned and joined on the way.

An export may keep a table as it was trained and lead it through a dozen operators before it is added to what follows
the image. What they make of it is computed here, so that it can be carried over as a whole (`shapecalc.resampling`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from .coordinates import apart, told
from .errors import RefusedError
from .graph import Param
from .resampling import IN_FRONT, TABLES, Array, Size, between_places
from .waves import spanned

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


def _scattered(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    return _put(values, tuple(numpy.moveaxis(values[1], -1, 0)), attrs)


def _scattered_along(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    """Indices may be fewer than the data has along every axis: they stand for its first places."""
    places = [*numpy.indices(values[1].shape)]
    places[attrs.get("axis", 0)] = values[1]
    return _put(values, tuple(places), attrs)


def _put(values: list[Array], places: tuple[Array, ...], attrs: Mapping[str, Any]) -> Array:
    if attrs.get("reduction", "none") not in ("none", b"none"):
        raise KeyError("a scattering that adds or multiplies")
    found = values[0].copy()
    found[places] = values[2]
    return found


def _summed_up(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    axes = _axes(values, attrs)
    if not axes and attrs.get("noop_with_empty_axes"):
        return values[0]
    kept = bool(attrs.get("keepdims", 1))
    return numpy.asarray(numpy.sum(values[0], axes or None, values[0].dtype, keepdims=kept))


def _shape(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    return numpy.array(values[0].shape[attrs.get("start", 0) : attrs.get("end")], numpy.int64)


def _divided(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    """Of integers the whole part, towards 0."""
    if values[0].dtype.kind not in "iu":
        return numpy.asarray(values[0] / values[1])
    return numpy.asarray((values[0] - numpy.fmod(*values)) // values[1])


def _resized(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    """A scaling to the size that comes in, as exporters write one down that had nothing to do."""
    wanted = values[-1]
    own = numpy.ones(values[0].ndim) if wanted.dtype.kind == "f" else numpy.array(values[0].shape)
    cropped = attrs.get("coordinate_transformation_mode") in ("tf_crop_and_resize", b"tf_crop_and_resize")
    if len(values) < 2 or cropped or not numpy.array_equal(wanted, own):
        raise KeyError("Resize to another size")
    return values[0]


def _flattened(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    axis = attrs.get("axis", 1)
    return values[0].reshape(int(numpy.prod(values[0].shape[:axis])), -1)


def _pad(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    """A border of one number."""
    if attrs.get("mode", "constant") not in ("constant", b"constant") or len(values) > 3:
        raise KeyError("Pad of this mode or of axes")
    sides = [int(n) for n in (values[1] if len(values) > 1 else attrs["pads"])]
    filler = values[2].reshape(()) if len(values) > 2 else attrs.get("value", 0.0)
    return numpy.pad(
        values[0], [*zip(sides[: len(sides) // 2], sides[len(sides) // 2 :], strict=True)], constant_values=filler
    )


def _slice(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    """Starts, ends, axes and steps, each an input or, in old files, an attribute."""
    words = ("starts", "ends", "axes", "steps")
    given = [values[place] if len(values) > place else attrs.get(word) for place, word in enumerate(words, start=1)]
    starts, ends, axes, steps = ([int(n) for n in numbers] if numbers is not None else None for numbers in given)
    if starts is None or ends is None:
        raise KeyError("Slice without ends")
    cut = [slice(None)] * values[0].ndim
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        step = 1 if steps is None else steps[place]
        before_first = step < 0 and end < -values[0].shape[place if axes is None else axes[place]]
        cut[place if axes is None else axes[place]] = slice(start, None if before_first else end, step)
    return numpy.asarray(values[0][tuple(cut)])


def _expand(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    return numpy.broadcast_to(values[0], numpy.broadcast_shapes(values[0].shape, tuple(int(n) for n in values[1])))


def _gemm(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    left, right = (v.T if attrs.get(word) else v for v, word in zip(values, ("transA", "transB"), strict=False))
    product = attrs.get("alpha", 1.0) * (left @ right)
    return numpy.asarray(product + attrs.get("beta", 1.0) * values[2] if len(values) > 2 else product, left.dtype)


def _filled(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    value = attrs.get("value")
    number = 0.0 if value is None else value.contents[0]
    return numpy.full(tuple(int(n) for n in values[0]), number, value.dtype if value is not None else "float32")


def _conv(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    """A 1×1 convolution."""
    table, weight, *bias = values
    if weight.shape[2:] != (1, 1) or attrs.get("group", 1) != 1 or any(attrs.get("pads", ())):
        raise KeyError("Conv of more than one place")
    if any(step != 1 for step in attrs.get("strides", ())):
        raise KeyError("Conv with a stride")
    found = numpy.einsum("nchw,oc->nohw", table, weight[:, :, 0, 0])
    return numpy.asarray(found + bias[0].reshape(1, -1, 1, 1) if bias else found)


def _summed(values: list[Array], attrs: Mapping[str, Any]) -> Array:
    if attrs.get("exclusive") or attrs.get("reverse"):
        raise KeyError("CumSum that is exclusive or goes back")
    return numpy.cumsum(values[0], int(values[1].reshape(())), values[0].dtype)


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
    "Gemm": _gemm,
    "MatMul": lambda values, attrs: values[0] @ values[1],
    "Pad": _pad,
    "Slice": _slice,
    "Expand": _expand,
    "ConstantOfShape": _filled,
    "Conv": _conv,
    "Tile": lambda values, attrs: numpy.tile(values[0], [int(n) for n in values[1]]),
    "Concat": lambda values, attrs: numpy.concatenate(values, attrs["axis"]),
    "Shape": _shape,
    "CumSum": _summed,
    "Range": lambda values, attrs: numpy.arange(*(float(value.reshape(())) for value in values), dtype=values[0].dtype),
    "Equal": lambda values, attrs: values[0] == values[1],
    "Where": lambda values, attrs: numpy.where(*values),
    "ScatterND": _scattered,
    "ScatterElements": _scattered_along,
    "ReduceSum": _summed_up,
    "Resize": _resized,
    "Flatten": _flattened,
    "Neg": lambda values, attrs: -values[0],
    "Exp": lambda values, attrs: numpy.exp(values[0]),
    "Log": lambda values, attrs: numpy.log(values[0]),
    "Sqrt": lambda values, attrs: numpy.sqrt(values[0]),
    "Pow": lambda values, attrs: (values[0] ** values[1]).astype(values[0].dtype),
    "Sub": lambda values, attrs: values[0] - values[1],
    "Sin": lambda values, attrs: numpy.sin(values[0]),
    "Cos": lambda values, attrs: numpy.cos(values[0]),
    "Add": lambda values, attrs: values[0] + values[1],
    "Mul": lambda values, attrs: values[0] * values[1],
    "Div": _divided,
    "Relu": lambda values, attrs: numpy.maximum(values[0], 0),
    "Sigmoid": lambda values, attrs: 1 / (1 + numpy.exp(-values[0])),
}


def made(sources: Sequence[Array], steps: Any, given: tuple[int, Array] | None = None) -> list[Array]:
    """The sources and what each step makes, one of them ``given`` in place of what it is.

    Raises RefusedError where a step cannot be computed.
    """
    values = list(sources)
    if given is not None and given[0] < len(values):
        values[given[0]] = given[1]
    for op, reads, attrs in steps:
        if given is not None and given[0] == len(values):
            values.append(given[1])
            continue
        try:
            values.append(OPERATORS[op]([values[i] for i in reads], dict(attrs)))
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise RefusedError(
                f"what {op} makes of weights cannot be computed",
                "E303",
                because=f"its numbers and attributes do not go together: {error}",
                hint="fold the constants of the file first, or repair its weights",
            ) from None
    return values


def folded(*given: Any) -> Array:
    """(the sources, the steps, a recipe, its arguments): what the steps make, carried over.

    The recipe is one of `TABLES`, one of `COMPUTED`, or "". Raises RefusedError where a step cannot be computed.
    """
    *sources, steps, recipe, arguments = given
    if recipe in COMPUTED:
        return COMPUTED[recipe](sources, steps, *arguments)
    found = made(sources, steps)[-1]
    return numpy.ascontiguousarray(TABLES[recipe](found, *arguments) if recipe else found)


class _Rows(NamedTuple):
    """One value of a chain that has a row for each place or pair of places, each of which is turned into numbers alone.

    ``read`` takes what the chain makes and gives the numbers of each row, (…, rows).
    """

    place: int
    value: Array
    across: bool  # whether its channels come before height and width
    read: Callable[[Array], Array]

    def table(self) -> Array:
        """(rows, channels)."""
        rows = numpy.moveaxis(self.value, 1, -1) if self.across else self.value
        return rows.reshape(-1, rows.shape[-1])

    def filled(self, rows: Array) -> Array:
        """The value with other rows in front of the old ones."""
        whole = numpy.concatenate([rows, self.table()[len(rows) :]]).astype(self.value.dtype)
        if not self.across:
            return whole.reshape(self.value.shape)
        first, channels, *size = self.value.shape
        return numpy.moveaxis(whole.reshape(first, *size, channels), -1, 1)

    def of(self, sources: Sequence[Array], steps: Any, rows: Array) -> Array:
        """What the chain makes of other rows, any number of them, (…, rows); as many at a time as there are places.

        Raises RefusedError where a row's numbers depend on more than the row.
        """

        def numbers_of(some: Array) -> Array:
            return self.read(made(sources, steps, (self.place, self.filled(some)))[-1])[..., : len(some)]

        old = self.table()
        many = len(old)
        if not numpy.allclose(numbers_of(old[::-1]), numbers_of(old)[..., ::-1], rtol=1e-4, atol=1e-4):
            raise _not_computed("a table is not made row by row", "a row's numbers depend on other rows")
        parts = [numbers_of(rows[start : start + many]) for start in range(0, len(rows), many)]
        return numpy.concatenate(parts, axis=-1)


def _not_computed(message: str, because: str) -> RefusedError:
    return RefusedError(message, "E303", because=because, hint=IN_FRONT)


def _computed_between(sources: list[Array], steps: Any, axes: Size, before: Size, now: Size, tokens: int) -> Array:
    """A bias between every two places, of a net that computes it from how far they lie apart.

    Raises RefusedError where no table of distances has a part in it.
    """
    found = next(((i, v, t) for i, v in enumerate(sources) if (t := told(v, before)) is not None), None)
    if found is None:
        raise _not_computed("no table of distances has a part in this bias", "none of its sources is one")
    index, value, table = found
    first, second = table.pairs.T

    def read(bias: Array) -> Array:
        pairs = numpy.moveaxis(bias, axes, (-2, -1))[..., tokens:, tokens:]
        return numpy.asarray(pairs[..., first, second])

    offsets, which = numpy.unique(apart(now).reshape(-1, 2), axis=0, return_inverse=True)
    flat = _Rows(index, value, False, read).of(sources, steps, table.rows(offsets, now))
    places = now[0] * now[1]
    grown = flat[..., which.reshape(-1)].reshape(*flat.shape[:-1], places, places)
    return between_places(made(sources, steps)[-1], grown, axes, tokens)


class _Behind(NamedTuple):
    """The waves in a chain, (height, width, channels), and what the chain makes of such rows."""

    waves: Array
    rows: _Rows
    values: list[Array]


def _behind(sources: list[Array], steps: Any, axis: int, before: Size, tokens: int) -> _Behind:
    """The last waves over a map that a table with a row for each place is made of.

    Raises RefusedError where no table of waves has a part in it.
    """
    values = made(sources, steps)

    def read(table: Array) -> Array:
        return numpy.moveaxis(table, axis, -1)[..., tokens:]

    for index, value in reversed([*enumerate(values)]):
        for across in (False, True):
            rows = _Rows(index, value, across, read)
            if value.ndim < 2 or value.dtype.kind != "f" or value.size != len(rows.table()) * rows.table().shape[1]:
                continue
            if len(rows.table()) == before[0] * before[1]:
                waves = rows.table().reshape(*before, -1)
                if spanned(waves, before) is not None:
                    return _Behind(waves, rows, values)
    raise _not_computed("no waves have a part in this table", "none of its numbers are waves of the row or the column")


def _computed_places(sources: list[Array], steps: Any, axis: int, before: Size, now: Size, tokens: int) -> Array:
    """A table with a row for each place, of a net that computes it from waves over the map.

    Raises RefusedError where no table of waves has a part in it.
    """
    found = _behind(sources, steps, axis, before, tokens)
    values, waves = found.values, spanned(found.waves, now)
    assert waves is not None  # `_behind`
    kept = numpy.split(values[-1], [tokens], axis=axis)[0]
    grown = numpy.moveaxis(found.rows.of(sources, steps, waves.reshape(-1, waves.shape[-1])), -1, axis)
    return numpy.ascontiguousarray(numpy.concatenate([kept, grown], axis=axis), values[-1].dtype)


def waves_of(sources: list[Array], steps: Any, axis: int, before: Size, tokens: int) -> Array:
    """(height, width, channels): the waves that a table is computed from. Raises RefusedError where there are none."""
    return _behind(sources, steps, axis, before, tokens).waves


def wave_weights(sources: list[Array], steps: Any, axis: int, before: Size, tokens: int) -> Array:
    """(channels + 1, numbers of a place): what a chain multiplies waves, and a 1 behind them, with.

    Raises RefusedError where it does more than that.
    """
    found = _behind(sources, steps, axis, before, tokens)
    table = found.rows.table()
    probes = numpy.concatenate([numpy.eye(table.shape[1]), numpy.zeros((1, table.shape[1]))])

    def numbers_of(rows: Array) -> Array:
        made_of = found.rows.of(sources, steps, rows.astype(table.dtype)).astype(numpy.float64)
        return made_of.reshape(-1, made_of.shape[-1]).T

    weights = numbers_of(probes)
    weights[:-1] -= weights[-1]
    wanted = numbers_of(table)
    if not numpy.allclose(table @ weights[:-1] + weights[-1], wanted, rtol=1e-4, atol=1e-4 * numpy.abs(wanted).max()):
        raise _not_computed("a table is more than sums of waves", "its numbers are not multiples of those of the waves")
    return numpy.ascontiguousarray(weights, found.values[-1].dtype)


#: Recipes of what a net computes from where places lie, not from a table of what it learned for each.
COMPUTED: Mapping[str, Callable[..., Array]] = {
    "computed relative": _computed_between,
    "computed places": _computed_places,
    "waves": waves_of,
    "wave weights": wave_weights,
}


#: Bytes of one parameter that are read before anything is decided.
MOST_BYTES = 1 << 26


def numbers(param: Param) -> Array | None:
    """The numbers of a parameter, from its file; None where they are not to be had."""
    if param.contents is not None:
        return numpy.array(param.contents).reshape(param.shape or ())
    where = param.where
    if where is None or where.length > MOST_BYTES or not Path(where.path).is_file():
        return None
    try:
        kind = numpy.dtype(param.dtype).newbyteorder("<")
        raw = numpy.fromfile(where.path, numpy.uint8, where.length, offset=where.offset)
        return raw.view(kind).reshape(param.shape or ())
    except (OSError, TypeError, ValueError):
        return None


def tried(sources: Sequence[Param], steps: Any, recipe: str, arguments: Any) -> bool:
    """Whether `folded` takes these: with their numbers where the file has them, else with any for what is trained.

    Where indices or other constants are not to be had, that is seen when their numbers are; but only of a table that
    is told by its shape.
    """
    noise = numpy.random.default_rng(0)
    arrays = [numbers(param) for param in sources]
    if not steps and any(array is None for array in arrays):
        return True  # nothing but its shape is known
    if any(array is None and not param.trained for array, param in zip(arrays, sources, strict=True)):
        return recipe not in COMPUTED
    given = [noise.random(p.shape or ()) if a is None else a for a, p in zip(arrays, sources, strict=True)]
    try:
        folded(*given, steps, recipe, arguments)
    except RefusedError:
        return False
    return True
