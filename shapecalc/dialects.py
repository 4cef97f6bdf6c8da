"""What each framework does where frameworks differ: one row each.

A node says only what its file says (``ceil_mode`` 0, 1 or nothing); the dialect says what that means. So the same net
can be traced under another framework's rules by naming another row.

Sources: Caffe pooling_layer.cpp and conv_layer.cpp (C++ division); Chainer utils/conv.py; Keras ops/operation_utils.py;
PyTorch aten Pool.h; the ONNX operator specification; onnxruntime core/providers/cpu/nn/pool_attributes.h.
"""

from __future__ import annotations

from .errors import UsageError


class Dialect:
    """How one framework rounds and pads.

    ``convolution`` and ``pooling`` name the rounding of a window that says nothing of ceil, ``ceil`` and
    ``ceil_padded`` that of a pooling that rounds up, without and with padding. ``max_ceil`` and ``average_ceil`` tell
    whether a pooling rounds up when its definition says nothing.
    """

    __slots__ = ("average_ceil", "ceil", "ceil_padded", "convolution", "max_ceil", "name", "pooling", "runs")

    def __init__(
        self,
        name: str,
        *,
        convolution: str = "floor",
        pooling: str = "floor",
        max_ceil: bool = False,
        average_ceil: bool = False,
        ceil: str = "ceil_clip",
        ceil_padded: str = "ceil_clip",
        runs: bool = False,
    ) -> None:
        self.name = name
        self.convolution = convolution
        self.pooling = pooling
        self.max_ceil = max_ceil
        self.average_ceil = average_ceil
        self.ceil = ceil
        self.ceil_padded = ceil_padded
        self.runs = runs  # predicts what onnxruntime does, refusals included, rather than what a text says

    def pool_rounding(self, op: str, ceil_mode: int | None, padded: bool) -> str:
        """The rounding of a pooling whose definition says ``ceil_mode`` (None: nothing)."""
        if ceil_mode is None:
            ceil_mode = self.average_ceil if op == "AveragePool" else self.max_ceil
        if ceil_mode != 1:
            return self.pooling
        return self.ceil_padded if padded else self.ceil


DIALECTS = {
    row.name: row
    for row in (
        Dialect("caffe", convolution="trunc", max_ceil=True, average_ceil=True, ceil="ceil"),
        Dialect("chainer", max_ceil=True, ceil="ceil", ceil_padded="ceil"),
        Dialect("keras"),
        Dialect("torch"),
        Dialect("onnx"),
        Dialect("onnxruntime", pooling="trunc", runs=True),
    )
}


def get_dialect(name: str) -> Dialect:
    """The row called ``name``; raises UsageError, naming those there are."""
    try:
        return DIALECTS[name]
    except KeyError:
        known = ", ".join(DIALECTS)
        raise UsageError(f"no dialect {name!r}", "E002", hint=f"one of {known}") from None
