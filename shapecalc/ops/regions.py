"""Maps of one size for regions of a feature map, and boxes where objects may be: Caffe's forks and Chainer.

ONNX has MaxRoiPool, which onnxruntime does not run in today's opset; so poolings of regions are said in steps: which
rows and columns each bin covers, by the framework's own rounding, then a maximum or mean over them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .. import dims
from .base import Call, Lowered, Operator, Shapes, register
from .caffe import regions
from .chain import Chain

# -- Caffe's forks ----------------------------------------------------------------------------------------------------


def _pooled(call: Call) -> Shapes:
    return [(regions(call), call.attr("channels") or call.channels, *call.attr("pooled"))]


def _pooled_lower(call: Call, outputs: Shapes) -> Lowered:
    chain = Chain(call)
    boxes = chain.add("Reshape", (call.node.inputs[1], [int(regions(call)), 5]))
    _binned(chain, call, boxes, call.attr("pooled"), BINS["ROIPooling"])
    return chain.done()


# -- Chainer ----------------------------------------------------------------------------------------------------------


def _regions(call: Call) -> Shapes:
    return [(call.shape(1)[0], call.channels, *call.attr("size"))]


def _regions_lower(call: Call, outputs: Shapes) -> Lowered | None:
    kind = str(call.attr("kind", ""))
    if kind in ALIGNED:
        return _aligned(call, ALIGNED[kind])
    if kind not in BINS:
        return None
    chain = Chain(call)
    _binned(chain, call, call.node.inputs[1], call.attr("size"), BINS[kind])
    return chain.done()


def _aligned(call: Call, fold: Callable[[Chain, str, Sequence[_Samples]], None]) -> Lowered | None:
    """Samples between places, as many as ``sampling_ratio`` says; None where the region decides that.

    A sample's weights along height and width multiply, so each axis has one matrix (roi_average_align_2d.py).
    """
    ratio = tuple(call.attr("sampling_ratio", (0, 0)))
    if not all(ratio):
        return None
    chain = Chain(call)
    boxes = chain.add("Mul", (call.node.inputs[1], float(call.attr("spatial_scale"))))
    each = _each(chain, call, call.node.inputs[2])
    axes = zip(((0, 2), (1, 3)), call.attr("size"), ratio, call.spatial, strict=True)
    fold(chain, each, [_sampled(chain, boxes, sides, int(n), int(count), int(size)) for sides, n, count, size in axes])
    return chain.done()


class _Samples(NamedTuple):
    """``weights`` of each place in each sample, regions × samples × places, and which samples lie ``outside``."""

    weights: str
    outside: str
    parts: int
    samples: int
    size: int


def _sampled(chain: Chain, boxes: str, sides: tuple[int, int], parts: int, count: int, size: int) -> _Samples:
    """The samples along one axis."""
    begin, end = (chain.add("Gather", (boxes, [side]), {"axis": 1}) for side in sides)
    length = chain.add("Max", (chain.add("Sub", (end, begin)), 1.0))
    spots = [(part + (sample + 0.5) / count) / parts for part in range(parts) for sample in range(count)]
    place = chain.add("Add", (begin, chain.add("Mul", (length, chain.numbers("float32", *spots)))))
    beyond = [chain.add("Less", (place, -1.0)), chain.add("Greater", (place, float(size)))]
    inside = chain.add("Min", (chain.add("Max", (place, 0.0)), float(size - 1)))
    away = chain.add("Abs", (chain.add("Sub", (chain.add("Unsqueeze", (inside, [2])), _counted(chain, size))),))
    near = chain.add("Max", (chain.add("Sub", (1.0, away)), 0.0))
    return _Samples(near, chain.add("Or", beyond), parts, count, size)


def _mean_of_samples(chain: Chain, each: str, axes: Sequence[_Samples]) -> None:
    """A sample outside counts as 0."""
    means = []
    for weights, outside, parts, count, size in axes:
        given = chain.add("Where", (chain.add("Unsqueeze", (outside, [2])), 0.0, weights))
        grouped = chain.add("Reshape", (given, [-1, parts, count, size]))
        means.append(chain.add("ReduceMean", (grouped, [2]), {"keepdims": 0}))
    chain.add("Einsum", (each, *means), {"equation": "rchw,rih,rjw->rcij"})


def _highest_sample(chain: Chain, each: str, axes: Sequence[_Samples]) -> None:
    """A sample outside counts for nothing (roi_max_align_2d.py)."""
    high, wide = axes
    samples = chain.add("Einsum", (each, high.weights, wide.weights), {"equation": "rchw,rih,rjw->rcij"})
    above, beside = chain.add("Unsqueeze", (high.outside, [1, 3])), chain.add("Unsqueeze", (wide.outside, [1, 2]))
    taken = chain.add("Where", (chain.add("Or", (above, beside)), -math.inf, samples))
    grouped = chain.add("Reshape", (taken, [0, 0, high.parts, high.samples, wide.parts, wide.samples]))
    chain.add("ReduceMax", (grouped, [3, 5]), {"keepdims": 0})


#: How the samples of a bin become one number.
ALIGNED = {"roi_average_align_2d": _mean_of_samples, "roi_max_align_2d": _highest_sample}


def _counted(chain: Chain, size: int) -> str:
    return chain.numbers("float32", *range(size))


class Bins(NamedTuple):
    """How a function divides a region.

    ``sides`` are the columns of its top, left, bottom and right; ``more`` is what its end counts besides; ``dtype`` is
    what it divides in; ``even``: halves go to the even number, else away from 0; ``empty``: what a bin outside gives.
    """

    sides: tuple[int, int, int, int]
    more: float
    dtype: str = "float64"
    even: bool = True
    empty: float = 0.0
    mean: bool = False


#: roi_pooling_layer.cpp; chainer/functions/pooling/roi_*_pooling_2d.py.
BINS = {
    "ROIPooling": Bins((2, 1, 4, 3), 1.0, "float32", even=False),
    "roi_pooling_2d": Bins((2, 1, 4, 3), 1.0),
    "roi_max_pooling_2d": Bins((0, 1, 2, 3), 0.0, empty=-math.inf),
    "roi_average_pooling_2d": Bins((0, 1, 2, 3), 0.0, mean=True),
}


def _binned(chain: Chain, call: Call, boxes: str, parts: Sequence[int], bins: Bins) -> str:
    """Each bin reaches from the floor to the ceiling of its share of the region."""
    top, left, bottom, right = bins.sides
    exact = boxes if bins.dtype == "float32" else chain.add("Cast", (boxes,), {"to": bins.dtype})
    scaled = chain.add("Mul", (exact, chain.numbers(bins.dtype, float(call.attr("spatial_scale", 1.0)))))
    rounded = chain.add("Round", (scaled,)) if bins.even else _away(chain, scaled)
    height, width = (int(size) for size in call.spatial)
    rows = _covered(chain, rounded, (top, bottom), bins, int(parts[0]), height)
    columns = _covered(chain, rounded, (left, right), bins, int(parts[1]), width)
    which = call.node.inputs[2] if call.has(2) else chain.add("Gather", (boxes, [0]), {"axis": 1})
    each = _each(chain, call, which)
    if bins.mean:
        return _mean(chain, each, rows, columns)
    highest = _highest(chain, _highest(chain, each, rows, int(parts[0]), 2, height), columns, int(parts[1]), 3, width)
    empty = chain.add("IsInf", (highest,), {"detect_positive": 0})
    return chain.add("Where", (empty, bins.empty, highest))


def _each(chain: Chain, call: Call, which: str) -> str:
    """The map of each region's image. Numbers of images there are not would be a fault of whoever feeds them."""
    images = chain.add("Reshape", (chain.add("Cast", (which,), {"to": "int64"}), [-1]))
    inside = chain.add("Max", (chain.add("Min", (images, [int(call.shape()[0]) - 1])), [0]))
    return chain.add("Gather", (call.node.inputs[0], inside), {"axis": 0})


def _away(chain: Chain, value: str) -> str:
    """C's round: halves away from 0."""
    size = chain.add("Floor", (chain.add("Add", (chain.add("Abs", (value,)), 0.5)),))
    return chain.add("Mul", (chain.add("Sign", (value,)), size))


def _covered(chain: Chain, boxes: str, sides: tuple[int, int], bins: Bins, parts: int, size: int) -> str:
    """Which of ``size`` places each of the ``parts`` of a region covers: regions × parts × places, true or false."""
    begin, end = (chain.add("Gather", (boxes, [side]), {"axis": 1}) for side in sides)

    def numbers(*values: float) -> str:
        return chain.numbers(bins.dtype, *values)

    length = chain.add("Add", (chain.add("Sub", (end, begin)), numbers(bins.more)))
    step = chain.add("Div", (chain.add("Max", (length, numbers(1.0))), numbers(float(parts))))

    def edge(rounding: str, first: int) -> str:
        place = chain.add(rounding, (chain.add("Mul", (step, numbers(*range(first, first + parts)))),))
        inside = chain.add("Max", (chain.add("Add", (place, begin)), numbers(0.0)))
        return chain.add("Unsqueeze", (chain.add("Min", (inside, numbers(float(size)))), [2]))

    places, low, high = numbers(*range(size)), edge("Floor", 0), edge("Ceil", 1)
    reached = chain.add("Not", (chain.add("Less", (places, low)),))
    return chain.add("And", (reached, chain.add("Less", (places, high))))


def _mean(chain: Chain, value: str, rows: str, columns: str) -> str:
    shares = [chain.add("Cast", (mask,), {"to": "float32"}) for mask in (rows, columns)]
    total = chain.add("Einsum", (value, *shares), {"equation": "rchw,rih,rjw->rcij"})
    counts = [chain.add("ReduceSum", (share, [2]), {"keepdims": 0}) for share in shares]
    many = chain.add("Einsum", counts, {"equation": "ri,rj->rij"})
    least = chain.add("Unsqueeze", (chain.add("Max", (many, 1.0)), [1]))
    return chain.add("Div", (total, least))


def _highest(chain: Chain, value: str, mask: str, bins: int, axis: int, size: int) -> str:
    """The maximum over the places of each bin along one axis."""
    shape = [-1, 1, size, 1] if axis == 2 else [-1, 1, 1, size]
    found = []
    for number in range(bins):
        one = chain.add("Reshape", (chain.add("Gather", (mask, [number]), {"axis": 1}), shape))
        inside = chain.add("Where", (one, value, -math.inf))
        found.append(chain.add("ReduceMax", (inside, [axis]), {"keepdims": 1}))
    return chain.add("Concat", found, {"axis": axis})


# -- boxes ------------------------------------------------------------------------------------------------------------


def _prior_box(call: Call) -> Shapes:
    return [(1, 2, dims.product(call.spatial) * int(call.attr("boxes")) * 4)]


def _prior_lower(call: Call, outputs: Shapes) -> Lowered | None:
    """The boxes depend on sizes alone, which are asked for when it runs (prior_box_layer.cpp, Forward_cpu).

    They are laid out as rows × columns × boxes × corners × (x, y), each coordinate of its own axis and 0 of the other.
    """
    if not call.attr("min_size"):
        return None
    chain, sizes = Chain(call), _box_sizes(call)
    image, steps = tuple(call.attr("image") or ()), tuple(call.attr("step") or ())
    sides = [_side(chain, call, axis, [size[1 - axis] for size in sizes], image, steps) for axis in (0, 1)]
    boxes = chain.add("Add", sides)
    clipped = _clipped(chain, boxes) if call.attr("clip") else boxes
    corners = chain.add("Cast", (clipped,), {"to": "float32"})
    variance = tuple(map(float, call.attr("variance")))
    spread = chain.numbers("float32", *variance * (CORNERS // len(variance)), shape=(2, 2))
    around = chain.add("Expand", (spread, chain.add("Shape", (corners,))))
    rows = [chain.add("Reshape", (value, [1, 1, -1])) for value in (corners, around)]
    chain.add("Concat", rows, {"axis": 1})
    return chain.done()


#: Numbers of a box: left, top, right, bottom.
CORNERS = 4


def _side(
    chain: Chain, call: Call, axis: int, lengths: Sequence[float], image: Sequence[int], steps: Sequence[float]
) -> str:
    """Where the boxes begin and end along one axis, in parts of the image: of rows (0) or of columns (1)."""

    def number(value: float) -> str:
        return chain.numbers("float64", float(value))

    def size_of(value: str) -> str:
        return chain.add("Gather", (chain.add("Shape", (value,)), chain.whole(2 + axis)), {"axis": 0})

    def exactly(value: str) -> str:
        return chain.add("Cast", (value,), {"to": "float64"})

    places = size_of(call.node.inputs[0])
    whole = number(image[axis]) if image else exactly(size_of(call.node.inputs[1]))
    step = number(steps[axis]) if steps else chain.add("Div", (whole, exactly(places)))
    each = exactly(chain.add("Range", (chain.whole(0), places, chain.whole(1))))
    middle = chain.add("Mul", (chain.add("Add", (each, number(call.attr("offset")))), step))
    lined = chain.add("Reshape", (middle, [-1 if i == axis else 1 for i in range(5)]))
    ends = [end for length in lengths for end in (-length / 2, length / 2)]
    reach = chain.numbers("float64", *ends, shape=(1, 1, len(lengths), 2, 1))
    inside = chain.add("Div", (chain.add("Add", (lined, reach)), whole))
    return chain.add("Mul", (inside, chain.numbers("float64", *((0.0, 1.0) if axis == 0 else (1.0, 0.0)))))


def _clipped(chain: Chain, value: str) -> str:
    low, high = (chain.numbers("float64", number) for number in (0.0, 1.0))
    return chain.add("Clip", (value, low, high))


def _box_sizes(call: Call) -> list[tuple[float, float]]:
    """Width and height of each box: of a minimum size the square, that with the maximum, then the other ratios."""
    found: list[tuple[float, float]] = []
    largest = tuple(call.attr("max_size"))
    for index, smallest in enumerate(map(int, call.attr("min_size"))):
        found.append((smallest, smallest))
        if largest:
            found.append((math.sqrt(smallest * int(largest[index])),) * 2)
        found += [(smallest * math.sqrt(r), smallest / math.sqrt(r)) for r in call.attr("ratios")[1:]]
    return found


register(
    Operator("PriorBox", _prior_box, lower=_prior_lower, source="SSD prior_box_layer.cpp"),
    Operator("ROIPooling", _pooled, lower=_pooled_lower, source="Fast R-CNN roi_pooling_layer.cpp"),
    Operator("RegionMaps", _pooled, source="R-FCN psroi_pooling_layer.cpp; a fork's roi_align_layer.cpp"),
    domain="caffe",
)
register(
    Operator("Regions", _regions, lower=_regions_lower, source="Chainer functions/pooling/roi_*_2d.py"),
    domain="chainer",
)
