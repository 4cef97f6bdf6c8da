"""Values taken from places that other values name: grids, regions, unpooling, deformed windows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .. import dims
from ..dims import Contents, Dim, Unknown
from ..window import TransposedWindow
from .baked import target_hint
from .base import MOST_AXES, AnyWindow, Call, Detail, Need, Operator, Shapes, number, register
from .windows import pads_of, per_axis, sizes, sliding


def _grid_sample(call: Call) -> Shapes:
    return [(*call.shape()[:2], *call.shape(1)[1:-1])]


def _affine_grid(call: Call) -> Shapes:
    """A place for every pixel of images of a size that is given with batch and channels."""
    size = _given(call, 1, 5)
    if size is None:
        return [Unknown(f"{call.name}: its size is computed at run time")]
    return [(size[0], *size[2:], len(size) - 2)]


def _given(call: Call, index: int, most: int) -> tuple[Dim, ...] | None:
    """Sizes that an input holds, unknown ones where it is computed; None where not even their number is known."""
    contents, shape = call.contents(index), call.shape(index)
    length = shape[0] if len(shape) == 1 else None
    if contents is not None or not isinstance(length, int) or length > most:
        return contents
    return tuple(Unknown(f"{call.name}: {call.node.inputs[index]} is computed at run time") for _ in range(length))


def _col2im(call: Call) -> Shapes:
    """Columns of blocks back into an image: channels times the block lie on axis 1."""
    image, block = _given(call, 1, MOST_AXES), _given(call, 2, MOST_AXES)
    if image is None or block is None:
        return [Unknown(f"{call.name}: its image or block is computed at run time")]
    batch, column, _ = call.shape()
    return [(batch, column // dims.product(block), *image)]


def _col2im_needs(call: Call) -> Iterator[Need]:
    """One column for each place where the block fits on the image."""
    image, block = call.contents(1), call.contents(2)
    if image is None or block is None or call.rank() != 3:
        return
    given, places = call.shape()[2], dims.product(_blocks(call, image, block))
    words = partial(_misplaced, call, places, given, image)
    yield Need(dims.equal(places, given), "E106", words)


def _blocks(call: Call, image: Contents, block: Contents) -> list[Dim]:
    """How many places a block has along each axis of the image."""
    rank = len(image)
    strides, dilations = (per_axis(call, name, rank, 1) for name in ("strides", "dilations"))
    rows = zip(image, block, strides, dilations, pads_of(call, rank), strict=True)
    return [(n + sum(pads) - (k - 1) * dilation - 1) // stride + 1 for n, k, stride, dilation, pads in rows]


def _misplaced(call: Call, places: Dim, given: Dim, image: Contents) -> Detail:
    return Detail(
        f"{call.name} lays {number(places)} blocks on {dims.show(image)}, {call.giver()} gives {number(given)}",
        f"{number(places)} blocks",
        f"{number(given)} blocks",
        target_hint(call, 1, image),
    )


def _roi_align(call: Call) -> Shapes:
    size = [int(call.attr(name, 1)) for name in ("output_height", "output_width")]
    return [(call.shape(1)[0], call.shape()[1], *size)]


def _max_roi_pool(call: Call) -> Shapes:
    return [(call.shape(1)[0], call.shape()[1], *call.attr("pooled_shape"))]


def _unpool_windows(call: Call) -> list[AnyWindow]:
    kernel = call.attr("kernel_shape")
    rank = len(kernel)
    rows = zip(kernel, per_axis(call, "strides", rank, 1), pads_of(call, rank), strict=True)
    return [TransposedWindow(k, stride, begin, end) for k, stride, (begin, end) in rows]


def _unpooled(call: Call) -> Shapes:
    """The size the pooling came from, given or computed as if it had been exact."""
    if call.has(2):
        wanted = _given(call, 2, MOST_AXES)
        return [tuple(wanted) if wanted else Unknown(f"{call.name}: its output size is computed at run time")]
    return [call.image(call.channels, sizes(_unpool_windows(call), call.spatial))]


def _deformed(call: Call) -> Shapes:
    kernel: tuple[Dim, ...] = tuple(call.attr("kernel_shape") or call.shape(1)[2:])
    return [call.image(call.shape(1)[0], sizes(sliding(call, kernel, call.dialect.convolution), call.spatial))]


register(
    Operator("GridSample", _grid_sample, source="ONNX GridSample-22"),
    Operator("AffineGrid", _affine_grid, constants=(1,), source="ONNX AffineGrid-20"),
    Operator("Col2Im", _col2im, needs=_col2im_needs, constants=(1, 2), source="ONNX Col2Im-18"),
    Operator("RoiAlign", _roi_align, source="ONNX RoiAlign-22"),
    Operator("MaxRoiPool", _max_roi_pool, source="ONNX MaxRoiPool-22"),
    Operator("MaxUnpool", _unpooled, source="ONNX MaxUnpool-22; onnxruntime unpool.cc"),
    Operator("DeformConv", _deformed, source="ONNX DeformConv-22"),
)
