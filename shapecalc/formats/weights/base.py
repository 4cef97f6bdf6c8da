"""What every reader of weights gives: entries that say where their numbers lie, and read them when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...dims import product
from ...errors import ModelError
from ...graph import Location

#: Trained numbers hardly compress (about 1.1 times). What unpacks to more than this many times its size, and to more
#: than this many bytes, was made to fill the memory.
MOST_INFLATION, MOST_INFLATED = 200, 1 << 26


class Entry(NamedTuple):
    """One array of a weight file: its key, shape, element type, and where it lies.

    ``where`` is None for numbers that do not lie in one piece as they are (compressed, or each with a key of its own);
    ``load`` reads them, and is None where the file holds none (a parameter Chainer had not sized yet). ``legacy``
    marks the four sizes of old Caffe files, whose leading ones mean nothing. ``layer`` is the layer that the file
    itself keeps it under, where it says so (Keras before 3).
    """

    key: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    where: Location | None = None
    load: Callable[[], Any] | None = None
    legacy: bool = False
    layer: str = ""

    def seen(self, rank: int) -> tuple[int, ...]:
        """The shape as a blob of ``rank`` axes sees it.

        blob.cpp, ShapeEquals: an old blob equals one whose shape, filled up with ones in front, has its four sizes.
        """
        spare = len(self.shape) - rank
        if self.legacy and spare > 0 and all(size == 1 for size in self.shape[:spare]):
            return self.shape[spare:]
        return self.shape

    def array(self, shape: Sequence[int] | None = None) -> Any:
        """The numbers as a numpy array in the file's shape, or in another of as many elements. Raises ModelError."""
        if self.load is None:
            raise ModelError(f"{self.key}: the file holds no numbers for it", "E202")
        found = self.load()
        try:
            return found.reshape(self.shape if shape is None else tuple(shape))
        except ValueError:  # a damaged file: it says another shape than it has numbers for
            raise ModelError(f"{self.key}: the file holds {found.size} numbers for {self.shape}", "E202") from None


class WeightFile(NamedTuple):
    """A file of weights: its name for people, its kind (caffemodel, npz, hdf5, keras), its entries by key."""

    name: str
    kind: str
    entries: Mapping[str, Entry]


class Run(NamedTuple):
    """Numbers at equal distances: position of the first, how many, bytes from one to the next."""

    offset: int
    total: int
    step: int


def gathered(data: Any, runs: Sequence[Run], dtype: str) -> Any:
    """The numbers of all runs, one after the other, as an array of its own. ``dtype`` as numpy spells it."""
    import numpy

    kind = numpy.dtype(dtype)
    parts = [numpy.ndarray((run.total,), kind, data, run.offset, (run.step,)) for run in runs]
    return numpy.concatenate(parts) if parts else numpy.empty(0, kind)


def check_inflation(name: str, key: str, stored: int, size: int) -> None:
    """Raises ModelError where ``stored`` bytes claim to unpack to a ``size`` that no trained weights have."""
    if size > MOST_INFLATED and size > MOST_INFLATION * stored:
        raise ModelError(
            f"{key}: {stored:,} bytes claim to unpack to {size:,}", "E202", location=name, hint="these are no weights"
        )


def damaged(name: str, what: str) -> ModelError:
    """The error for a file of weights that makes no sense."""
    return ModelError(what, "E202", location=name, hint="check that it is whole: a download may have been cut short")


def count_of(shape: Sequence[int]) -> int:
    """Elements of a shape."""
    return int(product(shape))
