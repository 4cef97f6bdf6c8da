"""Weights and images that any program makes alike from their names: for comparing whole models without their files."""

from __future__ import annotations

import zlib
from typing import Any

import numpy


def _noise(name: str, shape: tuple[int, ...]) -> Any:
    return numpy.random.default_rng(zlib.crc32(name.encode())).random(shape, numpy.float32)


def weight(name: str, shape: tuple[int, ...], damped: float = 1.0) -> Any:
    """Numbers for a parameter: gains (``damped``) and variances around 1, shifts around 0, kernels that keep the scale.

    Undamped, a net of hundreds of layers may double a difference every few: it then says nothing of who is right.
    """
    noise, kind = _noise(name, shape), name.rpartition("/")[2]
    if kind in ("gamma", "moving_variance", "variance"):
        return (noise * numpy.float32(0.4) + numpy.float32(0.7)) * numpy.float32(damped if kind == "gamma" else 1)
    if kind in ("beta", "bias", "moving_mean", "mean"):
        return noise * numpy.float32(0.2) - numpy.float32(0.1)
    depthwise = kind == "depthwise_kernel" or shape[-1:] == (1,)
    fan_in = int(numpy.prod(shape[:2] if depthwise else shape[:-1])) or 1
    return (noise * 2 - 1) * numpy.float32(numpy.sqrt(4.5 / fan_in))


def image(name: str, shape: tuple[int, ...]) -> Any:
    """Numbers between -1 and 1."""
    return _noise(name, shape) * 2 - 1
