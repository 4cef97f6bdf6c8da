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
    """One number an axis."""
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
