"""An image as a net wants it: read, resized, cropped, on the net's scale; and what the net says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from ..errors import UsageError, pip_install
from ..graph import Graph, Input
from ..lower import scores
from ..surgery.channels import channel_axis
from ..surgery.labels import names_of
from ..weights import Array

#: Images of more pixels are not opened: a file of a few bytes may claim any number.
MOST_PIXELS = 1 << 28
#: Scores that are told.
TOP = 5


class Picture(NamedTuple):
    """An image file and how it becomes an input.

    ``resize``: what its shorter side becomes, 0 for the net's own; then the middle is cut out. ``white`` is what the
    lightest pixel (255) becomes, ``mean`` is taken off then and ``std`` divided by. ``bgr``: blue first.
    """

    path: Path
    resize: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bgr: bool = False
    white: float = 255.0

    def array(self, given: Input, shape: tuple[int, ...]) -> Array:
        """The image in the shape of an input, once for each of its batch. Raises UsageError."""
        if len(shape) != 4:
            raise UsageError(f"{given.name} takes {shape}, no image", "E002", hint="leave --image out")
        axis = channel_axis(given)
        height, width = (size for i, size in enumerate(shape) if i not in (0, axis))
        pixels = self._pixels(shape[axis], height, width)
        if numpy.dtype(given.dtype).kind != "f":
            if self.mean or self.std:
                raise UsageError(f"{given.name} takes whole pixels, from which no --mean is taken off", "E002")
            made = pixels
        else:
            made = self._normalised(pixels * numpy.float32(self.white / 255), shape[axis])
        laid = made if axis == 3 else made.transpose(2, 0, 1)
        return numpy.ascontiguousarray(numpy.broadcast_to(laid, shape).astype(given.dtype))

    def _pixels(self, channels: int, height: int, width: int) -> Array:
        """Height × width × channels, 0 to 255: resized by its shorter side, the middle cut out."""
        if channels not in (1, 3):
            raise UsageError(f"an image has 1 or 3 channels, the net takes {channels}", "E002")
        image = _opened(self.path).convert("L" if channels == 1 else "RGB")
        covering = max(height / image.height, width / image.width)
        scale = self.resize / min(image.size) if self.resize else covering
        if scale < covering:
            raise UsageError(f"--resize {self.resize} is too small to cut the net's {height}×{width} out", "E002")
        size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        middle = image.resize(size, 2).crop((left, top, left + width, top + height))  # 2: bilinear
        pixels = numpy.asarray(middle, numpy.float32).reshape(height, width, channels)
        return pixels[..., ::-1] if self.bgr else pixels

    def _normalised(self, pixels: Array, channels: int) -> Array:
        for word, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (0, 1, channels):
                raise UsageError(f"--{word} has {len(numbers)} numbers, the image {channels} channels", "E002")
        mean, std = (
            numpy.asarray(numbers or (idle,), numpy.float32) for numbers, idle in ((self.mean, 0), (self.std, 1))
        )
        if not (std > 0).all():
            raise UsageError("--std is divided by: its numbers are above 0", "E002")
        return numpy.asarray((pixels - mean) / std)


def _opened(path: Path) -> Any:
    """The image, turned as its camera noted. Raises UsageError."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        hint = pip_install("pillow")
        raise UsageError("images are read by Pillow, which is not installed", "E002", hint=hint) from None
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UsageError(f"{path} has {image.width}×{image.height} pixels, too many to read", "E002")
            return ImageOps.exif_transpose(image) or image.copy()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UsageError(f"{path} cannot be read as an image: {error}", "E002") from None


class Guess(NamedTuple):
    """One class: its place in the row, its name where the file says one, and its score as the net gives it."""

    place: int
    name: str | None
    score: float


class Seen(NamedTuple):
    """What a net said of an image: the output that was read, and its best classes."""

    image: str
    output: str
    guesses: list[Guess]

    def to_dict(self) -> dict[str, Any]:
        """The guesses as JSON prints them."""
        return {"image": self.image, "output": self.output, "top": [guess._asdict() for guess in self.guesses]}


def seen(graph: Graph, image: str, tensors: dict[str, Array]) -> Seen | None:
    """The best classes of the first item; None where no output is a row of scores."""
    names = names_of(graph)
    for output in reversed([name for name in scores(graph) if name in tensors]):
        row = numpy.asarray(tensors[output])
        if row.ndim >= 2 and row.size == row.shape[0] * row.shape[1] and row.dtype.kind == "f":
            return Seen(image, output, _best(row[0].reshape(-1), names))
    return None


def _best(row: Array, names: Sequence[str]) -> list[Guess]:
    named = names if len(names) == row.size else [None] * row.size
    order = numpy.argsort(-row, kind="stable")[:TOP]
    return [Guess(int(i), named[i], float(row[i])) for i in order]
