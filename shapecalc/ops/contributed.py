"""The other operators of onnxruntime's own domain: lookups, Fourier transforms, crops, and old forms of ONNX's own."""

from __future__ import annotations

from typing import Any

from .. import dims
from ..dims import Dim, Shape, Unknown
from .base import Call, OpenRankError, Operator, Shapes, register, same_shape
from .counting import runtime_count
from .elementwise import broadcast
from .microsoft import DOMAIN, SOURCE
from .recurrent import states
from .views import like


def _numbers(call: Call, index: int) -> tuple[Dim, ...]:
    """What an input lists; raises OpenRankError where it is computed when it runs."""
    listed = call.contents(index)
    if listed is None:
        raise OpenRankError(Unknown(f"{call.name}: {call.node.input(index)} is computed when it runs"))
    return listed


# -- lookups ----------------------------------------------------------------------------------------------------------


def _embedded(call: Call) -> Shapes:
    return [(*call.shape(1), *call.shape()[1:])]


def _block_quantized(call: Call) -> Shapes:
    """Rows of a table whose numbers may lie several in a byte, along its last axis."""
    table, axis = call.shape(), call.axis(int(call.attr("gather_axis", 0)))
    if call.tensor(0).dtype == "uint8":
        table = (*table[:-1], table[-1] * (8 // int(call.attr("bits", 4))))
    return [(*table[:axis], *call.shape(1), *table[axis + 1 :])]


def _unique(call: Call) -> Shapes:
    count, among = runtime_count(call), call.shape()[0]
    return [(count,), (among,), (count,)][: len(call.node.outputs)]


def _words(call: Call) -> Shapes:
    """Strings as rows of tokens, as long as the longest."""
    return [(*call.shape(), runtime_count(call, axis=len(call.shape())))]


# -- places -----------------------------------------------------------------------------------------------------------


def _crops(call: Call) -> Shapes:
    return [(call.shape(1)[0], call.shape()[1], *_numbers(call, 3))]


def _new_axis(call: Call) -> Shapes:
    shape = call.shape()
    (listed,) = _numbers(call, 1)
    axis = call.axis(int(listed), len(shape) + 1)
    return [(*shape[:axis], 1, *shape[axis:])]


def _unfolded(call: Call) -> Shapes:
    """Windows along an axis, laid out along a last one."""
    shape, axis = call.shape(), call.axis(int(call.attr("dim", -1)))
    size, step = int(call.attr("size")), int(call.attr("step", 1))
    return [(*shape[:axis], (shape[axis] - size) // step + 1, *shape[axis + 1 :], size)]


def _computed_pads(call: Call) -> dict[str, Any]:
    return {"pads": _numbers(call, 2)}


# -- numbers ----------------------------------------------------------------------------------------------------------


def _spectrum(call: Call) -> Shapes:
    """Real and imaginary part along a new last axis; of the last axis half and one, as the input is real."""
    shape = call.shape()
    last = shape[-1] // 2 + 1 if call.attr("onesided", 1) else shape[-1]
    return [(*shape[:-1], last, 2)]


def _signal(call: Call) -> Shapes:
    *front, last, _ = call.shape()
    return [(*front, 2 * (last - 1) if call.attr("onesided", 1) else last)]


def _masked(call: Call) -> Shapes:
    """What was kept, a bit an element."""
    shape = call.shape()
    return [shape, (dims.ceil_divide(dims.product(shape), 32),)][: len(call.node.outputs)]


def _halved(call: Call) -> Shapes:
    shape = call.shape()
    return [(*shape[:-1], shape[-1] // 2)]


def _projected(*names: str) -> Any:
    """Products of one input with weights packed in blocks, whose widths are attributes; then that input."""

    def shapes(call: Call) -> Shapes:
        shape = call.shape()
        found: list[Shape] = [(*shape[:-1], int(call.attr(name))) for name in names]
        return [*found, shape][: len(call.node.outputs)]

    return shapes


def _by_shape(call: Call) -> Shapes:
    return [(*call.shape()[:-1], _numbers(call, 2)[-1])]


def _two(call: Call) -> Shapes:
    return [broadcast([call.shape(0), call.shape(1)])]


# -- detections -------------------------------------------------------------------------------------------------------


def _detections(call: Call) -> Shapes:
    """So many boxes of each item, whether or not as many were found."""
    batch, most = call.shape()[0], int(call.attr("max_output_boxes"))
    return [(batch, 1), (batch, most, 4), (batch, most), (batch, most)]


def _detection_types(call: Call) -> list[str | None]:
    dtype = call.tensor(0).dtype
    return ["int32", dtype, dtype, "int32"]


def _row(name: str, rule: Any, **more: Any) -> Operator:
    return Operator(name, rule, source=SOURCE, **more)


def _like(name: str, op: str, positions: Any, **more: Any) -> Operator:
    return like(name, op, positions, source=SOURCE, **more)


register(
    _row("TorchEmbedding", _embedded),
    _row("GatherBlockQuantized", _block_quantized, dtype=lambda call: call.tensor(2).dtype),
    _row("Unique", _unique, dtype=lambda call: [call.tensor(0).dtype, "int64", "int64"]),
    _row("Tokenizer", _words),
    _row("WordConvEmbedding", lambda call: [(call.shape()[0], call.shape(1)[0])], dtype=lambda call: "float32"),
    _row("NGramRepeatBlock", lambda call: [call.shape(1)], dtype=lambda call: call.tensor(1).dtype),
    _row("MurmurHash3", same_shape, dtype=lambda call: "uint32" if call.attr("positive", 1) else "int32"),
    _row("CropAndResize", _crops),
    _row("ExpandDims", _new_axis),
    _row("UnfoldTensor", _unfolded),
    _row("Rfft", _spectrum),
    _row("Irfft", _signal),
    _row("CDist", lambda call: [(call.shape(0)[0], call.shape(1)[0])]),
    _row("IsAllFinite", lambda call: [()], dtype=lambda call: "bool"),
    *(
        _row(name, _masked, dtype=lambda call: [call.tensor(0).dtype, "uint32"])
        for name in ("BitmaskDropout", "BitmaskBiasDropout")
    ),
    _row("BiasSplitGelu", _halved),
    _row(
        "GemmaRotaryEmbedding",
        lambda call: [call.shape(1)] * len(call.node.outputs),
        dtype=lambda call: call.tensor(1).dtype,
    ),
    _row("MatMulNBitsMlp", _projected("N")),
    _row("MatMulNBitsQkv", _projected("Nq", "Nkv", "Nkv")),
    _row("MatMulFpQ4", _by_shape),
    *(_row(name, _two) for name in ("ComplexMul", "ComplexMulConj")),
    _row("MulInteger", lambda call: [broadcast([call.shape(0), call.shape(2)])], dtype=lambda call: "int32"),
    _row("AttnLSTM", states),
    _like("MaxpoolWithMask", "MaxPool", (0,)),
    _like("ConvTransposeWithDynamicPads", "ConvTranspose", (0, 1, 3), attrs=_computed_pads),
    _like("ReduceSumInteger", "ReduceSum", (0,), dtype=lambda call: "int32"),
    *(_like(op, op, (0, 1, 2)) for op in ("Pad", "Range")),
    *(_like(op, op, (0, 1)) for op in ("GatherND", "GridSample")),
    domain=DOMAIN,
)
#: Operators that left ONNX and that onnxruntime still runs.
register(
    *(
        Operator(name, same_shape, elementwise=True, source="ONNX 1.0")
        for name in ("Affine", "ImageScaler", "ParametricSoftplus", "ScaledTanh")
    ),
)
#: TensorRT's plugin at the end of detectors; exporters name either domain.
for _domain in ("", "TRT"):
    register(
        Operator("EfficientNMS_TRT", _detections, dtype=_detection_types, source="TensorRT efficientNMSPlugin"),
        domain=_domain,
    )
