"""Maps made larger or smaller: Resize, Upsample, crops, and channels exchanged for places."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from .. import dims
from ..dims import Dim, Unknown
from ..window import TransposedWindow, Window
from . import numbers
from .base import AnyWindow, Call, Detail, Need, Operator, Shapes, counted, need_rank, register

# -- Resize, Upsample -------------------------------------------------------------------------------------------------


def _filled(call: Call, index: int) -> bool:
    """Whether an input is there and not the empty tensor that opsets 11 and 12 put in its place."""
    return call.has(index) and call.tensor(index).shape != (0,)


def _axes(call: Call) -> list[int]:
    axes = call.attr("axes")
    return [call.axis(int(axis)) for axis in axes] if axes else list(range(len(call.shape())))


def _scales(call: Call) -> tuple[Dim, ...] | None:
    """One factor an axis of `_axes`, from wherever the opset keeps them; None where they are computed at run time."""
    attrs = call.attrs
    if "height_scale" in attrs:  # Upsample-1
        return (1.0, 1.0, attrs["height_scale"], attrs["width_scale"])
    given = attrs.get("scales")  # Upsample-7
    return tuple(given) if given is not None else call.contents(1 if len(call.inputs) == 2 else 2)


def _resize_shapes(call: Call) -> Shapes:
    shape, axes = list(call.shape()), _axes(call)
    given = _wanted(call, axes) if _filled(call, 3) else _multiplied(call, axes)
    why = Unknown(f"{call.name}: its output size is computed at run time")
    for axis, size in zip(axes, given or [why] * len(axes), strict=True):
        shape[axis] = size
    return [tuple(shape)]


def _multiplied(call: Call, axes: Sequence[int]) -> list[Dim] | None:
    """``floor(size * scale)``; of a region that is cropped first, where the specification is followed.

    onnxruntime leaves the region out of the size (upsamplebase.h ComputeOutputShape).
    """
    shape, scales = call.shape(), _scales(call)
    if scales is None:
        return None
    crops = call.attr("coordinate_transformation_mode", "") == "tf_crop_and_resize" and not call.dialect.runs
    if not crops:
        return [numbers.scaled(shape[axis], scale) for axis, scale in zip(axes, scales, strict=True)]
    region = call.contents(1)
    if region is None:
        return None
    parts = [end - start for start, end in zip(region[: len(axes)], region[len(axes) :], strict=True)]
    return [numbers.scaled(shape[a], s * part) for a, s, part in zip(axes, scales, parts, strict=True)]


def _wanted(call: Call, axes: Sequence[int]) -> list[Dim] | None:
    sizes = call.contents(3)
    policy = call.attr("keep_aspect_ratio_policy", "stretch")
    if sizes is None or policy == "stretch":
        return None if sizes is None else list(sizes)
    given = [call.shape()[axis] for axis in axes]
    if not all(isinstance(d, int) for d in (*sizes, *given)):
        return None
    choose = min if policy == "not_larger" else max
    scale = choose(numbers.rounded(size / n, "float32") for size, n in zip(sizes, given, strict=True))
    return [math.floor(numbers.rounded(scale * n, "float32") + 0.5) for n in given]


def _resize_needs(call: Call) -> Iterator[Need]:
    """One number an axis, from one source; what onnxruntime computes."""
    if call.dialect.runs and call.node.op == "Resize" and call.opset >= 13 and len(call.inputs) != 2:
        both, none = _filled(call, 2) and _filled(call, 3), not (_filled(call, 2) or _filled(call, 3))
        if "scales" not in call.attrs and call.scope.graph is not None and call.scope.graph.format == "onnx":
            words = Detail(f"{call.name} takes sizes or scales, {'both are' if both else 'neither is'} there")
            yield Need(not both and not none, "E109", lambda: words, blocks=none)
    given = call.contents(3) if _filled(call, 3) else _scales(call)
    if given is not None and call.rank() is not None:
        wanted, found = len(_axes(call)), len(given)
        yield Need(
            wanted == found,
            "E108",
            lambda: Detail(
                f"{call.name} has {counted(found, 'number')} for the {wanted} axes it resizes", str(wanted), str(found)
            ),
            blocks=True,
        )
    if call.dialect.runs and call.rank() is not None:
        yield from _runtime_needs(call)


def _runtime_needs(call: Call) -> Iterator[Need]:
    """What onnxruntime resizes: its upsamplebase.h, ScalesValidation and UpsampleBase, each line measured."""
    mode, smooth = str(call.attr("mode", "nearest")), ("linear", "cubic")
    if call.attr("antialias", 0) == 1:
        yield _unsupported(call, mode in smooth, f"antialias with mode {mode}", "linear or cubic")
    if mode == "cubic" and call.tensor(0).dtype in ("uint8", "int8", "int32"):
        yield _unsupported(call, call.attr("antialias", 0) == 1, f"cubic of {call.tensor(0).dtype}", "float32")
    scales = _each_scale(call)
    if scales is None:
        return
    least, inclusive = (1.0, "1 or more") if call.node.op == "Upsample" else (0.0, "more than 0")
    fits = all(scale >= least if least else scale > 0 for scale in scales)
    yield _unsupported(call, fits, f"factors {_factors(scales)}", inclusive)
    if mode in smooth and fits:
        yield _unsupported(call, _smooth(mode, scales, call), f"{mode} by {_factors(scales)}", PLACES[mode])


#: Which axes of a map onnxruntime resizes smoothly.
PLACES = {
    "linear": "2 or 3 axes, or 4 or 5 of which batch and channels stay",
    "cubic": "2 axes, or 4 of which batch and channels stay",
}


def _smooth(mode: str, scales: Sequence[float], call: Call) -> bool:
    """Whether linear or cubic goes along these axes."""
    rank, first, second = len(scales), *[*scales, 0.0][:2]
    last = rank == 4 and first == scales[3] == 1
    if mode == "linear":
        return rank in (2, 3) or (rank in (4, 5) and first == second == 1) or last
    enlarged = call.attr("antialias", 0) == 1 or all(scale >= 1 for scale in scales)
    return rank == 2 or (rank == 4 and first == second == 1) or (last and enlarged)


def _each_scale(call: Call) -> list[float] | None:
    """The factor along every axis; None where one is not known."""
    shape, axes = call.shape(), _axes(call)
    given = None if _filled(call, 3) else _scales(call)
    if _filled(call, 3):
        sizes = _resize_shapes(call)[0]
        known = isinstance(sizes, tuple) and dims.all_numbers(sizes) and dims.all_numbers(shape)
        return [out / n if n else 1.0 for out, n in zip(sizes, shape, strict=True)] if known else None  # type: ignore[arg-type]
    if given is None or len(given) != len(axes) or not all(isinstance(scale, (int, float)) for scale in given):
        return None
    scales = [1.0] * len(shape)
    for axis, scale in zip(axes, given, strict=True):
        scales[axis] = float(scale)
    return scales


def _factors(scales: Sequence[float]) -> str:
    return "×".join(f"{scale:g}" for scale in scales)


def _unsupported(call: Call, verdict: dims.Verdict, what: str, wanted: str) -> Need:
    return Need(verdict, "E110", lambda: Detail(f"{call.name}: onnxruntime does not resize {what}", wanted, what))


def _resize_windows(call: Call) -> list[AnyWindow]:
    """Each output place of a nearest or linear resize as the window of its neighbours, where the factor is whole."""
    sizes = _resize_shapes(call)[0]
    if not isinstance(sizes, tuple):
        return []
    return [_stretch(n, out) for n, out in zip(call.shape()[2:], sizes[2:], strict=True)]


def _stretch(n: Dim, out: Dim) -> AnyWindow:
    up, down = _factor(out, n), _factor(n, out)
    if up is not None:
        return TransposedWindow(up, up)
    return Window(down or 1, down or 1)


def _factor(large: Dim, small: Dim) -> int | None:
    """How many times ``small`` goes into ``large``, None where that is no whole number."""
    if isinstance(large, int) and isinstance(small, int):
        return large // small if small and large % small == 0 else None
    quotient = large // small
    return quotient if isinstance(quotient, int) and quotient and dims.equal(quotient * small, large) is True else None


def _resize_formula(call: Call, outputs: Shapes) -> str:
    out = outputs[0]
    if not isinstance(out, tuple):
        return ""
    rows = [f"{a} → {b}" for a, b in zip(call.shape(), out, strict=True) if a is not b and a != b]
    return ", ".join(dict.fromkeys(rows))


# -- DepthToSpace, SpaceToDepth, CenterCropPad ------------------------------------------------------------------------


def _block(call: Call) -> int:
    size = int(call.attr("blocksize"))
    if size < 1:
        raise ValueError(f"blocks of {size}")
    return size


def _to_space(call: Call) -> Shapes:
    batch, channels, height, width = call.shape()
    b = _block(call)
    return [(batch, channels // (b * b), height * b, width * b)]


def _to_depth(call: Call) -> Shapes:
    batch, channels, height, width = call.shape()
    b = _block(call)
    return [(batch, channels * (b * b), height // b, width // b)]


def _divides(call: Call, size: Dim, by: int, what: str) -> Need:
    words = Detail(f"{call.name}: {what} {size} does not divide by {by}", f"a multiple of {by}", str(size))
    return Need(dims.equal(size % by, 0), "E106", lambda: words)


def _to_space_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, 4)
    yield _divides(call, call.shape()[1], _block(call) ** 2, "channels")


def _to_depth_needs(call: Call) -> Iterator[Need]:
    yield need_rank(call, 4)
    yield _divides(call, call.shape()[2], _block(call), "height")
    yield _divides(call, call.shape()[3], _block(call), "width")


def _cropped(call: Call) -> Shapes:
    shape: list[Dim] = list(call.shape())
    axes = _axes(call)
    given = call.contents(1)
    why = Unknown(f"{call.name}: its output size is computed at run time")
    for axis, size in zip(axes, given or [why] * len(axes), strict=True):
        shape[axis] = size
    return [tuple(shape)]


register(
    *(
        Operator(
            name,
            _resize_shapes,
            needs=_resize_needs,
            windows=_resize_windows,
            formula=_resize_formula,
            constants=(1, 2, 3),
            source=source,
        )
        for name, source in (("Resize", "ONNX Resize-19; onnxruntime upsamplebase.h"), ("Upsample", "ONNX Upsample-9"))
    ),
    Operator("DepthToSpace", _to_space, needs=_to_space_needs, source="ONNX DepthToSpace-13"),
    Operator("SpaceToDepth", _to_depth, needs=_to_depth_needs, source="ONNX SpaceToDepth-13"),
    Operator("CenterCropPad", _cropped, constants=(1,), source="ONNX CenterCropPad-18"),
)
