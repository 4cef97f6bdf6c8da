"""The operators: one row each, grouped by family. Importing this package registers them all."""

from __future__ import annotations

from . import caffe, conv, dense, elementwise, norm, pool, shaping, training, vision
from .base import OPERATORS, AnyWindow, Call, Detail, Lowered, MissingInputError, Need, OpenRankError, Operator, find

__all__ = [
    "OPERATORS",
    "AnyWindow",
    "Call",
    "Detail",
    "Lowered",
    "MissingInputError",
    "Need",
    "OpenRankError",
    "Operator",
    "caffe",
    "conv",
    "dense",
    "elementwise",
    "find",
    "norm",
    "pool",
    "shaping",
    "training",
    "vision",
]
