"""Region poolings, unpoolings by places and prior boxes written as ONNX: the numbers of loops written out by hand after
the frameworks' sources (Caffe's forks, Chainer 7.8.1)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
import pytest

import shapecalc
from shapecalc.verify.run import execute, runnable
from shapecalc.weights import Array

RANDOM = numpy.random.default_rng(3)
LIMIT = 1e-5


def run(text: str, format: str, feeds: Mapping[str, Array]) -> dict[str, Array]:  # noqa: A002
    """Every tensor of a definition's ONNX form, by the name the definition gives it."""
    model = shapecalc.loads(text, format=format)
    trace = model.trace({name: array.shape for name, array in feeds.items()}, fresh=True)
    assert trace.problems == []
    what = runnable(model, model.graph, trace, 0)
    fed = {name: array.astype(what.inputs[name].dtype) for name, array in feeds.items()}
    ran = execute(what._replace(inputs=fed), "cpu").tensors
    return {**ran, "out": ran[trace.outputs[0].name]}


def image(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(numpy.float32)


def assert_same(got: Array, want: Array) -> None:
    assert got.shape == want.shape
    finite = numpy.isfinite(want)
    assert numpy.array_equal(got[~finite], want[~finite])
    scale = max(float(numpy.abs(want[finite]).max(initial=0)), 1e-6)
    assert float(numpy.abs(got[finite] - want[finite]).max(initial=0)) <= LIMIT * scale


# -- unpooling --------------------------------------------------------------------------------------------------------


def pooled(plane: Array, kernel: int, stride: int, pad: int, out: tuple[int, int]) -> tuple[Array, Array, Array]:
    """The maxima of a plane, their places in the plane and in the window."""
    best, flat, inside = numpy.zeros(out), numpy.zeros(out, int), numpy.zeros(out, int)
    for i, j in numpy.ndindex(*out):
        spots = [
            (plane[y, x], y * plane.shape[1] + x, (y - i * stride + pad) * kernel + x - j * stride + pad)
            for y in range(max(i * stride - pad, 0), min(i * stride - pad + kernel, plane.shape[0]))
            for x in range(max(j * stride - pad, 0), min(j * stride - pad + kernel, plane.shape[1]))
        ]
        best[i, j], flat[i, j], inside[i, j] = max(spots, key=lambda spot: spot[0])
    return best, flat, inside


SEGNET = """
input: "data" input_shape {{ dim: 2 dim: 3 dim: {height} dim: {width} }}
layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool" top: "mask"
  pooling_param {{ pool: MAX kernel_size: {kernel} stride: {stride} pad: {pad} }} }}
layer {{ name: "twice" type: "Power" bottom: "pool" top: "twice" power_param {{ scale: 2 }} }}
layer {{ name: "up" type: "Upsample" bottom: "twice" bottom: "mask" top: "up" upsample_param {{ {size} }} }}
"""
#: (height, width, kernel, stride, pad, the size that is written, what it is)
UPSAMPLES = [
    (6, 8, 2, 2, 0, "scale: 2", (6, 8)),
    (7, 5, 2, 2, 0, "scale: 2 pad_out_h: true pad_out_w: true", (7, 5)),
    (7, 9, 2, 2, 0, "upsample_h: 7 upsample_w: 9", (7, 9)),
    (9, 9, 3, 2, 1, "upsample_h: 9 upsample_w: 9", (9, 9)),
]


@pytest.mark.parametrize(("height", "width", "kernel", "stride", "pad", "size", "want"), UPSAMPLES)
def test_segnet_writes_numbers_where_the_maxima_lay(
    height: int, width: int, kernel: int, stride: int, pad: int, size: str, want: tuple[int, int]
) -> None:
    given = image(2, 3, height, width)
    text = SEGNET.format(height=height, width=width, kernel=kernel, stride=stride, pad=pad, size=size)
    got = run(text, "caffe", {"data": given})
    out = got["pool"].shape[2:]
    expected = numpy.zeros((2, 3, *want))
    for n, c in numpy.ndindex(2, 3):
        best, flat, _ = pooled(given[n, c], kernel, stride, pad, out)
        plane = expected[n, c].reshape(-1)
        for place, value in zip(flat.reshape(-1), best.reshape(-1), strict=True):
            plane[place] = 2 * value
    assert_same(got["up"], expected)


def test_the_mask_of_a_pooling_counts_in_one_plane() -> None:
    given = image(2, 3, 5, 7)
    text = SEGNET[: SEGNET.index('layer {{ name: "twice"')].format(height=5, width=7, kernel=3, stride=2, pad=1)
    got = run(text, "caffe", {"data": given})
    places = [pooled(given[n, c], 3, 2, 1, got["pool"].shape[2:])[1] for n, c in numpy.ndindex(2, 3)]
    assert_same(got["mask"], numpy.array(places, numpy.float32).reshape(got["mask"].shape))


def test_an_upsample_without_places_repeats() -> None:
    given = image(1, 2, 3, 4)
    text = """
input: "data" input_shape { dim: 1 dim: 2 dim: 3 dim: 4 }
layer { name: "up" type: "Upsample" bottom: "data" top: "up" upsample_param { scale: 2 } }
"""
    assert_same(run(text, "caffe", {"data": given})["up"], given.repeat(2, 2).repeat(2, 3))


CHAINER = """
import chainer
import chainer.functions as F
class Net(chainer.Chain):
    def forward(self, {arguments}):
        {body}
"""
#: (kernel, stride, pad, cover_all)
WINDOWS = [(2, 2, 0, True), (2, 2, 0, False), (3, 2, 0, True), (3, 2, 1, False), (3, 1, 1, False), (2, 3, 0, False)]


@pytest.mark.parametrize(("kernel", "stride", "pad", "cover"), WINDOWS)
def test_chainer_adds_numbers_where_the_maxima_lay(kernel: int, stride: int, pad: int, cover: bool) -> None:
    given = image(2, 3, 8, 9)
    window = f"{kernel}, {stride}, {pad}, cover_all={cover}"
    body = f"h, i = F.max_pooling_2d(x, {window}, return_indices=True); return F.upsampling_2d(h * 2, i, {window})"
    got = run(CHAINER.format(arguments="x", body=body), "chainer", {"x": given})["out"]
    spare = stride - 1 if cover else 0
    out = [(n + 2 * pad - kernel + spare) // stride + 1 for n in (8, 9)]
    wanted = [stride * (n - 1) + kernel - 2 * pad - spare for n in out]
    expected = numpy.zeros((2, 3, *wanted))
    for n, c in numpy.ndindex(2, 3):
        best, _, inside = pooled(given[n, c], kernel, stride, pad, (out[0], out[1]))
        for i, j in numpy.ndindex(*out):
            y, x = i * stride - pad + inside[i, j] // kernel, j * stride - pad + inside[i, j] % kernel
            if 0 <= y < wanted[0] and 0 <= x < wanted[1]:
                expected[n, c, y, x] += 2 * best[i, j]
    assert_same(got, expected)


# -- regions ----------------------------------------------------------------------------------------------------------

#: Corners of regions in an image of 64 x 96: whole, small, on halves once scaled, one row, beyond the map.
BOXES = numpy.array(
    [[0, 0, 95, 63], [8, 8, 40, 40], [24, 9, 25, 56], [5, 50, 90, 52], [70, 40, 200, 90], [120, 80, 180, 120]],
    numpy.float32,
)
IMAGES = numpy.array([0, 1, 0, 1, 1, 0], numpy.float32)
PARTS = [((3, 2), 1 / 8), ((7, 7), 1 / 16), ((2, 5), 1.0 / 7)]


def bins(begin: int, length: float, parts: int, size: int, kind: Any) -> list[slice]:
    """The places each part of a region covers, its length divided in ``kind`` of numbers."""
    step = kind(length) / kind(parts)
    edges = [(math.floor(kind(p) * step) + begin, math.ceil(kind(p + 1) * step) + begin) for p in range(parts)]
    return [slice(min(max(low, 0), size), min(max(high, 0), size)) for low, high in edges]


def over_bins(given: Array, which: int, rows: list[slice], columns: list[slice], fold: Any, empty: float) -> Array:
    """``fold`` over every bin of a region, channel by channel."""
    found = numpy.full((given.shape[1], len(rows), len(columns)), empty)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            part = given[which, :, row, column]
            if part.size:
                found[:, i, j] = fold(part, axis=(1, 2))
    return found


@pytest.mark.parametrize(("parts", "scale"), PARTS)
def test_caffe_pools_regions(parts: tuple[int, int], scale: float) -> None:
    given, rois = image(2, 4, 8, 12), numpy.concatenate([IMAGES[:, None], BOXES], axis=1)
    text = f"""
input: "data" input_shape {{ dim: 2 dim: 4 dim: 8 dim: 12 }}
input: "rois" input_shape {{ dim: 6 dim: 5 }}
layer {{ name: "roi" type: "ROIPooling" bottom: "data" bottom: "rois" top: "roi"
  roi_pooling_param {{ pooled_h: {parts[0]} pooled_w: {parts[1]} spatial_scale: {scale} }} }}
"""
    expected = []
    for which, left, top, right, bottom in rois:
        # roi_pooling_layer.cpp: round() takes halves away from 0, and sizes are divided in single precision
        x0, y0, x1, y1 = (
            math.floor(float(numpy.float32(side) * numpy.float32(scale)) + 0.5) for side in (left, top, right, bottom)
        )
        rows = bins(y0, max(y1 - y0 + 1, 1), parts[0], 8, numpy.float32)
        columns = bins(x0, max(x1 - x0 + 1, 1), parts[1], 12, numpy.float32)
        expected.append(over_bins(given, int(which), rows, columns, numpy.max, 0.0))
    assert_same(run(text, "caffe", {"data": given, "rois": rois})["roi"], numpy.array(expected))


CALLS = {
    "max": ("F.roi_max_pooling_2d(x, rois, indices, {parts}, {scale})", numpy.max, -math.inf, 0),
    "average": ("F.roi_average_pooling_2d(x, rois, indices, {parts}, {scale})", numpy.mean, 0.0, 0),
    "older": ("F.roi_pooling_2d(x, rois, {parts[0]}, {parts[1]}, {scale})", numpy.max, 0.0, 1),
}


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize(("parts", "scale"), PARTS)
def test_chainer_pools_regions(kind: str, parts: tuple[int, int], scale: float) -> None:
    call, fold, empty, more = CALLS[kind]
    given, boxes = image(2, 4, 8, 12), BOXES[:, [1, 0, 3, 2]]
    feeds = {"x": given, "rois": boxes, "indices": IMAGES}
    if kind == "older":
        feeds = {"x": given, "rois": numpy.concatenate([IMAGES[:, None], BOXES], axis=1)}
    text = CHAINER.format(arguments=", ".join(feeds), body="return " + call.format(parts=parts, scale=scale))
    expected = []
    for which, (top, left, bottom, right) in zip(IMAGES, boxes, strict=True):
        y0, x0, y1, x1 = (round(float(side) * scale) for side in (top, left, bottom, right))
        rows = bins(y0, max(y1 - y0 + more, 1), parts[0], 8, float)
        columns = bins(x0, max(x1 - x0 + more, 1), parts[1], 12, float)
        expected.append(over_bins(given, int(which), rows, columns, fold, empty))
    assert_same(run(text, "chainer", feeds)["out"], numpy.array(expected))


def sample(plane: Array, y: float, x: float, beyond: float) -> Array:
    """Bilinear between places, the border's number just outside, ``beyond`` further out."""
    height, width = plane.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return numpy.full(plane.shape[0], beyond)
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), height - 2), min(int(x), width - 2)
    dy, dx = y - top, x - left
    upper = plane[:, top, left] * (1 - dx) + plane[:, top, left + 1] * dx
    lower = plane[:, top + 1, left] * (1 - dx) + plane[:, top + 1, left + 1] * dx
    return numpy.asarray(upper * (1 - dy) + lower * dy)


@pytest.mark.parametrize(("kind", "fold", "beyond"), [("average", numpy.mean, 0.0), ("max", numpy.max, -math.inf)])
@pytest.mark.parametrize("ratio", [1, 2, (3, 2)])
@pytest.mark.parametrize(("parts", "scale"), PARTS)
def test_chainer_samples_aligned_regions(
    parts: tuple[int, int], scale: float, ratio: int | tuple[int, int], kind: str, fold: Any, beyond: float
) -> None:
    given, boxes = image(2, 4, 8, 12), BOXES[:, [1, 0, 3, 2]]
    call = f"return F.roi_{kind}_align_2d(x, rois, indices, {parts}, {scale}, {ratio})"
    text = CHAINER.format(arguments="x, rois, indices", body=call)
    got = run(text, "chainer", {"x": given, "rois": boxes, "indices": IMAGES})["out"]
    expected = numpy.zeros((len(boxes), 4, *parts))
    for r, (top, left, bottom, right) in enumerate(boxes.astype(float) * scale):
        steps = (max(bottom - top, 1) / parts[0], max(right - left, 1) / parts[1])
        grid = (ratio, ratio) if isinstance(ratio, int) else ratio
        for i, j in numpy.ndindex(*parts):
            spots = [
                (top + (i + (a + 0.5) / grid[0]) * steps[0], left + (j + (b + 0.5) / grid[1]) * steps[1])
                for a, b in numpy.ndindex(*grid)
            ]
            expected[r, :, i, j] = fold([sample(given[int(IMAGES[r])], *spot, beyond) for spot in spots], axis=0)
    assert_same(got, expected)


@pytest.mark.parametrize(
    "call", ["roi_max_align_2d(x, rois, indices, 2, 1)", "roi_average_align_2d(x, rois, indices, 2, 1)"]
)
def test_what_onnx_cannot_say_of_regions_is_refused(call: str) -> None:
    model = shapecalc.loads(CHAINER.format(arguments="x, rois, indices", body=f"return F.{call}"), format="chainer")
    trace = model.trace({"x": (1, 2, 8, 8), "rois": (3, 4), "indices": (3,)})
    with pytest.raises(shapecalc.RefusedError, match="has no ONNX form"):
        runnable(model, model.graph, trace, 0)


def test_recorded_regions() -> None:
    """Chainer's own numbers (tests/data/chainer_numeric.json): regions (0, 0, 6, 6) and (1, 1, 5, 5) in 3 x 2 bins."""
    data = Path(__file__).parents[1] / "data" / "chainer_numeric.json"
    rows = {row["name"]: row for row in json.loads(data.read_text(encoding="utf-8"))}
    given = numpy.array(rows["flatten"]["data"], numpy.float32).reshape(1, 8, 6, 6)
    boxes = numpy.array([[0, 0, 6, 6], [1, 1, 5, 5]], numpy.float32)
    text = CHAINER.format(arguments="x, rois, which", body="return F.roi_max_pooling_2d(x, rois, which, (3, 2), 1)")
    got = run(text, "chainer", {"x": given, "rois": boxes, "which": numpy.zeros(2)})["out"]
    assert_same(got, numpy.array(rows["roi_max_pooling"]["data"]).reshape(2, 8, 3, 2))


# -- boxes ------------------------------------------------------------------------------------------------------------

#: (the fields, minimum sizes, maximum sizes, ratios after 1, step, offset, clip)
PRIORS: list[tuple[str, list[int], list[int], list[float], float | None, float, bool]] = [
    ("min_size: 30 max_size: 60 aspect_ratio: 2 flip: true clip: false", [30], [60], [2, 0.5], None, 0.5, False),
    ("min_size: 10.7 aspect_ratio: 2 aspect_ratio: 3 flip: false clip: true", [10], [], [2, 3], None, 0.5, True),
    ("min_size: 8 min_size: 16 max_size: 20 max_size: 30 step: 16 offset: 0", [8, 16], [20, 30], [], 16, 0.0, False),
]


@pytest.mark.parametrize(("fields", "small", "large", "ratios", "step", "offset", "clip"), PRIORS)
def test_prior_boxes(
    fields: str, small: list[int], large: list[int], ratios: list[float], step: float | None, offset: float, clip: bool
) -> None:
    variance = "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2" if clip else ""
    text = f"""
input: "data" input_shape {{ dim: 1 dim: 3 dim: 60 dim: 100 }}
layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool"
  pooling_param {{ pool: AVE kernel_size: 20 stride: 20 }} }}
layer {{ name: "boxes" type: "PriorBox" bottom: "pool" bottom: "data" top: "boxes"
  prior_box_param {{ {fields} {variance} }} }}
layer {{ name: "flat" type: "Flatten" bottom: "pool" top: "flat" }}
"""
    model = shapecalc.loads(text, format="caffe")
    trace = model.trace()
    what = runnable(model, model.graph, trace, 0)
    got = execute(what, "cpu").tensors["boxes"]
    expected: list[float] = []
    sizes: list[tuple[float, float]]
    for row, column in numpy.ndindex(3, 5):
        y, x = (row + offset) * (step or 20), (column + offset) * (step or 20)
        for number, least in enumerate(small):
            sizes = [(least, least)]
            sizes += [(math.sqrt(least * large[number]),) * 2] if large else []
            sizes += [(least * math.sqrt(r), least / math.sqrt(r)) for r in ratios]
            for wide, high in sizes:
                expected += [(x - wide / 2) / 100, (y - high / 2) / 60, (x + wide / 2) / 100, (y + high / 2) / 60]
    corners = numpy.clip(expected, 0, 1) if clip else numpy.array(expected)
    spread = numpy.resize([0.1, 0.1, 0.2, 0.2] if clip else [0.1], len(expected))
    assert_same(got, numpy.stack([corners, spread])[None])


#: Layers whose sizes are those of other maps: priors of a map and the image, a map cropped to the image (FCN).
SIZED = {
    "priors": """
layer { name: "out" type: "PriorBox" bottom: "pool" bottom: "data" top: "out"
  prior_box_param { min_size: 30 max_size: 60 aspect_ratio: 2 clip: true } }""",
    "crop": """
layer { name: "up" type: "Deconvolution" bottom: "pool" top: "up"
  convolution_param { num_output: 3 kernel_size: 28 stride: 20 bias_term: false } }
layer { name: "out" type: "Crop" bottom: "up" bottom: "data" top: "out" crop_param { offset: 3 offset: 4 } }""",
}


@pytest.mark.parametrize("size", [(80, 120), ("H", "W")])
@pytest.mark.parametrize("kind", SIZED)
def test_sizes_follow_the_image_in_the_converted_file(
    kind: str, size: tuple[int | str, int | str], tmp_path: Path
) -> None:
    """The converted file retargeted gives what the definition gives that is converted at the other size."""
    text = f"""
input: "data" input_shape {{ dim: 1 dim: 3 dim: 60 dim: 100 }}
layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool"
  pooling_param {{ pool: AVE kernel_size: 20 stride: 20 }} }}{SIZED[kind]}
layer {{ name: "flat" type: "Flatten" bottom: "pool" top: "flat" }}
"""
    model = shapecalc.loads(text, format="caffe")
    model.convert(tmp_path / "small.onnx", init=True, device="cpu")
    model.convert(tmp_path / "large.onnx", init=True, device="cpu", input=(80, 120))
    shape = (1, 3, *size)
    again = shapecalc.load(tmp_path / "small.onnx").retarget(input=shape).save(tmp_path / "again.onnx", device="cpu")
    given = {"data": image(1, 3, 80, 120)}
    got, expected = (
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["out"], given)[0]
        for path in (again, tmp_path / "large.onnx")
    )
    assert numpy.array_equal(got, expected)
