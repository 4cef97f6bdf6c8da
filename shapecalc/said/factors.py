"""Counts taken apart: which maps two numbers of inputs could be, and whose number they are known to be.

A fully connected layer behind a map of C channels and H×W places has C·H·W inputs. At another image size C stays and
the places change, so C divides both counts, and for square images both quotients are squares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

#: More channels than any published map has.
MOST_CHANNELS = 2560
#: Readings shown where the numbers allow several.
SHOWN = 3
#: A side of a map longer than this is not what a fully connected layer sees.
LONGEST_SIDE = 64

#: Number of inputs of a published net's first fully connected layer -> its channels, and what it is.
CLASSIFIERS = {
    400: (16, "LeNet-5's, 16·5·5 at 32×32"),
    784: (1, "an MNIST digit as it is, 28·28"),
    800: (50, "Caffe's LeNet, 50·4·4 at 28×28"),
    9216: (256, "AlexNet's fc6, 256·6·6 at 227×227"),
    25088: (512, "VGG's fc6, 512·7·7 at 224×224"),
}
#: Numbers of features of published nets: channels behind a global pooling, or a fully connected layer's.
FEATURES = {
    512: "ResNet-18, ResNet-34 and VGG",
    768: "ViT-B, ConvNeXt-T and BERT",
    1024: "GoogLeNet and DenseNet-121",
    1280: "MobileNetV2 and EfficientNet-B0",
    1536: "Inception v4 and EfficientNet-B3",
    2048: "ResNet-50, ResNet-101, ResNet-152 and Inception v3",
    4096: "fc6 or fc7 of AlexNet and VGG",
}


class Maps(NamedTuple):
    """One way to read two counts: the channels they share, and the height and width of each map."""

    channels: int
    wanted: tuple[int, int]
    given: tuple[int, int]

    def text(self, side: str) -> str:
        """``256·6·6``."""
        return "·".join(map(str, (self.channels, *getattr(self, side))))


def maps(wanted: int, given: int) -> list[Maps]:
    """The maps that two counts of inputs could be, square ones first, most channels first; the likeliest few.

    >>> maps(9216, 6400)[0]
    Maps(channels=256, wanted=(6, 6), given=(5, 5))
    """
    if wanted < 1 or given < 1 or wanted == given:
        return []
    known = {CLASSIFIERS[number][0] for number in (wanted, given) if number in CLASSIFIERS}
    common = [c for c in divisors(math.gcd(wanted, given)) if c in known or 3 < c <= MOST_CHANNELS]
    square = [found for c in common if (found := _squares(c, wanted // c, given // c)) is not None]
    oblong = [found for c in common if _usual(c) and (found := _oblongs(c, wanted // c, given // c)) is not None]
    read = sorted(square or oblong, key=lambda m: (m.channels not in known, -_usual(m.channels), -m.channels))
    return read[: SHOWN if square else 1]


def _squares(channels: int, wanted: int, given: int) -> Maps | None:
    sides = math.isqrt(wanted), math.isqrt(given)
    if sides[0] ** 2 != wanted or sides[1] ** 2 != given or max(sides) > LONGEST_SIDE:
        return None
    return Maps(channels, (sides[0],) * 2, (sides[1],) * 2)


def _oblongs(channels: int, wanted: int, given: int) -> Maps | None:
    """Two maps near to squares, as of images that are not square; both have more than a row."""
    first, second = _nearest(wanted), _nearest(given)
    longest, shortest = max(*first, *second), min(*first, *second)
    if longest > LONGEST_SIDE or shortest < 2 or shortest * 4 < longest:
        return None
    return Maps(channels, first, second)


def _nearest(places: int) -> tuple[int, int]:
    """Height and width of as many places, as near to a square as they divide."""
    low = max(d for d in divisors(places) if d * d <= places)
    return low, places // low


def divisors(number: int) -> Iterator[int]:
    """All divisors, in pairs."""
    for low in range(1, math.isqrt(number) + 1):
        if number % low == 0:
            yield low
            if low != number // low:
                yield number // low


def _usual(channels: int) -> int:
    """How usual a number of channels is: 2 for a power of two from 16 on, 1 for a multiple of 32, else 0."""
    if channels >= 16 and channels & (channels - 1) == 0:
        return 2
    return int(channels % 32 == 0)


def primes(number: int) -> str:
    """A number as a product: ``2^10·3^2``.

    >>> primes(9216)
    '2^10·3^2'
    """
    parts, rest, prime = [], number, 2
    while prime * prime <= rest:
        power = 0
        while rest % prime == 0:
            rest, power = rest // prime, power + 1
        parts += [f"{prime}^{power}" if power > 1 else str(prime)] if power else []
        prime += 1
    return "·".join([*parts, *([str(rest)] if rest > 1 or not parts else [])])
