"""Receptive fields predicted against measured: one input pixel is changed, and every place of every map looked at.

    python -m tests.tools.measure_fields [--size 96] [--lines] [MODEL ...]

MODEL is a file or a zoo name; none is the zoo. The definition up to its last map is run in onnxruntime with weights
above zero, so that nothing cancels, on an image of nearly nothing; then one pixel is set to 1 (with ``--lines`` a row
and a column, for nets so deep that one pixel's share drowns). A place must change exactly where the pixel lies in its
predicted field. Prints a line a net and exits 1 where anything differs; places inside a predicted field that do not
change are counted apart (holes): a field is a hull, and a strided or dilated kernel steps over pixels in it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy
import onnx

import shapecalc
import shapecalc.zoo
from shapecalc.explain import last_map
from shapecalc.receptive import View
from shapecalc.verify.writing import as_onnx

from .run_models import shown

#: What everything but the changed pixel is about: far above the least float32 and far below 1.
FAINT = 1e-20


class Measured(NamedTuple):
    """Of every map and every changed pixel: places that changed unpredicted, and predicted ones that did not."""

    maps: int
    pixels: int
    wrong: list[str]
    holes: list[str]


# -- a net that hides nothing ------------------------------------------------------------------------------------------


def _made(op: str, index: int, shape: tuple[int, ...], rng: Any) -> Any:
    """Numbers above zero that keep the scale, for input ``index`` of an operator; shifts are zero."""
    noise = rng.random(shape, numpy.float32) + numpy.float32(0.5)
    if op in ("Conv", "ConvTranspose", "Gemm", "MatMul") and index == 1:
        fan = numpy.prod(shape[1:]) if op == "Conv" else numpy.prod(shape) / shape[-1]
        return noise / numpy.float32(fan)
    if op == "BatchNormalization" and index in (1, 4):
        return numpy.ones(shape, numpy.float32)
    shifts = index == 2 and op in ("LayerNormalization", "InstanceNormalization")
    if shifts or op in ("Conv", "ConvTranspose", "Gemm", "BatchNormalization", "Add", "Sub"):
        return numpy.zeros(shape, numpy.float32)
    return noise


def _filled(node: Any) -> bool:
    """Whether a node gives floats that are all alike: how a definition without weights is written."""
    values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
    return node.op_type == "ConstantOfShape" and all(value.data_type == onnx.TensorProto.FLOAT for value in values)


def positive(proto: Any, shapes: dict[str, tuple[int, ...]]) -> Any:
    """The model with every float weight made anew."""
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    graph, rng = model.graph, numpy.random.default_rng(0)
    readers: dict[str, tuple[str, int]] = {}
    for node in reversed(graph.node):
        for index, name in enumerate(node.input):
            passed = node.op_type in ("Reshape", "Unsqueeze", "Identity")  # what is only laid out anew on its way
            readers[name] = readers.get(node.output[0], ("", 0)) if passed else (node.op_type, index)
    weights = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims)}
    weights |= {node.output[0] for node in graph.node if _filled(node)} & shapes.keys()
    kept = [tensor for tensor in graph.initializer if tensor.name not in weights]
    nodes = [node for node in graph.node if not weights & set(node.output)]
    made = [
        onnx.numpy_helper.from_array(_made(*readers[name], shapes[name], rng).astype("float32"), name)
        for name in sorted(weights & readers.keys())
    ]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *made])
    graph.node.extend(nodes)
    return model


def maps_of(name: str, size: int) -> tuple[Any, shapecalc.Trace]:
    """A definition up to its last map as ONNX, and the trace of that, at a size or the nearest that fits.

    An ONNX file is taken as it is, its weights need not be there.
    """
    model = shapecalc.load(name)
    if model.graph.format == "onnx" and not model.zoo_name:
        fitting = model.sizes().nearest(size)
        feeds = {given: (1, *shape[1:]) for given, shape in model.feeds(fitting).items()}
        return onnx.load(name, load_external_data=False), model.trace(feeds)
    last = last_map(model.trace(None if model.native else size))
    assert last is not None
    try:
        plan = model.cut(last.name, input=size)
    except shapecalc.RefusedError:
        plan = model.cut(last.name, input=model.sizes().nearest(size))
    proto = onnx.load_model_from_string(as_onnx(plan.model, plan.graph, plan.trace, init=False, seed=0))
    return proto, shapecalc.load(proto).trace()


# -- measuring ---------------------------------------------------------------------------------------------------------


def changed_pixels(n: int, lines: bool) -> Iterator[tuple[Any, Any]]:
    """Rows and columns to change: corners, the middle and some others; or whole lines of them."""
    rng = numpy.random.default_rng(1)
    places = [(0, 0), (n - 1, n - 1), (n // 2, n // 2), *(tuple(map(int, p)) for p in rng.integers(0, n, (5, 2)))]
    for row, column in places:
        if lines:
            yield row, slice(None)
            yield slice(None), column
        else:
            yield row, column


def predicted(view: View, shape: tuple[int, ...], pixel: tuple[Any, Any]) -> Any:
    """Which places of a map (height, width) see a pixel."""
    sides = []
    for axis, field, at in zip(view.axes, view.fields, pixel, strict=True):
        spans = [field.seen(element) for element in range(shape[axis])]
        sides.append([low <= high if isinstance(at, slice) else low <= at <= high for low, high in spans])
    return numpy.array(sides[0])[:, None] & numpy.array(sides[1])[None, :]


def measure(proto: Any, trace: shapecalc.Trace, lines: bool = False) -> Measured:
    """Every map of a net against its prediction."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    shapes = {name: shape for name, shape in trace.values.items() if shape is not None}
    (given,) = trace.feeds
    nhwc = shapes[given][1] > shapes[given][3]
    model, _ = shown(positive(proto, shapes), {given: shapes[given]})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    views = {name: view for name, view in trace.seen.items() if isinstance(view, View) and len(view.axes) == 2}
    views = {name: view for name, view in views.items() if all(field.edges for field in view.fields)}
    names = [output.name for output in session.get_outputs() if output.name in views]
    image = numpy.random.default_rng(2).random(shapes[given], numpy.float32) * numpy.float32(FAINT)
    before = session.run(names, {given: image})
    wrong, holes, pixels = [], [], 0
    for pixel in changed_pixels(shapes[given][1 if nhwc else 2], lines):
        pixels += 1
        other = image.copy()
        other[(0, *pixel) if nhwc else (0, slice(None), *pixel)] = 1
        for name, old, new in zip(names, before, session.run(names, {given: other}), strict=True):
            axes = tuple(axis for axis in range(old.ndim) if axis not in views[name].axes)
            found, said = (old != new).any(axis=axes), predicted(views[name], old.shape, pixel)
            found = found if views[name].axes == tuple(sorted(views[name].axes)) else found.T  # turned on its side
            if (found & ~said).any():
                wrong.append(f"{name} at {pixel}")
            elif (said & ~found).any():
                holes.append(f"{name} at {pixel}")
    return Measured(len(names), pixels, wrong, holes)


def main() -> int:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    failed = 0
    for name in options.models or sorted(shapecalc.zoo.entries()):
        found = measure(*maps_of(name, options.size), options.lines)
        failed += len(found.wrong)
        print(
            f"{name}: {found.maps} maps, {found.pixels} pixels, {len(found.wrong)} wrong {found.wrong[:3]}, "
            f"{len(found.holes)} with holes {found.holes[:3]}",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
