"""Signals: windows, Fourier transforms, mel filters, and tensors of random numbers."""

from __future__ import annotations

from collections.abc import Iterator

from .. import dims
from ..dims import Dim, Unknown
from ..window import Window
from .base import Call, Detail, Need, Operator, Shapes, need_rank, register, same_shape


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


def _dft_needs(call: Call) -> Iterator[Need]:
    """The last axis holds 1 or 2 numbers, as one-sided and inverse say; the transform is along another."""
    yield need_rank(call, at_least=2)
    shape, onesided, inverse = call.shape(), call.attr("onesided", 0), call.attr("inverse", 0)
    wanted = (2,) if onesided and inverse else (1,) if onesided else (1, 2)
    last = shape[-1]
    if isinstance(last, int):
        text = " or ".join(map(str, wanted))
        words = Detail(f"{call.name} takes {text} numbers a place, {call.giver()} gives {last}", text, str(last))
        yield Need(last in wanted, "E105", lambda: words)
    given = _or(_number(call, 2), -2) if call.opset >= 20 else call.attr("axis", 1)
    if isinstance(given, int):
        axis, most = given, len(shape) - 2
        no_axis = Detail(f"{call.name} is along axis {axis} of {len(shape)}", f"0 to {most}", str(axis))
        yield Need(-len(shape) <= axis <= most and axis != -1, "E109", lambda: no_axis, blocks=True)


def _stft_needs(call: Call) -> Iterator[Need]:
    """A frame is no longer than the signal, and as long as its window (dft.cc, short_time_fourier_transform)."""
    yield need_rank(call, at_least=2)
    length, step, frame = call.shape()[1], _number(call, 1), _number(call, 3)
    if isinstance(step, int):
        no_step = Detail(f"{call.name} steps by {step}", "1 or more", str(step))
        yield Need(step > 0, "E109", lambda: no_step, blocks=True)
    window = call.shape(2)[0] if call.has(2) and call.rank(2) == 1 else None
    if frame is not None and window is not None:
        unlike = Detail(f"{call.name} has a window of {window} for frames of {frame}", str(frame), str(window))
        yield Need(dims.equal(frame, window), "E105", lambda: unlike)
    size = window if frame is None else frame
    if size is not None:
        short = Detail(
            f"{call.name} takes frames of {size}, {call.giver()} gives a signal of {length}",
            f"{size} or more",
            str(length),
        )
        yield Need(dims.at_least(length, size), "E103", lambda: short)


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
    Operator("DFT", _dft, needs=_dft_needs, source="ONNX DFT-20"),
    Operator("STFT", _stft, needs=_stft_needs, source="ONNX STFT-17"),
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
