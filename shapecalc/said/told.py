"""The form of an answer to a text, and how its numbers are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from . import Said

#: Numbers of channels of images, and what such an image is.
COLOURS = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGBA"}


class Told(NamedTuple):
    """The numbers as text, factorised where they can be; likely causes; what to do next."""

    wanted: str
    given: str
    causes: tuple[str, ...]
    next_steps: tuple[str, ...]


def count(number: int) -> str:
    """``9,216``."""
    return f"{number:,}"


def shape(sizes: Sequence[int]) -> str:
    """``1×3×224×224``."""
    return "×".join(map(str, sizes))


def both(said: Said) -> tuple[str, str]:
    """What is wanted and what is given, as shapes."""
    return shape(said.wanted), shape(said.given)


def coloured(smaller: int, larger: int) -> str:
    """``gray`` and ``RGB`` where one number is that many times a square image's other; "" where it is not."""
    for channels in (3, 4):
        if larger == channels * smaller and math.isqrt(smaller) ** 2 == smaller:
            side = math.isqrt(smaller)
            flat = f"{count(larger)} = {channels}·{side}·{side} is {COLOURS[channels]}"
            return f"{flat}, {count(smaller)} = {side}·{side} gray: images of another colour"
    return ""
