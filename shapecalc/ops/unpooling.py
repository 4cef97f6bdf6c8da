"""Where maxima lay, and writing numbers back there: poolings with places, and the layers that read those.

ONNX's MaxPool counts its places through the whole tensor. Caffe counts them in one plane (pooling_layer.cpp), Chainer
in one window (functions/pooling/max_pooling_2d.py), so they are worked out from ONNX's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .. import dims
from ..dims import Dim
from .base import Call, Detail, Lowered, Need, Operator, Shapes, register
from .chain import Chain
from .chainer import unpool_needs, unpooled, unpooled_sizes

# -- writing back -----------------------------------------------------------------------------------------------------


def _unsample_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """Every number is added where its window found it (functions/pooling/upsampling_2d.py: im2col, then col2im)."""
    if not call.has(1):
        return None
    batch, channels, *places = (int(n) for n in call.shape())
    kernel, strides = call.attr("kernel_shape"), call.attr("strides")
    begins = [int(pad) for pad in call.attr("pads")[:2]]
    whole = [s * (n - 1) + k for n, k, s in zip(places, kernel, strides, strict=True)]
    chain = Chain(call)
    index = chain.add("Reshape", (call.node.inputs[1], [batch, channels, places[0] * places[1]]))
    index = chain.add("Cast", (index,), {"to": "int64"})
    row, column = chain.add("Div", (index, [kernel[1]])), chain.add("Mod", (index, [kernel[1]]))
    first = [y * strides[0] * whole[1] + x * strides[1] for y in range(places[0]) for x in range(places[1])]
    within = chain.add("Add", (chain.add("Mul", (row, [whole[1]])), column))
    value = _written(chain, call.node.inputs[0], chain.add("Add", (within, first)), (batch, channels, *whole), "add")
    _cut(chain, value, whole, begins, [int(size) for size in unpooled_sizes(call)])
    return chain.done()


def _written(chain: Chain, value: str, index: str, shape: Sequence[int], reduction: str) -> str:
    batch, channels, height, width = shape
    zeros = chain.add("Expand", (0.0, [batch, channels, height * width]))
    flat = chain.add("Reshape", (value, [batch, channels, -1]))
    written = chain.add("ScatterElements", (zeros, index, flat), {"axis": 2, "reduction": reduction})
    return chain.add("Reshape", (written, list(shape)))


def _cut(chain: Chain, value: str, whole: Sequence[int], begins: Sequence[int], wanted: Sequence[int]) -> str:
    """What the padding lay on is cut off, and what no window reaches is 0."""
    ends = [min(begin + size, reach) for begin, size, reach in zip(begins, wanted, whole, strict=True)]
    value = chain.add("Slice", (value, list(begins), ends, [2, 3]))
    more = [begin + size - end for begin, size, end in zip(begins, wanted, ends, strict=True)]
    return chain.add("Pad", (value, [0, 0, 0, 0, 0, 0, *more])) if any(more) else value


# -- SegNet -----------------------------------------------------------------------------------------------------------


def _upsample(call: Call) -> Shapes:
    """A given size, else the input times its scale less what is cut at the end (SegNet upsample_layer.cpp)."""
    sizes: list[Dim] = []
    for n, axis in zip(call.spatial, ("h", "w"), strict=True):
        scale = int(call.attr(f"scale_{axis}") or call.attr("scale", 2))
        wanted = call.attr(f"upsample_{axis}")
        sizes.append(wanted or n * scale - int(call.attr(f"pad_out_{axis}", 0)))
    return [call.image(call.channels, sizes)]


def _upsample_needs(call: Call) -> Iterator[Need]:
    """The places are those of as many numbers (SegNet upsample_layer.cpp, Reshape)."""
    if not call.has(1):
        return
    verdict: dims.Verdict = len(call.shape(1)) == len(call.shape())
    for a, b in zip(call.shape(), call.shape(1), strict=False):
        verdict = dims.both(verdict, dims.equal(a, b))
    text = f"{call.name} reads {dims.show(call.shape())} numbers and {dims.show(call.shape(1))} places"
    yield Need(verdict, "E105", lambda: Detail(text, dims.show(call.shape()), dims.show(call.shape(1))))


def _upsample_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """With places, SegNet's; without, that of YOLO's forks: every number over a square of ``scale``."""
    shape = [int(n) for n in outputs[0]]  # type: ignore[union-attr]
    chain = Chain(call)
    if call.has(1):
        index = chain.add("Reshape", (call.node.inputs[1], [*shape[:2], -1]))
        index = chain.add("Cast", (index,), {"to": "int64"})
        _written(chain, call.node.inputs[0], index, shape, "none")
        return chain.done()
    if any(size % int(n) for size, n in zip(shape[2:], call.spatial, strict=True)):
        return None
    attrs: dict[str, object] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    chain.add("Resize", (call.node.inputs[0], "", "", shape), attrs | {"nearest_mode": "floor"})
    return chain.done()


register(
    Operator(
        "Upsample",
        _upsample,
        needs=_upsample_needs,
        lower=_upsample_lower,
        source="SegNet upsample_layer.cpp",
    ),
    domain="caffe",
)
register(
    Operator(
        "Unsample",
        unpooled,
        needs=unpool_needs,
        lower=_unsample_lower,
        source="Chainer functions/pooling/upsampling_2d.py",
    ),
    domain="chainer",
)
