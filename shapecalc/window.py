"""The one sliding-window rule: how many places a window has, its inverse, and windows composed into one.

    out = (n + pad_begin + pad_end - extent + slack) // stride + 1        extent = (kernel - 1) * dilation + 1

with ``slack`` 0 for floor and ``stride - 1`` for ceil. What each framework really does was measured on the framework
(docs/rounding.md):

========= ========================================= ====================================================
rounding  the size                                  who
========= ========================================= ====================================================
floor     rounds down                               Chainer and Keras convolution, ONNX pooling
ceil      rounds up; the last window may start in   Chainer ``cover_all``; Caffe pooling without padding
          the padding
ceil_clip rounds up; no window starts beyond the    ONNX ``ceil_mode``; Caffe pooling with padding
          image and its leading padding
trunc     C++ division toward zero: a kernel up to  Caffe convolution, onnxruntime pooling
          a stride too large still gives 1
========= ========================================= ====================================================
"""

from __future__ import annotations

from collections.abc import Iterable

from .dims import Dim, ceil_divide, is_number, minimum, truncated_divide
from .intervals import Interval

ROUNDINGS = ("floor", "ceil", "ceil_clip", "trunc")
PADDING_MODES = ("explicit", "valid", "same_upper", "same_lower")


class Window:
    """A window of one spatial axis.

    ``kernel`` in elements of the input, ``stride`` in elements between neighbouring windows, ``pad_begin`` and
    ``pad_end`` in zeros around the input, ``dilation`` the step inside the kernel. Sizes in, sizes out, are elements.

    >>> Window(11, 4).size(227)
    55
    """

    __slots__ = ("dilation", "kernel", "pad_begin", "pad_end", "padding_mode", "rounding", "stride")

    def __init__(
        self,
        kernel: Dim,
        stride: int = 1,
        pad_begin: Dim = 0,
        pad_end: Dim = 0,
        dilation: int = 1,
        rounding: str = "floor",
        padding_mode: str = "explicit",
    ) -> None:
        self.kernel = kernel
        self.stride = stride
        self.pad_begin = pad_begin
        self.pad_end = pad_end
        self.dilation = dilation
        self.rounding = rounding
        self.padding_mode = padding_mode

    @property
    def extent(self) -> Dim:
        """Elements the dilated kernel reaches over."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def same(self) -> bool:
        """Whether padding is chosen so that out = ceil(n / stride)."""
        return self.padding_mode in ("same_upper", "same_lower")

    def numerator(self, n: Dim) -> Dim:
        """``n + pad_begin + pad_end - extent``: what is divided by the stride."""
        return n + self.pad_begin + self.pad_end - self.extent

    def size(self, n: Dim) -> Dim:
        """Number of places of the window on ``n`` elements; 0 or less where it does not fit."""
        if self.same:
            return ceil_divide(n, self.stride)
        top = self.numerator(n)
        if self.rounding == "floor":
            return top // self.stride + 1
        if self.rounding == "trunc":
            return truncated_divide(top, self.stride) + 1
        out = ceil_divide(top, self.stride) + 1
        if self.rounding == "ceil_clip":
            # the last window must start before n + pad_begin (caffe pooling_layer.cpp; ONNX Pool-22)
            out = minimum(out, (n + self.pad_begin - 1) // self.stride + 1)
        return out

    def remainder(self, n: int) -> int:
        """Elements left over by the division: 0 where (n + 2P - F)/S is whole."""
        if self.same:
            return 0
        return int(self.numerator(n)) % self.stride

    def unused(self, n: int) -> int:
        """Elements at the far end that no window reaches; negative: the last window hangs over by so many."""
        return int(self.numerator(n)) - (int(self.size(n)) - 1) * self.stride

    def quotient(self, n: int) -> float:
        """(n + 2P - F)/S + 1 before any rounding."""
        return int(self.numerator(n)) / self.stride + 1

    def pads(self, n: int) -> tuple[int, int]:
        """The padding (begin, end) really used at ``n``: computed for the SAME modes, as declared otherwise."""
        if not self.same:
            return int(self.pad_begin), int(self.pad_end)
        total = max((ceil_divide(n, self.stride) - 1) * self.stride + int(self.extent) - n, 0)
        small, large = total // 2, total - total // 2
        return (small, large) if self.padding_mode == "same_upper" else (large, small)

    def smallest(self, out: int) -> int:
        """The smallest n with ``size(n) >= out``, for out >= 1: the rule turned round."""
        if self.same:
            return (out - 1) * self.stride + 1
        base = (out - 1) * self.stride + int(self.extent) - int(self.pad_begin) - int(self.pad_end)
        if self.rounding == "floor" or (self.rounding == "trunc" and out > 1):
            return base
        base -= self.stride - 1
        if self.rounding == "ceil_clip":
            return max(base, (out - 1) * self.stride + 1 - int(self.pad_begin))
        return base

    def preimage(self, sizes: Interval) -> Interval:
        """All n >= 1 whose size lies in ``sizes``; an interval, because the rule is monotone."""
        low = max(1, self.smallest(max(1, sizes.low)))
        return Interval(low, None if sizes.high is None else self.smallest(sizes.high + 1) - 1)

    def __repr__(self) -> str:
        pads = f"{self.pad_begin},{self.pad_end}" if not self.same else self.padding_mode
        return f"Window({self.kernel}/{self.stride} pad {pads} dilation {self.dilation} {self.rounding})"


class TransposedWindow:
    """The window of a transposed convolution: ``stride*(n-1) + extent - pad_begin - pad_end + output_padding``."""

    __slots__ = ("dilation", "kernel", "output_padding", "pad_begin", "pad_end", "stride")

    def __init__(
        self,
        kernel: Dim,
        stride: int = 1,
        pad_begin: Dim = 0,
        pad_end: Dim = 0,
        dilation: int = 1,
        output_padding: int = 0,
    ) -> None:
        self.kernel = kernel
        self.stride = stride
        self.pad_begin = pad_begin
        self.pad_end = pad_end
        self.dilation = dilation
        self.output_padding = output_padding

    @property
    def extent(self) -> Dim:
        """Elements the dilated kernel reaches over."""
        return (self.kernel - 1) * self.dilation + 1

    def size(self, n: Dim) -> Dim:
        """Size of the output for ``n`` input elements."""
        return self.stride * (n - 1) + self.extent - self.pad_begin - self.pad_end + self.output_padding

    def preimage(self, sizes: Interval) -> Interval:
        """All n >= 1 whose output size lies in ``sizes``."""
        offset = int(self.size(0))
        low = max(1, ceil_divide(sizes.low - offset, self.stride))
        return Interval(low, None if sizes.high is None else (sizes.high - offset) // self.stride)


def compose(windows: Iterable[Window]) -> Window:
    """One window that stands for a chain of them: its extent is the receptive field, its stride the jump.

    Padding adds up in units of the first input, so ``pad_begin`` is how far the first window reaches out of the image.
    Exact for floor rounding (Araujo et al., Distill 2019, eq. 2 and 4); the size of a chain that rounds up follows from
    its links one by one.

    >>> both = compose([Window(11, 4), Window(3, 2)])
    >>> both.kernel, both.stride
    (19, 8)
    """
    extent: Dim = 1
    stride, begin, end = 1, 0, 0
    for window in windows:
        extent = extent + (window.extent - 1) * stride
        begin = begin + window.pad_begin * stride
        end = end + window.pad_end * stride
        stride *= window.stride
    return Window(extent, stride, begin, end)


def exact_windows(size: int, out: int) -> list[Window]:
    """Windows without padding that take ``size`` to exactly ``out``, dividing evenly, smallest kernel first.

    >>> [(w.kernel, w.stride) for w in exact_windows(12, 6)][:2]
    [(2, 2), (7, 1)]
    """
    found = []
    if out == 1:
        return [Window(size, 1)]
    for stride in range(1, size + 1):
        kernel = size - (out - 1) * stride
        if kernel >= stride:  # every element is seen
            found.append(Window(kernel, stride))
    return sorted(found, key=lambda w: (w.kernel, w.stride))


def gaps(window: Window) -> bool:
    """Whether neighbouring windows leave elements between them unseen."""
    return bool(is_number(window.kernel) and window.stride > int(window.extent))
