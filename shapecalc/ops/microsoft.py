"""Operators of onnxruntime's own domain that exporters and its optimizers write (docs/ContribOperators.md there)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .. import dims
from ..dims import Dim, Shape, Unknown
from ..graph import Tensor
from .base import Call, Need, Operator, Shapes, register, same_shape
from .quantized import ROWS, convolved_type, given_type
from .recurrent import need_features, states
from .views import like

DOMAIN = "com.microsoft"
#: Where the optimizer at its highest level puts convolutions whose channels lie in blocks.
BLOCKED = "com.microsoft.nchwc"
#: Channels of a block: 8 or 16, as the machine's registers are wide.
BLOCK = 16
SOURCE = "onnxruntime docs/ContribOperators.md"


def _like(name: str, op: str, positions: Any = (0, 1), **rules: Any) -> Operator:
    return like(name, op, positions, source=SOURCE, **rules)


# -- normalizations ---------------------------------------------------------------------------------------------------


def _skip_shapes(call: Call) -> Shapes:
    """The sum's shape; mean and deviation (in training only), then the sum itself."""
    shape = call.shape()
    statistics = (*shape[:-1], 1)
    return [shape, statistics, statistics, shape][: len(call.node.outputs)]


def _layer_shapes(call: Call) -> Shapes:
    shape = call.shape()
    axis = call.axis(int(call.attr("axis", -1)))
    statistics = (*shape[:axis], *(1,) * (len(shape) - axis))
    return [shape, statistics, statistics][: len(call.node.outputs)]


def _simplified_types(call: Call) -> list[str | None]:
    """The result is of the scale's type, what it was divided by of the one in which that is computed."""
    computed = "float32" if call.attr("stash_type", 1) == 1 else call.tensor(0).dtype
    return [call.tensor(1).dtype, computed, computed]


# -- matrices ---------------------------------------------------------------------------------------------------------


def _turned(shape: Shape, batch: bool, last: bool) -> Shape:
    """A matrix's shape after FusedMatMul's transpositions: of its batch axes, of its last two."""
    if batch and len(shape) > 2:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if last and len(shape) > 1 else shape


def _fused(call: Call) -> tuple[Operator, Call]:
    """The row of MatMul, and the call as it meets the turned matrices."""
    from . import find

    row = find("MatMul")
    flags = [(call.attr(f"transBatch{side}", 0), call.attr(f"trans{side}", 0)) for side in "AB"]
    inputs = [
        Tensor(_turned(call.shape(i), bool(batch), bool(last)), call.tensor(i).dtype)
        for i, (batch, last) in enumerate(flags)
    ]
    if row is None:
        raise ValueError("no row MatMul")
    return row, Call(call.node, inputs, call.scope)


def _fused_shapes(call: Call) -> Shapes:
    row, turned = _fused(call)
    return row.shapes(turned)


def _fused_needs(call: Call) -> Iterator[Need]:
    row, turned = _fused(call)
    return row.needs(turned) if row.needs is not None else iter(())


def _fused_macs(call: Call, outputs: Shapes) -> Dim:
    row, turned = _fused(call)
    return row.macs(turned, outputs) if row.macs is not None else 0


def _packed(call: Call) -> Shapes:
    """A weight packed in blocks: its width is an attribute."""
    return [(*call.shape()[:-1], int(call.attr("N")))]


# -- quantized joins --------------------------------------------------------------------------------------------------


def _values(count: int) -> Sequence[int]:
    """QLinearConcat: scale and zero point of the result, then value, scale and zero point of each part."""
    return range(2, count, 3)


def _nhwc(call: Call) -> dict[str, Any]:
    return {"layout": "NHWC" if call.attr("channels_last", 0) else "NCHW"}


# -- channels in blocks -----------------------------------------------------------------------------------------------


def _into_blocks(call: Call) -> Shapes:
    """Channels first, and filled up to whole blocks; how large a block is, the running machine decides."""
    layout = _nhwc(call)["layout"]
    batch, *axes = call.shape()
    channels = axes.pop(0 if layout == "NCHW" else -1)
    if dims.equal(channels % BLOCK, 0) is not True:
        channels = Unknown(
            f"{call.name}: it fills {channels} channels up to blocks of 8 or 16, as the machine has them"
        )
    return [(batch, channels, *axes)]


def _out_of_blocks(call: Call) -> Shapes:
    """As many channels as the attribute says, first or last."""
    batch, _, *places = call.shape()
    channels = int(call.attr("channels"))
    return [(batch, *places, channels) if call.attr("channels_last", 0) else (batch, channels, *places)]


def _blocked_convolution() -> Operator:
    """Conv, except that its weight does not count the channels that fill up a block."""
    row = _like("Conv", "Conv", (0, 1, 2))
    plain = row.needs
    if plain is not None:
        row.needs = lambda call: (need for need in plain(call) if need.code not in ("E102", "E104"))
    return row


SAME = (
    "BiasGelu BiasDropout BiasSoftmax FastGelu Gelu QuickGelu QLinearLeakyRelu QLinearSigmoid QLinearSoftmax "
    "RotaryEmbedding GroupNorm Inverse Trilu BiasAdd DequantizeWithOrder QuantizeWithOrder MRotaryEmbedding ScaledSiLU "
    "GatedAdd GatedRMSNorm BranchwiseRMSNorm QOrderedGelu QOrderedLayerNormalization MoE QMoE SkipGroupNorm"
).split()
SKIPPING = "SkipLayerNormalization SkipSimplifiedLayerNormalization".split()

register(
    *(Operator(name, same_shape, elementwise=name != "Inverse", source=SOURCE) for name in SAME),
    *(Operator(name, _skip_shapes, source=SOURCE) for name in SKIPPING),
    *(_like(f"QLinear{op}", op, (0, 3)) for op in ("Add", "Mul")),
    *(_like(f"QLinear{op}Pool", f"{op}Pool", (0,), attrs=_nhwc) for op in ("Average", "GlobalAverage")),
    _like("NhwcMaxPool", "MaxPool", (0,), attrs=lambda call: {"layout": "NHWC"}),
    _like("QLinearConcat", "Concat", _values, dtype=lambda call: call.tensor(2).dtype),
    _like("QLinearConv", "Conv", (0, 3), attrs=_nhwc, dtype=convolved_type),
    _like("QGemm", "Gemm", (0, 3, 6), dtype=lambda call: given_type(call, 8, "float32")),
    Operator("DynamicQuantizeLSTM", states, needs=lambda call: need_features(call, 1), source=SOURCE),
    _like("QLinearReduceMean", "ReduceMean", (0,)),
    _like("QLinearWhere", "Where", (0, 1, 4), dtype=lambda call: call.tensor(1).dtype),
    _like("FusedConv", "Conv", (0, 1, 2)),
    *(_like(name, "Conv", (0, 1, 2), attrs=lambda call: {"layout": "NHWC"}) for name in ("NhwcConv", "NhwcFusedConv")),
    *(_like(name, "Gemm", (0, 1, 2)) for name in ("FusedGemm", "GemmFloat8")),
    _like("GemmFastGelu", "MatMul"),
    *(
        Operator(name, _fused_shapes, needs=_fused_needs, macs=_fused_macs, source=SOURCE)
        for name in ("FusedMatMul", "FusedMatMulActivation", "TransposeMatMul")
    ),
    *(Operator(name, _packed, source=SOURCE) for name in ("MatMulNBits", "MatMulBnb4")),
    _like("DynamicQuantizeMatMul", "MatMul"),
    _like("MatMulInteger16", "MatMul", dtype=lambda call: "int32"),
    _like("MatMulIntegerToFloat", "MatMul", dtype=lambda call: call.tensor(2).dtype),
    *(
        Operator(row.name, row.shapes, dtype=row.dtype, constants=row.constants, source=SOURCE)
        for row in ROWS  # the same, with more element types
    ),
    domain=DOMAIN,
)
#: onnxruntime's optimizers put these into ONNX's own domain.
register(
    Operator("SimplifiedLayerNormalization", _layer_shapes, dtype=_simplified_types, source=SOURCE),
    Operator("SkipSimplifiedLayerNormalization", _skip_shapes, source=SOURCE),
)
register(
    Operator("ReorderInput", _into_blocks, source="onnxruntime nchwc_ops.cc"),
    Operator("ReorderOutput", _out_of_blocks, source="onnxruntime nchwc_ops.cc"),
    _blocked_convolution(),
    *(_like(op, op, (0,)) for op in "MaxPool AveragePool GlobalMaxPool GlobalAveragePool Upsample".split()),
    domain=BLOCKED,
)
