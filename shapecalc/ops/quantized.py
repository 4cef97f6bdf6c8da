"""Quantization, and the operators on quantized numbers."""

from __future__ import annotations

from ..graph import Tensor
from .base import Call, Operator, register, same_shape
from .views import like


def given_type(call: Call, index: int, default: str | None) -> str | None:
    """The element type of an input where it is there."""
    tensor: Tensor | None = call.inputs[index] if call.has(index) else None
    return tensor.dtype if tensor is not None else default


def _quantized_type(call: Call) -> str | None:
    return call.attr("output_dtype") or given_type(call, 2, "uint8")


def _dequantized_type(call: Call) -> str | None:
    return call.attr("output_dtype") or given_type(call, 1, "float32")


def convolved_type(call: Call) -> str | None:
    """QLinearConv and QLinearMatMul: the element type of the result's zero point."""
    return given_type(call, 7, None)


def _int32(call: Call) -> str:
    return "int32"


ROWS = [
    Operator("QuantizeLinear", same_shape, constants=(1, 2), dtype=_quantized_type, source="ONNX QuantizeLinear-24"),
    Operator(
        "DequantizeLinear", same_shape, constants=(1, 2), dtype=_dequantized_type, source="ONNX DequantizeLinear-24"
    ),
]

register(
    *ROWS,
    Operator(
        "DynamicQuantizeLinear",
        lambda call: [call.shape(), (), ()],
        dtype=lambda call: ["uint8", call.tensor(0).dtype, "uint8"],
        source="ONNX DynamicQuantizeLinear-11",
    ),
    like("QLinearConv", "Conv", (0, 3), dtype=convolved_type, source="ONNX QLinearConv-10"),
    like("ConvInteger", "Conv", (0, 1), dtype=_int32, source="ONNX ConvInteger-10"),
    like("QLinearMatMul", "MatMul", (0, 3), dtype=convolved_type, source="ONNX QLinearMatMul-21"),
    like("MatMulInteger", "MatMul", (0, 1), dtype=_int32, source="ONNX MatMulInteger-10"),
)
