"""Signals: windows, Fourier transforms, mel filters, and tensors of random numbers."""

from __future__ import annotations

from ..dims import Dim, Unknown
from ..window import Window
from .base import Call, Operator, Shapes, register, same_shape


def _number(call: Call, index: int) -> Dim | None:
    """A whole number given as a tensor, None where the input is absent; Unknown where it is computed at run time."""
    if not call.has(index):
        return None
    contents = call.contents(index)
    return contents[0] if contents else Unknown(f"{call.name}: {call.node.inputs[index]} is computed at run time")


def _or(value: Dim | None, default: Dim) -> Dim:
    return default if value is None else value


# -- Fourier transforms -----------------------------------------------------------------------------------------------


def _half(size: Dim) -> Dim:
    """The places of a one-sided spectrum."""
    return size // 2 + 1


def _dft(call: Call) -> Shapes:
    """The last axis holds real and imaginary parts; ``axis`` became an input in opset 20."""
    shape = list(call.shape())
    given = _or(_number(call, 2), -2) if call.opset >= 20 else call.attr("axis", 1)
    onesided, inverse = call.attr("onesided", 0), call.attr("inverse", 0)
    back = onesided and inverse  # from a one-sided spectrum to real numbers
    if not isinstance(given, int):
        why = Unknown(f"{call.name}: its axis is computed at run time")
        kept = shape[:-1] if not onesided and not call.has(1) else [why] * (len(shape) - 1)
        return [(*kept, 1 if back else 2)]
    axis = call.axis(given)
    length = _or(_number(call, 1), (shape[axis] - 1) * 2 if back else shape[axis])
    shape[axis] = _half(length) if onesided and not inverse else length
    shape[-1] = 1 if back else 2
    return [tuple(shape)]


def _stft(call: Call) -> Shapes:
    batch, length = call.shape()[:2]
    frame = _number(call, 3)
    if frame is None:
        frame = call.shape(2)[0] if call.has(2) else length
    step = _number(call, 1)
    frames = (
        Window(frame, step).size(length) if isinstance(step, int) and step > 0 else Unknown(f"{call.name}: its step")
    )
    return [(batch, frames, _half(frame) if call.attr("onesided", 1) else frame, 2)]


def _mel(call: Call) -> Shapes:
    bins, length = _number(call, 0), _number(call, 1)
    return [(_half(_or(length, Unknown("no length"))), _or(bins, Unknown("no bins")))]


def _sized(call: Call) -> Shapes:
    return [(_or(_number(call, 0), Unknown(f"{call.name}: it has no size")),)]


# -- random numbers ---------------------------------------------------------------------------------------------------


def _attribute_type(call: Call) -> str:
    return str(call.attr("dtype", "float32"))


def _own_type(call: Call) -> str | None:
    return call.attr("dtype") or call.tensor(0).dtype


register(
    *(
        Operator(
            f"{name}Window",
            _sized,
            dtype=lambda call: call.attr("output_datatype", "float32"),
            source=f"ONNX {name}Window-17",
        )
        for name in ("Blackman", "Hamming", "Hann")
    ),
    Operator("DFT", _dft, source="ONNX DFT-20"),
    Operator("STFT", _stft, source="ONNX STFT-17"),
    Operator(
        "MelWeightMatrix",
        _mel,
        dtype=lambda call: call.attr("output_datatype", "float32"),
        source="ONNX MelWeightMatrix-17",
    ),
    *(
        Operator(
            f"Random{name}",
            lambda call: [tuple(call.attr("shape"))],
            dtype=_attribute_type,
            source=f"ONNX Random{name}-22",
        )
        for name in ("Normal", "Uniform")
    ),
    *(
        Operator(name, same_shape, dtype=_own_type, source=f"ONNX {name}-22")
        for name in ("RandomNormalLike", "RandomUniformLike", "Bernoulli")
    ),
    Operator(
        "Multinomial",
        lambda call: [(call.shape()[0], int(call.attr("sample_size", 1)))],
        dtype=lambda call: call.attr("dtype", "int32"),
        source="ONNX Multinomial-22",
    ),
)
