"""Links of ``chainer.links`` that are one layer, as classes that a definition derives from.

A class of one's own that extends a convolution computes with its ``W`` and ``b`` (a spectral norm, a mask, one bit):
here they are parameters that its methods read, and its ``forward`` is that of the link unless it has another one.
chainer/links/connection/{convolution_2d,deconvolution_2d,linear}.py and
chainer/links/normalization/batch_normalization.py.
"""

from __future__ import annotations

from .composites import HEAD

_WINDOWED = """
class {name}(chainer.Link):
    def __init__(self, in_channels, out_channels, ksize=None, stride=1, pad=0, nobias=False, {outsize}initialW=None,
                 initial_bias=None, *, dilate=1, groups=1):
        super().__init__()
        if ksize is None:
            in_channels, out_channels, ksize = None, in_channels, out_channels
        self.in_channels, self.out_channels, self.ksize = in_channels, out_channels, ksize
        self.stride, self.pad, self.dilate, self.groups = stride, pad, dilate, groups
        kh, kw = ksize if isinstance(ksize, (tuple, list)) else (ksize, ksize)
        with self.init_scope():
            self.W = chainer.Parameter(initialW, None if in_channels is None else ({shape}, kh, kw))
            self.b = None if nobias else chainer.Parameter(initial_bias, (out_channels,))

    def forward(self, x):
        return F.{function}(x, self.W, self.b, self.stride, self.pad, dilate=self.dilate, groups=self.groups)
"""

_LINEAR = """
class Linear(chainer.Link):
    def __init__(self, in_size, out_size=None, nobias=False, initialW=None, initial_bias=None):
        super().__init__()
        if out_size is None:
            in_size, out_size = None, in_size
        self.in_size, self.out_size = in_size, out_size
        with self.init_scope():
            self.W = chainer.Parameter(initialW, None if in_size is None else (out_size, in_size))
            self.b = None if nobias else chainer.Parameter(initial_bias, (out_size,))

    def forward(self, x, n_batch_axes=1):
        return F.linear(x, self.W, self.b, n_batch_axes=n_batch_axes)
"""

_NORMALIZATION = """
import numpy
class BatchNormalization(chainer.Link):
    def __init__(self, size=None, decay=0.9, eps=2e-5, dtype=None, use_gamma=True, use_beta=True, initial_gamma=None,
                 initial_beta=None, axis=None, initial_avg_mean=None, initial_avg_var=None):
        super().__init__()
        self.eps = eps
        self.decay = decay
        with self.init_scope():
            self.gamma = chainer.Parameter(initial_gamma, size) if use_gamma else None
            self.beta = chainer.Parameter(initial_beta, size) if use_beta else None
        self.avg_mean = numpy.zeros(size)
        self.register_persistent('avg_mean')
        self.avg_var = numpy.ones(size)
        self.register_persistent('avg_var')

    def forward(self, x):
        if chainer.config.train:
            return F.batch_normalization(x, self.gamma, self.beta, eps=self.eps)
        return F.fixed_batch_normalization(x, self.gamma, self.beta, self.avg_mean, self.avg_var, eps=self.eps)
"""

#: Name of a link -> its text as a class.
LINKS_AS_BASES = {
    "Convolution2D": HEAD
    + _WINDOWED.format(
        name="Convolution2D", outsize="", shape="out_channels, in_channels // groups", function="convolution_2d"
    ),
    "Deconvolution2D": HEAD
    + _WINDOWED.format(
        name="Deconvolution2D",
        outsize="outsize=None, ",
        shape="in_channels, out_channels // groups",
        function="deconvolution_2d",
    ),
    "Linear": HEAD + _LINEAR,
    "BatchNormalization": HEAD + _NORMALIZATION,
}
