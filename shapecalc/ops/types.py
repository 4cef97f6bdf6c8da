"""Element types: which inputs of an operator must have the same."""

from __future__ import annotations

from .base import Call, Detail, Need

#: Operator -> the inputs that share a type, by the type constraints of its ONNX schema.
SHARED = {
    **dict.fromkeys(
        "Add Sub Mul Div Mod Min Max Sum Mean And Or Xor Equal Less Greater LessOrEqual GreaterOrEqual PRelu "
        "BitwiseAnd BitwiseOr BitwiseXor MatMul Gemm Conv ConvTranspose Concat Clip Einsum Range "
        "InstanceNormalization".split(),
        slice(None),
    ),
    "Where": slice(1, 3),
}


def need_one_type(call: Call) -> Need | None:
    """The requirement that inputs which share a type do; None where it holds or types are not known."""
    shared = SHARED.get(call.node.op) if call.node.domain in ("", "ai.onnx") else None
    if shared is None:
        return None
    first = None
    for index, tensor in enumerate(call.inputs[shared], shared.start or 0):
        dtype = tensor.dtype if tensor is not None else None
        if dtype is None or dtype == first:
            continue
        if first is not None:
            return Need(False, "E107", lambda index=index: _unlike(call, index))  # type: ignore[misc]
        first = dtype
    return None


def _unlike(call: Call, index: int) -> Detail:
    start = SHARED[call.node.op].start or 0
    at = next(i for i in range(start, index) if call.has(i) and call.tensor(i).dtype is not None)
    first, second = call.tensor(at).dtype, call.tensor(index).dtype
    return Detail(
        f"{call.name} takes one element type, {call.giver(at)} gives {first} and {call.giver(index)} {second}",
        f"{first} for both",
        f"{first} and {second}",
        f"a Cast of {call.giver(index)} to {first}",
    )
