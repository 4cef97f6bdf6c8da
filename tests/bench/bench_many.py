"""A thousand sizes at once, as a number of single traces of the same net: which of them fit.

    python -m tests.bench.bench_many [FILE or zoo name ...]

Both start from the graph as it was read; of the thousand (heights and widths drawn anew), a sample is traced one by one
and has to say the same. The limit is 40.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy

import shapecalc
from shapecalc.model import Model

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "onnx"
NETS = (
    "alexnet",
    "googlenet",
    "resnet50",
    "mobilenet_v2",
    *(str(CORPUS / f"{name}.ts.onnx") for name in ("resnet50", "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224")),
)
COUNT, LOW, HIGH, ROUNDS, SAMPLE, LIMIT = 1000, 32, 1024, 5, 12, 40


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def compare(name: str) -> str:
    """One line: a single trace, the thousand, the ratio of each round's pair."""
    heights, widths = numpy.random.default_rng(0).integers(LOW, HIGH, (2, COUNT))
    native = 224 if name.endswith(".onnx") else 227
    pairs = []
    for _ in range(ROUNDS):
        one, many = shapecalc.load(name), shapecalc.load(name)
        one.trace(native)  # what reading leaves to the first trace belongs to neither
        many.trace(native)
        single = statistics.median(seconds(lambda: one.trace(native)) for _ in range(SAMPLE))  # noqa: B023
        pairs.append((single, seconds(lambda: many.sizes().fits(heights, widths))))  # noqa: B023
    check(many, heights, widths)
    single, all_of_them = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    return f"{Path(name).stem:36} one {single * 1e3:7.2f} ms  {COUNT:,} {all_of_them * 1e3:8.1f} ms  ratio {ratio:.1f}"


def check(model: Model, heights: numpy.ndarray, widths: numpy.ndarray) -> None:
    """Raises AssertionError where a single trace says something else of a size."""
    fits = model.sizes().fits(heights, widths)
    for i in range(0, COUNT, COUNT // SAMPLE):
        size = int(heights[i]), int(widths[i])
        assert model.trace(size).ok == fits[i], (model.name, size)


def main() -> None:
    """Prints a line a net; names what is absent."""
    for name in sys.argv[1:] or NETS:
        absent = name.endswith(".onnx") and not Path(name).is_file()
        print(f"{name} is absent" if absent else compare(name), flush=True)


if __name__ == "__main__":
    main()
